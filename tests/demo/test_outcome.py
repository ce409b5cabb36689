"""Whether the demo's story holds is decided by numbers, on both sides of each limit."""

from __future__ import annotations

import dataclasses

import pytest
from builders import make_profile

from kerasdiag.cli import main
from kerasdiag.demo import story
from kerasdiag.demo.outcome import Outcome, Run
from kerasdiag.demo.saved import figures, load, save
from kerasdiag.demo.table import notes, render
from kerasdiag.diagnosis import diagnose
from kerasdiag.errors import DataError
from kerasdiag.report.terminal import duration


def make_run(name, wait_s, step_s, batch_size=32):
    return Run(name, diagnose(make_profile(wait_s=wait_s, step_s=step_s)), batch_size)


def make_outcome(before=(0.9, 0.03), best=(0.15, 0.03), after=(0.0005, 0.035), **facts):
    defaults = {"conversion_s": 2.0, "converted": 400, "kernel": "compiled"}
    return Outcome(
        make_run("generator, workers=1", *before),
        make_run("generator, workers=4 (best)", *best),
        after and make_run("autofix", *after),
        **{"cached_step_s": 0.03, "generator_batch_s": 0.15, **defaults, **facts},
    )


def test_the_story_holds():
    """Input-bound before, no wait after, and more than 3 times as fast: nothing to complain about."""
    outcome = make_outcome()
    assert outcome.failures == ()
    assert outcome.speedup == pytest.approx(0.18 / 0.0355)
    assert outcome.after.images_per_s == pytest.approx(32 / 0.0355)


@pytest.mark.parametrize(
    ("facts", "sentence"),
    [
        ({"before": (0.59, 0.41)}, "Before the repair the verdict was input-bound with 59.0 %"),
        ({"before": (0.0, 0.03)}, "Before the repair the verdict was compute-bound"),
        ({"after": (0.051, 0.949), "best": (5.0, 1.0)}, "After the repair 5.1 %"),
        ({"best": (0.0, 0.1055)}, "became 3.0 times faster"),
        ({"after": None}, "Nothing was repaired"),
        ({"cached_step_s": 0.0224}, "its step takes 15%"),
        ({"cached_step_s": 0.0376}, "its step takes 25%"),
    ],
)
def test_each_broken_promise_is_named(facts, sentence):
    """What the machine did not show is said with its number."""
    assert any(sentence in failure for failure in make_outcome(**facts).failures)


@pytest.mark.parametrize(
    "facts",
    [
        {"before": (0.6001, 0.3999)},
        {"after": (0.049, 0.951), "best": (5.0, 1.0)},
        {"best": (0.0, 0.108)},
        {"cached_step_s": 0.0226},
        {"cached_step_s": 0.0374},
    ],
)
def test_just_inside_the_limits_is_enough(facts):
    """The limits are the promised ones: 60 %, 5 %, 3 times, a model of 15 to 25 %."""
    assert make_outcome(**facts).failures == ()


@pytest.mark.parametrize(
    ("before", "honest"), [((0.0, 0.05), True), ((0.01, 0.09), True), ((0.03, 0.07), False), ((0.9, 0.03), False)]
)
def test_only_a_verdict_that_says_so_needs_no_repair(before, honest, monkeypatch, capsys):
    """With the user's images: exit code 0 where the input is not the bottleneck, 1 where nothing is known of it."""
    outcome = make_outcome(before=before, after=None)
    assert outcome.needs_no_repair is honest
    monkeypatch.setattr(story, "run_demo", lambda options: outcome)
    assert main(["demo", "--data", "."]) == (0 if honest else 1)
    assert ("is not what holds this training up" in capsys.readouterr().out) is honest
    assert main(["demo"]) == 1


def test_an_unknown_verdict_is_not_an_honest_no(monkeypatch):
    """Too few steps, or a wait that could not be measured, say nothing about the input."""
    for profile in (make_profile(count=10), make_profile(not_measured={"data_wait": "a TPU"})):
        run = Run("generator, workers=1", diagnose(profile), 32)
        assert not Outcome(run, run, None, 0.03, 0.15).needs_no_repair


def test_missing_numba_is_named_when_it_explains_the_failure():
    """Without the compiled kernel the repair is no faster, and the reader learns why."""
    slow = make_outcome(best=(0.0, 0.05), kernel="scipy", kernel_reason="Numba is not installed")
    assert "The augmentation ran through SciPy: Numba is not installed." in slow.failures


def test_break_even_counts_each_image():
    """400 images in 2 s; an image costs 5.6 ms before and 1.1 ms after: 5 ms are earned back by 4.5 ms an epoch."""
    assert make_outcome().break_even_epochs == pytest.approx((2 / 400) / ((0.18 - 0.0355) / 32))
    assert make_outcome(conversion_s=None).break_even_epochs is None
    assert make_outcome(best=(0.0, 0.03)).break_even_epochs is None


def test_the_table_shows_what_was_measured(golden):
    """Three rows, images a second, step, wait, GPU, and what follows from them."""
    golden("demo_80.txt", render(make_outcome()))
    assert max(map(len, render(make_outcome(), width=80).splitlines())) <= 80
    render(make_outcome(), ascii_only=True).encode("ascii")


def test_the_table_of_a_training_that_needed_no_repair():
    """No third row, and nothing about a conversion."""
    text = render(make_outcome(after=None, conversion_s=None, before=(0.0, 0.05)))
    assert "autofix" not in text
    assert not [line for line in notes(make_outcome(after=None, conversion_s=None)) if "onvert" in line]


def test_the_default_may_be_the_best():
    """One row for both."""
    outcome = make_outcome()
    text = render(dataclasses.replace(outcome, best=outcome.before))
    assert text.count("generator, workers=1") == 1
    assert "workers=4" not in text
    assert "times faster than before" not in text


def test_the_figures_are_those_of_the_table():
    """What is saved is what was shown."""
    outcome = make_outcome()
    saved = figures(outcome)
    assert [run["step_s"] for run in saved["runs"]] == [
        outcome.before.step_s,
        outcome.best.step_s,
        outcome.after.step_s,
    ]
    assert saved["speedup"] == outcome.speedup
    assert saved["runs"][0]["gpu_utilization_percent"] is None


def test_a_saved_demo_is_read_back(tmp_path):
    """The pictures of the README are made from it."""
    outcome = make_outcome(kernel="scipy", kernel_reason="Numba is not installed")
    save(outcome, tmp_path)
    assert load(tmp_path) == outcome
    assert load(tmp_path).speedup == outcome.speedup
    with pytest.raises(DataError, match="holds no demo saved"):
        load(tmp_path / "absent")


@pytest.mark.parametrize(("best_s", "is_faster"), [(0.15, True), (0.9, False), (0.95, False)])
def test_more_workers_that_do_not_pay_are_said(best_s, is_faster, capsys):
    """The run that was announced does not vanish from the table without a word."""
    default, best = make_run("generator, workers=1", 0.9, 0.03), make_run("generator, workers=2 (best)", best_s, 0.03)
    first, second = story._better(default, best)
    said = " ".join(capsys.readouterr().out.split())
    if is_faster:
        assert (first, second, said) == (default, best, "")
        return
    assert first == second == dataclasses.replace(default, name="generator, workers=1 (best)")
    assert said == (
        f"It made a step of {duration(best.step_s)}, no shorter than the {duration(0.93)} of workers=1: with this model "
        "workers=1 is the generator's best."
    )
