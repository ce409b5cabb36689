"""The truth table from numbers to a verdict, the estimator and its interval."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest
from builders import make_epochs, make_gpu, make_input, make_profile, make_steps

from kerasdiag.ceilings.value import CEILINGS_METHOD, Ceilings
from kerasdiag.diagnosis import Verdict, diagnose
from kerasdiag.diagnosis.advice import explain_verdict
from kerasdiag.diagnosis.estimates import Ratios, share, student_quantile
from kerasdiag.environment.window import MachineWindow
from kerasdiag.profile import RunProfile
from kerasdiag.profiler.epoch_recorder import EpochRecorder
from kerasdiag.stage_timing import InputStages, StageTime
from kerasdiag.step_times import MAX_EPOCH_ROWS, CallbackTime, EpochTimes, StepTimes

# Shares of the training time. Where several are a fifth or more the verdict is mixed.
TRUTH_TABLE = """
    wait   callbacks  launch  steps   ->  verdict
    0.0    0.0        0.0     95          compute-bound
    0.049  0.0        0.0     95          compute-bound
    0.051  0.0        0.0     95          partly-input-bound
    0.199  0.0        0.0     95          partly-input-bound
    0.201  0.0        0.0     95          input-bound
    0.99   0.0        0.0     95          input-bound
    0.0    0.199      0.0     95          compute-bound
    0.0    0.201      0.0     95          callback-bound
    0.0    0.99       0.0     95          callback-bound
    0.1    0.3        0.0     95          callback-bound
    0.0    0.0        0.199   95          compute-bound
    0.0    0.0        0.201   95          launch-bound
    0.1    0.0        0.3     95          launch-bound
    0.051  0.19       0.19    95          partly-input-bound
    0.3    0.19       0.19    95          input-bound
    0.3    0.3        0.0     95          mixed
    0.3    0.0        0.3     95          mixed
    0.0    0.3        0.3     95          mixed
    0.3    0.3        0.3     95          mixed
    0.6    0.0        0.0     20          input-bound
    0.6    0.0        0.0     19          not-enough-data
    0.0    0.0        0.0     20          compute-bound
    0.0    0.3        0.0     19          not-enough-data
    0.6    0.0        0.0     0           not-enough-data
