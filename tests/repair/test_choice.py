"""Which repair is the smallest that is enough: the rule, and what is remembered of it."""

from __future__ import annotations

import dataclasses
import json

import pytest
from builders import make_input, make_profile
from repair.generators import ARTICLE, make_generator, write_images

from kerasdiag import RunProfile
from kerasdiag.input_identity import identify_input
from kerasdiag.repair.choice.candidate import DISK, MEMORY, NONE, WORKERS, Candidate, Choice, Need, climb
from kerasdiag.repair.choice.remember import Memory, forget_all, list_choices
from kerasdiag.repair.choice.table import lines, lines_of_memory
from kerasdiag.repair.decision import decide
from kerasdiag.repair.read_generator import read_spec
from kerasdiag.repair.request import Request

GPU = Need(1000, 100, shares_cores=False)
CPU = Need(1000, 100, shares_cores=True)


def candidates(workers=(200, 400), none=900, disk=5000, memory=5000):
    """The ladder with these predictions; None: not possible."""
    rows = [
        *[(WORKERS, f"workers={2 ** (number + 1)}", one) for number, one in enumerate(workers)],
        (NONE, "files", none), (DISK, "store", disk), (MEMORY, "memory", memory),
    ]  # fmt: skip
    return [
        Candidate(
            kind,
            text,
            workers=int(text.split("=")[1]) if kind == WORKERS else None,
            predicted=rate,
            impossible=None if rate else "no",
        )
        for kind, text, rate in rows
    ]


def chosen(ladder, need, truth=None):
    """What is chosen, and in which order candidates were tried, if measuring gives ``truth``."""
    tried = []

    def measure(candidate):
        tried.append(candidate.text)
        rate = (truth or {}).get(candidate.text)
        return candidate if rate is None else dataclasses.replace(candidate, measured=rate)

    _, found = climb(ladder, need, measure)
    return found.text, tried


@pytest.mark.parametrize(
    ("ladder", "need", "truth", "expected"),
    [
        (candidates(), GPU, {}, "store"),
        (candidates(workers=(200, 2000)), GPU, {}, "workers=4"),
        # Predicted enough, measured not: the next one is tried.
        (candidates(workers=(200, 2000)), GPU, {"workers=4": 300}, "store"),
        (candidates(workers=(1500, 2000)), GPU, {"workers=2": 500}, "store"),  # 4 give 1,000 at most then
        (candidates(none=2000), GPU, {"files": 1900}, "files"),
        (candidates(none=1600), GPU, {"files": 1000}, "store"),
        (candidates(disk=None), GPU, {}, "memory"),
        (candidates(disk=None, memory=None), GPU, {}, "files"),
        (
            candidates(none=300, disk=310, memory=310),
            GPU,
            {},
            "workers=4",
        ),  # nothing feeds it: the least that is as good
        # Where the model computes on the same cores, what the input leaves over counts.
        (candidates(none=2000), CPU, {}, "store"),
        (candidates(none=4700), CPU, {}, "files"),
    ],
)
def test_smallest_that_is_enough(ladder, need, truth, expected):
    """Within 5 % of the best; by what was measured wherever something was."""
    assert chosen(ladder, need, truth)[0] == expected


def test_only_what_may_be_chosen_is_measured():
    """Two workers that give 200 at most need not be tried for a training that takes 1,000."""
    assert chosen(candidates(), GPU)[1] == ["store"]
    assert chosen(candidates(none=2000), GPU, {"files": 400})[1] == ["files", "store"]


def test_nothing_is_chosen_where_nothing_is_possible():
    """That is an answer, too."""
    assert climb(candidates((None, None), None, None, None), GPU, lambda one: one)[1] is None


def test_workers_are_slowed_within_the_training_as_the_generator_was():
    """It gave 300 alone and 100 in the training: two workers that give 600 alone are good for 200 there."""
    ladder = [dataclasses.replace(one, slowed=1 / 3) if one.workers else one for one in candidates((600, 1200))]
    assert chosen(ladder, Need(250, 100, shares_cores=False))[0] == "workers=4"
    assert chosen(candidates((600, 1200)), Need(250, 100, shares_cores=False))[0] == "workers=2"


