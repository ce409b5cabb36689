"""The user's own images as rows of path and class."""

from __future__ import annotations

import csv
import os
from pathlib import Path

from kerasdiag.environment.data_files import IMAGE_SUFFIXES
from kerasdiag.errors import DataError

# Classes where the images have none; speed does not depend on them.
_DUMMY_CLASSES = 10


def find_rows(
    data: Path, most: int, *, x_col: str | None = None, y_col: str | None = None, directory: Path | None = None
) -> list[tuple[str, str]]:
    """Return path and class of at most ``most`` images, taken evenly from all of them.

    Args:
        data: A folder of images, in any depth (the folder of each is its class), or a CSV file with a
            header line.
        most: How many at most.
        x_col: Column of the paths; default: the first.
        y_col: Column of the classes; default: none, classes are made up.
        directory: Where relative paths of a CSV file begin; default: the folder of the file.

    Raises:
        DataError: There is no such file, column or image.
    """
    if data.is_dir():
        rows = _of_folder(data)
    elif data.is_file():
        rows = _of_csv(data, x_col, y_col, directory or data.parent)
    else:
        raise DataError(f"{data}: no such folder or file. Expected a folder of images or a CSV file.")
    if not rows:
        raise DataError(f"{data} holds no image. Expected files like *.jpg, in any depth, or one path in each row.")
    step = max(1.0, len(rows) / most)
    rows = [rows[int(number * step)] for number in range(min(most, len(rows)))]
    if len({label for _, label in rows}) < 2:
        rows = [(path, f"class_{number % _DUMMY_CLASSES}") for number, (path, _) in enumerate(rows)]
    return rows


def check_images(paths: list[str]) -> None:
    """Decode every image: one that is cut short would end the demo in the middle.

    Raises:
        DataError: Some of them cannot be opened; the first ones are named.
    """
    bad = [f"{path} ({reason})" for path in paths if (reason := _why_unreadable(path))]
    if bad:
        more = f" and {len(bad) - 3:,} more" if len(bad) > 3 else ""
        raise DataError(f"{len(bad):,} of {len(paths):,} images cannot be opened: {', '.join(bad[:3])}{more}.")


def _why_unreadable(path: str) -> str | None:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            image.load()
            return None
    except UnidentifiedImageError:
        return "no image"
    except Exception as error:  # Pillow's plugins raise many kinds
        return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _of_folder(folder: Path) -> list[tuple[str, str]]:
    found = [
        Path(parent, name)
        for parent, _, names in os.walk(folder)
        for name in names
        if name.lower().endswith(IMAGE_SUFFIXES) and not name.startswith(".")  # ._photo.jpg of a Mac is no image
    ]
    return [(str(path), path.parent.name) for path in sorted(found)]


def _of_csv(file: Path, x_col: str | None, y_col: str | None, directory: Path) -> list[tuple[str, str]]:
    try:
        with open(file, encoding="utf-8-sig", newline="") as lines:
            reader = csv.DictReader(lines)
            columns = list(reader.fieldnames or ())
            wanted = [name for name in (x_col, y_col) if name is not None]
            missing = [name for name in wanted if name not in columns]
            if not columns:
                raise DataError(f"{file} has no header line. Expected the names of its columns there.")
            if missing:
                raise DataError(f"{file} has the columns {', '.join(columns)}, and no {', '.join(missing)}.")
            path_column = x_col or columns[0]
            return [
                (os.path.join(directory, row[path_column]), row[y_col] if y_col else "")
                for row in reader
                if row[path_column] and (not y_col or row[y_col])  # without a class it cannot be trained on
            ]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{file} cannot be read as a CSV file: {error}.") from error
