"""Images in another size: along each axis the elements by their number, or a product with a matrix of weights."""

from __future__ import annotations

import math
from collections.abc import Callable
from operator import truediv
from typing import Any

import numpy as np

from nnspec.array import Array
from nnspec.graph import Dim, Var
from nnspec.interchange.from_onnx.call import Call, Rule
from nnspec.interchange.from_onnx.moves import aligned, rows
from nnspec.ops import pointwise as p
from nnspec.ops.arrange import moved
from nnspec.ops.linear import matmul
from nnspec.record import dataclass

SINCE_HALF_PIXEL = 11
LARGEST_MATRIX = 1 << 25
TIE = 1e-6  # so near the middle between two elements a place counts as in the middle
ROUNDED: dict[str, Callable[[Array], Array]] = {
    "round_prefer_floor": lambda x: np.ceil(x - (0.5 + TIE)),
    "round_prefer_ceil": lambda x: np.floor(x + (0.5 + TIE)),
    "floor": np.floor,
    "ceil": np.ceil,
}
Attr = Callable[[str, Any], Any]


@dataclass(frozen=True)
class Axis:
    """One axis that changes its length: `scale` may differ from `after / before`, and `roi` is the part that is looked at.

    Places are float32, as onnxruntime has them: where one falls between two elements, a rounding decides which is the nearest.
    """

    number: int
    before: int
    after: int
    scale: float
    roi: tuple[float, float]

    def places(self, mode: str) -> Array:
        """Where each element of the result lies in the input."""
        at, scale, last = np.arange(self.after, dtype=np.float32), np.float32(self.scale), np.float32(self.before - 1)
        half, further = np.float32(0.5), np.float32(max(self.after - 1, 1))
        match mode:
            case "asymmetric":
                return at / scale
            case "align_corners":
                return at * last / further
            case "tf_crop_and_resize":
                first, end = map(np.float32, self.roi)
                return first * last + at * (end - first) * last / further if self.after > 1 else half * (first + end) * last + at
            case "pytorch_half_pixel" if self.after == 1:
                return at
            case "tf_half_pixel_for_nn":
                return (at + half) / scale
            case "half_pixel_symmetric":
                unseen = 1 - np.float32(self.after) / (scale * np.float32(self.before))
                return np.asarray(np.float64(self.before) / 2 * unseen + (at + 0.5) / np.float64(scale) - 0.5, np.float32)
        return (at + half) / scale - half


def _resize(c: Call, x: Var, *_: Var | None) -> Var:
    mode, where = c.attr("mode", "nearest"), where_of(c.attr, c.opset)
    for axis in _changing(c, x):
        places = axis.places(where)
        outside = (places < 0) | (places > axis.before - 1) if where == "tf_crop_and_resize" else np.zeros(axis.after, bool)
        x = rows(x, nearest(c.attr, c.opset, axis, places), axis.number) if mode == "nearest" else _weighted(c, x, axis, places)
        if outside.any():
            there = aligned(c.builder.constant(~outside, "bool"), axis.number, x.type.rank)
            x = p.where(there, x, c.attr("extrapolation_value", 0.0))
    return x


def where_of(attr: Attr, opset: int) -> str:
    """How the elements of the result lie over those of the input."""
    return str(attr("coordinate_transformation_mode", "half_pixel")) if opset >= SINCE_HALF_PIXEL else "asymmetric"


def _changing(c: Call, x: Var) -> list[Axis]:
    """The axes of which elements are computed."""
    rank = x.type.rank
    axes = tuple(c.axis(a, rank) for a in c.attr("axes", range(rank)))
    sizes, scales = _sizes(c, x, axes)
    roi = c.known(1, "roi").reshape(2, -1) if _cropped(c) else np.array([[0.0], [1.0]]) + np.zeros(len(axes))
    found = []
    for i, axis in enumerate(axes):
        before, part = x.type.shape[axis], (float(roi[0, i]), float(roi[1, i]))
        if scales[i] == 1:
            continue
        [length] = c.fixed([before])
        [after] = c.fixed([sizes[i]]) if sizes else [resized(length, scales[i])]
        found.append(Axis(axis, length, after, scales[i], part))
    return changing(c.attr, found)


def changing(attr: Attr, axes: list[Axis]) -> list[Axis]:
    """None where all keep their lengths, and not those whose scale is 1: runtimes copy these, whatever else is said of them."""
    other = [a for a in axes if a.before != a.after]
    return other if not other or attr("antialias", 0) else [a for a in axes if a.scale != 1]


def resized(length: int, scale: float) -> int:
    """The length that an axis comes to, rounded down as runtimes do it: 10 times the float32 that is nearest to 3.3 are 33."""
    return math.floor(np.float32(length) * np.float32(scale))


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


def nearest(attr: Attr, opset: int, axis: Axis, places: Array) -> Array:
    """The element that is nearest to each place."""
    unsaid = "ceil" if axis.scale < 1 else "floor"  # by the older versions of the standard
    mode = attr("nearest_mode", "round_prefer_floor") if opset >= SINCE_HALF_PIXEL else unsaid
    return np.asarray(np.clip(ROUNDED[mode](np.asarray(places, np.float64)).astype(int), 0, axis.before - 1))


def matrix_of(attr: Attr, opset: int, axis: Axis) -> Array:
    """What an axis is multiplied with, [before, after]."""
    places = axis.places(where_of(attr, opset))
    if attr("mode", "nearest") == "nearest":
        return np.eye(axis.before)[:, nearest(attr, opset, axis, places)]
    return weights_of(attr, axis, places)


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


def _weighted(c: Call, x: Var, axis: Axis, places: Array) -> Var:
    if axis.after * axis.before > LARGEST_MATRIX:
        raise c.fault("E521", f"an axis of {axis.before} is not resized to {axis.after}: the weights would be too many")
    last, matrix = x.type.rank - 1, weights_of(c.attr, axis, places)
    product = matmul(moved(x, axis.number, last), c.builder.constant(matrix, x.type.dtype, f"{c.node.output[0]}.weights"))
    return moved(product, last, axis.number)


def weights_of(attr: Attr, axis: Axis, places: Array) -> Array:
    """Weights of the elements around each place, [before, after]; behind an edge it is the edge's, or nothing with `exclude_outside`."""
    kernel, reach = (_cubic(attr("cubic_coeff_a", -0.75)), 2) if attr("mode", "nearest") == "cubic" else (_triangle, 1)
    narrower = min(axis.scale, 1.0) if attr("antialias", 0) else 1.0
    taps = math.ceil(reach / narrower)
    seen = np.floor(places)[:, None] + np.arange(1 - taps, taps + 1)
    weights = kernel((seen - places[:, None]) * narrower)
    if attr("exclude_outside", 0):
        weights = np.where((seen >= 0) & (seen < axis.before), weights, 0.0)
    total = weights.sum(axis=1, keepdims=True)
    weights = weights / np.where(total == 0, 1.0, total)  # of a place far outside nothing is seen
    matrix = np.zeros((axis.before, axis.after))
    columns = np.broadcast_to(np.arange(axis.after)[:, None], seen.shape)
    np.add.at(matrix, (np.clip(seen, 0, axis.before - 1).astype(int), columns), weights)
    return matrix


RULES: dict[str, Rule] = {"Resize": _resize, "Upsample": _resize}
