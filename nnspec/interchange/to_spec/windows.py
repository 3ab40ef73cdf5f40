"""Rules of operators that look through windows: convolution, pooling, padding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from operator import add
from typing import Any

from nnspec.array import Array
from nnspec.diagnostics import Fault
from nnspec.graph import Dim, Shape, Size
from nnspec.interchange.to_spec.calls import Call
from nnspec.interchange.to_spec.slicing import END, cut, padded_axis
from nnspec.interchange.to_spec.step import Read, Step, rule
from nnspec.interchange.to_spec.values import BATCH_AXIS, Value, of_example, reshaped, transposed
from nnspec.ops.windows import beyond, reach, same_pads
from nnspec.record import dataclass


@dataclass(frozen=True)
class Window:
    """How a kernel goes over an image: a number for each axis, and zeros before and after it."""

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    before: tuple[int, ...]
    after: tuple[int, ...]

    @property
    def reach(self) -> tuple[int, ...]:
        return reach(self.kernel, self.dilation)

    def over(self, sizes: Shape) -> tuple[Dim, ...]:
        """How many windows there are along each axis."""
        return tuple(self._count(n, i) for i, n in enumerate(sizes))

    def _count(self, n: Dim, i: int) -> Dim:
        span = n + (self.before[i] + self.after[i] - self.reach[i])
        return span // self.stride[i] + 1 if isinstance(span, int) or self.stride[i] == 1 else span  # refused by the language

    def fault(self, step: Step) -> Fault:
        return step.fault(f"the padding {self.before} and {self.after} has no form in the language")

    def is_same(self, sizes: Shape) -> bool:
        """Whether as many zeros lie around as the language's `same` puts there, the odd one at the end."""
        return (self.before, self.after) == same_pads(sizes, self.reach, self.stride)


def window_of(step: Step, kernel: Sequence[int], sizes: Shape) -> Window:
    """What the attributes of a node say, `auto_pad` as numbers."""
    axes = len(kernel)
    stride, dilation = (tuple(step.attr(n, None) or (1,) * axes) for n in ("strides", "dilations"))
    pads = tuple(step.attr("pads", None) or (0,) * (2 * axes))
    auto = step.attr("auto_pad", "NOTSET")
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        pads = _same(step, sizes, reach(tuple(kernel), dilation), stride, auto == "SAME_UPPER")
    return Window(tuple(kernel), stride, dilation, pads[:axes], pads[axes:])


def _same(step: Step, sizes: Shape, seen: tuple[int, ...], stride: tuple[int, ...], upper: bool) -> tuple[int, ...]:
    """As many windows as the size over the stride."""
    if any(isinstance(n, Size) and s > 1 for n, s in zip(sizes, stride, strict=True)):
        raise step.fault("its padding depends on the sizes of the data")
    less, more = same_pads(sizes, seen, stride)
    return (*less, *more) if upper else (*more, *less)


def settings_of(w: Window, kernel: bool = True) -> dict[str, Any]:
    """As the library's layers take them, without what they would do anyway."""
    found: dict[str, Any] = {"kernel": short(w.kernel)} if kernel else {}
    if set(w.stride) != {1}:
        found["stride"] = short(w.stride)
    if w.before != w.after:
        found["pad"] = "same"  # the only such padding that has a name
    elif any(w.before):
        found["pad"] = short(w.before)
    if set(w.dilation) != {1}:
        found["dilation"] = short(w.dilation)
    return found


def short(numbers: tuple[int, ...]) -> int | tuple[int, ...]:
    """One number where it is the same for all axes."""
    return numbers[0] if len(set(numbers)) == 1 else numbers


def _padded(step: Step, x: Call, w: Window) -> tuple[Call, Window]:
    """Zeros that are not the same at both ends are put there before."""
    if w.before == w.after or w.is_same(x.shape[1:]):
        return x, w
    extra = [(a - b, 1 + i) for i, (b, a) in enumerate(zip(w.before, w.after, strict=True))]
    for more, axis in extra:
        x = padded_axis(step, x, axis, max(-more, 0), max(more, 0))
    least = tuple(min(b, a) for b, a in zip(w.before, w.after, strict=True))
    return x, Window(w.kernel, w.stride, w.dilation, least, least)


