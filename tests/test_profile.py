"""Profiles survive JSON; files that are no profile say so in one sentence."""

from __future__ import annotations

import dataclasses
import json
import os

import pytest
from builders import make_gpu, make_input, make_profile
from hypothesis import given, settings
from hypothesis import strategies as st

from kerasdiag import RunProfile
from kerasdiag.diagnosis import diagnose
from kerasdiag.errors import ProfileFileError
from kerasdiag.input_identity import InputIdentity
from kerasdiag.profile import GpuSeries
from kerasdiag.report import json_file
from kerasdiag.step_times import StepTimes

GPU_COLUMNS = ("time_s", "utilization_percent", "memory_utilization_percent", "memory_used_bytes", "power_w")
finite = st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(max_size=20)
maybe = st.none
names = st.dictionaries(texts, texts, max_size=3)
inputs = st.builds(
    InputIdentity,
    kind=texts,
    class_name=texts,
    n=maybe() | st.integers(),
    subset=maybe() | texts,
    target_size=maybe() | st.lists(st.integers(), max_size=3).map(tuple),
    use_multiprocessing=maybe() | st.booleans(),
    pipeline=st.lists(texts, max_size=3).map(tuple),
)
waits = st.floats(0, 1e6)
rows = st.lists(
    st.tuples(st.integers(), st.integers(1), finite, waits, waits.map(lambda wait: wait + 1e6), st.integers(0, 1)),
    max_size=5,
)
steps = rows.map(lambda table: StepTimes(*(map(tuple, zip(*table)) if table else ((),) * 6)))
samples = st.lists(st.tuples(finite, *[maybe() | finite] * 4), max_size=3)
gpus = st.builds(
    lambda table, **facts: GpuSeries(
        **dict(zip(GPU_COLUMNS, map(tuple, zip(*table)) if table else ((),) * 5)), **facts
    ),
    samples,
    index=st.integers(),
    name=texts,
    uuid=maybe() | texts,
    not_measured=names,
)
profiles = st.builds(
    RunProfile,
    host=texts,
    cores=maybe() | st.integers(),
    software=names,
    training_input=maybe() | inputs,
    validation_input=maybe() | inputs,
    steps=steps,
    pull_overhead_s=maybe() | finite,
    validation_s=finite,
    gpus=st.lists(gpus, max_size=2).map(tuple),
    not_measured=names,
    remarks=st.lists(texts, max_size=2).map(tuple),
    attached=st.booleans(),
)


@given(profiles)
@settings(max_examples=150, deadline=None)
def test_round_trip(profile):
    """from_json(to_json(x)) == x for any profile."""
    assert RunProfile.from_json(profile.to_json()) == profile


def test_save_and_load(tmp_path):
    """A file gives back what was measured."""
    profile = make_profile(0.03, gpus=(make_gpu(),), validation_input=make_input(subset="validation"))
    profile.save(tmp_path / "run.kdprof.json")
    assert RunProfile.load(tmp_path / "run.kdprof.json") == profile
    assert os.listdir(tmp_path) == ["run.kdprof.json"]


def test_report_with_a_diagnosis_is_read_as_a_profile():
    """The JSON report holds the judgement for scripts; reading it judges anew."""
    profile = make_profile(0.03)
    text = json_file.render(diagnose(profile))
    assert json.loads(text)["diagnosis"]["verdict"] == "input-bound"
    assert RunProfile.from_json(text) == profile


def test_file_from_before_a_field_was_added_is_read():
    """A profile kept by an earlier kerasdiag stays evidence; every other field must be there."""
    data = json.loads(make_profile().to_json())
    assert data["profile"].pop("attached") is False
    assert RunProfile.from_json(json.dumps(data)) == make_profile()
    del data["profile"]["rank"]
    with pytest.raises(ProfileFileError, match="lacks rank"):
        RunProfile.from_json(json.dumps(data))


