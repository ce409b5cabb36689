"""What NVML and the PCI bus say of the GPUs, through a stand-in that only has the names of the real bindings."""

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest
from doctor.fake_nvml import NOT_SUPPORTED, NoDriver, Nvml, NVMLError

from kerasdiag.environment.gpus import find_gpus
from kerasdiag.environment.tensorflow_build import TensorFlowBuild, cuda_libraries, find_build


def look(tmp_path, nvml, environ=None):
    facts = find_gpus(tmp_path, environ or {}, lambda: nvml)
    assert getattr(nvml, "users", 0) == 0, "the driver is closed again"
    return facts


def test_a_gpu(tmp_path):
    """Everything that a driver tells, in plain units."""
    others = [SimpleNamespace(pid=os.getpid()), SimpleNamespace(pid=4711)]
    gpu = {"nvmlDeviceGetCurrentClocksEventReasons": 0x1 | 0x4 | 0x40, "nvmlDeviceGetComputeRunningProcesses": others}
    facts = look(tmp_path, Nvml(gpu))
    assert (facts.driver_version, facts.driver_cuda, facts.cards, facts.hidden) == ("550.54.15", (12, 4), None, 0)
    (state,) = facts.gpus
    assert (state.title, state.compute_capability, state.utilization_percent) == ("GPU 0 (NVIDIA T4)", (7, 5), 60.0)
    assert state.slow_reasons == ("its power limit", "its temperature (hardware)")  # idle is no fault
    assert state.processes == (4711,)
    assert (state.power_limit_w, state.pcie_width, state.is_mig, state.is_repair_pending) == (70.0, 16, False, False)


def test_what_a_driver_does_not_tell_is_none(tmp_path):
    """Not zero, and not fine."""
    error = NVMLError(NOT_SUPPORTED)
    silent = dict.fromkeys(
        (name for name in Nvml().gpus[0] if name not in ("nvmlDeviceGetName", "nvmlDeviceGetUUID")), error
    )
    (state,) = look(tmp_path, Nvml(silent)).gpus
    told = {name for name, value in vars(state).items() if value not in (None, "")}
    assert told == {"index", "name"}


def test_old_drivers_have_another_name_for_clocks(tmp_path):
    """Before 535 the reasons were those of throttling."""
    nvml = Nvml(
        {"nvmlDeviceGetCurrentClocksEventReasons": NVMLError(13), "nvmlDeviceGetCurrentClocksThrottleReasons": 0x8}
    )
    nvml.nvmlDeviceGetCurrentClocksThrottleReasons = lambda handle: 0x8
    assert look(tmp_path, nvml).gpus[0].slow_reasons == ("a hardware slowdown",)


@pytest.mark.parametrize(
    ("pages", "rows", "pending", "failed"),
    [
        (1, (0, 0, 0, 0), True, False),
        (0, (1, 1, 0, 0), False, False),
        (0, (0, 0, 1, 0), True, False),
        (0, (0, 0, 0, 1), False, True),
        (NVMLError(3), (0, 0, 1, 0), True, False),
        (1, NVMLError(3), True, None),
        (NVMLError(3), NVMLError(3), None, None),
    ],
)
def test_broken_memory(tmp_path, pages, rows, pending, failed):
    """Rows that were replaced already are no fault."""
    nvml = Nvml({"nvmlDeviceGetRetiredPagesPendingStatus": pages, "nvmlDeviceGetRemappedRows": rows})
    state = look(tmp_path, nvml).gpus[0]
    assert (state.is_repair_pending, state.has_repair_failed) == (pending, failed)


