"""[tool.kerasdiag] of a pyproject.toml: found, read, overruled by the command line, refused where it is wrong."""

from __future__ import annotations

import json

import pytest
from builders import make_profile
from doctor.planted import PlantedMachine
from machines import ATA

from kerasdiag.cli import main
from kerasdiag.cli.configuration import OPTIONS, find_file, read_options
from kerasdiag.doctor import runner
from kerasdiag.errors import DoctorUsageError


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Write a pyproject.toml in a folder, and stand two folders below it."""
    monkeypatch.setattr("platform.system", lambda: "Linux")
    machine = PlantedMachine(tmp_path / "machine", "1 0 8:16 / / rw - ext4 /dev/sdb rw").newest()
    machine.disk("sdb", "8:16", 1, ATA.format(2))
    machine.latency_s = 0.0124
    monkeypatch.setattr(runner, "Sources", machine.sources)
    below = tmp_path / "project" / "src" / "deep"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)

    def write(text, folder="project"):
        file = tmp_path / folder / "pyproject.toml"
        file.write_text(text, encoding="utf-8")
        machine.photos(str(tmp_path / "project" / "photos").lstrip("/"), rows=10, num_bytes=10**9)
        return file

    return write


@pytest.fixture
def doctor(capsys):
    """Run the command; returns its report and exit code."""

    def run(*arguments):
        code = main(["doctor", "--format", "json", *map(str, arguments)])
        return json.loads(capsys.readouterr().out), code

    return run


def codes(report):
    return [one["code"] for one in report["checks"]]


def test_select_and_ignore(project, doctor):
    """From the nearest file with such a table; the command line wins."""
    project('[tool.kerasdiag]\nselect = ["KD3", "KD401"]\nignore = ["KD302"]\n')
    assert codes(doctor()[0])[0] == "KD301"
    assert "KD302" not in codes(doctor()[0])
    assert "KD302" in codes(doctor("--ignore", "KD401")[0])
    assert codes(doctor("--select", "KD101")[0]) == ["KD101"]
    assert len(codes(doctor("--no-config")[0])) > 5


@pytest.mark.parametrize(
    "text",
    [
        'tool.kerasdiag.select = ["KD401"]',
        '[tool]\nkerasdiag = { select = ["KD401"] }',
        '[tool]\nkerasdiag.select = ["KD401"]',
        '["tool".\'kerasdiag\']\nselect = ["KD401"]',
    ],
)
def test_every_way_to_write_a_table(project, doctor, text):
    """TOML has several."""
    project(f"{text}\n")
    assert codes(doctor()[0]) == ["KD401"]


def test_a_value_in_place_of_the_table(project, capsys):
    """It is no table, and is not passed over either."""
    project("[tool]\nkerasdiag = 5\n")
    assert main(["doctor"]) == 2
    assert "[tool.kerasdiag] must be a table. Received: 5" in capsys.readouterr().err


def test_data_lie_beside_the_file(project, doctor):
    """A path belongs to the pyproject.toml, wherever one stands; a severity that fails comes from there, too."""
    project('[tool.kerasdiag]\ndata = "photos"\nfail-on = "warn"\n')
    report, code = doctor()
    assert report["findings"][0]["code"] == "KD301"
    assert code == 1
    assert doctor("--fail-on", "error")[1] == 0


def test_the_column_of_other_data_is_left_alone(project, doctor, tmp_path):
    """--data names other data: column and folder of the file do not belong to them."""
    project('[tool.kerasdiag]\ndata = "photos/train.csv"\nx-col = "path"\ndirectory = "elsewhere"\n')
    assert doctor("--data", tmp_path / "project" / "photos", "--select", "KD3")[1] == 0


def test_strict_and_timeout(project, doctor, tmp_path):
    """Both are options of the file."""
    file = project("[tool.kerasdiag]\nstrict = true\ntimeout = 20\n")
    assert read_options(file) == {"strict": True, "timeout": 20}
    profile = tmp_path / "run.kdprof.json"
    make_profile(0.4, 0.05).save(profile)
    assert doctor("--profile", profile)[1] == 1


WRONG = {
    "unknown key": ('[tool.kerasdiag]\nselects = ["KD1"]', "has no option 'selects'. It has: select, ignore"),
    "no list": ('[tool.kerasdiag]\nselect = "KD1"', "select must be a list of codes"),
    "no codes": ("[tool.kerasdiag]\nignore = [1]", "ignore must be a list of codes"),
    "no severity": ('[tool.kerasdiag]\nfail-on = "info"', 'fail-on must be "never", "warn" or "error"'),
    "no number": ("[tool.kerasdiag]\ntimeout = true", "timeout must be a number of seconds above 0. Received: True"),
    "no time": ("[tool.kerasdiag]\ntimeout = 0", "timeout must be"),
    "no switch": ('[tool.kerasdiag]\nstrict = "yes"', "strict must be true or false"),
    "no path": ('[tool.kerasdiag]\ndata = ""', "data must be a folder"),
    "no TOML": ("[tool.kerasdiag]\nselect = [", "cannot be read as TOML"),
    "no text": ('[tool.kerasdiag]\nx-col = "\udcff"', "cannot be read as TOML"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_options(project, capsys, name):
    """One sentence, with the file and what was expected; exit code 2."""
    text, message = WRONG[name]
    file = project("")
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    assert main(["doctor"]) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert str(file) in captured.err
    assert captured.err.count("\n") <= 2
    assert not captured.out
    assert main(["doctor", "--no-config", "--select", "KD401"]) == 0


def test_files_of_others_are_passed_over(project, tmp_path):
    """A pyproject.toml that only depends on kerasdiag, or is broken, is nobody's configuration here."""
    file = project('[tool.kerasdiag]\nselect = ["KD1"]\n')
    (tmp_path / "project" / "src" / "pyproject.toml").write_text('[project]\ndependencies = ["kerasdiag"\n')
    assert find_file(tmp_path / "project" / "src" / "deep") == file
    (tmp_path / "project" / "src" / "pyproject.toml").write_text('[project]\ndependencies = ["kerasdiag"]\n')
    assert find_file(tmp_path / "project" / "src" / "deep") == file
    file.unlink()
    assert find_file(tmp_path / "project" / "src" / "deep") is None


def test_every_option_is_one_of_the_command():
    """A key that no argument reads would be silently ignored."""
    assert {"data", "x_col", "directory", "select", "ignore", "fail_on", "strict", "timeout"} == {
        option.name for option in OPTIONS.values()
    }


def test_a_table_that_is_none(tmp_path):
    """tool = 3 and kerasdiag = 3 are valid TOML and mean nothing."""
    file = tmp_path / "pyproject.toml"
    file.write_text("tool = 3\n")
    assert read_options(file) == {}
    file.write_text("[tool]\nkerasdiag = 3\n")
    with pytest.raises(DoctorUsageError, match="must be a table"):
        read_options(file)
