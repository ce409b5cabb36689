"""Planted machines with a GPU that TensorFlow does not use: the first finding is the cause."""

from __future__ import annotations

import platform

import pytest
from doctor.fake_nvml import DRIVER_NOT_LOADED, NoDriver, Nvml
from doctor.test_planted import doctor, first, is_example, nvme  # noqa: F401 - a fixture

from kerasdiag.environment.child_process import Ending
from kerasdiag.environment.gpus import GpuFacts
from kerasdiag.environment.tensorflow_probe import Heard, ProbeFacts, read_answer

T4 = "0x10de"


def with_gpu(root, tensorflow="tensorflow", **gpu):
    machine = nvme(root, tensorflow=tensorflow)
    machine.nvml = Nvml(gpu)
    return machine.build()


def statuses(answer):
    """Code -> status of all checks of a report."""
    return {one["code"]: one["status"] for one in answer[0]["checks"]}


def test_a_gpu_that_is_used(tmp_path, doctor):  # noqa: F811
    """Nothing to say; the head names it."""
    machine = with_gpu(tmp_path)
    machine.probed = ProbeFacts(version="2.21.0", gpus=("/physical_device:GPU:0",))
    report, code = doctor(machine, "--select", "KD2")
    assert (report["findings"], code) == ([], 0)
    assert report["facts"]["gpu"] == "NVIDIA T4 (driver 550.54.15)"
    assert {one["code"]: one["status"] for one in report["checks"]}["KD201"] == "ok"
    assert machine.nvml.users == 0


def test_a_wheel_for_the_cpu(tmp_path, doctor):  # noqa: F811
    """tensorflow-cpu on a machine with a GPU."""
    machine = with_gpu(tmp_path, "tensorflow_cpu").build(cuda=None)
    report, code = doctor(machine)
    finding = first(report)
    assert (finding["code"], finding["severity"], code) == ("KD201", "error", 1)
    assert is_example(finding)
    assert finding["remedy"]["code"] == ["pip uninstall tensorflow-cpu", 'pip install "tensorflow[and-cuda]==2.21.0"']


def test_tensorflow_above_2_10_on_windows(tmp_path, doctor, monkeypatch):  # noqa: F811
    """Native Windows has had no GPU since."""
    machine = with_gpu(tmp_path)
    monkeypatch.setattr(platform, "system", lambda: "Windows")
    finding = first(doctor(machine)[0])
    assert finding["code"] == "KD201"
    assert "no GPU support on native Windows" in finding["message"]
    assert "WSL 2" in finding["remedy"]["text"]


def test_a_missing_library(tmp_path, doctor):  # noqa: F811
    """TensorFlow does not say which one; the doctor tried them."""
    machine = with_gpu(tmp_path)
    error = "libcudnn.so.9: cannot open shared object file: No such file or directory"
    machine.probed = ProbeFacts(version="2.21.0", missing={"libcudnn.so.9": error})
    finding = first(doctor(machine)[0])
    assert (finding["code"], finding["severity"]) == ("KD202", "error")
    assert is_example(finding)
    assert finding["evidence"][0] == {"text": f"libcudnn.so.9: {error}", "provenance": "measured"}


def test_an_old_driver(tmp_path, doctor):  # noqa: F811
    """CUDA 11 of the driver, CUDA 12 of the wheel."""
    machine = with_gpu(tmp_path)
    machine.nvml = Nvml({}, driver="470.82.01", cuda=11040)
    finding = first(doctor(machine)[0])
    assert (finding["code"], finding["severity"]) == ("KD204", "error")
    assert is_example(finding)


@pytest.mark.parametrize(("cuda", "status"), [(12000, "ok"), (13000, "ok"), (11080, "error")])
def test_drivers_serve_their_major_version(tmp_path, doctor, cuda, status):  # noqa: F811
    """An older driver of the same major version is enough."""
    machine = with_gpu(tmp_path)
    machine.nvml = Nvml({}, cuda=cuda)
    report, _ = doctor(machine, "--select", "KD204")
    assert report["checks"][0]["status"] == status


