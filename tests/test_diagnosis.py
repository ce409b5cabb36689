"""The truth table from numbers to a verdict, the estimator and its interval."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest
from builders import make_gpu, make_profile, make_steps

from kerasdiag.diagnosis import Verdict, data_wait_interval, diagnose
from kerasdiag.profile import RunProfile
from kerasdiag.step_times import StepTimes

TRUTH_TABLE = """
    wait   steps   ->  verdict
    0.0    95          compute-bound
    0.049  95          compute-bound
    0.051  95          partly-input-bound
    0.199  95          partly-input-bound
    0.201  95          input-bound
    0.99   95          input-bound
    0.6    20          input-bound
    0.6    19          not-enough-data
    0.0    20          compute-bound
    0.0    19          not-enough-data
    0.6    0           not-enough-data
"""


def profile_with(fraction, steps=95, noise=0.0, seed=0):
    return make_profile(fraction * 0.1, (1 - fraction) * 0.1, steps + 5, noise, seed)


@pytest.mark.parametrize("row", [line.split() for line in TRUTH_TABLE.strip().splitlines()[1:]], ids=" ".join)
def test_truth_table(row):
    """Both sides of each threshold give the verdict of the table."""
    fraction, steps, verdict = float(row[0]), int(row[1]), row[2]
    assert diagnose(profile_with(fraction, steps)).verdict == verdict


@pytest.mark.parametrize("noise", [0.0, 0.1, 0.3])
@pytest.mark.parametrize(
    ("fraction", "verdict"), [(0.01, "compute-bound"), (0.12, "partly-input-bound"), (0.5, "input-bound")]
)
def test_verdict_survives_noise(fraction, verdict, noise):
    """Away from the thresholds 30 % of noise on every step changes no verdict."""
    for seed in range(5):
        diagnosis = diagnose(profile_with(fraction, noise=noise, seed=seed))
        assert diagnosis.verdict == verdict
        assert diagnosis.data_wait_fraction == pytest.approx(fraction, abs=0.05)


def test_bursty_loader_is_not_missed():
    """Every fourth batch waits long: the ratio of sums sees it, a ratio of medians would say zero."""
    diagnosis = diagnose(make_profile(wait_s=[0, 0, 0, 0.08], step_s=0.05, count=205))
    assert diagnosis.data_wait_fraction == pytest.approx(0.02 / 0.07, abs=0.005)
    assert diagnosis.verdict is Verdict.INPUT_BOUND
    low, high = diagnosis.data_wait_interval
    assert low <= diagnosis.data_wait_fraction <= high
    assert high - low < 0.05


def test_warm_up_is_not_judged():
    """Five slow first steps do not make a training input-bound."""
    steps = make_steps(wait_s=[3.0] * 5 + [0.0] * 95, step_s=0.05, count=100)
    diagnosis = diagnose(dataclasses.replace(make_profile(), steps=steps))
    assert diagnosis.data_wait_fraction == 0
    assert diagnosis.verdict is Verdict.COMPUTE_BOUND


def test_speedup_is_what_the_fraction_promises():
    """60 % of waiting gone makes a training 2.5 times as fast."""
    diagnosis = diagnose(profile_with(0.6))
    assert diagnosis.speedup_if_fixed == pytest.approx(2.5)
    assert diagnosis.mean_wait_s == pytest.approx(0.06)
    assert diagnosis.mean_step_s == pytest.approx(0.1)


@pytest.mark.parametrize("fraction", [0.01, 0.12, 0.6, 0.997])
def test_statement_says_the_number_that_the_json_holds(fraction):
    """Verdict, number, therefore: the number is data_wait_fraction."""
    diagnosis = diagnose(profile_with(fraction))
    number = float(re.search(r"([\d.]+) % of the training time", diagnosis.statement).group(1))
    assert number == round(diagnosis.to_dict()["data_wait_fraction"] * 100, 1)
    assert "therefore" in diagnosis.statement
    assert diagnosis.statement.lower().replace(" ", "-").startswith(str(diagnosis.verdict))


def test_unmeasured_wait_is_unknown_with_its_reason():
    """Not measured is never zero, and says why."""
    profile = make_profile(count=0, not_measured={"data_wait": "steps_per_execution is 4"}, method=None)
    diagnosis = diagnose(profile)
    assert diagnosis.verdict is Verdict.UNKNOWN
    assert diagnosis.data_wait_fraction is None
    assert diagnosis.speedup_if_fixed is None
    assert "steps_per_execution is 4" in diagnosis.statement


def test_fault_in_the_middle_of_a_run_is_unknown():
    """Half a measurement is no verdict."""
    diagnosis = diagnose(make_profile(0.1, 0.1, not_measured={"data_wait": "the profiler failed in a step"}))
    assert diagnosis.verdict is Verdict.UNKNOWN


def test_unfitted_profile_asks_for_a_fit():
    """An empty profile is judged, not refused."""
    diagnosis = diagnose(RunProfile())
    assert diagnosis.verdict is Verdict.NOT_ENOUGH_DATA
    assert "no training has run" in diagnosis.statement


def dependent_waits(count, seed):
    """Waits that depend on their neighbours, as those of a queue that fills and drains."""
    shocks = np.random.default_rng(seed).standard_normal(count)
    level = np.zeros(count)
    for step in range(1, count):
        level[step] = 0.7 * level[step - 1] + shocks[step]
    return np.maximum(0, 0.03 + 0.01 * level)


def test_interval_holds_the_truth_as_often_as_it_says():
    """Over many runs with dependent waits the 95 % interval misses rarely."""
    truth_wait = dependent_waits(200_000, seed=999).mean()
    truth = truth_wait / (truth_wait + 0.05)
    hits = 0
    for seed in range(60):
        steps = make_steps(wait_s=list(dependent_waits(400, seed)), step_s=0.05, count=400, warm_up=0)
        low, high = data_wait_interval(steps)
        hits += low <= truth <= high
    assert hits >= 50  # 57 expected of a perfect one; drawing single steps reaches about 35


def test_interval_is_the_same_each_time():
    """The draws are seeded: a report does not change when it is shown again."""
    profile = profile_with(0.3, noise=0.3)
    assert diagnose(profile) == diagnose(profile)


def test_gpu_counts_only_during_measured_steps():
    """Validation and warm-up do not blur what the steps did."""
    # 105 steps of 0.1 s; the GPU is at 20 % while they run and at 100 % in the validation after.
    gpu = make_gpu(duration_s=20.0, percent=[20.0] * 53 + [100.0] * 47)
    diagnosis = diagnose(make_profile(0.06, 0.04, 105, gpus=(gpu,)))
    assert diagnosis.gpu_utilization_percent == pytest.approx(20)
    assert diagnosis.gpu_not_measured is None


def test_idle_gpu_is_zero_and_absent_gpu_is_not():
    """A measured zero is a number, a missing driver a reason."""
    assert diagnose(make_profile(gpus=(make_gpu(0.0),))).gpu_utilization_percent == 0
    absent = diagnose(make_profile())
    assert absent.gpu_utilization_percent is None
    assert absent.gpu_not_measured == "no NVIDIA driver on this machine"


def test_unmeasured_utilization_gives_the_driver_s_reason():
    """A GPU in MIG mode has no utilization; the reason is passed on."""
    gpu = make_gpu(utilization_percent=(None,) * 50, not_measured={"utilization_percent": "MIG mode"})
    diagnosis = diagnose(make_profile(gpus=(gpu,)))
    assert diagnosis.gpu_utilization_percent is None
    assert diagnosis.gpu_not_measured == "MIG mode"


def test_the_busiest_gpu_counts():
    """Plain Keras trains on one of eight GPUs; the mean would call a busy GPU idle."""
    gpus = (make_gpu(96.0), make_gpu(0.0, index=1))
    assert diagnose(make_profile(gpus=gpus)).gpu_utilization_percent == pytest.approx(96)


def test_remarks_and_gaps_become_findings():
    """What the reader must know about the numbers comes with the verdict."""
    diagnosis = diagnose(
        make_profile(0.1, 0.1, remarks=("dropout differs",), not_measured={"input_identity": "odd object"})
    )
    assert [finding.code for finding in diagnosis.findings] == ["input-bound", "remark", "not-measured"]


def test_columns_of_unequal_length_are_refused():
    """A table with a hole is no table."""
    with pytest.raises(ValueError, match="equal length"):
        StepTimes(epoch=(0,), steps=(1, 1))
