"""The data file of version facts: nothing in it stands without its source."""

from __future__ import annotations

import datetime as dt
import re

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from kerasdiag.version_facts import KNOWN, entry, row_of, tables

ENTRIES = [(table, one) for table, entries in tables().items() for one in entries]


def faults_of(one):
    """What is wrong with an entry; the rule that the test below applies."""
    if not re.match(r"https://\S+\.\S+", one.get("source", "")):
        yield "no source"
    try:
        if dt.date.fromisoformat(one.get("as_of", "")) < dt.date(2026, 1, 1):
            yield "older than kerasdiag"
    except ValueError:
        yield "no date"
    if one.get("known") not in KNOWN:
        yield "nobody says how it is known"
    if not one.get("id") or not one.get("versions"):
        yield "no id or versions"


@pytest.mark.parametrize(("table", "one"), ENTRIES, ids=[one.get("id", "?") for _, one in ENTRIES])
def test_every_entry_has_its_source_and_date(table, one):
    """And ranges that can be read."""
    assert not list(faults_of(one)), table
    for column in ("versions", "other_versions", "python"):
        if column in one:
            SpecifierSet(one[column])
    for requirement in one.get("requires", ()):
        Requirement(requirement)


def test_the_rule_sees_what_is_missing():
    """An entry without source or date fails."""
    whole = {"id": "x", "versions": ">=1", "known": "read", "source": "https://example.org/x", "as_of": "2026-11-24"}
    assert not list(faults_of(whole))
    for column in ("source", "as_of", "known", "id", "versions"):
        assert list(faults_of({**whole, column: ""})), column


def test_ids_are_unique():
    """A check asks for an entry by its id; a wrong one is an error, not silence."""
    ids = [one["id"] for _, one in ENTRIES]
    assert len(ids) == len(set(ids)) > 50
    assert entry("numpy-2")["other"] == "numpy"
    with pytest.raises(KeyError, match="no-such-fact"):
        entry("no-such-fact")


@pytest.mark.parametrize(
    ("version", "python"),
    [("2.21.0", ">=3.10,<3.14"), ("2.15.0", ">=3.9,<3.12"), ("2.10.1", ">=3.7,<3.11"), ("2.99.0", None), ("x", None)],
)
def test_rows(version, python):
    """A row is found by its range; what lies in none is not known."""
    row = row_of("tensorflow_python", version)
    assert (row and row["python"]) == python


def test_reports_are_no_facts():
    """What somebody reported is known as such, and only checks of notes read it."""
    assert {one["known"] for one in tables()["reported"]} == {"reported"}
    assert not [one["id"] for table, one in ENTRIES if one["known"] == "reported" and table.startswith("tensorflow")]
