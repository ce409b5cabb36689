"""Reading scripts: whatever a file holds, the answer is clear and nothing is raised."""

from __future__ import annotations

import ast
import json
import sys

import pytest
from builders import make_environment
from hypothesis import given, settings
from hypothesis import strategies as st

from kerasdiag.doctor.lint.rules import RULES
from kerasdiag.environment.script_text import parse_notebook, parse_script
from kerasdiag.environment.scripts import Script, ScriptFacts, find_scripts
from kerasdiag.errors import DoctorUsageError

WORDS = st.sampled_from(
    ["import tensorflow as tf\n", "import keras\n", "ds = ", "tf.data.Dataset", ".map(", ".cache(", ".shuffle(", ".batch(", "f", ")", ",", "**x", "*", "\n", "    ", "def f(x):", "return ", "lambda x: ", "x", "model.fit(", "workers=4", "if x:", "for x in y:", "class A(keras.Model):", "9", "'a'", "[", "]", "=", "%time ", "!ls", "ImageDataGenerator", ".flow_from_directory(", "steps_per_epoch=", "n // 3", "# kerasdiag: ignore[KD701]", "\x00", "\x0c", "\u2028", "\t", "é"]
)  # fmt: skip


def examine(text, problems=(), path="train.py"):
    environment = make_environment(scripts=ScriptFacts((Script(path, text, problems),)))
    return [rule.examine(environment) for rule in RULES]


@settings(max_examples=150, deadline=None)
@given(st.lists(WORDS, max_size=30).map("".join))
def test_any_text_is_examined(text):
    """No rule is confused by half a script."""
    parsed, problems = parse_script(text.encode())
    assert len(examine(parsed, problems)) == len(RULES)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | WORDS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["cells", "worksheets", "cell_type", "source", "input"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(JSON)
def test_any_notebook_is_examined(value):
    """Whatever JSON holds; and what is not JSON at all."""
    parsed, problems = parse_notebook(json.dumps(value).encode())
    assert len(examine(parsed, problems, "train.ipynb")) == len(RULES)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_are_read(data):
    """Neither reader raises."""
    parse_script(b"# keras\n" + data)
    parse_notebook(data)


@pytest.mark.parametrize(
    ("cell", "body"),
    [
        ("%matplotlib inline\nx = 1", "pass;x = 1"),
        ("!pip install a \\\n  b\nx = 1", "pass;x = 1"),
        ("if a:\n    !ls\nx = 1", "if a:\n    pass;x = 1"),
        ("files = !ls\nx = 1", "files = None;x = 1"),
        ("%%time\nx = 1", "pass;x = 1"),
        ("%%bash\nls | wc", ""),
        ("model.fit?\nx = 1", "pass;x = 1"),
        ("x = '''\n%d\n'''", "x = '\\n%d\\n'"),
        ("!ls\ny = '''\n!also no command\n'''\nx = 1", "pass;y = '\\n!also no command\\n';x = 1"),
        ("!ls (\nprint('a %d'\n% 3)\nx = 1", "pass;print('a %d' % 3);x = 1"),
        ("%matplotlib inline\nf(a,\n  # more workers?\n  b)\nx = 1", "pass;f(a, b);x = 1"),
        ("!ls\nif a:\n    b\n# what now?\n    c\nx = 1", "pass;if a:\n    b\n    c;x = 1"),
        ("!ls\nfit(a)  # right?\nx = 1", "pass;fit(a);x = 1"),
        ("?model.fit\na.fit??\nx = 1", "pass;pass;x = 1"),
    ],
)
def test_lines_for_ipython(cell, body):
    """They are blanked, and the others keep their numbers."""
    parsed, problems = parse_notebook(json.dumps({"cells": [{"cell_type": "code", "source": cell}]}).encode())
    assert problems == ()
    assert ";".join(map(ast.unparse, parsed.tree.body)) == body
    last = parsed.tree.body[-1] if parsed.tree.body else None
    if last is not None and body.endswith("x = 1"):
        assert parsed.lines[last.lineno - 1] == "x = 1"


@pytest.mark.parametrize("source", ["x = 10 +\\\n% 3", "!ls\nz = a and \\\n    !b", "%time\nx = (1,\n!ls"])
def test_what_is_a_line_for_ipython_nowhere(source):
    """Within brackets and behind a backslash nothing is blanked; what is left does not parse, and says so."""
    _, (problem,) = parse_notebook(json.dumps({"cells": [{"cell_type": "code", "source": source}]}).encode())
    assert "does not parse" in problem.message


def test_the_python_that_cannot_parse_is_named():
    """The script may be right, for a newer one."""
    _, (problem,) = parse_script(b"import keras\nwith\n")
    assert f"Python {sys.version_info.major}.{sys.version_info.minor}, which runs this doctor" in problem.message


def test_a_broken_cell_costs_only_itself():
    """The others are read; the problem has cell and line."""
    cells = [{"cell_type": "code", "source": source} for source in ("import keras\n", "a = 1\nprint 1", "b = 2")]
    parsed, (problem,) = parse_notebook(json.dumps({"cells": cells}).encode())
    assert len(parsed.tree.body) == 2
    assert (problem.cell, problem.line) == (2, 2)
    assert parsed.place(parsed.tree.body[-1].lineno) == (1, 3)


@pytest.mark.parametrize(
    "data",
    [
        "# -*- coding: latin-1 -*-\nimport keras  # \u00e9\n".encode("latin-1"),
        b"\xef\xbb\xbfimport keras\r\n",
        b"import keras\rx = 1\r",
    ],
    ids=["latin-1", "byte order mark", "old Mac"],
)
def test_encodings_and_line_ends(data):
    """What Python reads is read."""
    parsed, problems = parse_script(data)
    assert problems == ()
    assert parsed.tree.body


@pytest.mark.parametrize(
    "data", [b"import keras\n\0", b"# coding: nonsense\nimport keras \xff\n(", b"keras" + b"(" * 500]
)
def test_what_is_no_python_is_a_problem(data):
    """One for the file, and no rule says anything."""
    parsed, problems = parse_script(data)
    assert len(problems) == 1
    assert not parsed.tree.body


def test_a_folder_means_all_scripts_in_it(tmp_path):
    """Hidden folders, environments and other people's code are left out."""
    for name in ("train.py", "a/eval.ipynb", ".git/x.py", "env/y.py", "node_modules/z.py", "notes.txt", "a/.b.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("{}")
    (tmp_path / "env/pyvenv.cfg").touch()
    found = find_scripts([str(tmp_path), str(tmp_path / "train.py")])
    assert [script.path for script in found.scripts] == [str(tmp_path / "a/eval.ipynb"), str(tmp_path / "train.py")]


def test_what_is_not_about_keras_is_not_parsed(tmp_path):
    """Python 2 of another subject is nobody's fault here; an empty file neither."""
    (tmp_path / "old.py").write_text("print 'hello'\n")
    (tmp_path / "empty.py").touch()
    assert all(script.problems == () for script in find_scripts([str(tmp_path)]).scripts)


def test_names_that_lead_nowhere(tmp_path):
    """A missing file is wrong usage; a broken link and a pipe's like are problems."""
    with pytest.raises(DoctorUsageError, match="There is no script"):
        find_scripts([str(tmp_path / "absent.py")])
    (tmp_path / "link.py").symlink_to(tmp_path / "absent.py")
    (script,) = find_scripts([str(tmp_path / "link.py")]).scripts
    assert "cannot be read" in script.problems[0].message
