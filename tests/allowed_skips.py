"""The skips that CI accepts: a part of the skip's reason, and why it is right. Everything else fails CI."""

ALLOWED_SKIPS = {
    "is of Keras 3 only": "the case does not exist on Keras 2",
    "is of Keras 2 only": "the case does not exist on Keras 3",
    "xprof is installed in its own environment only": "that is run by .ci/full; its 20 packages are no tests' own",
}
