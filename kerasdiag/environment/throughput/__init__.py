"""How fast this machine reads, decodes, resizes and augments a sample of the user's own images, without training."""
