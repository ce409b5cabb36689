"""GPUs that are held back: each check firing and silent, and one planted machine for each example."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from builders import make_environment, make_gpus
from doctor.fake_nvml import Nvml
from doctor.test_planted import doctor, first, is_example, nvme  # noqa: F401 - a fixture

from kerasdiag.doctor.checks import CHECKS
from kerasdiag.doctor.selection import find_check
from kerasdiag.environment.limits import LimitFacts
from kerasdiag.environment.system import SystemFacts
from kerasdiag.environment.tensorflow_probe import ProbeFacts
from kerasdiag.findings import Status

OK, INFO, WARN, ERROR, SKIPPED, NOT_TOLD, CRASHED = Status

PLANTED = {
    "KD205": {"nvmlDeviceGetCurrentClocksEventReasons": 0x40},
    "KD206": {"nvmlDeviceGetCurrPcieLinkWidth": 4},
    "KD207": {
        "nvmlDeviceGetComputeRunningProcesses": [SimpleNamespace(pid=4711)],
        "nvmlDeviceGetMemoryInfo": SimpleNamespace(total=16 * 10**9, used=9 * 10**9),
    },
    "KD208": {"nvmlDeviceGetEnforcedPowerLimit": 50_000},
    "KD209": {"nvmlDeviceGetMigMode": [1, 1]},
    "KD211": {"nvmlDeviceGetRemappedRows": (0, 0, 1, 0)},
}


@pytest.mark.parametrize("code", PLANTED)
def test_planted(tmp_path, doctor, code):  # noqa: F811
    """The first finding is the planted cause."""
    machine = nvme(tmp_path).build()
    machine.nvml = Nvml(PLANTED[code])
    machine.probed = ProbeFacts(version="2.21.0", gpus=("GPU:0",))
    finding = first(doctor(machine, "--ignore", "KD702")[0])
    assert finding["code"] == code
    assert is_example(finding)


CASES = [
    ("KD205", {}, OK),
    ("KD205", {"slow_reasons": ("its temperature (driver)",)}, WARN),
    ("KD205", {"slow_reasons": ("its temperature (driver)",), "utilization_percent": 9.0}, OK),
    ("KD205", {"slow_reasons": ("its temperature (driver)",), "utilization_percent": None}, OK),
    ("KD205", {"slow_reasons": ("its power limit",)}, INFO),
    ("KD205", {"slow_reasons": ("its power limit", "a hardware slowdown")}, WARN),
    ("KD205", {"slow_reasons": None}, NOT_TOLD),
    ("KD206", {}, OK),
    ("KD206", {"pcie_width": 8, "utilization_percent": 0.0}, WARN),
    ("KD206", {"pcie_generation": 1, "utilization_percent": 0.0}, OK),
    ("KD206", {"pcie_generation": 1, "utilization_percent": 10.0}, WARN),
    ("KD206", {"pcie_width": None, "pcie_generation": None}, NOT_TOLD),
    ("KD207", {}, OK),
    ("KD207", {"processes": (1, 2)}, WARN),
    ("KD207", {"processes": (1,), "utilization_percent": 9.0}, INFO),
    ("KD207", {"processes": (1,), "utilization_percent": 9.0, "memory_used_bytes": 1_600_000_000}, WARN),
    ("KD207", {"memory_used_bytes": 1_600_000_000}, INFO),
    ("KD207", {"memory_used_bytes": 1_599_999_999}, OK),
    ("KD207", {"memory_used_bytes": None, "processes": None}, NOT_TOLD),
    ("KD208", {"power_limit_w": 69.0}, OK),
    ("KD208", {"power_limit_w": 68.0}, WARN),
    ("KD208", {"power_limit_w": None}, NOT_TOLD),
    ("KD209", {"utilization_percent": None}, OK),
    ("KD209", {"is_mig": True}, INFO),
    ("KD211", {"is_repair_pending": False, "has_repair_failed": False}, OK),
    ("KD211", {"is_repair_pending": True}, WARN),
    ("KD211", {"is_repair_pending": True, "has_repair_failed": True}, ERROR),
    ("KD211", {"is_repair_pending": None, "has_repair_failed": None}, NOT_TOLD),
]


@pytest.mark.parametrize(("code", "facts", "status"), CASES)
def test_both_sides(code, facts, status):
    """An idle GPU is no fault, and what the driver does not tell is unknown."""
    answer = find_check(CHECKS, code).examine(make_environment(gpus=make_gpus(**facts)))
    assert answer.status is status
    assert answer.statement or answer.findings


def test_surroundings():
    """WSL hides the utilisation; a laptop on its battery is slowed down."""
    wsl = make_environment(gpus=make_gpus(utilization_percent=None), system=SystemFacts(is_wsl=True))
    assert find_check(CHECKS, "KD209").examine(wsl).status is INFO
    battery = make_environment(gpus=make_gpus(), limits=LimitFacts(on_battery=True))
    assert find_check(CHECKS, "KD208").examine(battery).status is WARN
    assert find_check(CHECKS, "KD208").examine(make_environment(limits=LimitFacts(on_battery=True))).status is SKIPPED


def test_a_container_does_not_see_who_holds_the_memory():
    """Outside of it, a display may; inside, it is somebody's training."""
    held = make_environment(gpus=make_gpus(memory_used_bytes=1_600_000_000), system=SystemFacts(is_container=True))
    assert find_check(CHECKS, "KD207").examine(held).status is WARN


@pytest.mark.parametrize("code", PLANTED)
def test_no_gpu(code):
    """Then there is nothing to look at."""
    assert find_check(CHECKS, code).examine(make_environment()).status is SKIPPED
