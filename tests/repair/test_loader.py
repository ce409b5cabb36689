"""Our loader makes the pixels that Keras' load_img makes, of every kind of file."""

from __future__ import annotations

import itertools
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from kerasdiag.repair.conversion.loader import PixelRangeError, as_stored, load_bytes, load_pixels
from kerasdiag.spec import LoaderOptions

MODES = {
    "RGB": "png",
    "L": "png",
    "RGBA": "png",
    "P": "png",
    "LA": "png",
    "1": "png",
    "CMYK": "jpg",
    "L jpeg": "jpg",
    "RGB jpeg": "jpg",
    "I;16 narrow": "png",
    "gif": "gif",
    "bmp": "bmp",
    "tiff": "tiff",
}
FILTERS = ("nearest", "bilinear", "bicubic", "hamming", "box", "lanczos")


def write_kind(folder, kind, size=(45, 31)):
    """Write an image of a mode or format and return its path."""
    random = np.random.default_rng(len(kind))
    path = folder / f"{kind.replace(';', '').replace(' ', '_')}.{MODES[kind]}"
    image = Image.fromarray(random.integers(0, 256, (size[1], size[0], 3), np.uint8))
    mode = kind.split(" ")[0]
    if mode == "I;16":
        # Not the whole range: bicubic overshoots, and then the values no longer fit into 8 bits.
        image = Image.fromarray(random.integers(96, 160, (size[1], size[0])).astype(np.uint16))
    elif mode in {"RGBA", "P", "LA", "1", "L", "CMYK"}:
        if mode == "RGBA":
            image.putalpha(Image.fromarray(random.integers(0, 256, (size[1], size[0]), np.uint8)))
        image = image.convert(mode)
    image.save(path)
    return path


@pytest.mark.keras
@pytest.mark.parametrize("kind", MODES)
def test_pixels_equal_those_of_keras(tmp_path, kind):
    """Every colour mode, filter and aspect rule gives Keras' pixels, whatever the file's own mode."""
    from keras_api import keras

    path = write_kind(tmp_path, kind)
    compared = 0
    for color_mode, filter_name, keep, target in itertools.product(
        ("rgb", "grayscale", "rgba"), FILTERS, (False, True), ((31, 45), (20, 17), (64, 30))
    ):
        loader = LoaderOptions(color_mode, target, filter_name, keep)
        image = keras.preprocessing.image.load_img(
            str(path),
            color_mode=color_mode,
            target_size=target,
            interpolation=filter_name,
            keep_aspect_ratio=keep,
        )
        expected = np.asarray(image)
        expected = expected[:, :, None] if expected.ndim == 2 else expected
        np.testing.assert_array_equal(load_pixels(path.read_bytes(), loader), expected)
        compared += 1
    assert compared == 108


def test_what_does_not_fit_is_refused_not_rounded(tmp_path):
    """A value outside the store's dtype is an error that names the dtype it needs, in files and from a loader."""
    path = tmp_path / "wide.png"
    Image.fromarray(np.full((4, 5), 40_000, np.uint16)).save(path)
    loader = LoaderOptions("grayscale", (4, 5))
    with pytest.raises(PixelRangeError, match="40000") as raised:
        load_bytes(path.read_bytes(), loader)
    assert raised.value.needed == "uint16"
    cases = ((256, "uint16"), (65_535, "uint16"), (65_536, "int32"), (-1, "int32"), (2**31, None), (0.5, None))
    for value, needed in (*cases, (float("nan"), None)):
        with pytest.raises(PixelRangeError) as raised:
            as_stored(np.full((4, 5), value), loader)
        assert raised.value.needed == needed
        if needed is not None:
            wide = LoaderOptions("grayscale", (4, 5), pixel_dtype=needed)
            stored = as_stored(np.full((4, 5), value), wide)
            assert (stored.dtype, stored.shape) == (needed, (4, 5, 1))
            assert (stored == value).all()


def test_narrow_files_in_a_wide_store_keep_their_values(tmp_path):
    """8-bit files beside wide ones are widened, not scaled: 200 stays 200."""
    path = write_kind(tmp_path, "L")
    for dtype in ("uint8", "uint16", "int32"):
        loader = LoaderOptions("grayscale", (20, 17), pixel_dtype=dtype)
        data = load_bytes(path.read_bytes(), loader)
        assert len(data) == loader.image_bytes == 20 * 17 * np.dtype(dtype).itemsize
        stored = np.frombuffer(data, dtype).reshape(loader.image_shape)
        np.testing.assert_array_equal(stored, load_pixels(path.read_bytes(), loader))


def test_an_unknown_dtype_is_an_error():
    """Only what a store can hold is taken."""
    with pytest.raises(ValueError, match="float32"):
        LoaderOptions("grayscale", (4, 5), pixel_dtype="float32")


def test_another_shape_is_an_error(tmp_path):
    """A loader that does not resize is not silently stored."""
    with pytest.raises(ValueError, match="shape"):
        as_stored(np.zeros((4, 6, 3), np.uint8), LoaderOptions("rgb", (4, 5)))


def test_loading_needs_no_keras():
    """The module imports NumPy, and neither TensorFlow nor Keras."""
    code = "import sys, kerasdiag.repair.conversion.worker as _; print({'tensorflow', 'keras', 'tf_keras'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"