@pytest.mark.parametrize(
    ("need", "rate", "expected"),
    [
        (GPU, 100, 100 / 1.023),  # far too slow: the input sets the pace
        (GPU, 1300, 1000),
        (GPU, 9000, 1000),
        (CPU, 1000, 500),  # one after the other
        (CPU, 1e9, 1000),
    ],
)
def test_what_a_training_becomes(need, rate, expected):
    """Never faster than it could be, nor than its input."""
    assert need.trains_at(rate) == pytest.approx(expected, rel=0.01)


def test_gain_is_counted_from_what_the_training_gets_now():
    """And it is unknown where nobody has measured that, as for the validation."""
    store = candidates()[3]
    assert Choice(GPU, (store,), store, "").gain(5000) == pytest.approx(10)
    assert Choice(Need(1000, None, shares_cores=False), (store,), store, "").gain(5000) is None
    assert Choice(GPU, (store,), store, "").is_enough(2000)
    assert not Choice(GPU, (store,), store, "").is_enough(500)


def test_the_table(golden):
    """All candidates with their numbers, the impossible ones with their reason."""
    ladder = candidates(disk=None)
    ladder[1] = dataclasses.replace(ladder[1], measured=345.6)
    choice = Choice(GPU, tuple(ladder), ladder[-1], "with anything smaller the training would reach 780 images/s")
    golden("choice_table.txt", "\n".join(lines(choice)) + "\n")


def test_a_disk_that_turns_out_too_slow_makes_it_memory():
    """The choice is then another one, with what was measured of the disk, and both lines say the same."""
    ladder = [*candidates()[:3], Candidate(DISK, "store", predicted=5000), Candidate(MEMORY, "memory", predicted=5000)]
    on_disk = Choice(CPU, tuple(ladder), ladder[3], "with anything smaller the training would reach 780 images/s")
    assert lines(on_disk)[-1] == (
        "chosen: store; with anything smaller the training would reach 780 images/s. If the disk turns out too slow for "
        "it, the store is read into memory once it is made."
    )
    in_memory = on_disk.in_memory(1000)
    assert (in_memory.chosen.repair, in_memory.candidates[3].measured) == (MEMORY, 1000)
    assert lines_of_memory(in_memory, 1000) == [
        "the store is there, and from the disk this dataset gives 1,000 images/s, which is not enough.",
        "chosen instead: memory; from the disk the training would reach 500 images/s, from memory up to 833.",
    ]
    marked = [line for line in lines(in_memory) if line.endswith("<- chosen")]
    assert len(marked) == 1
    assert "  memory " in marked[0]
    alone = Choice(CPU, (ladder[3],), ladder[3], "the only one that is possible")
    assert lines(alone)[-1] == "chosen: store; the only one that is possible."


@pytest.mark.parametrize("is_apart", [True, False])
def test_what_was_measured_apart_is_not_called_a_training(is_apart):
    """No fit has run."""
    need = Need(1000, 100, shares_cores=False, is_measured_apart=is_apart)
    ladder = candidates()
    head = lines(Choice(need, tuple(ladder), ladder[3], "so"))[0]
    would = "input and model were measured apart: a training of them would get 100 images/s and could take 1,000."
    assert head.startswith(would if is_apart else "this training gets 100 images/s and could take 1,000.")


# --- What is remembered ------------------------------------------------------------------------------


@pytest.fixture
def generator(tmp_path, monkeypatch):
    monkeypatch.setenv("KERASDIAG_CACHE_DIR", str(tmp_path / "cache"))
    frame = write_images(tmp_path / "images", 8)
    return make_generator(frame, tmp_path / "images", options=ARTICLE)


def make_request(**changes):
    defaults = {
        "evidence": None, "when": "bottleneck", "cache_dir": None, "mode": "exact", "steps_per_epoch": None,
        "storage": "auto", "bad_images": "raise", "on_error": "raise", "recheck": True, "verbose": 1,
    }  # fmt: skip
    return Request(**{**defaults, **changes})


def memory_of(generator, cores=2, **changes):
    return Memory(identify_input(generator), read_spec(generator), make_request(**changes), cores)


NO_EVIDENCE = decide(make_input(), make_profile(0.0), "bottleneck")


