"""The kernels of convolution and its gradients: each by the method that should be fastest."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from nnspec.blas import Call, accumulated_product, product
from nnspec.lazy import np
from nnspec.ops import depthwise, winograd
from nnspec.ops.aside import aside_channels_last
from nnspec.ops.columns import Kernel, Rows, Windows, correlate, in_turn, only
from nnspec.ops.windows import Images, Numbers, in_planes, inside, offsets, padded_shape


def conv_into(out: Any, x: Any, w: Any, strides: Numbers, pads: Numbers, dilations: Numbers, groups: int = 1, planes: Numbers = ()) -> Call:
    if depthwise.fits(w.shape, groups):
        return in_turn(depthwise.correlate(out, x, w, strides, pads, dilations))
    kernel, images, given = w.shape[2:], Images(x), Images(out, planes)
    if form := winograd.form(kernel, strides, dilations, groups, w.shape[:2], given.size):
        return in_turn(winograd.correlate(given, images, Kernel(w, groups), form, pads[: len(kernel)]))
    seen = Windows(images, kernel, strides, pads, dilations, given.size, groups, planes)
    return in_turn(correlate(out, seen, Kernel(w, groups)))


def conv_weight_grad_into(
    out: Any, x: Any, g: Any, kernel: Numbers, strides: Numbers, pads: Numbers, dilations: Numbers, groups: int = 1, planes: Numbers = ()
) -> Call:
    if depthwise.fits(out.shape, groups):
        return in_turn(depthwise.weight_grad(out, x, g, strides, pads, dilations))
    total, images, given = Kernel(out, groups), Images(x), Images(g, planes)
    if form := winograd.form(kernel, strides, dilations, groups, out.shape[:2], given.size, summed=True):
        return in_turn(winograd.weight_grad(total, images, given, form, pads[: len(kernel)]))
    seen = Windows(images, kernel, strides, pads, dilations, given.size, groups, planes)
    calls = seen.begin()
    for part in seen.chunks():
        gather, matrices = seen.gathered(part)
        rows = Rows(g[part], groups)
        add = accumulated_product if part.start else product
        calls += [*gather, *rows.load(), add(only(matrices.mT), only(rows.matrices), only(total.matrices))]
    return in_turn([*calls, total.store()])


def conv_input_grad_into(
    out: Any, g: Any, w: Any, size: Numbers, strides: Numbers, pads: Numbers, dilations: Numbers, groups: int = 1, planes: Numbers = ()
) -> Call:
    if depthwise.fits(w.shape, groups):
        return in_turn(depthwise.input_grad(out, g, w, strides, pads, dilations))
    kernel, given = w.shape[2:], Images(g, planes)
    around = tuple(d * (k - 1) - p for d, k, p in zip(dilations * 2, kernel * 2, pads, strict=True))
    if {*strides} != {1} or min(around) < 0:
        into = Windows(Images(out), kernel, strides, pads, dilations, given.size, groups, planes)
        return in_turn(_scattered(out, g, Kernel(w, groups), into))
    # Where windows move by one pixel, the gradient of a pixel is a window of g.
    turned = Kernel(w, groups, back=True)
    if form := winograd.form(kernel, strides, dilations, groups, w.shape[1::-1], size):
        return in_turn(winograd.correlate(Images(out), given, turned, form, around[: len(kernel)]))
    return in_turn(correlate(out, Windows(given, kernel, strides, around, dilations, size, groups), turned))


def _scattered(out: Any, g: Any, kernel: Kernel, into: Windows) -> list[Call]:
    """The gradient of every window, added up where the windows overlap."""
    whole = aside_channels_last(padded_shape((into.chunk, *out.shape[1:]), into.pads), g.dtype, ("windows", "padded"))
    calls = [kernel.load()]
    for part in into.chunks():
        rows, images = Rows(g[part], into.groups), whole[: part.stop - part.start]
        calls += [*rows.load(), product(only(rows.matrices), only(kernel.matrices.mT), only(into.matrices(len(images))))]
        calls += [partial(images.fill, 0), *_overlapping(images, into), partial(np.copyto, out[part], inside(images, into.pads))]
    return calls


def _overlapping(images: Any, into: Windows) -> Iterator[Call]:
    columns = into.columns(len(images))
    axes = len(into.lattice)
    for place, seen in zip(np.ndindex(*into.kernel), offsets(into.kernel, into.strides, into.dilations, into.grid), strict=True):
        part = columns[(*(slice(None),) * (2 + axes), *place)]  # [groups, images, *lattice, channels]
        target = in_planes(images[seen], into.planes).reshape(len(images), into.groups, -1, *into.lattice)
        yield partial(np.add, target, part.transpose(1, 0, 2 + axes, *range(2, 2 + axes)), target)
