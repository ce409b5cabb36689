"""When ``--until-verdict`` has seen enough, decided on profiles made to order and a clock that is told the time."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from builders import WARM_UP, make_profile, make_steps

from kerasdiag.diagnosis import diagnose
from kerasdiag.profiler.stopping_rule import Ending, StableVerdict, StoppingRule

FIRST_STABLE = 39  # 20 measured steps for the first verdict, and the same 20 times


def beginning(profile, count):
    """The profile as it was after ``count`` steps."""
    return dataclasses.replace(profile, steps=profile.steps.rows(range(count)))


def train(rule, profile, seconds_per_step=0.1, clock=None):
    """Run a whole profile past the rule; return the measured step at which it said what, or None."""
    for count in range(1, len(profile.steps) + 1):
        if clock is not None:
            clock.now += seconds_per_step
        measured = max(0, count - WARM_UP)
        ending = rule.after_step(measured, lambda count=count: beginning(profile, count))
        if ending is not None:
            return measured, ending
    return None


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


# --- The verdict -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("wait_s", "clear"), [(0.05, True), (0.006, True), (0.0, True)])
def test_verdict_is_clear_when_its_interval_has_one_verdict(wait_s, clear):
    """Far from both thresholds, on each side of them."""
    assert diagnose(make_profile(wait_s, 0.05, 60, noise=0.05)).is_clear is clear


def test_verdict_near_a_threshold_is_not_clear():
    """The number says input-bound, one end of its interval does not."""
    diagnosis = diagnose(make_profile(0.0126, 0.05, 60, noise=0.4, seed=3))
    low, high = diagnosis.data_wait_interval
    assert low < 0.2 < high
    assert not diagnosis.is_clear


def test_no_verdict_is_never_clear():
    """Too few steps, and a wait that is not measured."""
    assert not diagnose(make_profile(0.05, count=20)).is_clear
    assert not diagnose(make_profile(0.05, not_measured={"data_wait": "why"})).is_clear


def test_verdict_is_stable_after_twenty_equal_ones():
    """Nineteen are not enough; a change or a doubt begins anew."""
    bound, free = (diagnose(make_profile(wait_s, 0.05, 100)) for wait_s in (0.05, 0.0))
    doubtful = diagnose(make_profile(0.05, count=20))
    stable = StableVerdict()
    assert [stable.add(bound) for _ in range(19)] == [False] * 19
    assert not stable.add(free)
    assert stable.steps_to_go == 19
    assert not stable.add(doubtful)
    assert stable.steps_to_go == 20
    assert [stable.add(free) for _ in range(20)] == [False] * 19 + [True]


# --- The rule --------------------------------------------------------------------------------------


@pytest.mark.parametrize("wait_s", [0.05, 0.006, 0.0])
def test_clear_training_ends_at_the_first_possible_step(wait_s):
    """Each verdict alike."""
    assert train(StoppingRule(Clock()), make_profile(wait_s, 0.05, 100, noise=0.02)) == (FIRST_STABLE, Ending.STABLE)


def test_rule_judges_like_a_look_after_each_step():
    """It looks seldom, and ends at the first look after the step at which the verdict became stable."""
    compared = 0
    for seed in range(12):
        profile = make_profile(0.014, 0.05, 400, noise=0.5, seed=seed)
        stable = StableVerdict()
        each = next((c - WARM_UP for c in range(25, 401) if stable.add(diagnose(beginning(profile, c)))), None)
        found = train(StoppingRule(Clock()), profile)
        if each is None or found is None:
            assert each == found
            continue
        assert each <= found[0] < each + 20
        compared += each > FIRST_STABLE
    assert compared >= 3


def test_verdict_that_turns_is_waited_for():
    """A cache that fills: 24 steps that wait, then none that does. The first verdict does not last."""
    waits = [0.02] * 24 + [0.0] * 2000
    profile = dataclasses.replace(make_profile(), steps=make_steps(waits, 0.05, count=2000))
    measured, ending = train(StoppingRule(Clock()), profile)
    assert ending is Ending.STABLE
    assert measured > FIRST_STABLE


def test_looking_is_rare():
    """The profile is read once per twenty steps at most: a look lets the loader catch up."""
    reads = []
    rule, profile = StoppingRule(Clock()), make_profile(0.0126, 0.05, 300, noise=0.4, seed=3)
    for count in range(1, 300):
        rule.after_step(max(0, count - WARM_UP), lambda count=count: reads.append(count) or beginning(profile, count))
    assert 1 <= len(reads) <= 300 / 10
    assert min(np.diff(reads), default=20) >= 1


def test_training_ends_a_minute_after_its_first_step():
    """Sixty seconds from the end of the first step, however long that one took, and whatever the verdict is."""
    clock = Clock()
    rule = StoppingRule(clock)
    clock.now += 500  # compiling the first step
    assert train(rule, make_profile(0.05, 0.05, 100), seconds_per_step=2.0, clock=clock) == (
        31 - WARM_UP,
        Ending.TIME_OVER,
    )


def test_minute_is_one_of_the_clock_on_the_wall():
    """It begins once, with the first step of the first fit; what the script does between two fits counts, too."""
    clock = Clock()
    rule, profile = StoppingRule(clock), make_profile(0.05, 0.05, 15)
    assert train(rule, profile, seconds_per_step=2.0, clock=clock) is None  # 28 s
    clock.now += 25
    rule.begin_fit()
    assert train(rule, profile, seconds_per_step=2.0, clock=clock) == (0, Ending.TIME_OVER)


def test_second_fit_has_a_verdict_of_its_own():
    """Thirty steps of one fit and ten of another are no forty."""
    rule = StoppingRule(Clock())
    assert train(rule, make_profile(0.05, 0.05, 40)) is None
    rule.begin_fit()
    assert train(rule, make_profile(0.0, 0.05, 40)) is None
    rule.begin_fit()
    assert train(rule, make_profile(0.0, 0.05, 50)) == (FIRST_STABLE, Ending.STABLE)