def test_hidden_gpus_are_counted(tmp_path):
    """CUDA_VISIBLE_DEVICES chooses."""
    facts = look(tmp_path, Nvml({}, {}), {"CUDA_VISIBLE_DEVICES": "1", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"})
    assert ([gpu.index for gpu in facts.gpus], facts.hidden, facts.visible_devices) == ([1], 1, "1")
    facts = look(tmp_path, Nvml({}, {}), {"CUDA_VISIBLE_DEVICES": "-1"})
    assert (facts.gpus, facts.hidden, facts.is_there) == ((), 2, True)


def test_no_driver(tmp_path):
    """The bus may show a card nevertheless."""
    for number, kind, vendor in (
        (1, "0x030000", "0x10de"),
        (2, "0x030200", "0x10de"),
        (3, "0x040300", "0x10de"),
        (4, "0x030000", "0x1002"),
    ):
        folder = tmp_path / f"sys/bus/pci/devices/0000:0{number}:00.0"
        folder.mkdir(parents=True)
        (folder / "class").write_text(kind + "\n")
        (folder / "vendor").write_text(vendor + "\n")
    facts = look(tmp_path, NoDriver())
    assert (facts.gpus, facts.cards, facts.is_there) == ((), 2, True)  # sound and another maker's do not count
    assert "libnvidia-ml.so.1" in facts.remark


def test_bindings_that_break(tmp_path):
    """A pynvml that cannot be imported, or answers nonsense, is a remark."""

    def fail():
        raise ImportError("no pynvml")

    assert "no pynvml" in find_gpus(tmp_path, {}, fail).remark
    nonsense = Nvml({"nvmlDeviceGetCudaComputeCapability": 3})
    assert "TypeError" in look(tmp_path, nonsense).remark


BUILDS = {
    "cpu": ("OrderedDict([('is_cuda_build', False)])", TensorFlowBuild(is_cuda_build=False)),
    "2.21": (
        "OrderedDict([('cuda_compute_capabilities', ['sm_60', 'compute_90']), ('cuda_version', '12.5.1'), ('cudnn_version', '9'), ('is_cuda_build', True)])",
        TensorFlowBuild(is_cuda_build=True, cuda=(12, 5), cudnn_major=9, compute_capabilities=("sm_60", "compute_90")),
    ),
    "windows": (
        "OrderedDict([('cuda_version', '64_112'), ('cudnn_version', '64_8'), ('cudart_dll_name', 'cudart64_110.dll'), ('is_cuda_build', True)])",
        TensorFlowBuild(is_cuda_build=True, cuda=(11, 2), cudnn_major=8, libraries=("cudart64_110.dll",)),
    ),
    "dictionary": ("{'is_cuda_build': True, 'cuda_version': None}", TensorFlowBuild(is_cuda_build=True)),
    "nonsense": ("OrderedDict(list(open('/etc/passwd')))", None),
    "no build": ("3", None),
    "no Python": ("OrderedDict([(", None),
}


@pytest.mark.parametrize("name", BUILDS)
def test_builds(tmp_path, name):
    """Read, never run."""
    text, build = BUILDS[name]
    file = tmp_path / "tensorflow/python/platform/build_info.py"
    file.parent.mkdir(parents=True)
    file.write_text(f"import collections\nbuild_info = {'collections.' if text.startswith('Ordered') else ''}{text}\n")
    assert find_build([str(tmp_path / "absent"), str(tmp_path)]) == build
    assert find_build([]) is None


def test_libraries_of_a_build():
    """By the major version of CUDA; what Windows wrote down itself comes first."""
    names = cuda_libraries(TensorFlowBuild(is_cuda_build=True, cuda=(12, 5), cudnn_major=9))
    assert {"libcudart.so.12", "libcudnn.so.9"} <= set(names)
    assert cuda_libraries(TensorFlowBuild(is_cuda_build=True, cuda=(11, 2), libraries=("cudart64_110.dll",))) == (
        "cudart64_110.dll",
    )
    assert cuda_libraries(TensorFlowBuild(is_cuda_build=True, cuda=(13, 0))) == ()
    assert cuda_libraries(TensorFlowBuild(is_cuda_build=False)) == cuda_libraries(None) == ()
