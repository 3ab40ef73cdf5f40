"""Rules of operators that enlarge images: by whole factors as `upsample`, otherwise as products with a matrix along each axis."""

from __future__ import annotations

import numpy as np

from nnspec.interchange.from_onnx.resize import LARGEST_MATRIX, Axis, changing, matrix_of, nearest, resized, where_of
from nnspec.interchange.to_spec.calls import Call
from nnspec.interchange.to_spec.step import Read, Step, rule
from nnspec.interchange.to_spec.values import Known, Value, of_example
from nnspec.interchange.to_spec.windows import image_of, short


@rule("Resize", "Upsample")
def _resize(step: Step, x: Read, *_: Read) -> Value:
    image, where = image_of(step), where_of(step.attr, step.opset)
    step.refuse(keep_aspect_ratio_policy="stretch", axes=None)
    if where == "tf_crop_and_resize":
        raise step.fault("a part of an image that is enlarged has no form in the language")
    scales, sizes = _scales(step, image)
    axes = [Axis(i, n, size, scale, (0.0, 1.0)) for i, (n, size, scale) in enumerate(zip(image.shape[1:], sizes, scales, strict=True), 1)]  # type: ignore[arg-type]  # all are numbers
    by = _factors(step, axes, where)
    if by:
        return of_example(step.call("upsample", image, shape=(image.shape[0], *sizes), factor=short(by)))
    for axis in changing(step.attr, axes):
        image = _product(step, image, axis)
    return of_example(image)


def _scales(step: Step, image: Call) -> tuple[list[float], list[int]]:
    """How many times as long each axis of an image becomes, and how long."""
    at = 1 if step.node.op_type == "Upsample" else 2
    before = image.shape[1:]
    if any(not isinstance(n, int) for n in before):
        raise step.fault("it enlarges a size of the data")
    if step.given(3):
        sizes = [n for n in step.known(3, "sizes").ints[2:] if isinstance(n, int)]
        if len(sizes) != len(before):
            raise step.fault("it enlarges to a size of the data")
        return [n / int(b) for n, b in zip(sizes, before, strict=True)], sizes  # type: ignore[arg-type]  # all are numbers
    scales = [float(s) for s in (step.array(at, "scales") if step.given(at) else step.attr("scales", ()))]
    if len(scales) != len(image.shape) + 1 or scales[:2] != [1.0, 1.0]:
        raise step.fault(f"enlarging by {scales} has no form in the language")
    return scales[2:], [resized(int(b), s) for s, b in zip(scales[2:], before, strict=True)]  # type: ignore[arg-type]  # all are numbers


def _factors(step: Step, axes: list[Axis], where: str) -> tuple[int, ...]:
    """How often each element of each axis comes in a row, where that is all."""
    if step.attr("mode", "nearest") != "nearest" or any(a.after % a.before for a in axes):
        return ()
    chosen = (nearest(step.attr, step.opset, a, a.places(where)) for a in axes)
    same = all(np.array_equal(c, np.arange(a.after) // (a.after // a.before)) for a, c in zip(axes, chosen, strict=True))
    return tuple(a.after // a.before for a in axes) if same else ()


def _product(step: Step, image: Call, axis: Axis) -> Call:
    """Each row, or each column, times a matrix that stays as it is."""
    last = len(image.shape) - 1
    if axis.number < last - 1:
        raise step.fault("other than by whole factors only images [channels, height, width] are enlarged")
    if axis.after * axis.before > LARGEST_MATRIX:
        raise step.fault(f"an axis of {axis.before} is not resized to {axis.after}: the weights would be too many")
    matrix = matrix_of(step.attr, step.opset, axis).astype(np.float32)
    weights = step.constant(Known(matrix if axis.number == last else matrix.T))
    shape = (*image.shape[: axis.number], axis.after, *image.shape[axis.number + 1 :])
    return step.call("@", *((image, weights) if axis.number == last else (weights, image)), shape=shape)
