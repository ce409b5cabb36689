"""Installed packages and the code behind ImageDataGenerator, from metadata and files alone."""

from __future__ import annotations

import pytest
from doctor.planted import OWN_CODE, SUBCLASSED, PlantedMachine

from kerasdiag.compat import version_matches
from kerasdiag.environment.packages import find_packages

KERAS_3, KERAS_2_13, KERAS_2 = (
    "site/keras/src/legacy/preprocessing/image.py",
    "site/keras/src/preprocessing/image.py",
    "site/keras/preprocessing/image.py",
)
TENSORFLOW, TENSORFLOW_CORE = (
    "site/tensorflow/python/keras/preprocessing/image.py",
    "site/tensorflow_core/python/keras/preprocessing/image.py",
)


def look(tmp_path, versions, files=(), environ=None):
    machine = PlantedMachine(tmp_path).packages(**versions)
    for name, text in dict(files).items():
        machine.write(name, text)
    return find_packages([str(tmp_path / "empty"), str(tmp_path / "site")], environ or {})


@pytest.mark.parametrize(
    ("versions", "files", "expected"),
    [
        ({"tensorflow": "1.15.0"}, {TENSORFLOW_CORE: SUBCLASSED}, [("tensorflow", True, True)]),
        ({"tensorflow": "2.3.0"}, {TENSORFLOW: SUBCLASSED}, [("tensorflow", True, True)]),
        ({"tensorflow": "2.0.0", "keras": "2.3.1"}, {TENSORFLOW_CORE: SUBCLASSED, KERAS_2: SUBCLASSED}, [("keras", True, True), ("tensorflow", True, True)]),
        ({"tensorflow": "2.8.4", "keras": "2.8.0"}, {KERAS_2: SUBCLASSED, TENSORFLOW: SUBCLASSED}, [("keras", True, True)]),
        ({"tensorflow": "2.10.1", "keras": "2.10.0"}, {KERAS_2: OWN_CODE}, [("keras", False, True)]),
        ({"tensorflow": "2.15.1", "keras": "2.15.0"}, {KERAS_2_13: OWN_CODE, KERAS_2: SUBCLASSED}, [("keras", False, True)]),
        ({"tensorflow": "2.21.0", "keras": "3.15.1"}, {KERAS_3: OWN_CODE}, [("keras", False, True)]),
        # Without the files the versions decide.
        ({"tensorflow_gpu": "1.14.0"}, {}, [("tensorflow-gpu", True, False)]),
        ({"tensorflow_cpu": "2.5.3"}, {}, [("tensorflow-cpu", True, False)]),
        ({"tensorflow_cpu": "2.6.0", "keras": "2.6.0"}, {}, [("keras", True, False)]),
        ({"keras": "2.8.0"}, {}, [("keras", True, False)]),
        ({"keras": "2.9.0"}, {}, [("keras", False, False)]),
        ({"keras": "2.9.0rc1"}, {}, [("keras", False, False)]),
        ({"keras": "3.15.1", "tf_keras": "2.21.0"}, {}, [("keras", False, False), ("tf-keras", False, False)]),
        ({"numpy": "2.0.0"}, {}, []),
        ({}, {}, []),
    ],
)  # fmt: skip
def test_whose_code_runs(tmp_path, versions, files, expected):
    """The first file of a package decides: what it imports is what runs."""
    found = look(tmp_path, versions, files)
    assert [
        (code.package, code.uses_keras_preprocessing, code.file is not None) for code in found.generators
    ] == expected


@pytest.mark.parametrize("line", ["import keras_preprocessing", "  from keras_preprocessing.image import x"])
def test_lines_that_import_it(tmp_path, line):
    """Any import counts, a word in a comment does not."""
    assert (
        look(tmp_path / "a", {"keras": "2.8.0"}, {KERAS_2: f"import os\n{line}\n"})
        .generators[0]
        .uses_keras_preprocessing
    )
    for other in (f"# {line}", "import keras_preprocessing_fork"):
        found = look(tmp_path / other[:9], {"keras": "2.8.0"}, {KERAS_2: other})
        assert not found.generators[0].uses_keras_preprocessing


def test_names_of_distributions(tmp_path):
    """Written with capitals, underscores or hyphens, it is one package."""
    found = look(tmp_path, {"Keras_Preprocessing": "1.0.9", "tensorflow_intel": "2.15.0", "tf_keras": "2.15.0"})
    assert found.versions == {"tensorflow-intel": "2.15.0", "tf-keras": "2.15.0", "keras-preprocessing": "1.0.9"}
    assert found.tensorflow == ("tensorflow-intel", "2.15.0")


@pytest.mark.parametrize(
    ("versions", "environ", "keras"),
    [
        ({"keras": "3.15.1"}, {}, ("keras", "3.15.1")),
        ({"keras": "3.15.1", "tf_keras": "2.21.0"}, {}, ("keras", "3.15.1")),
        ({"keras": "3.15.1", "tf_keras": "2.21.0"}, {"TF_USE_LEGACY_KERAS": "1"}, ("tf-keras", "2.21.0")),
        ({"keras": "3.15.1"}, {"TF_USE_LEGACY_KERAS": "True"}, ("keras", "3.15.1")),
        ({"tensorflow_gpu": "2.0.0", "keras": "2.3.1"}, {}, ("tensorflow-gpu", "2.0.0")),  # Keras lies inside
        ({"keras": "2.3.1"}, {}, ("keras", "2.3.1")),
        ({}, {}, None),
    ],
)
def test_which_keras(tmp_path, versions, environ, keras):
    """TF_USE_LEGACY_KERAS asks for Keras 2, if it is there."""
    assert look(tmp_path, versions, environ=environ).keras == keras


def test_broken_metadata(tmp_path):
    """What an interrupted pip leaves behind is as good as not installed; nonsense is no version."""
    machine = PlantedMachine(tmp_path)
    machine.write("site/keras-3.0.0.dist-info/RECORD", "")
    machine.packages(tensorflow="not.a.version")
    found = find_packages([str(tmp_path / "site")], {})
    assert found.versions == {"tensorflow": "not.a.version"}
    assert found.generators == ()


@pytest.mark.keras
def test_this_environment():
    """Every supported Keras has its own code, TensorFlow 2.10 beside an old keras-preprocessing too."""
    found = find_packages()
    assert found.tensorflow is not None
    assert found.generators
    for code in found.generators:
        assert (code.uses_keras_preprocessing, code.file is not None) == (False, True)


@pytest.mark.parametrize(
    ("version", "matches"), [("1.0.6", True), ("1.0.9.post1", True), ("1.1.0rc1", False), ("1.1.0", False), ("1", False), ("x", None)]
)  # fmt: skip
def test_version_ranges(version, matches):
    """A pre-release belongs to the version that it precedes; nonsense is neither in nor out."""
    assert version_matches(version, ">=1.0.6,<1.1.0") is matches
