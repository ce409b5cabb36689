"""Which repair: the smallest one that feeds the training, found by measuring, and remembered."""