def image_of(step: Step) -> Call:
    x = step.explicit()
    if x.batch != 0 or not 3 <= x.rank <= 5:
        raise step.fault("it is not over images of a batch in front")
    return x.call


@rule("Conv")
def _conv(step: Step, x: Read, w: Read, b: Read | None = None) -> Value:
    kernel, image = step.array(1, "W"), image_of(step)
    units, groups = kernel.shape[0], step.attr("group", 1)
    image, window = _padded(step, image, window_of(step, kernel.shape[2:], image.shape[1:]))
    weights = {"W": kernel} | _bias(step)
    settings = settings_of(window) | ({"groups": groups} if groups > 1 else {})
    shape = (units, *window.over(image.shape[1:]))
    if groups > 1 and groups == image.shape[0] == units:
        settings.pop("groups")
        return of_example(step.call("depthwise", image, shape=shape, weights=_inside(weights, "conv"), **settings, **_no_bias(weights)))
    return of_example(step.call("conv", image, shape=shape, weights=weights, units=units, **settings, **_no_bias(weights)))


def _inside(weights: dict[str, Array], layer: str) -> dict[str, Array]:
    """The weights of a layer that another is made of."""
    return {f"{layer}.{n}": w for n, w in weights.items()}


def _bias(step: Step) -> dict[str, Array]:
    return {"b": step.array(2, "B")} if step.given(2) else {}


def _no_bias(weights: dict[str, Array]) -> dict[str, Any]:
    return {} if "b" in weights else {"bias": False}


