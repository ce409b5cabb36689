"""What a training script says about its own speed, read and never executed."""
