"""The pixel work of a batch: compiled where that gives the generator's own numbers, else as the generator does it.

Three ways, by what the generator does:

    all compiled          warp, colour and standardisation in one pass
    compiled, then NumPy  warp and colour compiled; a Python function, ZCA and the like behind them
    SciPy                 splines of order 2 to 5, dtypes other than float32, no Numba
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kerasdiag.repair.kernels import scipy_path
from kerasdiag.repair.kernels.choose import COMPILED, SCIPY, KernelChoice
from kerasdiag.repair.ops import affine, brightness, channel_shift, flip, standardize
from kerasdiag.repair.ops.affine import Parameters
from kerasdiag.repair.pipeline.pixels import PADDING, Pixels, Places
from kerasdiag.spec import AugmentationOptions, GeneratorSpec

_COMPILED_FILL_MODES = ("nearest", "constant", "reflect", "wrap")


def choose_way(spec: GeneratorSpec, kernel: KernelChoice) -> KernelChoice:
    """Return the kernel for this generator: ``kernel``, or SciPy and why."""
    if kernel.name != COMPILED:
        return kernel
    options = spec.augmentation or AugmentationOptions()
    reasons = []
    if affine.warps(options):
        if options.interpolation_order not in (0, 1):
            reasons.append(f"interpolation_order={options.interpolation_order} has no compiled kernel, 0 and 1 have")
        if options.fill_mode not in _COMPILED_FILL_MODES:
            reasons.append(f"fill_mode={options.fill_mode!r} has no compiled kernel")
    if spec.computing_dtype != "float32":
        reasons.append(f"the generator computes in {spec.computing_dtype}, and the compiled kernel in float32")
    return KernelChoice(SCIPY, "; ".join(reasons)) if reasons else kernel


class Augmenter:
    """Makes batches of augmented images from loaded ones. May be called from any number of threads.

    Args:
        spec: The generator.
        pixels: Its loaded images.
        kernel: What does the work; ``choose_way`` says which one can.
    """

    def __init__(self, spec: GeneratorSpec, pixels: Pixels, kernel: KernelChoice) -> None:
        self.kernel = kernel
        self._spec = spec
        self._options = spec.augmentation or AugmentationOptions()
        self._pixels = pixels
        self._shape = spec.image_shape
        self._size = int(np.prod(self._shape))
        self._warps = affine.warps(self._options)
        self._local = threading.local()
        self.chain = standardize.make_chain(self._options, self._shape[2])
        if spec.channels_first and self._options.preprocessing_function:
            self.chain = "preprocessing_function with channels_first"
        self._one_pass = (
            isinstance(self.chain, standardize.Chain) and not spec.channels_first and spec.dtype == "float32"
        )
        if kernel.name == COMPILED:
            self._prepare_compiled()

    @property
    def slow_part(self) -> str | None:
        """Why a part of the work runs through NumPy though the kernel is compiled, or None."""
        return self.chain if self.kernel.name == COMPILED and isinstance(self.chain, str) else None

    def run(self, positions: NDArray[np.int64], parameters: Parameters, out: NDArray[Any], padded: Any) -> None:
        """Write the images of these rows.

        Args:
            positions: Rows.
            parameters: Drawn numbers, one array [rows] for each name.
            out: [rows, ...] in the generator's data format and dtype.
            padded: The memory behind ``out`` and its padding, flat.
        """
        maps = affine.make_maps(parameters, self._shape) if self._warps else None
        if self.kernel.name != COMPILED:
            for k, position in enumerate(positions):
                out[k] = self._through_scipy(int(position), _one_of(parameters, k), maps, k)
            return
        work = _Work(self, parameters, maps, len(positions))
        with self._pixels.at_once(positions) as places:
            work.places = places
            if self._one_pass and places is not None and not self._whole_image:
                broken = self._compiled(work, slice(None), places, padded)
                if broken < 0:
                    return
                self._read(int(positions[broken]))  # tells what is wrong; else it was a passing trouble
                work.places = None
            for k, position in enumerate(positions):
                self._single(work, k, int(position), out, padded)

    def _single(self, work: _Work, k: int, position: int, out: NDArray[Any], padded: NDArray[Any]) -> None:
        """Make one image; what the kernel cannot do follows in NumPy."""
        if self._one_pass:
            self._warp_one(work, k, position, padded[k * self._size :])
            if self._finish(work, k, padded[k * self._size : (k + 1) * self._size]):
                out[k] = self._through_scipy(position, _one_of(work.parameters, k), work.maps, k)
            return
        image = self._scratch("out", self._size + self._out_padding, np.float32)
        self._warp_one(work, k, position, image)
        if self._finish(work, k, image[: self._size]):
            out[k] = self._through_scipy(position, _one_of(work.parameters, k), work.maps, k)
            return
        x = image[: self._size].reshape(self._shape)
        if self._spec.channels_first:
            x = x.transpose(2, 0, 1)
        out[k] = standardize.apply(self._options, x) if isinstance(self.chain, str) else x

    def _warp_one(self, work: _Work, k: int, position: int, out: NDArray[Any]) -> None:
        one, places = slice(k, k + 1), work.places
        if places is not None:
            here = places._replace(files=places.files[one], offsets=places.offsets[one])
            if self._compiled(work, one, here, out) < 0:
                return
        image = self._read(position)  # tells what is wrong where it could not be read
        self._compiled(work, one, Places(0, np.zeros(1, np.int32), np.zeros(1, np.int64), image), out)

    def _prepare_compiled(self) -> None:
        from kerasdiag.repair.kernels import compiled, finish, warp_rows

        self._augment, self._finish_image = compiled.augment_batch, finish.finish_image
        self._pack = compiled.pack_matrices
        self._out_padding = compiled.OUT_PADDING
        chain = self.chain if isinstance(self.chain, standardize.Chain) else standardize.Chain(np.float32(1))
        kinds = {
            "multiply": finish.MULTIPLY, "divide": finish.DIVIDE, "subtract": finish.SUBTRACT,
            "reverse channels": finish.REVERSE_CHANNELS, "center sample": finish.CENTER_SAMPLE,
            "scale sample": finish.SCALE_SAMPLE,
        }  # fmt: skip
        colours = self._options.channel_shift_range != 0 or self._options.brightness_range is not None
        links = list(chain.links)
        if colours and chain.scale != 1:  # colour comes before the rescale
            links.insert(0, ("multiply", np.full(self._shape[2], chain.scale, np.float32)))
        self._scale = np.float32(1) if colours else chain.scale
        # What looks at the whole image comes behind the warp; the rest of the chain is done row by row.
        self._whole_image = colours or any(operand is None and name.endswith("sample") for name, operand in links)
        self._kinds = np.array([kinds[name] for name, _ in links], np.int64)
        self._operands = np.zeros((len(links), self._shape[1] * self._shape[2]), np.float32)
        for row, (_, operand) in zip(self._operands, links):
            if operand is not None:
                row[:] = np.tile(operand, self._shape[1])
        self._by_row = (self._kinds, self._operands)
        if self._whole_image:
            self._by_row = (self._kinds[:0], self._operands[:0])
        fill_mode, cval = self._options.fill_mode, float(self._options.cval)
        self._fill_mode = warp_rows.FILL_MODES.index(fill_mode) if self._warps else warp_rows.EDGE
        self._fill = np.float32(cval) * self._scale
        self._unbounded = self._pixels.dtype != np.uint8 or (fill_mode == "constant" and not 0 <= cval <= 255)

    def _finish(self, work: _Work, k: int, image: NDArray[Any]) -> bool:
        """Change colours and standardise an image that was warped, while it lies in the cache.

        Returns:
            Whether the image is too plain for it, see ``finish_image``.
        """
        if not self._whole_image:
            return False
        return bool(
            self._finish_image(
                image,
                self._shape[1] * self._shape[2],
                self._shape[2],
                work.colours[k],
                self._unbounded,
                self._kinds,
                self._operands,
            )
        )

    def _compiled(self, work: _Work, rows: slice, places: Places, out: NDArray[Any]) -> int:
        pixels = places.pixels
        if pixels is None:
            pixels = self._scratch("image", self._size + PADDING, self._pixels.dtype)
        broken: int = self._augment(
            places.pread, places.files, places.offsets, pixels, self._shape, work.orders[rows], self._fill_mode,
            self._fill, work.matrices[rows], work.flips[rows], self._scale, *self._by_row, out,
        )  # fmt: skip
        return broken

    def _through_scipy(self, position: int, parameters: dict[str, Any], maps: affine.AffineMaps | None, k: int) -> Any:
        x = self._read(position)[: self._size].reshape(self._shape)
        if self._spec.channels_first:
            x = x.transpose(2, 0, 1)
            if self._spec.arrays is not None:  # of files, Keras makes a view; sums follow the order in memory
                x = np.ascontiguousarray(x)
        warped = maps is not None and not maps.is_neutral[k]
        return scipy_path.augment_image(
            x.astype(self._spec.computing_dtype),
            self._options,
            parameters,
            maps.matrix[k] if warped and maps is not None else None,
            maps.shift[k] if maps is not None else np.zeros(2),
            channels_first=self._spec.channels_first,
            floatx=self._spec.floatx,
        )

    def _read(self, position: int) -> NDArray[Any]:
        """Return one loaded image and room behind it; this thread's own until the next call."""
        image = self._scratch("image", self._size + PADDING, self._pixels.dtype)
        self._pixels.read(position, image)
        return image

    def _scratch(self, name: str, size: int, dtype: Any) -> NDArray[Any]:
        if not hasattr(self._local, name):
            setattr(self._local, name, np.zeros(size, dtype))
        return getattr(self._local, name)  # type: ignore[no-any-return]


class _Work:
    """What the kernel is told about each image of a batch."""

    def __init__(
        self, augmenter: Augmenter, parameters: Parameters, maps: affine.AffineMaps | None, count: int
    ) -> None:
        self.parameters, self.maps = parameters, maps
        self.places: Places | None = None  # where the kernel finds the images by itself
        self.orders = np.full(count, -1, np.int64)
        self.matrices = np.zeros((count, 8))
        if maps is not None:
            self.orders[~maps.is_neutral] = augmenter._options.interpolation_order
            self.matrices = augmenter._pack(maps.matrix, maps.shift, shift_first=augmenter.kernel.shift_first)
        self.flips = flip.make_flips(parameters)
        self.colours = np.full((count, 2), np.nan, np.float32)
        for column, name in enumerate((channel_shift.NAME, brightness.NAME)):
            if name in parameters:
                self.colours[:, column] = parameters[name]


def _one_of(parameters: Parameters, k: int) -> dict[str, Any]:
    """The parameters of one image as Python's own numbers, which do not widen an array's dtype."""
    return {name: values[k].item() for name, values in parameters.items()}
