"""The pixel work of a batch, twice: compiled for speed, and through SciPy where it cannot be compiled.

Both give the generator's own numbers, bit for bit. ``choose.py`` says which one runs and why.
"""
