"""Calls of ``fit_generator`` and its like, as calls of ``fit``, ``evaluate`` and ``predict`` on Keras 3."""

from __future__ import annotations

import ast
from collections.abc import Sequence

from kerasdiag.doctor.lint.edits import Edit, corrected, taken_out
from kerasdiag.doctor.lint.refused import GONE
from kerasdiag.doctor.lint.values import Call
from kerasdiag.environment.scripts import Script

_RENAMED = {"generator": "x", "nb_epoch": "epochs"}
# In the order that all versions of Keras 2 have; that of Keras 1 was another one.
_BY_POSITION = {
    "fit_generator": (
        "generator",
        "steps_per_epoch",
        "epochs",
        "verbose",
        "callbacks",
        "validation_data",
        "validation_steps",
    ),
    "evaluate_generator": ("generator", "steps"),
    "predict_generator": ("generator", "steps"),
}
# What Keras 3 has no argument for: they count examples, where its own count batches.
_UNTRANSLATED = ("samples_per_epoch", "nb_val_samples", "val_samples")
_OF_KERAS_1 = ("nb_epoch", "max_q_size", "nb_worker", "pickle_safe")


def for_keras_3(
    script: Script, call: Call, also_without: tuple[str, ...] = (), also: Sequence[Edit] = ()
) -> tuple[str, ...]:
    """Return the lines of a call that reads data, as Keras 3 takes it.

    Args:
        script: Where it stands.
        call: A call of ``fit``, ``evaluate``, ``predict``, or of the same with ``_generator``.
        also_without: Arguments to leave away besides those that Keras 3 does not know.
        also: What else must change in it.

    Returns:
        Nothing where an argument cannot be put in other words.
    """
    node, names = call.node, _BY_POSITION.get(call.method, ())
    written = {keyword.arg for keyword in node.keywords}
    is_known = len(node.args) <= (1 if written.intersection(_OF_KERAS_1) else len(names))
    if written.intersection(_UNTRANSLATED) or (
        names and (not is_known or any(isinstance(each, ast.Starred) for each in node.args))
    ):
        return ()
    unwanted = [keyword for keyword in node.keywords if keyword.arg in (*GONE, *also_without)]
    edits = [
        _replace(keyword, keyword.arg, _RENAMED[keyword.arg]) for keyword in node.keywords if keyword.arg in _RENAMED
    ]
    if names:
        edits += [_replace(each, "", f"{name}=") for name, each in zip(names[1:], node.args[1:])]
    if names and isinstance(node.func, ast.Attribute):
        line, end = node.func.end_lineno or 0, node.func.end_col_offset or 0
        edits.append(Edit(line, end - len(node.func.attr.encode()), line, end, call.method.partition("_")[0]))
    return corrected(script, node, [*taken_out(node, unwanted), *edits, *also])


def _replace(part: ast.expr | ast.keyword, old: str, new: str) -> Edit:
    """Another text at the beginning of an argument."""
    return Edit(part.lineno, part.col_offset, part.lineno, part.col_offset + len(old.encode()), new)
