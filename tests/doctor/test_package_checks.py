"""The checks of keras-preprocessing, requirements and TensorFlow's companions, firing and silent on both sides."""

from __future__ import annotations

import json

import pytest
from builders import make_environment, make_input, make_profile
from doctor.package_answers import ERROR, INFO, NOT_TOLD, OK, SKIPPED, WARN, declared, installed, look, only
from doctor.planted import PlantedMachine

from kerasdiag.cli import main
from kerasdiag.doctor import runner
from kerasdiag.doctor.checks import CHECKS
from kerasdiag.doctor.selection import find_check
from kerasdiag.environment.interpreter import Interpreter
from kerasdiag.findings import Severity

# KD113 asks TensorFlow itself, which an environment seen from outside cannot.
PACKAGE_CHECKS = [check for check in CHECKS if check.code.startswith("KD1") and check.code not in ("KD101", "KD113")]


@pytest.mark.parametrize("check", PACKAGE_CHECKS, ids=lambda check: check.code)
def test_what_is_not_stated_is_never_fine(check):
    """A list that does not name a package says nothing about it, and where there is no Keras nothing was looked at."""
    answer = look(check.code, declared(six="1.0"))
    assert answer.status is NOT_TOLD
    assert "requirements.txt" in answer.statement
    answer = look(check.code, installed(six="1.0"))
    expected = {"KD106": INFO, "KD111": OK}  # the note that says so; and what has nothing to do with Keras
    assert answer.status is expected.get(check.code, SKIPPED)


def test_an_environment_without_keras_is_one_note(tmp_path, monkeypatch, capsys):
    """It names the option that looks at another one, and no check of packages is fine."""
    machine = PlantedMachine(tmp_path)
    machine.packages(six="1.0")
    monkeypatch.setattr(runner, "Sources", machine.sources)
    assert main(["doctor", "--select", "KD1", "--format", "json"]) == 0
    report = json.loads(capsys.readouterr().out)
    (finding,) = report["findings"]
    assert (finding["code"], finding["severity"]) == ("KD106", "info")
    assert finding["message"].startswith("Neither TensorFlow nor Keras is installed for this interpreter")
    assert finding["remedy"]["code"] == ["kerasdiag doctor --python EXE"]
    assert {one["code"] for one in report["checks"] if one["status"] == "ok"} == {"KD111"}


def test_a_range_is_said():
    """What the list says about a package that it leaves open."""
    answer = look("KD104", declared({"tensorflow": "tensorflow>=2 leaves the version open"}))
    assert answer.statement == "requirements.txt: tensorflow>=2 leaves the version open"


# --- KD101 and KD102: keras-preprocessing


@pytest.mark.parametrize(
    ("versions", "status"),
    [
        ({"tensorflow": "2.0.0", "keras_preprocessing": "1.0.9"}, WARN),
        ({"keras": "2.8.0", "keras_preprocessing": "1.0.6"}, WARN),
        ({"keras": "2.9.0", "keras_preprocessing": "1.0.9"}, INFO),  # its own code
        ({"tensorflow": "2.15.1", "keras": "2.15.0"}, OK),
        ({"tensorflow": "2.0.0"}, NOT_TOLD),  # pip brings one
        ({"tensorflow": "2.10.1"}, OK),  # pip brings a Keras with its own code
        ({"tensorflow": "2.10.1", "keras_preprocessing": "1.0.9"}, INFO),
        ({"tensorflow": "2.8.4", "keras_preprocessing": "1.0.9"}, WARN),
        ({"tensorflow": "2.0.0", "keras_preprocessing": "1.1.2"}, OK),
    ],
)
def test_the_slow_list_in_environments_that_are_lists(versions, status):
    """There are no files to look into: the versions say whose code runs."""
    answer = look_101(declared(**versions))
    assert answer.status is status
    if status is WARN:
        finding = only(answer)
        assert finding.remedy.code == ("keras-preprocessing==1.1.2",)
        assert finding.remedy.text.endswith(", in requirements.txt:")


def look_101(packages):
    return find_check(CHECKS, "KD101").examine(make_environment(packages=packages))


