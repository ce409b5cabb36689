"""The registry: every check is documented, and reads well."""

from __future__ import annotations

import re

import pytest

from kerasdiag.doctor.check import HEADINGS, check, ok
from kerasdiag.doctor.checks import CHECKS
from kerasdiag.doctor.documentation import markdown_table, page, rows
from kerasdiag.doctor.selection import find_check, select_checks
from kerasdiag.environment.facts import Environment
from kerasdiag.errors import DoctorUsageError


def test_codes_and_names_are_unique():
    """A code is for ever one thing."""
    assert len({check.code for check in CHECKS}) == len({check.name for check in CHECKS}) == len(CHECKS)
    assert [check.code for check in CHECKS] == sorted(check.code for check in CHECKS)


@pytest.mark.parametrize("one", CHECKS, ids=lambda one: one.code)
def test_every_check_is_documented(one):
    """All headings, each with sentences; the name is that of the fault and makes sense after "allow"."""
    assert re.fullmatch(r"KD\d{3}", one.code)
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+", one.name)
    assert not re.match(r"(no|avoid|disallow|use|prefer|check)-", one.name), "the fault, never the remedy"
    assert one.summary.endswith(".")
    assert len(one.summary) <= 100
    for heading in HEADINGS:
        text = one.section(heading)
        assert len(text) > 30, heading
        assert text.endswith("."), heading
    fields = set(Environment.__dataclass_fields__)
    assert {*one.needs, *one.uses} <= fields


@pytest.mark.parametrize("one", CHECKS, ids=lambda one: one.code)
def test_the_page_of_a_check(one):
    """Everything that was written, in the order of the headings."""
    text = page(one)
    assert text.startswith(f"{one.code} {one.name}\n\n{one.summary}\n")
    places = [text.index(f"\n{heading}\n  ") for heading in HEADINGS]
    assert places == sorted(places)
    assert max(map(len, text.splitlines())) <= 120


def test_a_check_without_documentation_has_an_empty_page():
    """python -OO drops docstrings; nothing breaks."""
    bare = check("KD999", "bare-check")(lambda environment: ok("fine"))
    assert (bare.summary, bare.section("Fix")) == ("", "")
    assert page(bare) == "KD999 bare-check\n\n\n\nIt needs nothing that you have to give."


def test_the_table_of_the_readme():
    """One row for each check, generated from the checks."""
    lines = markdown_table(CHECKS).splitlines()
    assert len(lines) == len(CHECKS) + 2
    assert {line.count("|") for line in lines} == {4}
    assert (
        "| `KD301` | The images lie on a disk that needs milliseconds to find each of them | --data, (--profile) |"
        in lines
    )


def test_the_page_names_what_helps():
    """One option makes the answer more precise, two make it so."""
    assert "--profile makes its answer more precise." in page(find_check(CHECKS, "KD313"))
    assert "--data and --profile make its answer more precise." in page(find_check(CHECKS, "KD101"))


def test_the_list():
    """Headings, then one row for each check with what it needs."""
    listed = rows(CHECKS)
    assert listed[0] == ("CODE", "NAME", "NEEDS", "WHAT IT FINDS")
    assert (
        "KD401",
        "cores-out-of-reach",
        "nothing",
        "This process may use fewer cores than the machine shows.",
    ) in listed


SOME = [find_check(CHECKS, code) for code in ("KD101", "KD301", "KD302", "KD304", "KD308", "KD401", "KD702")]


@pytest.mark.parametrize(
    ("select", "ignore", "codes"),
    [
        ([], [], "KD101 KD301 KD302 KD304 KD308 KD401 KD702"),
        (["KD1"], [], "KD101"),
        (["KD30"], ["KD302", "KD304"], "KD301 KD308"),
        (["kd401", "KD101"], [], "KD101 KD401"),
        ([], ["KD3"], "KD101 KD401 KD702"),
        (["KD"], ["KD7"], "KD101 KD301 KD302 KD304 KD308 KD401"),
    ],
)
def test_selection(select, ignore, codes):
    """By code or the beginning of one; --ignore wins."""
    assert " ".join(check.code for check in select_checks(SOME, select, ignore)) == codes


@pytest.mark.parametrize(("select", "ignore"), [(["KD9"], []), ([], ["X"]), (["KD101"], ["KD1"])])
def test_wrong_selection(select, ignore):
    """A code that names nothing is a typing error, and so is a selection of nothing."""
    with pytest.raises(DoctorUsageError, match=r"There is no check|No check is left"):
        select_checks(CHECKS, select, ignore)


@pytest.mark.parametrize(
    ("select", "ignore", "codes"),
    [([], [], "KD101"), (["KD9"], [], ""), (["kd902", "KD1"], [], "KD101 KD902"), (["KD902"], ["KD902"], "")],
)
def test_opt_in_checks_run_by_their_whole_code_only(select, ignore, codes):
    """Neither "all" nor the beginning of a code means them."""
    checks = [
        find_check(CHECKS, "KD101"),
        check("KD902", "noisy-check", is_opt_in=True)(lambda environment: ok("fine")),
    ]
    if codes:
        assert " ".join(one.code for one in select_checks(checks, select, ignore)) == codes
    else:
        with pytest.raises(DoctorUsageError, match="No check is left"):
            select_checks(checks, select, ignore)


@pytest.mark.parametrize("name", ["KD302", "kd302", "disk-contradicts-itself"])
def test_find_check(name):
    """By code or by name."""
    assert find_check(CHECKS, name).code == "KD302"
