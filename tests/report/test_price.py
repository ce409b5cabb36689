"""What the waiting costs, where the plan is known and where it is not."""

from __future__ import annotations

import dataclasses

from builders import make_profile, make_steps

from kerasdiag.diagnosis import diagnose
from kerasdiag.report.price import price_of_waiting


def price(**facts):
    return price_of_waiting(diagnose(make_profile(0.05, 0.05, 100, **facts)))


def test_price_of_a_planned_training():
    """Mean wait times planned steps times planned epochs."""
    assert price(planned_steps_per_epoch=100, planned_epochs=12) == (
        "The training waits 50.0 ms per step, 5.0 s per epoch of 100 steps, 60.0 s in the 12 epochs planned."
    )
    assert price(planned_steps_per_epoch=6000, planned_epochs=1).endswith(
        "5 min per epoch of 6,000 steps, the only one planned."
    )
    assert price(planned_steps_per_epoch=60000, planned_epochs=100).endswith("83.3 h in the 100 epochs planned.")


def test_steps_that_nobody_knows_are_not_guessed():
    """In the first epoch of an endless generator; after it they have been counted."""
    assert "known only when one has ended" in price(planned_steps_per_epoch=None, planned_epochs=3)
    assert "50.0 s per 1,000 steps" in price(planned_steps_per_epoch=None)
    two = dataclasses.replace(
        make_profile(planned_steps_per_epoch=None, planned_epochs=3), steps=make_steps(0.05, 0.05, 80, epochs=2)
    )
    assert "2.0 s per epoch of 40 steps, 6.0 s in the 3 epochs" in price_of_waiting(diagnose(two))


def test_epochs_that_nobody_knows_are_not_guessed():
    """A loop of the user's own says nothing of its length."""
    assert price(planned_epochs=None).endswith("how many epochs are planned is not known.")


def test_resumed_training_pays_for_what_is_left():
    """initial_epoch=8 of 10 leaves two."""
    steps = dataclasses.replace(make_steps(0.05, 0.05, 40), epoch=(8,) * 40)
    profile = dataclasses.replace(make_profile(planned_steps_per_epoch=40, planned_epochs=10), steps=steps)
    assert "4.0 s in the 2 epochs planned" in price_of_waiting(diagnose(profile))


def test_unmeasured_wait_has_no_price():
    """It is not free."""
    assert "not known" in price_of_waiting(diagnose(make_profile(count=0)))
