"""The checks of Keras releases, image packages and notes, firing and silent on both sides."""

from __future__ import annotations

import pytest
from builders import make_data, make_input, make_packages, make_profile
from doctor.package_answers import ERROR, INFO, NOT_TOLD, OK, SKIPPED, WARN, declared, installed, look, only

from kerasdiag.environment.interpreter import Interpreter

# --- KD107, KD108: Keras


@pytest.mark.parametrize(
    ("versions", "legacy", "status"),
    [
        ({"tensorflow": "2.15.1", "keras": "3.0.5"}, False, ERROR),
        ({"tensorflow": "2.15.1", "keras": "2.15.0"}, False, OK),
        ({"tensorflow": "2.6.0", "keras": "3.0.5"}, False, ERROR),
        ({"tensorflow": "2.5.3", "keras": "3.0.5"}, False, OK),  # Keras lies inside
        ({"tensorflow": "2.16.1", "keras": "2.15.0"}, False, ERROR),
        ({"tensorflow": "2.16.1", "keras": "3.0.5"}, False, OK),
        ({"tensorflow": "2.16.1", "keras": "3.0.5"}, True, ERROR),  # no tf-keras
        ({"tensorflow": "2.15.1", "keras": "2.15.0"}, True, OK),  # it is Keras 2 anyway
        ({"tensorflow": "2.16.1", "keras": "3.0.5", "tf_keras": "2.16.0"}, True, OK),
        ({"tensorflow": "2.17.0", "keras": "3.0.5", "tf_keras": "2.16.0"}, True, WARN),
        ({"tensorflow": "2.17.0", "keras": "3.0.5", "tf_keras": "2.16.0"}, False, INFO),
    ],
)
def test_which_keras_belongs_to_which_tensorflow(versions, legacy, status):
    """Keras 2 up to TensorFlow 2.15, 3 from 2.16 on, tf-keras of the same minor version."""
    answer = look("KD107", installed(legacy=legacy, **versions))
    assert answer.status is status
    if status is ERROR and legacy:
        assert only(answer).remedy.code == ('pip install "tf-keras~=2.16.0"',)


@pytest.mark.parametrize(
    ("keras", "data", "status"),
    [
        ("3.6.0", {"workers": 4}, ERROR),
        ("3.6.0", {"workers": 2, "kind": "py-dataset"}, ERROR),
        ("3.6.0", {"workers": 1}, OK),
        ("3.6.0", {"kind": "tf-data"}, OK),
        ("3.6.0", None, INFO),
        ("3.7.0", {"workers": 4}, OK),
        ("3.5.0", {"workers": 4}, OK),
        ("3.5.0", {"workers": 4, "kind": "py-dataset", "num_batches": None}, WARN),
        ("3.6.0", {"workers": 1, "kind": "py-dataset", "num_batches": None}, OK),
        ("3.7.0", {"workers": 4, "kind": "py-dataset", "num_batches": None}, OK),
        ("3.5.0", {"workers": 1, "kind": "py-dataset", "num_batches": None}, OK),
    ],
)
def test_workers_of_keras_3(keras, data, status):
    """3.6.0 hangs with more than one; before, only datasets without an end suffer."""
    profile = None if data is None else make_profile(training_input=make_input(**data))
    assert look("KD108", installed(tensorflow="2.18.0", keras=keras), profile=profile).status is status


def test_workers_of_legacy_keras():
    """Trainings on tf-keras do not run into Keras 3."""
    packages = installed(tensorflow="2.18.0", keras="3.6.0", tf_keras="2.18.0", legacy=True)
    assert look("KD108", packages, profile=make_profile(training_input=make_input(workers=4))).status is OK


# --- KD109 to KD112


@pytest.mark.parametrize(
    ("library", "status"),
    [
        ("libjpeg-183418da.so.9.4.0", WARN),
        ("libjpeg-3fe7dfc0.so.9.3.0", WARN),
        ("libjpeg.9.dylib", WARN),
        ("libjpeg-b8a30ecc.so.62.3.0", OK),
        ("libjpeg.62.4.0.dylib", OK),
        (None, NOT_TOLD),
    ],
)
def test_jpeg_libraries(library, status):
    """The number in the file's name: 9 is libjpeg, 62 the interface of libjpeg-turbo."""
    assert look("KD109", installed(pillow="8.4.0", jpeg=library)).status is status


@pytest.mark.parametrize(
    ("kind", "status"),
    [("image-data-generator", WARN), ("python-generator", WARN), ("tf-data", INFO), ("arrays", INFO)],
)
def test_jpeg_that_python_does_not_read(kind, status):
    """A tf.data input decodes with TensorFlow's own library."""
    profile = make_profile(training_input=make_input(kind))
    assert look("KD109", installed(pillow="8.4.0", jpeg="libjpeg.9.dylib"), profile=profile).status is status


