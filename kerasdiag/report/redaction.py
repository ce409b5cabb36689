"""Makes a report fit for others: what names the user, the machine, servers or files of the data is left out."""

from __future__ import annotations

import dataclasses
import getpass
import os
import platform
import re
from collections.abc import Mapping
from contextlib import suppress

from kerasdiag.findings import DoctorReport, Evidence, Finding
from kerasdiag.texts import with_texts

LEFT_OUT = "left out, for it may name what is yours"
_SHORTEST_NAME = 3  # a host or user of two letters would be found in half of all words
_NO_SECRETS = frozenset({"localhost", "root", "user", "home"})
# Below these, the rest of a path tells as much as its beginning.
_KEEPS_REST = ("~", "<environment>")
_REST_OF_PATH = r"""(?:[/\\][^\s,;"')]*)?"""


def own_names() -> dict[str, str]:
    """Return what identifies this user and machine, and what may stand there instead."""
    names = {os.path.expanduser("~"): "~", platform.node(): "<host>"}
    with suppress(Exception):  # no such user, no such variable
        names.setdefault(getpass.getuser(), "<user>")
    return {
        name: instead
        for name, instead in names.items()
        if len(name.strip("./\\")) >= _SHORTEST_NAME and name not in _NO_SECRETS
    }


def redact(report: DoctorReport, names: Mapping[str, str]) -> DoctorReport:
    """Return a report for others: with its public facts, without private evidence, names replaced.

    Args:
        report: The report; it knows the user's paths.
        names: Further names, and what may stand there instead. The longest that fits is replaced.
    """
    results = tuple(
        dataclasses.replace(result, findings=tuple(map(_without_private_evidence, result.findings)))
        for result in report.results
    )
    public = dataclasses.replace(report, facts=report.public_facts, results=results, private={})
    known = {**report.private, **names}
    return with_texts(public, lambda text: replace_names(text, known))


def replace_names(text: str, names: Mapping[str, str]) -> str:
    """Return a text with these names replaced where they stand as whole words; with them goes the rest of a path."""
    for name in sorted(names, key=len, reverse=True):
        instead = names[name]
        rest = "" if instead in _KEEPS_REST or not re.search(r"[/\\]", name) else _REST_OF_PATH
        begins = r"(?<!\w)" if name[:1].isalnum() else ""
        text = re.sub(rf"{begins}{re.escape(name)}{rest}(?!\w)", lambda _, instead=instead: instead, text)  # type: ignore[misc]
    return text


def _without_private_evidence(finding: Finding) -> Finding:
    kept = [Evidence(LEFT_OUT, fact.provenance) if fact.is_private else fact for fact in finding.evidence]
    return dataclasses.replace(finding, evidence=tuple(dict.fromkeys(kept)))
