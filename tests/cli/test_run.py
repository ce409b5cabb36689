"""``kerasdiag run`` and scripts that train nothing: all that can be seen is what plain python shows."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest
from cli.running import PLAIN, ROOT, RUN, both, default_signals, environment, run, said, start

from kerasdiag.cli import main
from kerasdiag.cli.launch import module_exists, python_options
from kerasdiag.errors import ScriptError

PROBE = """
import inspect, os, sys, __main__
print(sys.argv, __name__, __file__, __package__, __spec__ and __spec__.name, type(__loader__).__name__)
print(sys.path, os.getcwd(), sys.flags, sys.warnoptions, getattr(sys, "orig_argv", None))
print(len(inspect.stack()), sys.excepthook is sys.__excepthook__, __main__.__dict__ is globals())
print(sorted(os.environ.items()))
print("sitecustomize" in sys.modules, [name for name in sys.modules if name.split(".")[0] in ("rich", "numpy")])
"""


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(text), encoding="utf-8")
    return path


@pytest.fixture
def project(tmp_path):
    """A folder with a space, a script below it, and a package."""
    folder = tmp_path / "my project"
    write(folder / "sub" / "train.py", PROBE)
    write(folder / "package" / "__init__.py", "")
    write(folder / "package" / "train.py", PROBE)
    write(folder / "package" / "__main__.py", PROBE)
    (folder / "link.py").symlink_to(folder / "sub" / "train.py")
    return folder


# --- What the script sees --------------------------------------------------------------------------

WAYS = {
    "script": ["sub/train.py"],
    "script with arguments": ["sub/train.py", "--epochs", "3", "-o", "x.json", "--until-verdict", "--", "-m", "--help"],
    "dot": ["./sub/train.py", ""],
    "absolute": ["{folder}/sub/train.py"],
    "link": ["link.py"],
    "folder": ["package"],
    "module": ["-m", "package.train", "--epochs", "3", "-m", "-o", "x"],
    "package": ["-m", "package", "--version"],
}


@pytest.mark.parametrize("way", WAYS)
def test_script_sees_what_plain_python_shows_it(project, way):
    """Arguments, name, file, paths, flags, environment, loaded modules and the depth of the stack."""
    _, output, _ = both([argument.format(folder=project) for argument in WAYS[way]], project)
    assert "'__main__'" in output or " __main__ " in output


def test_nothing_is_seen_without_a_pythonpath(project):
    """Where the variable was not set, the script finds it not set; kerasdiag is not on its path, and still there."""
    script = write(project / "look.py", "import os, sys; print(os.environ.get('PYTHONPATH'), sys.path)")
    code, output, errors = run(
        [sys.executable, "-c", CALL_MAIN.format(root=ROOT), "run"], [script], project, PYTHONPATH=None
    )
    assert (code, output, said(errors)[0][:10]) == (*run(PLAIN, [script], project, PYTHONPATH=None)[:2], "No fit ran")
    assert output.startswith("None ")


CALL_MAIN = "import sys; sys.path.insert(0, {root!r}); from kerasdiag.cli import main; sys.exit(main())"


def test_modules_of_the_script_are_not_taken_for_ours(project):
    """Nothing that Python itself has not loaded: a packaging.py or random.py beside the script is the one it gets."""
    write(project / "look.py", "import sys; print(*sys.modules)")
    before, after = (set(run(command, ["look.py"], project)[1].split()) for command in (PLAIN, RUN))
    assert after - before <= {"__future__", "atexit"}
    for name in ("packaging", "random", "platform", "json"):
        write(project / "own" / f"{name}.py", f"print('own {name}')")
    write(project / "own" / "look.py", "import packaging, random, platform, json")
    assert both(["own/look.py"], project)[1].count("own") == 4


def test_sitecustomize_of_the_machine_still_runs(project):
    """One that somebody else has put there is imported, and sees no trace of ours; one that fails says so."""
    site = write(project / "site" / "sitecustomize.py", "import builtins, sys; builtins.seen = __file__, sys.path[:2]")
    write(project / "look.py", "import sitecustomize; print(seen, sitecustomize.__file__)")
    path = os.pathsep.join([str(site.parent), ROOT])
    assert "site/sitecustomize.py" in both(["look.py"], project, PYTHONPATH=path)[1]
    site.write_text("1 / 0")
    write(project / "look.py", "import sys; print('sitecustomize' in sys.modules)")
    _, output, errors = run(RUN, ["look.py"], project, PYTHONPATH=path)
    assert output == "False\n"
    assert errors.count("ZeroDivisionError") == 2  # kerasdiag is a Python program itself


def test_options_of_python_are_those_of_the_script(project):
    """python -X dev -W error -m kerasdiag run train.py is python -X dev -W error train.py; 3.9 does not know its own."""
    options = ["-X", "dev", "-W", "error", "-O"]
    passed_on = options if sys.version_info >= (3, 10) else []
    plain = run([sys.executable, *passed_on], ["sub/train.py"], project)
    code, output, _ = run([sys.executable, *options, *RUN[1:]], ["sub/train.py"], project)
    assert (code, output) == plain[:2]


def test_options_that_keep_the_profiler_out_are_refused():
    """Python would ignore the path on which we come; that is said instead of profiling nothing."""
    for option in ("-E", "-I", "-SB"):
        with pytest.raises(ScriptError, match="keeps the profiler out"):
            python_options(["python", option, "-m", "kerasdiag", "run"])
    assert python_options(["python", "-W", "Error", "-Xdev", "-m", "kerasdiag", "run", "-E"]) == [
        "-W",
        "Error",
        "-Xdev",
    ]
    assert python_options(["python", "-E", "/bin/kerasdiag", "run"]) == []


SCRIPTS = {
    "pickles its own class": """
        import pickle
        class Config:
            epochs = 3
        if __name__ == "__main__":
            print(pickle.loads(pickle.dumps(Config())).epochs, pickle.dumps(Config()))
    """,
    "spawns a child": """
        import multiprocessing, os, sys
        def work(queue):
            queue.put((__name__, sys.argv, sys.path, sorted(os.environ.items())))
        if __name__ == "__main__":
            context = multiprocessing.get_context("spawn")
            queue = context.Queue()
            child = context.Process(target=work, args=(queue,))
            child.start()
            print(queue.get(timeout=60))
            child.join()
    """,
    "forks a child": """
        import os, sys
        child = os.fork()
        if child:
            os.waitpid(child, 0)
        print("parent" if child else "child", flush=True)
    """,
    "reads a file beside it": "print(open('sub/train.py').read()[:20])",
    "runs to the end": "import atexit; atexit.register(print, 'last')",
    "exits with a number": "import sys; sys.exit(3)",
    "exits with a text": "import sys; sys.exit('no data')",
    "exits with True": "raise SystemExit(True)",
    "raises": """
        def load():
            raise ValueError("no such column")
        try:
            load()
        except ValueError as error:
            raise RuntimeError("cannot train") from error
    """,
    "is no Python": "def train(:\n",
    "breaks its pipe": "raise BrokenPipeError(32, 'Broken pipe')",
    "raises our own error": "from kerasdiag.errors import KerasDiagError; raise KerasDiagError('of the script')",
    "interrupts itself": "raise KeyboardInterrupt",
    "kills itself": "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
    "is interrupted at the end": """
        import atexit, threading, time
        threading.Thread(target=lambda: (time.sleep(0.2), print("thread"))).start()
        print("main is done")
    """,
}  # fmt: skip


@pytest.mark.parametrize("name", SCRIPTS)
def test_script_ends_as_under_plain_python(project, name):
    """Exit code, output and traceback are the same to the letter."""
    write(project / "script.py", SCRIPTS[name])
    code, _, errors = both(["script.py"], project)
    if code != -signal.SIGKILL:
        assert len(said(errors)) == 1
        assert said(errors)[0].startswith("No fit ran in this process")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signals_reach_the_script(project, number):
    """A handler of the script runs; without one the process dies of the signal, under the same process number."""
    write(project / "waits.py", "import os, time\nprint(os.getpid(), flush=True)\ntime.sleep(60)\n")
    handles = "import signal, sys; signal.signal({}, lambda *_: sys.exit(7))\n"
    write(project / "handles.py", handles.format(int(number)) + (project / "waits.py").read_text())
    for script, expected in (("waits.py", -number), ("handles.py", 7)):
        outcomes = []
        for command in (PLAIN, RUN):
            with default_signals():
                process = start(command, [script], project)
            try:
                assert int(process.stdout.readline()) == process.pid
                time.sleep(0.3)  # else it may still be in print
                process.send_signal(number)
                _, errors = process.communicate(timeout=60)
            finally:
                process.kill()
            outcomes.append((process.returncode, errors.replace("\n", "").split("[kerasdiag]")[0]))
        assert outcomes[0] == outcomes[1]
        assert outcomes[1][0] == expected


def test_reader_that_leaves_is_the_scripts_business(project):
    """kerasdiag run train.py | head ends as python train.py | head does."""
    write(project / "prints.py", "for number in range(100000): print(number)")
    codes = []
    for command in (PLAIN, RUN):
        line = " ".join([*command, "prints.py", "|", "head", "-n", "1"])
        shell = ["bash", "-c", f'{line}; echo "${{PIPESTATUS[0]}}"']
        result = subprocess.run(
            shell, cwd=project, env=environment(), capture_output=True, text=True, timeout=60, check=True
        )
        codes.append((result.stdout, "BrokenPipeError" in result.stderr))
    assert codes[0] == codes[1]


@pytest.mark.parametrize("closing", [">&-", "2>&-", ">&- 2>&-"])
def test_closed_stream_is_the_scripts_business(project, closing):
    """A script without stdout or stderr runs as under plain python; a mistake still has exit code 2."""
    write(project / "notes.py", "import sys; open('note', 'w').write(repr([sys.stdout is None, sys.stderr is None]))")
    results = []
    for command, name in ((PLAIN, "notes.py"), (RUN, "notes.py"), (RUN, "absent.py")):
        shell = ["bash", "-c", " ".join([*command, name, closing])]
        result = subprocess.run(
            shell, cwd=project, env=environment(), capture_output=True, text=True, timeout=60, check=False
        )
        note = project / "note"
        results.append((result.returncode, result.stdout, note.read_text() if note.exists() else None))
        note.unlink(missing_ok=True)
    assert results[0] == results[1]
    assert results[0][0] == 0
    assert results[2] == (2, "", None)


def test_disabled_run_is_plain_python(project):
    """KERASDIAG_DISABLE=1: not a word, not a module, whatever the options say."""
    write(project / "look.py", "import sys; print([name for name in sys.modules if 'kerasdiag' in name])")
    code, output, errors = both(["look.py"], project, ["--until-verdict", "-o", "x.json"], KERASDIAG_DISABLE="1")
    assert (code, output, errors) == (0, "[]\n", "")


# --- What is refused -------------------------------------------------------------------------------

WRONG = {
    "nothing": ([], "run was given no script"),
    "only options": (["--until-verdict", "-o", "x.json"], "run was given no script"),
    "no module": (["-m"], "run was given no script"),
    "missing file": (["absent.py", "--epochs", "3"], "absent.py: no such file"),
    "missing module": (["-m", "absent"], "absent: no such module"),
    "missing part of a package": (["-m", "package.absent"], "package.absent: no such module"),
    "part of what is no package": (["-m", "package.train.absent"], "no such module"),
    "unknown format": (["-o", "x.html", "sub/train.py"], "extension .json, .txt"),
    "unwritable output": (["-o", "sub/train.py/x.json", "sub/train.py"], "cannot be written"),
    "folder as output": (["-o", "folder.json", "sub/train.py"], "it is a folder"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_use_is_one_sentence_and_exit_code_2(project, monkeypatch, capsys, name):
    """Said before the script begins: a typo must not cost a night of training."""
    monkeypatch.chdir(project)
    (project / "folder.json").mkdir()
    arguments, message = WRONG[name]
    assert main(["run", *arguments]) == 2
    heard = capsys.readouterr()
    assert heard.out == ""
    assert message in heard.err
    assert len(heard.err.strip().splitlines()) == 1


def test_unknown_option_of_ours_is_refused(project, monkeypatch, capsys):
    """A misspelt option before the script is not passed to it in silence."""
    monkeypatch.chdir(project)
    with pytest.raises(SystemExit) as caught:
        main(["run", "--until", "sub/train.py"])
    assert caught.value.code == 2
    assert "--until" in capsys.readouterr().err


def test_modules_are_found_without_being_imported(project, monkeypatch):
    """A package of the script would be imported twice; one that extends itself by pkgutil is found, too."""
    monkeypatch.chdir(project)
    write(project / "package" / "__init__.py", "raise SystemExit('imported')")
    write(project / "elsewhere" / "package" / "more.py", "")
    monkeypatch.syspath_prepend(project / "elsewhere")
    assert module_exists("package.train")
    assert module_exists("package.more")
    assert module_exists("json.tool")
    assert not module_exists("package.absent")
    assert not module_exists("absent.package")


def test_help_teaches(capsys):
    """How to run a module, what is left out, and what a script may still write."""
    with pytest.raises(SystemExit) as caught:
        main(["run", "--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    for words in ("kerasdiag run -m package.train", "ModelCheckpoint", "CSVLogger", "run-2.kdprof.json"):
        assert words in text
