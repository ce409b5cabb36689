"""Bit for bit the generator's own pixels, operation by operation: compared with the installed Keras, never with ourselves."""

from __future__ import annotations

import numpy as np
import pytest
from keras_api import keras
from repair.generators import make_generator, make_maker
from repair.parity import compare
from repair.parity_rows import ROWS, SCIPY_ONLY, Row, where
from repair.pictures import MODES, WIDE_MODES, write_pictures

pytestmark = pytest.mark.keras


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Folder and DataFrame of the images that rows are about."""
    place = tmp_path_factory.mktemp("images")
    modes = {"every mode": MODES, "wide": WIDE_MODES}
    return {
        name: (write_pictures(place / name, modes[name], count=10), place / name) for name in ("every mode", "wide")
    }


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    return tmp_path_factory.mktemp("cache") / "stores"


@pytest.fixture
def floatx():
    """Set Keras' own dtype, and put it back afterwards."""
    before = keras.backend.floatx()
    yield keras.backend.set_floatx
    keras.backend.set_floatx(before)


def make_row(row, folders):
    generator = make_generator(
        *folders[row.files], options=row.options, **{"target_size": (18, 23), "batch_size": 4, **row.arguments}
    )
    if row.fit:
        shape = generator.image_shape
        generator.image_data_generator.fit(np.random.default_rng(3).integers(0, 256, (30, *shape)))
    return generator


@pytest.mark.parametrize("kernel", ["compiled", "scipy"])
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_row_of_the_table(folders, stores, floatx, row, kernel):
    """For draws that Keras made, the batch is the one that Keras made, within the tolerance of the row."""
    floatx(row.floatx)
    if kernel == "compiled" and row.way == SCIPY_ONLY:
        kernel = None  # what autofix would choose, which is SciPy
    generator = make_row(row, folders)
    maker = make_maker(generator, stores, kernel=kernel)
    if kernel != "scipy":
        assert where(maker) == row.way, (maker.kernel.reason, maker.augmenter.slow_part)
    tolerance = 0.0 if maker.kernel.name == "scipy" else row.tolerance
    values = sum(compare(generator, maker, seed=seed, tolerance=tolerance, alone=row.alone) for seed in range(3))
    assert values == 3 * generator.n * np.prod(generator.image_shape)


def test_every_row_has_a_name_and_a_reason():
    """No row hides another, and none has a tolerance without saying why."""
    assert len({row.name for row in ROWS}) == len(ROWS)
    assert all(row.reason for row in ROWS)
    assert all(row.reason != Row("").reason for row in ROWS if row.tolerance)


def test_a_difference_of_the_last_bit_is_seen(folders, stores):
    """The comparison fails where one value of one image differs by the least there is, and where nothing is compared."""
    generator = make_row(Row("", {"rotation_range": 30}), folders)
    maker = make_maker(generator, stores)
    right = maker.images

    def nearly(positions, parameters):
        images = right(positions, parameters)
        images[-1, 3, 4, 0] = np.nextafter(images[-1, 3, 4, 0], np.float32(1e9))
        return images

    compare(generator, maker)
    maker.images = nearly
    with pytest.raises(AssertionError, match="Mismatched elements: 1 /"):
        compare(generator, maker)
    object.__setattr__(maker.plan, "rows", np.arange(0))
    with pytest.raises(AssertionError, match="no rows"):
        compare(generator, maker)
