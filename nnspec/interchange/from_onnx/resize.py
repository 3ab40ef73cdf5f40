"""Images in another size: along each axis the elements by their number, or a product with a matrix of weights."""

from __future__ import annotations

import math
from collections.abc import Callable
from operator import truediv
from typing import Any

import numpy as np

from nnspec.graph import Dim, Var
from nnspec.interchange.from_onnx.call import Call, Rule
from nnspec.interchange.from_onnx.moves import aligned, rows, swapped
from nnspec.interchange.lowering import Array
from nnspec.ops.linear import matmul
from nnspec.record import dataclass

SINCE_HALF_PIXEL = 11
LARGEST_MATRIX = 1 << 25
ROUNDED: dict[str, Callable[[Array], Array]] = {
    "round_prefer_floor": lambda x: np.ceil(x - 0.5),
    "round_prefer_ceil": lambda x: np.floor(x + 0.5),
    "floor": np.floor,
    "ceil": np.ceil,
}


@dataclass(frozen=True)
class Axis:
    """One axis that changes its length: `scale` may differ from `after / before`, and `roi` is the part that is looked at."""

    number: int
    before: int
    after: int
    scale: float
    roi: tuple[float, float]

    def places(self, mode: str) -> Array:
        """Where each element of the result lies in the input."""
        at, width = np.arange(self.after), self.scale * self.before
        last = self.before - 1
        match mode:
            case "asymmetric":
                return at / self.scale
            case "align_corners":
                return at * last / (width - 1) if width != 1 else np.zeros(self.after)
            case "tf_crop_and_resize":
                first, stretch = self.roi[0] * last, (self.roi[1] - self.roi[0]) * last
                return first + (at * stretch / (width - 1) if width != 1 else np.full(self.after, stretch / 2))
            case "pytorch_half_pixel" if width == 1:
                return np.full(self.after, -0.5)
            case "half_pixel_symmetric":
                return self.before / 2 * (1 - self.after / width) + (at + 0.5) / self.scale - 0.5
        return (at + 0.5) / self.scale - 0.5


def _resize(c: Call, x: Var, *_: Var | None) -> Var:
    mode, where = c.attr("mode", "nearest"), c.attr("coordinate_transformation_mode", "half_pixel")
    where = where if c.opset >= SINCE_HALF_PIXEL else "asymmetric"
    for axis in _changing(c, x):
        places = axis.places(where)
        outside = (places < 0) | (places > axis.before - 1) if where == "tf_crop_and_resize" else np.zeros(axis.after, bool)
        x = _nearest(c, x, axis, places) if mode == "nearest" else _weighted(c, x, axis, places, mode)
        if outside.any():
            there = aligned(c.builder.constant(~outside, x.type.dtype), axis.number, x.type.rank)
            x = x * there + c.attr("extrapolation_value", 0.0) * (1.0 - there)
    return x


def _changing(c: Call, x: Var) -> list[Axis]:
    """The axes that change their length, or are looked at in part."""
    rank = x.type.rank
    axes = tuple(c.axis(a, rank) for a in c.attr("axes", range(rank)))
    sizes, scales = _sizes(c, x, axes)
    roi = c.known(1, "roi").reshape(2, -1) if _cropped(c) else np.array([[0.0], [1.0]]) + np.zeros(len(axes))
    found = []
    for i, axis in enumerate(axes):
        before, part = x.type.shape[axis], (float(roi[0, i]), float(roi[1, i]))
        if scales[i] == 1 and part == (0, 1):
            continue
        [length] = c.fixed([before])
        [after] = c.fixed([sizes[i]]) if sizes else [math.floor(length * scales[i])]
        found.append(Axis(axis, length, after, scales[i], part))
    return found


def _cropped(c: Call) -> bool:
    return c.given(1) and c.attr("coordinate_transformation_mode", "") == "tf_crop_and_resize"


