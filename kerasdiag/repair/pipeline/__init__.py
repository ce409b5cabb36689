"""From a plan and a store to batches: draws, orders, reading, and the tf.data.Dataset around them."""