@pytest.mark.parametrize(
    ("mean_bytes", "name", "severity", "cost_s"),
    [
        (133e3, "a.jpg", "warn", 31.92),
        (22e3, "a.JPEG", "warn", 5.28),
        (21e3, "a.jpg", "info", 5.04),
        (133e3, "a.png", "info", None),
    ],
)
def test_what_the_jpeg_library_costs(mean_bytes, name, severity, cost_s):
    """By the size of the files; small ones are a note, and other formats have no price."""
    data = make_data(mean_bytes=mean_bytes, sample=(f"/data/{name}",))
    finding = only(look("KD109", installed(pillow="8.4.0", jpeg="libjpeg.9.dylib"), data=data))
    assert (str(finding.severity), finding.price.value) == (severity, cost_s and pytest.approx(cost_s))


@pytest.mark.parametrize(
    ("version", "system", "status"), [("8.4.0", "linux", WARN), ("9.0.0", "linux", OK), ("8.4.0", None, NOT_TOLD), ("8.4.0", "win32", NOT_TOLD)]
)  # fmt: skip
def test_pillow_of_lists(version, system, status):
    """Of wheels for Linux it is known what they carry."""
    assert look("KD109", declared(pillow=version, system=system)).status is status
    assert look("KD109", installed(pillow_simd="9.0.0")).status is OK


@pytest.mark.parametrize(
    ("versions", "profile", "status"),
    [
        ({"keras": "3.15.1", "pillow": "12.0"}, False, INFO),
        ({"keras": "3.15.1", "pillow": "12.0", "scipy": "1.16"}, False, OK),
        ({"keras": "3.15.1"}, False, OK),
        ({"pillow": "12.0"}, False, SKIPPED),
        ({"keras": "3.15.1", "pillow": "12.0"}, True, SKIPPED),
    ],
)
def test_scipy(versions, profile, status):
    """Missing where a generator could want it; a profile shows that this one did not."""
    assert look("KD110", installed(**versions), profile=make_profile() if profile else None).status is status


@pytest.mark.parametrize(
    ("keras", "end"), [("3.0.0", "if it rotates, shifts, shears or zooms."), ("2.15.0", "at its first batch.")]
)
def test_what_needs_scipy(keras, end):
    """In Keras 2 every image passes the function that asks for it."""
    assert only(look("KD110", installed(keras=keras, pillow="12.0"))).message.endswith(end)


@pytest.mark.parametrize(("legacy", "named"), [(True, "tf-keras 2.21.0"), (False, "keras 3.15.1")])
def test_whose_generator_needs_scipy(legacy, named):
    """TF_USE_LEGACY_KERAS says which of two is meant."""
    versions = {"tensorflow": "2.21.0", "keras": "3.15.1", "tf_keras": "2.21.0", "pillow": "12.0"}
    packages = installed(legacy=legacy, runs=("tf-keras",), **versions)
    assert named in only(look("KD110", packages)).message


@pytest.mark.parametrize(
    ("versions", "status"),
    [
        ({"nvidia_ml_py": "12.560.30"}, OK),
        ({"pynvml": "13.0.1", "nvidia_ml_py": "13.0"}, INFO),
        ({"pynvml": "12.0.0"}, INFO),
        ({"pynvml": "11.5.3", "nvidia_ml_py": "12.560.30"}, INFO),
        ({"pynvml": "11.5.3"}, OK),
    ],
)
def test_pynvml(versions, status):
    """The shim from 12 on, before it a rival of nvidia-ml-py."""
    assert look("KD111", installed(**versions)).status is status


@pytest.mark.parametrize(
    ("tensorflow", "python", "count"),
    [
        ("2.3.4", "3.8", 2),
        ("2.2.0", "3.8", 1),
        ("2.12.0", "3.11.7", 1),
        ("2.12.0", "3.10.1", 0),
        ("2.15.1", "3.11.7", 0),
        ("2.21.0", None, 0),
    ],
)
def test_reports(tensorflow, python, count):
    """Notes with links, in which nothing is certain."""
    answer = look("KD112", installed(tensorflow=tensorflow, interpreter=Interpreter(python)))
    assert answer.status is (INFO if count else OK)
    if count:
        assert len(only(answer).references) == count
        assert "was reported" in only(answer).message


def test_commands_name_the_python_that_was_looked_at():
    """Another interpreter's pip, a list's line."""
    facts = {"pip": "/env/bin/python -m pip", "place": "the interpreter /env/bin/python"}
    packages = make_packages(tensorflow="2.10.1", numpy="2.0.2", facts=facts)
    assert only(look("KD104", packages)).remedy.code == ('/env/bin/python -m pip install "numpy<2"',)


def test_python_3_6_has_no_newer_pillow():
    """A command that pip refuses is no remedy."""
    packages = installed(
        pillow="8.4.0", jpeg="libjpeg.9.dylib", keras="2.6.0", tensorflow="2.6.2", interpreter=Interpreter("3.6.15")
    )
    remedy = only(look("KD109", packages)).remedy
    assert (remedy.code, "need Python 3.7" in remedy.text) == ((), True)
