"""KD700: scripts that could not be read."""

from __future__ import annotations

from kerasdiag.doctor.check import Answer, check, found, ok
from kerasdiag.doctor.lint.analysis import record_of
from kerasdiag.environment.facts import Environment
from kerasdiag.environment.scripts import Script
from kerasdiag.findings import Evidence, Finding, Location, Provenance, Remedy, Severity


@check("KD700", "unreadable-script", needs=("scripts",))
def unreadable_script(environment: Environment) -> Answer:
    """A script, or a cell of a notebook, does not parse, and no rule looked at it.

    What it finds:
        Files and cells that this Python cannot parse: Python 2, an unfinished line, something that is no notebook. Also
        scripts that are nested too deeply, or too long, to be followed to their end. Of a folder only files that name
        Keras or TensorFlow are parsed; one that is named itself always is.
        Lines for IPython (`%time`, `!pip`) are understood, and cells below `%%bash` and the like left out.

    Why it matters:
        What was not read was not examined: the other rules are silent about it, and that is no good news.

    Example:
        train.py does not parse as Python 3.12, which runs this doctor: invalid syntax.

    Fix:
        Mend the line; `python -m py_compile train.py` shows it. `2to3` rewrites Python 2. A script for a newer Python is
        read where that Python runs the doctor.

    When to ignore:
        The cell is unfinished on purpose, as in an exercise. The other cells of a notebook are read all the same.
    """
    assert environment.scripts is not None, "the check is skipped without scripts"
    findings = [
        Finding(
            code="KD700",
            severity=Severity.WARN if problem.cell is None else Severity.INFO,
            message=f"{_what(script.path, problem.cell)} {problem.message.rstrip('.?')}.",
            evidence=(Evidence(f"{script.path}, line {problem.line}", Provenance.DECLARED),),
            remedy=Remedy("Mend it, or run the doctor with the Python that it is written for; no rule has seen it."),
            numbers={"line": problem.line},
            location=Location(script.path, problem.line, problem.column, problem.cell),
        )
        for script in environment.scripts.scripts
        for problem in script.problems
    ]
    findings += [
        Finding(
            code="KD700",
            severity=Severity.INFO,
            message=f"{script.path} was not followed to its end: {why}.",
            evidence=(Evidence(script.path, Provenance.DECLARED),),
            remedy=Remedy("Look at what comes late in it yourself; no rule has seen all of it."),
            location=Location(script.path, 1, 1),
        )
        for script in environment.scripts.scripts
        for why in [record_of(script).unfinished]
        if why is not None
    ]
    return found(*findings) if findings else ok(_read_in_words(environment.scripts.scripts))


def _read_in_words(scripts: tuple[Script, ...]) -> str:
    parsed = sum(script.is_parsed for script in scripts)
    others = len(scripts) - parsed
    left_out = f"; {others} more name{'s' if others == 1 else ''} neither Keras nor TensorFlow" if others else ""
    return f"{parsed} read{left_out}"


def _what(path: str, cell: int | None) -> str:
    return path if cell is None else f"Cell {cell} of {path}"
