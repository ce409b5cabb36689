"""Environments that are lists only: what each kind of list says, and that nonsense says nothing."""

from __future__ import annotations

import contextlib
import json
import os
import threading

import pytest
from builders import make_environment
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from packaging.markers import Marker

from kerasdiag.doctor.checks import CHECKS
from kerasdiag.doctor.selection import find_check
from kerasdiag.environment.declared.declaration import Declaration
from kerasdiag.environment.declared.lists import find_declared
from kerasdiag.environment.interpreter import Interpreter
from kerasdiag.errors import DoctorUsageError


def look(tmp_path, files, *named):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return find_declared([str(tmp_path / name) for name in named or list(files)[:1]])


REQUIREMENTS = """\
# what we train with
--index-url https://example.org/simple
tensorflow==2.0.0 ; sys_platform != "aix"   # pinned
Keras_Preprocessing==1.0.9 \\
    --hash=sha256:00 \\
    --hash=sha256:11
numpy>=1.16,<2
pandas
scipy[extra]==1.4.1
pywin32==300; sys_platform == "aix"
dataclasses==0.8; python_version < "3.7"
h5py~=2.10.0
keras===2.3.1
https://example.org/wheels/Pillow-8.4.0-cp37-cp37m-linux_x86_64.whl
-e git+https://example.org/x.git#egg=my_thing
six @ https://example.org/six.zip
./local/dir
${SECRET}
"""


def test_requirements(tmp_path):
    """Pins, ranges, markers, hashes, continued lines, wheels, repositories."""
    found = look(tmp_path, {"requirements.txt": REQUIREMENTS})
    assert found.versions == {
        "tensorflow": "2.0.0", "keras-preprocessing": "1.0.9", "scipy": "1.4.1", "h5py": "2.10", "keras": "2.3.1", "pillow": "8.4.0"
    }  # fmt: skip
    assert set(found.unpinned) == {"numpy", "pandas", "dataclasses", "my-thing", "six"}
    assert found.unpinned["numpy"] == "numpy>=1.16,<2 leaves the version open"
    assert "depends on the version of Python" in found.unpinned["dataclasses"]
    assert (found.is_declared, found.place, found.pip) == (True, "requirements.txt", "")
    assert found.interpreter.version is None
    assert [code.package for code in found.generators if code.uses_keras_preprocessing] == ["keras", "tensorflow"]


@pytest.mark.parametrize(
    ("line", "version"),
    [
        ("keras-preprocessing==1.0.9", "1.0.9"),
        ("keras-preprocessing==1.0.*", None),  # 1.0.5 or 1.0.6?
        ("keras-preprocessing~=1.0.5", None),
        ("keras-preprocessing<1.1", None),
        ("tensorflow==2.10.*", "2.10"),
        ("tensorflow~=2.10.0", "2.10"),
        ("tensorflow~=2.10", None),  # any 2 from 2.10 on
        ("tensorflow==2.*", None),
    ],
)
def test_pins_of_a_series(tmp_path, line, version):
    """A minor series says enough of TensorFlow, not of keras-preprocessing."""
    found = look(tmp_path, {"requirements.txt": line})
    assert next(iter(found.versions.values()), None) == version
    assert len(found.unpinned) == (version is None)


def test_files_that_name_files(tmp_path):
    """-r and -c in all spellings, relative to the file that names them; a circle ends."""
    files = {
        "requirements.txt": "-r sub/base.txt\n-csub/limits.txt\n--requirement=requirements.txt\n-r https://example.org/x.txt",
        "sub/base.txt": "tensorflow==2.0.0\nnumpy\n--constraint limits.txt\n-r ../requirements.txt",
        "sub/limits.txt": "numpy==1.16.4",
    }
    assert look(tmp_path, files).versions == {"tensorflow": "2.0.0", "numpy": "1.16.4"}
    with pytest.raises(DoctorUsageError, match=r"absent\.txt cannot be read"):
        look(tmp_path, {"requirements.txt": "-r absent.txt"})


def test_power_shell_writes_utf_16(tmp_path):
    """`pip freeze > requirements.txt` there."""
    assert look(tmp_path, {"r.txt": "numpy==1.16.4\r\n".encode("utf-16")}).versions == {"numpy": "1.16.4"}
    assert look(tmp_path, {"r.txt": b"\xef\xbb\xbfnumpy==1.16.4"}).versions == {"numpy": "1.16.4"}


