"""Windows over images."""

from __future__ import annotations

from typing import Any

from nnspec.diagnostics import Fault, fault
from nnspec.elaborate import batch
from nnspec.elaborate.primitives.table import Arguments, builtin
from nnspec.elaborate.values import Choice, Tensor, Unsized, Value, describe
from nnspec.graph import Shape, Size, Var
from nnspec.graph.types import Dim, show
from nnspec.ops import OPS
from nnspec.ops.windows import Numbers, beyond, not_cut_off, reach, same_pads

AXES = {1: "width", 2: "height, width", 3: "depth, height, width"}


def _pads(a: Arguments, sizes: Shape, kernel: Any, stride: Numbers, dilation: Numbers) -> Numbers:
    """Those before every axis, then those after: `valid` pads nothing, `same` as ONNX's SAME_UPPER, a number every side."""
    pad = a.get("pad", Choice("valid"))
    if isinstance(pad, Choice) and pad.name == "valid":
        return (0,) * (2 * len(kernel))
    if isinstance(pad, Choice) and pad.name == "same":
        before, after = same_pads(sizes, reach(kernel, dilation), stride)
        return before + after
    if isinstance(pad, Choice):
        raise _no_pad(a, pad)
    if isinstance(pad, Tensor):
        raise _no_pad(a, pad, help="a value of the model with the name of a choice hides it: give the value another name")
    if isinstance(pad, str):
        raise _no_pad(a, pad, help="a word of the language has no quotes: `pad = same`")
    return a.each("pad", len(kernel), least=0) * 2


def _no_pad(a: Arguments, pad: Value, **more: str) -> Fault:
    return fault("E106", f"`pad` is same, valid or a number, not {describe(pad)}", a.at("pad"), **more)


def _image(a: Arguments) -> Tensor:
    x = batch.as_dtype(a.tensor("x"), a.e.graph.dtype)
    if len(x.shape) - 1 not in AXES:
        raise fault("E202", f"an image is [channels, height, width], not {show(x.shape)}", a.at("x"), notes=batch.origins([x], [a.at("x")]),
                    help="with one axis more or less, it is a volume or a signal")  # fmt: skip
    return x


def _over(op: str, x: Tensor, *others: Var, **attributes: Any) -> Tensor:
    """An op over images; one without a batch goes through it as a batch of one."""
    if x.batched:
        return Tensor(OPS[op](x.var, *others, **attributes), True)
    y = OPS[op](OPS["reshape"](x.var, shape=(1, *x.shape)), *others, **attributes)
    return Tensor(OPS["reshape"](y, shape=y.type.shape[1:]), False)


def _kernel(a: Arguments, x: Tensor, layout: str, channels: tuple[int, Dim]) -> Tensor:
    """W; where it leaves its channels open, they are as many as this axis of it must have."""
    w = a.bound["W"]
    axis, size = channels
    w = (
        w.with_dims((*w.dims[:axis], size, *w.dims[axis + 1 :]))
        if isinstance(w, Unsized)
        else batch.as_dtype(a.tensor("W"), a.e.graph.dtype)
    )
    if len(w.shape) == len(x.shape) + 1 and w.batched:
        help_ = "what differs from one example to the next goes to the image or the result: `convolve(x, W) * s`"
        message = f"W is one for all examples, and this is {describe(w)} for each"
        raise fault("E202", message, a.at("W"), notes=batch.origins([w], [a.at("W")]), help=help_)
    if len(w.shape) != len(x.shape) + 1:
        raise fault("E202", f"for {describe(x)}, W is [{layout}, {AXES[len(x.shape) - 1]}], not {describe(w)}", a.at("W"),
                    notes=batch.origins([x, w], [a.at("x"), a.at("W")]))  # fmt: skip
    return w


def _share(channels: Dim, groups: int) -> Dim:
    """The channels of each group; of channels that do not divide, the op itself says so."""
    return channels // groups if isinstance(channels, int) else channels


@builtin("convolve(x, W, stride = 1, pad = valid, dilation = 1, groups = 1)")
def _convolve(a: Arguments) -> Value:
    x, groups = _image(a), a.whole("groups", a.get("groups", 1))
    w, axes = _kernel(a, x, "units, channels / groups", (1, _share(x.shape[0], groups))), len(x.shape) - 1
    stride, dilation = a.each("stride", axes), a.each("dilation", axes)
    if isinstance(w.shape[0], int) and w.shape[0] % groups:
        raise fault("E202", f"{w.shape[0]} units do not divide into {groups} groups", a.at("groups"))
    pads = _pads(a, x.shape[1:], w.shape[2:], stride, dilation)
    return _over("conv", x, w.var, strides=stride, pads=pads, dilations=dilation, groups=groups).at(a.span)