def test_profiles_are_frozen():
    """Nobody changes a measurement."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        make_profile().rank = 3


def document(**changes):
    data = json.loads(make_profile().to_json())
    data.update(changes)
    return json.dumps(data)


def damaged(**changes):
    data = json.loads(make_profile().to_json())
    data["profile"].update(changes)
    return json.dumps(data)


BAD_FILES = {
    "empty": ("", "truncated or not JSON"),
    "truncated": (make_profile().to_json()[:-200], "truncated or not JSON"),
    "foreign JSON": ('{"epochs": 3}', "not a kerasdiag profile"),
    "list": ("[1, 2]", "not a kerasdiag profile"),
    "version as text": (document(kerasdiag_profile="1"), "not a kerasdiag profile"),
    "newer": (document(kerasdiag_profile=99), "newer kerasdiag.*pip install --upgrade"),
    "no facts": ('{"kerasdiag_profile": 1}', "damaged"),
    "facts are a list": ('{"kerasdiag_profile": 1, "profile": []}', "damaged"),
    "wrong type": (damaged(rank="zero"), r"profile\.rank should be int, is str"),
    "truth for a number": (damaged(rank=True), r"profile\.rank should be int, is bool"),
    "columns of unequal length": (damaged(steps=dict(json.loads(make_profile().to_json())["profile"]["steps"], wait_s=[])), "equal length"),
    "wait longer than the step": (damaged(steps=dict(json.loads(make_profile().to_json())["profile"]["steps"], wait_s=[9.0] * 100)), "cannot wait"),
    "negative wait": (damaged(steps=dict(json.loads(make_profile().to_json())["profile"]["steps"], wait_s=[-1.0] * 100)), "cannot wait"),
    "short GPU column": (damaged(gpus=[dict(json.loads(make_profile(gpus=(make_gpu(),)).to_json())["profile"]["gpus"][0], power_w=[])]), "equal length"),
    "huge number": (damaged(validation_s=10**400), "damaged"),
    "version 0": (document(kerasdiag_profile=0), "not a kerasdiag profile"),
    "infinite": (damaged(validation_s=float("inf")), "finite"),
    "deep": ("[" * 100_000, "truncated or not JSON"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_FILES)
def test_bad_file_is_one_clear_sentence(name, tmp_path):
    """The error names the file, what is wrong with it, and what was expected."""
    text, message = BAD_FILES[name]
    path = tmp_path / "bad.kdprof.json"
    path.write_text(text)
    with pytest.raises(ProfileFileError, match=message) as caught:
        RunProfile.load(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@given(st.binary(max_size=200))
@settings(max_examples=100, deadline=None)
def test_no_bytes_crash_the_reader(data):
    """Any bytes are either a profile or a ProfileFileError."""
    with pytest.raises(ProfileFileError):
        RunProfile.from_json(data.decode("utf-8", "replace"))


def test_missing_file_and_binary_file(tmp_path):
    """A wrong path and a wrong kind of file are told apart."""
    with pytest.raises(ProfileFileError, match="no such file"):
        RunProfile.load(tmp_path / "absent.kdprof.json")
    (tmp_path / "image.json").write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(ProfileFileError, match="cannot be read"):
        RunProfile.load(tmp_path / "image.json")
    with pytest.raises(ProfileFileError, match="cannot be read"):
        RunProfile.load(tmp_path)


def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch):
    """A full disk loses neither the old profile nor leaves half a new one."""
    path = tmp_path / "run.kdprof.json"
    make_profile(0.03).save(path)
    before = path.read_bytes()

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        make_profile(0.09).save(path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["run.kdprof.json"]


def test_a_profile_can_be_looked_at_in_a_console():
    """Columns of thousands of rows are shown by their sums; equality is that of the columns."""
    profile = make_profile(0.1, 0.05, 2280, epochs=4, gpus=(make_gpu(50.0, duration_s=400),))
    assert "StepTimes(2,280 steps in 2,280 rows)" in repr(profile)
    assert "EpochTimes(2,280 steps in 4 rows)" in repr(profile)
    assert "GpuSeries(GPU 0, NVIDIA T4, 2,000 samples)" in repr(profile)
    assert len(repr(profile)) < 3_000
    assert len(repr(diagnose(profile))) < 8_000
    assert profile.steps == dataclasses.replace(profile.steps)
    assert profile.steps != dataclasses.replace(profile.steps, wait_s=(0.0,) * 2280)