POETRY = """\
[[package]]
name = "tensorflow"
version = "2.0.0"
description = "[[package]]"
[package.dependencies]
version = "nonsense"

[[package]]
name = 'numpy'
version = "1.18.5"

[[package]]
name = "pywin32"
version = "300"
markers = "sys_platform == \\"aix\\""

[[package]]
name = "h5py"
version = "2.10.0"
[[package]]
name = "h5py"
version = "3.1.0"

[metadata]
python-versions = "^3.7"
"""


@pytest.mark.parametrize("name", ["poetry.lock", "uv.lock", "pdm.lock", "pylock.toml", "pylock.train.toml"])
def test_toml_lock_files(tmp_path, name):
    """All list packages as tables; what is locked twice stays open."""
    text = POETRY.replace("[[package]]\n", "[[packages]]\n") if "pylock" in name else POETRY
    found = look(tmp_path, {name: text})
    assert found.versions == {"tensorflow": "2.0.0", "numpy": "1.18.5"}
    assert found.unpinned == {"h5py": "h5py is locked to 2.10.0 and 3.1.0, each for another platform"}


def test_pipfile_lock(tmp_path):
    """Names its Python, so that markers hold."""
    document = {
        "_meta": {"requires": {"python_version": "3.7"}},
        "default": {
            "tensorflow": {"version": "==2.0.0", "markers": "python_version < '3.8'"},
            "numpy": {"version": "==1.26.4", "markers": "python_version >= '3.9'"},
            "mine": {"git": "x"},
        },
        "develop": {"scipy": {"version": "==1.4.1"}},
    }
    found = look(tmp_path, {"Pipfile.lock": json.dumps(document)})
    assert found.versions == {"tensorflow": "2.0.0", "scipy": "1.4.1"}
    assert (found.interpreter.version, set(found.unpinned)) == ("3.7", {"mine"})


CONDA = """\
name: train
channels:
  - conda-forge
dependencies:
  - python=3.7
  - "tensorflow-gpu=2.0.0=gpu_py37h"   # a comment
  - conda-forge::numpy=1.16
  - pillow 8.4.0
  - scipy>=1.4
  - h5py
  - pip
  - pip:
      - keras-preprocessing==1.0.9
      - dataclasses==0.8; python_version < "3.8"
      - -r more.txt
  - cudatoolkit=10.0
prefix: /opt/x
"""


def test_conda_environment(tmp_path):
    """Conda's lines and pip's below them, whatever the indent."""
    for text in (CONDA, CONDA.replace("\n  -", "\n-").replace("\n      -", "\n  -")):
        found = look(tmp_path, {"environment.yml": text, "more.txt": "six==1.12.0"}, "environment.yml")
        assert found.versions == {
            "tensorflow-gpu": "2.0.0", "numpy": "1.16", "pillow": "8.4.0", "cudatoolkit": "10.0",
            "keras-preprocessing": "1.0.9", "dataclasses": "0.8", "six": "1.12.0",
        }  # fmt: skip
        assert found.interpreter.version == "3.7"
        assert {"tensorflow-gpu", "numpy"} <= found.conda
        assert "keras-preprocessing" not in found.conda
        assert set(found.unpinned) == {"scipy", "h5py", "pip"}
    assert look(tmp_path, {"e.yaml": "dependencies: [python=3.7, 'keras=2.3.1']"}).versions == {"keras": "2.3.1"}


DOCKERFILE = """\
# syntax=docker/dockerfile:1
ARG PYTHON=3.7
FROM python:${PYTHON}-slim AS base
ENV TF_USE_LEGACY_KERAS=1 OTHER="x y"
RUN apt-get update && \\
    # a comment in between
    apt-get install -y gcc; \\
    pip3 install --no-cache-dir -i https://example.org/simple "tensorflow==2.0.0; python_version < '3.8'" numpy==1.16.4
FROM ubuntu:22.04 AS tools
RUN pip install numpy==2.0.0
FROM base
COPY requirements/train.txt /tmp/train.txt
RUN python -m pip install -r /tmp/train.txt -r /tmp/unknown.txt
RUN ["pip", "install", "scipy==1.4.1"]
RUN <<EOF
uv pip install h5py==2.10.0
EOF
RUN conda install -y -c conda-forge pillow=8.4.0 && pip install .
"""


