"""The compiled kernel against SciPy, and what happens where it cannot run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from kerasdiag.errors import KernelError
from kerasdiag.repair.kernels import choose, compiled

ROOT = Path(__file__).parents[2]


@pytest.fixture
def fresh_choice():
    """Let the kernel be tried anew, here and after the test."""
    choose._try_compiled.cache_clear()
    yield
    choose._try_compiled.cache_clear()


def run_compiled(image, matrix, shift, order, flips, scale):
    size = image.size
    out = np.full(size + compiled.OUT_PADDING, -7, np.float32)
    padded = np.concatenate([image.reshape(-1), np.zeros(compiled.IMAGE_PADDING, np.uint8)])
    compiled.read_and_augment(
        0,
        np.zeros(1, np.int32),
        np.zeros(1, np.int64),
        padded,
        image.shape,
        np.array([order]),
        compiled.pack_matrices(matrix[None], shift[None], shift_first=choose.choose_kernel().shift_first),
        np.array([flips]),
        np.float32(scale),
        out,
    )
    return out[:size].reshape(image.shape)


def run_scipy(image, matrix, shift, order, flips, scale):
    """SciPy, written here on its own."""
    x = image.astype(np.float32)
    if order >= 0:
        channels = [
            ndimage.affine_transform(x[..., c], matrix, shift, order=order, mode="nearest") for c in range(x.shape[2])
        ]
        x = np.stack(channels, axis=-1)
    x = x[:: -1 if flips[0] else 1, :: -1 if flips[1] else 1].copy()
    x *= np.float32(scale)
    return x


sides = st.integers(1, 40)
numbers = st.floats(-3, 3)


@given(
    sides, sides, st.sampled_from([1, 3]), st.sampled_from([-1, 0, 1]), st.lists(numbers, min_size=6, max_size=6),
    st.sampled_from([0.0, 1e-9, 0.1, 1.0]), st.sampled_from([1e-7, 0.5, 1.0, 40.0]), st.booleans(), st.booleans(),
    st.integers(0, 2**32 - 1),
)  # fmt: skip
@settings(max_examples=400, deadline=None)
def test_compiled_equals_scipy(height, width, channels, order, values, bend, move, rows, columns, seed):
    """Any size, map, order and flip: the same bits, also where a place falls on a pixel or beside the image."""
    image = np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)
    matrix, shift = np.eye(2) + np.reshape(values[:4], (2, 2)) * bend, np.array(values[4:]) * move
    arguments = (image, matrix, shift, order, (rows, columns), 1 / 255)
    np.testing.assert_array_equal(run_compiled(*arguments), run_scipy(*arguments))


def test_places_far_outside():
    """Coordinates beyond any image, in either direction, give the edge's pixels."""
    image = np.random.default_rng(0).integers(0, 256, (9, 11, 3), np.uint8)
    for order in (0, 1):
        for factor in (1e3, -1e6, 1e12):
            arguments = (image, np.eye(2) * factor, np.array([-factor, factor / 3]), order, (False, False), 1)
            np.testing.assert_array_equal(run_compiled(*arguments), run_scipy(*arguments))


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
    with pytest.raises(KernelError, match=r"numpy.float64"):
        choose.choose_kernel(single_precision=False)
    monkeypatch.setenv("KERASDIAG_KERNEL", "fast")
    with pytest.raises(KernelError, match=r"compiled.*scipy"):
        choose.choose_kernel()


def test_double_precision_goes_to_scipy():
    """A numpy.float64 under NumPy 2 is not what the compiled kernel computes, and the reason names the remedy."""
    choice = choose.choose_kernel(single_precision=False)
    assert choice.name == "scipy"
    assert "float(rescale)" in choice.reason


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
        "print(choose_kernel(), type(compiled.read_and_augment._cache).__name__)"
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
