"""A script that has been followed, once for all rules, beside the facts of the machine that it shall run on."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from kerasdiag.compat import version_matches
from kerasdiag.doctor.lint.names import LEGACY_ROOT
from kerasdiag.doctor.lint.record import Record
from kerasdiag.doctor.lint.statements import Statements
from kerasdiag.environment.facts import Environment
from kerasdiag.environment.packages import LEGACY_KERAS_VARIABLE
from kerasdiag.environment.scripts import Script

_records: WeakKeyDictionary[Script, Record] = WeakKeyDictionary()
_lock = threading.Lock()  # the rules run side by side


def record_of(script: Script) -> Record:
    """Return what following the script brought to light."""
    with _lock:
        record = _records.get(script)
        if record is None:
            record = Record()
            Statements(record).follow(script.text.tree)
            _records[script] = record
        return record


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
        says_legacy = any(LEGACY_KERAS_VARIABLE in line for line in self.script.text.lines)
        if says_legacy or (LEGACY_ROOT in roots and "keras" not in roots):
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

    @property
    def autotune(self) -> str:
        """How this script writes tf.data.AUTOTUNE."""
        is_old = version_matches(self.tensorflow or "3", "<2.4") is True
        return "tf.data.experimental.AUTOTUNE" if is_old else "tf.data.AUTOTUNE"
