"""Whole models of other tools: exported by PyTorch, or as ONNX's own tests keep them; and models with mistakes in them."""

from __future__ import annotations

import io
import random
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.backend.test
import pytest
import torch
from conformance import cases
from helpers import distance
from onnx import numpy_helper
from torch import nn

import nnspec
from nnspec.diagnostics import Fault
from nnspec.interchange.from_onnx import import_graph
from nnspec.interchange.read import check
from nnspec.run.ort import Session

DATA = Path(onnx.backend.test.__file__).parent / "data"

# ---- PyTorch


class Recurrent(nn.Module):
    def __init__(self, kind: Any, **how: Any) -> None:
        super().__init__()
        self.embedding, self.layer = nn.Embedding(11, 6), kind(6, 5, batch_first=True, **how)
        self.head = nn.Linear(5 * (1 + self.layer.bidirectional), 3)

    def forward(self, x: Any) -> Any:
        return self.head(self.layer(self.embedding(x))[0][:, -1])


class Causal(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words, self.places, self.norm = nn.Embedding(11, 8), nn.Embedding(32, 8), nn.LayerNorm(8)
        self.qkv, self.head = nn.Linear(8, 24), nn.Linear(8, 3)

    def forward(self, x: Any) -> Any:
        n, length = x.shape
        h = self.norm(self.words(x) + self.places(torch.arange(length)))
        q, k, v = self.qkv(h).view(n, length, 3, 2, 4).permute(2, 0, 3, 1, 4)
        h = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(n, length, 8)
        return self.head(nn.functional.gelu(h)[:, -1])


def convolutional() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1, stride=2), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 6, 3, groups=2),
        nn.GroupNorm(3, 6), nn.SiLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3),
    )  # fmt: skip


def upsampling() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.Upsample(scale_factor=2, mode="bilinear"), nn.ConvTranspose2d(4, 2, 2, stride=2),
        nn.Hardswish(), nn.Flatten(), nn.Linear(2 * 32 * 32, 3),
    )  # fmt: skip


MODELS: dict[str, Any] = {
    "convolutional": (convolutional, (4, 1, 16, 16)),
    "upsampling": (upsampling, (4, 1, 8, 8)),
    "lstm": (lambda: Recurrent(nn.LSTM), (4, 7)),
    "gru": (lambda: Recurrent(nn.GRU), (4, 7)),
    "rnn": (lambda: Recurrent(nn.RNN, nonlinearity="relu"), (4, 7)),
    "two lstms both ways": (lambda: Recurrent(nn.LSTM, num_layers=2, bidirectional=True), (4, 7)),
    "causal attention": (Causal, (4, 7)),
}


def inputs(shape: tuple[int, ...]) -> torch.Tensor:
    return torch.randint(0, 11, shape) if len(shape) == 2 else torch.randn(shape)


