"""KD311: no room for the store that autofix writes."""

from __future__ import annotations

from kerasdiag.doctor.check import Answer, check, found, ok, unknown
from kerasdiag.doctor.wording import size
from kerasdiag.environment.facts import Environment
from kerasdiag.findings import Evidence, Finding, Price, Provenance, Remedy, Severity

# The shards that a conversion makes at most, and what lies beside them; a test compares it with the conversion.
STORE_FILES = 600
_CHANNELS = 3
_USUAL_SIDE = 224  # where nobody says how large the training sees its images


@check("KD311", "full-cache-disk", needs=("cache", "data"), uses=("profile",))
def full_cache_disk(environment: Environment) -> Answer:
    """The disk for the store of autofix has too little room.

    What it finds:
        Less free space, or fewer free files, than a store of your images needs: width x height x 3 bytes for each, in the
        target size of the profile.

    Why it matters:
        autofix converts the images once and reads them from there ever after. It stops before it fills a disk, and the
        training goes on with the slow generator.

    Example:
        A store of the 155,096 images needs 23 GB, and the disk under /cache/kerasdiag has 1.2 GB free.

    Fix:
        Name a folder on a larger disk: autofix(..., cache_dir="/scratch/kerasdiag"), or KERASDIAG_CACHE_DIR. Old stores are
        listed by `kerasdiag store info` and deleted by `kerasdiag store clean`.

    When to ignore:
        If you do not use autofix, or only with storage="none".
    """
    cache, data = environment.cache, environment.data
    if cache is None or data is None or cache.free_bytes is None:
        return unknown("how much room there is, the system does not tell")
    sides, said_by = _target_size(environment)
    needed = data.count * sides[0] * sides[1] * _CHANNELS
    room = f"the disk under {cache.folder} has {size(cache.free_bytes)} free"
    if cache.free_files is not None and cache.free_files < STORE_FILES:
        return found(_without_files(cache.folder, cache.free_files))
    if needed <= cache.free_bytes:
        return ok(f"a store needs {size(needed)} ({said_by}), {room}")
    message = f"A store of the {data.count:,} images needs {size(needed)}, and {room}."
    return found(
        Finding(
            code="KD311",
            severity=Severity.WARN,
            message=message,
            evidence=(
                Evidence(f"{data.count:,} images of {sides[0]}x{sides[1]} pixels ({said_by})", Provenance.INFERRED),
                Evidence(room, Provenance.MEASURED),
            ),
            remedy=Remedy(
                "Let it write to a larger disk, or make room:",
                ("export KERASDIAG_CACHE_DIR=/path/on/a/larger/disk", "kerasdiag store info"),
                safe=True,
            ),
            numbers={"needed_bytes": needed, "free_bytes": cache.free_bytes},
            price=Price.unknown("nothing until autofix is used; then all that it would have saved"),
        )
    )


def _without_files(folder: str, free_files: int) -> Finding:
    said = f"the disk under {folder} takes {free_files:,} more files, whatever their size"
    return Finding(
        code="KD311",
        severity=Severity.WARN,
        message=f"A store needs up to {STORE_FILES} files, and {said}.",
        evidence=(Evidence("inodes that its file system has left for this user", Provenance.MEASURED),),
        remedy=Remedy(
            "Let it write to another disk, or delete small files:",
            ("export KERASDIAG_CACHE_DIR=/path/on/another/disk", "df -i"),
            safe=True,
        ),
        numbers={"free_files": free_files},
        price=Price.unknown("nothing until autofix is used; then all that it would have saved"),
    )


def _target_size(environment: Environment) -> tuple[tuple[int, ...], str]:
    profile = environment.profile
    data = profile.training_input if profile is not None else None
    if data is not None and data.target_size:
        return data.target_size, "target size of the profile"
    return (_USUAL_SIDE, _USUAL_SIDE), f"if the training sees them as {_USUAL_SIDE}x{_USUAL_SIDE}"