@pytest.mark.parametrize(
    ("version", "runs", "data", "status"),
    [
        ("1.1.0", ("tensorflow",), {}, INFO),
        ("1.1.0", ("tensorflow",), {"workers": 4, "use_multiprocessing": True}, WARN),
        ("1.1.0", ("tensorflow",), {"workers": 1, "use_multiprocessing": True}, INFO),
        ("1.0.9", ("tensorflow",), {}, INFO),
        ("1.1.1", ("tensorflow",), {"workers": 4, "use_multiprocessing": True}, OK),
        ("1.1.0", (), {}, OK),  # nothing runs it
    ],
)
def test_old_iterators(version, runs, data, status):
    """Before 1.1.1, where their code is reached; worker processes make it a warning."""
    packages = installed(tensorflow="2.0.0", keras_preprocessing=version, runs=runs)
    profile = make_profile(training_input=make_input(**data)) if data else None
    assert look("KD102", packages, profile=profile).status is status


def test_a_tensorflow_that_asks_for_old_iterators():
    """2.1.4 takes 1.1.0 only: nothing to type that pip would refuse."""
    requires = {"tensorflow": ("keras_preprocessing==1.1.0",)}
    packages = installed(tensorflow="2.1.4", keras_preprocessing="1.1.0", runs=("tensorflow",), requires=requires)
    remedy = only(look("KD102", packages)).remedy
    assert "tensorflow 2.1.4 asks for keras-preprocessing==1.1.0" in remedy.text
    assert not remedy.code
    open_end = {"tensorflow": ("keras_preprocessing>=1.0.5",)}
    packages = installed(tensorflow="2.0.0", keras_preprocessing="1.1.0", runs=("tensorflow",), requires=open_end)
    assert only(look("KD102", packages)).remedy.code == ('pip install "keras-preprocessing==1.1.2"',)


# --- KD103: requirements


REQUIRES = {
    "tensorflow-cpu": (
        "ml-dtypes~=0.3.1",
        "numpy<2",
        "extra-thing ; extra == 'x'",
        "old ; python_version < '3.9'",
        "six",
    )
}
WHOLE = {"tensorflow_cpu": "2.15.1", "ml_dtypes": "0.3.2", "numpy": "1.26.4", "six": "1.16"}


@pytest.mark.parametrize(
    ("changed", "status", "message"),
    [
        ({}, OK, ""),
        (
            {"ml_dtypes": "0.5.1"},
            WARN,
            "tensorflow-cpu 2.15.1 requires ml-dtypes~=0.3.1, but ml-dtypes 0.5.1 is installed.",
        ),
        ({"ml_dtypes": "0.3.1"}, OK, ""),
        ({"ml_dtypes": "0.3.0"}, WARN, "but ml-dtypes 0.3.0 is installed."),
        ({"six": None}, WARN, "tensorflow-cpu 2.15.1 requires six, but it is not installed."),
        ({"ml_dtypes": "nonsense"}, OK, ""),  # neither in nor out
        ({"numpy": "2.0.2"}, OK, ""),  # KD104 says it
    ],
)
def test_requirements(changed, status, message):
    """Markers and extras count; what another check reports is not said twice."""
    versions = {name: version for name, version in {**WHOLE, **changed}.items() if version}
    answer = look("KD103", installed(requires=REQUIRES, **versions))
    assert answer.status is status
    if message:
        assert message in only(answer).message


def test_what_is_missing_is_one_finding_for_each_that_asks():
    """One command for all of it; what TensorFlow does not load to train is a note of its own."""
    requires = {"tensorflow": ("absl-py>=1", "wrapt", "libclang>=13", "gast<0.5")}
    answer = look("KD103", installed(requires=requires, tensorflow="2.15.1", gast="0.6"))
    wrong, missing, rare = answer.findings
    assert wrong.message == "tensorflow 2.15.1 requires gast<0.5, but gast 0.6 is installed."
    assert missing.message == "tensorflow 2.15.1 requires absl-py, wrapt, but these 2 are not installed."
    assert missing.remedy.code == ('pip install "absl-py>=1" wrapt',)
    assert (missing.severity, rare.severity) == (Severity.WARN, Severity.INFO)
    assert "libclang is not loaded" in rare.evidence[1].text