def exported(net: nn.Module, x: torch.Tensor) -> onnx.ModelProto:
    """What PyTorch writes, with the batch, and the length of a text, left open."""
    file, axes = io.BytesIO(), {0: "N", 1: "T"} if x.ndim == 2 else {0: "N"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(net, (x,), file, input_names=["x"], output_names=["logits"], dynamic_axes={"x": axes, "logits": {0: "N"}},
                          opset_version=17, do_constant_folding=False, dynamo=False)  # fmt: skip
    return onnx.load_from_string(file.getvalue())


@pytest.mark.parametrize("name", MODELS)
def test_a_model_of_torch_has_its_outputs_and_gradients(name: str) -> None:
    torch.manual_seed(0)
    make, shape = MODELS[name]
    net, x, y = make().eval(), inputs(shape), torch.tensor([0, 1, 2, 1])
    with torch.no_grad():
        for p in net.parameters():
            p.add_(0.1 * torch.randn_like(p))  # or arrays that are equal would be one in the file
    ours = nnspec.from_onnx(exported(net, x), target="y: class(3)", loss="cross_entropy(logits, y)")
    expected = net(x)
    assert distance(ours(x=x.numpy())["logits"], expected.detach()) < 1e-5
    loss = nn.functional.cross_entropy(expected, y)
    loss.backward()
    found, gradients = ours.gradients(x=x.numpy(), y=y.numpy())
    assert found == pytest.approx(loss.item(), rel=1e-5)
    theirs = {n: p.grad for n, p in net.named_parameters() if n in gradients and tuple(p.shape) == gradients[n].shape}
    assert theirs
    for parameter, gradient in theirs.items():
        assert distance(gradients[parameter], gradient) < 1e-4, parameter
    if x.ndim == 2:
        shorter = inputs((3, 5))
        assert distance(ours(x=shorter.numpy())["logits"], net(shorter).detach()) < 1e-5


# ---- ONNX's own files


def stored(folder: Path, kind: str) -> list[Any]:
    paths = sorted(folder.glob(f"{kind}_*.pb"))
    return [numpy_helper.to_array(onnx.TensorProto.FromString(p.read_bytes())) for p in paths]


@pytest.mark.parametrize("kind", ["pytorch-converted", "pytorch-operator"])
def test_the_models_that_onnx_keeps_of_torch_pass(kind: str) -> None:
    folders = sorted(DATA.joinpath(kind).glob("test_*"))
    assert len(folders) > 30
    for folder in folders:
        model, net = onnx.load(folder / "model.onnx"), nnspec.load(folder / "model.onnx", engine="numpy")
        for data in folder.glob("test_data_set_*"):
            got = net(**{p.name: v for p, v in zip(model.graph.input, stored(data, "input"), strict=False)})
            for port, expected in zip(model.graph.output, stored(data, "output"), strict=True):
                np.testing.assert_allclose(got[port.name], expected, 1e-3, 1e-5, err_msg=folder.name)


def with_random_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """The architecture as it is, with weights in the place of the constants that ONNX keeps to save room."""
    rng, shapes = np.random.default_rng(0), {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}
    variances = {n.input[4] for n in model.graph.node if n.op_type == "BatchNormalization"}
    constants = [n for n in model.graph.node if n.op_type == "ConstantOfShape" and n.input[0] in shapes]
    for node in constants:
        shape = shapes[node.input[0]]
        w = rng.normal(size=shape) * (2 / np.prod(shape[1:])) ** 0.5 if len(shape) > 1 else 1 + 0.1 * rng.normal(size=shape)
        w = np.abs(w) + 0.5 if node.output[0] in variances else w
        model.graph.initializer.append(numpy_helper.from_array(w.astype("float32"), node.output[0]))
        model.graph.node.remove(node)
    model.ir_version = 8  # weights need not be inputs from here on
    return model


@pytest.mark.parametrize(("name", "parameters"), [("squeezenet", 1_235_496), ("inception_v1", 6_998_552), ("densenet121", 8_062_504)])
def test_an_architecture_computes_what_onnxruntime_does(name: str, parameters: int) -> None:
    model = with_random_weights(onnx.load(DATA / "light" / f"light_{name}.onnx"))
    net = nnspec.from_onnx(model, engine="numpy")
    (port,) = net.inputs
    x = np.random.default_rng(1).normal(size=net.inputs[port].numbers).astype("float32")
    (expected,) = Session(model.SerializeToString()).run({port: x}).values()
    assert sum(p.size for p in net.params.values()) == parameters
    assert distance(next(iter(net(x).values())), expected) < 1e-5


# ---- mistakes


def broken(model: onnx.ModelProto, draw: random.Random) -> onnx.ModelProto:
    """A model with one thing in it that is otherwise."""
    model = onnx.ModelProto.FromString(model.SerializeToString())
    node = draw.choice(model.graph.node)
    numbers = [a for a in node.attribute if a.type in (a.INT, a.INTS)]
    shapes = [i.type.tensor_type.shape.dim for i in model.graph.input]
    match draw.randrange(5):
        case 0 if numbers:
            a, value = draw.choice(numbers), draw.choice([-100, -1, 0, 1, 3, 1000])
            a.i, a.ints[:] = value, [value, *a.ints[1:]] if a.ints else []
        case 1 if node.attribute:
            del node.attribute[draw.randrange(len(node.attribute))]
        case 2 if node.input:
            node.input[draw.randrange(len(node.input))] = draw.choice(["", *(i.name for i in model.graph.input)])
        case 3 if shapes:
            draw.choice(shapes).add().dim_value = draw.choice([0, 2, 77])
        case 4 if shapes:
            for dim in draw.choice(shapes):
                dim.dim_param = draw.choice("NMK")
    return model


def test_a_model_with_a_mistake_is_refused_in_words_or_read() -> None:
    draw, outcomes = random.Random(0), Counter[str]()
    for _ in range(400):
        model = broken(draw.choice(cases()).given.model, draw)
        try:
            import_graph(check(model))
            outcomes["read"] += 1
        except Fault as error:
            outcomes[error.diagnostic.code] += 1
    assert set(outcomes) == {"read", "E520", "E521", "E523", "E524"}, outcomes
