"""What the measuring process says where it lacks a package."""

from __future__ import annotations

from kerasdiag.environment.own_python import own_pip


class MissingPackageError(Exception):
    """A package that the generator itself needs cannot be imported; the text says which, why, and how to get it.

    Args:
        name: As people call it.
        package: As pip calls it.
        error: What its import raised; a broken build raises anything.
    """

    def __init__(self, name: str, package: str, error: Exception) -> None:
        said = f"{type(error).__name__}: {error}".partition("\n")[0]
        super().__init__(f"{name} cannot be imported here ({said}): {own_pip()} install {package}")
