"""GPUs that were held back or shared: found, told with their number, and no part of the verdict."""

from __future__ import annotations

import json

import pytest
from builders import make_gpu, make_input, make_profile

from kerasdiag.diagnosis import diagnose
from kerasdiag.environment.clock_reasons import POWER_LIMIT
from kerasdiag.findings import Severity
from kerasdiag.profile import RunProfile
from kerasdiag.report import terminal

HOT = "its temperature (hardware)"
COUNT = 50  # samples of make_gpu


def found(code, *gpus):
    """The finding of this code in a run with these GPUs, or None."""
    profile = make_profile(0.0, 0.1, 100, gpus=gpus)
    assert RunProfile.from_json(profile.to_json()) == profile
    return next((one for one in diagnose(profile).findings if one.code == code), None)


def shared(percent=97.0, others=2.0, share=1.0, **facts):
    """A GPU on which others compute in a share of the samples; they were counted in every fifth only."""
    counted = [others if row < share * COUNT else 0.0 for row in range(COUNT)]
    column = tuple(value if row % 5 == 0 else None for row, value in enumerate(counted))
    return make_gpu(percent, other_processes=column, **facts)


@pytest.mark.parametrize(
    ("reasons", "severity"),
    [
        ({}, None),
        ({HOT: 0.05}, None),
        ({HOT: 0.4}, Severity.WARN),
        ({POWER_LIMIT: 0.98}, Severity.INFO),
        ({POWER_LIMIT: 0.98, HOT: 0.05}, Severity.INFO),
        ({POWER_LIMIT: 0.98, HOT: 0.2}, Severity.WARN),
    ],
)
def test_a_throttled_gpu(reasons, severity):
    """From a tenth of the samples on; the power limit alone is only told."""
    finding = found("gpu-throttled", make_gpu(97.0, slow_reasons=reasons))
    assert (finding and finding.severity) == severity
    if finding:
        assert "nvidia-smi" in finding.remedy.code[0]


def test_a_throttled_gpu_tells_its_clocks():
    """The hottest of several, with its share and its clock."""
    slow = make_gpu(97.0, sm_clock_mhz=(900.0,) * COUNT, max_sm_clock_mhz=1590.0, slow_reasons={HOT: 0.4})
    capped = make_gpu(97.0, index=1, slow_reasons={POWER_LIMIT: 0.9})
    finding = found("gpu-throttled", capped, slow)
    assert finding.message == (
        "GPU 0 (NVIDIA T4) was slowed down by its temperature (hardware) (40% of the samples). "
        "It ran at 900 of 1590 MHz on average. So was 1 more."
    )
    assert finding.numbers == {"slowed_fraction": 0.4, "sm_clock_mhz": 900.0}


@pytest.mark.parametrize(("share", "is_found"), [(1.0, True), (0.5, True), (0.02, True), (0.0, False)])
def test_a_shared_gpu(share, is_found):
    """Others on the GPU in a tenth of the samples that counted them."""
    finding = found("gpu-shared", shared(share=share))
    assert (finding is not None) is is_found
    if finding:
        assert finding.severity is Severity.WARN
        assert "2 other processes computed on GPU 0 (NVIDIA T4)" in finding.message
        assert finding.numbers["other_processes"] == 2


def test_another_job_s_gpu_is_not_ours():
    """Of two visible GPUs the one that this process computes on counts, in utilization and findings, however busy the other."""
    ours = make_gpu(30.0, is_used=True, other_processes=(0.0,) * COUNT)
    theirs = shared(100.0, index=1, is_used=False, slow_reasons={HOT: 0.9}, name="Tesla V100")
    diagnosis = diagnose(make_profile(0.06, 0.04, 100, gpus=(ours, theirs)))
    assert diagnosis.gpu_utilization_percent == pytest.approx(30)
    assert not {"gpu-shared", "gpu-throttled"} & {one.code for one in diagnosis.findings}
    assert "Tesla" not in terminal.render(diagnosis)


def test_only_others_on_the_gpu_is_no_utilization():
    """A training on the CPU does not take another's work for its own."""
    diagnosis = diagnose(make_profile(0.06, 0.04, 100, gpus=(shared(is_used=False),)))
    assert diagnosis.gpu_utilization_percent is None
    assert "this training did not" in diagnosis.gpu_not_measured
    assert "gpu-shared" not in {one.code for one in diagnosis.findings}


@pytest.mark.parametrize(
    ("wait", "percent", "alone", "beside_others"),
    [
        (0.0, 97.0, "agrees", "says nothing"),  # it may be their work
        (0.0, 10.0, "disagrees", "disagrees"),  # idle in spite of them
        (0.06, 97.0, "disagrees", "says nothing"),
        (0.06, 10.0, "agrees", "agrees"),
    ],
)
def test_a_shared_gpu_proves_nothing_by_being_busy(wait, percent, alone, beside_others):
    """Utilization of a GPU that others use too is no evidence, unless it is low; and never a part of the verdict."""
    own, theirs = (
        diagnose(make_profile(wait, 0.1 - wait, 100, gpus=(gpu,), training_input=make_input("tf-data")))
        for gpu in (make_gpu(percent), shared(percent))
    )
    assert own.verdict is theirs.verdict
    assert f" {alone}" in " ".join(own.confidence.reasons)
    assert f" {beside_others}" in " ".join(theirs.confidence.reasons)


def test_the_panel_shows_clock_and_bus():
    """Beside utilization, memory and power, where they were measured; and how much of the chip works."""
    columns = {
        "sm_busy_percent": (None, 12.0) * (COUNT // 2),
        "sm_clock_mhz": (900.0,) * COUNT,
        "pcie_to_gpu_bytes_per_s": (5e8, None) * (COUNT // 2),
    }
    gpu = make_gpu(50.0, max_sm_clock_mhz=1590.0, **columns)
    shown = " ".join(terminal.render(diagnose(make_profile(gpus=(gpu,))), width=200).split())
    assert "50 % utilization, 12 % of the multiprocessors busy" in shown
    assert "900 of 1590 MHz, 500 MB/s over PCIe" in shown


def test_a_profile_from_before_is_read():
    """A file without the newer columns is one in which they were not measured."""
    document = json.loads(make_profile(gpus=(make_gpu(),)).to_json())
    (gpu,) = document["profile"]["gpus"]
    for name in (
        *("sm_clock_mhz", "pcie_to_gpu_bytes_per_s", "pcie_to_host_bytes_per_s", "other_processes"),
        *("sm_busy_percent", "tensor_busy_percent", "memory_bandwidth_percent"),
        *("max_sm_clock_mhz", "slow_reasons", "driver_samples", "is_used"),
    ):
        del gpu[name]
    read = RunProfile.from_json(json.dumps(document))
    assert read.gpus[0].is_used is None
    assert diagnose(read).gpu_utilization_percent == pytest.approx(10)
