"""Packages made to order, and what a check says of them: shared by the tests of the package checks."""

from __future__ import annotations

from builders import make_environment, make_packages

from kerasdiag.doctor.checks import CHECKS
from kerasdiag.doctor.selection import find_check
from kerasdiag.environment.interpreter import Interpreter
from kerasdiag.environment.packages import declared_packages
from kerasdiag.findings import Status

OK, INFO, WARN, ERROR, SKIPPED, NOT_TOLD, CRASHED = Status
HERE = Interpreter("3.11.7", "linux", "x86_64")


def look(code, packages, **facts):
    answer = find_check(CHECKS, code).examine(make_environment(packages=packages, **facts))
    assert answer.statement or answer.findings, "every answer says something"
    for finding in answer.findings:
        assert finding.code == code
        assert finding.message.endswith(".")
        assert finding.evidence
        assert finding.price.basis
        assert finding.remedy.text.endswith((".", ":"))
    return answer


def only(answer):
    (finding,) = answer.findings
    return finding


def installed(*, requires=None, conda=(), environ=None, jpeg=None, interpreter=HERE, runs=(), legacy=False, **versions):
    facts = {
        "requires": requires or {}, "conda": frozenset(conda), "environ": environ or {}, "jpeg_library": jpeg,
        "interpreter": interpreter,
    }  # fmt: skip
    return make_packages(wants_legacy_keras=legacy, preprocessing_runs_in=runs, facts=facts, **versions)


def declared(unpinned=None, python=None, system=None, environ=None, **versions):
    named = {name.replace("_", "-"): version for name, version in versions.items()}
    return declared_packages(named, unpinned or {}, Interpreter(python, system), "requirements.txt", environ or {})