def test_dockerfile(tmp_path):
    """The last stage and what it is made from; requirements files are found beside the Dockerfile."""
    found = look(tmp_path, {"Dockerfile": DOCKERFILE, "train.txt": "keras-preprocessing==1.0.9"}, "Dockerfile")
    assert found.versions == {
        "tensorflow": "2.0.0", "numpy": "1.16.4", "keras-preprocessing": "1.0.9", "scipy": "1.4.1",
        "h5py": "2.10.0", "pillow": "8.4.0",
    }  # fmt: skip
    assert (found.interpreter.version, found.interpreter.system, found.wants_legacy_keras) == ("3.7", "linux", True)


def test_lines_of_a_heredoc_go_on(tmp_path):
    """As in any shell; a command that was broken into lines is one command."""
    docker = "FROM python:3.9\nRUN <<EOF\nset -e\npip install \\\n    numpy==1.26.4 \\\n    scipy==1.9.0\nEOF\n"
    assert look(tmp_path, {"Dockerfile": docker}).versions == {"numpy": "1.26.4", "scipy": "1.9.0"}


@pytest.mark.parametrize("option", ["-f environment.yml", "--file environment.yml", "--file=docker/environment.yml"])
def test_environment_files_of_an_image(tmp_path, option):
    """conda env create names its file in several ways."""
    files = {"Dockerfile": f"FROM continuumio/miniconda3\nRUN conda env create {option}\n"}
    files["environment.yml"] = "dependencies:\n  - python=3.9\n  - numpy=1.26.4\n"
    found = look(tmp_path, files, "Dockerfile")
    assert (found.versions, found.interpreter.version) == ({"numpy": "1.26.4"}, "3.9")


def test_list_of_conda(tmp_path):
    """conda install --file takes a package as conda writes it on each line, and explicit lists hold addresses."""
    files = {"Dockerfile": "FROM scratch\nRUN conda install -y --file packages.txt\n"}
    files["packages.txt"] = "@EXPLICIT\n# comment\nnumpy=1.26.4=py39_0\nscipy\n"
    found = look(tmp_path, files, "Dockerfile")
    assert (dict(found.versions), set(found.unpinned)) == ({"numpy": "1.26.4"}, {"scipy"})


@pytest.mark.parametrize(
    ("image", "python", "tensorflow"),
    [
        ("python:3.7", "3.7", None),
        ("python:3.7.16-bullseye", "3.7.16", None),
        ("docker.io/library/python:3.9", "3.9", None),
        ("python:3", None, None),
        ("python", None, None),
        ("tensorflow/tensorflow:2.10.1-gpu", None, "2.10.1"),
        ("registry.example.org/tensorflow/tensorflow:2.0.0-gpu-py3", None, "2.0.0"),
        ("tensorflow/tensorflow:latest-gpu", None, None),
        ("tensorflow/tensorflow:2.9.1@sha256:00", None, "2.9.1"),
        ("scratch", None, None),
        ("", None, None),
    ],
)
def test_images(tmp_path, image, python, tensorflow):
    """The tag names Python or TensorFlow; of other images nothing is known."""
    found = look(tmp_path, {"Dockerfile": f"FROM --platform=linux/amd64 {image}\n"})
    assert (found.interpreter.version, found.versions.get("tensorflow")) == (python, tensorflow)


def test_several_lists_are_one_environment(tmp_path):
    """A Dockerfile names the Python that the markers of the requirements ask for, whichever comes first."""
    files = {"requirements.txt": "numpy==1.16.4; python_version < '3.8'", "app.dockerfile": "FROM python:3.7"}
    found = look(tmp_path, files, "requirements.txt", "app.dockerfile")
    assert found.versions == {"numpy": "1.16.4"}
    assert found.place == "requirements.txt and app.dockerfile"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("pyproject.toml", b"", "Name its lock file"),
        ("Pipfile", b"", "Name its lock file"),
        ("r.txt", b"\x00\x01", "is no text"),
        ("absent.txt", None, "cannot be read"),
        ("folder.txt", "folder", "cannot be read"),
    ],
)
def test_what_cannot_be_read(tmp_path, name, content, message):
    """One sentence that says what to name instead."""
    if content == "folder":
        (tmp_path / name).mkdir()
    elif content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DoctorUsageError, match=message):
        find_declared([str(tmp_path / name)])