def _sizes(c: Call, x: Var, axes: tuple[int, ...]) -> tuple[tuple[Dim, ...], list[float]]:
    """The lengths that are asked for, if they are, and the scales."""
    at = 2 if c.opset >= SINCE_HALF_PIXEL and c.node.op_type == "Resize" else 1
    wanted = c.dims("sizes", 3) if c.given(3) else ()
    if not wanted:
        given = c.known(at, "scales").reshape(-1).tolist() if c.given(at) else c.attr("scales", ())
        return (), [float(s) for s in given]
    before = [x.type.shape[a] for a in axes]
    scales = [1.0 if n == b else truediv(*c.fixed((n, b))) for n, b in zip(wanted, before, strict=True)]
    policy = c.attr("keep_aspect_ratio_policy", "stretch")
    if policy == "stretch":
        return wanted, scales
    same = min(scales) if policy == "not_larger" else max(scales)
    return tuple(math.floor(same * b + 0.5) for b in c.fixed(before)), [same] * len(axes)


def _nearest(c: Call, x: Var, axis: Axis, places: Array) -> Var:
    mode = c.attr("nearest_mode", "round_prefer_floor") if c.opset >= SINCE_HALF_PIXEL else "floor"
    return rows(x, nearest(mode, axis, places), axis.number)


def nearest(mode: str, axis: Axis, places: Array) -> Array:
    """The element that is nearest to each place."""
    return np.asarray(np.clip(ROUNDED[mode](places).astype(int), 0, axis.before - 1))


# ---- weights


def _triangle(x: Array) -> Array:
    return np.asarray(np.maximum(0.0, 1 - np.abs(x)))


def _cubic(a: float) -> Callable[[Array], Array]:
    """Keys, Cubic convolution interpolation for digital image processing (1981)."""

    def weight(x: Array) -> Array:
        d = np.abs(x)
        near, far = ((a + 2) * d - (a + 3)) * d * d + 1, ((d - 5) * d + 8) * d * a - 4 * a
        return np.asarray(np.select([d <= 1, d < 2], [near, far], 0.0))

    return weight


def _weighted(c: Call, x: Var, axis: Axis, places: Array, mode: str) -> Var:
    if axis.after * axis.before > LARGEST_MATRIX:
        raise c.fault("E521", f"an axis of {axis.before} is not resized to {axis.after}: the weights would be too many")
    last, matrix = x.type.rank - 1, weights_of(c.attr, axis, places, mode)
    product = matmul(swapped(x, axis.number, last), c.builder.constant(matrix, x.type.dtype, f"{c.node.output[0]}.weights"))
    return swapped(product, last, axis.number)


def weights_of(attr: Callable[[str, Any], Any], axis: Axis, places: Array, mode: str) -> Array:
    """Weights of the elements around each place, [before, after]; behind an edge it is the edge's, or nothing with `exclude_outside`."""
    if mode == "nearest":
        return np.eye(axis.before)[:, nearest(attr("nearest_mode", "round_prefer_floor"), axis, places)]
    kernel, reach = (_cubic(attr("cubic_coeff_a", -0.75)), 2) if mode == "cubic" else (_triangle, 1)
    narrower = min(axis.scale, 1.0) if attr("antialias", 0) else 1.0
    taps = math.ceil(reach / narrower)
    seen = np.floor(places)[:, None] + np.arange(1 - taps, taps + 1)
    weights = kernel((seen - places[:, None]) * narrower)
    if attr("exclude_outside", 0):
        weights = np.where((seen >= 0) & (seen < axis.before), weights, 0.0)
    weights = weights / weights.sum(axis=1, keepdims=True)
    matrix = np.zeros((axis.before, axis.after))
    columns = np.broadcast_to(np.arange(axis.after)[:, None], seen.shape)
    np.add.at(matrix, (np.clip(seen, 0, axis.before - 1).astype(int), columns), weights)
    return matrix


RULES: dict[str, Rule] = {"Resize": _resize, "Upsample": _resize}
