"""Planted environments through the command line: the first finding is the cause; sound ones print no warning."""

from __future__ import annotations

import json

import pytest
from builders import make_input, make_profile
from doctor.planted import OWN_CODE, SUBCLASSED, PlantedMachine
from doctor.test_planted import first, is_example

from kerasdiag.cli import main
from kerasdiag.doctor import runner

PLANTED = {
    "KD102": {"python": "3.7.16", "packages": [("tensorflow", "2.2.3"), ("keras-preprocessing", "1.1.0"), ("numpy", "1.18.5")], "files": {"tensorflow/python/keras/preprocessing/image.py": SUBCLASSED}},
    "KD103": {"python": "3.11.7", "packages": [("tensorflow", "2.15.1", ["ml-dtypes~=0.3.1"]), ("keras", "2.15.0"), ("ml-dtypes", "0.5.1")]},
    "KD104": {"python": "3.9.18", "packages": [("tensorflow", "2.10.1", ["numpy>=1.20"]), ("keras", "2.10.0"), ("numpy", "2.0.2")]},
    "KD105": {"python": "3.9.18", "packages": [("tensorflow", "2.10.1", ["protobuf<3.20,>=3.9.2"]), ("keras", "2.10.0"), ("protobuf", "3.20.3")], "environ": {"PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": "python"}},
    "KD106": {"python": "3.9.18", "packages": [("tensorflow", "2.15.1"), ("tensorflow-cpu", "2.14.0"), ("keras", "2.15.0")]},
    "KD107": {"python": "3.11.7", "packages": [("tensorflow", "2.15.1", ["keras<2.16,>=2.15.0"]), ("keras", "3.0.5")]},
    "KD108": {"python": "3.12.1", "packages": [("tensorflow", "2.18.0"), ("keras", "3.6.0")], "workers": 4},
    "KD109": {"python": "3.7.16", "packages": [("tensorflow", "2.10.1"), ("keras", "2.10.0"), ("pillow", "8.4.0"), ("scipy", "1.7.3")], "files": {"Pillow.libs/libjpeg-183418da.so.9.4.0": "x"}},
    "KD110": {"python": "3.12.1", "packages": [("keras", "3.15.1"), ("pillow", "12.0.0")]},
    "KD111": {"python": "3.12.1", "packages": [("keras", "3.15.1"), ("pynvml", "11.5.3"), ("nvidia-ml-py", "12.560.30")]},
    "KD112": {"python": "3.8.18", "packages": [("tensorflow", "2.3.4"), ("keras-preprocessing", "1.1.2")]},
}  # fmt: skip
SEVERITY = {
    "KD102": "info", "KD103": "warn", "KD104": "error", "KD105": "warn", "KD106": "error", "KD107": "error", "KD108": "error",
    "KD109": "warn", "KD110": "info", "KD111": "info", "KD112": "info",
}  # fmt: skip
HEALTHY = {
    "TensorFlow 2.10 on Python 3.9": {"python": "3.9.18", "packages": [("tensorflow", "2.10.1", ["keras<2.11,>=2.10", "numpy>=1.20", "protobuf<3.20,>=3.9.2", "keras-preprocessing>=1.1.1"]), ("keras", "2.10.0"), ("numpy", "1.26.4"), ("protobuf", "3.19.6"), ("keras-preprocessing", "1.1.2")]},
    "TensorFlow 2.15": {"python": "3.11.7", "packages": [("tensorflow", "2.15.1", ["keras<2.16,>=2.15.0", "numpy<2.0.0,>=1.23.5", "tensorflow-intel==2.15.1 ; platform_system == 'Windows'"]), ("keras", "2.15.0"), ("numpy", "1.26.4")]},
    "TensorFlow 2.16 with legacy Keras": {"python": "3.12.1", "packages": [("tensorflow", "2.16.2", ["keras>=3.0.0", "numpy<2,>=1.26; python_version >= '3.12'"]), ("keras", "3.4.1"), ("tf-keras", "2.16.0", ["tensorflow<2.17,>=2.16"]), ("numpy", "1.26.4")], "environ": {"TF_USE_LEGACY_KERAS": "1"}},
    "TensorFlow 2.18": {"python": "3.12.1", "packages": [("tensorflow", "2.18.1", ["keras>=3.5.0", "numpy<2.1,>=1.26"]), ("keras", "3.8.0"), ("numpy", "2.0.2")]},
    "TensorFlow 2.20": {"python": "3.13.0", "packages": [("tensorflow", "2.20.0", ["keras>=3.10.0", "protobuf>=5.28"]), ("keras", "3.11.0"), ("protobuf", "6.32.0"), ("numpy", "2.3.0")]},
    "TensorFlow 2.21 for the CPU": {"python": "3.13.0", "packages": [("tensorflow-cpu", "2.21.0", ["keras>=3.12.0", "numpy>=1.26", "nvidia-cudnn-cu12; extra == 'and-cuda'"]), ("keras", "3.15.1"), ("numpy", "2.3.0")]},
    "tf-keras beside tensorflow-cpu": {"python": "3.12.1", "packages": [("tensorflow-cpu", "2.21.0"), ("keras", "3.15.1"), ("tf-keras", "2.21.0", ["tensorflow<2.22,>=2.21"])]},
    "Keras on JAX": {"python": "3.13.0", "packages": [("keras", "3.15.1", ["numpy", "h5py"]), ("numpy", "2.3.0"), ("h5py", "3.12"), ("jax", "0.7.0"), ("pillow", "12.0.0")], "environ": {"KERAS_BACKEND": "jax"}},
    "macOS with Metal": {"python": "3.11.7", "system": "darwin", "packages": [("tensorflow", "2.15.1", ["tensorflow-macos ==2.15.1 ; platform_system == 'Darwin'", "tensorflow-intel ==2.15.1 ; platform_system == 'Windows'"]), ("tensorflow-macos", "2.15.1", ["numpy<2"]), ("tensorflow-metal", "1.1.0"), ("keras", "2.15.0"), ("numpy", "1.26.4")]},
    "Windows": {"python": "3.11.7", "system": "win32", "packages": [("tensorflow", "2.15.1", ["tensorflow-intel==2.15.1; platform_system == 'Windows'"]), ("tensorflow-intel", "2.15.1", ["numpy<2"]), ("keras", "2.15.0"), ("numpy", "1.26.4")]},
    "conda with pins of its own": {"python": "3.11.7", "installer": "conda", "packages": [("tensorflow", "2.16.1", ["libclang>=13", "protobuf<5", "numpy<2"]), ("keras", "3.4.1"), ("numpy", "2.0.2"), ("protobuf", "5.28")]},
    "keras-preprocessing 1.1.2 that runs": {"python": "3.8.18", "packages": [("tensorflow", "2.5.3", ["keras-preprocessing~=1.1.2"]), ("keras-preprocessing", "1.1.2"), ("numpy", "1.19.5")], "files": {"tensorflow/python/keras/preprocessing/image.py": SUBCLASSED}},
    "a new Pillow": {"python": "3.12.1", "packages": [("keras", "3.15.1"), ("pillow", "12.0.0"), ("scipy", "1.16.0")], "files": {"pillow.libs/libjpeg-6dc8d115.so.62.4.0": "x", "keras/src/legacy/preprocessing/image.py": OWN_CODE}},
    "nothing at all": {"python": "3.12.1", "packages": []},
}  # fmt: skip


