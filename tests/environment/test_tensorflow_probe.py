"""A TensorFlow asked in another process: a stand-in that answers, dies, hangs or prints nonsense."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest
from processes import is_running, number_in, wait_for

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
    monkeypatch.syspath_prepend(tmp_path)  # the child finds what this process finds

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


def test_it_prints_without_end(tensorflow):
    """Lines, or one that never ends: the last of it is kept, not all of it."""
    tensorflow("import sys\nwhile True: sys.stdout.write('x' * 100_000)")
    facts = probe_tensorflow(timeout_s=2.0)
    assert facts.not_asked
    assert 0 < sum(map(len, facts.output)) <= 50_000


@pytest.mark.skipif(os.name != "posix", reason="what it starts outlives it")
def test_what_it_starts_keeps_its_output_open(tensorflow, tmp_path):
    """Its own end counts, not that of something that it left behind."""
    left = tmp_path / "pid"
    tensorflow(
        "import os, subprocess, sys\n"
        "left = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        f"open({str(left)!r}, 'w').write(str(left.pid))\n"
        "os._exit(3)"
    )
    begin = time.monotonic()
    try:
        assert "code 3" in probe_tensorflow().failure
        assert time.monotonic() - begin < 30
    finally:
        os.kill(int(left.read_text()), 9)


def test_files_of_the_current_directory_are_not_run(tensorflow, tmp_path, monkeypatch):
    """A helper called tensorflow.py, or a json.py, is the user's own business."""
    tensorflow(ANSWERS % True)
    beside = tmp_path / "beside"
    beside.mkdir()
    for name in ("tensorflow", "json", "ctypes"):
        (beside / f"{name}.py").write_text("raise SystemExit('it was run')")
    monkeypatch.chdir(beside)
    monkeypatch.setattr(sys, "path", ["", *sys.path])  # as an interactive Python has it
    facts = probe_tensorflow()
    assert (facts.version, facts.failure) == ("2.99.0", "")


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_it_ends_with_its_parent(tmp_path):
    """However that ends: nobody waits for its answer any more."""
    alive = tmp_path / "alive"
    (tmp_path / "tensorflow.py").write_text(
        f"import os, time\nopen({str(alive)!r}, 'w').write(str(os.getpid()))\ntime.sleep(60)"
    )
    script = "from kerasdiag.environment.tensorflow_probe import probe_tensorflow; probe_tensorflow()"
    path = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    parent = subprocess.Popen([sys.executable, "-c", script], env={**os.environ, "PYTHONPATH": path})
    try:
        child = number_in(alive)
    finally:
        parent.terminate()
        parent.wait()
    wait_for(lambda: not is_running(child))


# As every Keras does it: what cannot be written is passed over.
KERAS = """
import os
folder = os.environ.get("KERAS_HOME") or os.path.expanduser("~/.keras")
try:
    os.makedirs(folder)
    open(folder + "/keras.json", "w").write("{}")
except OSError:
    pass
__version__ = folder
class config:
    list_physical_devices = staticmethod(lambda kind: [])
"""


def test_nothing_is_written_into_a_new_home(tensorflow, tmp_path, monkeypatch):
    """Keras writes its settings where there are none: it is given a folder that cannot be made."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    monkeypatch.delenv("KERAS_HOME", raising=False)
    tensorflow(KERAS)
    assert probe_tensorflow().failure == ""
    assert list(home.iterdir()) == []
    (home / ".keras").mkdir()
    (home / ".keras" / "keras.json").write_text("{}")
    assert probe_tensorflow().version == str(home / ".keras")  # settings of the user count


@pytest.mark.keras
def test_the_real_keras_writes_nothing_either(tmp_path, monkeypatch):
    """Whichever version is installed: it is imported, and the home stays empty."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.delenv("KERAS_HOME", raising=False)
    facts = probe_tensorflow(timeout_s=120.0)
    assert facts.version is not None
    assert not (tmp_path / ".keras").exists()
