"""KD711: switches for debugging that are still on."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from kerasdiag.doctor.check import Answer, check
from kerasdiag.doctor.lint.analysis import Subject
from kerasdiag.doctor.lint.answer import Hit, examine_scripts
from kerasdiag.doctor.lint.corrections import without_arguments
from kerasdiag.doctor.lint.gaps import COMPILE_ARGUMENTS
from kerasdiag.doctor.lint.models import may_be_model
from kerasdiag.doctor.lint.values import UNKNOWN, Call, Literal, Value, is_true
from kerasdiag.environment.facts import Environment
from kerasdiag.findings import Severity

# Last part of the name -> what it does to a training.
_SWITCHES = {
    "run_functions_eagerly": "runs every tf.function in Python, step by step",
    "experimental_run_functions_eagerly": "runs every tf.function in Python, step by step",
    "enable_debug_mode": "runs tf.data in Python, one element at a time and without parallel calls",
    "enable_check_numerics": "looks at every result of every operation for NaN",
    "enable_dump_debug_info": "writes what every operation did to disk",
}
_BY_ARGUMENT = ("run_functions_eagerly", "experimental_run_functions_eagerly")  # which says on or off
_OFF = {"enable_check_numerics": "disable_check_numerics", "enable_dump_debug_info": "disable_dump_debug_info"}
_EAGERLY = "run_eagerly=True runs every step in Python, operation by operation, instead of as a graph."
_DETERMINISM = "enable_op_determinism"


@check("KD711", "debugging-left-on", needs=("scripts",), uses=("packages", "profile"))
def debugging_left_on(environment: Environment) -> Answer:
    """A switch for debugging is on: eager execution, tf.data's debug mode, checks of every operation.

    What it finds:
        `compile(run_eagerly=True)`, `tf.config.run_functions_eagerly(True)`, `tf.data.experimental.enable_debug_mode()`,
        `tf.debugging.enable_check_numerics()`, and, as a note, `tf.config.experimental.enable_op_determinism()`. Unknown
        where an option of the script or another module decides; silent where it is switched off again.

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
    return examine_scripts(
        environment, "KD711", _rule, ("https://www.tensorflow.org/guide/function",), COMPILE_ARGUMENTS
    )


def _rule(subject: Subject) -> Iterator[Hit]:
    calls = [call for call in subject.record.calls if not call.is_switched]
    for number, call in enumerate(calls):
        keyword = call.keyword_node("run_eagerly") if is_true(call.argument("run_eagerly")) else None
        if call.method == "compile" and keyword is not None and may_be_model(call.receiver or UNKNOWN):
            yield _hit(keyword, _EAGERLY, without_arguments(subject, call.node, ("run_eagerly",)))
        if not call.name.startswith("tensorflow."):
            continue
        if _is_on(call) and not any(_switches_off(later, call) for later in calls[number:]):
            yield _hit(call.node, f"{call.method} {_SWITCHES[call.method]}.", ())
        elif call.method == _DETERMINISM:
            message = f"{_DETERMINISM} takes slower operations, and some of them run on the CPU."
            yield _hit(call.node, message, (), Severity.INFO)
    settings = [each for each in subject.record.settings if each.name == "run_eagerly"]
    for number, each in enumerate(settings):
        is_last = not any(later.owner is each.owner for later in settings[number + 1 :])
        if is_true(each.value) and is_last and not each.is_switched:
            yield _hit(each.place, _EAGERLY, ())


def _is_on(call: Call) -> bool:
    return call.method in _SWITCHES and (call.method not in _BY_ARGUMENT or is_true(_argument(call)))


def _switches_off(call: Call, switch: Call) -> bool:
    """Whether a call takes back what another one has switched on."""
    if switch.method in _BY_ARGUMENT:
        return call.method in _BY_ARGUMENT and _argument(call) == Literal(False)
    return call.name.startswith("tensorflow.") and call.method == _OFF.get(switch.method)


def _argument(call: Call) -> Value | None:
    return call.argument("run_eagerly", 0)


def _hit(node: ast.AST, message: str, code: tuple[str, ...], severity: Severity = Severity.WARN) -> Hit:
    remedy = "Take it away once the fault is found:" if code else "Take this line away once the fault is found."
    return Hit(node=node, severity=severity, message=message, remedy=remedy, code=code, safe=True, costs_wait=False)
