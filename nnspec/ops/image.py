"""Convolution and pooling over images, `[batch, channels, height, width]`.

`strides` and `dilations` are (vertical, horizontal), `pads` (top, left, bottom, right), `kernel` (height, width).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from nnspec.graph import Mismatch, Op, Shape, Type, Var
from nnspec.graph.types import Dim, count, show
from nnspec.lazy import np

Pair = tuple[int, int]
Pads = tuple[int, int, int, int]
# Columns of a chunk of images stay in the second-level cache.
CHUNK_BYTES = 1 << 20
# Batch and channels exchanged.
_SWAP = [1, 0, 2, 3]


def window_count(size: Dim, kernel: int, stride: int, before: int, after: int, dilation: int) -> int:
    """How many windows fit along one axis."""
    if not isinstance(size, int):
        raise Mismatch(f"windows over a size known only at run time, `{size}`, are not supported", "x")
    reach = dilation * (kernel - 1) + 1
    padded = size + before + after
    if reach > padded:
        raise Mismatch(f"the kernel reaches over {reach}, the image has {padded}", "kernel")
    return (padded - reach) // stride + 1


def grid_of(x: Type, kernel: Pair, strides: Pair, pads: Pads, dilations: Pair) -> tuple[int, int]:
    h, w = (window_count(x.shape[2 + i], kernel[i], strides[i], pads[i], pads[2 + i], dilations[i]) for i in (0, 1))
    return h, w


def _conv_shape(x: Type, w: Type, strides: Pair, pads: Pads, dilations: Pair, groups: int) -> Shape:
    units, channels, *kernel = w.shape
    if x.shape[1] != channels * groups:
        raise Mismatch(f"x has {x.shape[1]} channels, the kernel {show(w.shape)} in {groups} groups takes {channels * groups}", "w")
    return (x.shape[0], units, *grid_of(x, (kernel[0], kernel[1]), strides, pads, dilations))  # type: ignore[arg-type]  # kernels are numbers


def _seen(place: int, dilation: int, windows: int, stride: int) -> slice:
    first = place * dilation
    return slice(first, first + (windows - 1) * stride + 1, stride)


def offsets(kernel: Pair, strides: Pair, dilations: Pair, grid: Pair) -> Iterator[tuple[Any, Any]]:
    """For each place in the kernel, the (rows, columns) of the padded image it sees over all windows."""
    for i in range(kernel[0]):
        for j in range(kernel[1]):
            yield _seen(i, dilations[0], grid[0], strides[0]), _seen(j, dilations[1], grid[1], strides[1])


def padded(x: Any, pads: Pads, value: float = 0.0) -> Any:
    top, left, bottom, right = pads
    return np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)), constant_values=value) if any(pads) else x


def inside(padded: Any, pads: Pads) -> Any:
    top, left, bottom, right = pads
    return padded[:, :, top : padded.shape[2] - bottom, left : padded.shape[3] - right]


def _windows(x: Any, kernel: Pair, strides: Pair, pads: Pads, dilations: Pair) -> Any:
    """[n, c, oh, ow, kh, kw], a view of the padded image."""
    p = padded(x, pads)
    reach = tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilations, strict=True))
    v = np.lib.stride_tricks.sliding_window_view(p, reach, axis=(2, 3))
    return v[:, :, :: strides[0], :: strides[1], :: dilations[0], :: dilations[1]]


def _grouped(x: Any, groups: int, axis: int) -> Any:
    return x.reshape(*x.shape[:axis], groups, x.shape[axis] // groups, *x.shape[axis + 1 :])


def _conv(x: Any, w: Any, strides: Pair, pads: Pads, dilations: Pair, groups: int) -> Any:
    v = _grouped(_windows(x, w.shape[2:], strides, pads, dilations), groups, 1)
    y = np.einsum("ngchwij,gocij->ngohw", v, _grouped(w, groups, 0), optimize=True)
    return y.reshape(len(x), len(w), *y.shape[3:])


def _conv_input_grad(g: Any, w: Any, size: Pair, strides: Pair, pads: Pads, dilations: Pair, groups: int) -> Any:
    padded = np.zeros((len(g), w.shape[1] * groups, size[0] + pads[0] + pads[2], size[1] + pads[1] + pads[3]), g.dtype)
    columns = np.einsum("ngohw,gocij->ijngchw", _grouped(g, groups, 1), _grouped(w, groups, 0), optimize=True)
    columns = columns.reshape(-1, len(g), padded.shape[1], *g.shape[2:])
    for (rows, cols), part in zip(offsets(w.shape[2:], strides, dilations, g.shape[2:]), columns, strict=True):
        padded[:, :, rows, cols] += part
    return inside(padded, pads)


def _conv_weight_grad(x: Any, g: Any, kernel: Pair, strides: Pair, pads: Pads, dilations: Pair, groups: int) -> Any:
    v = _grouped(_windows(x, kernel, strides, pads, dilations), groups, 1)[:, :, :, : g.shape[2], : g.shape[3]]
    w = np.einsum("ngchwij,ngohw->gocij", v, _grouped(g, groups, 1), optimize=True)
    return w.reshape(-1, *w.shape[2:])


class _Columns:
    """The windows of a chunk of images as matrices [groups, channels * kh * kw, oh * ow] an image, in memory of its own."""

    def __init__(
        self,
        images: int,
        x_shape: tuple[int, ...],
        dtype: Any,
        kernel: Pair,
        strides: Pair,
        pads: Pads,
        dilations: Pair,
        grid: Pair,
        groups: int,
    ) -> None:
        _, c, h, w = x_shape
        self.pads, self.groups = pads, groups
        self.offsets = list(offsets(kernel, strides, dilations, grid))
        bytes_an_image = c * len(self.offsets) * grid[0] * grid[1] * np.dtype(dtype).itemsize
        self.chunk = min(images, max(1, CHUNK_BYTES // bytes_an_image))
        self.padded = np.zeros((self.chunk, c, h + pads[0] + pads[2], w + pads[1] + pads[3]), dtype)
        self.windows = np.empty((self.chunk, c, len(self.offsets), *grid), dtype)
        self.matrix = self.windows.reshape(self.chunk, groups, c // groups * len(self.offsets), grid[0] * grid[1])

    def chunks(self, images: int) -> Iterator[slice]:
        return (slice(i, min(i + self.chunk, images)) for i in range(0, images, self.chunk))

    def gather(self, x: Any) -> Any:
        n = len(x)
        if any(self.pads):
            np.copyto(inside(self.padded[:n], self.pads), x)
            x = self.padded[:n]
        for k, (rows, cols) in enumerate(self.offsets):
            np.copyto(self.windows[:n, :, k], x[:, :, rows, cols])
        return self.matrix[:n]

    def scatter(self, out: Any) -> None:
        """Adds the windows up into images, the transpose of `gather`."""
        n = len(out)
        self.padded.fill(0)
        for k, (rows, cols) in enumerate(self.offsets):
            part = self.padded[:n, :, rows, cols]
            np.add(part, self.windows[:n, :, k], part)
        np.copyto(out, inside(self.padded[:n], self.pads))


def _weights(w: Any, groups: int) -> Any:
    return w.reshape(groups, len(w) // groups, -1)


def _conv_into(out: Any, x: Any, w: Any, strides: Pair, pads: Pads, dilations: Pair, groups: int) -> Callable[[], Any]:
    n = len(x)
    columns = _Columns(n, x.shape, x.dtype, w.shape[2:], strides, pads, dilations, out.shape[2:], groups)
    y, weights = out.reshape(n, groups, len(w) // groups, -1), _weights(w, groups)

    def run() -> None:
        for part in columns.chunks(n):
            np.matmul(weights, columns.gather(x[part]), y[part])

    return run


def _conv_input_grad_into(
    out: Any, g: Any, w: Any, size: Pair, strides: Pair, pads: Pads, dilations: Pair, groups: int
) -> Callable[[], Any]:
    n = len(g)
    columns = _Columns(n, out.shape, g.dtype, w.shape[2:], strides, pads, dilations, g.shape[2:], groups)
    weights, y = _weights(w, groups).transpose(0, 2, 1), g.reshape(n, groups, len(w) // groups, -1)

    def run() -> None:
        for part in columns.chunks(n):
            np.matmul(weights, y[part], columns.matrix[: len(y[part])])
            columns.scatter(out[part])

    return run


def _conv_weight_grad_into(
    out: Any, x: Any, g: Any, kernel: Pair, strides: Pair, pads: Pads, dilations: Pair, groups: int
) -> Callable[[], Any]:
    n, units = len(x), g.shape[1]
    columns = _Columns(n, x.shape, x.dtype, kernel, strides, pads, dilations, g.shape[2:], groups)
    y = g.reshape(n, groups, units // groups, -1)
    parts = np.empty((columns.chunk, *_weights(out, groups).shape), out.dtype)
    total, one = _weights(out, groups), np.empty(_weights(out, groups).shape, out.dtype)

    def run() -> None:
        total.fill(0)
        for part in columns.chunks(n):
            matrix = columns.gather(x[part])
            np.matmul(y[part], matrix.transpose(0, 1, 3, 2), parts[: len(matrix)])
            np.add(total, np.sum(parts[: len(matrix)], axis=0, out=one), total)

    return run


def _conv_grad(g: Var, out: Var, x: Var, w: Var, **a: Any) -> tuple[Var, Var]:
    return (
        conv_input_grad(g, w, size=x.type.shape[2:], **a),
        conv_weight_grad(x, g, kernel=w.type.shape[2:], **a),
    )


def _conv_flops(out: Type, x: Type, w: Type, **_: Any) -> Dim:
    return 2 * count(out.shape) * count(w.shape[1:])


def _onnx_attributes(strides: Pair, pads: Pads, dilations: Pair, groups: int) -> dict[str, Any]:
    return {"strides": list(strides), "pads": list(pads), "dilations": list(dilations), "group": groups}


def _onnx_input_grad(o: Any, g: str, w: str, size: Pair, strides: Pair, pads: Pads, dilations: Pair, groups: int) -> str:
    kernel, grid = o.type(w).shape[2:], o.type(g).shape[2:]
    reach = [(grid[i] - 1) * strides[i] + dilations[i] * (kernel[i] - 1) + 1 for i in (0, 1)]
    # What the last window did not reach gets no gradient.
    missing = [size[i] + pads[i] + pads[2 + i] - reach[i] for i in (0, 1)]
    a = _onnx_attributes(strides, pads, dilations, groups)
    return str(o.node("ConvTranspose", g, w, output_padding=missing, **a))


def _onnx_weight_grad(o: Any, x: str, g: str, kernel: Pair, strides: Pair, pads: Pads, dilations: Pair, groups: int) -> str:
    """The batch becomes the channels: a convolution of x with g, stride and dilation exchanged."""
    channels = o.type(x).shape[1] // groups
    parts = []
    for i in range(groups):
        xs = o.node("Transpose", o.channels(x, i * channels, channels), perm=_SWAP)
        units = o.type(g).shape[1] // groups
        gs = o.node("Transpose", o.channels(g, i * units, units), perm=_SWAP)
        full = o.node("Conv", xs, gs, strides=list(dilations), dilations=list(strides), pads=list(pads))
        cut = o.node("Slice", full, o.ints((0, 0)), o.ints(kernel), o.ints((2, 3)))
        parts.append(o.node("Transpose", cut, perm=_SWAP))
    return parts[0] if groups == 1 else str(o.node("Concat", *parts, axis=0))


_EXAMPLE = "strides = [1, 1], pads = [0, 0, 0, 0], dilations = [1, 1], groups = 1"
_ODD = "strides = [2, 1], pads = [1, 0, 0, 1], dilations = [1, 2], groups = 2"

conv: Op = Op(
    "conv(x: [n, c, h, v], w: [u, d, i, j], strides, pads, dilations, groups) -> [*r]",
    "Cross-correlation, as every deep-learning text means by convolution.",
    kernel=_conv,
    grad=_conv_grad,
    onnx=lambda o, x, w, strides, pads, dilations, groups: o.node("Conv", x, w, **_onnx_attributes(strides, pads, dilations, groups)),
    examples=(
        f"conv([[[[1, 2], [3, 4]]]], [[[[1, 0], [0, 1]]]], {_EXAMPLE}) == [[[[5]]]]",
        f"conv([[[[1, 2, 3], [4, 5, 6]], [[1, 0, 1], [0, 2, 0]]]], [[[[1, 2]]], [[[3, 4]]]], {_ODD})"
        " == [[[[0, 0], [16, 5]], [[0, 0], [0, 6]]]]",
    ),
    shape=_conv_shape,
    prepare=_conv_into,
    flops=_conv_flops,
)
conv_input_grad: Op = Op(
    "conv_input_grad(g: [n, u, p, q], w: [u, d, i, j], size, strides, pads, dilations, groups) -> [*r]",
    "The gradient of conv for its image of `size` (height, width).",
    kernel=_conv_input_grad,
    grad=lambda gg, out, g, w, size, **a: (conv(gg, w, **a), conv_weight_grad(gg, g, kernel=w.type.shape[2:], **a)),
    onnx=_onnx_input_grad,
    examples=(
        f"conv_input_grad([[[[1]]]], [[[[1, 2], [3, 4]]]], size = [2, 2], {_EXAMPLE}) == [[[[1, 2], [3, 4]]]]",
        f"conv_input_grad([[[[1, 2]], [[3, 4]]]], [[[[1, 2]]], [[[3, 4]]]], size = [1, 3], {_ODD}) == [[[[0, 0, 0]], [[0, 0, 0]]]]",
    ),
    shape=lambda g, w, size, groups, **_: (g.shape[0], w.shape[1] * groups, *size),
    prepare=_conv_input_grad_into,
    flops=lambda out, g, w, **_: 2 * count(g.shape) * count(w.shape[1:]),
)
conv_weight_grad: Op = Op(
    "conv_weight_grad(x: [n, c, h, v], g: [n, u, p, q], kernel, strides, pads, dilations, groups) -> [*r]",
    "The gradient of conv for its weights of `kernel` (height, width).",
    kernel=_conv_weight_grad,
    grad=lambda gw, out, x, g, kernel, **a: (conv_input_grad(g, gw, size=x.type.shape[2:], **a), conv(x, gw, **a)),
    onnx=_onnx_weight_grad,
    examples=(
        f"conv_weight_grad([[[[1, 2], [3, 4]]]], [[[[2]]]], kernel = [2, 2], {_EXAMPLE}) == [[[[2, 4], [6, 8]]]]",
        f"conv_weight_grad([[[[1, 2, 3], [4, 5, 6]], [[1, 0, 1], [0, 2, 0]]]], [[[[9, 9], [1, 0]], [[9, 9], [0, 1]]]],"
        f" kernel = [1, 2], {_ODD}) == [[[[4, 6]]], [[[2, 0]]]]",
    ),
    shape=lambda x, g, kernel, groups, **_: (g.shape[1], x.shape[1] // groups, *kernel),
    prepare=_conv_weight_grad_into,
    flops=lambda out, x, g, **_: 2 * count(g.shape) * count(out.shape[1:]),
)
