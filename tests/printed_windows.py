"""Convolutions and pools as a derivation prints them, read by torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from nnspec.array import Array


def _way_back(forward: Callable[..., Any]) -> Callable[..., Any]:
    """The gradient of a call of the language by its first argument of this shape, by torch."""

    def of(g: Array, x: Array) -> Array:
        leaf = torch.tensor(x, requires_grad=True)
        (found,) = torch.autograd.grad(forward(leaf), leaf, torch.tensor(g))
        return np.asarray(found)

    return of


def _padded_image(x: Any, kernel: list[int], stride: list[int], pad: Any, ceil_mode: bool, value: float) -> Any:
    """With what lies around an image: numbers, `same`, or as much as makes the windows come out even."""
    sizes, ends = x.shape[1:], []
    for n, k, s, p in zip(sizes, kernel, stride, _each(0 if pad == "same" else pad, len(sizes)), strict=True):
        total = max((-(-n // s) - 1) * s + k - n, 0)
        rest = (-(n + 2 * p - k)) % s if ceil_mode and (-(-(n + 2 * p - k) // s)) * s < n + p else 0
        ends.append((total // 2, total - total // 2) if pad == "same" else (p, p + rest))
    flat = [end for pair in reversed(ends) for end in pair]
    return torch.nn.functional.pad(x, flat, value=value)


def _each(number: Any, axes: int) -> list[int]:
    return [*number] if isinstance(number, list) else [number] * axes


def _convolved(x: Any, w: Any, stride: Any = 1, pad: Any = 0, dilation: Any = 1, groups: int = 1) -> Any:
    axes = x.ndim - 1
    strides, dilations = _each(stride, axes), _each(dilation, axes)
    image = _padded_image(x, [d * (k - 1) + 1 for k, d in zip(w.shape[2:], dilations, strict=True)], strides, pad, False, 0.0)
    over = getattr(torch.nn.functional, f"conv{axes}d")
    return over(image[None], w, stride=strides, dilation=dilations, groups=groups)[0]


def _pool(kind: str, x: Any, kernel: Any, stride: Any = None, pad: Any = 0, ceil_mode: bool = False) -> Any:
    axes = x.ndim - 1
    kernels = _each(kernel, axes)
    strides = _each(kernel if stride is None else stride, axes)
    over = getattr(torch.nn.functional, f"{kind}_pool{axes}d")

    def seen(image: Any, around: float) -> Any:
        return over(_padded_image(image, kernels, strides, pad, bool(ceil_mode), around)[None], kernels, strides)[0]

    if kind == "max":
        return seen(x, -np.inf)
    return seen(x, 0.0) / seen(torch.ones_like(x), 0.0)  # what lies around does not count


def _by_torch(f: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *xs, **more: np.asarray(f(*map(torch.tensor, xs), **more))


def _of_size(g: Array, size: list[int]) -> Array:
    return np.zeros((g.shape[0], *size))


def _transpose_of_convolution(g: Array, w: Array, output_pad: Any = 0, size: list[int] | None = None, **more: Any) -> Array:
    """`size` is that of the image; else it follows, as that of torch does."""
    axes, groups = g.ndim - 1, more.get("groups", 1)
    if size is None:
        stride, dilation, pad = (_each(more.get(n, d), axes) for n, d in (("stride", 1), ("dilation", 1), ("pad", 0)))
        reach = [d * (k - 1) + 1 for k, d in zip(w.shape[2:], dilation, strict=True)]
        if more.get("pad") == "same":
            size = [n * s for n, s in zip(g.shape[1:], stride, strict=True)]
        else:
            each = zip(g.shape[1:], stride, reach, pad, _each(output_pad, axes), strict=True)
            size = [(n - 1) * s + r - 2 * p + o for n, s, r, p, o in each]
    kernel = torch.tensor(w)
    image = np.zeros((w.shape[1] * groups, *size))
    return np.asarray(_way_back(lambda x: _convolved(x, kernel, **more))(g, image))


def _weight_grad(x: Array, g: Array, kernel: Any, groups: int = 1, **more: Any) -> Array:
    image = torch.tensor(x)
    w = np.zeros((g.shape[0], x.shape[0] // groups, *_each(kernel, x.ndim - 1)))
    return np.asarray(_way_back(lambda w: _convolved(image, w, groups=groups, **more))(g, w))


WINDOWS: dict[str, Callable[..., Any]] = {
    "convolve": _by_torch(_convolved), "convolve_transpose": _transpose_of_convolution, "conv_input_grad": _transpose_of_convolution,
    "conv_weight_grad": _weight_grad,
    "pool_max": _by_torch(lambda x, **more: _pool("max", x, **more)),
    "pool_mean": _by_torch(lambda x, **more: _pool("avg", x, **more)),
    "max_pool_grad": lambda g, x, y, **more: _way_back(lambda x: _pool("max", x, **more))(g, x),
    "avg_pool_grad": lambda g, size, **more: _way_back(lambda x: _pool("avg", x, **more))(g, _of_size(g, size)),
}  # fmt: skip
