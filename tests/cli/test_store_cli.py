"""kerasdiag store: info, verify, clean and eject, on stores of real images; no Keras needed."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conversions import LOADER, content, convert, write_picture, write_pictures

from kerasdiag.cli import main, store_clean
from kerasdiag.repair.choice.remember import SmallRepair
from kerasdiag.repair.pixel_store import remove_store as removal
from kerasdiag.repair.pixel_store.lock import StoreLock
from kerasdiag.repair.pixel_store.store import Store, open_store
from kerasdiag.repair.plans.plan import PipelinePlan
from kerasdiag.repair.plans.plan_files import save_plan
from kerasdiag.repair.plans.targets import Targets
from kerasdiag.spec import AugmentationOptions, GeneratorSpec


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "kerasdiag-cache"  # what conftest.py sets


@pytest.fixture
def prepared(tmp_path, cache):
    """A store in the cache directory."""
    return convert(write_pictures(tmp_path / "data", 40), cache / "stores", directory=tmp_path / "data")


@pytest.fixture
def folder(prepared):
    return str(prepared.store.directory)


def add_plan(prepared, batch_size=8, last_used_s=None, **options):
    """Write a plan as autofix does; returns its name."""
    rows = np.arange(len(prepared.record_of_row))
    spec = GeneratorSpec(
        kind="DataFrameIterator", loader=LOADER, augmentation=AugmentationOptions(**options),
        filepaths=tuple(map(str, rows)), directory=None, class_mode="raw", class_indices=None, classes=None,
        targets=rows * 0.5, sample_weight=None, batch_size=batch_size, shuffle=True, seed=1, subset=None,
    )  # fmt: skip
    plan = PipelinePlan(spec, rows, prepared.record_of_row, 1, 5)
    path = save_plan(plan, prepared.store, Targets(spec, rows))
    if last_used_s is not None:
        os.utime(path / "plan.json", (last_used_s, last_used_s))
    return path.name


def heard_one_sentence(capsys, *arguments):
    """Run a command that must fail with exit code 2 and one line on stderr; returns that line."""
    assert main(["store", *map(str, arguments)]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert "Traceback" not in lines[0]
    return lines[0]


def damage(path, offset):
    data = bytearray(Path(path).read_bytes())
    data[offset] ^= 1
    Path(path).write_bytes(bytes(data))


def unfinish(folder):
    """Turn a store into one whose conversion was interrupted."""
    (Path(folder) / "index.json").unlink()
    (Path(folder) / "jobs").mkdir()


def answer(monkeypatch, text):
    """Somebody sits at a terminal and types this."""
    stdin = io.StringIO(text)
    stdin.isatty = lambda: True
    monkeypatch.setattr(sys, "stdin", stdin)


def test_info_lists_every_store(prepared, folder, cache, tmp_path, capsys):
    """Images, size, dead bytes, loader, last use, data root and directory; a broken store with its reason."""
    os.utime(Path(folder) / "local" / "used", (1_700_000_000, 1_700_000_000))
    broken = cache / "stores" / "broken"
    shutil.copytree(folder, broken)
    (broken / "store.json").write_text("{")
    assert main(["store", "info"]) == 0
    header, *lines = capsys.readouterr().out.splitlines()
    assert header.split("  ")[0].strip() == "IMAGES"
    row = next(line for line in lines if folder in line)
    for text in ("40  ", "0 bytes", "rgb 24x32 nearest", "2023-11-1", str(tmp_path / "data"), "kB"):
        assert text in row
    assert any(str(broken / "store.json") in line and "is not that of a pixel store" in line for line in lines)


def test_info_counts_records_of_changed_files_as_dead(prepared, folder, cache, tmp_path, capsys):
    """A changed image is one image, and its old record is dead."""
    before = prepared.store.record_length[0]
    paths = sorted(str(path) for path in (tmp_path / "data").iterdir())
    write_picture(Path(paths[3]), np.random.default_rng(9), age_s=5)
    convert(paths, cache / "stores", directory=tmp_path / "data")
    assert main(["store", "info", "--json"]) == 0
    (facts,) = json.loads(capsys.readouterr().out)
    assert facts["images"] == 40
    assert facts["dead_bytes"] == before
    assert main(["store", "info", folder]) == 0
    assert "1 records whose files changed" in capsys.readouterr().out


def test_info_without_stores_says_where_it_looked(cache, capsys):
    """Nothing there is no error."""
    assert main(["store", "info"]) == 0
    assert str(cache) in capsys.readouterr().out
    assert main(["store", "info", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []


def test_info_of_one_store_shows_its_plans(prepared, folder, capsys):
    """Rows, batch size, steps and augmentation of each, the one used last first; damaged ones are named."""
    old = add_plan(prepared, last_used_s=1_600_000_000)
    new = add_plan(prepared, batch_size=16, rotation_range=30, zoom_range=(1 - 0.2, 1.2), last_used_s=1_700_000_000)
    bad = add_plan(prepared, batch_size=3)
    (Path(folder) / "plans" / bad / "rows.npz").write_bytes(b"PK")
    assert main(["store", "info", folder]) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = [line for line in lines if line.startswith((old, new))]
    assert [line.split()[:4] for line in rows] == [[new, "40", "16", "5"], [old, "40", "8", "5"]]
    assert "rotation_range=30, zoom_range=(0.8, 1.2)" in rows[0]
    assert rows[1].endswith("none")
    assert bad in lines[-1]
    assert "damaged" in lines[-1]
    assert main(["store", "info", folder, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert [plan["plan"] for plan in facts["plans"]] == [new, old]
    assert facts["images"] == 40


def test_info_of_an_unfinished_store_says_so(folder, capsys):
    """It has no images yet, and a reason."""
    unfinish(folder)
    assert main(["store", "info", folder]) == 0
    assert "not finished" in capsys.readouterr().out


def test_verify_passes_a_whole_store(folder, capsys):
    """Exit code 0 and one sentence."""
    assert main(["store", "verify", folder]) == 0
    assert "40 records in" in capsys.readouterr().out


def test_verify_names_every_damaged_record_and_shard(prepared, folder, capsys):
    """A flipped bit, a shortened shard and a broken manifest: one sentence each, exit code 1, nothing changed."""
    store = prepared.store
    assert len(store.files) == 3
    damage(store.files[0], int(store.data_offset[2]) + 17)
    damage(store.files[0], int(store.data_offset[4]) + 17)
    os.truncate(store.files[1], os.path.getsize(store.files[1]) - 1)
    Path(store.files[2]).with_suffix(".json").write_text("{")
    before = content(folder)
    assert main(["store", "verify", folder]) == 1
    out = capsys.readouterr().out.splitlines()
    assert len(out) == 5
    for number, text in ((2, store.names[2]), (3, store.names[4]), (0, store.files[1]), (1, "00002.json")):
        assert text in out[number]
    assert "(4 problems)" in out[4]
    assert f'kerasdiag store clean "{folder}"' in out[4]
    assert content(folder) == before


def test_verify_counts_one_problem_as_one(prepared, folder, capsys):
    """Not as "1 problems"."""
    damage(prepared.store.files[0], int(prepared.store.data_offset[2]) + 17)
    assert main(["store", "verify", folder]) == 1
    assert f"{folder} is damaged (1 problem). Delete it" in capsys.readouterr().out


def test_verify_of_a_damaged_index_is_a_finding(folder, capsys):
    """The index is part of the store."""
    (Path(folder) / "index.json").write_text("[")
    assert main(["store", "verify", folder]) == 1
    assert "index.json cannot be read" in capsys.readouterr().out


def test_verify_can_be_stopped(folder, capsys, monkeypatch):
    """Ctrl-C: one line, exit code 130, no traceback."""

    def interrupted(self, sample=None, progress=None):
        progress(3)
        raise KeyboardInterrupt

    monkeypatch.setattr(Store, "verify", interrupted)
    assert main(["store", "verify", folder]) == 130
    assert "stopped after 3 of 40 records" in capsys.readouterr().err


@pytest.mark.parametrize("action", ["info", "verify", "clean", "eject"])
@pytest.mark.parametrize("what", ["data", "home", "absent", "foreign", "newer"])
def test_what_is_no_store_is_one_sentence(action, what, tmp_path, folder, capsys):
    """The data root, a home directory, nothing at all, somebody else's store.json; nothing is touched."""
    directory = tmp_path / what
    if what not in ("absent", "data"):
        directory.mkdir()
        (directory / "letter.txt").write_text("dear")
    if what == "foreign":
        (directory / "store.json").write_text('{"shop": 1}')
    if what == "newer":
        shutil.copy(Path(folder) / "store.json", directory)
        text = (directory / "store.json").read_text().replace('store":1', 'store":7')
        (directory / "store.json").write_text(text)
    before = content(tmp_path)
    extra = ["--yes"] if action == "clean" else ["-o", tmp_path / "out.py"] if action == "eject" else []
    line = heard_one_sentence(capsys, action, directory, *extra)
    assert str(directory) in line
    assert content(tmp_path) == before


