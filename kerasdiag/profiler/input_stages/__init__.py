"""Which stage of the input is to blame: tf.data's own model of a pipeline, prefixes of one, rows of a generator, queues."""
