"""What the generator does beside loading: rows, labels, order and augmentation, in memory, on disk, and as a script."""
