"""TFRecord framing and ``tf.train.Example`` by hand, so that writing and checking need no TensorFlow.

A record is: length (uint64), masked CRC-32C of the length (uint32), the payload, masked CRC-32C of
the payload (uint32); all little-endian (TensorFlow's ``core/lib/io/record_writer.h``). The payload
is an Example with the features ``image`` (raw pixels), ``shape`` (height, width, channels) and
``source`` (the file's name), in the order in which TensorFlow itself writes them.
"""

from __future__ import annotations

import functools
import struct
from typing import Any, NamedTuple

from kerasdiag.errors import StoreError

FRAMING_BYTES = 16
_HEADER_BYTES = 12


class Record(NamedTuple):
    """One record.

    Attributes:
        parts: The bytes to write, in this order; the pixels are not copied into one piece.
        length: Bytes of the whole record.
        data_offset: Where its pixels begin in it.
    """

    parts: tuple[bytes, bytes, bytes]
    length: int
    data_offset: int


def crc32c() -> Any:  # Any: a module without type hints
    """Return the module that computes CRC-32C with ``value(bytes)`` and ``extend(crc, bytes)``.

    Raises:
        StoreError: google-crc32c is not installed.
    """
    try:
        import google_crc32c
    except ImportError as error:
        raise StoreError(
            f'The checksums of a pixel store need google-crc32c ({error}). Install it: pip install "kerasdiag[repair]"'
        ) from None
    return google_crc32c


def mask(crc: int) -> int:
    """Return a CRC as TFRecord stores it."""
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def encode_name(name: str) -> bytes:
    """Return the bytes of a name, also of one that is no valid text."""
    return name.encode("utf-8", "surrogateescape")


def encode_record(pixels: bytes, shape: tuple[int, int, int], name: str) -> Record:
    """Return the record of one image."""
    before, after = _around(len(pixels), shape, name)
    payload_bytes = len(before) + len(pixels) + len(after)
    length = struct.pack("<Q", payload_bytes)
    crc = crc32c()
    payload_crc = crc.extend(crc.extend(crc.value(before), pixels), after)
    head = length + struct.pack("<I", mask(crc.value(length))) + before
    parts = (head, pixels, after + struct.pack("<I", mask(payload_crc)))
    return Record(parts, FRAMING_BYTES + payload_bytes, len(head))


def record_bytes(shape: tuple[int, int, int], name: str, value_bytes: int = 1) -> int:
    """Return the exact length of the record of an image whose values take ``value_bytes`` bytes each."""
    size = shape[0] * shape[1] * shape[2] * value_bytes
    before, after = _around(size, shape, name)
    return FRAMING_BYTES + len(before) + size + len(after)


def problem_of(record: bytes) -> str | None:
    """Say what is wrong with the bytes of one whole record; None when both checksums hold."""
    if len(record) < FRAMING_BYTES:
        return f"is cut off after {len(record)} bytes"
    value = crc32c().value
    (length,) = struct.unpack_from("<Q", record)
    (length_crc,) = struct.unpack_from("<I", record, 8)
    if mask(value(record[:8])) != length_crc or length != len(record) - FRAMING_BYTES:
        return "has a damaged length"
    (payload_crc,) = struct.unpack_from("<I", record, len(record) - 4)
    if mask(value(record[_HEADER_BYTES:-4])) != payload_crc:
        return "does not match its checksum"
    return None


def _around(image_bytes: int, shape: tuple[int, int, int], name: str) -> tuple[bytes, bytes]:
    """Return the bytes of the Example before and after the pixels."""
    source = encode_name(name)
    source_feature = _entry(b"source", _field(1, _field(1, source)))
    return _before(image_bytes, shape, len(source_feature)), _shape_entry(shape) + source_feature


# These two are the same for nearly all records of a shard.
@functools.lru_cache(maxsize=1024)
def _before(image_bytes: int, shape: tuple[int, int, int], source_bytes: int) -> bytes:
    # Feature{bytes_list: BytesList{value: pixels}}, written from the inside out.
    head = b"\x0a" + _varint(image_bytes)
    head = b"\x0a" + _varint(len(head) + image_bytes) + head
    head = b"\x0a\x05image\x12" + _varint(len(head) + image_bytes) + head
    head = b"\x0a" + _varint(len(head) + image_bytes) + head
    return b"\x0a" + _varint(len(head) + image_bytes + len(_shape_entry(shape)) + source_bytes) + head


@functools.lru_cache(maxsize=16)
def _shape_entry(shape: tuple[int, int, int]) -> bytes:
    return _entry(b"shape", _field(3, _field(1, b"".join(map(_varint, shape)))))


def _entry(key: bytes, feature: bytes) -> bytes:
    return _field(1, _field(1, key) + _field(2, feature))


def _field(number: int, content: bytes) -> bytes:
    return bytes((number << 3 | 2,)) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)
