"""The layers of the library against those of torch, gradients against differences, and the same in onnxruntime."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_std import check_gradients_and_export

import nnspec
from nnspec.gradcheck import random_values

torch = pytest.importorskip("torch")
F = torch.nn.functional
Tensors = dict[str, Any]

RTOL, ATOL = 1e-8, 1e-12


@dataclass(frozen=True)
class Layer:
    """A stage on an example of this type, where `T` is a run-time size, and what torch makes of it with the same parameters."""

    stage: str
    type: str
    torch: Callable[[Tensors, Any], Any]

    def model(self, type: str, s: str) -> str:
        """The parameter s has the gradient of the input; the loss bends, so that no gradient is lost where a sum is constant."""
        head = "x" if "class" in type else "x + s"
        return f"model M {{ input x: {type}  param s: {s} = 0  y = {head} -> {self.stage}  output y  loss sum(y^2 + 3 * y) }}"

    def of_fixed_length(self) -> str:
        type = self.type.replace("T", "6")
        return self.model(type, "[]" if "class" in type else type)

    def of_any_length(self) -> str:
        return self.model(self.type, "[]")


# ---- recurrent layers


def recurrent(name: str, cell: str, order: tuple[int, ...]) -> Callable[[Tensors, Any], Any]:
    """A layer of torch whose gates are those of ours in this order."""

    def run(p: Tensors, x: Any) -> Any:
        weights = gates(p, name, order)
        layer = getattr(torch.nn, cell)(x.shape[-1], len(weights["weight_hh_l0"][0]), batch_first=True, dtype=x.dtype)
        return torch.func.functional_call(layer, weights, x)[0]

    return run


def gates(p: Tensors, name: str, order: tuple[int, ...], ending: str = "l0") -> Tensors:
    w, r, b = (torch.cat([p[f"{name}.{n}"].chunk(len(order), -1)[i] for i in order], -1) for n in "WRb")
    recurrent_bias = torch.zeros_like(b)
    if f"{name}.b_R" in p:
        recurrent_bias = torch.cat([recurrent_bias[: -len(p[f"{name}.b_R"])], p[f"{name}.b_R"]])
    return {f"weight_ih_{ending}": w.T, f"weight_hh_{ending}": r.T, f"bias_ih_{ending}": b, f"bias_hh_{ending}": recurrent_bias}


def reversed_steps(layer: Callable[[Tensors, Any], Any]) -> Callable[[Tensors, Any], Any]:
    return lambda p, x: layer(p, x.flip(1)).flip(1)


def both_ways(p: Tensors, x: Any) -> Any:
    weights = gates(p, "bidirectional.forward", LSTM) | gates(p, "bidirectional.backward", LSTM, "l0_reverse")
    layer = torch.nn.LSTM(x.shape[-1], 4, batch_first=True, bidirectional=True, dtype=x.dtype)
    return torch.func.functional_call(layer, weights, x)[0]


RNN, LSTM, GRU = (0,), (0, 2, 3, 1), (1, 0, 2)
SEQUENCE = "[T, 3]"
RECURRENT = [
    Layer("rnn(4)", SEQUENCE, recurrent("rnn", "RNN", RNN)),
    Layer("rnn(4, reverse = true)", SEQUENCE, reversed_steps(recurrent("rnn", "RNN", RNN))),
    Layer("rnn(1)", SEQUENCE, recurrent("rnn", "RNN", RNN)),
    Layer("lstm(4)", SEQUENCE, recurrent("lstm", "LSTM", LSTM)),
    Layer("lstm(4, reverse = true)", SEQUENCE, reversed_steps(recurrent("lstm", "LSTM", LSTM))),
    Layer("gru(4)", SEQUENCE, recurrent("gru", "GRU", GRU)),
    Layer("gru(4, reverse = true)", SEQUENCE, reversed_steps(recurrent("gru", "GRU", GRU))),
    Layer("bidirectional(lstm, 4)", SEQUENCE, both_ways),
]


# ---- attention


def waves(p: Tensors, x: Any) -> Any:
    """The published formula, number by number (Vaswani et al. 2017, section 3.5)."""
    n = x.shape[2]
    added = torch.zeros(x.shape[1:], dtype=x.dtype)
    for position in range(x.shape[1]):
        for i in range(0, n, 2):
            angle = position / 10000 ** (i / n)
            added[position, i : i + 2] = torch.tensor([np.sin(angle), np.cos(angle)])[: n - i]
    return x + added


def heads(name: str, number: int, causal: bool = False, context: Callable[[Any], Any] = lambda x: x) -> Callable[[Tensors, Any], Any]:
    def run(p: Tensors, x: Any) -> Any:
        n, of = x.shape[-1], context(x)
        biased = f"{name}.out.b" in p
        layer = torch.nn.MultiheadAttention(n, number, bias=biased, batch_first=True, dtype=x.dtype)
        mask = torch.ones(x.shape[1], of.shape[1], dtype=torch.bool).triu(1) if causal else None
        return torch.func.functional_call(layer, projections(p, name, biased), (x, of, of), {"attn_mask": mask})[0]

    return run


def projections(p: Tensors, name: str, biased: bool = True) -> Tensors:
    """The four dense layers of ours in the names of torch, where the keys have a bias that changes nothing."""
    weights = torch.cat([p[f"{name}.{layer}.W"] for layer in ("query", "key", "value")], -1)
    found = {"in_proj_weight": weights.T, "out_proj.weight": p[f"{name}.out.W"].T}
    if biased:
        query, value = p[f"{name}.query.b"], p[f"{name}.value.b"]
        found |= {"in_proj_bias": torch.cat([query, torch.ones_like(query), value]), "out_proj.bias": p[f"{name}.out.b"]}
    return found


def dot_products(p: Tensors, x: Any, causal: bool = False) -> Any:
    return F.scaled_dot_product_attention(x, x.sin()[..., 1:, :], x.cos()[..., 1:, :], is_causal=causal)


def affine(p: Tensors, name: str) -> Tensors:
    return {"weight": p[f"{name}.W"].T, "bias": p[f"{name}.b"]}


def block(number: int, ffn: int, causal: bool, act: Callable[[Any], Any]) -> Callable[[Tensors, Any], Any]:
    ours = "transformer_block"

    def run(p: Tensors, x: Any) -> Any:
        attention = {f"self_attn.{n}": w for n, w in projections(p, f"{ours}.multihead_attention").items()}
        dense = {f"linear{i}.{n}": w for i, d in ((1, "dense"), (2, "dense_2")) for n, w in affine(p, f"{ours}.{d}").items()}
        norms = {f"norm{i}.{n}": p[f"{ours}.{d}.{o}"] for i, d in ((1, "layernorm"), (2, "layernorm_2")) for n, o in NORM.items()}
        options: Any = {"batch_first": True, "norm_first": True, "dtype": x.dtype}
        layer = torch.nn.TransformerEncoderLayer(x.shape[-1], number, ffn, dropout=0, activation=act, **options)
        mask = {"src_mask": torch.nn.Transformer.generate_square_subsequent_mask(x.shape[1], dtype=x.dtype)} if causal else {}
        return torch.func.functional_call(layer, {**attention, **dense, **norms}, (x,), mask)

    return run


NORM = {"weight": "gamma", "bias": "beta"}
KEYS = "sin(x + s)[:, 1:], cos(x + s)[:, 1:]"
HEADS = "multihead_attention"
ATTENTION = [
    Layer("embedding(9, 4)", "class(9)[T]", lambda p, x: F.embedding(x, p["embedding.W"])),
    Layer("embedding(5, 4)", "class(5)", lambda p, x: F.embedding(x, p["embedding.W"])),
    Layer("positional", "[T, 6]", waves),
    Layer("positional", "[T, 3]", waves),
    Layer("learned_positional(8)", "[T, 3]", lambda p, x: x + p["learned_positional.W"][: x.shape[1]]),
    Layer(f"attention({KEYS})", "[2, T, 4]", dot_products),
    Layer(f"attention({KEYS}, causal = true)", "[2, T, 4]", partial(dot_products, causal=True)),
    Layer(f"{HEADS}(2)", "[T, 6]", heads(HEADS, 2)),
    Layer(f"{HEADS}(3, causal = true, bias = false)", "[T, 6]", heads(HEADS, 3, causal=True)),
    Layer(f"{HEADS}(2, context = sin(x + s)[2:, :4])", "[T, 4]", heads(HEADS, 2, context=lambda x: x[:, 2:].sin())),
    Layer("transformer_block(2)", "[T, 4]", block(2, 16, False, partial(F.gelu, approximate="tanh"))),
    Layer("transformer_block(2, ffn = 5, causal = true, act = relu)", "[T, 4]", block(2, 5, True, F.relu)),
    Layer("residual(tanh)", "[T, 4]", lambda p, x: x + x.tanh()),
    Layer("residual(prelu)", "[4]", lambda p, x: x + F.prelu(x, p["residual.prelu.alpha"].reshape(1))),
]

# ---- images


def convolution(axes: int, name: str = "conv", **options: Any) -> Callable[[Tensors, Any], Any]:
    run = (F.conv1d, F.conv2d, F.conv3d)[axes - 1]
    return lambda p, x: run(x, p[f"{name}.W"], p.get(f"{name}.b"), **options)


def backwards(axes: int, **options: Any) -> Callable[[Tensors, Any], Any]:
    run = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[axes - 1]
    return lambda p, x: run(x, p["conv_transpose.W"], p.get("conv_transpose.b"), **options)


def separated(p: Tensors, x: Any) -> Any:
    each = convolution(2, "separable.depthwise.conv", stride=2, padding=1, groups=4)(p, x)
    return convolution(2, "separable.conv")(p, each)


IMAGES = [
    Layer("conv(3, 3)", "[2, 7]", convolution(1)),
    Layer("conv(4, 3, pad = same, dilation = 2, groups = 2)", "[4, T]", convolution(1, padding="same", dilation=2, groups=2)),
    Layer("conv(3, [3, 2], stride = [2, 1], pad = [1, 0], bias = false)", "[2, 6, 5]", convolution(2, stride=(2, 1), padding=(1, 0))),
    Layer("conv(2, 2, pad = 1)", "[2, 3, 4, 2]", convolution(3, padding=1)),
    Layer("conv(2, [1, 3, 2], stride = [1, 2, 1])", "[2, 3, 4, 2]", convolution(3, stride=(1, 2, 1))),
    Layer("depthwise(3, pad = same)", "[3, 5, 4]", convolution(2, "depthwise.conv", padding="same", groups=3)),
    Layer("depthwise(3, stride = 2)", "[3, 9]", convolution(1, "depthwise.conv", stride=2, groups=3)),
    Layer("separable(5, 3, stride = 2, pad = 1)", "[4, 6, 5]", separated),
    Layer("maxpool(2)", "[2, 6]", lambda p, x: F.max_pool1d(x, 2)),
    Layer("maxpool([2, 1], stride = 1)", "[2, 4, 3]", lambda p, x: F.max_pool2d(x, (2, 1), 1)),
    Layer("maxpool(2, pad = 1)", "[1, 4, 3, 2]", lambda p, x: F.max_pool3d(x, 2, padding=1)),
    Layer("avgpool(2)", "[2, 6]", lambda p, x: F.avg_pool1d(x, 2)),
    Layer("avgpool(3, stride = 2, pad = 1)", "[2, 5, 4]", lambda p, x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False)),
    Layer("maxpool(3, stride = 2, ceil_mode = true)", "[2, 6, 5]", lambda p, x: F.max_pool2d(x, 3, 2, ceil_mode=True)),
    Layer("maxpool(2, pad = 1, ceil_mode = true)", "[2, 5]", lambda p, x: F.max_pool1d(x, 2, padding=1, ceil_mode=True)),
    Layer("avgpool(3, stride = 2, pad = 1, ceil_mode = true)", "[2, 6, 4]", lambda p, x: F.avg_pool2d(x, 3, 2, 1, True, False)),
    Layer("avgpool(2, stride = 3, ceil_mode = true)", "[1, 4, 3, 2]", lambda p, x: F.avg_pool3d(x, 2, 3, ceil_mode=True)),
    Layer("avgpool([1, 2, 2])", "[2, 3, 4, 2]", lambda p, x: F.avg_pool3d(x, (1, 2, 2))),
    Layer("conv_transpose(3, 4, stride = 2)", "[2, 5]", backwards(1, stride=2)),
    Layer("conv_transpose(4, 3, pad = 1, groups = 2)", "[2, T]", backwards(1, padding=1, groups=2)),
    Layer(
        "conv_transpose(4, [3, 2], stride = [2, 1], pad = [1, 0], output_pad = [1, 0], groups = 2)",
        "[2, 4, 3]",
        backwards(2, stride=(2, 1), padding=(1, 0), output_padding=(1, 0), groups=2),
    ),
    Layer("conv_transpose(3, 3, pad = 2, output_pad = 1, dilation = 2)", "[2, 5]", backwards(1, padding=2, output_padding=1, dilation=2)),
    Layer(
        "conv_transpose(2, [3, 2], stride = [2, 1], pad = [1, 2], output_pad = [2, 2], dilation = 3)",
        "[2, 4, 6]",
        backwards(2, stride=(2, 1), padding=(1, 2), output_padding=(2, 2), dilation=3),
    ),
    Layer("conv_transpose(2, 2, stride = 2, bias = false)", "[3, 2, 2, 1]", backwards(3, stride=2)),
    Layer("upsample(3)", "[2, T]", lambda p, x: F.interpolate(x, scale_factor=3)),
    Layer("upsample([2, 3])", "[2, 3, 2]", lambda p, x: F.interpolate(x, scale_factor=(2, 3))),
    Layer("upsample(2)", "[2, 3, 1, 2]", lambda p, x: F.interpolate(x, scale_factor=2)),
    Layer("pad(2)", "[2, T]", lambda p, x: F.pad(x, (2, 2))),
    Layer("pad([1, 0])", "[2, 2, 3]", lambda p, x: F.pad(x, (0, 0, 1, 1))),
    Layer("pad(1)", "[2, 1, 2, 2]", lambda p, x: F.pad(x, (1,) * 6)),
    Layer("crop(1)", "[2, T]", lambda p, x: x[:, :, 1:-1]),
    Layer("crop([0, 2])", "[2, 3, 5]", lambda p, x: x[..., 2:-2]),
    Layer("crop(1)", "[2, 3, 4, 3]", lambda p, x: x[:, :, 1:-1, 1:-1, 1:-1]),
    Layer("global_avgpool", "[3, 4, 5]", lambda p, x: F.adaptive_avg_pool2d(x, 1)[..., 0, 0]),
    Layer("global_avgpool", "[3, T]", lambda p, x: F.adaptive_avg_pool1d(x, 1)[..., 0]),
    Layer("global_maxpool", "[3, 4, 5]", lambda p, x: F.adaptive_max_pool2d(x, 1)[..., 0, 0]),
    Layer("global_maxpool", "[2, 3, T, 2]", lambda p, x: F.adaptive_max_pool3d(x, 1)[..., 0, 0, 0]),
]

# ---- shapes, and models of one number


def linear(name: str) -> Callable[[Tensors, Any], Any]:
    return lambda p, x: F.linear(x, **affine(p, f"{name}.dense"))[..., 0]


PLAIN = [
    Layer("reshape([2, 3])", "[3, 2]", lambda p, x: x.reshape(-1, 2, 3)),
    Layer("transpose", "[T, 2]", lambda p, x: x.mT),
    Layer("transpose([2, 0, 1])", "[2, 3, T]", lambda p, x: x.permute(0, 3, 1, 2)),
    Layer("[identity, tanh] -> concat(axis = -1)", "[T, 2]", lambda p, x: torch.cat([x, x.tanh()], -1)),
    Layer("[identity, tanh] -> stack", "[T, 2]", lambda p, x: torch.stack([x, x.tanh()], 1)),
    Layer("[identity, tanh] -> add", "[T, 2]", lambda p, x: x + x.tanh()),
    Layer("squeeze", "[1, T, 1]", lambda p, x: x[:, 0, :, 0]),
    Layer("linear", "[5]", linear("linear")),
    Layer("linear", "[T, 5]", linear("linear")),
    Layer("logistic", "[5]", lambda p, x: linear("logistic")(p, x).sigmoid()),
    Layer("dropout(0)", "[5]", lambda p, x: x),
]

LAYERS = pytest.mark.parametrize("layer", [*RECURRENT, *ATTENTION, *IMAGES, *PLAIN], ids=lambda layer: layer.stage)


def randomised(net: nnspec.Net) -> Tensors:
    """Every parameter drawn anew, so that none that starts at 0 or 1 hides a mistake, and the same for torch."""
    rng = np.random.default_rng(1)
    for value in net.params.values():
        value[...] = rng.normal(0, 0.5, value.shape)
    return {n: torch.tensor(v).requires_grad_() for n, v in net.params.items()}


@LAYERS
def test_a_layer_and_all_its_gradients_equal_torch(layer: Layer) -> None:
    net = nnspec.loads(layer.of_fixed_length(), dtype="float64").init(0)
    parameters = randomised(net)
    x = random_values(net.inputs["x"].bound({"batch": 3, "T": 4}), np.random.default_rng(0))
    y = layer.torch(parameters, torch.tensor(x) + parameters["s"] if x.dtype.kind == "f" else torch.tensor(x))
    np.testing.assert_allclose(net(x=x)["y"], y.detach(), RTOL, ATOL)
    ((y**2 + 3 * y).sum() / len(y) + 0 * parameters["s"].sum()).backward()
    for name, gradient in net.gradients(x=x)[1].items():
        np.testing.assert_allclose(gradient, parameters[name].grad, RTOL, ATOL, err_msg=name)


@LAYERS
def test_a_layer_has_the_right_gradient_here_and_in_onnxruntime(layer: Layer, tmp_path: Path) -> None:
    check_gradients_and_export(nnspec.loads(layer.of_any_length()), tmp_path / "m.onnx")


def test_the_bias_of_the_forget_gate_starts_open() -> None:
    model = "model M {{ input x: [5, 3]  output y = x -> lstm({}) }}"
    forget = slice(4, 6)
    for stage, start in {"2": 1, "2, forget_bias = 0": 0, "2, forget_bias = 2.5": 2.5}.items():
        b = nnspec.loads(model.format(stage)).init(0).params["lstm.b"]
        assert (b[forget] == start).all() and not np.delete(b, forget).any()


# ---- what is drawn while training


def gain(stage: str) -> tuple[Any, Any]:
    """What a stage makes of ones in use, and the gradient of its sum for each of them while training."""
    text = f"model M {{ input x: [4000]  param s: [4000] = 0  y = x + s -> {stage}  output y  loss sum(y^2) / 2 }}"
    net, ones = nnspec.loads(text, dtype="float64").init(0), np.ones((1, 4000))
    return net(x=ones)["y"], net.gradients(x=ones)[1]["s"]


def test_dropout_classic_leaves_kept_units_alone_and_scales_in_use() -> None:
    used, trained = gain("dropout_classic(0.7)")
    assert (used == 0.7).all() and set(trained) == {0.0, 1.0}
    assert abs(trained.mean() - 0.7) < 0.03


def test_gaussian_noise_is_there_in_training_only() -> None:
    used, trained = gain("gaussian_noise(0.5)")
    assert (used == 1).all()
    assert abs(trained.mean() - 1) < 0.03 and abs(trained.std() - 0.5) < 0.03


@pytest.mark.parametrize("stage", ["dropout_classic(0)", "dropout_classic(1.1)", "gaussian_noise(-1)"])
def test_shares_and_deviations_have_limits(stage: str) -> None:
    with pytest.raises(nnspec.SpecError, match="E207"):
        nnspec.loads(f"model M {{ input x: [3]  output y = x -> {stage} }}")


@pytest.mark.parametrize("stage", ["dropout_classic(0.7)", "gaussian_noise(0.5)", "transformer_block(2, rate = 0.5)"])
def test_a_drawing_layer_has_the_right_gradient_here_and_in_onnxruntime(stage: str, tmp_path: Path) -> None:
    check_gradients_and_export(nnspec.loads(Layer(stage, "[T, 4]", lambda p, x: x).of_any_length()), tmp_path / "m.onnx")


@pytest.mark.parametrize("shape", ["[5]", "[2, 3, 3, 3, 3]"])
@pytest.mark.parametrize("stage", ["conv(2, 3)", "depthwise(3)", "maxpool(2)", "avgpool(2)"])
def test_what_is_no_image_is_refused(stage: str, shape: str) -> None:
    with pytest.raises(nnspec.SpecError, match=r"E202.* an image is \[channels, height, width\]") as error:
        nnspec.loads(f"model M {{ input x: {shape}  output y = x -> {stage} }}")
    assert "<text>:1:" in str(error.value)


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        ("crop(3)", "E205.* nothing lies from 3 up to 2"),
        ("crop(-1)", "E106.* a whole number from 0, not -1"),
        ("crop([1, 1, 1])", r"E207.* size\(by\) == axes"),
        ("conv(2, 0)", "E106.* a size is a whole number from 1, not 0"),
        ("conv(2, [3, 1.5])", "E106.* a size is a whole number from 1, not 1.5"),
        ("pad(-1)", "E106.* a whole number from 0, not -1"),
        ("pad([1, 1, 1])", r"E207.* size\(by\) == axes"),
        ("flatten -> pad(1)", r"E202.* expected \[channels, n, \*s\]"),
        ("flatten -> upsample(2)", r"E202.* expected \[channels, n, \*s\]"),
        ("upsample(1.5)", "E106.* a shape is a list of sizes"),
        ("upsample(0)", "E106.* whole numbers from 1"),
        ("flatten -> crop(1)", r"E202.* expected \[channels, n, \*s\]"),
        ("flatten -> global_avgpool", r"E202.* expected \[channels, n, \*s\]"),
        ("conv(2, [3, 3, 3])", r"E207.* size\(kernel\) == axes"),
    ],
)
def test_an_image_has_positions_and_an_argument_a_number_for_each_axis(stage: str, message: str) -> None:
    with pytest.raises(nnspec.SpecError, match=message):
        nnspec.loads(f"model M {{ input x: [2, 5, 5]  output y = x -> {stage} }}")


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        ("multihead_attention(0)", "E207.* heads >= 1"),
        ("multihead_attention(3)", "E207.* n % heads == 0"),
        ("positional(0)", "E207.* base > 0"),
        ("lstm(0)", "E106.* a size is a whole number from 1"),
        ("learned_positional(4)", r"E201.* \[5, 4\] and \[4, 4\]"),
        ("bidirectional(dense, 3)", "E102.* `dense` has no argument `reverse`"),
        ("residual(dense)", "E103.* `dense` is missing `units`"),
    ],
)
def test_a_sequence_layer_says_what_does_not_fit_where_it_is_called(stage: str, message: str) -> None:
    with pytest.raises(nnspec.SpecError, match=message) as error:
        nnspec.loads(f"model M {{ input x: [5, 4]  output y = x -> {stage} }}")
    assert "<text>:1:" in str(error.value)
