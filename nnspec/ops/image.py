"""Convolution over images of one, two or three axes: `[batch, channels, width]`, `[batch, channels, height, width]`, `[batch, channels,
depth, height, width]`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nnspec.graph import Mismatch, Op, Shape, Type, Var
from nnspec.graph.types import Dim, count, show
from nnspec.lazy import Module, np
from nnspec.ops.windows import Numbers, grid_of, inside, offsets, padded, padded_shape, unreached, windows

if TYPE_CHECKING:
    from nnspec.ops import convolution
else:
    convolution = Module("nnspec.ops.convolution")


def _conv_shape(x: Type, w: Type, strides: Numbers, pads: Numbers, dilations: Numbers, groups: int) -> Shape:
    units, channels, *kernel = w.shape
    if x.shape[1] != channels * groups:
        raise Mismatch(f"x has {x.shape[1]} channels, the kernel {show(w.shape)} in {groups} groups takes {channels * groups}", "w")
    return (x.shape[0], units, *grid_of(x.shape, tuple(kernel), strides, pads, dilations))  # type: ignore[arg-type]  # kernels are numbers


def _grouped(x: Any, groups: int, axis: int) -> Any:
    return x.reshape(*x.shape[:axis], groups, x.shape[axis] // groups, *x.shape[axis + 1 :])


def _sum_of_products(pattern: str, axes: int, x: Any, y: Any) -> Any:
    """`np.einsum`, where P stands for the axes of the grid and K for those of the kernel."""
    return np.einsum(pattern.replace("P", "xyz"[:axes]).replace("K", "ijk"[:axes]), x, y, optimize=True)


def _conv(x: Any, w: Any, strides: Numbers, pads: Numbers, dilations: Numbers, groups: int) -> Any:
    grid = grid_of(x.shape, w.shape[2:], strides, pads, dilations)
    v = _grouped(windows(padded(x, pads), w.shape[2:], strides, dilations, grid), groups, 1)  # type: ignore[arg-type]  # of arrays
    y = _sum_of_products("ngcPK,gocK->ngoP", w.ndim - 2, v, _grouped(w, groups, 0))
    return y.reshape(len(x), len(w), *y.shape[3:])


def _conv_input_grad(g: Any, w: Any, size: Numbers, strides: Numbers, pads: Numbers, dilations: Numbers, groups: int) -> Any:
    whole = np.zeros(padded_shape((len(g), w.shape[1] * groups, *size), pads), g.dtype)
    columns = _sum_of_products("ngoP,gocK->KngcP", w.ndim - 2, _grouped(g, groups, 1), _grouped(w, groups, 0))
    columns = columns.reshape(-1, *whole.shape[:2], *g.shape[2:])
    for seen, part in zip(offsets(w.shape[2:], strides, dilations, g.shape[2:]), columns, strict=True):
        whole[seen] += part
    return inside(whole, pads)


def _conv_weight_grad(x: Any, g: Any, kernel: Numbers, strides: Numbers, pads: Numbers, dilations: Numbers, groups: int) -> Any:
    v = windows(padded(x, pads), kernel, strides, dilations, g.shape[2:])
    w = _sum_of_products("ngcPK,ngoP->gocK", len(kernel), _grouped(v, groups, 1), _grouped(g, groups, 1))
    return w.reshape(-1, *w.shape[2:])


def _conv_grad(g: Var, out: Var, x: Var, w: Var, **a: Any) -> tuple[Var, Var]:
    return (
        conv_input_grad(g, w, size=x.type.shape[2:], **a),
        conv_weight_grad(x, g, kernel=w.type.shape[2:], **a),
    )


def _conv_flops(out: Type, x: Type, w: Type, **_: Any) -> Dim:
    return 2 * count(out.shape) * count(w.shape[1:])


def _onnx_attributes(strides: Numbers, pads: Numbers, dilations: Numbers, groups: int) -> dict[str, Any]:
    return {"strides": list(strides), "pads": list(pads), "dilations": list(dilations), "group": groups}


def _onnx_input_grad(o: Any, g: str, w: str, size: Numbers, strides: Numbers, pads: Numbers, dilations: Numbers, groups: int) -> str:
    missing = unreached(size, o.type(g).shape[2:], o.type(w).shape[2:], strides, pads, dilations)
    a = _onnx_attributes(strides, pads, dilations, groups)
    return str(o.node("ConvTranspose", g, w, output_padding=missing, **a))


def _onnx_weight_grad(o: Any, x: str, g: str, kernel: Numbers, strides: Numbers, pads: Numbers, dilations: Numbers, groups: int) -> str:
    """The batch becomes the channels: a convolution of x with g, stride and dilation exchanged."""
    channels, axes = o.type(x).shape[1] // groups, len(kernel)
    swapped = [1, 0, *range(2, 2 + axes)]
    parts = []
    for i in range(groups):
        xs = o.node("Transpose", o.channels(x, i * channels, channels), perm=swapped)
        units = o.type(g).shape[1] // groups
        gs = o.node("Transpose", o.channels(g, i * units, units), perm=swapped)
        full = o.node("Conv", xs, gs, strides=list(dilations), dilations=list(strides), pads=list(pads))
        cut = o.node("Slice", full, o.ints((0,) * axes), o.ints(kernel), o.ints(tuple(range(2, 2 + axes))))
        parts.append(o.node("Transpose", cut, perm=swapped))
    return parts[0] if groups == 1 else str(o.node("Concat", *parts, axis=0))


_EXAMPLE = "strides = [1, 1], pads = [0, 0, 0, 0], dilations = [1, 1], groups = 1"
_LINE = "strides = [2], pads = [1, 0], dilations = [2], groups = 1"
_CUBE = "strides = [1, 1, 2], pads = [0, 1, 0, 0, 0, 1], dilations = [1, 1, 1], groups = 1"
_ODD = "strides = [2, 1], pads = [1, 0, 0, 1], dilations = [1, 2], groups = 2"

conv: Op = Op(
    "conv(x: [n, c, *s], w: [u, d, *k], strides, pads, dilations, groups) -> [*r]",
    "Cross-correlation, as every deep-learning text means by convolution.",
    kernel=_conv,
    grad=_conv_grad,
    onnx=lambda o, x, w, strides, pads, dilations, groups: o.node("Conv", x, w, **_onnx_attributes(strides, pads, dilations, groups)),
    examples=(
        f"conv([[[[1, 2], [3, 4]]]], [[[[1, 0], [0, 1]]]], {_EXAMPLE}) == [[[[5]]]]",
        f"conv([[[[1, 2, 3], [4, 5, 6]], [[1, 0, 1], [0, 2, 0]]]], [[[[1, 2]]], [[[3, 4]]]], {_ODD})"
        " == [[[[0, 0], [16, 5]], [[0, 0], [0, 6]]]]",
        f"conv([[[1, 2, 3, 4]]], [[[1, 10]], [[0, 1]]], {_LINE}) == [[[20, 42], [2, 4]]]",
        f"conv([[[[[1, 2]], [[3, 4]]]]], [[[[[1, 0, 2]], [[0, 1, 0]]]]], {_CUBE}) == [[[[[0], [5]]]]]",
    ),
    shape=_conv_shape,
    prepare=convolution.conv_into,
    strided=True,
    images=True,
    flops=_conv_flops,
    meets=lambda x, w, **_: [range(1, x.rank), range(w.rank)],
)
conv_input_grad: Op = Op(
    "conv_input_grad(g: [n, u, *p], w: [u, d, *k], size, strides, pads, dilations, groups) -> [*r]",
    "The gradient of conv for its image of `size`.",
    kernel=_conv_input_grad,
    grad=lambda gg, out, g, w, size, **a: (conv(gg, w, **a), conv_weight_grad(gg, g, kernel=w.type.shape[2:], **a)),
    onnx=_onnx_input_grad,
    examples=(
        f"conv_input_grad([[[[1]]]], [[[[1, 2], [3, 4]]]], size = [2, 2], {_EXAMPLE}) == [[[[1, 2], [3, 4]]]]",
        f"conv_input_grad([[[[1, 2]], [[3, 4]]]], [[[[1, 2]]], [[[3, 4]]]], size = [1, 3], {_ODD}) == [[[[0, 0, 0]], [[0, 0, 0]]]]",
        f"conv_input_grad([[[1, 2], [0, 3]]], [[[1, 10]], [[0, 1]]], size = [4], {_LINE}) == [[[0, 12, 0, 23]]]",
    ),
    shape=lambda g, w, size, groups, **_: (g.shape[0], w.shape[1] * groups, *size),
    prepare=convolution.conv_input_grad_into,
    strided=True,
    images=True,
    flops=lambda out, g, w, **_: 2 * count(g.shape) * count(w.shape[1:]),
    meets=lambda g, w, **_: [range(1, g.rank), range(w.rank)],
)
conv_weight_grad: Op = Op(
    "conv_weight_grad(x: [n, c, *s], g: [n, u, *p], kernel, strides, pads, dilations, groups) -> [*r]",
    "The gradient of conv for its weights of `kernel`.",
    kernel=_conv_weight_grad,
    grad=lambda gw, out, x, g, kernel, **a: (conv_input_grad(g, gw, size=x.type.shape[2:], **a), conv(x, gw, **a)),
    onnx=_onnx_weight_grad,
    examples=(
        f"conv_weight_grad([[[[1, 2], [3, 4]]]], [[[[2]]]], kernel = [2, 2], {_EXAMPLE}) == [[[[2, 4], [6, 8]]]]",
        f"conv_weight_grad([[[[1, 2, 3], [4, 5, 6]], [[1, 0, 1], [0, 2, 0]]]], [[[[9, 9], [1, 0]], [[9, 9], [0, 1]]]],"
        f" kernel = [1, 2], {_ODD}) == [[[[4, 6]]], [[[2, 0]]]]",
        f"conv_weight_grad([[[1, 2, 3, 4]]], [[[1, 2], [0, 3]]], kernel = [2], {_LINE}) == [[[4, 10]], [[6, 12]]]",
    ),
    shape=lambda x, g, kernel, groups, **_: (g.shape[1], x.shape[1] // groups, *kernel),
    prepare=convolution.conv_weight_grad_into,
    strided=True,
    flops=lambda out, x, g, **_: 2 * count(g.shape) * count(out.shape[1:]),
    meets=lambda x, g, **_: [range(x.rank), range(g.rank)],
    adds_up=True,
)
