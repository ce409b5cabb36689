"""What holds for every test: an own cache directory, a fixed terminal, nothing left behind, no silent skip."""

from __future__ import annotations

import os
import signal
import sys
import threading
from importlib import metadata

import pytest
from allowed_skips import ALLOWED_SKIPS

from kerasdiag.environment import pressure

sys.path.insert(0, os.path.dirname(__file__))

# A shell lets what it runs in the background ignore Ctrl-C, and the processes that tests start would inherit that.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _own_world(tmp_path, monkeypatch):
    """No test sees the user's cache, terminal or launcher."""
    monkeypatch.setenv("KERASDIAG_CACHE_DIR", str(tmp_path / "kerasdiag-cache"))
    for name in ("KERASDIAG_DISABLE", "NO_COLOR", "TF_CONFIG", "RANK", "WORLD_SIZE", "SLURM_PROCID", "SLURM_NTASKS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "80")


@pytest.fixture(autouse=True)
def _leaves_no_thread():
    """No sampler thread outlives its test."""
    before = set(threading.enumerate())
    yield
    left = [thread for thread in threading.enumerate() if thread not in before and "kerasdiag" in thread.name]
    for thread in left:
        thread.join(3)
    assert not [thread for thread in left if thread.is_alive()]


# What each environment of pyproject.toml must hold: TensorFlow and Keras version, by prefix.
ENVIRONMENTS = {
    "newest": ("2.", "3."),
    "tf215": ("2.15.1", "2.15."),
    "tf210": ("2.10.1", "2.10."),
    "tfkeras": ("2.", "2."),
    "keras36": ("2.", "3.6.0"),
    "keras33": ("2.", "3.3.3"),
    "jax": ("2.", "3."),
    "torch": ("2.", "3."),
    "xprof": ("2.", "3."),
}


def pytest_configure(config):
    """Refuse to run in an environment that is not what its name says: its version would never be tested."""
    name = os.environ.get("KERASDIAG_TEST_ENVIRONMENT")
    if name is None:
        return
    if name not in ENVIRONMENTS:
        raise pytest.UsageError(f"KERASDIAG_TEST_ENVIRONMENT={name} is none of {', '.join(ENVIRONMENTS)}")
    expected = dict(zip(("tensorflow", "tf_keras" if name == "tfkeras" else "keras"), ENVIRONMENTS[name]))
    for module, prefix in expected.items():
        found = _installed_version(module)
        if not found.startswith(prefix):
            raise pytest.UsageError(f"the environment {name} should hold {module} {prefix}, but holds {found}")


def _installed_version(module):
    """Version of a package by import name; TensorFlow has distributions of several names."""
    names = {"tensorflow": ("tensorflow", "tensorflow-cpu"), "tf_keras": ("tf-keras", "tf_keras")}.get(
        module, (module,)
    )
    for name in names:
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return "none"


def pytest_addoption(parser):
    """Let golden files be rewritten; the diff is the review."""
    parser.addoption("--update-golden", action="store_true", help="rewrite tests/golden from what the code prints now")


@pytest.fixture
def golden(request):
    """Compare text with a file in tests/golden."""
    folder = request.config.rootpath / "tests" / "golden"

    def compare(name, text):
        path = folder / name
        if request.config.getoption("--update-golden"):
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        assert text == path.read_text(encoding="utf-8"), f"{path} differs; look, then run pytest --update-golden"

    return compare


_unexpected_skips: list[str] = []


def pytest_runtest_logreport(report):
    """Note every skip that is not on the list."""
    if report.skipped and not hasattr(report, "wasxfail"):
        reason = str(report.longrepr[2]) if isinstance(report.longrepr, tuple) else str(report.longrepr)
        if not any(allowed in reason for allowed in ALLOWED_SKIPS):
            _unexpected_skips.append(f"{report.nodeid}: {reason}")


def pytest_sessionfinish(session, exitstatus):
    """In CI a skip that nobody allowed is a failure: it would hide a version that was never run."""
    if os.environ.get("CI") and _unexpected_skips and exitstatus == 0:
        print("\nSkipped, but not on the list in tests/allowed_skips.py:", *_unexpected_skips, sep="\n  ")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(autouse=True)
def _short_watch(monkeypatch):
    """The doctor watches a machine for half a second; a planted one does not change by itself."""
    monkeypatch.setattr(pressure, "WATCH_S", 0.01)
