"""Ceilings of a training: how fast its input is without the model, and its model without the input."""

from kerasdiag.ceilings.rates import Rate, rate_of_batches, rate_of_generator, rate_of_items
from kerasdiag.ceilings.value import Ceilings

__all__ = ["Ceilings", "Rate", "rate_of_batches", "rate_of_generator", "rate_of_items"]