@pytest.mark.parametrize("candidate", candidates()[:3], ids=lambda one: one.text)
def test_a_choice_comes_back(generator, candidate):
    """In another process, for the same rows, options, mode and cores; a store that is there by now wins."""
    assert memory_of(generator).repair(NO_EVIDENCE, has_store=False) is None
    memory_of(generator).keep(candidate, "the smallest one", 1)
    found = memory_of(generator).repair(NO_EVIDENCE, has_store=False)
    assert (found.repair, found.workers, found.reason) == (candidate.repair, candidate.workers, "the smallest one")
    assert "DataFrameIterator (8 rows, batches of 7, 32x28)" in found.input
    assert memory_of(generator).repair(NO_EVIDENCE, has_store=True) is None
    assert memory_of(generator, cores=8).repair(NO_EVIDENCE, has_store=False) is None
    for changes in ({"mode": "replay"}, {"when": "always"}, {"storage": "disk"}):
        assert memory_of(generator, **changes).repair(NO_EVIDENCE, has_store=False) is None
    generator.image_data_generator.rotation_range = 31
    assert memory_of(generator).repair(NO_EVIDENCE, has_store=False) is None


def test_memory_is_remembered_beside_its_store_only(generator):
    """Without the store the images would have to be converted, and that is for the evidence to decide."""
    memory_of(generator).keep(candidates()[-1], "", 1)
    assert memory_of(generator).repair(NO_EVIDENCE, has_store=False) is None
    assert memory_of(generator).repair(NO_EVIDENCE, has_store=True).repair == MEMORY


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: "[]",
        lambda text: json.dumps({**json.loads(text), "kerasdiag_repair": 99}),
        lambda text: json.dumps({**json.loads(text), "workers": 0}),
        lambda text: json.dumps({**json.loads(text), "workers": "many"}),
        lambda text: json.dumps({**json.loads(text), "repair": "prayer"}),
        lambda text: json.dumps({**json.loads(text), "more": 1}),
        lambda text: "",
    ],
)
def test_a_damaged_choice_is_none(generator, damage):
    """The comparison is then made again."""
    memory_of(generator).keep(candidates()[0], "", 1)
    path, _ = list_choices()[0]
    path.write_text(damage(path.read_text(encoding="utf-8")), encoding="utf-8")
    assert memory_of(generator).repair(NO_EVIDENCE, has_store=False) is None
    assert list_choices() == []


def test_a_choice_that_cannot_be_kept_is_said(generator, tmp_path, capsys):
    """It is applied all the same."""
    (tmp_path / "cache").write_text("a file where the directory should be")
    memory_of(generator).keep(candidates()[0], "", 1)
    assert "so the next run compares again" in capsys.readouterr().err


def test_forgetting(generator):
    """All of them, and their number."""
    memory_of(generator).keep(candidates()[0], "", 1)
    memory_of(generator, mode="replay").keep(candidates()[2], "", 1)
    assert [one.repair for _, one in list_choices()].count(WORKERS) == 1
    assert forget_all() == 2
    assert list_choices() == []


def evidence(generator, workers, created_at, wait_s=0.1):
    identity = dataclasses.replace(identify_input(generator), workers=workers)
    profile = make_profile(wait_s, 0.05, training_input=identity, created_at=created_at)
    assert isinstance(profile, RunProfile)
    return decide(identify_input(generator), profile, "bottleneck")


@pytest.mark.parametrize(
    ("workers", "created_at", "wait_s", "is_outgrown"),
    [
        (2, "2099-01-01T00:00:00+00:00", 0.1, True),
        (2, "2099-01-01T00:00:00+00:00", 0.0, False),  # it waits no more
        (1, "2099-01-01T00:00:00+00:00", 0.1, False),  # they were not used
        (2, "2001-01-01T00:00:00+00:00", 0.1, False),  # that was before
    ],
)
def test_workers_that_were_not_enough_are_not_given_again(generator, workers, created_at, wait_s, is_outgrown):
    """Told by a later training that had them and still waited."""
    memory_of(generator).keep(candidates()[0], "", 1)
    decision = evidence(generator, workers, created_at, wait_s)
    assert (memory_of(generator).repair(decision, has_store=False) is None) == is_outgrown