@builtin("convolve_transpose(x, W, stride = 1, pad = valid, output_pad = 0, dilation = 1, groups = 1)")
def _convolve_transpose(a: Arguments) -> Value:
    """The gradient of a convolution for its image, with x as the gradient of its output."""
    x = _image(a)
    w, axes = _kernel(a, x, "channels, units / groups", (0, x.shape[0])), len(x.shape) - 1
    stride, dilation, groups = a.each("stride", axes), a.each("dilation", axes), a.whole("groups", a.get("groups", 1))
    if x.shape[0] != w.shape[0] or (isinstance(x.shape[0], int) and x.shape[0] % groups):
        raise fault("E202", f"{x.shape[0]} channels do not fit W, {show(w.shape)}, in {groups} groups", a.at("W"),
                    notes=batch.origins([x, w], [a.at("x"), a.at("W")]))  # fmt: skip
    whole = tuple(n * s for n, s in zip(x.shape[1:], stride, strict=True))
    pads = _pads(a, whole, w.shape[2:], stride, dilation)
    more = a.each("output_pad", len(stride), 0, least=0)
    size = _size_before(a, x, w, stride, pads, dilation, more)
    pads = not_cut_off(pads, more, stride)
    return _over("conv_input_grad", x, w.var, size=size, strides=stride, pads=pads, dilations=dilation, groups=groups).at(a.span)


def _size_before(a: Arguments, x: Tensor, w: Tensor, stride: Numbers, pads: Numbers, dilation: Numbers, more: Numbers) -> Shape:
    """The size of an image whose convolution is as large as x."""
    axes = len(stride)
    if any(m - p >= s for m, p, s in zip(more, pads[axes:], stride, strict=True)):
        most = "the stride" + (" and what `pad` cuts off together" if any(pads[axes:]) else "")
        raise fault("E106", f"`output_pad` is less than {most}", a.at("output_pad"), help="nothing would reach the rest")
    if any(isinstance(n, Size) and s > 1 for n, s in zip(x.shape[1:], stride, strict=True)):
        raise fault("E202", f"steps of more than 1 over a size known only at run time, {show(x.shape)}, are not supported", a.at("x"))
    kernel: Any = w.shape[2:]
    seen = reach(kernel, dilation)
    size = tuple((x.shape[1 + i] - 1) * stride[i] + seen[i] + more[i] - pads[i] - pads[axes + i] for i in range(axes))
    if any(isinstance(n, int) and n < 1 for n in size):
        raise fault("E206", f"the padding takes all of the result, which would be {show(size)}", a.at("pad"))
    return size


def _pool(a: Arguments, op: str) -> Value:
    x = _image(a)
    axes = len(x.shape) - 1
    kernel = a.each("kernel", axes)
    stride = a.each("stride", axes, kernel)
    pads = _pads(a, x.shape[1:], kernel, stride, (1,) * axes)
    if any(p >= k for p, k in zip(pads, kernel * 2, strict=True)):
        raise fault("E206", f"a window of {'x'.join(map(str, kernel))} would lie wholly in the padding", a.at("pad"))
    if a.truth("ceil_mode"):
        pads = _with_rest(x.shape[1:], kernel, stride, pads)
    return _over(op, x, kernel=kernel, strides=stride, pads=pads).at(a.span)


def _with_rest(sizes: Shape, kernel: Numbers, stride: Numbers, pads: Numbers) -> Numbers:
    """Pads behind which nothing of the image is left over; over a size known only at run time the op refuses to pool."""
    before, after = pads[: len(kernel)], pads[len(kernel) :]
    axes = zip(sizes, kernel, stride, before, after, strict=True)
    return (*before, *(end + (beyond(n, k, s, start, end) if isinstance(n, int) else 0) for n, k, s, start, end in axes))


@builtin("pool_max(x, kernel, stride = kernel, pad = valid, ceil_mode = false)")
def _pool_max(a: Arguments) -> Value:
    return _pool(a, "max_pool")


@builtin("pool_mean(x, kernel, stride = kernel, pad = valid, ceil_mode = false)")
def _pool_mean(a: Arguments) -> Value:
    return _pool(a, "avg_pool")