@pytest.fixture
def doctor(monkeypatch, capsys, tmp_path):
    """Look at planted packages; returns the report and the exit code."""

    def run(packages, python, *arguments, system="linux", files=(), environ=None, workers=None, installer="pip"):
        machine = PlantedMachine(tmp_path / "machine").python(python, system)
        machine.environ = environ or {}
        for package in packages:
            machine.package(*package, installer=installer)
        for name, text in dict(files).items():
            machine.write(f"site/{name}", text)
        monkeypatch.setattr(runner, "Sources", machine.sources)
        if workers:
            make_profile(0.0005, 0.2, training_input=make_input(workers=workers)).save(tmp_path / "run.kdprof.json")
            arguments = (*arguments, "--profile", str(tmp_path / "run.kdprof.json"))
        code = main(["doctor", "--format", "json", *map(str, arguments)])
        return json.loads(capsys.readouterr().out), code

    return run


@pytest.mark.parametrize("code", PLANTED)
def test_planted(doctor, code):
    """The first finding is the planted cause, in the words of its documentation, and the others are notes."""
    report, exit_code = doctor(**PLANTED[code])
    finding = first(report)
    assert (finding["code"], finding["severity"]) == (code, SEVERITY[code])
    assert is_example(finding), finding["message"]
    assert exit_code == (finding["severity"] == "error")
    assert {other["severity"] for other in report["findings"][1:]} <= {"info"}
    assert finding["references"] or code in ("KD103", "KD106")