def test_clean_asks_and_deletes(folder, cache, capsys, monkeypatch):
    """Size and last use first; yes deletes, anything else does not."""
    for text in ("\n", "n\n", "", "maybe\n"):
        answer(monkeypatch, text)
        assert main(["store", "clean", folder]) == 0
        assert open_store(folder).num_records == 40
        out = capsys.readouterr().out
        assert out.index("kB") < out.index("[y/N]")
        assert "Nothing was deleted" in out
    answer(monkeypatch, "y\n")
    assert main(["store", "clean", folder]) == 0
    assert list((cache / "stores").iterdir()) == []


def test_clean_without_a_terminal_needs_yes(folder, capsys, monkeypatch):
    """A script that did not say --yes deletes nothing and hears how."""
    for stdin in (io.StringIO("y\n"), None):
        monkeypatch.setattr(sys, "stdin", stdin)
        assert "--yes" in heard_one_sentence(capsys, "clean", folder)
        assert open_store(folder).num_records == 40
    assert main(["store", "clean", folder, "--yes"]) == 0
    assert not Path(folder).exists()


def test_clean_deletes_all_stores_and_nothing_else(folder, cache, tmp_path, capsys):
    """Finished, unfinished and newer stores go; what is none stays and is named; images stay."""
    stores = cache / "stores"
    for name in ("unfinished", "newer", "mixed", "stranger"):
        shutil.copytree(folder, stores / name)
    unfinish(stores / "unfinished")
    header = (stores / "newer" / "store.json").read_text()
    (stores / "newer" / "store.json").write_text(header.replace('store":1', 'store":7'))
    (stores / "mixed" / "thesis.doc").write_text("mine")
    (stores / "stranger" / "store.json").unlink()
    (cache / "profiles").mkdir()
    assert main(["store", "clean", "--yes"]) == 2
    err = capsys.readouterr().err
    assert "thesis.doc" in err
    assert "stranger is not a pixel store" in err
    assert {path.name for path in stores.iterdir()} == {"mixed", "stranger"}
    assert (stores / "mixed" / "index.json").exists()
    assert (cache / "profiles").exists()
    assert len(list((tmp_path / "data").iterdir())) == 40


