"""The NVIDIA driver asked in another process: bindings that answer, hang, crash or are not there."""

from __future__ import annotations

import os

import pytest

from kerasdiag.environment.ask_gpus import ask_gpus
from kerasdiag.environment.gpus import find_gpus

ANSWERS = """
from types import SimpleNamespace
def nvmlInit(): pass
def nvmlShutdown(): pass
def nvmlDeviceGetCount(): return 1
def nvmlDeviceGetHandleByIndex(index): return index
def nvmlDeviceGetName(handle): return "NVIDIA T4"
def nvmlDeviceGetUUID(handle): return "GPU-0"
def nvmlSystemGetDriverVersion(): return "550.54.15"
def nvmlSystemGetCudaDriverVersion(): return 12040
def nvmlDeviceGetCudaComputeCapability(handle): return (7, 5)
def nvmlDeviceGetCurrentClocksEventReasons(handle): return 0x40
def nvmlDeviceGetComputeRunningProcesses(handle):
    import os
    return [SimpleNamespace(pid=pid) for pid in (os.getpid(), os.getppid(), 4711)]
print("a library that talks")
"""


@pytest.fixture
def bindings(tmp_path, monkeypatch):
    """Put a pynvml of this text in front of the real one."""
    (tmp_path / "modules").mkdir()
    monkeypatch.syspath_prepend(tmp_path / "modules")

    def write(text):
        (tmp_path / "modules" / "pynvml.py").write_text(text)

    return write


def test_the_same_facts_as_in_this_process(bindings, tmp_path, monkeypatch):
    """Nothing is lost on the way, tuples stay tuples, and neither process counts as somebody else's."""
    bindings(ANSWERS)
    monkeypatch.delitem(__import__("sys").modules, "pynvml", raising=False)
    facts = ask_gpus(tmp_path, {"CUDA_VISIBLE_DEVICES": "0"})
    here = find_gpus(tmp_path, {"CUDA_VISIBLE_DEVICES": "0"}, own_processes=(os.getpid(), os.getppid()))
    assert facts == here
    (gpu,) = facts.gpus
    assert (gpu.compute_capability, gpu.processes) == ((7, 5), (4711,))
    assert gpu.slow_reasons == ("its temperature (hardware)",)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import time; time.sleep(60)", "the NVIDIA driver did not answer within 2 s"),
        ("import os; os.kill(os.getpid(), 11)", "the NVIDIA driver ended the process that asked it (SIGSEGV)"),
        ("import os; os._exit(7)", "the NVIDIA driver ended the process that asked it (exit code 7)"),
    ],
)
@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_a_driver_that_hangs_or_crashes(bindings, tmp_path, text, said):
    """That is the answer, beside what the PCI bus shows."""
    bindings(text)
    card = tmp_path / "sys/bus/pci/devices/0000:01:00.0"
    card.mkdir(parents=True)
    (card / "class").write_text("0x030000\n")
    (card / "vendor").write_text("0x10de\n")
    facts = ask_gpus(tmp_path, {}, 2.0)
    assert (facts.remark, facts.is_silent, facts.cards, facts.gpus) == (said, True, 1, ())
    assert facts.lacks_time is ("within" in said)  # 2 s may be too few


def test_no_bindings(bindings, tmp_path):
    """A remark, as before: the driver is not silent, nobody asked it."""
    bindings("raise ImportError('no such thing')")
    facts = ask_gpus(tmp_path, {})
    assert facts.remark == "pynvml cannot be imported: ImportError: no such thing"
    assert not facts.is_silent


def test_no_process(tmp_path, monkeypatch):
    """Where none can be started, that is said."""
    monkeypatch.setattr("sys.executable", "/absent/python")
    assert "no process can be started for it" in ask_gpus(tmp_path, {}).remark