@pytest.mark.parametrize("name", HEALTHY)
def test_sound_environments_print_no_warning(doctor, name):
    """Notes at most, and no check fails to come to an end."""
    report, code = doctor(**HEALTHY[name])
    assert [finding["message"] for finding in report["findings"] if finding["severity"] != "info"] == []
    assert (code, report["complete"]) == (0, True)


def test_another_interpreter(doctor, tmp_path):
    """--python looks at its packages instead; the remedy calls its pip, and the head says whose they are."""
    site = tmp_path / "env/lib/python3.7/site-packages"
    for name in ("tensorflow-2.0.0", "Keras_Preprocessing-1.0.9"):
        (site / f"{name}.dist-info").mkdir(parents=True)
        (site / f"{name}.dist-info/METADATA").write_text("Metadata-Version: 2.1\n")
    (tmp_path / "env/pyvenv.cfg").write_text("version = 3.7.16\n")
    report, _ = doctor([("tensorflow", "2.15.1"), ("numpy", "2.0.2")], "3.11.7", "--python", tmp_path / "env")
    assert report["facts"]["looked at"] == f"the environment {tmp_path / 'env'}, not this interpreter"
    assert report["facts"]["python"] == "3.7.16"
    assert report["facts"]["packages"] == "tensorflow 2.0.0, keras-preprocessing 1.0.9"
    finding = next(one for one in report["findings"] if one["code"] == "KD101")
    assert finding["severity"] == "warn"
    assert "KD104" not in {one["code"] for one in report["findings"]}


def test_lists(doctor, tmp_path):
    """-r, twice, is one environment; the first finding is the slow package, and what is open is unknown."""
    (tmp_path / "requirements.txt").write_text("tensorflow==2.0.0\nkeras-preprocessing==1.0.9\nnumpy\n")
    (tmp_path / "Dockerfile").write_text("FROM python:3.7\n")
    lists = ("-r", tmp_path / "requirements.txt", "-r", tmp_path / "Dockerfile")
    report, _ = doctor([("tensorflow", "2.21.0")], "3.12.1", *lists)
    finding = first(report)
    assert (finding["code"], finding["severity"]) == ("KD101", "warn")
    assert finding["remedy"]["code"] == ["keras-preprocessing==1.1.2"]
    said = {check["code"]: check for check in report["checks"]}
    assert (said["KD104"]["status"], said["KD104"]["statement"]) == (
        "unknown",
        "requirements.txt and Dockerfile: numpy is not pinned",
    )
    assert report["facts"]["python"] == "3.7 on Linux"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--python", "absent/python"], "there is no such interpreter"),
        (["-r", "absent.txt"], "cannot be read"),
        (["-r", "pyproject.toml"], "Name its lock file"),
        (["-r", "x.txt", "--python", "python"], "two environments"),
    ],
)
def test_wrong_usage(capsys, arguments, message):
    """One sentence and exit code 2."""
    assert main(["doctor", *arguments]) == 2
    heard = capsys.readouterr()
    assert (heard.out, len(heard.err.strip().splitlines())) == ("", 1)
    assert message in heard.err