NAMES = ["requirements.txt", "poetry.lock", "pylock.toml", "Pipfile.lock", "environment.yml", "Dockerfile"]
# Pieces that mean something, in any order.
PIECES = st.sampled_from([
    "-r", "-c ", "-e", "numpy", "==", "1.0.9", "\\\n", "\n", " ", "  - ", "pip:", "dependencies:", "[[package]]\n", 'name = "a"\n',
    'version = "1"\n', "RUN ", "pip install ", "FROM ", "python:3.7", "ARG A=1", "ENV B=", "${A}", "; python_version<'3'", "[", "]", '"', "'",
    "<<EOF\n", "&&", "|", "#", "{", "}", '{"default": {"a": {"version": 3}}}', "@", "https://x/y.whl", "--hash=", "=", "*", "~=2", ">", "\0", "\ufeff",
])  # fmt: skip


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(NAMES), text=st.one_of(st.text(max_size=200), st.lists(PIECES, max_size=25).map("".join)))
def test_nonsense_never_raises(tmp_path_factory, name, text):
    """Whatever a list holds, it is described or refused in one sentence."""
    folder = tmp_path_factory.mktemp("lists")
    (folder / name).write_text(text, encoding="utf-8", errors="replace")
    with contextlib.suppress(DoctorUsageError):
        found = find_declared([str(folder / name)])
        assert all(isinstance(version, str) for version in found.versions.values())


def test_constraints_install_nothing(tmp_path):
    """They say in which version, not that; what is asked for without a version takes it from there."""
    (tmp_path / "constraints.txt").write_text("tensorflow-cpu==2.14.0\nkeras-preprocessing==1.0.9\nnumpy==1.26.4\n")
    (tmp_path / "requirements.txt").write_text("-c constraints.txt\ntensorflow==2.15.1\nnumpy\n")
    facts = find_declared([str(tmp_path / "requirements.txt")])
    assert dict(facts.versions) == {"tensorflow": "2.15.1", "numpy": "1.26.4"}
    (tmp_path / "Dockerfile").write_text("RUN pip install numpy -c constraints.txt\n")
    assert dict(find_declared([str(tmp_path / "Dockerfile")]).versions) == {"numpy": "1.26.4"}


@pytest.mark.parametrize(
    ("lines", "tensorflow"),
    [
        ("FROM python:3.9 AS a\nARG TF=2.3.4\nRUN true\nFROM python:3.10\nARG TF=2.15.1\nRUN pip install tensorflow==$TF", "2.15.1"),
        ("FROM python:3.9\nENV TF=2.10.1\nRUN pip install tensorflow==${TF}", "2.10.1"),
        ("FROM python:3.9\nENV TF '2.10.1'\nENV TG='2.11.0'\nRUN pip install tensorflow==${TG}", "2.11.0"),
        ("FROM python:3.9\nRUN pip install tensorflow==${TF:-2.10.1}", "2.10.1"),
        ("ARG TF=2.12.0\nFROM python:3.9\nARG TF\nRUN pip install tensorflow==$TF", "2.12.0"),
        ("ARG TF=2.12.0\nFROM python:3.9\nRUN pip install tensorflow==$TF", None),  # unknown within the stage
        ("FROM python:3.9 AS a\nENV TF=2.12.0\nFROM a\nRUN pip install tensorflow==$TF", "2.12.0"),
        ("FROM python:3.9\nRUN pip --no-cache-dir install tensorflow==2.10.1", "2.10.1"),
        ("FROM python:3.9\nRUN pip install -Ur requirements.txt", "2.13.0"),
    ],
)  # fmt: skip
def test_variables_and_options_of_a_dockerfile(tmp_path, lines, tensorflow):
    """Variables end with their stage; options of pip may stand before its command."""
    (tmp_path / "requirements.txt").write_text("tensorflow==2.13.0\n")
    (tmp_path / "Dockerfile").write_text(lines + "\n")
    facts = find_declared([str(tmp_path / "Dockerfile")])
    assert facts.versions.get("tensorflow") == tensorflow
    assert "requirements-txt" not in {*facts.versions, *facts.unpinned}


def test_pip_within_an_environment_of_conda(tmp_path):
    """What pip installs there is not conda's."""
    (tmp_path / "Dockerfile").write_text("RUN conda run -n e pip install tensorflow==2.10.1 numpy==2.0.2\n")
    facts = find_declared([str(tmp_path / "Dockerfile")])
    assert (dict(facts.versions), facts.conda) == ({"tensorflow": "2.10.1", "numpy": "2.0.2"}, frozenset())