def test_requirements_of_requirements():
    """The closure, and the extras that a requirement asks for."""
    requires = {
        "keras": ("rich[more]", "h5py"), "rich": ("pygments>=2", "absent; extra == 'other'", "markdown; extra == 'more'"),
        "h5py": ("numpy>=1.19",), "unrelated": ("absent",),
    }  # fmt: skip
    packages = installed(
        requires=requires, keras="3.15.1", rich="14.0", h5py="3.1", pygments="1.0", numpy="1.18", unrelated="1"
    )
    messages = [finding.message for finding in look("KD103", packages).findings]
    assert messages == [
        "h5py 3.1 requires numpy>=1.19, but numpy 1.18 is installed.",
        "rich 14.0 requires pygments>=2, but pygments 1.0 is installed.",
        "rich 14.0 requires markdown, but it is not installed.",
    ]


def test_every_build_of_tensorflow_is_tensorflow():
    """What requires tensorflow is content with tensorflow-cpu."""
    requires = {"keras": ("tensorflow>=2.10",)}
    assert look("KD103", installed(requires=requires, keras="2.10.0", tensorflow_cpu="2.10.1")).status is OK
    assert look("KD103", installed(requires=requires, keras="2.10.0", tensorflow_cpu="2.9.1")).status is WARN


@pytest.mark.parametrize(
    ("conda", "runs", "severity"), [((), (), "info"), ((), ("keras",), "warn"), (("tensorflow",), ("keras",), "info")]
)
def test_requirements_that_nothing_reaches(conda, runs, severity):
    """An old keras-preprocessing that nothing runs, and what conda built with its own pins, are notes."""
    requires = {"tensorflow": ("keras-preprocessing>=1.1.1",)}
    packages = installed(
        requires=requires, conda=conda, runs=runs, tensorflow="2.8.4", keras="2.8.0", keras_preprocessing="1.0.9"
    )
    assert str(only(look("KD103", packages)).severity) == severity


@pytest.mark.parametrize(
    ("versions", "status"),
    [
        ({"tensorflow": "2.15.1", "h5py": "2.8.0"}, WARN),
        ({"tensorflow": "2.15.1", "h5py": "2.9.0"}, NOT_TOLD),
        ({"tensorflow": "2.15.9", "h5py": "2.8.0"}, NOT_TOLD),  # nobody read that release
    ],
)
def test_requirements_of_lists(versions, status):
    """Only what both sides pin is held together; what is left out, pip brings."""
    assert look("KD103", declared(**versions)).status is status


# --- KD104, KD105: NumPy and protobuf


@pytest.mark.parametrize(
    ("tensorflow", "numpy", "status"),
    [
        ("2.10.1", "2.0.2", ERROR),
        ("2.17.1", "2.0.0", ERROR),
        ("2.18.0", "2.0.2", OK),
        ("2.17.1", "1.26.4", OK),
        ("2.10.1", "1.20", OK),
    ],
)
def test_numpy_2(tensorflow, numpy, status):
    """Up to 2.17 and from 2.0.0 on."""
    for packages in (installed(tensorflow=tensorflow, numpy=numpy), declared(tensorflow=tensorflow, numpy=numpy)):
        answer = look("KD104", packages)
        assert answer.status is status
        if answer.findings:
            assert "numpy<2" in only(answer).remedy.code[0]


def test_numpy_2_that_nothing_runs_into():
    """Conda's own build, and Keras on another backend, are notes."""
    versions = {"tensorflow": "2.16.2", "numpy": "2.0.2"}
    assert look("KD104", installed(conda=["tensorflow"], **versions)).status is INFO
    assert look("KD104", installed(environ={"KERAS_BACKEND": "jax"}, **versions)).status is INFO
    profile = make_profile(software={"backend": "torch"})
    assert look("KD104", installed(**versions), profile=profile).status is INFO


FORCED = {"PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": "python"}


