"""Facts about the machine and the process, collected without importing TensorFlow or Keras."""
