"""What asking for a batch costs, from samples that others on the machine disturb."""

from __future__ import annotations

import pytest

from kerasdiag.profiler.data_probe.price import KEPT_SAMPLES, SAMPLE_AGAIN_STEPS, SAMPLES, Price


def price_of(durations_s, limit_s=1.0):
    """A price whose samples take so long, on a clock of their own."""
    now = [0.0]
    left = iter([0.0, *durations_s])

    def action():
        now[0] += next(left)

    price = Price(action, lambda: now[0], limit_s)
    for _ in durations_s:
        price.sample()
    return price


@pytest.mark.parametrize(
    ("us", "seconds_us", "longest_us"),
    [
        ([100] * 12, 100, 100),
        ([100, 110, 120, 130, 140] * 4, 120, 140),
        ([100] * 7 + [5000] * 5, 100, 250),  # another program: neither price nor spread follow it
        ([100] * 5 + [2000] * 7, 150, 300),  # threads of the loader hold the interpreter
        ([90, 100, 110] * 4 + [190, 200, 210] * 4, 150, 210),  # the machine has become slower
        ([], 0, 0),
    ],
)
def test_price_follows_the_machine_and_no_hiccup(us, seconds_us, longest_us):
    """The median; and what nine in ten take, within 0.15 ms."""
    price = price_of([one * 1e-6 for one in us])
    assert price.seconds * 1e6 == pytest.approx(seconds_us)
    assert price.longest_s * 1e6 == pytest.approx(longest_us)


def test_price_is_no_more_than_its_limit():
    """Dearer is not asking, but waiting."""
    price = price_of([0.5] * 12, limit_s=0.3)
    assert price.seconds == 0.3


def test_price_is_followed_through_the_training():
    """At first with every step, later now and then, and what is long ago is forgotten."""
    price = price_of([0.001] * (SAMPLES - 1))
    assert price.is_due(3)
    price = price_of([0.001] * SAMPLES)
    assert [steps for steps in range(1, 200) if price.is_due(steps)] == [SAMPLE_AGAIN_STEPS * n for n in (1, 2, 3)]
    assert price_of([0.001] * 20 + [0.002] * KEPT_SAMPLES).seconds == pytest.approx(0.002)
