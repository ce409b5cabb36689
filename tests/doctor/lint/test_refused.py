"""Corrected lines know of each other: none keeps what the Keras of the script refuses."""

from __future__ import annotations

import ast

import pytest
from builders import make_environment, make_packages, make_scripts
from doctor.lint.scripts import GENERATOR, HEAD, PIPELINE

from kerasdiag.doctor.checks import CHECKS
from kerasdiag.doctor.lint.rules import RULES
from kerasdiag.doctor.selection import find_check

KERAS_2 = {"packages": make_packages(tensorflow="2.10.0", keras="2.10.0")}
KERAS_3 = {"packages": make_packages(tensorflow="2.21.0", keras="3.15.1")}
SAVING = GENERATOR + "model.fit(IDG().flow_from_directory('v', save_to_dir='seen'), workers=8)\n"


def lines(code, source, **facts):
    """The corrected lines of the one finding of a check."""
    (finding,) = find_check(CHECKS, code).examine(make_environment(scripts=make_scripts(source), **facts)).findings
    return finding.remedy.code


@pytest.mark.parametrize(
    ("call", "line"),
    [
        ("fit(train, epochs=9, workers=8)", "model.fit(train, epochs=9, callbacks=[profiler])"),
        ("fit(train, workers=8, epochs=9)", "model.fit(train, epochs=9, callbacks=[profiler])"),
        ("fit(workers=8, max_queue_size=9, x=train)", "model.fit(x=train, callbacks=[profiler])"),
        ("fit(train, callbacks=[stop], workers=8)", "model.fit(train, callbacks=[stop, profiler])"),
        ("fit(train, callbacks=every, workers=8)", "model.fit(train, callbacks=[*every, profiler])"),
        ("fit(train, workers=8, callbacks=[])", "model.fit(train, callbacks=[profiler])"),
        ("fit(train, steps_per_epoch=train.n / 32, workers=8)", "model.fit(train, callbacks=[profiler])"),
        ("fit(train, steps_per_epoch=train.n / 32, workers=8, epochs=3)", "model.fit(train, epochs=3, callbacks=[profiler])"),
        ("fit(train, validation_steps=n / 32, epochs=3)", "model.fit(train, validation_steps=int(n / 32), epochs=3, callbacks=[profiler])"),
    ],
)  # fmt: skip
def test_a_training_that_measures_itself(call, line):
    """The lines of KD704 run on the Keras that KD701 and KD716 speak of."""
    assert lines("KD704", GENERATOR + f"model.{call}\n", **KERAS_3)[-1] == line


@pytest.mark.parametrize(
    ("code", "source", "line"),
    [
        ("KD716", GENERATOR + "model.fit(train, workers=8, steps_per_epoch=train.n / 32)\n", "model.fit(train)"),
        ("KD716", GENERATOR + "model.fit(workers=8, steps_per_epoch=train.n / 32, x=train)\n", "model.fit(x=train)"),
        ("KD716", GENERATOR + "model.fit(data, steps_per_epoch=n / 32, workers=8)\n", "model.fit(data, steps_per_epoch=int(n / 32))"),
        ("KD701", GENERATOR + "model.fit(data, steps_per_epoch=n / 32, workers=8)\n", "model.fit(data, steps_per_epoch=int(n / 32))"),
        ("KD701", GENERATOR + "model.fit_generator(train, steps_per_epoch=train.n / 32, workers=8)\n", "model.fit(train)"),
        ("KD713", SAVING, "model.fit(IDG().flow_from_directory('v'))"),
        ("KD705", PIPELINE + "model.fit(ds.map(load), workers=8)\n", "model.fit(ds.map(load, num_parallel_calls=tf.data.AUTOTUNE))"),
    ],
)  # fmt: skip
def test_other_rules(code, source, line):
    """Whatever a rule corrects in a statement."""
    assert lines(code, source, **KERAS_3)[-1] == line


@pytest.mark.parametrize("code", ["KD704", "KD713"])
@pytest.mark.parametrize(
    ("facts", "comment"),
    [
        (KERAS_2, ""),
        ({"packages": make_packages(keras=None, tensorflow=None)}, ""),
        (KERAS_3, "  # kerasdiag: ignore[KD701]"),
    ],
)
def test_what_is_kept(code, facts, comment):
    """Where Keras takes it, nobody knows which Keras it is, or the script says that it is another one."""
    source = {"KD704": GENERATOR + "model.fit(train, workers=8)\n", "KD713": SAVING}[code]
    assert "workers=8" in lines(code, source.rstrip() + comment + "\n", **facts)[-1]


def test_a_model_that_may_be_none():
    """What is of another library may have workers."""
    source = HEAD + "from lib import Trainer\nds = tf.data.TFRecordDataset(glob('a'))\n"
    source += "Trainer(ds.map(lambda r: tf.io.decode_jpeg(r))).fit(x, workers=8)\n"
    assert "workers=8" in lines("KD705", source, **KERAS_3)[-1]


def test_no_rule_keeps_it():
    """All lines of all rules for a script with several faults are what Keras 3 runs."""
    source = (
        GENERATOR
        + "val = IDG(rescale=1 / 255).flow_from_directory('v', save_to_dir='seen')\n"
        + "model.fit(train, validation_data=val, workers=8, steps_per_epoch=train.n / 32, epochs=9)\n"
        + "model.fit(val, use_multiprocessing=False, max_queue_size=9, epochs=9)\n"
    )
    environment = make_environment(scripts=make_scripts(source), **KERAS_3)
    findings = [finding for rule in RULES for finding in rule.examine(environment).findings]
    assert {"KD701", "KD704", "KD713", "KD716"} <= {finding.code for finding in findings}
    fits = [line for finding in findings for line in finding.remedy.code if ".fit(" in line]
    assert len(fits) >= 4
    for line in fits:
        names = {keyword.arg for keyword in ast.parse(line).body[0].value.keywords}
        assert not names & {"workers", "use_multiprocessing", "max_queue_size", "steps_per_epoch"}, line


def test_the_command_line_tells_the_rules_the_keras():
    """A rule with lines around a fit asks for the packages."""
    with_lines = ("KD704", "KD705", "KD706", "KD710", "KD711", "KD712", "KD713", "KD714", "KD715", "KD716")
    assert [rule.code for rule in RULES if rule.code in with_lines and "packages" not in rule.uses] == []
