"""The doctor: what on this machine and in this environment makes a training slow, with its price and its remedy."""
