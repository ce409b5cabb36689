"""Grayscale of 16 and 32 bits, with the installed Keras: its loader's values, its generators, and readers of the store."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conversions import convert, stored_pixels, write_wide
from keras_api import keras
from repair.ejected import run_scripts
from repair.generators import keras_draws, keras_images, make_generator, write_images
from repair.test_read_without_kerasdiag import SNIPPET

from kerasdiag import autofix
from kerasdiag.repair.load import loader_of_generator
from kerasdiag.repair.pixel_store.store import open_store
from kerasdiag.repair.plans.eject import make_script
from kerasdiag.repair.plans.saved_plans import list_plans
from kerasdiag.repair.read_generator import read_spec
from kerasdiag.spec import LoaderOptions

pytestmark = [pytest.mark.keras, pytest.mark.thorough]


@pytest.mark.parametrize(("dtype", "suffix"), [("uint16", "png"), ("uint16", "tiff"), ("int32", "tiff")])
@pytest.mark.parametrize("filter_name", ["nearest", "bilinear", "bicubic"])
def test_stored_pixels_equal_those_of_keras(tmp_path, dtype, suffix, filter_name):
    """load_img's own values, of files of 8, 16 and 32 bits in one store, resized or not."""
    loader = LoaderOptions("grayscale", (24, 32), filter_name)
    kinds = [("uint8", (32, 24)), (dtype, (32, 24)), (dtype, (45, 51))]
    paths = [
        write_wide(
            tmp_path / "data" / f"{number}.{'png' if kind == 'uint8' else suffix}", kind, size, number,
            margin=12_000 if filter_name == "bicubic" and kind == "uint16" else 0,
        )
        for number, (kind, size) in enumerate(kinds)
    ]  # fmt: skip

    def load(path):
        options = {"color_mode": "grayscale", "target_size": (24, 32), "interpolation": filter_name}
        return np.asarray(keras.preprocessing.image.load_img(path, **options))

    prepared = convert(paths, tmp_path / "stores", loader=loader, generator_load=load)
    assert prepared.in_process_reason is None
    assert prepared.store.loader.pixel_dtype == dtype
    for row, path in enumerate(paths):
        np.testing.assert_array_equal(stored_pixels(prepared, row)[:, :, 0], load(path))


@pytest.fixture
def mixed(tmp_path):
    """A generator with one 16-bit file among its 24."""
    frame = write_images(tmp_path / "images")
    write_wide(tmp_path / "images" / "wide.png", size=(40, 52))
    frame.loc[3, "file"] = "wide.png"
    return make_generator(
        frame,
        tmp_path / "images",
        options={"rotation_range": 40, "zoom_range": 0.3, "rescale": 1 / 255},
        color_mode="grayscale",
        interpolation="bilinear",
        shuffle=False,
    )


@pytest.fixture
def datasets(tmp_path, mixed):
    """Two datasets of that generator, one after the other."""
    return [autofix(mixed, when="always", cache_dir=tmp_path / "cache", verbose=0) for _ in range(2)]


def test_autofix_goes_on_with_16_bits_by_itself(mixed, datasets):
    """All rows are there, equal to the generator's, and the second call converts nothing."""
    assert [one.repair_report.converted for one in datasets] == [24, 0]
    for dataset in datasets:
        assert dataset.repair_report.certificate.is_exact
        assert dataset.repair_report.certificate.image_modes["I;16"] == 1
        images = np.concatenate([images.numpy() for images, _ in dataset])
        assert images.shape == (24, 32, 28, 1)
        assert images[3].max() > 30_000 / 255
    store = open_store(Path(datasets[1].repair_report.store))
    assert store.loader.pixel_dtype == "uint16"


def test_the_ejected_script_reads_wide_pixels(tmp_path, mixed, datasets):
    """For Keras' own draws it gives Keras' own pixels, within what it promises."""
    directory = Path(datasets[0].repair_report.store)
    (plan,), problems = list_plans(directory)
    assert (plan.pixel_dtype, problems) == ("uint16", [])
    script = tmp_path / "pipeline.py"
    script.write_text(make_script(directory, plan), encoding="utf-8")
    assert "to a ten-thousandth of the largest value" in script.read_text(encoding="utf-8")
    draws = keras_draws(mixed, 24)
    got = run_scripts(tmp_path, {"wide": (script, draws, 1)})["wide"]["images"]
    wanted = keras_images(mixed, np.arange(24), draws)
    assert wanted.max() > 200
    assert np.abs(got.astype(np.float64) - wanted).max() <= 1e-4 * wanted.max()


def test_the_snippet_of_the_readme_reads_wide_pixels(mixed, datasets):
    """It takes the dtype from the plan."""
    found = {}
    keep = '    found[example["source"].numpy().decode()] = image.numpy()\n'
    exec(SNIPPET.replace("STORE/plans/PLAN", datasets[0].repair_report.plan) + keep, {"found": found})
    assert len(found) == 24
    load = loader_of_generator(mixed, read_spec(mixed))
    for name, path in zip(mixed.filenames, mixed.filepaths):
        np.testing.assert_array_equal(found[name][:, :, 0], load(path))
