"""The input roofline on a machine that others use: which figure belongs to which workers, and what a profile shows."""

from __future__ import annotations

import dataclasses
import json
import platform

import pytest
from builders import make_census, make_data, make_environment, make_input, make_profile, make_reads, make_throughput
from doctor.planted import PlantedMachine
from doctor.test_checks import look, only

from kerasdiag.cli import main
from kerasdiag.doctor import runner
from kerasdiag.doctor.checks.image_files import unfit_image_files
from kerasdiag.doctor.checks.preparation import slow_image_preparation
from kerasdiag.doctor.checks.workers import unfit_workers
from kerasdiag.doctor.input_line import input_in_words
from kerasdiag.doctor.roofline import ImageCost, roofline
from kerasdiag.doctor.supply import shown_by_profile
from kerasdiag.environment.throughput.facts import AUGMENT, ImageWork, ThreadRate
from kerasdiag.findings import Severity

OF_PROFILE = ImageWork((256, 256), ("affine", "flip"), "the profile", "the profile")
# What the walk met: 2 cores, of which others had 0.7.
RATES = (ThreadRate(1, 93, 0.0107), ThreadRate(2, 94, 0.0107), ThreadRate(4, 121, 0.0107))
QUIET = (ThreadRate(1, 93, 0.0107), ThreadRate(2, 187, 0.0107), ThreadRate(4, 187, 0.0107))


def facts(rates=RATES, wait_s=0.19, workers=1, host="here", work=OF_PROFILE, **data):
    """A machine of 2 cores, and a training whose steps take 23 ms beside the wait: at 0.19 s it gets 150 images a second."""
    cores = 2
    throughput = make_throughput(cores=cores, stages_s=(0.0001, 0.0015, 0.0001, 0.0085, 0.0005), rates=rates, work=work)
    profile = make_profile(
        wait_s, 0.0233, training_input=make_input(workers=workers, **data), host=host, cores=cores, planned_steps_per_epoch=57
    )  # fmt: skip
    known = {"data": make_data(), "reads": make_reads(0.0002), "throughput": throughput, "available_bytes": 10**10}
    return {"cores": cores, "host": "here", "profile": profile, **known}


@pytest.mark.parametrize(
    ("seen", "best", "workers", "by_workers"),
    [
        ({1: 93, 2: 94, 4: 121}, 121, 4, (93, 94, 107.5, 121)),
        ({1: 93, 2: 187, 4: 187}, 187, 2, (93, 187, 187, 187)),
        ({1: 93, 2: 120, 4: 110}, 120, 2, (93, 120, 115, 110)),
        (
            {1: 93},
            200,
            2,
            (93, 200, 200, 200),
        ),  # where the time sufficed for one thread only, the model is all there is
        ({}, 200, 2, (100, 200, 200, 200)),
    ],
)
def test_the_workers_are_those_that_gave_the_figure(seen, best, workers, by_workers):
    """What four threads gave is not what two would: no prediction is above what was seen."""
    drawn = roofline(ImageCost({AUGMENT: 0.01}, {AUGMENT: 0.0}, 2), 2, seen)
    assert drawn.by_workers == pytest.approx(by_workers)
    assert (drawn.images_per_s, drawn.workers, drawn.limited_by) == (pytest.approx(best), workers, AUGMENT)


def test_the_head_has_the_figure_of_its_workers():
    """93 by 1, 94 by 2, 121 by 4 threads is 121 with 4."""
    head = input_in_words(make_environment(**{**facts(), "profile": None}))
    assert head["input"].startswith("at most 121 images/s with 4 workers;")
    assert head["busy"] == "others used about 0.7 of 2 cores meanwhile; without them the input gives more"


def test_a_profile_that_shows_more_is_the_floor():
    """The machine gave it: what the doctor measured beside others is no limit."""
    finding = only(look(slow_image_preparation, **facts()))
    assert finding.message == (
        "The training got 150 images/s (with 1 worker; limited by augmentation), and the training could take 1,373."
    )
    assert (finding.numbers["images_per_s"], finding.numbers["workers"]) == (pytest.approx(150, abs=0.1), 1)
    said = "others used about 0.7 of 2 cores meanwhile, and the profile shows 150 images/s with 1 worker"
    assert said in [fact.text for fact in finding.evidence]
    assert finding.remedy.text.startswith("How many workers help, only a measurement on an idle machine tells. autofix")
    assert input_in_words(make_environment(**facts()))["busy"] == said
    # By what the training got, nothing but the wait is lost.
    assert finding.price.value == pytest.approx(57 * 0.19)


