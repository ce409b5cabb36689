"""A TensorFlow asked in another process: a stand-in that answers, dies, hangs or prints nonsense."""

from __future__ import annotations

import os
import time

import pytest

from kerasdiag.environment import tensorflow_probe
from kerasdiag.environment.tensorflow_probe import probe_tensorflow

ANSWERS = """
import sys
__version__ = "2.99.0"
class config:
    def list_physical_devices(kind):
        return DEVICES
class Device:
    name = "/physical_device:GPU:0"
DEVICES = [Device] if %r else []
print("to stdout"); print("to stderr", file=sys.stderr)
"""


@pytest.fixture
def tensorflow(tmp_path, monkeypatch):
    """Put a module of this text where TensorFlow would be."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    def write(text):
        (tmp_path / "tensorflow.py").write_text(text)

    return write


def test_it_sees_a_gpu(tensorflow):
    """Version and devices; libraries are not tried then."""
    tensorflow(ANSWERS % True)
    facts = probe_tensorflow(("libabsent.so.1",))
    assert (facts.version, facts.gpus, facts.missing, facts.failure) == ("2.99.0", ("/physical_device:GPU:0",), {}, "")
    assert {"to stdout", "to stderr"} <= set(facts.output)
    assert 0 <= facts.import_s < 60


@pytest.mark.skipif(os.name != "posix", reason="names of Linux libraries")
def test_it_sees_none(tensorflow):
    """Each library is tried; the loader says why one is missing."""
    tensorflow(ANSWERS % False)
    facts = probe_tensorflow(("libabsent.so.1", "libc.so.6"))
    assert facts.gpus == ()
    assert list(facts.missing) == ["libabsent.so.1"]
    assert "cannot open shared object file" in facts.missing["libabsent.so.1"]


@pytest.mark.parametrize(
    ("text", "failure"),
    [
        (
            "raise ImportError('numpy.core.multiarray failed to import')",
            "ImportError: numpy.core.multiarray failed to import",
        ),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "it was killed by SIGKILL"),
        ("import os; os._exit(7)", "it ended with code 7 and said nothing"),
        ("this is no Python", "SyntaxError"),
    ],
)
def test_it_dies(tensorflow, text, failure):
    """How it died is the answer."""
    tensorflow(text)
    facts = probe_tensorflow()
    assert failure in facts.failure
    assert facts.version is None


@pytest.mark.parametrize(
    ("fair_s", "said"),
    [
        (3.0, ("its import did not come back within 3 s", "")),
        (20.0, ("", "it was given up after 3 s, which may be too short; --timeout gives more")),
    ],
)
def test_it_hangs(tensorflow, monkeypatch, fair_s, said):
    """It is killed after its time, and what it had printed is kept. It is a fault only if it had time enough."""
    tensorflow("import time; print('waiting for the GPU', flush=True); time.sleep(600)")
    monkeypatch.setattr(tensorflow_probe, "FAIR_S", fair_s)
    begin = time.monotonic()
    facts = probe_tensorflow(timeout_s=3.0)
    assert time.monotonic() - begin < 60
    assert (facts.failure, facts.not_asked) == said
    assert facts.output == ("waiting for the GPU",)


def test_no_time(tensorflow):
    """Then it is not started at all."""
    tensorflow("raise SystemExit('it was started')")
    facts = probe_tensorflow(timeout_s=-2.0)
    assert (facts.failure, facts.unanswered) == ("", "no time was left for it; --timeout gives more")
