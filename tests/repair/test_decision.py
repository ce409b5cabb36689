"""Evidence and decision: every verdict, whose input it is about, and what an earlier run left behind."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from builders import make_input, make_profile

from kerasdiag.ceilings.value import CEILINGS_METHOD, Ceilings
from kerasdiag.diagnosis import diagnose
from kerasdiag.environment.window import MachineWindow
from kerasdiag.errors import EvidenceError, ProfileFileError
from kerasdiag.input_identity import TF_DATA, InputIdentity
from kerasdiag.profile import RunProfile
from kerasdiag.profile_cache import save_last_profile
from kerasdiag.repair import decision
from kerasdiag.repair.decision import decide

ME = make_input(n=900)
VALIDATION = make_input(n=100, subset="validation")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("KERASDIAG_CACHE_DIR", str(tmp_path))
    return tmp_path


def profile(wait_s=0.1, **facts):
    facts = {"training_input": ME, "validation_input": VALIDATION, "planned_steps_per_epoch": 28, **facts}
    return make_profile(wait_s, 0.05, **facts)


def test_input_bound_repairs():
    """The reason holds verdict, share, machine and time."""
    made = decide(ME, profile(), "bottleneck")
    assert made.repair
    assert made.reason == (
        "input-bound: the training waited for data 67% of its time (measured on workstation at 2026-11-23 10:00 UTC)"
    )
    assert (made.verdict, made.planned_steps) == ("input-bound", 28)


@pytest.mark.parametrize(("share", "is_said"), [(0.4, True), (0.05, False), (None, False)])
def test_a_quota_that_stopped_the_training_is_named(share, is_said):
    """A cache does not mend it."""
    made = decide(ME, profile(machine=MachineWindow(60.0, throttled_fraction=share)), "bottleneck")
    assert made.repair
    assert ("stopped it in 40% of the quota's periods meanwhile, so raise that first" in made.reason) is is_said


@pytest.mark.parametrize(
    ("wait_s", "facts", "words"),
    [
        (0.0, {}, "compute-bound: the training waited for data 0% of its time, so a repair would bring little"),
        (0.006, {}, "partly-input-bound: the training waited for data 11% of its time, below the 20%"),
        (0.1, {"count": 24}, "not-enough-data: too few steps"),
        (0.1, {"method": None, "not_measured": {"data_wait": "x"}}, "unknown: the data wait of that run could not be"),
    ],
)
def test_other_verdicts_keep_the_generator(wait_s, facts, words):
    """Each says why, and what to type."""
    made = decide(ME, profile(wait_s, **facts), "bottleneck")
    assert not made.repair
    assert words in made.reason
    assert 'when="always"' in made.reason


@pytest.mark.parametrize(("fraction", "repairs"), [(0.3, True), (0.1, False), (None, False)])
def test_mixed_repairs_with_as_much_wait(monkeypatch, fraction, repairs):
    """A training that waits a fifth of its time is worth it, whatever else slows it."""
    monkeypatch.setattr(
        decision, "diagnose", lambda _: SimpleNamespace(verdict="mixed", data_wait_fraction=fraction, findings=())
    )
    assert decide(ME, profile(), "bottleneck").repair == repairs


def test_always_repairs_whatever_the_evidence_says():
    """And still takes the steps of a fit on this input."""
    for evidence in (None, profile(0.0), profile(count=10)):
        assert decide(ME, evidence, "always").repair
    assert decide(ME, profile(0.0), "always").planned_steps == 28


def test_verdict_holds_for_both_inputs():
    """A fit's verdict is about its validation input, too; but the planned steps are those of training."""
    made = decide(VALIDATION, profile(), "bottleneck")
    assert made.repair
    assert made.planned_steps is None


def test_another_input_is_no_evidence():
    """The line names both."""
    other = make_input(n=55, batch_size=8, target_size=(10, 20), subset="training")
    made = decide(other, profile(), "bottleneck")
    assert not made.repair
    assert "about another input: DataFrameIterator (900 rows" in made.reason
    assert "this one is DataFrameIterator (55 rows, batches of 8, subset 'training', 10x20)" in made.reason
    assert decide(other, profile(), "always").planned_steps is None


