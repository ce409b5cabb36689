"""What a repair would change about a generator: nothing, or a list of reasons to leave it alone."""

from __future__ import annotations

from kerasdiag.errors import UnsupportedOptionError
from kerasdiag.repair.plans.plan import EXACT, REPLAY
from kerasdiag.spec import GeneratorSpec

_CLASS_MODES = ("categorical", "binary", "sparse", "raw", "input", "multi_output", None)
_ITERATORS = ("DataFrameIterator", "DirectoryIterator", "NumpyArrayIterator")


def check_supported(spec: GeneratorSpec, mode: str = EXACT) -> None:
    """Raise one error that names everything about this generator that a repair would change.

    Raises:
        UnsupportedOptionError: With all of it.
    """
    reasons = unsupported(spec, mode)
    if reasons:
        raise UnsupportedOptionError(
            f"autofix cannot repair this generator without changing what it yields: {'; '.join(reasons)}. The generator "
            'is untouched. Take the option out, or keep the generator with on_error="keep".'
        )


def unsupported(spec: GeneratorSpec, mode: str = EXACT) -> list[str]:
    """Return everything about this generator that a repair would change."""
    reasons = [f"{name} is not Keras' own" for name in spec.overridden]
    if spec.kind not in _ITERATORS:
        return [*reasons, f"{spec.kind} is an iterator that autofix does not know"]
    if spec.class_mode not in _CLASS_MODES:
        reasons.append(f"class_mode={spec.class_mode!r} is one that autofix does not know")
    if spec.save_to_dir:
        reasons.append(f"save_to_dir={spec.save_to_dir!r} writes a file for each batch, which a dataset does not")
    options = spec.augmentation
    if options is not None and options.brightness_range is not None:
        channels = spec.batch_shape[-1]  # Keras takes the last axis for the channels, whatever the data format
        if channels not in (1, 3, 4):
            reasons.append(
                f"brightness_range with data_format={spec.data_format!r} and images of shape {spec.batch_shape} fails in "
                "Keras itself, which takes the last axis for the channels"
            )
        elif spec.channels_first:
            reasons.append(
                "brightness_range with data_format='channels_first' makes something else of the image in Keras itself "
                "(keras-preprocessing issue 126), which takes the last axis for the channels"
            )
    if mode == REPLAY and spec.seed is None:
        reasons.append(
            'mode="replay" needs a seeded generator: seed=None cannot be replayed, its numbers come from nowhere'
        )
    return reasons
