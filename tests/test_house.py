"""The house itself: arrows between modules, light imports, names that stay what they are."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import kerasdiag

ROOT = Path(kerasdiag.__file__).parent

# From the top down; a module may import from its own row and from the rows below, never upward.
# Rooms of one row that must not know each other stand in INDEPENDENT.
LAYERS = (
    ("cli", "__main__"),
    ("demo",),
    ("profiler", "doctor", "repair"),
    ("report",),
    ("profile_cache",),
    ("diagnosis", "next_step", "demand"),
    (
        "profile",
        "step_times",
        "first_batch",
        "profile_json",
        "input_identity",
        "spec",
        "stage_timing",
        "ceilings",
        "environment",
        "findings",
    ),
    ("version_facts", "applications"),
    ("errors", "compat", "fit_call", "user_code", "texts", "write_text"),
    ("random_streams",),
)
INDEPENDENT = ("profiler", "doctor", "repair")


def layer_of(room):
    """Row of a room; the package itself (its version) may be asked by everybody."""
    for row, rooms in enumerate(LAYERS):
        if room in rooms:
            return row
    raise AssertionError(f"{room} has no row in LAYERS: say where it belongs")


def source_files():
    return sorted(ROOT.rglob("*.py"))


def imported_rooms(tree):
    """Rooms of kerasdiag that a module imports, wherever the import stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute here"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            parts = name.split(".")
            if parts[0] == "kerasdiag" and len(parts) > 1 and parts[1] != "__version__":
                yield parts[1]


def upward_imports(room, tree):
    """Say which imports of a module in ``room`` break the rules."""
    for other in imported_rooms(tree):
        if layer_of(other) < layer_of(room):
            yield f"{room} imports {other}, which lies above it"
        if other != room and other in INDEPENDENT and room in INDEPENDENT:
            yield f"{room} imports {other}; these two must not know each other"


@pytest.mark.parametrize("path", source_files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_down_only(path):
    """No module imports from a room above its own."""
    room = path.relative_to(ROOT).parts[0].removesuffix(".py")
    if room == "__init__":
        return  # the public names; they are loaded lazily, which the tests below check
    assert not list(upward_imports(room, ast.parse(path.read_text(encoding="utf-8"))))


def test_the_arrow_test_sees_an_upward_import():
    """The rule above fails on what it forbids."""
    assert list(upward_imports("report", ast.parse("def f():\n    from kerasdiag.profiler import callback")))
    assert list(upward_imports("profiler", ast.parse("import kerasdiag.doctor")))
    assert not list(upward_imports("profiler", ast.parse("from kerasdiag import compat")))


def test_only_compat_asks_for_versions():
    """A version of Keras or TensorFlow is compared in one room."""
    for path in source_files():
        if path.parent.name != "compat":
            assert "packaging.version" not in path.read_text(encoding="utf-8"), path


def test_no_file_is_long():
    """Every file can be read in one sitting."""
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in source_files()}
    assert max(lengths.values()) <= 400, max(lengths, key=lengths.get)
    assert sorted(lengths.values())[len(lengths) // 2] <= 150


@pytest.mark.parametrize(
    "arguments",
    [
        ["-c", "import kerasdiag"],
        ["-c", "from kerasdiag import BottleneckProfiler; BottleneckProfiler()"],
        ["-m", "kerasdiag", "--help"],
        ["-m", "kerasdiag", "report", "--help"],
        ["-m", "kerasdiag", "doctor", "--no-probe", "--data", str(ROOT), "--fail-on", "never"],
        ["-m", "kerasdiag", "explain", "KD101"],
        ["-m", "kerasdiag", "demo", "--help"],
        ["-m", "kerasdiag", "run", "--help"],
        ["-m", "kerasdiag", "run", "-m", "this"],
    ],
    ids=[
        "import",
        "profiler",
        "help",
        "report help",
        "doctor",
        "explain",
        "demo help",
        "run help",
        "waiting for Keras",
    ],
)
def test_nothing_loads_tensorflow_or_keras(arguments):
    """The tool starts where TensorFlow is broken, and starts fast where it is not."""
    result = subprocess.run(
        [sys.executable, "-X", "importtime", *arguments], capture_output=True, text=True, timeout=60, check=True
    )
    loaded = {line.rsplit("|", 1)[-1].strip().split(".")[0] for line in result.stderr.splitlines() if "|" in line}
    assert "kerasdiag" in loaded
    assert not loaded & {"tensorflow", "keras", "tf_keras", "jax", "torch"}
    assert "pynvml" not in loaded or arguments[2:3] == ["doctor"]  # it asks the driver, in a thread


def submodules():
    return [
        info.name for info in pkgutil.walk_packages([str(ROOT)], "kerasdiag.") if not info.name.endswith("__main__")
    ]


def test_public_names_survive_importing_every_submodule():
    """No sub-package has the name of a public function and takes its place."""
    for name in submodules():
        importlib.import_module(name)
    for name in kerasdiag.__all__:
        value = getattr(kerasdiag, name)
        assert not inspect.ismodule(value), name
        assert callable(value) or isinstance(value, str), name


def test_public_functions_are_documented():
    """Everything public says what it is."""
    for name in kerasdiag.__all__:
        if name != "__version__":
            assert getattr(kerasdiag, name).__doc__, name


def test_unknown_name_is_an_attribute_error_that_lists_the_public_ones():
    """A misspelt import says what there is."""
    with pytest.raises(AttributeError, match="BottleneckProfiler"):
        _ = kerasdiag.BottelneckProfiler


def test_dir_shows_the_public_names():
    """Completion in a notebook offers the public names."""
    assert set(dir(kerasdiag)) == set(kerasdiag.__all__)


def test_every_test_says_in_a_sentence_what_it_shows():
    """A test without a docstring leaves the reader guessing what broke."""
    for path in sorted(Path(__file__).parent.rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                assert ast.get_docstring(node), f"{path.name}: {node.name}"
