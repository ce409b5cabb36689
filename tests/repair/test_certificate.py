"""The proof that comes with a dataset: what is compared, what it says, and when it is made anew."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from repair.generators import ARTICLE, ImageDataGenerator, make_generator, write_images

from kerasdiag import autofix
from kerasdiag.cli import main
from kerasdiag.errors import ParityError
from kerasdiag.repair.plans.replay import Replay
from kerasdiag.repair.plans.targets import Targets
from kerasdiag.repair.proof import certificate, compare, prove

pytestmark = [pytest.mark.keras, pytest.mark.thorough]


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    return write_images(folder, 60), folder


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setenv("KERASDIAG_CACHE_DIR", str(folder))
    return folder


@pytest.fixture
def compared(monkeypatch):
    """How many rows each comparison took."""
    counts = []
    original = prove.compare_rows

    def counting(generator, maker, positions):
        counts.append(len(positions))
        return original(generator, maker, positions)

    monkeypatch.setattr(prove, "compare_rows", counting)
    return counts


def test_a_certificate_names_steps_versions_and_rows(images):
    """32 rows of every image mode there is, each step with its parity, and the versions that decide pixels."""
    generator = make_generator(*images, options={**ARTICLE, "samplewise_center": True}, weight_col="weight")
    proof = autofix(generator, when="always", verbose=0).repair_report.certificate
    assert proof.rows == 32
    assert set(proof.image_modes) == {"RGB", "P", "L"}
    assert min(proof.image_modes.values()) == 10  # of 60 files 10 are palettes and 10 are grayscale
    parity = {stage.name: stage.parity for stage in proof.stages}
    assert list(parity) == [
        "order of rows", "loaded pixels", "random parameters", "affine warp, order 1, nearest", "flips", "rescale",
        "samplewise_center", "whole rows", "labels and weights",
    ]  # fmt: skip
    assert parity["order of rows"] == parity["random parameters"] == "distribution"
    assert {parity[name] for name in ("loaded pixels", "flips", "rescale", "labels and weights")} == {"exact"}
    assert parity["samplewise_center"] == "near"
    assert not proof.is_exact
    assert 0 < proof.largest_difference < 1e-5
    assert {"python", "numpy", "scipy", "pillow", "numba"} <= set(proof.versions)
    text = proof.render()
    assert "equal but for rounding (from samplewise_center on)" in text
    assert f"numpy {np.__version__}" in text


def test_it_is_kept_beside_the_plan_and_shown(images, capsys):
    """store info prints it, as text and as JSON."""
    report = autofix(make_generator(*images, options=ARTICLE), when="always", verbose=0).repair_report
    assert certificate.load(report.plan) == report.certificate
    main(["store", "info", report.store])
    assert report.certificate.render() in capsys.readouterr().out
    main(["store", "info", report.store, "--json"])
    (plan,) = json.loads(capsys.readouterr().out)["plans"]
    assert plan["certificate"]["statement"] == report.certificate.statement
    assert plan["certificate"]["rows"] == 32


def test_it_holds_until_a_version_changes(images, compared, monkeypatch):
    """A second call looks at four rows; after an update of a package all 32 are compared again."""
    generator = make_generator(*images, options=ARTICLE)
    autofix(generator, when="always", verbose=0)
    again = autofix(generator, when="always", verbose=0)
    assert compared == [32, 4]
    assert again.repair_report.certificate.rows == 32
    newer = {**certificate.installed_versions(), "pillow": "99.0"}
    monkeypatch.setattr(prove, "installed_versions", lambda: newer)
    updated = autofix(generator, when="always", verbose=0).repair_report
    assert compared == [32, 4, 32]
    assert certificate.load(updated.plan).versions["pillow"] == "99.0"


@pytest.mark.parametrize(
    "content", ["", "{}", '{"kerasdiag_certificate": 99}', '{"kerasdiag_certificate": 1, "stages": 3}']
)
def test_a_damaged_certificate_is_made_anew(images, compared, content):
    """It is no reason for an error, and proves nothing."""
    generator = make_generator(*images)
    report = autofix(generator, when="always", verbose=0).repair_report
    Path(report.plan, "certificate.json").write_text(content, encoding="utf-8")
    assert certificate.load(report.plan) is None
    autofix(generator, when="always", verbose=0)
    assert compared == [32, 32]
    assert certificate.load(report.plan) == report.certificate


def test_another_kernel_needs_another_certificate(images, compared, monkeypatch):
    """What was proved of compiled code is not proved of SciPy."""
    generator = make_generator(*images, options=ARTICLE)
    autofix(generator, when="always", verbose=0)
    monkeypatch.setenv("KERASDIAG_KERNEL", "scipy")
    assert autofix(generator, when="always", verbose=0).repair_report.certificate.kernel == "scipy"
    assert compared == [32, 32]


@pytest.mark.parametrize("part", ["labels", "weights"])
def test_a_wrong_label_or_weight_is_found(images, monkeypatch, part):
    """Equal images with the labels of other rows would train nonsense."""
    original = Targets.batch

    def wrong(self, positions):
        labels, weights = original(self, positions)
        return (labels[:, ::-1], weights) if part == "labels" else (labels, weights * 1.01)

    monkeypatch.setattr(Targets, "batch", wrong)
    with pytest.raises(ParityError, match=r"part \d of the batch \(labels, weights\)"):
        autofix(make_generator(*images, weight_col="weight"), when="always", verbose=0)


def test_a_replay_in_another_order_is_found(images, monkeypatch):
    """The first batch is compared with the generator's own next one."""
    original = Replay.order
    monkeypatch.setattr(Replay, "order", lambda self, epoch: original(self, epoch)[::-1])
    with pytest.raises(ParityError, match="the first batch of the replay"):
        autofix(make_generator(*images, options=ARTICLE), when="always", mode="replay", verbose=0)


