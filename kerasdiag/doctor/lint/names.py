"""Dotted names as one: ``tf.keras``, ``keras``, ``keras.src``, ``tf.compat.v2`` and the like lead to the same things."""

from __future__ import annotations

import re

_ROOTS = re.compile(
    r"^(?:tensorflow(?:\.python)?\.keras|tf_keras|keras)(?:\.src|\.api|\._tf_keras\.keras|\._v2\.keras|\.legacy)*(?=\.|$)"
)
_TENSORFLOW = re.compile(r"^tensorflow(?:\.compat\.v[12]|\._api\.v2)+(?=\.|$)")
# Roots of which everything called a model is one of Keras: keras_cv, keras_hub, tensorflow_hub ...
_FAMILY = ("keras", "tensorflow", "tf_keras")
LEGACY_ROOT = "tf_keras"  # Keras 2 whatever else is installed
_OLD_GENERATOR_PACKAGE = "keras_preprocessing"

# What a star import of a module of Keras is taken to bring.
_STARRED = {
    "ImageDataGenerator": ".image",
    "Sequential": ".models",
    "Model": ".models",
    "TensorBoard": ".callbacks",
    "Callback": ".callbacks",
}


def canonical(name: str) -> str:
    """Return a dotted name of TensorFlow without the version of its interface."""
    return _TENSORFLOW.sub("tensorflow", name)


def is_foreign_class(name: str) -> bool:
    """Whether a dotted name is a class (by its capital), imported from something that is not of Keras' family."""
    root, _, rest = name.partition(".")
    return not root.startswith(_FAMILY) and any(part[:1].isupper() for part in rest.split("."))


def keras_name(name: str) -> str | None:
    """Return a dotted name below ``keras``, however it was imported; None for anything else."""
    match = _ROOTS.match(name)
    if match:
        return "keras" + name[match.end() :]
    return (
        "keras.preprocessing" + name[len(_OLD_GENERATOR_PACKAGE) :] if name.startswith(_OLD_GENERATOR_PACKAGE) else None
    )


def last_of_keras(name: str) -> str | None:
    """Return the last part of a name of Keras, None for any other name."""
    inside = keras_name(name)
    return inside.rpartition(".")[2] if inside else None


def starred_name(name: str, modules: list[str]) -> str | None:
    """Return where a name comes from that nothing but a star import of Keras can have brought."""
    ending = _STARRED.get(name)
    found = [module for module in modules if keras_name(module) and (ending is None or module.endswith(ending))]
    return f"{found[0]}.{name}" if ending and found else None
