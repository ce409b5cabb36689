"""The repair: a pixel store made once from the generator's files, and the tf.data pipeline that reads it."""