def test_workers_do_not_make_another_input():
    """Who raised the workers between two runs trains on the same input."""
    assert decide(make_input(n=900, workers=8), profile(), "bottleneck").repair


@pytest.mark.parametrize("kind", ["profile", "diagnosis", "profiler", "path", "str"])
def test_every_kind_of_evidence(kind, tmp_path):
    """Whatever carries a profile."""
    known = profile()
    known.save(tmp_path / "run.kdprof.json")
    evidence = {
        "profile": known,
        "diagnosis": diagnose(known),
        "profiler": SimpleNamespace(profile=known),
        "path": tmp_path / "run.kdprof.json",
        "str": str(tmp_path / "run.kdprof.json"),
    }[kind]
    made = decide(ME, evidence, "bottleneck")
    assert made.repair
    assert made.planned_steps == 28
    assert ("run.kdprof.json" in made.reason) == (kind in ("path", "str"))


def test_no_evidence_at_all():
    """The line says how to get some."""
    made = decide(ME, None, "bottleneck")
    assert not made.repair
    assert "no run with BottleneckProfiler has judged this input yet" in made.reason


@pytest.mark.parametrize("evidence", [None, SimpleNamespace(profile=RunProfile()), SimpleNamespace(profile=None)])
def test_an_earlier_run_is_found(evidence):
    """No evidence, or a profiler before its first fit: what the last run on this input saved."""
    save_last_profile(profile())
    made = decide(ME, evidence, "bottleneck")
    assert made.repair
    assert "from an earlier run, measured on workstation at 2026-11-23 10:00 UTC" in made.reason
    assert made.planned_steps == 28
    assert decide(VALIDATION, evidence, "bottleneck").repair
    assert not decide(make_input(n=901), evidence, "bottleneck").repair


def test_own_evidence_comes_before_that_of_an_earlier_run():
    """What was measured now counts."""
    save_last_profile(profile())
    assert not decide(ME, profile(0.0), "bottleneck").repair


def test_what_is_no_evidence(tmp_path):
    """One sentence for each kind of mistake."""
    with pytest.raises(EvidenceError, match=r"cannot read int as evidence.*BottleneckProfiler"):
        decide(ME, 3, "bottleneck")
    with pytest.raises(ProfileFileError, match=r"absent.json"):
        decide(ME, tmp_path / "absent.json", "bottleneck")


def apart(input_s, step_s, **facts):
    """What measuring input and model apart gives, as for a model as evidence."""
    return RunProfile(
        host="workstation",
        created_at="2026-11-23T10:00:00+00:00",
        state="completed",
        training_input=ME,
        method=CEILINGS_METHOD,
        ceilings=Ceilings(input_s=input_s, step_s=step_s, steps=20),
        **facts,
    )


@pytest.mark.parametrize(
    ("input_s", "repair", "end"),
    [
        (1.0, True, " (measured on workstation at 2026-11-23 10:00 UTC)"),
        (0.05, False, ", so a repair would bring little (measured on workstation at 2026-11-23 10:00 UTC); "),
        (0.055, False, ", below the 20% at which a repair is made by itself (measured on workstation at "),
    ],
)
def test_what_was_measured_apart_is_no_training_that_ran(input_s, repair, end):
    """The sentence says how it is known, and does not speak of a training that has waited."""
    made = decide(ME, apart(input_s, 0.05), "bottleneck")
    assert made.repair is repair
    share = max(0, 1 - 0.05 / input_s)
    assert (
        f"bound: input and step were measured apart, and a training of them would wait for data {share:.0%} of its time{end}"
        in made.reason
    )
    assert "the training waited" not in made.reason


@pytest.mark.parametrize("about", [None, "itself", "another"])
@pytest.mark.parametrize("wait_s", [0.0, 0.006, 0.1])
def test_a_dataset_is_not_told_to_repair_anyway(about, wait_s):
    """It comes back as it is whatever is asked for, so no advice says otherwise."""
    dataset = InputIdentity(TF_DATA, "_RangeDataset")
    known = None if about is None else profile(wait_s, training_input=dataset if about == "itself" else ME)
    reason = decide(dataset, known, "bottleneck").reason
    assert about is None or "when=" not in reason
    assert about != "another" or reason.endswith("Train with this one and the profiler")