def test_clean_knows_a_store_by_any_spelling(folder, cache, monkeypatch, capsys):
    """A path with .. and . in it, and the directory that one is in."""
    monkeypatch.chdir(Path(folder) / "shards")
    assert "store.json" in heard_one_sentence(capsys, "clean", "../..", "--yes")
    assert main(["store", "clean", "./..", "--yes"]) == 0
    assert list((cache / "stores").iterdir()) == []


def test_clean_with_nothing_to_delete(cache, capsys):
    """No cache directory is no error."""
    assert main(["store", "clean", "--yes"]) == 0
    assert "no pixel store" in capsys.readouterr().out


@pytest.fixture
def remembered(cache):
    """Two repairs without a store, as autofix keeps them."""
    (cache / "repairs").mkdir(parents=True)
    fields = {"kerasdiag_repair": 1, "cores": 2, "input": "DataFrameIterator (40 rows)", "reason": "the smallest one"}
    for number, (repair, workers) in enumerate([("workers", 4), ("none", None)]):
        choice = {**fields, "repair": repair, "workers": workers, "created_at": f"2026-11-2{number}T10:00:00+00:00"}
        (cache / "repairs" / f"{number}.kdrepair.json").write_text(json.dumps(choice))
    return cache / "repairs"


def test_info_lists_repairs_without_a_store(remembered, capsys):
    """The latest first, with what they are about and why."""
    assert main(["store", "info"]) == 0
    out = capsys.readouterr().out
    assert out.index('storage="none"  2026-11-21 10:00') < out.index("workers=4       2026-11-20 10:00")
    assert "DataFrameIterator (40 rows)  the smallest one" in out