"""
ROWS = [line.split() for line in TRUTH_TABLE.strip().splitlines()[1:]]


def profile_with(wait, steps=95, noise=0.0, seed=0, callbacks=0.0, launch=0.0, **facts):
    """A profile of these shares: each step takes 0.1 s, and nothing lies between epochs."""
    profile = make_profile(
        wait * 0.1, (1 - wait - callbacks) * 0.1, steps + 5, noise, seed, callbacks_s=callbacks * 0.1, **facts
    )
    return dataclasses.replace(profile, epochs=make_epochs(profile.steps, boundary_s=0.0), launch_s=launch * 0.1)


@pytest.mark.parametrize("row", ROWS, ids=" ".join)
def test_truth_table(row):
    """Both sides of each threshold give the verdict of the table."""
    wait, callbacks, launch, steps = float(row[0]), float(row[1]), float(row[2]), int(row[3])
    assert diagnose(profile_with(wait, steps, callbacks=callbacks, launch=launch)).verdict == row[4]


def test_each_verdict_has_a_row():
    """All eight are in the table, but for unknown, which shares do not decide."""
    assert {row[4] for row in ROWS} | {"unknown"} == {str(verdict) for verdict in Verdict}


@pytest.mark.parametrize("noise", [0.0, 0.1, 0.3])
@pytest.mark.parametrize(
    ("wait", "callbacks", "launch", "verdict"),
    [
        (0.01, 0.0, 0.0, "compute-bound"),
        (0.12, 0.0, 0.0, "partly-input-bound"),
        (0.5, 0.0, 0.0, "input-bound"),
        (0.02, 0.4, 0.0, "callback-bound"),
        (0.02, 0.0, 0.4, "launch-bound"),
        (0.4, 0.35, 0.0, "mixed"),
    ],
)
def test_verdict_survives_noise(wait, callbacks, launch, verdict, noise):
    """Away from the thresholds 30 % of noise on every step changes no verdict."""
    for seed in range(5):
        diagnosis = diagnose(profile_with(wait, 95, noise, seed, callbacks, launch))
        assert diagnosis.verdict == verdict
        assert diagnosis.data_wait_fraction == pytest.approx(wait, abs=0.05)


def test_a_verdict_near_a_threshold_is_not_clear():
    """The interval reaches over it, and the confidence says so."""
    near = diagnose(profile_with(0.2, 60, noise=0.6, seed=3))
    assert not near.is_clear
    assert str(near.confidence.level) == "medium"
    assert str(diagnose(profile_with(0.5, 60, noise=0.1)).confidence.level) == "high"
    assert "the interval reaches over a threshold" in near.confidence.reasons


@pytest.mark.parametrize("shares", [{"callbacks": 0.2}, {"launch": 0.2}], ids=str)
def test_a_verdict_is_not_clear_near_the_threshold_of_any_share(shares):
    """No wait at all, and still nobody knows whether a fifth goes into callbacks, or into starting the steps."""
    assert not diagnose(profile_with(0.0, 60, noise=0.6, seed=3, **shares)).is_clear
    assert diagnose(profile_with(0.0, 60, noise=0.1, **dict.fromkeys(shares, 0.4))).is_clear


def test_a_number_without_an_interval_is_said_to_have_none():
    """Ceilings predict a wait; nothing reached over a threshold."""
    ceilings = Ceilings(input_s=0.2, step_s=0.1, steps=10)
    diagnosis = diagnose(RunProfile(state="completed", method=CEILINGS_METHOD, ceilings=ceilings))
    assert diagnosis.data_wait_interval is None
    assert "no interval" in " ".join(diagnosis.confidence.reasons)
    assert "threshold" not in " ".join(diagnosis.confidence.reasons)
    assert (str(diagnosis.confidence.level), diagnosis.is_clear) == ("medium", False)


@pytest.mark.parametrize(
    ("wait", "percent", "level"),
    [
        (0.6, 10.0, "high"),
        (0.6, 80.0, "high"),  # between the two it says nothing
        (0.6, 97.0, "medium"),
        (0.0, 97.0, "high"),
        (0.0, 10.0, "medium"),
        (0.6, None, "high"),
    ],
)
def test_utilization_only_makes_a_verdict_more_or_less_sure(wait, percent, level):
    """The verdict is that of the clock, whatever the GPU did."""
    gpus = () if percent is None else (make_gpu(percent),)
    diagnosis = diagnose(profile_with(wait, noise=0.05, gpus=gpus, training_input=make_input("tf-data")))
    assert diagnosis.verdict == ("input-bound" if wait else "compute-bound")
    assert str(diagnosis.confidence.level) == level


def test_workers_that_share_the_cores_make_a_verdict_less_sure():
    """Their work slows the step itself, which no wait shows."""
    sure = diagnose(profile_with(0.1, training_input=make_input(workers=1), cores=2))
    unsure = diagnose(profile_with(0.1, training_input=make_input(workers=4), cores=2))
    assert (str(sure.confidence.level), str(unsure.confidence.level)) == ("high", "medium")


def test_every_number_has_its_interval():
    """Shares and means of the steps, each within its own interval; what steps are of the fit is no sample."""
    diagnosis = diagnose(profile_with(0.3, noise=0.3, callbacks=0.1, launch=0.02))
    estimates = dict(diagnosis.estimates)
    assert estimates.pop("steps_fraction").interval is None
    assert set(estimates) == {
        "data_wait_fraction", "hidden_wait_fraction", "callback_fraction", "launch_fraction", "waited_fraction",
        "mean_step_s", "mean_wait_s", "mean_callbacks_s",
    }  # fmt: skip
    for name, estimate in estimates.items():
        low, high = estimate.interval
        assert low <= estimate.value <= high, name
    assert diagnosis.estimates["data_wait_fraction"].value == diagnosis.data_wait_fraction


def between_epochs(profile, fraction, callbacks=0.0):
    """The same profile with so much of its training time between epochs, of that so much in callbacks."""
    steps_s = sum(profile.steps.period_s) - sum(
        period for period, compiled in zip(profile.steps.period_s, profile.steps.compiled) if compiled
    )
    boundary_s = steps_s * fraction / (1 - fraction)
    epochs = make_epochs(profile.steps, boundary_s=boundary_s, callbacks_s=(boundary_s * callbacks,))
    return dataclasses.replace(profile, epochs=epochs, compile_s=0.0)


# Time between epochs, and callbacks of it: the shares of the steps are then others than those of the training.
@pytest.mark.parametrize(
    ("wait", "launch", "between", "callbacks", "verdict"),
    [
        (0.3, 0.0, 0.5, 1.0, "callback-bound"),  # 15 % against 50 %
        (0.8, 0.0, 0.5, 1.0, "mixed"),  # 40 % against 50 %
        (0.0, 0.25, 0.9, 1.0, "callback-bound"),
        (0.5, 0.25, 0.5, 0.0, "input-bound"),
        (0.5, 0.0, 0.5, 0.0, "input-bound"),  # one cause alone is judged by the steps, as XProf does
        (0.3, 0.3, 0.5, 0.0, "mixed"),  # neither is a fifth of the training, both are of its steps
    ],
)
def test_causes_are_compared_on_one_base(wait, launch, between, callbacks, verdict):
    """Each as a share of the whole training, and together they are at most all of it."""
    diagnosis = diagnose(between_epochs(profile_with(wait, launch=launch), between, callbacks))
    assert diagnosis.verdict == verdict
    said = [
        float(number)
        for number in re.findall(r"([\d.]+) % of the training time|([\d.]+) % went", diagnosis.statement)
        for number in number
        if number
    ]
    assert sum(said) <= 100
    assert callbacks or "callback" not in diagnosis.next_step.text


def test_the_speedup_of_the_whole_training_is_said():
    """Half of the time lies between epochs: waiting for 80 % of the steps is five times for them, 1.67 for all."""
    diagnosis = diagnose(between_epochs(profile_with(0.8), 0.5))
    assert diagnosis.speedup_if_fixed == pytest.approx(5)
    assert diagnosis.training_speedup_if_fixed == pytest.approx(1 / (1 - 0.4))
    assert "80.0 % of the time of its steps" in diagnosis.statement
    assert diagnosis.statement.endswith("its steps up to 5.00 times faster and the whole training up to 1.67 times.")
    alone = diagnose(profile_with(0.8))
    assert alone.training_speedup_if_fixed == pytest.approx(5)
    assert "80.0 % of the training time" in alone.statement


@pytest.mark.parametrize(("verdict", "wait", "utilization"), [("input-bound", 0.21, 10), ("compute-bound", 0.049, 99)])
def test_a_gpu_does_not_settle_what_the_interval_leaves_open(verdict, wait, utilization):
    """It agrees with the verdict on the other side of the threshold just as well."""
    diagnosis = diagnose(profile_with(wait, 60, noise=0.3, gpus=(make_gpu(utilization),)))
    assert (diagnosis.verdict, diagnosis.is_clear) == (verdict, False)
    assert "agrees" in " ".join(diagnosis.confidence.reasons)
    assert str(diagnosis.confidence.level) == "medium"


def test_the_callbacks_come_first_and_the_input_may_come_next():
    """Batches are loaded while callbacks work, so nobody is told to leave the input alone."""
    statement = diagnose(profile_with(0.02, callbacks=0.4)).statement
    assert "the callbacks first and profile again" in statement
    assert "not the input" not in statement


def test_time_is_spent_once():
    """What the fit did adds up to its steps and what lies between them."""
    profile = make_profile(0.05, 0.05, 100, epochs=2, callbacks_s=0.01)
    columns = {"validation_s": (2.0, 2.0), "callbacks_s": (0.5, 0.5), "checkpoint_s": (1.0, 1.0)}
    profile = dataclasses.replace(profile, epochs=make_epochs(profile.steps, boundary_s=4.0, **columns), compile_s=3.0)
    spent = diagnose(profile).time_spent
    assert spent.total_s == pytest.approx(sum(profile.steps.period_s) + 8.0 + 3.0)
    assert (spent.validation_s, spent.checkpoint_s, spent.between_epochs_s) == pytest.approx((4.0, 2.0, 1.0))
    assert spent.callbacks_s == pytest.approx(100 * 0.01 + 1.0)


def test_steps_that_were_not_measured_took_their_time_too():
    """Like those that were, warm-up apart: 105 steps of 100 ms, of which 55 were measured after the warm-up."""
    profile = make_profile(0.04, 0.05, 60, callbacks_s=0.01)
    epochs = dataclasses.replace(make_epochs(profile.steps, boundary_s=2.0), steps=(105,))
    profile = dataclasses.replace(profile, epochs=epochs, compile_s=3.0)
    spent = diagnose(profile).time_spent
    assert profile.unmeasured_steps == 45
    assert spent.total_s == pytest.approx(105 * 0.1 + 2.0 + 3.0)
    assert (spent.data_wait_s, spent.step_s, spent.callbacks_s) == pytest.approx((105 * 0.04, 105 * 0.05, 105 * 0.01))


def with_first_step(profile, wait_s, period_s):
    """The first step waits as long and traces."""
    steps = profile.steps
    steps = dataclasses.replace(
        steps,
        wait_s=(wait_s, *steps.wait_s[1:]),
        period_s=(period_s, *steps.period_s[1:]),
        compiled=(1, *steps.compiled[1:]),
    )
    return dataclasses.replace(profile, steps=steps, compile_s=3.0 + period_s)


def test_what_a_step_waited_that_compiled_is_waiting():
    """A shuffle buffer that fills for a minute before the first batch is no compiling; nothing is counted twice."""
    plain = make_profile(0.04, 0.06, 60)
    profile = with_first_step(plain, wait_s=60.0, period_s=62.0)
    spent = diagnose(profile).time_spent
    assert (spent.data_wait_s, spent.compile_s) == pytest.approx((60.0 + 59 * 0.04, 2.0 + 3.0))
    assert spent.total_s == pytest.approx(sum(profile.steps.period_s) + 3.0 + sum(profile.epochs.boundary_s))


def test_what_comes_before_the_first_step_changes_no_share_of_callbacks():
    """It is judged by the steps that are measured, however long the first one waited."""
    plain = make_profile(0.0, 0.1, 100, epochs=2, compile_s=3.0)
    saving = make_epochs(plain.steps, boundary_s=5.0, checkpoint_s=(5.0, 5.0))
    plain = dataclasses.replace(plain, epochs=saving)
    share, late = (
        diagnose(one).estimates["callback_fraction"].value
        for one in (with_first_step(plain, 0.0, 2.0), with_first_step(plain, 60.0, 62.0))
    )
    assert late == pytest.approx(share)


def test_callbacks_between_epochs_count():
    """A checkpoint that takes as long as its epoch makes a training callback-bound; validation does not."""
    profile = make_profile(0.0, 0.1, 100, epochs=2)
    saving = make_epochs(profile.steps, boundary_s=5.0, checkpoint_s=(5.0, 5.0))
    assert diagnose(dataclasses.replace(profile, epochs=saving)).verdict is Verdict.CALLBACK_BOUND
    validating = make_epochs(profile.steps, boundary_s=5.0, validation_s=(5.0, 5.0))
    assert diagnose(dataclasses.replace(profile, epochs=validating)).verdict is Verdict.COMPUTE_BOUND


def test_a_profile_of_an_earlier_version_has_no_new_numbers():
    """What was not measured is left out, not zero."""
    profile = make_profile(0.1, 0.1, 60)
    later = ("hidden_wait_s", "callbacks_s", "waited_steps", "compiled")
    steps = dataclasses.replace(profile.steps, **dict.fromkeys(later, ()))
    diagnosis = diagnose(dataclasses.replace(profile, steps=steps, epochs=EpochTimes(), launch_s=None))
    assert diagnosis.verdict is Verdict.INPUT_BOUND
    assert set(diagnosis.estimates) == {"data_wait_fraction", "mean_step_s", "mean_wait_s"}
    assert diagnosis.time_spent is None


# --- Findings


def codes(profile):
    return [finding.code for finding in diagnose(profile).findings]


def test_epochs_of_unequal_steps():
    """A generator that ran out under steps_per_epoch on Keras 3 trains 8, 1, 8."""
    profile = make_profile(0.0, 0.1, 51)
    unequal = EpochTimes((0, 1, 2), (25, 1, 25), *[(0.0,) * 3] * 4)
    finding = next(
        one for one in diagnose(dataclasses.replace(profile, epochs=unequal)).findings if one.code == "unequal-epochs"
    )
    assert "25, 1, 25" in finding.message
    assert "steps_per_epoch" in finding.remedy.text
    generator = dataclasses.replace(profile, epochs=unequal, training_input=make_input("python-generator"))
    remedy = found(diagnose(generator), "unequal-epochs").remedy.text
    assert "while True" in remedy
    assert "repeat()" not in remedy  # a generator has no such method
    equal = EpochTimes((0, 1), (25, 25), *[(0.0,) * 2] * 4)
    assert "unequal-epochs" not in codes(dataclasses.replace(profile, epochs=equal))


def test_an_epoch_that_was_broken_off_is_not_unequal():
    """Ctrl-C in the middle of the second epoch."""
    profile = make_profile(0.0, 0.1, 40, state="interrupted")
    broken = EpochTimes((0, 1), (25, 15), *[(0.0,) * 2] * 4)
    assert "unequal-epochs" not in codes(dataclasses.replace(profile, epochs=broken))


def unequal_epochs_of(profile, counts, **facts):
    epochs = EpochTimes(tuple(range(len(counts))), tuple(counts), *[(0.0,) * len(counts)] * 4)
    profile = dataclasses.replace(profile, epochs=epochs, **facts)
    return next((one for one in diagnose(profile).findings if one.code == "unequal-epochs"), None)


@pytest.mark.parametrize(
    ("counts", "stopped_early", "found"),
    [
        ((25, 25, 7), True, False),  # TerminateOnNaN, or a limit of time
        ((25, 25, 7), False, True),  # the input ended
        ((25, 7, 25), True, True),
        ((25, 7, 3), True, True),
        ((25, 25), True, False),  # EarlyStopping
        ((7,), True, False),
    ],
)
def test_an_epoch_that_a_callback_broke_off_is_not_unequal(counts, stopped_early, found):
    """Only the last one can be; the others are judged as ever."""
    finding = unequal_epochs_of(make_profile(), counts, stopped_early=stopped_early, has_steps_per_epoch=True)
    assert (finding is not None) is found


def test_later_epochs_that_share_a_row_are_not_unequal():
    """The last of so many rows holds all epochs that follow."""
    recorder = EpochRecorder()
    for epoch in range(MAX_EPOCH_ROWS + 50):
        recorder.begin(epoch)
        for _ in range(2):
            recorder.begin_step(0.0)
        recorder.end(0.0)
    counts = recorder.times(0.0).steps
    assert counts[-1] == 2 * 51
    assert unequal_epochs_of(make_profile(), counts) is None
    assert unequal_epochs_of(make_profile(), (2, 1, *counts[2:])) is not None


def test_an_input_that_changes_its_length_is_told_apart():
    """Who gave no steps_per_epoch cannot leave it out, and may have meant it."""
    finding = unequal_epochs_of(make_profile(), (25, 30, 35), has_steps_per_epoch=False)
    assert str(finding.severity) == "info"
    assert "Leave out" not in finding.remedy.text
    assert "on_epoch_end" in finding.remedy.text


@pytest.mark.parametrize(
    ("first_s", "last_s", "found"), [(0.1, 0.0, True), (0.0, 0.1, True), (0.05, 0.05, False), (0.01, 0.005, False)]
)
def test_drift_over_the_epochs(first_s, last_s, found):
    """The first epoch reads the disk, or a later one no longer finds its files in memory."""
    profile = make_profile(wait_s=[first_s] * 65 + [last_s] * 60, step_s=0.1, count=125, noise=0.05)
    steps = dataclasses.replace(profile.steps, epoch=(0,) * 65 + (1,) * 60)
    profile = dataclasses.replace(profile, steps=steps)
    assert ("drifting-wait" in codes(profile)) is found
    if found:
        message = next(one.message for one in diagnose(profile).findings if one.code == "drifting-wait")
        assert ("grew" in message) is (last_s > first_s)


@pytest.mark.parametrize(("step_s", "is_found"), [(0.010, False), (0.020, False), (0.040, True)])
def test_drift_takes_two_seconds_of_each_epoch(step_s, is_found):
    """A fit of two seconds has seen nothing drift; the shorter of the two epochs decides."""
    profile = make_profile(wait_s=[0.0] * 65 + [step_s] * 60, step_s=step_s, count=125, noise=0.05)
    steps = dataclasses.replace(profile.steps, epoch=(0,) * 65 + (1,) * 60)
    finding = found(diagnose(dataclasses.replace(profile, steps=steps)), "drifting-wait")
    assert (finding is not None) is is_found
    assert not is_found or "peak" not in finding.remedy.text


@pytest.mark.parametrize(("steps_per_row", "found"), [(16, True), (3, False)])
def test_drift_over_the_epochs_of_a_long_training(steps_per_row, found):
    """Its rows hold many steps each, so few rows are enough; few steps are not."""
    profile = make_profile(wait_s=[1.6] * 6 + [0.0] * 6, step_s=1.6, count=12, noise=0.05)
    steps = dataclasses.replace(
        profile.steps, epoch=(0,) * 6 + (1,) * 6, steps=(steps_per_row,) * 12, warm_up=(0,) * 12
    )
    assert ("drifting-wait" in codes(dataclasses.replace(profile, steps=steps))) is found


@pytest.mark.parametrize(("share", "found"), [(0.04, False), (0.06, True), (0.19, True), (0.3, False)])
def test_callback_tax(share, found):
    """Between the fifth that makes a verdict and what nobody would mend."""
    assert ("callback-tax" in codes(profile_with(0.0, callbacks=share))) is found


@pytest.mark.parametrize("at_end", [False, True])
def test_callback_tax_says_when_its_callbacks_worked(at_end):
    """In units that do not round to nothing; what is done once is not to be done less often."""
    callbacks = (CallbackTime("Snap", 0.0002, 0.026), CallbackTime("History", 0.0001, 0.0002))
    profile = make_profile(0.0, 0.002, 100, epochs=2, callbacks=callbacks)
    between_s = (0.0, 0.026) if at_end else (0.013, 0.013)
    profile = dataclasses.replace(
        profile, epochs=make_epochs(profile.steps, 0.03, callbacks_s=between_s), compile_s=0.0
    )
    finding = found(diagnose(profile), "callback-tax")
    assert finding.message.endswith(f"Snap 26 ms{' after the last step' if at_end else ''}, History 0.3 ms.")
    assert ("Nothing needs to change" in finding.remedy.text) is at_end
    assert ("every n-th epoch" in finding.remedy.text) is not at_end


def test_hidden_wait_is_told_and_not_counted():
    """Asked for while the device was busy: no loss, but said."""
    diagnosis = diagnose(make_profile(0.0, 0.1, 60, hidden_s=0.03))
    assert diagnosis.verdict is Verdict.COMPUTE_BOUND
    assert "hidden-wait" in [finding.code for finding in diagnosis.findings]
    assert diagnosis.time_spent.hidden_wait_s == pytest.approx(1.8)


@pytest.mark.parametrize(("share", "found"), [(None, False), (0.10, False), (0.11, True), (0.9, True)])
def test_a_quota_is_named_before_any_repair(share, found):
    """More than a tenth of the periods: the next step is the quota, and the repair comes after."""
    diagnosis = diagnose(make_profile(0.1, 0.1, 60, machine=MachineWindow(10.0, throttled_fraction=share)))
    assert ([one.code for one in diagnosis.findings][1:2] == ["throttled"]) is found
    short = MachineWindow(0.9, throttled_fraction=share)
    assert "throttled" not in codes(make_profile(0.1, 0.1, 60, machine=short))
    assert ("quota" in diagnosis.next_step.text) is found
    if found:
        assert "autofix" in diagnosis.findings[1].remedy.text


def found(diagnosis, code):
    return next((one for one in diagnosis.findings if one.code == code), None)


def with_ceiling(free_s, wait_s=0.0197, step_s=0.0089, **facts):
    """A step of 28.6 ms, two thirds of it waiting, as one that was seen; alone it takes ``free_s``."""
    return make_profile(wait_s, step_s, 100, ceilings=Ceilings(input_s=wait_s, step_s=free_s, steps=10), **facts)


def test_a_speedup_that_is_more_than_the_waiting_has_its_reason():
    """69 % of waiting is 3.2 times; 6.9 times come from a step that is faster without its loader."""
    diagnosis = diagnose(with_ceiling(0.0041))
    assert diagnosis.speedup_if_fixed == pytest.approx(6.98, abs=0.01)
    finding = found(diagnosis, "slowed-by-input")
    assert "8.9 ms beside this loader and 4.1 ms alone" in finding.message
    assert "less than 6.98 times the speed" in finding.message
    assert finding.numbers == pytest.approx({"step_beside_input_s": 0.0089, "step_alone_s": 0.0041})


def test_a_fast_input_is_not_blamed_for_a_slow_step():
    """A batch in 0.17 ms cannot have cost the step 1.1 ms: neither the speed-up nor a finding says so."""
    steps = {"wait_s": 0.0004, "step_s": 0.0054, "count": 200}
    alone = {"step_s": 0.0041, "loop_s": 0.0002, "steps": 300}
    fast = diagnose(make_profile(**steps, ceilings=Ceilings(input_s=0.00017, **alone)))
    assert fast.speedup_if_fixed == pytest.approx(5.8 / (5.8 - 0.4 - 2 * 0.17), abs=0.01)
    assert found(fast, "slowed-by-input") is None
    assert "5.4 ms in the training and 4.3 ms alone" in found(fast, "slowed-by-others").message
    slow = diagnose(make_profile(**steps, ceilings=Ceilings(input_s=0.005, **alone)))
    assert slow.speedup_if_fixed == pytest.approx(5.8 / 4.3, abs=0.01)
    assert found(slow, "slowed-by-others") is None
    unknown = diagnose(make_profile(**steps, ceilings=Ceilings(**alone)))
    assert unknown.speedup_if_fixed == slow.speedup_if_fixed


@pytest.mark.parametrize(
    ("profile", "is_found"),
    [
        (with_ceiling(0.0089 / 1.14), False),
        (with_ceiling(0.0089 / 1.16), True),
        (with_ceiling(0.0089 / 1.3, callbacks_s=0.02), False),  # most of the period is neither
        (with_ceiling(None), False),
        (make_profile(0.02, 0.0089, 100), False),
    ],
    ids=["as fast", "faster", "callbacks", "not measured", "nobody asked"],
)
def test_a_step_that_is_as_fast_alone_is_not_slowed(profile, is_found):
    """15 % is what one and the same step may differ by."""
    diagnosis = diagnose(profile)
    assert (found(diagnosis, "slowed-by-input") is not None) is is_found
    if profile.ceilings is not None and profile.ceilings.step_s:
        more = diagnosis.speedup_if_fixed * (1 - diagnosis.data_wait_fraction)
        assert (more > 1.15) is is_found


@pytest.mark.parametrize(
    ("shares", "is_next"),
    [
        ({"wait": 0.0}, True),
        ({"wait": 0.1}, True),
        ({"wait": 0.5}, False),
        ({"wait": 0.0, "callbacks": 0.5}, False),
        ({"wait": 0.1, "steps": 10}, False),
    ],
    ids=str,
)
def test_a_step_without_a_graph_is_told(shares, is_next):
    """It comes first where neither wait nor callbacks do; a factor is not invented."""
    diagnosis = diagnose(profile_with(**shares, method="one-step-eager"))
    eager = found(diagnosis, "runs-eagerly")
    assert str(eager.severity) == "warn"
    assert "not measured" in eager.message
    assert ("run_eagerly=True" in diagnosis.next_step.text) is is_next
    assert (eager.remedy is None) is is_next
    assert found(diagnose(profile_with(**shares)), "runs-eagerly") is None


def test_a_quota_comes_before_a_step_without_a_graph():
    """Nothing that is measured under it says how fast a step is."""
    throttled = MachineWindow(10.0, throttled_fraction=0.5)
    diagnosis = diagnose(profile_with(0.0, method="one-step-eager", machine=throttled))
    assert "quota" in diagnosis.next_step.text
    assert "run_eagerly" in found(diagnosis, "runs-eagerly").remedy.text


def test_memory_that_is_nearly_full():
    """A peak of 95 % of what the container may hold."""
    full, half = (
        MachineWindow(10.0, peak_memory_bytes=int(share * 2**30), memory_limit_bytes=2**30) for share in (0.95, 0.5)
    )
    finding = next(one for one in diagnose(make_profile(machine=full)).findings if one.code == "memory-nearly-full")
    assert "killed (memory.max), or slowed" in finding.message  # the limit may be either
    assert "memory-nearly-full" not in codes(make_profile(machine=half))


STAGES = InputStages(
    "image",
    "sampled rows",
    (StageTime("reading", 0.001, 0.0001), StageTime("decoding", 0.003, 0.003), StageTime("affine", 0.006, 0.006)),
    64,
)


def test_the_slowest_stage_of_an_input_is_named():
    """With its share, where the training waits; nobody asks where it does not."""
    finding = next(
        one for one in diagnose(make_profile(0.1, 0.1, 60, input_stages=STAGES)).findings if one.code == "slowest-stage"
    )
    assert finding.message == "Of the 10 ms that an image takes, affine is 60%, decoding 30%, reading 10%."
    assert finding.numbers["affine_s"] == 0.006
    assert "slowest-stage" not in codes(make_profile(0.0, 0.1, 60, input_stages=STAGES))


def test_stages_of_one_name_are_told_apart():
    """A pipeline may map twice: both have their number, in words and in the JSON, and the remedy of their kind."""
    stages = (
        StageTime("TensorSlice", 0.01),
        StageTime("Map", 0.06),
        StageTime("Batch", 0.01),
        StageTime("Map", 0.02),
    )
    profile = make_profile(0.1, 0.1, 60, input_stages=InputStages("batch", "timed prefixes", stages, 30))
    finding = next(one for one in diagnose(profile).findings if one.code == "slowest-stage")
    assert "Map 1 is 60%, Map 2 20%, TensorSlice 10%" in finding.message
    assert finding.numbers == {"TensorSlice_s": 0.01, "Map_1_s": 0.06, "Batch_s": 0.01, "Map_2_s": 0.02}
    assert "num_parallel_calls" in finding.remedy.code[0]


@pytest.mark.parametrize(
    ("stages", "said"),
    [
        ((StageTime("reading", 0.01, 0.001), StageTime("decoding", 0.003, 0.003)), "doctor --data"),
        ((StageTime("preprocessing_function", 0.01, 0.01),), "layer of the model"),
        ((StageTime("standardizing", 0.01, 0.01),), "Rescaling"),
        ((StageTime("decoding", 0.01, 0.01),), None),  # the next step is autofix anyway
    ],
)
def test_each_stage_has_its_remedy(stages, said):
    """What the slow stage needs, where the next step does not say it."""
    profile = make_profile(0.1, 0.1, 60, input_stages=InputStages("image", "sampled rows", stages, 64))
    remedy = next(one for one in diagnose(profile).findings if one.code == "slowest-stage").remedy
    assert (said is None and remedy is None) or said in " ".join((remedy.text, *remedy.code))


@pytest.mark.parametrize(
    ("stage", "said"),
    [
        (StageTime("Map", 0.1), "num_parallel_calls"),
        (StageTime("ParallelMapV2", 0.2, None, 2), "2 of 8 cores"),
        (StageTime("ParallelMap", 0.8, None, 8), "cache"),
        (StageTime("ParallelMap", 0.2, None, 2, tuned=True), "cache"),  # tf.data has chosen two
        (StageTime("ParallelMap", 0.1, tuned=True), "cache"),  # timed prefixes
        (StageTime("MapAndBatch", 0.1), "how many calls run at once"),
        (StageTime("BatchV2", 0.1), "dataset.batch(n, num_parallel_calls"),
        (StageTime("TFRecord", 0.1), "interleave"),
        (StageTime("Generator", 0.1), "one core"),
        (StageTime("ParallelInterleave", 0.1, None, 8), "num_parallel_calls"),  # nothing better than the form tells
    ],
)
def test_what_was_measured_of_a_pipeline_decides_the_next_step(stage, said):
    """Its form alone would name the first operation that looks wrong."""
    data = make_input("tf-data", pipeline=("TensorSlice", "Map", "Batch"))
    profile = make_profile(
        0.1, 0.1, 60, training_input=data, input_stages=InputStages("batch", "tf.data model", (stage,), 30)
    )
    remedy = diagnose(profile).next_step
    assert said in " ".join((remedy.text, *remedy.code))


@pytest.mark.parametrize(
    ("facts", "verdict", "said"),
    [
        ({"wait": 0.1, "callbacks": 0.4}, "callback-bound", "callback"),
        ({"wait": 0.1, "launch": 0.4}, "launch-bound", "steps_per_execution"),
        ({"wait": 0.4, "callbacks": 0.4}, "mixed", "num_parallel_calls"),
    ],
)
def test_a_slow_stage_is_not_the_next_step_where_something_else_takes_more(facts, verdict, said):
    """It is a note then."""
    stages = InputStages("batch", "tf.data model", (StageTime("Map", 0.1),), 30)
    data = make_input("tf-data", pipeline=("TensorSlice", "Map", "Batch"))
    diagnosis = diagnose(profile_with(**facts, training_input=data, input_stages=stages))
    assert diagnosis.verdict == verdict
    assert said in " ".join((diagnosis.next_step.text, *diagnosis.next_step.code))


def test_who_caches_is_not_told_to_cache():
    """The form of the pipeline knows better."""
    data = make_input("tf-data", pipeline=("TensorSlice", "ParallelMap", "Cache", "ParallelMap", "Batch", "Prefetch"))
    stages = InputStages("batch", "tf.data model", (StageTime("ParallelMap", 0.8, None, 8, tuned=True),), 30)
    step = diagnose(make_profile(0.1, 0.1, 60, training_input=data, input_stages=stages)).next_step
    assert "comes after cache()" in step.text


def test_what_was_not_timed_of_a_pipeline_is_told():
    """Its blame holds: what was timed explains the wait."""
    stages = InputStages(
        "batch", "timed prefixes", (StageTime("Map", 0.1),), 3, not_measured={"what lies before Shuffle": "it was over"}
    )
    finding = found(diagnose(make_profile(0.1, 0.1, 60, input_stages=stages)), "slowest-stage")
    assert (
        "without what lies before Shuffle, Map is 100%. What lies before Shuffle was not timed: it was over."
        in finding.message
    )
    assert finding.remedy is not None


def test_what_is_no_map_is_not_told_to_cache():
    """Prefetch at the top only means that what lies below is slow."""
    stages = InputStages("batch", "tf.data model", (StageTime("Prefetch", 0.1),), 30)
    finding = found(diagnose(make_profile(0.1, 0.1, 60, input_stages=stages)), "slowest-stage")
    assert finding.remedy is None


@pytest.mark.parametrize(("stage_s", "known"), [(0.049, False), (0.051, True)])
def test_a_stage_that_explains_less_than_half_of_the_wait_is_not_blamed(stage_s, known):
    """Something else is slow, and nobody saw it: the next step is what the form of the pipeline tells."""
    data = make_input("tf-data", pipeline=("TensorSlice", "Map", "Batch"))
    stages = InputStages("batch", "tf.data model", (StageTime("Generator", stage_s),), 30)
    diagnosis = diagnose(make_profile(0.1, 0.1, 60, training_input=data, input_stages=stages))
    assert ("yield names only" in diagnosis.next_step.text) is known
    message = found(diagnosis, "slowest-stage").message
    assert known or "is not known" in message
    assert known or "49 ms for a batch, and a batch was waited for for 100 ms" in message


@pytest.mark.parametrize(
    ("code", "machine", "wait_s"),
    [
        ("stalled-by-memory", {"stalled_fractions": {"memory": 0.12}}, 0.0),
        ("stalled-by-disk", {"stalled_fractions": {"io": 0.12}}, 0.1),
        ("stolen-cores", {"steal_fraction": 0.12}, 0.0),
    ],
)
def test_what_the_machine_did_to_a_run_is_told(code, machine, wait_s):
    """From a tenth of the time on."""
    finding = found(diagnose(make_profile(wait_s, 0.1, 60, machine=MachineWindow(10.0, **machine))), code)
    assert "12%" in finding.message
    less = {"stalled_fractions": {"memory": 0.09, "io": 0.09, "cpu": 0.9}, "steal_fraction": 0.09}
    assert code not in codes(make_profile(wait_s, 0.1, 60, machine=MachineWindow(10.0, **less)))
    assert code not in codes(make_profile(wait_s, 0.1, 60, machine=MachineWindow(0.9, **machine))), "too short to say"


def test_a_disk_that_nobody_waits_for_is_not_told():
    """Checkpoints, or another program; reading that takes a hundredth of what explains the wait, too."""
    machine = MachineWindow(10.0, stalled_fractions={"io": 0.5})
    assert "stalled-by-disk" not in codes(make_profile(0.0, 0.1, 60, machine=machine))
    for reading_s, wait_s, is_told in ((0.0001, 0.1, False), (0.004, 0.1, True), (0.0001, 0.5, True)):
        stages = InputStages("image", "sampled rows", (StageTime("reading", reading_s), StageTime("affine", 0.006)), 64)
        profile = make_profile(wait_s, 0.1, 60, machine=machine, input_stages=stages)
        assert ("stalled-by-disk" in codes(profile)) is is_told


@pytest.mark.parametrize("repaired", ["none", "disk", "memory"])
def test_nobody_is_told_to_edit_a_dataset_that_autofix_made(repaired):
    """Its slowest stage is named, without what a tf.data pipeline of one's own would need."""
    stages = InputStages("batch", "tf.data model", (StageTime("ParallelMapV2", 0.8, None, 8),), 30)
    data = make_input("tf-data", repaired=repaired)
    finding = found(diagnose(make_profile(0.1, 0.1, 60, training_input=data, input_stages=stages)), "slowest-stage")
    assert "ParallelMapV2" in finding.message
    assert finding.remedy is None


@pytest.mark.parametrize("verdict", Verdict)
def test_each_verdict_is_explained(verdict):
    """Rule, meaning, next step, and when it may be wrong."""
    page = explain_verdict(f" {verdict.value.upper()} ")
    assert page.startswith(f"{verdict}\n  Given where ")
    assert all(f"\n{heading}\n" in page for heading in ("What it means", "What to do", "When it may be wrong"))
    assert explain_verdict("KD101") is None


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


def independent_waits(count, seed):
    """Waits of one loader whose batches have nothing to do with each other."""
    return np.random.default_rng(seed).exponential(0.03, count)


def bursts_of_waits(count, seed):
    """Waits of four workers: every fourth batch is waited for."""
    random = np.random.default_rng(seed)
    return np.where((np.arange(count) + random.integers(4)) % 4, 0.0, random.exponential(0.12, count))


# Of 200 each; 190 expected of a perfect one. Behind them what the bootstrap reaches as it is drawn.
HITS = [
    (independent_waits, 20, 189),  # 162
    (independent_waits, 64, 183),  # 176
    (bursts_of_waits, 20, 180),  # 153
    (bursts_of_waits, 64, 183),  # 174
    (dependent_waits, 20, 178),  # 129
    (dependent_waits, 400, 182),  # 183
]


