"""The trainings of the demo, as far as they can be seen without one."""

from __future__ import annotations

from builders import make_profile

from kerasdiag.demo import training
from kerasdiag.demo.training import steady_from, steps_for
from kerasdiag.diagnosis import MIN_MEASURED_STEPS, diagnose


def test_batches_that_lay_in_the_queue_are_not_counted():
    """The first steps after tracing find their batches ready: they would flatter the generator."""
    first = steady_from(4)
    profile = make_profile(wait_s=[0.0] * first + [0.2] * 30, step_s=0.05, count=first + 30)
    assert diagnose(profile).data_wait_fraction < 0.75
    steady = diagnose(training._steady(profile, first))
    assert abs(steady.data_wait_fraction - 0.8) < 1e-9
    assert steady.measured_steps == 30


def test_a_fit_is_long_enough_for_a_verdict():
    """Whatever waits in the queue, enough steady steps come after it."""
    for workers in (1, *training.WORKERS):
        assert steps_for(workers) - steady_from(workers) >= MIN_MEASURED_STEPS
