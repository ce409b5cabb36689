"""The made photos cost what photos cost: their spectrum is natural, and each is another one."""

from __future__ import annotations

import numpy as np
import pytest

from kerasdiag.demo.photos import make_photos

Image = pytest.importorskip("PIL.Image")


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return make_photos(tmp_path_factory.mktemp("photos"), 12, classes=3)


def test_they_are_sorted_by_class_and_differ(photos):
    """As many as asked for, in the order of their classes, no two alike."""
    labels = [label for _, label in photos]
    assert labels == sorted(labels)
    assert len(set(labels)) == 3
    contents = set()
    for path, _ in photos:
        with open(path, "rb") as file:
            contents.add(file.read())
    assert len(contents) == 12


def test_they_have_the_spectrum_and_the_size_of_photos(photos):
    """Amplitude falls about as 1/f (natural images: 0.8 to 1.5), and a 500x375 JPEG has some 50 to 200 kB."""
    slopes = []
    for path, _ in photos:
        with Image.open(path) as image:
            assert image.size == (500, 375)
            grey = np.asarray(image.convert("L"), dtype=float)[:, :375]
        spectrum = np.abs(np.fft.rfft2((grey - grey.mean()) * np.outer(np.hanning(375), np.hanning(375))))
        frequency = np.hypot(np.fft.fftfreq(375)[:, None], np.fft.rfftfreq(375)[None, :])
        band = (frequency > 0.02) & (frequency < 0.25)
        slopes.append(np.polyfit(np.log(frequency[band]), np.log(spectrum[band] + 1e-9), 1)[0])
        with open(path, "rb") as file:
            assert 50e3 < len(file.read()) < 200e3
    assert -1.5 < np.mean(slopes) < -0.8


def test_equal_seeds_give_equal_photos(tmp_path, photos):
    """The demo of today is that of tomorrow."""
    again = make_photos(tmp_path, 12, classes=3)
    with open(again[5][0], "rb") as one, open(photos[5][0], "rb") as other:
        assert one.read() == other.read()
