"""A script that has been followed, once for all rules, beside the facts of the machine that it shall run on."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass
from typing import NamedTuple
from weakref import WeakKeyDictionary

from kerasdiag.compat import version_matches
from kerasdiag.doctor.lint.names import LEGACY_ROOT
from kerasdiag.doctor.lint.record import Record
from kerasdiag.doctor.lint.statements import Statements
from kerasdiag.doctor.lint.values import Literal
from kerasdiag.environment.facts import Environment
from kerasdiag.environment.packages import LEGACY_KERAS_VARIABLE
from kerasdiag.environment.scripts import Script

_TRUE = ("1", "true", "True")  # as TensorFlow reads it
_SET_IN_NOTEBOOK = re.compile(rf"\s*%(?:set_)?env\s+{LEGACY_KERAS_VARIABLE}[= ]\s*(?:{'|'.join(_TRUE)})\s*$")

_records: WeakKeyDictionary[Script, Record] = WeakKeyDictionary()
_lock = threading.Lock()  # the rules run side by side


def record_of(script: Script) -> Record:
    """Return what following the script brought to light."""
    with _lock:
        record = _records.get(script)
        if record is None:
            record = Record()
            try:
                Statements(record).follow(script.text.tree)
            except Exception as error:  # a fault of ours; what it says stands beside the script's name
                record.unfinished = f"{type(error).__name__}: {error}"
            _records[script] = record
        return record


class Autotuned(NamedTuple):
    """A text with tf.data's AUTOTUNE in it, and the import that the script lacks for it."""

    text: str
    imports: tuple[str, ...] = ()


@dataclass(frozen=True)
class KerasOfScript:
    """The Keras that a script would run.

    Attributes:
        name: Such as ``keras 3.15.1``.
        version: Its version; empty where the script asks for Keras 2 by name.
        is_3: Whether it is Keras 3; None where no Keras is installed.
    """

    name: str
    version: str
    is_3: bool | None


@dataclass(frozen=True)
class Subject:
    """What a rule looks at."""

    script: Script
    record: Record
    environment: Environment

    @property
    def keras(self) -> KerasOfScript:
        """The Keras of this script: the installed one, or Keras 2 where the script itself says so."""
        roots = {name.partition(".")[0] for name in self.record.imports}
        # Whoever imports keras gets what is installed: the variable says what tf.keras is.
        if "keras" not in roots and (LEGACY_ROOT in roots or self._asks_for_legacy()):
            return KerasOfScript("tf_keras", "", False)
        installed = self.environment.packages.keras if self.environment.packages else None
        if installed is None:
            return KerasOfScript("Keras", "", None)
        name, version = installed
        return KerasOfScript(f"{name} {version}", version, name == "keras" and version_matches(version, ">=3") is True)

    @property
    def tensorflow(self) -> str | None:
        """Version of the installed TensorFlow, None without one."""
        packages = self.environment.packages
        return packages.tensorflow[1] if packages and packages.tensorflow else None

    def _asks_for_legacy(self) -> bool:
        """Whether the script sets the variable that makes tf.keras Keras 2."""
        values = [self.record.variables.get(LEGACY_KERAS_VARIABLE)]
        values += [
            call.argument("value", 1)
            for call in self.record.calls
            if call.name == "os.environ.setdefault" and call.argument("key", 0) == Literal(LEGACY_KERAS_VARIABLE)
        ]
        is_set = any(isinstance(value, Literal) and value.value in _TRUE for value in values)
        return is_set or any(_SET_IN_NOTEBOOK.match(line) for line in self.script.text.lines)

    def autotuned(self, option: str) -> Autotuned:
        """Return ``option=tf.data.AUTOTUNE`` as this script would write it."""
        is_old = version_matches(self.tensorflow or "3", "<2.4") is True
        constant = "experimental.AUTOTUNE" if is_old else "AUTOTUNE"
        for module, inside in (("tensorflow", "data."), ("tensorflow.data", "")):
            name = next((name for name, dotted in self.record.names.items() if dotted == module), None)
            if name is not None:
                return Autotuned(f"{option}{name}.{inside}{constant}")
        return Autotuned(f"{option}tf.data.{constant}", ("import tensorflow as tf",))
