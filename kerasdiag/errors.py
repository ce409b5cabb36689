"""Everything kerasdiag raises on purpose.

    KerasDiagError
    +-- ProfileFileError      a saved profile that cannot be read
    +-- ReportError           a report that cannot be made or written
    +-- ScriptError           a script that `kerasdiag run` cannot start
    +-- NotAGeneratorError    autofix was given something that it cannot repair
    +-- UnsupportedOptionError  a generator whose batches a repair would change
    +-- ParityError           a repair that would not give the generator's own pixels
    +-- EvidenceError         evidence that autofix cannot read
    +-- KernelError           a kernel that was asked for and does not run here
    +-- DataError             images or rows named on the command line that cannot be used
    +-- DoctorUsageError      the doctor was asked for a check or for data that do not exist
    +-- StoreError            a pixel store that cannot be made, read or written
        +-- BadImagesError    images that cannot be loaded

Each message says what happened, what was expected, and how to mend it.
This module imports nothing from the package, so that every other may import it.
"""

from __future__ import annotations


class KerasDiagError(Exception):
    """Base of all errors that kerasdiag raises on purpose."""


class ProfileFileError(KerasDiagError, ValueError):
    """A profile file is unreadable, truncated, foreign, or newer than this kerasdiag."""


class ReportError(KerasDiagError, ValueError):
    """A report cannot be made in the format asked for, or cannot be written where asked for."""


class ScriptError(KerasDiagError, ValueError):
    """``kerasdiag run`` was given nothing that it can start."""


class NotAGeneratorError(KerasDiagError, TypeError):
    """autofix was given something else than an ImageDataGenerator iterator."""


class UnsupportedOptionError(KerasDiagError, ValueError):
    """A repair would change what this generator yields; the message names every option that it would change."""


class ParityError(KerasDiagError, RuntimeError):
    """The repaired pipeline gave other pixels than the generator when the two were compared."""


class EvidenceError(KerasDiagError, TypeError):
    """autofix was given evidence that carries no profile."""


class KernelError(KerasDiagError, RuntimeError):
    """The kernel that ``KERASDIAG_KERNEL`` asks for does not run on this machine."""


class DataError(KerasDiagError, ValueError):
    """Images or a table of them, named on the command line, cannot be read."""


class DoctorUsageError(KerasDiagError, ValueError):
    """The doctor was asked for a check that does not exist, or to look at data that it cannot list."""


class StoreError(KerasDiagError):
    """A pixel store cannot be made, read or written; what was finished before stays for the next call."""


class BadImagesError(StoreError):
    """Some images cannot be loaded; the good ones are converted and stay for the next call.

    Attributes:
        images: All of them (``kerasdiag.repair.conversion.bad_images.BadImage``: name, path, rows, reason).
    """

    def __init__(self, message: str, images: tuple[object, ...] = ()) -> None:
        super().__init__(message)
        self.images = images
