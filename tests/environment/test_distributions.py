"""Installed distributions by their metadata folders, whole and broken ones."""

from __future__ import annotations

import os
import sys
from importlib import metadata

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from packaging.utils import canonicalize_name

from kerasdiag.environment.distributions import find_distributions
from kerasdiag.environment.packages import find_packages


def write(folder, name, text="Metadata-Version: 2.1\n"):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())


def versions(*folders):
    return {name: one.version for name, one in find_distributions([str(folder) for folder in folders]).items()}


@pytest.mark.parametrize(
    ("file", "text", "expected"),
    [
        ("Keras_Preprocessing-1.0.9.dist-info/METADATA", "x", {"keras-preprocessing": "1.0.9"}),
        ("nvidia_cublas_cu12-12.5.3.2.dist-info/METADATA", "x", {"nvidia-cublas-cu12": "12.5.3.2"}),
        ("tensorflow-2.15.0+nv24.1.dist-info/METADATA", "x", {"tensorflow": "2.15.0+nv24.1"}),
        ("zope.interface-5.0.dist-info/METADATA", "x", {"zope-interface": "5.0"}),
        ("numpy-1.16.6-py2.7.egg-info/PKG-INFO", "x", {"numpy": "1.16.6"}),
        ("six-1.16.0.egg-info", "Name: six\n", {"six": "1.16.0"}),  # Debian: a file
        ("keras-2.3.1-py3.7.egg/EGG-INFO/PKG-INFO", "x", {"keras": "2.3.1"}),
        ("mine.egg-info/PKG-INFO", "Name: My_Thing\nVersion: 0.1.dev0\n", {"my-thing": "0.1.dev0"}),
        ("mine.egg-info/PKG-INFO", "Name: My_Thing\n", {}),
        ("keras-3.0.0.dist-info/RECORD", "", {}),  # an interrupted pip
        ("keras-3.0.0.dist-info/METADATA", "", {}),
        ("~eras-3.0.0.dist-info/METADATA", "x", {}),  # another one
        ("keras-3.0.0.dist-info.txt", "x", {}),
        ("keras/__init__.py", "x", {}),
    ],
)
def test_names_of_folders(tmp_path, file, text, expected):
    """Name and version stand in the name of the folder; only where they do not, a file is read."""
    write(tmp_path, file, text)
    assert versions(tmp_path) == expected


def test_the_first_folder_wins(tmp_path):
    """As it does for import."""
    write(tmp_path / "a", "numpy-1.26.4.dist-info/METADATA")
    write(tmp_path / "b", "numpy-2.0.2.dist-info/METADATA")
    assert versions(tmp_path / "a", tmp_path / "absent", tmp_path / "b") == {"numpy": "1.26.4"}
    assert versions(tmp_path / "b", tmp_path / "a") == {"numpy": "2.0.2"}


def test_two_of_one_name_in_a_folder(tmp_path):
    """An interrupted upgrade: the later one wrote the files."""
    for number, version in enumerate(("2.0.2", "1.26.4")):
        write(tmp_path, f"numpy-{version}.dist-info/METADATA")
        os.utime(tmp_path / f"numpy-{version}.dist-info/METADATA", (1e9 + number, 1e9 + number))
    assert versions(tmp_path) == {"numpy": "1.26.4"}


def test_what_is_required(tmp_path):
    """From the header of METADATA only, and from requires.txt of an egg with its sections."""
    text = "Name: a\nLicense: MIT\n  Requires-Dist: not-this\nRequires-Dist: b>=1\nRequires-Dist: c ; extra == 'x'\n\nRequires-Dist: d\n"
    write(tmp_path, "a-1.0.dist-info/METADATA", text)
    write(tmp_path, "e-1.0.egg-info/PKG-INFO")
    write(
        tmp_path,
        "e-1.0.egg-info/requires.txt",
        "six\n\n[image]\nPillow>=5\n\n[:python_version < '3']\nenum34\n[t:os_name == 'nt']\nw",
    )
    found = find_distributions([str(tmp_path)])
    assert found["a"].requires() == ("b>=1", "c ; extra == 'x'")
    assert found["e"].requires() == (
        "six", "Pillow>=5 ; extra == 'image'", "enum34 ; (python_version < '3')", "w ; (os_name == 'nt') and extra == 't'"
    )  # fmt: skip


def test_as_importlib_sees_this_environment():
    """Every distribution of the running Python, with the same version."""
    found = find_distributions(sys.path)
    for one in metadata.distributions():
        if one.metadata and one.metadata["Name"]:
            name = canonicalize_name(one.metadata["Name"])
            assert found[name].version == metadata.version(name), name
    assert len(found) > 20


def test_facts_of_packages(tmp_path):
    """Requirements of TensorFlow's closure, who installed what, and the JPEG library of Pillow."""
    write(
        tmp_path,
        "tensorflow-2.15.1.dist-info/METADATA",
        "Name: tensorflow\nRequires-Dist: NumPy<2\nRequires-Dist: !!\n",
    )
    write(tmp_path, "tensorflow-2.15.1.dist-info/INSTALLER", "conda\n")
    write(tmp_path, "numpy-1.26.4.dist-info/METADATA", "Name: numpy\n")
    write(tmp_path, "other-1.0.dist-info/METADATA", "Name: other\nRequires-Dist: absent\n")
    write(tmp_path, "Pillow-8.4.0.dist-info/METADATA")
    write(tmp_path, "Pillow.libs/libjpeg-183418da.so.9.4.0")
    environ = {"KERAS_BACKEND": "jax", "TF_USE_LEGACY_KERAS": "", "SECRET": "x"}
    found = find_packages([str(tmp_path)], environ)
    assert set(found.requires) == {"tensorflow", "numpy"}
    assert found.conda == {"tensorflow"}
    assert found.jpeg_library == "libjpeg-183418da.so.9.4.0"
    assert found.environ == {"KERAS_BACKEND": "jax"}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.text(st.characters(blacklist_characters="/\0", blacklist_categories=("Cs",)), min_size=1, max_size=30),
    kind=st.sampled_from([".dist-info", ".egg-info", ".egg", ""]),
    content=st.binary(max_size=300),
)
def test_nonsense_never_raises(tmp_path_factory, name, kind, content):
    """Whatever lies in a site-packages, the rest of it is described."""
    folder = tmp_path_factory.mktemp("site")
    try:
        (folder / f"{name}{kind}").mkdir()
    except OSError:
        return  # no name for this file system
    for file in ("METADATA", "PKG-INFO", "INSTALLER", "requires.txt"):
        (folder / f"{name}{kind}" / file).write_bytes(content)
    write(folder, "tensorflow-2.15.1.dist-info/METADATA", content or b"x")
    assert "tensorflow" in find_packages([str(folder)], {}).versions
