"""Looks at the first batch of a training and at what its model expects, without touching either."""
