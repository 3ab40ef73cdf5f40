"""Lines for images [channels, height, width]."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

from tools.fuzz.draft import Shape
from tools.fuzz.productions import Made, Production, batchnorm, flattened, reduction, sliced, torch_functions


def conv(r: Random, shape: Shape, p: str) -> Made | None:
    channels, *size = shape
    kernel, stride, dilation = r.choice([1, 2, 3, 3, 3]), r.choice([1, 1, 2]), r.choice([1, 1, 1, 2])
    pad, groups = r.choice(["valid", "same", "1"]), r.choice([1, 1, channels])
    units, reach = groups * r.randint(1, 3), dilation * (kernel - 1) + 1
    pads = {"valid": 0, "1": 1}.get(pad)
    if pads is None and (stride > 1 or reach % 2 == 0):  # where frameworks differ in which side has more
        return None
    pads = reach // 2 if pads is None else pads
    left = [(n + 2 * pads - reach) // stride + 1 for n in size]
    text = f"{{0}} -> conv({units}, {kernel}, stride = {stride}, pad = {pad}, dilation = {dilation}, groups = {groups}) as {p}"

    def computed(P: Any, x: Any) -> Any:
        return torch_functions().conv2d(x, P[f"{p}.W"], P[f"{p}.b"], stride, pads, dilation, groups)

    return Made(text, (units, *left), computed) if min(left) > 0 else None


def conv_transpose(r: Random, shape: Shape, p: str) -> Made | None:
    _, *size = shape
    if max(size) > 8:
        return None
    units, kernel, stride, output = r.randint(1, 3), r.randint(1, 3), r.choice([1, 2]), 0
    if stride > 1:
        output = r.choice([0, 1])
    left = [(n - 1) * stride + kernel + output for n in size]
    text = f"{{0}} -> conv_transpose({units}, {kernel}, stride = {stride}, output_pad = {output}) as {p}"

    def computed(P: Any, x: Any) -> Any:
        return torch_functions().conv_transpose2d(x, P[f"{p}.W"], P[f"{p}.b"], stride, 0, output)

    return Made(text, (units, *left), computed)


def separable(r: Random, shape: Shape, p: str) -> Made | None:
    return Made("{0} -> separable(3, 3, pad = same)", (3, *shape[1:]))


def pooled(r: Random, shape: Shape, _: str) -> Made | None:
    channels, *size = shape
    kernel, stride, how = r.choice([2, 2, 3]), r.choice([1, 2, 2]), r.choice(["max", "avg"])
    left = [(n - kernel) // stride + 1 for n in size]

    def computed(P: Any, x: Any) -> Any:
        F = torch_functions()
        return (F.max_pool2d if how == "max" else F.avg_pool2d)(x, kernel, stride)

    return Made(f"{{0}} -> {how}pool({kernel}, stride = {stride})", (channels, *left), computed) if min(left) > 0 else None


def pooled_as_large(r: Random, shape: Shape, _: str) -> Made:
    return Made(f"{{0}} -> {r.choice(['max', 'avg'])}pool(3, stride = 1, pad = same)", shape)


def overall(r: Random, shape: Shape, _: str) -> Made:
    if r.random() < 0.5:
        return Made("{0} -> global_avgpool", shape[:1], lambda P, x: x.mean((2, 3)))
    return Made("{0} -> global_maxpool", shape[:1], lambda P, x: x.amax((2, 3)))


def upsampled(r: Random, shape: Shape, _: str) -> Made | None:
    if max(shape[1:]) > 6:
        return None
    computed = lambda P, x: x.repeat_interleave(2, 2).repeat_interleave(2, 3)  # noqa: E731
    return Made("{0} -> upsample(2)", (shape[0], 2 * shape[1], 2 * shape[2]), computed)


def framed(r: Random, shape: Shape, _: str) -> Made | None:
    channels, h, w = shape
    if r.random() < 0.5:
        return Made("{0} -> pad(1)", (channels, h + 2, w + 2), lambda P, x: torch_functions().pad(x, (1, 1, 1, 1)))
    return Made("{0} -> crop(1)", (channels, h - 2, w - 2), lambda P, x: x[:, :, 1:-1, 1:-1]) if min(h, w) > 2 else None


def groupnorm(r: Random, shape: Shape, p: str) -> Made | None:
    groups = r.choice([g for g in range(1, shape[0] + 1) if shape[0] % g == 0])
    if shape[0] // groups * shape[1] * shape[2] < 3:
        return None
    computed = lambda P, x: torch_functions().group_norm(x, groups, P[f"{p}.gamma"], P[f"{p}.beta"], 1e-5)  # noqa: E731
    return Made(f"{{0}} -> groupnorm({groups}) as {p}", shape, computed)


def instancenorm(r: Random, shape: Shape, p: str) -> Made | None:
    if shape[1] * shape[2] < 3:
        return None
    computed = lambda P, x: torch_functions().instance_norm(x, weight=P[f"{p}.gamma"], bias=P[f"{p}.beta"], eps=1e-5)  # noqa: E731
    return Made(f"{{0}} -> instancenorm as {p}", shape, computed)


def inception(r: Random, shape: Shape, p: str) -> Made:
    return Made(
        "{0} -> [conv(2, 1) -> relu, conv(1, 3, pad = same), maxpool(3, stride = 1, pad = same)] -> concat(axis = 0)",
        (3 + shape[0], *shape[1:]),
    )


def residual(r: Random, shape: Shape, p: str) -> Made:
    """The block of a residual network."""
    inner = f"conv({shape[0]}, 3, pad = same) -> batchnorm -> relu -> conv({shape[0]}, 3, pad = same)"
    return Made(f"relu({{0}} + ({{0}} -> {inner}))", shape)


IMAGE: Sequence[Production] = (
    conv, conv, conv, conv_transpose, separable, pooled, pooled, pooled_as_large, overall, upsampled, framed, groupnorm, instancenorm,
    batchnorm, inception, residual, flattened, reduction, sliced,
)  # fmt: skip
