"""Proof that a repaired pipeline gives what its generator gives: comparison, certificate, picture of a difference."""