@pytest.mark.parametrize(("make", "count", "least"), HITS, ids=str)
def test_interval_holds_the_truth_as_often_as_it_says(make, count, least):
    """Twenty steps are the least that are judged; there the waves of a queue are longer than what was seen of it."""
    truth_wait = make(200_000, seed=999).mean()
    truth = truth_wait / (truth_wait + 0.05)
    hits = 0
    for seed in range(200):
        waits = make(count, seed)
        low, high = share(list(waits), list(waits + 0.05)).interval
        hits += low <= truth <= high
    assert hits >= least


def test_students_quantile():
    """Against SciPy's."""
    from scipy import stats

    for degrees in (2, 2.5, 4, 10, 100):
        assert student_quantile(degrees) == pytest.approx(stats.t.ppf(0.975, degrees), rel=0.04)


def test_the_interval_of_a_share_is_one_of_shares():
    """However wide it is; that of seconds has no end."""
    waits = [0.0] * 19 + [1.0]
    ratios = Ratios(20)
    low, high = ratios.of(waits, [w + 0.01 for w in waits], most=1.0).interval
    assert (low, high) == (0.0, 1.0)
    assert ratios.of([9 * wait for wait in waits], [1.0] * 20).interval[1] > 1


@pytest.mark.parametrize("count", [20, 60, 101])
def test_interval_is_the_same_wherever_the_long_wait_was(count):
    """The first and the last step count as much as those in the middle."""
    intervals = [
        share([float(step == place) for step in range(count)], [1.0] * count).interval
        for place in (0, 1, count // 2, count - 1)
    ]
    assert intervals == [pytest.approx(intervals[0], abs=1e-9)] * 4
    assert intervals[0][1] > 1.5 / count


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
