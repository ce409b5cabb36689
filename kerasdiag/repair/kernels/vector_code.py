"""The step of one RGB pixel as portable vector code, and C's ``pread``.

LLVM leaves this step of a plain loop scalar. From generic vector operations it makes what the
processor has.
"""

from __future__ import annotations

from typing import Any  # Numba's and llvmlite's objects

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

_I8, _I32, _I64 = ir.IntType(8), ir.IntType(32), ir.IntType(64)
_F32, _F64 = ir.FloatType(), ir.DoubleType()


def _constant(element: Any, values: list[Any]) -> Any:
    return ir.Constant(ir.VectorType(element, len(values)), values)


def _vector(element: Any, lanes: int) -> Any:
    return ir.VectorType(element, lanes)


def _load(builder: Any, address: Any, count: int) -> Any:
    value = builder.load(builder.inttoptr(address, _vector(_I8, count).as_pointer()))
    value.align = 1
    return value


def _pixel(builder: Any, loaded: Any, first: int) -> Any:
    """Three neighbouring bytes as the first three of four doubles."""
    lanes = _constant(_I32, [first, first + 1, first + 2, first + 2])
    undefined = ir.Constant(loaded.type, ir.Undefined)
    return builder.uitofp(builder.shuffle_vector(loaded, undefined, lanes), _vector(_F64, 4))


def _splat(builder: Any, value: Any, element: Any) -> Any:
    undefined = ir.Constant(_vector(element, 4), ir.Undefined)
    first = builder.insert_element(undefined, value, ir.Constant(_I32, 0))
    return builder.shuffle_vector(first, undefined, _constant(_I32, [0] * 4))


def _store_blend(builder: Any, pixels: list[Any], weights: list[Any], scale: Any, out: Any) -> None:
    """Write the weighted sum of the upper left, upper right, lower left and lower right pixel."""
    x0, x1, y0, y1 = (_splat(builder, weight, _F64) for weight in weights)
    total = None
    # SciPy multiplies a pixel by the weight of its row, then of its column, and adds the four
    # products in this order. Any other order rounds differently.
    for pixel, y, x in zip(pixels, (y0, y0, y1, y1), (x0, x1, x0, x1)):
        product = builder.fmul(builder.fmul(pixel, y), x)
        total = product if total is None else builder.fadd(total, product)
    value = builder.fmul(builder.fptrunc(total, _vector(_F32, 4)), _splat(builder, scale, _F32))
    builder.store(value, builder.inttoptr(out, _vector(_F32, 4).as_pointer())).align = 4


@intrinsic
def blend_neighbours(typing, upper, lower, x0, x1, y0, y1, scale, out):  # type: ignore[no-untyped-def]
    """Blend two pairs of neighbouring RGB pixels into one pixel.

    ``upper`` is the address of the upper left pixel and ``lower`` that of the lower left one minus
    2, so that two loads of 8 bytes hold all four and end where the lower right pixel ends. 16 bytes
    are written to ``out``, of which the last 4 are scratch.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        top, bottom = _load(builder, args[0], 8), _load(builder, args[1], 8)
        pixels = [
            _pixel(builder, top, 0),
            _pixel(builder, top, 3),
            _pixel(builder, bottom, 2),
            _pixel(builder, bottom, 5),
        ]
        _store_blend(builder, pixels, args[2:6], args[6], args[7])
        return context.get_dummy_value()

    return types.void(*[types.uintp] * 2, *[types.float64] * 4, types.float32, types.uintp), generate


@intrinsic
def blend_pixels(typing, a, b, c, d, x0, x1, y0, y1, scale, out):  # type: ignore[no-untyped-def]
    """The same for four RGB pixels anywhere; 4 bytes are read of each, of which the last is not used."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pixels = [_pixel(builder, _load(builder, address, 4), 0) for address in args[:4]]
        _store_blend(builder, pixels, args[4:8], args[8], args[9])
        return context.get_dummy_value()

    return types.void(*[types.uintp] * 4, *[types.float64] * 4, types.float32, types.uintp), generate


@intrinsic  # type: ignore[untyped-decorator]
def call_pread(typing: Any, function: Any, file: Any, buffer: Any, count: Any, offset: Any) -> Any:
    """Call C's ``pread`` at an address; ``int64(function, file, buffer, count, offset)``.

    An address and not a ctypes function, because Numba caches no function that refers to one.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        function, file, buffer, count, offset = args
        kind = ir.FunctionType(_I64, [_I32, _I64, _I64, _I64])
        return builder.call(builder.inttoptr(function, kind.as_pointer()), [file, buffer, count, offset])

    return types.int64(types.uintp, types.int32, types.uintp, types.uintp, types.int64), generate