def test_optional_packages_of_a_lock(tmp_path):
    """An extra decides which of them is installed; those that are not optional are."""
    one = '[[package]]\nname = "{}"\nversion = "2.10.{}"\noptional = {}\n\n'
    text = (
        one.format("tensorflow", 1, "true")
        + one.format("tensorflow-macos", 0, "true")
        + one.format("keras", 0, "false")
    )
    (tmp_path / "poetry.lock").write_text(text)
    facts = find_declared([str(tmp_path / "poetry.lock")])
    assert dict(facts.versions) == {"keras": "2.10.0"}
    assert set(facts.unpinned) == {"tensorflow", "tensorflow-macos"}


def test_a_list_that_is_a_constraint_as_well(tmp_path):
    """As pip-tools writes them: dev.txt is constrained by requirements.txt, and both are installed."""
    (tmp_path / "requirements.txt").write_text("tensorflow==2.15.1\n")
    (tmp_path / "dev.txt").write_text("-c requirements.txt\npytest==8.0.0\n")
    facts = find_declared([str(tmp_path / "dev.txt"), str(tmp_path / "requirements.txt")])
    assert dict(facts.versions) == {"tensorflow": "2.15.1", "pytest": "8.0.0"}


def test_constraints_that_name_constraints(tmp_path):
    """All of them hold; a circle ends."""
    (tmp_path / "a.txt").write_text("-c b.txt\nnumpy==1.26.4\n")
    (tmp_path / "b.txt").write_text("-c a.txt\n-r c.txt\n")
    (tmp_path / "c.txt").write_text("keras==2.15.0\n")
    (tmp_path / "requirements.txt").write_text("-c a.txt\nkeras\nnumpy\n")
    facts = find_declared([str(tmp_path / "requirements.txt")])
    assert dict(facts.versions) == {"keras": "2.15.0", "numpy": "1.26.4"}


@pytest.mark.parametrize(
    ("marker", "python", "system", "holds"),
    [
        ('sys_platform == "win32"', None, None, None),
        ('sys_platform == "win32"', None, "linux", False),
        ('platform_system == "Linux"', None, "linux", True),
        ('os_name == "posix"', "3.9", None, None),
        ('platform_machine == "aarch64"', "3.9", "linux", None),
        ('platform_machine != "arm64" or sys_platform != "darwin"', None, "linux", True),
        ('sys_platform != "aix"', None, None, True),  # whichever it is
        ('python_version < "3.8" and sys_platform == "win32"', "3.9", None, False),
        ('python_version < "3.8" or sys_platform == "win32"', "3.9", None, None),
        ('python_full_version < "3.9.5"', "3.9", "linux", None),
        ('python_full_version < "3.9.5"', "3.9.2", "linux", True),
        ('platform_release > "5"', "3.9", None, None),
    ],
)
def test_markers_that_ask_what_nobody_stated(tmp_path, marker, python, system, holds):
    """They are not judged by the system that the doctor runs on; where all possible ones agree, they hold or do not."""
    assert Interpreter(python, system).applies(Marker(marker)) is holds
    declaration = Declaration(python=python, system=system)
    declaration.add_requirement(f"tensorflow==2.0.0 ; {marker}")
    assert ("tensorflow" in declaration.versions, "tensorflow" in declaration.unpinned) == (bool(holds), holds is None)


def test_what_a_marker_leaves_open_is_told(tmp_path):
    """With the line, and what it asks for."""
    found = look(
        tmp_path,
        {
            "requirements.txt": 'tensorflow==2.0.0 ; sys_platform == "win32"\nnumpy==1.2 ; os_name=="nt" and python_version<"3"'
        },
    )
    assert found.unpinned == {
        "tensorflow": 'tensorflow==2.0.0 ; sys_platform == "win32" depends on the system, which is not stated',
        "numpy": 'numpy==1.2 ; os_name=="nt" and python_version<"3" depends on the version of Python and the system, which is not stated',
    }  # fmt: skip


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes")
def test_a_list_from_a_pipe(tmp_path):
    """``-r <(pip freeze)``: it can be read only once."""
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=lambda: (tmp_path / "pipe").write_text("keras-preprocessing==1.0.9\n"))
    writer.start()
    found = find_declared([str(tmp_path / "pipe")])
    writer.join()
    assert found.versions == {"keras-preprocessing": "1.0.9"}


