"""Windows over images."""

from __future__ import annotations

from typing import Any

from nnspec.diagnostics import Fault, fault
from nnspec.elaborate import batch
from nnspec.elaborate.primitives.table import Arguments, builtin
from nnspec.elaborate.values import Choice, Tensor, Value, describe
from nnspec.graph.types import show
from nnspec.ops import OPS


def _pads(a: Arguments, x: Tensor, kernel: tuple[int, int], stride: tuple[int, int], dilation: tuple[int, int]) -> tuple[int, ...]:
    """(top, left, bottom, right): `valid` pads nothing, `same` so that stride 1 keeps the size, a number pads every side."""
    pad = a.get("pad", Choice("valid"))
    if isinstance(pad, Choice) and pad.name == "valid":
        return (0, 0, 0, 0)
    if isinstance(pad, Choice) and pad.name == "same":
        totals = [_same(s, *rest) for s, *rest in zip(x.shape[1:], kernel, stride, dilation, strict=True)]
        return (*(t // 2 for t in totals), *(t - t // 2 for t in totals))
    if isinstance(pad, Choice):
        raise _no_pad(a, pad)
    if isinstance(pad, str):
        raise _no_pad(a, pad, help="a word of the language has no quotes: `pad = same`")
    both = pad if isinstance(pad, tuple) else (pad, pad)
    if len(both) != 2:
        raise fault("E106", f"`pad` is one number or two, not {describe(pad)}", a.at("pad"))
    vertical, horizontal = (a.whole("pad", p, 0) for p in both)
    return (vertical, horizontal, vertical, horizontal)


def _no_pad(a: Arguments, pad: Value, **more: str) -> Fault:
    return fault("E106", f"`pad` is same, valid or a number, not {describe(pad)}", a.at("pad"), **more)


def _same(size: Any, kernel: int, stride: int, dilation: int) -> int:
    if not isinstance(size, int):
        return dilation * (kernel - 1)
    windows = -(-size // stride)
    return max((windows - 1) * stride + dilation * (kernel - 1) + 1 - size, 0)


def _image(a: Arguments) -> Tensor:
    x = a.tensor("x")
    if len(x.shape) != 3:
        raise fault("E202", f"an image is [channels, height, width], not {show(x.shape)}", a.at("x"), notes=batch.origins([x], [a.at("x")]))
    return x if x.batched else Tensor(OPS["reshape"](x.var, shape=(1, *x.shape)), True, x.origin)


@builtin("convolve(x, W, stride = one, pad = valid, dilation = one, groups = one)")
def _convolve(a: Arguments) -> Value:
    x, w = _image(a), a.tensor("W")
    if len(w.shape) != 4:
        raise fault("E202", f"a kernel is [units, channels, height, width], not {show(w.shape)}", a.at("W"))
    stride, dilation, groups = a.pair("stride"), a.pair("dilation"), a.whole("groups", a.get("groups", 1))
    if isinstance(w.shape[0], int) and w.shape[0] % groups:
        raise fault("E202", f"{w.shape[0]} units do not divide into {groups} groups", a.at("groups"))
    pads = _pads(a, x, w.shape[2:], stride, dilation)  # type: ignore[arg-type]  # kernels are numbers
    y = OPS["conv"](x.var, w.var, strides=stride, pads=pads, dilations=dilation, groups=groups)
    return Tensor(y, True, a.span)


def _pool(a: Arguments, op: str) -> Value:
    x, kernel = _image(a), a.pair("kernel")
    stride = a.pair("stride", kernel)
    pads = _pads(a, x, kernel, stride, (1, 1))
    if any(p >= k for p, k in zip(pads, kernel * 2, strict=True)):
        raise fault("E206", f"a window of {kernel[0]}x{kernel[1]} would lie wholly in the padding", a.at("pad"))
    y = OPS[op](x.var, kernel=kernel, strides=stride, pads=pads)
    return Tensor(y, True, a.span)


@builtin("pool_max(x, kernel, stride = kernel, pad = valid)")
def _pool_max(a: Arguments) -> Value:
    return _pool(a, "max_pool")


@builtin("pool_mean(x, kernel, stride = kernel, pad = valid)")
def _pool_mean(a: Arguments) -> Value:
    return _pool(a, "avg_pool")
