"""In which trainings the profiler changes a number, because this Keras draws random numbers as it traces."""

from __future__ import annotations

from typing import Any  # models are foreign objects

from kerasdiag import compat


def known_differences(model: Any) -> list[str]:
    """Return the cases in which this training's numbers are not those it would give without the profiler.

    Everywhere else losses, weights and the optimizer's counter are bit-equal, except where the
    input runs out, which is known only when it happens.
    """
    remarks = []
    if compat.is_keras_2(model) and has_random_layers(model):
        if compat.was_traced_before(vars(model).get("train_function")):
            remarks.append(
                "this model was trained before without the profiler; Keras 2 seeds dropout per traced function, so "
                "its masks differ from here on (their distribution does not)."
            )
        if compat.compiles_with_xla(model):
            remarks.append(
                "Keras 2 draws unrepeatable dropout masks with jit_compile=True, with or without the profiler."
            )
    return remarks


def has_random_layers(model: Any) -> bool:
    """Tell whether the model has layers that draw random numbers while training."""
    return any(
        "Dropout" in type(layer).__name__ or "Random" in type(layer).__name__ or "Noise" in type(layer).__name__
        for layer in compat.layers_of(model)
    )
