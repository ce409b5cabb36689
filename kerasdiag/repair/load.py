"""The generator's own loader, as a function from a path to an array."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any  # the generator is a foreign object

import numpy as np

from kerasdiag import compat
from kerasdiag.errors import KerasDiagError
from kerasdiag.spec import GeneratorSpec


def loader_of_generator(generator: Any, spec: GeneratorSpec) -> Callable[[str], Any]:
    """Return the generator's own loader: path to an array (height, width[, channels]) in the file's own dtype.

    Raises:
        KerasDiagError: This Keras keeps its loader somewhere else.
    """
    load = compat.generator_loader(generator)
    if load is None:
        raise KerasDiagError(
            f"The loader of {type(generator).__module__}.{type(generator).__qualname__} was not found; this Keras is not "
            "one that autofix knows (keras-preprocessing 1.1, Keras 2.10 to 3.15)."
        )
    loader = spec.of_files
    options: dict[str, Any] = {
        "color_mode": loader.color_mode,
        "target_size": loader.target_size,
        "interpolation": loader.interpolation,
    }
    if loader.keep_aspect_ratio:  # older loaders do not know the argument
        options["keep_aspect_ratio"] = True

    def load_as_array(path: str) -> Any:
        with load(path, **options) as image:
            return np.asarray(image)

    return load_as_array
