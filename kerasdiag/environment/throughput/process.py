"""The measuring process: gets an order, and answers in lines of JSON as it learns.

It imports NumPy, Pillow and SciPy, nothing of Keras or TensorFlow. A package that is broken, an image that crashes
it, and a disk that hangs end this process and not the doctor's, whose threads keep no lock from these.
"""

from __future__ import annotations

import json
import warnings
from typing import Any  # what JSON can hold

from kerasdiag.environment.child_process import answers, take_order
from kerasdiag.environment.throughput.missing_package import MissingPackageError


def main() -> None:
    """Measure what is ordered."""
    order = take_order()
    warnings.simplefilter("ignore")
    answer = answers()

    def tell(**fields: Any) -> None:
        answer(json.dumps(fields))

    try:
        import numpy as np  # noqa: F401  # all else that is measured with imports it
    except Exception as error:
        tell(not_measured=str(MissingPackageError("NumPy", "numpy", error)))
        return
    try:
        from kerasdiag.environment.throughput.child import measure

        measure(order, tell)
    except Exception as error:
        tell(not_measured=f"{type(error).__name__}: {error}".partition("\n")[0])