def test_clean_forgets_repairs_without_a_store(remembered, folder, capsys, monkeypatch):
    """With the stores, after the same question; a single store goes alone."""
    answer(monkeypatch, "n\n")
    assert main(["store", "clean"]) == 0
    assert "2 repairs without a store" in capsys.readouterr().out
    assert len(list(remembered.iterdir())) == 2
    assert main(["store", "clean", folder, "--yes"]) == 0
    assert len(list(remembered.iterdir())) == 2
    answer(monkeypatch, "y\n")
    assert main(["store", "clean"]) == 0
    out = capsys.readouterr().out
    assert "Delete what is remembered? The next autofix would make them anew. [y/N]" in out
    assert "forgot 2 repairs without a store" in out
    assert list(remembered.iterdir()) == []


@pytest.fixture
def in_memory(remembered):
    """Beside them an array, which needs no store, and an input whose store is read into memory."""
    known = json.loads((remembered / "1.kdrepair.json").read_text())
    for name, kind in (("2", "NumpyArrayIterator"), ("3", "DirectoryIterator")):
        choice = {**known, "repair": "memory", "input": f"{kind} (40 rows)", "reason": "the disk was too slow"}
        (remembered / f"{name}.kdrepair.json").write_text(json.dumps(choice))
    return remembered


def test_info_sets_stores_read_into_memory_apart(in_memory, capsys):
    """They are no repairs without a store; arrays are."""
    assert main(["store", "info"]) == 0
    first, second = capsys.readouterr().out.split("\n\nInputs whose store autofix reads into memory, ")
    assert "DirectoryIterator" not in first
    assert "NumpyArrayIterator (40 rows)  the disk was too slow" in first
    assert second.startswith("because from the disk it did not feed their training:\nREPAIR ")
    assert 'storage="memory"  2026-11-21 10:00  DirectoryIterator (40 rows)  the disk was too slow' in second
    assert len(second.splitlines()) == 3


def test_clean_tells_stores_read_into_memory_from_repairs_without_one(in_memory, capsys):
    """All of them are forgotten, and the sentence counts both kinds."""
    assert main(["store", "clean", "--yes"]) == 0
    out = capsys.readouterr().out
    count = "3 repairs without a store and 1 input whose store goes into memory"
    assert f"autofix remembers {count} (kerasdiag store info lists them)" in out
    assert f"forgot {count}\n" in out
    assert list(in_memory.iterdir()) == []


def test_counts_of_what_is_remembered_in_words():
    """One of a kind, several, and one kind alone."""
    small, array, store = (
        SmallRepair(repair, None, 2, "2026", kind, "")
        for repair, kind in (("none", "D"), ("memory", "NumpyArrayIterator (1 row)"), ("memory", "D"))
    )
    assert store_clean.choices_text([small]) == "1 repair without a store"
    assert store_clean.choices_text([small, array]) == "2 repairs without a store"
    assert store_clean.choices_text([store]) == "1 input whose store goes into memory"
    assert store_clean.choices_text([array, store, store]) == (
        "1 repair without a store and 2 inputs whose stores go into memory"
    )


