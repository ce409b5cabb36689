"""KD711: switches for debugging that are still on."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from kerasdiag.doctor.check import Answer, check
from kerasdiag.doctor.lint.analysis import Subject
from kerasdiag.doctor.lint.answer import Hit, examine_scripts
from kerasdiag.doctor.lint.models import may_be_model
from kerasdiag.doctor.lint.places import without_arguments
from kerasdiag.doctor.lint.values import UNKNOWN, Literal, is_true
from kerasdiag.environment.facts import Environment
from kerasdiag.findings import Severity

# Last part of the name -> what it does to a training. The first of the arguments switches it, where there is one.
_SWITCHES = {
    "run_functions_eagerly": "runs every tf.function in Python, step by step",
    "experimental_run_functions_eagerly": "runs every tf.function in Python, step by step",
    "enable_debug_mode": "runs tf.data in Python, one element at a time and without parallel calls",
    "enable_check_numerics": "looks at every result of every operation for NaN",
    "enable_dump_debug_info": "writes what every operation did to disk",
}
_DETERMINISM = "enable_op_determinism"


@check("KD711", "debugging-left-on", needs=("scripts",), uses=("profile",))
def debugging_left_on(environment: Environment) -> Answer:
    """A switch for debugging is on: eager execution, tf.data's debug mode, checks of every operation.

    What it finds:
        `compile(run_eagerly=True)`, `tf.config.run_functions_eagerly(True)`, `tf.data.experimental.enable_debug_mode()`,
        `tf.debugging.enable_check_numerics()`, and, as a note, `tf.config.experimental.enable_op_determinism()`.

    Why it matters:
        Eager steps run operation by operation from Python instead of as one graph; small models become several times as
        slow. The others cost with every operation too.

    Example:
        run_eagerly=True runs every step in Python, operation by operation, instead of as a graph.

    Fix:
        Take the switch away once the fault is found.

    When to ignore:
        The model needs it: its `train_step` or a layer runs code that cannot be traced; runs must be repeatable.
    """
    return examine_scripts(environment, "KD711", _rule, ("https://www.tensorflow.org/guide/function",))


def _rule(subject: Subject) -> Iterator[Hit]:
    for call in subject.record.calls:
        keyword = call.keyword_node("run_eagerly") if is_true(call.argument("run_eagerly")) else None
        if call.method == "compile" and keyword is not None and may_be_model(call.receiver or UNKNOWN):
            code = without_arguments(subject.script, call.node, ("run_eagerly",))
            yield _hit(
                keyword,
                "run_eagerly=True runs every step in Python, operation by operation, instead of as a graph.",
                code,
            )
        if not call.name.startswith("tensorflow."):
            continue
        is_off = bool(call.positional) and call.positional[0] == Literal(False)
        if call.method in _SWITCHES and not is_off:
            yield _hit(call.node, f"{call.method} {_SWITCHES[call.method]}.", ())
        elif call.method == _DETERMINISM:
            message = f"{_DETERMINISM} takes slower operations, and some of them run on the CPU."
            yield _hit(call.node, message, (), Severity.INFO)
    for _, name, value, place in subject.record.attributes:
        if name == "run_eagerly" and is_true(value):
            yield _hit(
                place, "run_eagerly=True runs every step in Python, operation by operation, instead of as a graph.", ()
            )


def _hit(node: ast.AST, message: str, code: tuple[str, ...], severity: Severity = Severity.WARN) -> Hit:
    remedy = "Take it away once the fault is found:" if code else "Take this line away once the fault is found."
    return Hit(node=node, severity=severity, message=message, remedy=remedy, code=code, safe=True)
