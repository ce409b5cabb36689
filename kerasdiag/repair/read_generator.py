"""Read a live ImageDataGenerator iterator into a GeneratorSpec, without changing it."""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any  # generators and their parts are foreign objects

import numpy as np

from kerasdiag import compat
from kerasdiag.errors import NotAGeneratorError
from kerasdiag.input_identity import IMAGE_DATA_GENERATOR, PYTHON_GENERATOR, identify_input
from kerasdiag.spec import ArrayData, AugmentationOptions, GeneratorSpec, LoaderOptions

_KERAS_PACKAGES = ("keras", "tf_keras", "tensorflow", "keras_preprocessing")
# What decides the batches. User code that replaces one of these makes another generator of it.
_ITERATOR_METHODS = (
    "__getitem__", "__iter__", "__len__", "__next__", "next", "reset", "on_epoch_end", "_set_index_array",
    "_flow_index", "_get_batches_of_transformed_samples", "filepaths", "labels", "sample_weight",
)  # fmt: skip
_AUGMENTATION_METHODS = ("standardize", "apply_transform", "get_random_transform", "random_transform")


def read_spec(generator: Any) -> GeneratorSpec:
    """Return what ``generator`` is.

    Args:
        generator: What ``flow_from_dataframe``, ``flow_from_directory`` or ``flow`` of an
            ImageDataGenerator returned.

    Raises:
        NotAGeneratorError: It is something else; the message names what to pass instead.
    """
    if identify_input(generator).kind != IMAGE_DATA_GENERATOR:
        raise NotAGeneratorError(_what_instead(generator))
    augmentation = getattr(generator, "image_data_generator", None)
    kind = next(base.__name__ for base in type(generator).__mro__ if _is_keras(base))
    class_mode = getattr(generator, "class_mode", None)
    has_classes = class_mode in ("categorical", "binary", "sparse")
    of_arrays = kind == "NumpyArrayIterator"
    return GeneratorSpec(
        kind=kind,
        loader=None if of_arrays else _read_loader(generator),
        arrays=_read_arrays(generator) if of_arrays else None,
        augmentation=_read_augmentation(augmentation),
        filepaths=tuple(getattr(generator, "filepaths", ())),
        directory=getattr(generator, "directory", None) or None,
        class_mode=class_mode,
        class_indices=dict(generator.class_indices) if hasattr(generator, "class_indices") else None,
        classes=tuple(generator.classes) if has_classes else None,
        targets=_read_targets(generator, class_mode),
        sample_weight=_copy(getattr(generator, "sample_weight", None)),
        batch_size=int(generator.batch_size),
        shuffle=bool(generator.shuffle),
        seed=None if generator.seed is None else int(generator.seed),
        subset=getattr(generator, "subset", None),
        total_batches_seen=int(generator.total_batches_seen),
        index_array=_copy(generator.index_array),
        dtype=str(np.dtype(getattr(generator, "dtype", None) or "float32")),
        floatx=compat.generator_floatx(generator),
        data_format=getattr(generator, "data_format", "channels_last"),
        overridden=(
            *_overridden(generator, _ITERATOR_METHODS),
            *_overridden(augmentation, _AUGMENTATION_METHODS),
            *_replaced_loader(generator),
        ),
        save_to_dir=getattr(generator, "save_to_dir", None) or None,
    )


def _read_loader(generator: Any) -> LoaderOptions:
    return LoaderOptions(
        color_mode=generator.color_mode,
        target_size=tuple(int(side) for side in generator.target_size),  # type: ignore[arg-type]
        interpolation=generator.interpolation,
        keep_aspect_ratio=bool(getattr(generator, "keep_aspect_ratio", False)),
    )


def _read_arrays(generator: Any) -> ArrayData:
    extra = tuple(np.asarray(one) for one in generator.x_misc)
    return ArrayData(generator.x, extra, None if generator.y is None else np.asarray(generator.y))


def _read_targets(generator: Any, class_mode: Any) -> Any:
    if class_mode == "raw":
        return np.asarray(generator.labels)
    if class_mode == "multi_output":
        return [np.asarray(output) for output in generator.labels]
    return None


def _what_instead(generator: Any) -> str:
    kind = identify_input(generator).kind
    got = f"autofix was given {type(generator).__module__}.{type(generator).__qualname__}, "
    expected = "it takes what ImageDataGenerator.flow_from_dataframe, flow_from_directory or flow returns. "
    if kind == PYTHON_GENERATOR or inspect.isgeneratorfunction(generator):
        name = getattr(generator, "__name__", "the generator function")
        inner = _wrapped_iterator(generator)
        if inner:
            return (
                f"{got}which is user code around an ImageDataGenerator iterator ({name} yields from {inner!r}). What "
                f"such code does to the batches cannot be seen. Pass the iterator itself: autofix({inner}, ...), and "
                "move what the code does into dataset.map(...) on the result."
            )
        return (
            f"{got}a Python generator ({name}); {expected}If it yields the batches of such an iterator, pass that "
            "iterator itself."
        )
    if inspect.isclass(generator) or type(generator).__name__ == "ImageDataGenerator":
        return f"{got}{expected}Call .flow_from_dataframe(...) on it and pass the result."
    return f"{got}{expected}A Sequence of your own, or arrays, cannot be repaired by it."


def _wrapped_iterator(generator: Any) -> str | None:
    """Name the variable of a running generator that holds an iterator of Keras."""
    frame = getattr(generator, "gi_frame", None)
    if frame is None:
        return None
    code = frame.f_code
    names = {**{name: frame.f_globals.get(name) for name in code.co_names}, **frame.f_locals}
    return next((name for name, value in names.items() if identify_input(value).kind == IMAGE_DATA_GENERATOR), None)


def _is_keras(base: type) -> bool:
    return base.__module__.split(".")[0] in _KERAS_PACKAGES


def _overridden(thing: Any, names: tuple[str, ...]) -> tuple[str, ...]:
    """Names of methods that are not Keras' own, as ``Class.method``."""
    found = []
    for name in names:
        owner = next((base for base in type(thing).__mro__ if name in vars(base)), None)
        if owner is None:  # the iterator over arrays keeps its weights as a plain attribute
            continue
        if name in getattr(thing, "__dict__", {}):
            found.append(f"{type(thing).__qualname__}.{name} (replaced on the object)")
            continue
        method = vars(owner)[name]
        method = getattr(method, "fget", method)
        module = getattr(method, "__module__", None) or ""
        if not _is_keras(owner) or module.split(".")[0] not in _KERAS_PACKAGES:
            found.append(f"{owner.__qualname__}.{name}")
    return tuple(found)


def _replaced_loader(generator: Any) -> tuple[str, ...]:
    loader = compat.generator_loader(generator)
    if loader is None or loader.__module__.split(".")[0] in _KERAS_PACKAGES:
        return ()
    return (f"load_img (replaced by {loader.__module__}.{getattr(loader, '__qualname__', loader)})",)


def _read_augmentation(source: Any) -> AugmentationOptions | None:
    if source is None:
        return None
    names = [field.name for field in dataclasses.fields(AugmentationOptions)]
    values = {name: getattr(source, name) for name in names if hasattr(source, name)}
    return AugmentationOptions(**{**values, "zoom_range": tuple(source.zoom_range)})


def _copy(values: Any) -> np.ndarray[Any, Any] | None:
    return None if values is None else np.array(values)
