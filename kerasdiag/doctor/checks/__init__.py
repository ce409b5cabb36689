"""The checks, one file for each subject. A new one gets a line here; nothing is found by magic."""

from __future__ import annotations

from kerasdiag.doctor.check import Check
from kerasdiag.doctor.checks.cores import cores_out_of_reach
from kerasdiag.doctor.checks.disk import data_on_hard_disk, disk_contradicts_itself
from kerasdiag.doctor.checks.keras_preprocessing import quadratic_file_list
from kerasdiag.doctor.checks.network import data_on_network
from kerasdiag.doctor.checks.usb import data_behind_slow_usb
from kerasdiag.doctor.checks.workers import unfit_workers
from kerasdiag.doctor.lint.rules import RULES

_CHECKS: tuple[Check, ...] = (
    quadratic_file_list,
    data_on_hard_disk,
    disk_contradicts_itself,
    data_on_network,
    data_behind_slow_usb,
    cores_out_of_reach,
    unfit_workers,
)
CHECKS = tuple(sorted((*_CHECKS, *RULES), key=lambda check: check.code))
