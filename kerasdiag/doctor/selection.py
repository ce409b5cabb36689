"""Which checks run: by code, or by the beginning of a code."""

from __future__ import annotations

from collections.abc import Sequence

from kerasdiag.doctor.check import Check
from kerasdiag.errors import DoctorUsageError


def select_checks(checks: Sequence[Check], select: Sequence[str] = (), ignore: Sequence[str] = ()) -> list[Check]:
    """Return the checks that are selected and not ignored.

    Args:
        checks: All of them.
        select: Codes or beginnings of codes (``"KD1"``); empty: all. Opt-in checks run by their whole code only.
        ignore: Codes or beginnings of codes, which win over ``select``.

    Raises:
        DoctorUsageError: A code names no check, or nothing is left.
    """
    for code in (*select, *ignore):
        if not any(_matches(check, [code]) for check in checks):
            raise DoctorUsageError(f"There is no check {code}. `kerasdiag doctor --list` shows all of them.")
    kept = [check for check in checks if _is_selected(check, select) and not _matches(check, ignore)]
    if not kept:
        raise DoctorUsageError(
            "No check is left: --ignore takes away all that --select names, or an opt-in check was not named by its whole code."
        )
    return kept


def find_check(checks: Sequence[Check], code: str) -> Check:
    """Return the check of exactly this code or name.

    Raises:
        DoctorUsageError: There is none.
    """
    for check in checks:
        if code.upper() == check.code or code.lower() == check.name:
            return check
    raise DoctorUsageError(f"There is no check {code}. There are: {', '.join(check.code for check in checks)}.")


def _is_selected(check: Check, select: Sequence[str]) -> bool:
    if check.is_opt_in:
        return check.code in {code.upper() for code in select}
    return not select or _matches(check, select)


def _matches(check: Check, codes: Sequence[str]) -> bool:
    return any(check.code.startswith(code.upper()) for code in codes)
