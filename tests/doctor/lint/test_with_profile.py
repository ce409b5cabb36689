"""Rules about scripts beside a profile: what it has measured is not asked for again."""

from __future__ import annotations

import json

import pytest
from builders import make_environment, make_input, make_packages, make_profile, make_scripts
from doctor.lint.scripts import EXAMPLES, GENERATOR

from kerasdiag.cli import main
from kerasdiag.diagnosis import diagnose
from kerasdiag.doctor.checks import CHECKS
from kerasdiag.doctor.selection import find_check

FIT = "model.fit(train, epochs=3)\n"
WAITS, PARTLY, HARDLY = make_profile(0.45, 0.05), make_profile(0.006, 0.05), make_profile(0.0005, 0.05)
TOO_SHORT = make_profile(0.45, 0.05, 12)


def look(code, source, profile=None, file="run.kdprof.json", **facts):
    """The one finding of a check in a script."""
    environment = make_environment(scripts=make_scripts(source), profile=profile, profile_file=file, **facts)
    (finding,) = find_check(CHECKS, code).examine(environment).findings
    return finding


@pytest.mark.parametrize(
    ("profile", "words"),
    [
        (None, "a profile of its training would (--profile FILE)"),
        (WAITS, "at most 90.0 % of the training time, which waited for data (the profile)"),
        (HARDLY, "at most 1.0 % of the training time, which waited for data (the profile)"),
        (TOO_SHORT, "the profile has too few measured steps for a verdict, or no wait"),
    ],
)
@pytest.mark.parametrize("code", ["KD704", "KD705", "KD709", "KD713"])
def test_the_price_of_waiting(code, profile, words):
    """A profile knows the whole of which a rule is a part; it is not asked for where it was given."""
    price = look(code, EXAMPLES[code].source, profile).price
    assert (price.value, words in price.basis) == (None, True), price.basis


@pytest.mark.parametrize("code", ["KD711", "KD714"])
def test_the_price_of_other_time(code):
    """The wait is no bound of what the device or a callback does meanwhile."""
    assert look(code, EXAMPLES[code].source).price.basis.endswith("(--profile FILE)")
    assert look(code, EXAMPLES[code].source, WAITS).price.basis == (
        "the profile does not tell what part of the training time this takes"
    )


def test_a_training_that_waited_is_repaired():
    """The profile is the evidence: nothing is left to measure."""
    finding = look("KD704", GENERATOR + FIT, WAITS)
    assert finding.remedy.code == ("from kerasdiag import autofix", 'train = autofix(train, "run.kdprof.json")')
    assert "easure" not in finding.remedy.text
    assert finding.remedy.text.endswith("before fit:")


def test_a_call_that_fails_is_shown_corrected():
    """On the installed Keras; else fit stays as it is."""
    source = GENERATOR + "model.fit(train, epochs=3, workers=8)\n"
    keras_2 = make_packages(tensorflow="2.10.0", keras="2.10.0")
    assert look("KD704", source, WAITS).remedy.code[-1] == "model.fit(train, epochs=3)"
    assert look("KD704", source, WAITS, packages=keras_2).remedy.code[-1] == 'train = autofix(train, "run.kdprof.json")'


@pytest.mark.parametrize(
    ("profile", "verdict"),
    [
        (PARTLY, "partly-input-bound"),
        (make_profile(0.012, 0.05, callbacks_s=0.05), "callback-bound"),
        (make_profile(0.012, 0.05, callbacks_s=0.05, launch_s=0.03), "mixed"),
        (make_profile(0.022, 0.02, callbacks_s=0.06, epochs=10), "callback-bound"),  # 21 % of the steps only
    ],
)
def test_a_training_that_waited_less(profile, verdict):
    """Below the wait at which autofix repairs by itself it must be told to."""
    assert str(diagnose(profile).verdict) == verdict
    finding = look("KD704", GENERATOR + FIT, profile)
    assert finding.remedy.code[-1] == 'train = autofix(train, "run.kdprof.json", when="always")'
    assert "from 20% of waiting on" in finding.remedy.text


def test_a_training_that_hardly_waited():
    """Nothing needs doing."""
    finding = look("KD704", GENERATOR + FIT, HARDLY)
    assert (str(finding.severity), finding.remedy) == ("info", None)


@pytest.mark.parametrize(
    ("profile", "file"),
    [
        (None, ""),
        (TOO_SHORT, "run.kdprof.json"),
        (make_profile(0.45, 0.05, training_input=make_input("tf-data")), "run.kdprof.json"),
        (WAITS, ""),
    ],
    ids=["none", "too short", "of a dataset", "of a pipe"],
)
def test_what_is_still_to_be_measured(profile, file):
    """No profile, no verdict, one of another input, or none that a script can load."""
    remedy = look("KD704", GENERATOR + FIT, profile, file).remedy
    assert remedy.text.startswith("Measure with BottleneckProfiler")
    assert remedy.code[-1] == "model.fit(train, epochs=3, callbacks=[profiler])"


def test_what_has_no_name_is_not_repaired_in_lines():
    """Of a generator that is made within the call, the sentence has to do."""
    source = GENERATOR + "model.fit(IDG().flow_from_directory('a'))\n"
    remedy = look("KD704", source, WAITS).remedy
    assert (remedy.code, remedy.text[-11:]) == ((), "before fit.")


def test_the_file_on_the_command_line(tmp_path, monkeypatch, capsys):
    """It is named as it was given; for others, without its folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.py").write_text(GENERATOR + FIT)
    (tmp_path / "runs of mine").mkdir()
    WAITS.save(tmp_path / "runs of mine/a.kdprof.json")
    arguments = ["doctor", "train.py", "--profile", "runs of mine/a.kdprof.json", "--select", "KD704"]
    main([*arguments, "--format", "json"])
    (finding,) = json.loads(capsys.readouterr().out)["findings"]
    assert finding["remedy"]["code"][-1] == 'train = autofix(train, "runs of mine/a.kdprof.json")'
    main([*arguments, "--format", "markdown"])
    out = capsys.readouterr().out
    assert 'train = autofix(train, "<profile>")' in out
    assert "of mine" not in out


CHAIN = "tf.data.Dataset.from_tensor_slices((paths, labels)).shuffle(10_000, seed=7)"


@pytest.mark.parametrize(
    ("code", "source", "text"),
    [
        (
            "KD704",
            GENERATOR + "model.fit(train,validation_data=val_generator,epochs=arguments.epochs,verbose=2)\n",
            "model.fit(train,validation_data=val_generator,epochs=arguments.epoc...",
        ),
        ("KD705", f"import tensorflow as tf\nds = {CHAIN}.map(lambda p, l: tf.io.read_file(p))\n", "[...].map(lambda p, l: tf.io.read_file(p))"),
    ],
)  # fmt: skip
def test_the_place_as_it_is_written(code, source, text):
    """What is long loses its end; only a long chain loses its beginning, and shows that it did."""
    assert look(code, source).evidence[0].text == text
