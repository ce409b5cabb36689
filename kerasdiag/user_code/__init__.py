"""Functions of the user's that a measurement calls: what they can change, and how that is put back."""

from kerasdiag.user_code.reach import Reach, reach_of, reach_of_generator

__all__ = ["Reach", "reach_of", "reach_of_generator"]