def test_rounding_is_allowed_only_where_sums_are_taken(images, monkeypatch):
    """One part in a million is an error for a rotation, and rounding for statistics of an image."""
    original = compare._both

    def inexact(*arguments):
        theirs, ours = original(*arguments)
        ours[0] = ours[0] * np.float32(1 + 1e-6)
        return theirs, ours

    monkeypatch.setattr(compare, "_both", inexact)
    autofix(make_generator(*images, options={"samplewise_center": True}), when="always", verbose=0)
    with pytest.raises(ParityError):
        autofix(make_generator(*images, options={"rotation_range": 9}), when="always", verbose=0)


def test_the_picture_shows_both(images, monkeypatch):
    """The generator's image left, ours right, whatever range the values have."""
    original = compare._both

    def black(*arguments):
        theirs, ours = original(*arguments)
        ours[0] = np.zeros_like(ours[0])
        return theirs, ours

    monkeypatch.setattr(compare, "_both", black)
    with pytest.raises(ParityError) as caught:
        autofix(make_generator(*images, options={"rescale": 1 / 255}), when="always", verbose=0)
    path = str(caught.value).partition("side by side in ")[2].partition(" (left")[0]
    picture = np.asarray(Image.open(path))
    assert picture.shape == (32, 2 * 28 + 8, 3)
    assert picture[:, :28].mean() > 30
    assert picture[:, 36:].max() < 30


def test_arrays_are_proved_too(compared):
    """Without a plan on the disk the certificate is in the report."""
    random = np.random.default_rng(0)
    generator = ImageDataGenerator(rotation_range=30, rescale=0.5).flow(
        random.random((40, 9, 11, 3)), random.integers(0, 5, 40), sample_weight=random.random(40), seed=1
    )
    proof = autofix(generator, when="always", verbose=0).repair_report.certificate
    assert compared == [32]
    assert proof.is_exact
    assert proof.image_modes == {}


def test_plain_images_are_no_reason_for_the_slow_path():
    """What is left of a blank image without its mean is rounding: such images alone take the generator's own sums."""
    x = np.full((40, 12, 10, 3), 77.7) + np.arange(40)[:, None, None, None] * 0.37
    source = ImageDataGenerator(samplewise_center=True, rescale=1 / 255)
    report = autofix(source.flow(x, batch_size=8), when="always", verbose=0).repair_report
    assert (report.kernel, report.certificate.is_exact) == ("compiled", True)


def test_a_certificate_that_cannot_be_written_is_said(images, monkeypatch):
    """The proof was made, so the dataset comes."""

    def full(self, folder):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(certificate.Certificate, "save", full)
    report = autofix(make_generator(*images), when="always", verbose=0).repair_report
    assert report.certificate.is_exact
    assert "the certificate could not be written beside the plan" in " ".join(report.findings)


def test_the_error_names_the_store(images, monkeypatch):
    """store clean without a directory would offer all stores."""
    monkeypatch.setattr(Targets, "batch", lambda self, positions: (np.zeros((len(positions), 3), np.float32),))
    with pytest.raises(ParityError, match=r'kerasdiag store clean "[^"]*/stores/[0-9a-f]{12}"'):
        autofix(make_generator(*images), when="always", verbose=0)
