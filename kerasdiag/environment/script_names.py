"""Whether a file that was named as a script can be one; and if not, what its name was probably meant for."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

from kerasdiag.environment.data_files import IMAGE_SUFFIXES
from kerasdiag.errors import DoctorUsageError

SUFFIXES = (".py", ".ipynb")
_OF_WINDOWS = ".pyw"  # a script without a console
_SHEBANG = re.compile(rb"#!.*\b(python|uv run)")
_SHEBANG_BYTES = 256  # as far as Linux reads it

# Other options of the doctor, by the names of what they take.
_LIST = re.compile(
    r"(.*requirements.*|constraints.*)\.(txt|in)|environment.*\.ya?ml|.+\.lock|.*(docker|container)file.*"
)
_PROFILE = ".kdprof.json"
_OTHER_TABLES = (".tsv", ".parquet", ".feather", ".xlsx", ".xls")
_FILES_OF_FOLDERS = (*IMAGE_SUFFIXES, ".gif", ".webp", ".tfrecord", ".tfrecords", ".npy", ".npz")


def refuse_other_files(name: str) -> None:
    """Raise where a file is neither Python nor a notebook.

    What cannot be opened is let through: who reads it says why it cannot be read.

    Args:
        name: As it was named on the command line.

    Raises:
        DoctorUsageError: With the option that takes such a file.
    """
    if not name.lower().endswith((*SUFFIXES, _OF_WINDOWS)) and os.path.isfile(name) and not _begins_as_script(name):
        raise DoctorUsageError(f"{name} is no Python script or notebook{_meant(name)}")


def no_scripts_in(folder: str) -> DoctorUsageError:
    """Return the error of a folder without scripts; one of images was meant as data."""
    said = f"The folder {folder} holds no .py and no .ipynb file"
    holds_images = any(file.lower().endswith(IMAGE_SUFFIXES) for _, _, files in os.walk(folder) for file in files)
    return DoctorUsageError(f"{said}; did you mean `--data {shlex.quote(folder)}`?" if holds_images else f"{said}.")


def _begins_as_script(name: str) -> bool:
    try:
        with open(name, "rb") as file:
            return bool(_SHEBANG.match(file.read(_SHEBANG_BYTES)))
    except OSError:
        return True


def _meant(name: str) -> str:
    written, lower = shlex.quote(name), name.lower()
    if lower.endswith(".csv"):
        return f"; did you mean `--data {written} --directory DIR`?"
    if lower.endswith(_OTHER_TABLES):
        as_csv = shlex.quote(str(Path(name).with_suffix(".csv")))
        return f"; did you mean it as data? A table must be a CSV file there: `--data {as_csv} --directory DIR`."
    if lower.endswith(_FILES_OF_FOLDERS):
        return f"; did you mean `--data {shlex.quote(os.path.dirname(name) or '.')}`?"
    if lower.endswith(_PROFILE):
        return f"; did you mean `--profile {written}`?"
    if _LIST.fullmatch(os.path.basename(lower)):
        return f"; did you mean `-r {written}`?"
    return ". Name .py files, notebooks, or folders of them."
