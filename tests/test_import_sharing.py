"""Weights that a model of another tool uses several times come back as one parameter."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from test_import import check_against_torch
from torch import nn
from torch_models import Example, export

import nnspec
from nnspec.importing import import_model


class Twins(nn.Module):
    """Two uses of one encoder, of one layer or of several."""

    def __init__(self, deep: bool) -> None:
        super().__init__()
        inner = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 5), nn.Tanh(), nn.Linear(5, 4))
        self.enc = inner if deep else nn.Linear(6, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (self.enc(x[:, 0]) - self.enc(x[:, 1])) ** 2


class Language(nn.Module):
    """A table of words that is read and that words are found by, with a bias or without."""

    def __init__(self, bias: bool) -> None:
        super().__init__()
        self.words, self.mix, self.out = nn.Embedding(11, 6), nn.Linear(6, 6), nn.Linear(6, 11, bias=bias)
        self.out.weight = self.words.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(torch.tanh(self.mix(self.words(x))))


class Mirror(nn.Module):
    """A decoder by the turned weights of the encoder."""

    def __init__(self) -> None:
        super().__init__()
        self.enc, self.bias = nn.Linear(9, 4), nn.Parameter(torch.randn(9))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.tanh(self.enc(x)) @ self.enc.weight + self.bias


WORDS = torch.arange(10).reshape(2, 5)
CASES = {
    "one layer": (lambda: Twins(deep=False), torch.randn(2, 2, 6), "share enc = dense(4)", 6 * 4 + 4),
    "several layers": (lambda: Twins(deep=True), torch.randn(2, 2, 6), "share enc = block", 6 * 8 + 8 + 8 * 5 + 5 + 5 * 4 + 4),
    "a table": (lambda: Language(bias=False), WORDS, "@ transpose(words.W)", 11 * 6 + 6 * 6 + 6),
    "a table and a bias": (lambda: Language(bias=True), WORDS, "@ transpose(words.W) + bias", 11 * 6 + 6 * 6 + 6 + 11),
    "a mirror": (Mirror, torch.randn(2, 9), "@ transpose(enc.W) + bias", 9 * 4 + 4 + 9),
}


@pytest.mark.parametrize("dynamo", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_what_is_used_twice_is_owned_once(name: str, dynamo: bool, tmp_path: Path) -> None:
    torch.manual_seed(0)
    make, x, words, parameters = CASES[name]
    e = Example(make().eval(), x, "x", ("y",))
    done = import_model(export(e, tmp_path / "m.onnx", dynamo=dynamo), tmp_path / "m.nn")
    text = (tmp_path / "m.nn").read_text()
    assert words in " ".join(text.split()) and done.numbers == parameters
    net = nnspec.load(tmp_path / "m.nn")
    assert sum(p.size for p in net.params.values()) == parameters
    if x.is_floating_point():
        check_against_torch(e, net, tmp_path)
    else:
        np.testing.assert_allclose(net(x=x.numpy())["y"], e.model(x).detach().numpy(), atol=1e-5)


def test_layers_that_only_start_alike_are_their_own(tmp_path: Path) -> None:
    """Normalisations that start with ones and zeros say nothing of being one."""
    net = nn.Sequential(nn.LayerNorm(6), nn.Linear(6, 6), nn.LayerNorm(6)).eval()
    import_model(export(Example(net, torch.randn(2, 6), "x", ("y",)), tmp_path / "m.onnx"), tmp_path / "m.nn")
    assert "share" not in (tmp_path / "m.nn").read_text()


# ---- what is trained

AFFINE = """<ir_version: 9, opset_import: ["": 17]>
m (float[batch, 4] x) => (float[batch, 1] y) {
  a = MatMul(x, w)  h = Add(a, b)  r = Relu(h)  c = MatMul(r, w2)  d = Mul(c, t)  y = Add(d, b2)
}"""
ROW = """<ir_version: 9, opset_import: ["": 17]>
m (float[batch, 4] x) => (float[batch, 4] y) <int64 which = {1}> { row = Gather(kinds, which)  y = Add(x, row) }"""


def saved(text: str, folder: Path, **arrays: np.ndarray) -> Path:
    model = onnx.parser.parse_model(text)
    model.graph.initializer.extend(onnx.numpy_helper.from_array(a.astype(np.float32), n) for n, a in arrays.items())
    onnx.save(model, folder / "m.onnx")
    return folder / "m.onnx"


def gradients(net: nnspec.Net) -> list[list[float]]:
    """Those of all that is trained, by size and value and not by name."""
    rng = np.random.default_rng(1)
    _, found = net.gradients(x=rng.normal(size=(5, 4)).astype(np.float32), z=rng.normal(size=(5, 1)).astype(np.float32))
    return sorted((g.ravel().tolist() for g in found.values()), key=lambda g: (len(g), g))


@pytest.mark.parametrize("bias", [(8,), (1, 8), (1,)])
def test_what_is_trained_of_a_file_is_trained_of_its_spec(bias: tuple[int, ...], tmp_path: Path) -> None:
    """Whatever shape its tool gives a bias, and also where it is a single number."""
    shapes = {"w": (4, 8), "b": bias, "w2": (8, 1), "t": (1,), "b2": (1, 1)}
    rng = np.random.default_rng(0)
    file = saved(AFFINE, tmp_path, **{n: rng.normal(size=shape) for n, shape in shapes.items()})
    import_model(file, tmp_path / "m.nn")
    text = (tmp_path / "m.nn").read_text()
    assert ("x -> dense(8) -> relu" in text) == (bias != (1,))
    (tmp_path / "m.nn").write_text(text.replace("output y", "target z: [1]  loss mse(y, z)  output y"))
    ours, theirs = gradients(nnspec.load(tmp_path / "m.nn")), gradients(nnspec.load(file, target="z: [1]", loss="mse(y, z)"))
    assert [len(g) for g in ours] == [len(g) for g in theirs] == sorted((32, 8, 1, 1, bias[-1]))
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_a_row_of_a_table_is_trained(tmp_path: Path) -> None:
    """As that of the kind of token, which exporters choose by a constant number."""
    import_model(saved(ROW, tmp_path, kinds=np.arange(8).reshape(2, 4)), tmp_path / "m.nn")
    assert {n: a.tolist() for n, a in nnspec.load(tmp_path / "m.nn").params.items()} == {"kinds": [4, 5, 6, 7]}