@pytest.mark.parametrize(
    ("tensorflow", "protobuf", "wanted", "environ", "status"),
    [
        ("2.10.1", "3.19.6", "<3.20,>=3.9.2", {}, OK),
        ("2.10.1", "3.20.3", "<3.20,>=3.9.2", {}, INFO),  # it works; nobody asked for it
        ("2.10.1", "4.25.8", "<3.20,>=3.9.2", {}, ERROR),
        ("2.11.0", "4.21.0", "<3.20,>=3.9.2", {}, ERROR),
        ("2.12.0", "4.25.8", "<5,>=3.20.3", {}, OK),
        ("2.15.1", "6.31.1", "<5,>=3.20.3", {}, INFO),
        ("2.21.0", "5.29.5", "<8,>=6.31.1", {}, ERROR),
        ("2.21.0", "6.31.1", "<8,>=6.31.1", {}, OK),
        ("2.20.0", "5.27.0", ">=5.28", {}, ERROR),
        ("2.10.1", "3.19.6", "<3.20", FORCED, WARN),
        ("2.10.1", "4.25.8", "<3.20", FORCED, WARN),  # that is what it is good for
        ("2.10.1", "3.19.6", "<3.20", {"PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": "upb"}, OK),
        ("2.21.0", None, ">=6.31.1", {}, WARN),
        ("2.12.0", "4.25.8", "<5,>=3.20.3", {**FORCED, "KERAS_BACKEND": "jax"}, SKIPPED),  # nothing here needs it
    ],
)
def test_protobuf(tensorflow, protobuf, wanted, environ, status):
    """What ends the import is an error, what is only out of the range a note; the variable is a warning."""
    versions = {"tensorflow": tensorflow, **({"protobuf": protobuf} if protobuf else {})}
    packages = installed(requires={"tensorflow": (f"protobuf{wanted}",)}, environ=environ, **versions)
    answer = look("KD105", packages)
    assert answer.status is status
    if status is ERROR:
        assert only(answer).remedy.code[0].startswith('pip install "protobuf')


def test_the_variable_is_needed_until_protobuf_fits():
    """Without it TensorFlow 2.10 cannot be imported with protobuf 4: first the one, then the other."""
    packages = installed(
        requires={"tensorflow": ("protobuf<3.20",)}, environ=FORCED, tensorflow="2.10.1", protobuf="4.25.8"
    )
    remedy = only(look("KD105", packages)).remedy
    assert remedy.code == ('pip install "protobuf<3.20"', "unset PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION")
    packages = installed(
        requires={"tensorflow": ("protobuf<3.20",)}, environ=FORCED, tensorflow="2.10.1", protobuf="3.19.6"
    )
    assert only(look("KD105", packages)).remedy.code == ("unset PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION",)


@pytest.mark.parametrize(("protobuf", "code"), [("4.25.8", "protobuf<4"), ("3.19.6", None)])
def test_protobuf_of_lists(protobuf, code):
    """Without metadata the known faults decide, and the remedy is the line of the list."""
    answer = look("KD105", declared(tensorflow="2.11.9", protobuf=protobuf))
    assert answer.status is (ERROR if code else OK)
    assert not code or only(answer).remedy.code == (code,)


# --- KD106: TensorFlow itself


@pytest.mark.parametrize(
    ("versions", "requires", "status"),
    [
        ({"tensorflow": "2.15.1", "tensorflow_cpu": "2.14.0"}, {}, ERROR),
        ({"tensorflow": "2.15.1", "tensorflow_cpu": "2.15.1"}, {}, WARN),
        ({"tensorflow": "2.15.1", "tf_nightly": "2.16.0.dev1"}, {}, ERROR),
        ({"tensorflow": "2.15.1", "tensorflow_metal": "1.1.0", "tensorflow_io": "0.36"}, {}, OK),
        (
            {"tensorflow": "2.15.1", "tensorflow_intel": "2.15.1"},
            {"tensorflow": ("tensorflow-intel==2.15.1; x=='y'",)},
            OK,
        ),
        ({"tensorflow": "2.15.1", "tensorflow_intel": "2.15.1"}, {}, OK),  # by the table
        ({"tensorflow": "2.15.1", "tensorflow_macos": "2.15.1", "tensorflow_metal": "1.1"}, {}, OK),
        ({"tensorflow": "2.15.1", "tensorflow_macos": "2.14.0"}, {}, ERROR),
        ({"tensorflow_macos": "2.16.2", "tensorflow": "2.16.2"}, {"tensorflow-macos": ("tensorflow ==2.16.2",)}, OK),
        ({"tensorflow": "2.19.1", "tensorflow_intel": "2.19.1"}, {"tensorflow": ("tensorflow_intel ==2.19.1",)}, OK),
        ({"tensorflow": "2.10.1", "tensorflow_intel": "2.10.1"}, {}, WARN),  # 2.10 brings none
    ],
)
def test_several_tensorflows(versions, requires, status):
    """Those that one brings itself do not count; plugins are none."""
    python = Interpreter("3.9.18", "linux", "x86_64")
    answer = look("KD106", installed(requires=requires, interpreter=python, **versions))
    assert answer.status is status
    if status is not OK:
        uninstall, again = only(answer).remedy.code
        assert uninstall.startswith("pip uninstall -y tensorflow ")
        assert again == f'pip install "tensorflow=={versions["tensorflow"]}"'


