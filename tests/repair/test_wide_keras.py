"""Grayscale of 16 and 32 bits, with the installed Keras: its loader's values, its generators, and readers of the store."""

from __future__ import annotations

import numpy as np
import pytest
from conversions import convert, stored_pixels, write_wide
from keras_api import keras
from repair.ejected import run_scripts
from repair.generators import keras_draws, keras_images, make_generator, write_images
from repair.test_read_without_kerasdiag import SNIPPET

from kerasdiag import autofix
from kerasdiag.repair import convert as autofix_module
from kerasdiag.repair.plans.eject import make_script
from kerasdiag.repair.plans.plan import PipelinePlan
from kerasdiag.repair.plans.plan_files import save_plan
from kerasdiag.repair.plans.saved_plans import list_plans
from kerasdiag.repair.plans.targets import Targets
from kerasdiag.spec import LoaderOptions

pytestmark = pytest.mark.keras


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
def materials(tmp_path, mixed, monkeypatch):
    """What autofix would make two datasets of, one after the other."""
    made = []
    monkeypatch.setattr(autofix_module, "_build", lambda *arguments: made.append(arguments[-1]))
    for _ in range(2):
        autofix(mixed, when="always", cache_dir=tmp_path / "cache", verbose=0)
    return made


@pytest.fixture
def plan_folder(materials):
    """Where the plan of that generator lies."""
    spec, prepared = materials[0].spec, materials[0].prepared
    rows = np.arange(spec.num_rows)
    plan = PipelinePlan(spec, rows, prepared.record_of_row, 0, spec.batches_per_pass)
    return save_plan(plan, prepared.store, Targets(spec, rows))


def test_autofix_goes_on_with_16_bits_by_itself(mixed, materials):
    """Its plan has the dtype of the store, all rows are there, and the second call finds both again."""
    assert [one.prepared.converted for one in materials] == [24, 0]
    for one in materials:
        assert one.spec.loader == one.prepared.store.loader
        assert one.spec.loader.pixel_dtype == "uint16"
    for row, path in enumerate(mixed.filepaths):
        stored = stored_pixels(materials[1].prepared, row)[:, :, 0]
        np.testing.assert_array_equal(stored, materials[1].load(path))
    assert stored_pixels(materials[1].prepared, 3).max() > 30_000


def test_the_ejected_script_reads_wide_pixels(tmp_path, mixed, materials, plan_folder):
    """For Keras' own draws it gives Keras' own pixels, within what it promises."""
    directory = materials[0].prepared.store.directory
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


def test_the_snippet_of_the_readme_reads_wide_pixels(mixed, materials, plan_folder):
    """It takes the dtype from the plan."""
    found = {}
    keep = '    found[example["source"].numpy().decode()] = image.numpy()\n'
    exec(SNIPPET.replace("STORE/plans/PLAN", str(plan_folder)) + keep, {"found": found})
    assert len(found) == 24
    for name, path in zip(mixed.filenames, mixed.filepaths):
        np.testing.assert_array_equal(found[name][:, :, 0], materials[0].load(path))
