"""Receptive fields, held against what gradients of the same networks in torch reach."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch.nn import functional as F

import nnspec
from nnspec.elaborate.values import Tensor

Image = torch.Tensor
SIZE = 32
W3, W2, WIDE = torch.ones(1, 1, 3, 3), torch.ones(1, 1, 2, 2), torch.ones(1, 1, 3, 1)


def conv(x: Image, w: Image = W3, stride: int = 1, dilation: int = 1) -> Image:
    return F.conv2d(x, w, stride=stride, dilation=dilation, padding=[dilation * (n // 2) for n in w.shape[2:]])


def up(x: Image, times: int) -> Image:
    return x.repeat_interleave(times, 2).repeat_interleave(times, 3)


def unet(x: Image) -> Image:
    down = conv(conv(x))
    low = conv(conv(F.avg_pool2d(down, 2)))
    return conv(conv(F.conv_transpose2d(low, W2, stride=2) + down))


BLOCK = "conv(1, 3, pad = same) -> conv(1, 3, pad = same)"
NETS: dict[str, tuple[str, Callable[[Image], Image]]] = {
    "a convolution": ("x -> conv(1, 3, pad = same)", conv),
    "dilated, with a stride": (
        "x -> conv(1, 3, stride = 2, pad = 1) -> conv(1, 3, dilation = 3, pad = 3)", lambda x: conv(conv(x, stride=2), dilation=3)
    ),
    "a U": (
        f"d = x -> {BLOCK}  u = d -> avgpool(2) -> {BLOCK} -> conv_transpose(1, 2, stride = 2)  z = concat(u, d) -> {BLOCK}", unet
    ),
    "coarse and fine": (
        "concat(x -> avgpool(4) -> upsample(4), x) -> conv(1, 3, pad = same)", lambda x: conv(up(F.avg_pool2d(x, 4), 4) + x)
    ),
    "coarse alone": ("x -> avgpool(4) -> upsample(4) -> conv(1, 3, pad = same)", lambda x: conv(up(F.avg_pool2d(x, 4), 4))),
    "down again": ("x -> upsample(4) -> avgpool(2)", lambda x: F.avg_pool2d(up(x, 4), 2)),
    "beside its mean": ("x + (x -> global_avgpool -> reshape([1, 1, 1]))", lambda x: x + x.mean((2, 3), keepdim=True)),
    "differences": ("x[:, 1:, 1:] - x[:, :-1, :-1]", lambda x: x[:, :, 1:, 1:] - x[:, :, :-1, :-1]),
    "mirrored": ("x + reverse(x, axis = 1)", lambda x: x + x.flip(2)),
    "sums so far": ("cumsum(x, axis = 2)", lambda x: x.cumsum(3)),
    "softmax along a row": ("softmax(x, axis = 2)", lambda x: x.softmax(3)),
    "on its side": ("transpose(x -> transpose -> conv(1, [3, 1], pad = same))", lambda x: conv(x.mT, WIDE).mT),
    "mixed by a matrix": ("param M: [32, 32] = 1  z = x @ M", lambda x: x @ torch.ones(SIZE, SIZE)),
    "a row by channels, and back": (
        "r = reshape(x -> conv(1, 3, pad = same), [1, 1024])  param B: [1, 1] = 1  z = x + reshape(B @ r, [1, 32, 32])",
        lambda x: x + conv(x),
    ),
    "padded by hand": ("concat(zeros(1, 1, 32), x, axis = 1) -> conv(1, 2)", lambda x: F.conv2d(F.pad(x, (0, 0, 1, 0)), W2)),
}  # fmt: skip


def reached(net: Callable[[Image], Image]) -> list[int]:
    """The height and width of what any position reaches, at most."""
    x = torch.rand(1, 1, SIZE, SIZE, requires_grad=True)
    y = net(x)
    extents = []
    for i in range(min(y.shape[2:])):
        (g,) = torch.autograd.grad(y[0, 0, i, i], x, retain_graph=True)
        extents.append([int(seen.max() - seen.min()) + 1 for seen in torch.nonzero(g[0, 0]).T])
    return [max(extent) for extent in zip(*extents, strict=True)]


@pytest.mark.parametrize("name", NETS)
def test_a_position_sees_what_its_gradient_reaches(name: str) -> None:
    written, net = NETS[name]
    formulas = written if "z = " in written else f"z = {written}"
    nnspec.loads(f"model M {{ input x: [1, {SIZE}, {SIZE}]  {formulas}  output z  expect receptive_field(z) == {reached(net)} }}")


def test_a_token_sees_its_patch_also_beside_others() -> None:
    x, size = torch.rand(1, 1, 18, 20, requires_grad=True), [6, 5]
    row = F.conv2d(x, torch.ones(2, 1, *size), stride=size).flatten(2).mT
    tokens = torch.cat([torch.zeros(1, 1, 2), row], 1)
    seen = [torch.autograd.grad(token.sum(), x, retain_graph=True)[0][0, 0].nonzero() for token in tokens[0, 1:]]
    assert all((s.amax(0) - s.amin(0) + 1).tolist() == size for s in seen)
    made = "param cls: [1, 2] = 0  t = concat(cls, transpose(reshape(x -> conv(2, [6, 5], stride = [6, 5]), [2, 12])))  u = t -> dense(3)"
    expects = "".join(f"  expect receptive_field({v}) == {size}" for v in ("t", "t[1]", "t[1:5]", "u"))
    nnspec.loads(f"model M {{ input x: [1, 18, 20]  {made}  output t {expects} }}")


def test_positions_stay_where_they_lie_in_a_row_and_go_where_they_are_mixed() -> None:
    shaped = "b = reshape(a, [2, 36])  c = a -> flatten -> dense(3)  d = a -> global_avgpool"
    spec = nnspec.loads(f"model M {{ input x: [1, 8, 8]  a = x -> conv(2, 3)  {shaped}  output a, b, c, d }}").spec
    named = {name: spec.model.scope.names[name] for name in "abcd"}
    seen = {name: spec.model.facts.receptive_field(value.var.name) for name, value in named.items() if isinstance(value, Tensor)}
    assert seen == {"a": (3, 3), "b": (3, 3), "c": None, "d": None}