@pytest.mark.parametrize("system", ["linux", "win32", "darwin", None])
def test_lists_for_several_systems(system):
    """A lock file names the packages of all systems; each is installed on its own only."""
    versions = {"tensorflow": "2.15.1", "tensorflow_macos": "2.14.1", "tensorflow_intel": "2.15.1"}
    status = ERROR if system == "darwin" else OK  # there two versions meet
    assert look("KD106", declared(python="3.11.7", system=system, **versions)).status is status


def test_lists_with_two_tensorflows():
    """The same without packages of one system: both are installed everywhere."""
    assert (
        look("KD106", declared(tensorflow="2.12.0", tensorflow_cpu="2.11.0", system="linux", python="3.9")).status
        is ERROR
    )


def test_one_part_of_two_packages():
    """On Windows tensorflow and tensorflow-cpu hold nothing but the requirement of tensorflow-intel."""
    names = ("tensorflow", "tensorflow-cpu")
    versions = {"tensorflow": "2.15.1", "tensorflow_cpu": "2.15.1", "tensorflow_intel": "2.15.1"}
    requires = dict.fromkeys(names, ("tensorflow-intel==2.15.1 ; platform_system == 'Windows'",))
    python = Interpreter("3.11.7", "win32", "AMD64")
    assert look("KD106", installed(requires=requires, interpreter=python, **versions)).status is OK
    del versions["tensorflow_intel"]
    assert look("KD106", installed(interpreter=python, **versions)).status is WARN


@pytest.mark.parametrize(
    ("tensorflow", "python", "here", "in_a_list"),
    [
        ("2.15.1", "3.11.7", OK, OK),
        ("2.15.1", "3.12.1", WARN, ERROR),
        ("2.15.1", "3.9.0", OK, OK),
        ("2.15.1", "3.8.18", WARN, ERROR),
        ("2.99.0", "3.15.0", OK, OK),  # newer than this table
        ("2.15.1", None, NOT_TOLD, NOT_TOLD),
    ],
)
def test_pythons(tensorflow, python, here, in_a_list):
    """pip finds nothing for such a Python; where something lies nevertheless, somebody put it there."""
    assert look("KD106", installed(tensorflow=tensorflow, interpreter=Interpreter(python))).status is here
    assert look("KD106", declared(tensorflow=tensorflow, python=python)).status is in_a_list


def test_a_profile_of_a_tensorflow_that_is_not_here():
    """A note with the option that looks where the training ran."""
    finding = only(look("KD106", installed(six="1.0"), profile=make_profile()))
    assert (finding.severity, finding.remedy.code) == (Severity.INFO, ("kerasdiag doctor --python EXE",))


@pytest.mark.parametrize(
    ("versions", "status"),
    [
        ({"tensorflow": "2.13.1", "keras": "2.13"}, NOT_TOLD),  # keras==2.13.*
        ({"tensorflow": "2.13.1", "keras": "2.12"}, WARN),
        ({"tensorflow": "2.15", "ml_dtypes": "0.3.1"}, NOT_TOLD),  # tensorflow~=2.15.0
        ({"tensorflow": "2.15.1", "ml_dtypes": "0.5.1"}, WARN),
    ],
)
def test_a_series_of_a_list_is_each_of_its_releases(versions, status):
    """Which one pip takes, the list does not say."""
    assert look("KD103", declared(**versions)).status is status


@pytest.mark.parametrize("name", ["tensorflow_rocm", "tf_nightly", "intel_tensorflow"])
@pytest.mark.parametrize("code", ["KD104", "KD107"])
def test_other_builds_of_tensorflow(code, name):
    """They are there, and what they fit is not known."""
    answer = look(code, installed(**{name: "2.14.0", "numpy": "2.0.0", "keras": "2.15.0"}))
    assert answer.status is NOT_TOLD
