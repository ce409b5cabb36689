"""Prove a pipeline against its generator before it is handed over, or say where they differ."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kerasdiag.errors import ParityError
from kerasdiag.repair.kernels.choose import COMPILED, SCIPY, KernelChoice
from kerasdiag.repair.pipeline.batches import BatchMaker
from kerasdiag.repair.proof.certificate import EXACT, NEAR, Certificate, Stage, installed_versions
from kerasdiag.repair.proof.compare import Difference, Measured, choose_rows, compare_replay, compare_rows
from kerasdiag.repair.proof.stages import measure_stages

ROWS = 32
_KNOWN_ROWS = 4  # where an earlier certificate holds, a look whether store and files are still the same
_STAGE_ROWS = 4
_GAP = 8  # pixels between the two pictures


class Proof(NamedTuple):
    """A pipeline that was compared, and the certificate of it."""

    maker: BatchMaker
    certificate: Certificate


def prove(
    generator: Any,
    maker: BatchMaker,
    load: Callable[[str], Any] | None,
    *,
    with_kernel: Callable[[KernelChoice], BatchMaker],
    earlier: Certificate | None,
    folder: Path | None,
) -> Proof:
    """Compare a pipeline with its generator.

    Args:
        generator: The generator.
        maker: The pipeline.
        load: The generator's loader; None for arrays.
        with_kernel: Makes the same pipeline with another kernel: the way out where the compiled
            kernel differs on this machine.
        earlier: A certificate of the same plan, or None.
        folder: Folder of the plan, below its store, where a picture of a difference goes; None for a
            temporary directory.

    Raises:
        ParityError: They differ.
    """
    versions = installed_versions()
    if earlier is not None and earlier.holds_for(maker.plan.mode, maker.kernel.name, versions):
        found = _differ(generator, maker, choose_rows(maker, _KNOWN_ROWS)[0])
        if isinstance(found, Measured):
            return Proof(maker, earlier)
    positions, modes = choose_rows(maker, ROWS)
    found = _differ(generator, maker, positions)
    if isinstance(found, Difference) and maker.kernel.name == COMPILED:
        other = with_kernel(KernelChoice(SCIPY, "the compiled kernel differs from this Keras and SciPy"))
        again = _differ(generator, other, positions)
        if isinstance(again, Measured):
            maker, found = other, again
    if isinstance(found, Difference):
        raise ParityError(_describe(maker, found, folder))
    stages = measure_stages(generator, maker, load, positions[:: max(1, len(positions) // _STAGE_ROWS)][:_STAGE_ROWS])
    whole = Stage("whole rows", NEAR if found.largest else EXACT, found.largest, found.mean)
    # Any difference there would have been an error.
    labels = Stage("labels and weights", EXACT, 0.0, 0.0)
    certificate = Certificate(
        len(positions), modes, maker.plan.mode, maker.kernel.name, (*stages, whole, labels), versions
    )
    return Proof(maker, certificate)


def _differ(generator: Any, maker: BatchMaker, positions: NDArray[np.int64]) -> Measured | Difference:
    found = compare_rows(generator, maker, positions)
    if isinstance(found, Difference):
        return found
    return compare_replay(generator, maker) or found


def _describe(maker: BatchMaker, found: Difference, folder: Path | None) -> str:
    spec, row = maker.plan.spec, int(maker.plan.rows[found.position])
    what = spec.filepaths[row] if spec.arrays is None else f"row {row}"
    picture = _save_picture(found, row, folder, channels_first=spec.channels_first)
    shown = "" if picture is None else f" Both images stand side by side in {picture} (left: the generator's)."
    cause = "Please report it."
    if folder is not None:
        cause = (
            "A store that another version of Pillow wrote is the likeliest cause: remove it with `kerasdiag store clean "
            f'"{folder.parent.parent}"` and call autofix again; if that does not help, please report it.'
        )
    return (
        f"The repaired pipeline gives something else than the generator: {found.part} of {what}, {found.values:,} values "
        f"differ, by up to {found.largest:.4g}.{shown} The generator is untouched. {cause}"
    )


def _save_picture(found: Difference, row: int, folder: Path | None, *, channels_first: bool) -> Path | None:
    """Save both images beside each other, stretched alike to what a screen can show; None where they are no images."""
    from PIL import Image

    if found.theirs.ndim != 3 or found.theirs.shape != found.ours.shape or not found.theirs.size:
        return None
    pair = [np.moveaxis(one, 0, 2) if channels_first else one for one in (found.theirs, found.ours)]
    low, high = float(np.nanmin(pair[0])), float(np.nanmax(pair[0]))
    shown = []
    for one in pair:
        bits = np.nan_to_num((one[..., :3].astype(np.float64) - low) / max(high - low, 1e-12) * 255).clip(0, 255)
        bits = bits.astype(np.uint8)
        shown.append(bits if bits.shape[2] == 3 else np.repeat(bits[..., :1], 3, axis=2))
    gap = np.full((shown[0].shape[0], _GAP, 3), 255, np.uint8)
    try:
        place = folder if folder is not None else Path(tempfile.mkdtemp(prefix="kerasdiag-"))
        place.mkdir(parents=True, exist_ok=True)
        path = place / f"difference-row-{row}.png"
        Image.fromarray(np.concatenate([shown[0], gap, shown[1]], axis=1)).save(path)
    except OSError:
        return None
    return path