@pytest.mark.parametrize(
    ("rates", "wait_s", "severity"),
    [
        (RATES, 0.19, Severity.WARN),  # the profile shows more than was measured, and others were there
        (RATES, 0.25, Severity.WARN),  # others were there
        (QUIET, 0.25, Severity.ERROR),
        (QUIET, 0.14, Severity.ERROR),  # the training got 196: not more than what scatters
        (QUIET, 0.13, Severity.WARN),  # 209, though nobody was seen
    ],
)
def test_a_busy_machine_makes_no_error(rates, wait_s, severity):
    """What an idle one would give is not known."""
    assert only(look(slow_image_preparation, **facts(rates, wait_s))).severity is severity


def test_a_profile_that_shows_more_where_nobody_was_seen():
    """Others may be gone by the time that the threads outnumber the cores."""
    finding = only(look(slow_image_preparation, **facts(QUIET, 0.13)))
    said = "the profile shows 209 images/s with 1 worker, so the machine was busy when this was measured"
    assert said in [fact.text for fact in finding.evidence]


def test_a_profile_of_all_that_the_training_takes():
    """A training that hardly waits got what it takes, whatever the roofline says."""
    finding = only(look(slow_image_preparation, **facts(RATES, 0.001)))
    assert (finding.severity, finding.price.value) == (Severity.INFO, pytest.approx(57 * 0.001))


@pytest.mark.parametrize(
    "changes",
    [
        {"host": "elsewhere"},
        {"work": dataclasses.replace(OF_PROFILE, size_said_by="--target-size")},
        {"work": dataclasses.replace(OF_PROFILE, steps_said_by="--augmentation")},
        {"work": dataclasses.replace(OF_PROFILE, left_out=("preprocessing_function",))},
        {"use_multiprocessing": True},
        {"wait_s": 0.25},  # 117 images a second
    ],
)
def test_what_cannot_be_compared(changes):
    """Another machine, other work, processes; and a training that got no more."""
    assert shown_by_profile(make_environment(**facts())) is not None
    assert shown_by_profile(make_environment(**facts(**changes))) is None


def test_workers_beside_a_profile_that_shows_more():
    """A measurement that the training refutes says nothing of workers; and the guess in its place is no error."""
    finding = only(look(unfit_workers, **facts()))
    assert (finding.severity, finding.price.basis.startswith("at most, if 2 workers")) == (Severity.WARN, True)
    quiet = only(look(unfit_workers, **facts(QUIET, 0.4)))
    assert quiet.severity is Severity.ERROR
    assert quiet.price.basis.startswith("by what was measured here, 2 workers were 2 times as fast")


def test_large_images_count_the_same_workers():
    """KD313 names the number of the head."""
    known = {**facts(), "profile": None}
    known["throughput"] = dataclasses.replace(known["throughput"], census=make_census(size=(1000, 1000)))
    assert "for each image with 4 workers," in only(look(unfit_image_files, **known)).price.basis


def test_on_the_command_line(tmp_path, monkeypatch, capsys):
    """The host of the machine is held against that of the profile, and the head tells it too."""
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.setattr(platform, "node", lambda: "here")
    machine = PlantedMachine(tmp_path / "machine")
    machine.throughput = {"rates": tuple(ThreadRate(count, 40, 0.01) for count in (1, 2, 4, 8, 16)), "work": OF_PROFILE}
    monkeypatch.setattr(runner, "Sources", machine.sources)
    facts()["profile"].save(tmp_path / "run.kdprof.json")
    arguments = ["--profile", str(tmp_path / "run.kdprof.json"), "--select", "KD314", "--format", "json"]
    main(["doctor", "--data", machine.photos(), *arguments])
    report = json.loads(capsys.readouterr().out)
    assert report["facts"]["busy"].endswith("the profile shows 150 images/s with 1 worker")
    assert report["findings"][0]["message"].startswith("The training got 150 images/s (with 1 worker;")
