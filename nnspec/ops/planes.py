"""Convolution whose images lie in planes for a pool behind it: one for each place in its windows, which do not overlap.

The largest of each window is then the largest of all planes, which are whole stretches of memory, and so is what gets its gradient.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

from nnspec.blas import Call
from nnspec.graph import Op, Shape, Type
from nnspec.graph.types import count
from nnspec.lazy import Module, np
from nnspec.ops.image import conv, conv_input_grad, conv_weight_grad
from nnspec.ops.pool import max_pool, max_pool_grad
from nnspec.ops.windows import Images, Numbers, in_planes, within_images

if TYPE_CHECKING:
    from nnspec.ops import convolution
else:
    convolution = Module("nnspec.ops.convolution")

_WHY = "only a plan has it, in place of what has been differentiated, and onnxruntime gets that"


def _laid(image: Any, planes: Numbers) -> Any:
    seen = in_planes(image, planes)
    return seen.reshape(*seen.shape[:2], -1, *seen.shape[2 + len(planes) :])


def _image(laid: Any, planes: Numbers) -> Any:
    images = Images(laid, planes)
    whole = np.empty((*laid.shape[:2], *images.size), laid.dtype)
    images.copied_to(whole)()
    return whole


def _planes_shape(x: Type, w: Type, planes: Numbers, **a: Any) -> Shape:
    n, u, *size = conv.type((x, w), {**a, "groups": 1}).shape
    return (n, u, prod(planes), *(m // b for m, b in zip(size, planes, strict=True)))


_EXAMPLE = "strides = [1, 1], pads = [0, 0, 0, 0], dilations = [1, 1], planes = [1, 2]"
_STEPS = "strides = [2], pads = [1, 2], dilations = [1], planes = [3]"

conv_planes = Op(
    "conv_planes(x: [n, c, *s], w: [u, c, *k], strides, pads, dilations, planes) -> [*r]",
    "`conv`, in so many planes along each axis.",
    kernel=lambda x, w, planes, **a: _laid(conv.kernel(x, w, groups=1, **a), planes),
    examples=(
        f"conv_planes([[[[1, 2, 3, 4], [0, 1, 0, 1]]]], [[[[2]]]], {_EXAMPLE}) == [[[[[2, 6], [0, 0]], [[4, 8], [2, 2]]]]]",
        f"conv_planes([[[1, 2, 3, 4]]], [[[1, 10]]], {_STEPS}) == [[[[10], [32], [4]]]]",
    ),
    shape=_planes_shape,
    prepare=convolution.conv_into,
    strided=True,
    images=True,
    flops=conv.flops,
    meets=conv.meets,
    why=_WHY,
)
conv_planes_input_grad = Op(
    "conv_planes_input_grad(g: [n, u, p, *r], w: [u, c, *k], size, strides, pads, dilations, planes) -> [*s]",
    "The gradient of conv_planes for its image of `size`.",
    kernel=lambda g, w, planes, **a: conv_input_grad.kernel(_image(g, planes), w, groups=1, **a),
    examples=(
        f"conv_planes_input_grad([[[[[2]], [[4]]]]], [[[[1, 2]]]], size = [1, 3], {_EXAMPLE}) == [[[[2, 8, 8]]]]",
        f"conv_planes_input_grad([[[[10], [32], [4]]]], [[[1, 10]]], size = [4], {_STEPS}) == [[[100, 32, 320, 4]]]",
    ),
    shape=lambda g, w, size, **_: (g.shape[0], w.shape[1], *size),
    prepare=convolution.conv_input_grad_into,
    strided=True,
    images=True,
    flops=conv_input_grad.flops,
    meets=conv_input_grad.meets,
    why=_WHY,
)
conv_planes_weight_grad = Op(
    "conv_planes_weight_grad(x: [n, c, *s], g: [n, u, p, *r], kernel, strides, pads, dilations, planes) -> [*k]",
    "The gradient of conv_planes for its weights of `kernel`.",
    kernel=lambda x, g, planes, **a: conv_weight_grad.kernel(x, _image(g, planes), groups=1, **a),
    examples=(
        f"conv_planes_weight_grad([[[[1, 2, 3]]]], [[[[[2]], [[4]]]]], kernel = [1, 2], {_EXAMPLE}) == [[[[10, 16]]]]",
        f"conv_planes_weight_grad([[[1, 2, 3, 4]]], [[[[10], [32], [4]]]], kernel = [2], {_STEPS}) == [[[80, 106]]]",
    ),
    shape=lambda x, g, kernel, **_: (g.shape[1], x.shape[1], *kernel),
    prepare=convolution.conv_weight_grad_into,
    strided=True,
    flops=conv_weight_grad.flops,
    meets=conv_weight_grad.meets,
    adds_up=True,
    why=_WHY,
)


def _as_pool(x: Any) -> tuple[Numbers, Numbers, Numbers]:
    """The kernel, strides and pads of a pool over all planes."""
    kernel = (x.shape[2], *(1,) * (x.ndim - 3))
    return kernel, kernel, (0,) * 2 * len(kernel)


def _max_plane_into(out: Any, x: Any) -> Call:
    return max_pool.prepare(out[:, :, None], x, *_as_pool(x))  # type: ignore[misc]  # it has one


def _max_plane_grad_into(out: Any, g: Any, x: Any, y: Any) -> Call:
    return max_pool_grad.prepare(out, g[:, :, None], x, y[:, :, None], *_as_pool(x))  # type: ignore[misc]  # it has one


max_plane = Op(
    "max_plane(x: [n, c, p, *s]) -> [n, c, *s]",
    "The largest of all planes, pixel by pixel.",
    kernel=lambda x: np.max(x, axis=2),
    examples=("max_plane([[[[1, 5], [3, 2]]]]) == [[[3, 5]]]",),
    prepare=_max_plane_into,
    strided=True,
    images=True,
    smooth=False,
    flops=lambda out, x: count(x.shape),
    meets=within_images,
    why=_WHY,
)
max_plane_grad = Op(
    "max_plane_grad(g: [n, c, *s], x: [n, c, p, *s], y: [n, c, *s]) -> [n, c, p, *s]",
    "The gradient of max_plane for x, given its value y; the first of equal planes gets it.",
    kernel=lambda g, x, y: max_pool_grad.kernel(g[:, :, None], x, y[:, :, None], *_as_pool(x)),
    examples=("max_plane_grad([[[7, 9]]], [[[[1, 5], [3, 5]]]], [[[3, 5]]]) == [[[[0, 9], [7, 0]]]]",),
    prepare=_max_plane_grad_into,
    strided=True,
    images=True,
    choosing=("x", "y"),
    meets=within_images,
    why=_WHY,
)
