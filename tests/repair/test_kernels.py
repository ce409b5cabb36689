"""Which kernel runs, and what happens where the compiled one cannot."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from kerasdiag.errors import KernelError
from kerasdiag.repair.kernels import choose, compiled, jit

ROOT = Path(__file__).parents[2]


@pytest.fixture
def fresh_choice():
    """Let the kernel be tried anew, here and after the test."""
    choose._try_compiled.cache_clear()
    yield
    choose._try_compiled.cache_clear()


@pytest.mark.parametrize("order", [0, 1])
def test_order_of_sums_decides(order):
    """The trial images tell the two orders of sums apart, so the wrong one would be seen."""
    right = choose.choose_kernel().shift_first
    assert choose._is_equal(compiled, right, 3, order)
    if order == 1:  # order 0 shows a difference in the last bit only at a tie
        assert not choose._is_equal(compiled, not right, 3, order)


def test_variable_forces_a_kernel(monkeypatch):
    """compiled and scipy can be asked for; anything else is an error that names both."""
    monkeypatch.setenv("KERASDIAG_KERNEL", "scipy")
    assert choose.choose_kernel() == choose.KernelChoice("scipy", "KERASDIAG_KERNEL=scipy")
    monkeypatch.setenv("KERASDIAG_KERNEL", "compiled")
    assert choose.choose_kernel().name == "compiled"
    monkeypatch.setenv("KERASDIAG_KERNEL", "fast")
    with pytest.raises(KernelError, match=r"compiled.*scipy"):
        choose.choose_kernel()


def test_results_that_differ_are_not_used(fresh_choice, monkeypatch):
    """A platform whose SciPy rounds otherwise gets SciPy."""
    monkeypatch.setattr(choose, "_is_equal", lambda *_: False)
    assert choose.choose_kernel().reason == "its results differ from those of the SciPy on this machine"


def test_a_compiler_that_fails_is_not_used(fresh_choice, monkeypatch):
    """Whatever Numba raises, the repair goes on, and the reason holds its words."""

    def fail(*_):
        raise ValueError("LLVM says no")

    monkeypatch.setattr(choose, "_is_equal", fail)
    choice = choose.choose_kernel()
    assert choice.name == "scipy"
    assert "ValueError: LLVM says no" in choice.reason


def test_without_numba():
    """One reason that names what to install."""
    code = (
        "import sys; sys.modules['numba'] = None\n"
        "from kerasdiag.repair.kernels.choose import choose_kernel\nprint(choose_kernel())"
    )
    printed = run_python(code)
    assert "name='scipy'" in printed
    assert 'pip install "kerasdiag[repair]"' in printed


def test_compiled_without_a_place_for_the_cache(tmp_path):
    """No writable home and no writable package: compiled anew in each process, with the same result."""
    code = (
        "from numba.core import caching\n"
        "caching.CacheImpl._locator_classes = []\n"
        "from kerasdiag.repair.kernels.choose import choose_kernel\n"
        "from kerasdiag.repair.kernels import compiled\n"
        "print(choose_kernel(), type(compiled.augment_batch._cache).__name__)"
    )
    printed = run_python(code)
    assert "name='compiled'" in printed
    assert "NullCache" in printed


def test_compiled_where_the_cache_cannot_be_written(tmp_path):
    """A full disk is found out when the machine code is saved; it is then not saved."""
    code = (
        "import errno\nfrom numba.core import caching\n"
        "def full(self, *args, **kwargs): raise OSError(errno.ENOSPC, 'No space left on device')\n"
        "caching.IndexDataCacheFile.save = full\n"
        "from kerasdiag.repair.kernels.choose import choose_kernel\nprint(choose_kernel())"
    )
    assert "name='compiled'" in run_python(code, NUMBA_CACHE_DIR=str(tmp_path / "cache"))


def test_kept_machine_code_is_not_older_than_what_it_calls(tmp_path):
    """A change in a file that a kernel takes functions from is seen, though the kernel's own file is the same."""
    outer = "from inner import twice\n@compile_when_called\ndef outer(x):\n    return twice(x) + 1\nprint(outer(5))\n"
    shutil.copy(jit.__file__, tmp_path / "jit.py")
    head = "from jit import compile_when_called\n"
    (tmp_path / "outer.py").write_text(head + outer)
    printed = []
    for factor in (2, 2, 3):
        (tmp_path / "inner.py").write_text(f"{head}@compile_when_called\ndef twice(x):\n    return x * {factor}\n")
        code = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\nimport outer\nprint(sum(outer.outer.stats.cache_hits.values()))"
        # Python's own .pyc files know the second of a change only.
        variables = {"NUMBA_CACHE_DIR": str(tmp_path / "cache"), "PYTHONDONTWRITEBYTECODE": "1"}
        printed.append(run_python(code, **variables).split())
    assert printed == [["11", "0"], ["11", "1"], ["16", "0"]]


def run_python(code, **environment):
    result = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout
