"""The last profile of each input, kept across runs in the cache directory.

A slow training is ended with Ctrl-C and its script started again, so the evidence of one run must
be found by the next.
"""

from __future__ import annotations

from pathlib import Path

from kerasdiag.environment.cache_directory import cache_directory
from kerasdiag.errors import ProfileFileError
from kerasdiag.input_identity import InputIdentity
from kerasdiag.profile import RunProfile, write_whole

MAX_FILES = 64  # inputs that are remembered; the longest unused go first


def profile_path(identity: InputIdentity, rank: int = 0) -> Path:
    """Return where the last profile of this input is kept."""
    suffix = f".rank{rank}" if rank else ""
    return cache_directory() / "profiles" / f"{identity.key}{suffix}.kdprof.json"


def save_last_profile(profile: RunProfile) -> None:
    """Remember ``profile`` for its training and its validation input.

    Raises:
        OSError: The cache directory cannot be written.
    """
    text = profile.to_json()
    for identity in (profile.training_input, profile.validation_input):
        if identity is not None:
            path = profile_path(identity, profile.rank)
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_whole(path, text)
            forget_oldest(path.parent, "*.kdprof.json")


def find_last_profile(identity: InputIdentity, rank: int = 0) -> RunProfile | None:
    """Return the last profile of this input, or None where there is none that can be read."""
    try:
        return RunProfile.load(profile_path(identity, rank))
    except ProfileFileError:
        return None


def forget_oldest(folder: Path, pattern: str) -> None:
    """Keep the ``MAX_FILES`` files that were written last.

    Args:
        folder: The folder.
        pattern: Which of its files.
    """

    def age(path: Path) -> float:
        try:
            return path.stat().st_mtime
        except OSError:  # another process was faster
            return 0.0

    files = sorted(folder.glob(pattern), key=age, reverse=True)
    for path in files[MAX_FILES:]:
        path.unlink(missing_ok=True)
