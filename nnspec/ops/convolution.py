"""The kernels of convolution and its gradients: each by the method that should be fastest."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from nnspec.blas import Call, accumulated_product, product
from nnspec.lazy import np
from nnspec.ops import bundles, depthwise, winograd
from nnspec.ops.aside import aside_channels_last
from nnspec.ops.columns import Kernel, Part, Rows, Windows, correlate, in_turn, only
from nnspec.ops.windows import Images, Numbers, in_planes, inside, offsets, padded_shape, phases, turned_pads

FEWER = 8
"""So many times fewer channels has what is worth laying out windows of, where tiles could be computed."""
MORE = 2
"""So many times more units than channels at most has what gradients of strided windows are gathered from; from more they are added up."""


def conv_into(out: Any, x: Any, w: Any, strides: Numbers, pads: Numbers, dilations: Numbers, groups: int = 1, planes: Numbers = ()) -> Call:
    if depthwise.fits(w.shape, groups):
        return in_turn(depthwise.correlate(out, x, w, strides, pads, dilations))
    if bundles.size(w.shape, groups) > 1:
        b = bundles.Bundle(w, groups)
        return in_turn([b.load(), conv_into(out, x, b.weights, strides, pads, dilations, b.groups)])
    kernel, images, given = w.shape[2:], Images(x), Images(out, planes)
    around = turned_pads(kernel, pads, dilations)
    if len(w) == 1 < w.shape[1] and {*strides} == {1} != {*kernel} and min(around) >= 0 and not planes:
        # What a pixel has in each window is one number, and a window of x has many.
        into = Windows(given, kernel, strides, around, dilations, images.size, groups)
        return in_turn(_scattered(out, x, Kernel(w, groups, back=True), into))
    if form := winograd.form(kernel, strides, dilations, groups, w.shape[:2], given.size):
        return in_turn(winograd.correlate(given, images, Kernel(w, groups), form, pads[: len(kernel)]))
    seen = Windows(images, kernel, strides, pads, dilations, given.size, groups, planes)
    return in_turn(correlate(out, seen, Kernel(w, groups)))


def conv_weight_grad_into(
    out: Any, x: Any, g: Any, kernel: Numbers, strides: Numbers, pads: Numbers, dilations: Numbers, groups: int = 1, planes: Numbers = ()
) -> Call:
    if depthwise.fits(out.shape, groups):
        return in_turn(depthwise.weight_grad(out, x, g, strides, pads, dilations))
    if bundles.size(out.shape, groups) > 1:
        b = bundles.Bundle(out, groups)
        return in_turn([conv_weight_grad_into(b.weights, x, g, kernel, strides, pads, dilations, b.groups), b.store()])
    images, given, around = Images(x), Images(g, planes), turned_pads(kernel, pads, dilations)
    form = winograd.form(kernel, strides, dilations, groups, out.shape[:2], given.size, summed=True)
    if {*strides} == {1} and min(around) >= 0 and len(out) // groups * (FEWER if form else 1) < out.shape[1]:
        seen = Windows(given, kernel, strides, around, dilations, images.size, groups)
        return in_turn(_summed(Kernel(out, groups, back=True), seen, x))
    if form:
        return in_turn(winograd.weight_grad(Kernel(out, groups), images, given, form, pads[: len(kernel)]))
    return in_turn(_summed(Kernel(out, groups), Windows(images, kernel, strides, pads, dilations, given.size, groups, planes), g))


def _summed(total: Kernel, seen: Windows, x: Any) -> list[Call]:
    """The sum over all windows of each times the pixel of x in its place."""
    calls, add = seen.begin(), product
    for part in seen.parts():
        gather, matrices = seen.gathered(part)
        rows = Rows(seen.part_of(x, part), seen.groups)
        calls += [*gather, *rows.load(), add(only(matrices.mT), only(rows.matrices), only(total.matrices))]
        add = accumulated_product
    return [*calls, total.store()]


def conv_input_grad_into(
    out: Any, g: Any, w: Any, size: Numbers, strides: Numbers, pads: Numbers, dilations: Numbers, groups: int = 1, planes: Numbers = ()
) -> Call:
    if depthwise.fits(w.shape, groups):
        return in_turn(depthwise.input_grad(out, g, w, strides, pads, dilations))
    if bundles.size(w.shape, groups) > 1:
        b = bundles.Bundle(w, groups)
        return in_turn([b.load(), conv_input_grad_into(out, g, b.weights, size, strides, pads, dilations, b.groups)])
    kernel, given = w.shape[2:], Images(g, planes)
    around = turned_pads(kernel, pads, dilations)
    if {*strides} == {1} and min(around) >= 0:
        return in_turn(_gathered(out, given, w, around, dilations, groups))
    if {*dilations} == {1} and not planes and w.shape[1] * MORE >= len(w) // groups:
        return in_turn([call for phase in phases(out, g, w, strides, pads) for call in _of_phase(*phase, groups)])
    into = Windows(Images(out), kernel, strides, pads, dilations, given.size, groups, planes)
    return in_turn(_scattered(out, g, Kernel(w, groups), into))


def _gathered(out: Any, g: Images, w: Any, around: Numbers, dilations: Numbers, groups: int) -> list[Call]:
    """Where windows move by one pixel, the gradient of a pixel is a window of g."""
    kernel, turned = w.shape[2:], Kernel(w, groups, back=True)
    once = (1,) * len(kernel)
    if form := winograd.form(kernel, once, dilations, groups, w.shape[1::-1], out.shape[2:]):
        return winograd.correlate(Images(out), g, turned, form, around[: len(kernel)])
    return correlate(out, Windows(g, kernel, once, around, dilations, out.shape[2:], groups), turned)


def _of_phase(out: Any, g: Any, w: Any, around: Numbers, groups: int) -> list[Call]:
    if not w.size:
        return [partial(out.fill, 0)]
    return _gathered(out, Images(g), w, around, (1,) * len(w.shape[2:]), groups) if out.size else []


def _scattered(out: Any, g: Any, kernel: Kernel, into: Windows) -> list[Call]:
    """The gradient of every window, added up where the windows overlap."""
    whole = aside_channels_last(padded_shape((into.chunk, *out.shape[1:]), into.pads), g.dtype, ("windows", "padded"))
    calls = [kernel.load()]
    for part in into.parts():
        rows, images = Rows(into.part_of(g, part), into.groups), whole[: part.images.stop - part.images.start]
        calls += [*rows.load(), product(only(rows.matrices), only(kernel.matrices.mT), only(into.matrices(part)))]
        calls += [partial(images.fill, 0)] if part.band.start == 0 else []
        calls += _overlapping(images, into, part)
        calls += [partial(np.copyto, out[part.images], inside(images, into.pads))] if part.band.stop == into.grid[0] else []
    return calls


def _overlapping(images: Any, into: Windows, part: Part) -> Iterator[Call]:
    columns, lattice = into.columns(part), into.lattice(part)
    axes, grid = len(lattice), (part.band.stop - part.band.start, *into.grid[1:])
    reached = images[:, :, part.band.start * into.strides[0] :]
    for place, seen in zip(np.ndindex(*into.kernel), offsets(into.kernel, into.strides, into.dilations, grid), strict=True):
        share = columns[(*(slice(None),) * (2 + axes), *place)]  # [groups, images, *lattice, channels]
        target = in_planes(reached[seen], into.planes).reshape(len(images), into.groups, -1, *lattice)
        yield partial(np.add, target, share.transpose(1, 0, 2 + axes, *range(2, 2 + axes)), target)
