"""Where reports go: what is refused at once, what is only warned about, names with a rank."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
from builders import make_profile

from kerasdiag import BottleneckProfiler
from kerasdiag.diagnosis import diagnose
from kerasdiag.errors import ReportError
from kerasdiag.profiler.publisher import Publisher, path_with_rank


def test_impossible_format_is_an_error_before_the_training():
    """A typo in the extension must not cost a night of training."""
    with pytest.raises(ReportError, match=r"Received: 'run\.jsn'"):
        BottleneckProfiler(report="run.jsn")


@pytest.mark.parametrize("report", [3, object(), [None]])
def test_wrong_type_is_an_error(report):
    """What report takes is said."""
    with pytest.raises(TypeError, match="a path, or a list of these"):
        BottleneckProfiler(report=report)


def test_unwritable_path_is_a_warning(tmp_path):
    """The training is worth more than its report."""
    (tmp_path / "file").write_text("")
    (tmp_path / "folder.json").mkdir()
    for path in (tmp_path / "file" / "run.json", tmp_path / "folder.json"):
        with pytest.warns(UserWarning, match="cannot write its report") as caught:
            BottleneckProfiler(report=path)
        assert caught[0].filename == __file__, "the warning points at the user's line"


def test_read_only_folder_is_a_warning(tmp_path, monkeypatch):
    """Tried, not read off permission bits: root may ignore them, a read-only mount does not have them."""
    import tempfile

    def refuse(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    with pytest.warns(UserWarning, match="Permission denied"):
        BottleneckProfiler(report=tmp_path / "run.json")


def test_writable_path_is_silent(tmp_path):
    """Nothing is created and nothing said, also where folders are still to be made."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        BottleneckProfiler(report=["terminal", tmp_path / "a" / "b" / "run.kdprof.json", str(tmp_path / "panel.txt")])
    assert not list(tmp_path.glob("*.json"))
    assert not (tmp_path / "a").exists()


def test_rank_goes_before_the_extensions(monkeypatch):
    """run.kdprof.json stays a .kdprof.json; a single process keeps its name."""
    assert path_with_rank(Path("out/run.kdprof.json")) == Path("out/run.kdprof.json")
    monkeypatch.setenv("SLURM_PROCID", "2")
    monkeypatch.setenv("SLURM_NTASKS", "4")
    assert path_with_rank(Path("out/run.kdprof.json")) == Path("out/run.rank2.kdprof.json")
    monkeypatch.setenv("SLURM_PROCID", "0")
    assert path_with_rank(Path("panel.txt")) == Path("panel.rank0.txt")


def test_a_verdict_near_a_threshold_is_not_announced_with_every_look(capsys):
    """The first one is, and one that is sure; what lies between two of them would change to and fro."""
    publisher = Publisher("terminal")
    publisher.begin_fit()
    for wait_s in (0.03, 0.024, 0.026, 0.024, 0.0001):  # 23 %, then about 20 % of the period, then none
        noise = 0.5 if 0.02 < wait_s < 0.03 else 0.0
        publisher.announce(diagnose(make_profile(wait_s, 0.1, 60, noise=noise)))
    said = [line.split("] ")[1].split(":")[0] for line in capsys.readouterr().err.splitlines() if "[kerasdiag]" in line]
    assert said == ["Input-bound", "Compute-bound"]
