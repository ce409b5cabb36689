"""Records written by hand are what TensorFlow writes and reads."""

from __future__ import annotations

import os
import sys

import numpy as np
import pytest

from kerasdiag.errors import StoreError
from kerasdiag.repair.pixel_store.tfrecord import encode_name, encode_record, problem_of, record_bytes

SHAPES = [(1, 1, 1), (7, 5, 3), (300, 300, 3), (128, 127, 4)]


def make_record(shape=(7, 5, 3), name="cat/1.png", seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    return pixels, encode_record(pixels.tobytes(), shape, name)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", ["a", "x" * 300, "Übung/日本.png", os.fsdecode(b"\xff\xfe.png")])
def test_length_and_place_of_the_pixels_are_exact(shape, name):
    """What is announced before writing is what is written, and the pixels lie where the offset says."""
    pixels, record = make_record(shape, name)
    written = b"".join(record.parts)
    assert len(written) == record.length == record_bytes(shape, name)
    assert written[record.data_offset :].startswith(pixels.tobytes())
    assert problem_of(written) is None


def test_every_damaged_byte_is_seen():
    """A flipped bit anywhere in a record, or a missing end, is a problem."""
    written = bytearray(b"".join(make_record((3, 2, 1))[1].parts))
    for place in range(len(written)):
        damaged = bytearray(written)
        damaged[place] ^= 4
        assert problem_of(bytes(damaged)) is not None, place
    assert problem_of(bytes(written[:-1])) is not None
    assert problem_of(b"") is not None


def test_a_missing_checksum_package_is_named(monkeypatch):
    """Without google-crc32c the error says what to install."""
    monkeypatch.setitem(sys.modules, "google_crc32c", None)
    with pytest.raises(StoreError, match=r'pip install "kerasdiag\[repair\]"'):
        make_record()


@pytest.mark.keras
@pytest.mark.parametrize("shape", SHAPES)
def test_tensorflow_writes_the_same_bytes(shape):
    """The payload is byte for byte TensorFlow's own deterministic encoding."""
    import tensorflow as tf

    pixels, record = make_record(shape, "Übung.png")
    feature = {
        "image": tf.train.Feature(bytes_list=tf.train.BytesList(value=[pixels.tobytes()])),
        "shape": tf.train.Feature(int64_list=tf.train.Int64List(value=shape)),
        "source": tf.train.Feature(bytes_list=tf.train.BytesList(value=[encode_name("Übung.png")])),
    }
    example = tf.train.Example(features=tf.train.Features(feature=feature))
    assert b"".join(record.parts)[12:-4] == example.SerializeToString(deterministic=True)


@pytest.mark.keras
def test_tensorflow_reads_the_file(tmp_path):
    """TFRecordDataset, which checks both checksums, and its parser give back pixels, shape and name."""
    import tensorflow as tf

    names = ["a b.png", 'quo"te.png', "back\\slash.png", os.fsdecode(b"\xff.png")]
    made = [make_record((7, 5, 3), name, seed) for seed, name in enumerate(names)]
    file = tmp_path / "pixels.tfrecord"
    file.write_bytes(b"".join(b"".join(record.parts) for _, record in made))
    features = {
        "image": tf.io.FixedLenFeature([], tf.string),
        "shape": tf.io.FixedLenFeature([3], tf.int64),
        "source": tf.io.FixedLenFeature([], tf.string),
    }
    seen = [tf.io.parse_single_example(record, features) for record in tf.data.TFRecordDataset(str(file))]
    assert len(seen) == len(names)
    for parsed, (pixels, _), name in zip(seen, made, names):
        image = tf.reshape(tf.io.decode_raw(parsed["image"], tf.uint8), parsed["shape"])
        np.testing.assert_array_equal(image, pixels)
        assert parsed["source"].numpy() == os.fsencode(name)
