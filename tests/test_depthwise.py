"""Convolutions of every channel by itself, with their gradients, are those of PyTorch."""

from __future__ import annotations

from functools import partial
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from helpers import with_leftovers

from nnspec.ops import depthwise
from nnspec.ops.convolution import conv_input_grad_into, conv_into, conv_weight_grad_into

BY_TORCH = {1: torch.nn.functional.conv1d, 2: torch.nn.functional.conv2d, 3: torch.nn.functional.conv3d}
SIZES: list[tuple[int, ...]] = [(9,), (9, 8), (5, 6, 7)]


def laid(x: Any, *, last: bool) -> Any:
    """The same array with its channels last in memory, or as it is."""
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1) if last else x


@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize("images_of_a_chunk", [1, 2, 9])
@pytest.mark.parametrize("size", SIZES)
def test_values_and_gradients_are_those_of_torch(
    size: tuple[int, ...], images_of_a_chunk: int, last: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng, axes, channels = np.random.default_rng(0), len(size), 4
    monkeypatch.setattr(depthwise, "CHUNK_BYTES", images_of_a_chunk * 8 * channels * int(np.prod(size)))
    for kernel, stride, pad, dilation in product((1, 2, 3), (1, 2, 3), (0, 1, 2), (1, 2)):
        if (kernel - 1) * dilation + 1 > min(size) + 2 * pad:
            continue
        x, w = rng.standard_normal((5, channels, *size)), rng.standard_normal((channels, 1, *[kernel] * axes))
        tx, tw = torch.tensor(x, requires_grad=True), torch.tensor(w, requires_grad=True)
        true = BY_TORCH[axes](tx, tw, None, stride, pad, dilation, channels)
        g = rng.standard_normal(tuple(true.shape))
        true.backward(torch.tensor(g))  # type: ignore[no-untyped-call]
        assert depthwise.fits(w.shape, channels) and tx.grad is not None and tw.grad is not None
        how = (stride,) * axes, (pad,) * 2 * axes, (dilation,) * axes, channels
        x, g = laid(x, last=last), laid(g, last=last)
        out, for_x, for_w = (laid(np.full(a.shape, np.nan), last=last) for a in (g, x, w))
        with_leftovers(partial(conv_into, out, x, w, *how))()
        with_leftovers(partial(conv_input_grad_into, for_x, g, w, size, *how))()
        with_leftovers(partial(conv_weight_grad_into, for_w, x, g, (kernel,) * axes, *how))()
        for got, expected in ((out, true.detach()), (for_x, tx.grad), (for_w, tw.grad)):
            np.testing.assert_allclose(got, expected.numpy(), atol=1e-12)