def test_clean_refuses_a_link(folder, tmp_path, capsys):
    """The link's target is named, and stays."""
    link = tmp_path / "link"
    link.symlink_to(folder)
    assert folder in heard_one_sentence(capsys, "clean", link, "--yes")
    assert open_store(folder).num_records == 40


def test_clean_refuses_a_store_that_is_being_written(folder, capsys):
    """A live process holds the lock: it is named, and the store stays; afterwards it can be deleted."""
    lock = Path(f"{folder}.lock")
    with StoreLock(lock):
        line = heard_one_sentence(capsys, "clean", folder, "--yes")
        assert f"being written by process {os.getpid()}" in line
        assert open_store(folder).num_records == 40
    lock.write_text(json.dumps({**json.loads('{"token": "x"}'), "machine": "gone", "pid": 1, "started": 0}))
    os.utime(lock, (1_600_000_000, 1_600_000_000))  # an abandoned lock holds nobody up
    assert main(["store", "clean", folder, "--yes"]) == 0
    assert not Path(folder).exists()
    assert not lock.exists()


def test_a_store_vanishes_at_once(folder, cache, monkeypatch, capsys):
    """When the first file is deleted the store is already out of sight, and an interruption leaves nothing visible."""
    visible = []

    def look_and_stop(path):
        visible.append(Path(folder).exists())
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(removal.shutil, "rmtree", look_and_stop)
        assert main(["store", "clean", folder, "--yes"]) == 130
    assert visible == [False]
    assert "deletes the rest" in capsys.readouterr().err
    assert main(["store", "info", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []
    assert main(["store", "info"]) == 0
    assert "interrupted cleaning left" in capsys.readouterr().out
    assert main(["store", "clean", "--yes"]) == 0
    assert list((cache / "stores").iterdir()) == []


def test_what_cannot_be_renamed_stays_whole(folder, cache, monkeypatch, capsys):
    """Another program holds a file: the store is as it was."""

    def held(source, target):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(removal, "replace", held)
    assert "It is as it was" in heard_one_sentence(capsys, "clean", folder, "--yes")
    assert open_store(folder).num_records == 40
    assert [path.name for path in (cache / "stores").iterdir()] == [Path(folder).name]


def test_eject_takes_the_plan_used_last_and_says_so(prepared, folder, tmp_path, capsys):
    """With several plans stderr names the one that was taken, and how to take another."""
    old = add_plan(prepared, last_used_s=1_600_000_000)
    new = add_plan(prepared, batch_size=16, last_used_s=1_700_000_000)
    output = tmp_path / "pipeline.py"
    assert main(["store", "eject", folder, "-o", str(output)]) == 0
    err = capsys.readouterr().err
    assert f"took the plan used last, {new}:" in err
    assert f"--plan {old}" in err
    assert f"plans/{new}" in output.read_text()
    assert "BATCH_SIZE = 16" in output.read_text()
    assert main(["store", "eject", folder, "-o", str(output), "--force", "--plan", old[:5]]) == 0
    assert "BATCH_SIZE = 8" in output.read_text()
    assert "took" not in capsys.readouterr().err


def test_eject_overwrites_nothing_unasked(prepared, folder, tmp_path, capsys):
    """An existing file stays as it is without --force."""
    add_plan(prepared)
    output = tmp_path / "pipeline.py"
    output.write_text("mine")
    assert "--force" in heard_one_sentence(capsys, "eject", folder, "-o", output)
    assert output.read_text() == "mine"


def test_eject_errors_are_one_sentence(prepared, folder, tmp_path, capsys):
    """No plan, an unknown plan, a place that cannot be written, a missing shard, an option for later."""
    output = tmp_path / "pipeline.py"
    assert "no plan" in heard_one_sentence(capsys, "eject", folder, "-o", output)
    name = add_plan(prepared)
    assert name in heard_one_sentence(capsys, "eject", folder, "-o", output, "--plan", "zzz")
    assert "cannot be written" in heard_one_sentence(capsys, "eject", folder, "-o", tmp_path / "absent" / "p.py")
    assert "is a directory" in heard_one_sentence(capsys, "eject", folder, "-o", tmp_path)
    later = add_plan(prepared, brightness_range=(0.5, 1.5))
    assert "brightness_range" in heard_one_sentence(capsys, "eject", folder, "-o", output, "--plan", later)
    os.rename(prepared.store.files[0], tmp_path / "away")
    assert prepared.store.files[0] in heard_one_sentence(capsys, "eject", folder, "-o", output)
    assert not output.exists()


def test_eject_quotes_names_of_any_kind(tmp_path, capsys):
    """Quotes, backslashes, spaces and letters of other scripts in paths and class names make a valid script."""
    stores = tmp_path / 'it\'s "a" \\n gräu {x} __STORE__' / "stores"
    prepared = convert(write_pictures(tmp_path / "data", 16), stores, directory=tmp_path / "data")
    add_plan(prepared)
    output = tmp_path / "pipeline.py"
    assert main(["store", "eject", str(prepared.store.directory), "-o", str(output)]) == 0
    line = next(line for line in output.read_text(encoding="utf-8").splitlines() if line.startswith("STORE"))
    found = {}
    exec(compile(line, "line", "exec"), found)
    assert found["STORE"] == str(prepared.store.directory)
    compile(output.read_text(encoding="utf-8"), "pipeline.py", "exec")


def test_help_teaches(capsys):
    """Every action shows a line to type."""
    assert main(["store"]) == 0
    assert "kerasdiag store eject DIR -o pipeline.py" in capsys.readouterr().out
    for action, line in (
        ("info", "kerasdiag store info --json"),
        ("verify", "Exit code 0"),
        ("clean", "kerasdiag store clean --yes"),
        ("eject", "model.fit(make_dataset(), epochs=3)"),
    ):
        with pytest.raises(SystemExit) as caught:
            main(["store", action, "--help"])
        assert caught.value.code == 0
        assert line in capsys.readouterr().out


def test_nothing_here_loads_tensorflow(folder):
    """info and verify start fast, and work where TensorFlow is broken."""
    for arguments in (["info"], ["verify", folder]):
        command = [sys.executable, "-X", "importtime", "-m", "kerasdiag", "store", *arguments]
        result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        loaded = {line.rsplit("|", 1)[-1].strip().split(".")[0] for line in result.stderr.splitlines() if "|" in line}
        assert "kerasdiag" in loaded
        assert not loaded & {"tensorflow", "keras", "tf_keras", "numba", "scipy", "pandas"}


def test_old_consoles_show_any_name(prepared, tmp_path):
    """A console with code page 1252, or none at all, prints escapes instead of failing."""
    stores = tmp_path / "店 gräu" / "stores"
    store = convert(write_pictures(tmp_path / "data", 16), stores, directory=tmp_path / "data").store
    for encoding in ("cp1252", "ascii"):
        environment = {**os.environ, "PYTHONIOENCODING": encoding, "KERASDIAG_CACHE_DIR": str(tmp_path / "店 gräu")}
        for arguments in (["info"], ["info", str(store.directory)], ["verify", str(store.directory)]):
            command = [sys.executable, "-m", "kerasdiag", "store", *arguments]
            result = subprocess.run(command, capture_output=True, timeout=60, env=environment, check=True)
            assert b"\\u5e97" in result.stdout


def test_a_closed_stdin_is_no_terminal(monkeypatch):
    """Asking a closed stdin whether it is a terminal raises; that means no."""
    stdin = io.StringIO()
    stdin.close()
    monkeypatch.setattr(sys, "stdin", stdin)
    assert not store_clean._is_terminal()