@rule("ConvTranspose")
def _conv_transpose(step: Step, x: Read, w: Read, b: Read | None = None) -> Value:
    kernel, image, groups = step.array(1, "W"), image_of(step), step.attr("group", 1)
    axes = kernel.ndim - 2
    more = tuple(step.attr("output_padding", None) or (0,) * axes)
    if step.attr("output_shape") or step.attr("auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
        raise step.fault("its padding is given by the size of the result, which has no form in the language")
    window = window_of(step, kernel.shape[2:], image.shape[1:])
    # Less taken off the end is more at the end.
    more = tuple(m + b - a for m, b, a in zip(more, window.before, window.after, strict=True))
    if any(m < 0 or m - b >= s for m, b, s in zip(more, window.before, window.stride, strict=True)):
        raise window.fault(step)
    sizes = [_enlarged(step, n, i, window, more[i]) for i, n in enumerate(image.shape[1:])]
    units, weights = kernel.shape[1] * groups, {"W": kernel} | _bias(step)
    settings = (
        settings_of(replace(window, after=window.before))
        | ({"output_pad": short(more)} if any(more) else {})
        | ({"groups": groups} if groups > 1 else {})
    )
    call = step.call("conv_transpose", image, shape=(units, *sizes), weights=weights, units=units, **settings, **_no_bias(weights))
    return of_example(call)


def _enlarged(step: Step, n: Dim, axis: int, w: Window, more: int) -> Dim:
    if isinstance(n, Size):
        raise step.fault("it enlarges a size of the data")
    return (n - 1) * w.stride[axis] + w.reach[axis] + more - 2 * w.before[axis]


@rule("MaxPool", "AveragePool")
def _pool(step: Step, x: Read) -> Value:
    image = image_of(step)
    if step.has(1):
        raise step.fault("the places of the largest have no form in the language")
    window = window_of(step, step.attr("kernel_shape"), image.shape[1:])
    mean = step.node.op_type == "AveragePool"
    if set(window.dilation) != {1}:
        raise step.fault("windows with gaps have no form in the language")
    rest = _rest(step, image, window) if step.attr("ceil_mode", 0) else ()
    if mean and step.attr("count_include_pad", 0):
        image, window = _with_zeros(step, image, window)
        if any(rest) and rest != _rest(step, image, window):
            raise step.fault("windows of which some begin in zeros that count (`ceil_mode`) have no form in the language")
    if window.before != window.after and not window.is_same(image.shape[1:]):
        raise window.fault(step)
    reaching = replace(window, after=tuple(map(add, window.after, rest))) if any(rest) else window
    shape = (image.shape[0], *reaching.over(image.shape[1:]))
    if mean and shape[1:] == (1,) * (len(shape) - 1) and window.kernel == image.shape[1:] and not any(window.before):
        return global_pool(step, "global_avgpool", image)
    settings = settings_of(window)
    settings["stride"] = short(window.stride)
    if settings["stride"] == settings["kernel"]:
        del settings["stride"]
    if any(rest):
        settings["ceil_mode"] = True
    return of_example(step.call("avgpool" if mean else "maxpool", image, shape=shape, **settings))


def _rest(step: Step, image: Call, w: Window) -> tuple[int, ...]:
    """How far the last windows go beyond an image and its pads with `ceil_mode`."""
    if any(isinstance(n, Size) for n in image.shape[1:]):
        raise step.fault("how many windows there are (`ceil_mode`) depends on the sizes of the data")
    axes = zip(image.shape[1:], w.reach, w.stride, w.before, w.after, strict=True)
    return tuple(beyond(n, *axis) for n, *axis in axes if isinstance(n, int))


def _with_zeros(step: Step, image: Call, w: Window) -> tuple[Call, Window]:
    """Padding that counts in the mean is part of the image."""
    for axis, (before, after) in enumerate(zip(w.before, w.after, strict=True)):
        image = padded_axis(step, image, 1 + axis, before, after)
    none = (0,) * len(w.kernel)
    return image, Window(w.kernel, w.stride, w.dilation, none, none)


@rule("GlobalAveragePool", "GlobalMaxPool")
def _global(step: Step, x: Read) -> Value:
    return global_pool(step, "global_avgpool" if "Average" in step.node.op_type else "global_maxpool", image_of(step))


def global_pool(step: Step, name: str, image: Call) -> Value:
    """A number for each channel; the axes of length 1 that the model keeps are not in the language."""
    call = step.call(name, image, shape=image.shape[:1])
    return Value(call, ((BATCH_AXIS,), (0,), *((),) * (len(image.shape) - 1)))


@rule("Pad")
def _pad(step: Step, x: Read, *_: Read) -> Value:
    value, pads = step.explicit(), step.ints("pads", 1) or ()
    fill = step.array(2, "constant_value").item() if step.given(2) else step.attr("value", 0.0)
    if step.attr("mode", "constant") != "constant" or fill != 0:
        raise step.fault("padding other than with zeros has no form in the language")
    axes = step.axes(value.rank, 3) or tuple(range(value.rank))
    around = dict(zip(axes, zip(pads[: len(axes)], pads[len(axes) :], strict=True), strict=True))
    call = value.call
    spaces = [around.get(i, (0, 0)) for i in range(1, value.rank)]
    if (
        value.batch == 0
        and around.get(0, (0, 0)) == (0, 0)
        and spaces[0] == (0, 0)
        and all(b == a >= 0 for b, a in spaces)
        and 3 <= value.rank <= 5
    ):
        by = tuple(b for b, _ in spaces[1:])
        shape = (call.shape[0], *(n + 2 * b for n, b in zip(call.shape[1:], by, strict=True)))
        return value.with_call(step.call("pad", call, shape=shape, by=short(by)) if any(by) else call)
    for axis, (before, after) in around.items():
        if before or after:
            [own] = step.example_axes(value, [axis])
            call = padded_axis(step, call, own, max(before, 0), max(after, 0))
            if min(before, after) < 0:
                call = cut(step, call, own, max(-before, 0), min(after, 0) or END, 1)
    return value.with_call(call)


@rule("DepthToSpace")
def _depth_to_space(step: Step, x: Read) -> Value:
    """Channels beside each other, as torch's PixelShuffle does it (mode CRD)."""
    image, b = image_of(step), step.attr("blocksize")
    c, *sizes = image.shape
    if step.attr("mode", "DCR") != "CRD" or len(sizes) != 2 or not isinstance(c, int):
        raise step.fault("only the mode CRD of images has a form in the language")
    h, w = sizes
    spread = transposed(reshaped(image, (c // b**2, b, b, h, w)), (0, 3, 1, 4, 2))
    return of_example(reshaped(spread, (c // b**2, h * b, w * b)))