@pytest.mark.parametrize(
    ("capability", "status"), [((7, 5), "ok"), ((8, 9), "ok"), ((9, 0), "warn"), ((10, 0), "warn"), ((5, 2), "error")]
)
def test_code_for_this_gpu(tmp_path, doctor, capability, status):  # noqa: F811
    """Machine code serves its own major version from its minor version on."""
    machine = with_gpu(tmp_path, nvmlDeviceGetCudaComputeCapability=capability, nvmlDeviceGetName="NVIDIA B200")
    report, _ = doctor(machine, "--select", "KD203")
    assert report["checks"][0]["status"] == status
    if capability == (10, 0):
        assert is_example(report["findings"][0])
    machine.environ["CUDA_CACHE_DISABLE"] = "1"
    if capability == (5, 2):
        assert report["findings"][0]["message"].endswith(
            "holds code for 6.0 to 8.9 only, none of which it could compile for it: it cannot use the GPU."
        )
    if status == "warn":
        assert doctor(machine, "--select", "KD203")[0]["checks"][0]["status"] == "error"


def test_a_hidden_gpu(tmp_path, doctor):  # noqa: F811
    """By an empty CUDA_VISIBLE_DEVICES."""
    machine = with_gpu(tmp_path)
    machine.environ["CUDA_VISIBLE_DEVICES"] = ""
    finding = first(doctor(machine)[0])
    assert finding["code"] == "KD201"
    assert "CUDA_VISIBLE_DEVICES='' hides it" in finding["message"]


@pytest.mark.parametrize("container", [True, False])
def test_a_card_without_a_driver(tmp_path, doctor, container):  # noqa: F811
    """The PCI bus shows it; in a container it was started without it."""
    machine = with_gpu(tmp_path)
    machine.nvml = NoDriver(DRIVER_NOT_LOADED)
    machine.write("sys/bus/pci/devices/0000:01:00.0/vendor", "0x10de\n")
    machine.write("sys/bus/pci/devices/0000:01:00.0/class", "0x030200\n")
    if container:
        machine.write(".dockerenv", "")
    finding = first(doctor(machine)[0])
    assert (finding["code"], finding["numbers"]) == ("KD201", {"gpus": 1})
    assert finding["severity"] == ("warn" if container else "error")  # its host's cards show in every container
    assert "the NVIDIA driver is installed but not loaded" in finding["message"]
    assert finding["remedy"]["code"] == (["docker run --gpus all ..."] if container else ["nvidia-smi"])


def test_no_reason_is_found(tmp_path, doctor):  # noqa: F811
    """What TensorFlow printed is the evidence."""
    machine = with_gpu(tmp_path)
    machine.probed = ProbeFacts(version="2.21.0", output=("failed call to cuInit: UNKNOWN ERROR (303)",))
    finding = first(doctor(machine)[0])
    assert finding["code"] == "KD201"
    assert "cuInit" in " ".join(fact["text"] for fact in finding["evidence"])
    report, code = doctor(machine, "--no-probe")
    assert (report["findings"][0]["code"], code) == ("KD702", 0)
    assert {one["code"]: one["status"] for one in report["checks"]}["KD201"] == "unknown"


def test_nobody_can_see_a_gpu(tmp_path, doctor):  # noqa: F811
    """Without pynvml and without a list of the PCI bus, none seen is not none there."""
    machine = with_gpu(tmp_path)
    machine.nvml = NoDriver()
    assert statuses(doctor(machine))["KD201"] == "unknown"
    machine.write("sys/bus/pci/devices/0000:00:02.0/vendor", "0x8086\n")
    assert statuses(doctor(machine))["KD201"] == "ok"


SILENT = "the NVIDIA driver did not answer within 10 s"


def test_a_driver_that_does_not_answer(tmp_path, doctor, monkeypatch):  # noqa: F811
    """With a card on the bus it is the finding; without one nobody knows, and nothing is skipped or fine."""
    machine = nvme(tmp_path).build()
    facts = GpuFacts(remark=SILENT, cards=1, is_silent=True)
    monkeypatch.setattr(machine, "ask_gpus", lambda root, environ, seconds: facts)
    finding = first(doctor(machine)[0])
    assert (finding["code"], finding["severity"]) == ("KD201", "error")
    assert finding["message"] == f"TensorFlow 2.21.0 cannot use the NVIDIA GPU of this machine: {SILENT}."
    facts = GpuFacts(remark=SILENT, cards=0, is_silent=True)
    asked = {code: status for code, status in statuses(doctor(machine)).items() if code.startswith("KD2")}
    assert {*asked.values(), statuses(doctor(machine))["KD404"]} == {"unknown"}


