"""Files that are no images, or no good ones: nothing of them breaks the census or fills the memory."""

from __future__ import annotations

import io
import os
import struct
import warnings
import zlib

import pytest
from builders import write_photos
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from kerasdiag.environment.data_files import DataRequest, find_data
from kerasdiag.environment.throughput import census
from kerasdiag.environment.throughput.pixel_work import PixelWork


@pytest.fixture(autouse=True)
def _as_in_the_child():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def encode(mode="RGB", kind="JPEG", size=(40, 30), **options):
    buffer = io.BytesIO()
    Image.new(mode, size, 7).save(buffer, kind, **options)
    return buffer.getvalue()


def png(width, height, data=b""):
    """A PNG that says what size it has, whatever it holds."""

    def chunk(name, body):
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


def look(path):
    known = census.look(Image, str(path))
    return census.decode(PixelWork((16, 16), ()), known)


GOOD = {
    "jpeg": (encode(), "JPEG", "RGB", 8),
    "grey": (encode("L"), "JPEG", "L", 8),
    "cmyk": (encode("CMYK"), "JPEG", "CMYK", 8),
    "png": (encode("RGBA", "PNG"), "PNG", "RGBA", 8),
    "palette": (encode("P", "PNG"), "PNG", "P", 8),
    "one bit": (encode("1", "PNG"), "PNG", "1", 8),
    "wide png": (encode("I;16", "PNG"), "PNG", "I;16", 16),
    "wide tiff": (encode("I;16", "TIFF"), "TIFF", "I;16", 16),
    "bmp": (encode(kind="BMP"), "BMP", "RGB", 8),
    "gif": (encode("P", "GIF"), "GIF", "P", 8),
}


@pytest.mark.parametrize("name", GOOD)
def test_sound_files(tmp_path, name):
    """Format, mode, size and depth, whatever the suffix says."""
    content, kind, mode, bits = GOOD[name]
    (tmp_path / "a.jpg").write_bytes(content)
    known, data = look(tmp_path / "a.jpg")
    assert (known.format, known.mode, known.bits, known.problem) == (kind, mode, bits, "")
    assert (known.width, known.height, known.pixels) == (40, 30, 1200)
    assert (known.is_decoded, data) == (True, content)
    assert known.decode_s > 0


def test_photos_that_lie_on_a_side(tmp_path):
    """What EXIF says of the camera; 1 is upright."""
    for orientation, is_rotated in ((1, False), (6, True), (3, True)):
        exif = Image.Exif()
        exif[0x0112] = orientation
        (tmp_path / "a.jpg").write_bytes(encode(exif=exif))
        assert look(tmp_path / "a.jpg")[0].is_rotated is is_rotated


BAD = {
    "empty": (b"", "empty"),
    "text": (b"<html>not found</html>", "no image that Pillow knows"),
    "truncated jpeg": (encode(size=(400, 300))[:-900], "truncated"),
    "truncated png": (encode("RGB", "PNG", (400, 300))[:-30], ""),
    "bomb": (png(60_000, 60_000), "more pixels than Pillow takes"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files(tmp_path, name):
    """Each is named by what is wrong with it, and gives no bytes to time."""
    content, problem = BAD[name]
    (tmp_path / "a.jpg").write_bytes(content)
    known, data = look(tmp_path / "a.jpg")
    assert problem in known.problem
    assert known.problem
    assert data == b""


def test_what_is_no_file(tmp_path):
    """Folders, pipes that would wait for ever, loops of links, links to nothing, files of others."""
    (tmp_path / "folder.jpg").mkdir()
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "loop.jpg").symlink_to(tmp_path / "loop.jpg")
    (tmp_path / "nothing.jpg").symlink_to(tmp_path / "absent")
    problems = {path.name: look(path)[0].problem for path in tmp_path.iterdir()}
    assert problems["folder.jpg"] == problems["pipe.jpg"] == "no regular file"
    assert "symbolic links" in problems["loop.jpg"]
    assert problems["nothing.jpg"] == "No such file or directory"


def test_a_folder_of_them_is_listed(tmp_path):
    """The listing goes round no loop: what cannot be looked at counts as missing."""
    write_photos(tmp_path, 3, (20, 20))
    (tmp_path / "again").symlink_to(tmp_path)
    (tmp_path / "loop.jpg").symlink_to(tmp_path / "loop.jpg")
    data = find_data(DataRequest(str(tmp_path)))
    assert (data.count, len(data.sample), data.missing) == (4, 3, 1)


def test_a_file_of_another(tmp_path, monkeypatch):
    """What may not be read is said in the system's words."""
    (tmp_path / "a.jpg").write_bytes(encode())

    def refuse(*arguments, **options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", refuse)
    assert census.look(Image, str(tmp_path / "a.jpg")).problem == "Permission denied"


def test_large_images_are_judged_by_their_header(tmp_path, monkeypatch):
    """Below Pillow's limit, too: nothing above 40 megapixels or 64 MB is decoded."""
    (tmp_path / "a.png").write_bytes(png(10_000, 8_000))
    monkeypatch.setattr(PixelWork, "decode", None)  # would be a fault
    known, data = look(tmp_path / "a.png")
    assert (known.pixels, known.problem, known.is_decoded, data) == (80_000_000, "", False, b"")


def test_formats_that_start_programs_are_not_decoded(tmp_path, monkeypatch):
    """PostScript by the name of a photo stays what it is."""
    postscript = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 40 30\n%%EndComments\n%%EOF\n"
    (tmp_path / "a.jpg").write_bytes(postscript)
    monkeypatch.setattr(PixelWork, "decode", None)
    known, data = look(tmp_path / "a.jpg")
    assert (known.format, known.problem, known.is_decoded, data) == ("EPS", "", False, b"")


@st.composite
def malformed(draw):
    """Noise, or a sound file with bytes changed, cut off, or said to be of another size."""
    content = bytearray(draw(st.sampled_from([content for content, *_ in GOOD.values()])))
    kind = draw(st.sampled_from(["noise", "changed", "cut", "size"]))
    if kind == "noise":
        return draw(st.binary(max_size=300))
    if kind == "size":
        return png(draw(st.integers(0, 2**31)), draw(st.integers(0, 2**31)), draw(st.binary(max_size=50)))
    if kind == "cut":
        return bytes(content[: draw(st.integers(0, len(content)))])
    for _ in range(draw(st.integers(1, 8))):
        content[draw(st.integers(0, min(len(content), 700) - 1))] = draw(st.integers(0, 255))
    return bytes(content)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(malformed())
def test_malformed_files(tmp_path, content):
    """Nothing is raised; what is decoded has few pixels; what has a problem gives no bytes."""
    path = tmp_path / "a.jpg"
    path.write_bytes(content)
    known, data = look(path)
    assert known.num_bytes == len(content)
    if known.is_decoded:
        assert 0 < known.pixels <= census.MAX_PIXELS
        assert data == content
        assert known.problem == ""
    else:
        assert data == b""
    assert path.read_bytes() == content


def test_whatever_pillow_raises_is_a_problem(tmp_path, monkeypatch):
    """A plug-in may raise anything, and memory may be short."""
    (tmp_path / "a.jpg").write_bytes(encode())
    for error in (
        MemoryError(),
        SyntaxError("broken PNG file"),
        ValueError(),
        RecursionError("deep"),
        struct.error("x"),
    ):

        def fail(work, data, error=error):
            raise error

        monkeypatch.setattr(PixelWork, "decode", fail)
        known, data = look(tmp_path / "a.jpg")
        assert type(error).__name__ in known.problem
        assert data == b""
