"""Batch buffers that TensorFlow takes without a copy, used again when nobody refers to them.

Fresh memory for each batch costs more than the augmentation (page faults), and so does a copy of
an array that is not aligned. TensorFlow, a ``.numpy()`` view and a slice all hold a reference to
the array that owns the memory, so its reference count says whether a buffer is free.
"""

from __future__ import annotations

import sys
import threading
from typing import Any

import numpy as np

ALIGNMENT_BYTES = 64  # what TensorFlow asks for before it takes memory as it is


class BatchBuffers:
    """Aligned arrays of one size.

    Args:
        count: Values in an array that the caller may write, padding of the kernel included.
        max_idle: Buffers that are kept though nobody uses them.
        dtype: dtype of the values.
    """

    def __init__(self, count: int, max_idle: int, dtype: Any = np.float32) -> None:
        self._count = count
        self._dtype = np.dtype(dtype)
        self._padding = ALIGNMENT_BYTES // self._dtype.itemsize
        self._max_idle = max_idle
        self._owners: list[np.ndarray[Any, Any]] = []
        self._lock = threading.Lock()
        self._free_count = self._references_of_a_free_one()

    def take(self) -> np.ndarray[Any, Any]:
        """Return [count] values, aligned, with any content. It is taken for as long as a view of it lives."""
        with self._lock:
            free = [place for place in range(len(self._owners)) if self._is_free(place)]
            for place in reversed(free[self._max_idle :]):
                del self._owners[place]
            if free:
                return self._view(self._owners[free[0]])
            owner = np.empty(self._count + self._padding, self._dtype)
            self._owners.append(owner)
            return self._view(owner)

    def __len__(self) -> int:
        return len(self._owners)

    def addresses(self) -> set[int]:
        """Return where the arrays begin that ``take`` gives out."""
        with self._lock:
            return {self._view(owner).ctypes.data for owner in self._owners}

    def _view(self, owner: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        start = (-owner.ctypes.data // self._dtype.itemsize) % self._padding
        return owner[start : start + self._count]

    def _is_free(self, place: int) -> bool:
        return sys.getrefcount(self._owners[place]) <= self._free_count

    def _references_of_a_free_one(self) -> int:
        """What ``getrefcount`` says of an array that only the list holds; it differs between Pythons."""
        owners = [np.empty(1, np.float32)]
        return sys.getrefcount(owners[0])