def test_a_driver_that_had_little_time(tmp_path, doctor, monkeypatch):  # noqa: F811
    """It may only be slow: no finding, and no end."""
    machine = nvme(tmp_path).build()
    facts = GpuFacts(remark=SILENT, cards=1, is_silent=True, lacks_time=True)
    monkeypatch.setattr(machine, "ask_gpus", lambda root, environ, seconds: facts)
    report, code = doctor(machine, "--select", "KD201", "--strict")
    assert (statuses((report, code))["KD201"], code) == ("unknown", 3)


def test_a_tensorflow_that_sees_more_than_the_driver_says(tmp_path, doctor, monkeypatch):  # noqa: F811
    """What TensorFlow sees is seen."""
    machine = nvme(tmp_path).build()
    machine.probed = ProbeFacts(version="2.21.0", gpus=("GPU:0",))
    facts = GpuFacts(remark=SILENT, cards=1, is_silent=True)
    monkeypatch.setattr(machine, "ask_gpus", lambda root, environ, seconds: facts)
    assert statuses(doctor(machine))["KD201"] == "ok"


def test_a_tensorflow_that_had_no_time(tmp_path, doctor):  # noqa: F811
    """Nobody knows then whether it works: no finding, and no "ok"."""
    machine = with_gpu(tmp_path)
    machine.probed = ProbeFacts(not_asked="no time was left for it; --timeout gives more")
    report, code = doctor(machine, "--select", "KD113,KD201,KD202")
    assert (report["findings"], code) == ([], 0)
    assert set(statuses((report, code)).values()) == {"unknown"}


def test_a_tensorflow_without_packages_of_cuda(tmp_path, doctor):  # noqa: F811
    """Below 2.14 there is no [and-cuda]."""
    machine = nvme(tmp_path).packages(tensorflow="2.10.1", keras="2.10.0").build()
    machine.nvml = Nvml({})
    machine.probed = ProbeFacts(version="2.10.1", missing={"libcudnn.so.8": "cannot open shared object file"})
    report, _ = doctor(machine, "--select", "KD202")
    remedy = report["findings"][0]["remedy"]
    assert remedy["code"] == []
    assert "install CUDA 12.5, cuDNN 9 from NVIDIA or conda" in remedy["text"]


@pytest.mark.parametrize("failure", ["it was killed by SIGSEGV", "its import did not come back within 30 s"])
def test_a_tensorflow_that_dies(tmp_path, doctor, failure):  # noqa: F811
    """Its death is a finding; what it sees is unknown, not fine."""
    machine = with_gpu(tmp_path)
    machine.probed = ProbeFacts(failure=failure, output=("Illegal instruction",))
    report, code = doctor(machine)
    finding = first(report)
    assert (finding["code"], finding["severity"], code) == ("KD113", "error", 1)
    assert failure in finding["message"]
    assert {one["code"]: one["status"] for one in report["checks"]}["KD201"] == "unknown"


def answered(printed, code, took_s):
    """What is made of a child's output."""
    heard = Heard()
    for line in printed.splitlines(keepends=True):
        heard.hear(line)
    return read_answer(heard, Ending(code, took_s=took_s))


@pytest.mark.parametrize(
    ("printed", "code", "failure"),
    [
        (b"", -11, "it was killed by SIGSEGV"),
        (b"", -250, "it was killed by signal 250"),
        (
            b"Traceback\nImportError: numpy.core.multiarray failed to import\n\n",
            1,
            "ImportError: numpy.core.multiarray failed to import",
        ),
        (b"", 3, "it ended with code 3 and said nothing"),
        (b"kerasdiag-probe:{", 0, "it ended with code 0 and said nothing"),
        (b"kerasdiag-probe:{}", 0, "it ended with code 0 and said nothing"),  # printed by something else
        (b"kerasdiag-probe:[1]", 0, "it ended with code 0 and said nothing"),
        (b"\xff\xfe", 1, "\\xff\\xfe"),
    ],
)
def test_what_a_child_died_of(printed, code, failure):
    """The signal, else the last line."""
    assert answered(printed, code, 1.0).failure == failure


def test_what_a_child_answered():
    """The answer is taken out of what else was printed."""
    printed = b'warning\nkerasdiag-probe:{"import_s": 2.5, "version": "2.21.0", "gpus": ["GPU:0"], "missing": {}}\n'
    facts = answered(printed, 0, 3.0)
    assert (facts.version, facts.gpus, facts.import_s, facts.output, facts.failure) == (
        "2.21.0",
        ("GPU:0",),
        2.5,
        ("warning",),
        "",
    )
