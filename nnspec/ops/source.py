"""What has no inputs: values from outside, constants, sizes, and the seeded generator."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

from nnspec.graph import Op, Shape
from nnspec.graph.types import Dim, count
from nnspec.lazy import np


def _outside(**_: Any) -> Any:
    raise LookupError("a value from outside has to be fed")


def value_shape(value: Any) -> Shape:
    """The shape of nested tuples of numbers."""
    return (len(value), *(value_shape(value[0]) if value else ())) if isinstance(value, tuple) else ()


_WHY_SOURCE = "it is fed, not computed"
input = Op("input() -> [*s]", "A value of the batch.", _outside, why=_WHY_SOURCE)
param = Op("param() -> [*s]", "A trained parameter.", _outside, why=_WHY_SOURCE)
state = Op("state() -> [*s]", "A value that training updates without a gradient.", _outside, why=_WHY_SOURCE)

const = Op(
    "const(value, dtype) -> [*s]",
    "A number, or an array of numbers.",
    kernel=lambda value, dtype: np.asarray(value, dtype),
    onnx=lambda o, value, dtype: o.constant(value, dtype),
    shape=lambda value, dtype: value_shape(value),
    why="it does not depend on anything",
)
size_of = Op(
    "size_of(size, dtype) -> []",
    "The number of elements along sizes that are known at run time, as a scalar.",
    kernel=lambda size, dtype: np.asarray(size, dtype),
    onnx=lambda o, size, dtype: o.cast(o.size(size), dtype),
    why="it does not depend on anything",
)
iota = Op(
    "iota(length, dtype) -> [length]",
    "The numbers 0, 1, 2, ..., as many as a size that may be known only at run time.",
    kernel=lambda length, dtype: np.arange(length, dtype=dtype),
    onnx=lambda o, length, dtype: o.cast(o.node("Range", o.constant(0, "int64"), o.size(length), o.constant(1, "int64")), dtype),
    examples=("iota(length = 3, dtype = int64) == [0, 1, 2]",),
    shape=lambda length, dtype: (length,),
    why="it does not depend on anything",
)

_GOLDEN = 0x9E3779B9
_ROUNDS = ((16, 0x7FEB352D), (15, 0x846CA68B), (16, None))


def _mix(h: Any) -> Any:
    """The 32-bit finaliser `lowbias32` of C. Wellons, Hash Prospector (2018)."""
    for shift, factor in _ROUNDS:
        h = h ^ (h >> np.uint32(shift))
        h = h * np.uint32(factor) if factor else h
    return h


def _mix_into(h: Any, aside: Any) -> None:
    for shift, factor in _ROUNDS:
        np.bitwise_xor(h, np.right_shift(h, np.uint32(shift), aside), h)
        if factor:
            np.multiply(h, np.uint32(factor), h)


def _stream_key(stream: int) -> Any:
    """Mixed before the seed is added to it, or neighbouring streams and seeds would draw the same numbers."""
    with np.errstate(over="ignore"):
        return _mix(np.uint32(stream ^ _GOLDEN))


def _keys(seed: Any, step: Any, stream: int) -> tuple[Any, Any]:
    key = _stream_key(stream)
    for number in (seed, step):
        key = _mix(key + np.asarray(number).astype(np.uint32))
    return key, _mix(key + np.uint32(_GOLDEN))


def _random(seed: Any, step: Any, stream: int, shape: tuple[int, ...], dtype: str, first: int = 0) -> Any:
    with np.errstate(over="ignore"):
        key, other = _keys(seed, step, stream)
        index = np.arange(first, first + prod(shape), dtype=np.uint32)
        bits = _mix(_mix(index + key) ^ other)
    return ((bits >> np.uint32(8)).astype(dtype) * np.asarray(2.0**-24, dtype)).reshape(shape)


_PIECE = 1 << 14  # numbers that stay in the cache through all passes over them


def _random_into(out: Any, seed: Any, step: Any, stream: int, shape: tuple[int, ...], dtype: str, first: int = 0) -> Callable[[], Any]:
    flat = out.reshape(-1)
    index, bits, aside = np.arange(_PIECE, dtype=np.uint32), np.empty(_PIECE, np.uint32), np.empty(_PIECE, np.uint32)

    def fill(piece: Any, key: Any, other: Any) -> None:
        h, shifted = bits[: len(piece)], aside[: len(piece)]
        _mix_into(np.add(index[: len(piece)], key, h), shifted)
        _mix_into(np.bitwise_xor(h, other, h), shifted)
        np.copyto(piece, np.right_shift(h, np.uint32(8), h), "unsafe")
        np.multiply(piece, np.asarray(2.0**-24, dtype), piece)

    def run() -> None:
        with np.errstate(over="ignore"):
            key, other = _keys(seed, step, stream)
            for start in range(0, flat.size, _PIECE):
                fill(flat[start : start + _PIECE], key + np.uint32(first + start), other)

    return run


def _onnx_low_bits(o: Any, op_type: str, x: str, y: str) -> str:
    """A sum or product of int64 without those of its bits that uint32 does not hold; of uint32 itself older runtimes have neither."""
    return str(o.cast(o.node(op_type, x, y), "uint32"))


def _onnx_times(o: Any, h: str, factor: int) -> str:
    """The factor has a sign, as int32 has: so the product of 64 bits is exact."""
    return _onnx_low_bits(o, "Mul", o.cast(h, "int64"), o.constant(np.uint32(factor).astype(np.int32), "int64"))


def _onnx_mix(o: Any, h: str) -> str:
    for shift, factor in _ROUNDS:
        shifted = o.node("BitShift", h, o.constant(shift, "uint32"), direction="RIGHT")
        h = o.node("BitwiseXor", h, shifted)
        h = _onnx_times(o, h, factor) if factor else h
    return h


def _onnx_random(o: Any, seed: str, step: str, stream: int, shape: Shape, dtype: str, first: Dim = 0) -> str:
    key = o.constant(int(_stream_key(stream)), "int64")
    for number in (seed, step):
        key = o.cast(_onnx_mix(o, _onnx_low_bits(o, "Add", key, number)), "int64")
    index = o.node("Range", o.size(first), o.size(first + count(shape)), o.constant(1, "int64"))
    other = _onnx_mix(o, _onnx_low_bits(o, "Add", key, o.constant(_GOLDEN, "int64")))
    bits = _onnx_mix(o, o.node("BitwiseXor", _onnx_mix(o, _onnx_low_bits(o, "Add", index, key)), other))
    top = o.cast(o.node("BitShift", bits, o.constant(8, "uint32"), direction="RIGHT"), dtype)
    return str(o.reshape(o.node("Mul", top, o.constant(2.0**-24, dtype)), shape))


random = Op(
    "random(seed: int[], step: int[], stream, shape, dtype) -> [*s]",
    "Numbers in [0, 1) decided by seed, step, stream and position alone, bit for bit the same in every engine; positions count from"
    " `first`, where that is given.",
    kernel=_random,
    onnx=_onnx_random,
    examples=("random(0, 0, stream = 0, shape = [2], dtype = float32) ~= [0.89635, 0.58357]",),
    shape=lambda seed, step, stream, shape, dtype, first=0: shape,
    prepare=_random_into,
    why="it does not depend on a float",
)