NO_LISTS = {
    "Pipfile.lock": ("not json {", "{}", "[1]", '{"a": 1}'),
    "poetry.lock": ("garbage = [[[ ", "\u2603\ufffd", "{}"),
    "uv.lock": ("garbage",),
    "pylock.toml": ("[project]\nname = 'x'\n",),
    "environment.yml": ("\ufffd\x01\x02", "version: 1\npackage:\n- name: numpy\n  version: 1.26.4\n", ""),
    "conda-lock.yml": ("version: 1\npackage:\n- name: tensorflow\n  version: 2.10.0\n",),
    "Dockerfile": ("# nothing\n", "numpy==1.26.4\n"),
    "requirements.txt": ("{'a': 1}\n<html>\n", "\ufffd\ufffd (\n"),
}


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in NO_LISTS.items() for text in texts])
def test_what_is_no_list_of_its_kind(tmp_path, name, text):
    """It is no list in which nothing was found."""
    with pytest.raises(DoctorUsageError, match=name):
        look(tmp_path, {name: text})


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("uv.lock", 'version = 1\nrevision = 3\nrequires-python = ">=3.12"\n'),
        ("poetry.lock", 'package = []\n\n[metadata]\nlock-version = "2.1"\n'),
        ("pdm.lock", '[metadata]\nlock_version = "4.5"\n'),
        ("Pipfile.lock", '{"default": {}}'),
        ("environment.yml", "dependencies:\n"),
        ("requirements.txt", "# nothing yet\n"),
        ("requirements.txt", "-e .\n"),
    ],
)
def test_lists_of_nothing(tmp_path, name, text):
    """They are lists all the same."""
    assert look(tmp_path, {name: text}).versions == {}


def test_lines_of_conda_in_a_list(tmp_path):
    """What ``conda list --export`` and ``--explicit`` write, whatever the file is called."""
    exported = "# platform: linux-64\n_libgcc_mutex=0.1=main\npython=3.7.4=h265db76_1\ntensorflow=2.0.0=mkl_py37\nkeras-preprocessing=1.0.9=pypi_0\n"
    found = look(tmp_path, {"requirements.txt": exported})
    assert (found.versions["tensorflow"], found.versions["keras-preprocessing"]) == ("2.0.0", "1.0.9")
    assert (found.interpreter.version, "tensorflow" in found.conda) == ("3.7.4", True)
    assert "keras-preprocessing" not in found.conda
    explicit = "@EXPLICIT\nhttps://conda.anaconda.org/conda-forge/noarch/keras-preprocessing-1.0.9-py_1.tar.bz2\nhttps://x.org/linux-64/tensorflow-2.0.0-mkl_py37.conda#d41d8\n"
    assert look(tmp_path, {"spec.txt": explicit}).versions == {"keras-preprocessing": "1.0.9", "tensorflow": "2.0.0"}
    docker = {"Dockerfile": "FROM scratch\nRUN conda create -n e --file spec.txt\n", "spec.txt": explicit}
    assert look(tmp_path, docker).versions == {"keras-preprocessing": "1.0.9", "tensorflow": "2.0.0"}


@pytest.mark.parametrize(
    "line", ['keras-preprocessing == "1.0.9"', "keras-preprocessing=1.0.9", "keras-preprocessing==1.0.9 oops"]
)
def test_lines_that_cannot_be_read(tmp_path, line):
    """The package is there, and nobody knows in which version."""
    found = look(tmp_path, {"requirements.txt": f"numpy==1.26.4\n{line}\n"})
    assert found.unpinned["keras-preprocessing"].startswith("this line cannot be read: keras-preprocessing")
    assert found.versions == {"numpy": "1.26.4"}


UV = """\
version = 1
requires-python = ">=3.12"

[[package]]
name = "proj"
version = "0.1.0"
source = { virtual = "." }
dependencies = [
    { name = "numpy" },
    { name = "tensorflow", marker = "sys_platform == 'darwin'" },
    { name = "tensorflow-cpu", marker = "sys_platform != 'darwin'" },
]

[package.metadata]
requires-dist = [{ name = "numpy", marker = "sys_platform == 'aix'" }]

[[package]]
name = "tensorflow"
version = "2.16.1"
dependencies = [{ name = "numpy", marker = "sys_platform == 'aix'" }]

[[package]]
name = "tensorflow-cpu"
version = "2.15.1"

[[package]]
name = "numpy"
version = "1.26.4"
"""


def test_a_lock_that_says_who_asks_for_what(tmp_path):
    """A package that is asked for under conditions only is there under these."""
    found = look(tmp_path, {"uv.lock": UV})
    assert found.versions == {"proj": "0.1.0", "numpy": "1.26.4"}
    assert set(found.unpinned) == {"tensorflow", "tensorflow-cpu"}
    found = look(tmp_path, {"uv.lock": UV, "Dockerfile": "FROM python:3.12"}, "uv.lock", "Dockerfile")
    assert (found.versions.get("tensorflow"), found.versions.get("tensorflow-cpu")) == (None, "2.15.1")


def test_a_lock_that_does_not(tmp_path):
    """Two TensorFlows in it may each be for another system: one is taken, and the other stays open."""
    one = '[[package]]\nname = "{}"\nversion = "2.15.1"\n\n'
    found = look(tmp_path, {"poetry.lock": one.format("tensorflow") + one.format("tensorflow-cpu")})
    assert found.versions == {"tensorflow": "2.15.1"}
    assert found.unpinned["tensorflow-cpu"].endswith("poetry.lock does not say for which system")
    groups = one.format("tensorflow").replace(
        "\n\n", '\nmarkers = {main = "sys_platform == \\"darwin\\"", dev = "sys_platform == \\"win32\\""}\n\n'
    )
    found = look(tmp_path, {"poetry.lock": groups, "Dockerfile": "FROM scratch"}, "poetry.lock", "Dockerfile")
    assert (found.versions, found.unpinned) == ({}, {})


@pytest.mark.parametrize(
    ("lines", "versions"),
    [
        ("RUN --mount=type=cache,target=/root/.cache \\\n    <<EOF\npip install numpy==1.26.4\nEOF", {"numpy": "1.26.4"}),
        ("RUN bash -ex <<'EOF'\npip install numpy==1.26.4\nEOF\nRUN pip install scipy==1.9.0", {"numpy": "1.26.4", "scipy": "1.9.0"}),
        ("RUN python <<EOF\nprint('''\npip install numpy==1.26.4\n''')\nEOF", {}),
        ("COPY <<EOF /x\nRUN pip install numpy==1.26.4\nEOF", {}),
        ("RUN echo $((1 <<2)) && pip install numpy==1.26.4", {"numpy": "1.26.4"}),
        ("RUN pip install numpy==1.26.4 scipy==1.9.0\nRUN pip3 uninstall -y numpy", {"scipy": "1.9.0"}),
        ("RUN pip install numpy==1.26.4 && pip uninstall -y numpy && pip install numpy==1.25.0", {"numpy": "1.25.0"}),
        ("RUN conda install -y numpy=1.26.4 scipy=1.9.0\nRUN conda remove -y numpy", {"scipy": "1.9.0"}),
        ("RUN conda config --add channels conda-forge && conda init bash && conda clean -afy", {}),
    ],
)  # fmt: skip
def test_commands_of_a_dockerfile(tmp_path, lines, versions):
    """What a shell reads is run, what another program reads is not, and what is uninstalled is gone."""
    found = look(tmp_path, {"Dockerfile": f"FROM python:3.9\n{lines}\n"})
    assert (found.versions, set(found.unpinned)) == (versions, set())


def test_another_character_that_continues_lines(tmp_path):
    """On Windows the backslash is that of paths."""
    docker = "# escape=`\nFROM python:3.9\nRUN pip install `\n    numpy==1.26.4\nRUN copy C:\\\nRUN pip install scipy==1.9.0\n"
    assert look(tmp_path, {"Dockerfile": docker}).versions == {"numpy": "1.26.4", "scipy": "1.9.0"}


def test_a_file_that_is_not_beside_the_dockerfile(tmp_path):
    """It is the reason why something is not known."""
    found = look(tmp_path, {"Dockerfile": "FROM python:3.9\nRUN pip install -r /tmp/nothere.txt\n"})
    assert found.not_found == ("/tmp/nothere.txt",)
    answer = find_check(CHECKS, "KD101").examine(make_environment(packages=found))
    assert (str(answer.status), answer.statement) == (
        "unknown",
        "which keras-preprocessing is not stated in Dockerfile, and what it installs from was not found beside it: /tmp/nothere.txt",
    )
