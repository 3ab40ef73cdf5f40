"""Formulas that ONNX has an op for: what an export makes of them where it finds them in a graph."""

from __future__ import annotations

import math
from typing import Any

from nnspec.graph import Mismatch, Op, Shape, Type
from nnspec.graph.op import Kernel
from nnspec.graph.types import show
from nnspec.lazy import np
from nnspec.ops.error import erf
from nnspec.ops.image import conv
from nnspec.ops.windows import Numbers

_WHY = "only an exported graph has it: training runs the formula it stands for"
_GELU_IN_ONNX = 20

# ---- products with a bias

affine = Op(
    "affine(x: [m, k], w: [k, n], b: [n]) -> [m, n]",
    "x W + b.",
    kernel=lambda x, w, b: x @ w + b,
    onnx="Gemm",
    examples=("affine([[1, 2]], [[3], [4]], [5]) == [[16]]",),
    why=_WHY,
)


def _along_channels(numbers: Any, x: Any) -> Any:
    return numbers.reshape(-1, *(1,) * (x.ndim - 2))


def _onnx_conv(o: Any, x: str, w: str, b: str, strides: Numbers, pads: Numbers, dilations: Numbers, groups: int) -> str:
    return str(o.node("Conv", x, w, b, strides=list(strides), pads=list(pads), dilations=list(dilations), group=groups))


def _conv_bias_shape(x: Type, w: Type, b: Type, **attrs: Any) -> Shape:
    shape = conv.type((x, w), attrs).shape
    if b.shape != (shape[1],):
        raise Mismatch(f"there are {shape[1]} channels, b is {show(b.shape)}", "b")
    return shape


conv_bias = Op(
    "conv_bias(x: [n, c, *s], w: [u, d, *k], b: [u], strides, pads, dilations, groups) -> [*r]",
    "A convolution with a number added to each channel.",
    kernel=lambda x, w, b, **attrs: conv.kernel(x, w, **attrs) + _along_channels(b, x),
    onnx=_onnx_conv,
    examples=(
        "conv_bias([[[1, 2, 3]]], [[[1, 1]], [[0, 1]]], [10, 20], strides = [1], pads = [0, 0], dilations = [1], groups = 1)"
        " == [[[13, 15], [22, 23]]]",
    ),
    shape=_conv_bias_shape,
    why=_WHY,
)

# ---- normalisation


def _standard(x: Any, axes: tuple[int, ...], eps: float) -> Any:
    centred = x - np.mean(x, axis=axes, keepdims=True)
    return centred / np.sqrt(np.mean(np.square(centred), axis=axes, keepdims=True) + np.asarray(eps, x.dtype))


def _last(x: Type, axes: tuple[int, ...]) -> tuple[int, ...]:
    """The sizes of these axes, which are the last ones and known."""
    first = x.rank - len(axes)
    shape = tuple(d for d in x.shape[first:] if isinstance(d, int))
    if sorted(axes) != list(range(first, x.rank)) or len(shape) < len(axes):
        raise Mismatch("ONNX normalises over the last axes, whose sizes it has to know", "x")
    return shape


def _standard_shape(x: Type, axes: tuple[int, ...], eps: float) -> Shape:
    _last(x, axes)
    return x.shape


def _layer_norm_shape(x: Type, gamma: Type, beta: Type, axes: tuple[int, ...], eps: float) -> Shape:
    if not gamma.shape == beta.shape == _last(x, axes):
        raise Mismatch(f"gain and bias are {show(gamma.shape)} and {show(beta.shape)}", "gamma")
    return x.shape


def _onnx_standard(o: Any, x: str, axes: tuple[int, ...], eps: float) -> str:
    ones = o.constant(np.ones(_last(o.type(x), axes)), o.type(x).dtype)
    return str(o.node("LayerNormalization", x, ones, axis=-len(axes), epsilon=float(eps)))


standard = Op(
    "standard(x: [*s], axes, eps) -> [*s]",
    "x with mean 0 and variance 1 over its last axes; eps is added to the variance.",
    kernel=_standard,
    onnx=_onnx_standard,
    examples=("standard([[1, 3], [2, 2]], axes = [1], eps = 3) == [[-0.5, 0.5], [0, 0]]",),
    shape=_standard_shape,
    why=_WHY,
)
layer_norm = Op(
    "layer_norm(x: [*s], gamma: [*r], beta: [*r], axes, eps) -> [*s]",
    "`standard` with a gain and a bias for each element of its axes.",
    kernel=lambda x, gamma, beta, axes, eps: _standard(x, axes, eps) * gamma + beta,
    onnx=lambda o, x, gamma, beta, axes, eps: o.node("LayerNormalization", x, gamma, beta, axis=-len(axes), epsilon=float(eps)),
    examples=("layer_norm([[1, 3]], [2, 4], [10, 0], axes = [1], eps = 3) == [[9, 2]]",),
    shape=_layer_norm_shape,
    why=_WHY,
)


def _onnx_batch_norm(o: Any, x: str, scale: str, bias: str, mean: str) -> str:
    variance = o.constant(np.ones(o.type(x).shape[1]), o.type(x).dtype)
    return str(o.node("BatchNormalization", x, scale, bias, mean, variance, epsilon=0.0))


batch_norm = Op(
    "batch_norm(x: [n, c, *s], scale: [c], bias: [c], mean: [c]) -> [n, c, *s]",
    "(x - mean) times scale plus bias, numbers of each channel.",
    kernel=lambda x, scale, bias, mean: (x - _along_channels(mean, x)) * _along_channels(scale, x) + _along_channels(bias, x),
    onnx=_onnx_batch_norm,
    examples=("batch_norm([[[1, 2], [3, 4]]], [2, 10], [0, 1], [1, 3]) == [[[0, 2], [1, 11]]]",),
    why=_WHY,
)

# ---- activations


def activation(name: str, doc: str, kernel: Kernel, onnx: Any, example: str, attributes: str = "") -> Op:
    return Op(f"{name}(x: [*s]{attributes}) -> [*s]", doc, kernel, None, onnx, (example,), pointwise=True, why=_WHY)


def _onnx_gelu(o: Any, x: str) -> str:
    if o.opset >= _GELU_IN_ONNX:
        return str(o.node("Gelu", x))
    dtype = o.type(x).dtype
    share = o.node("Add", o.node("Erf", o.node("Div", x, o.constant(math.sqrt(2), dtype))), o.constant(1, dtype))
    return str(o.node("Mul", o.node("Mul", x, share), o.constant(0.5, dtype)))


def _onnx_gelu_tanh(o: Any, x: str) -> str:
    if o.opset >= _GELU_IN_ONNX:
        return str(o.node("Gelu", x, approximate="tanh"))
    dtype = o.type(x).dtype
    cubic = o.node("Mul", o.node("Mul", x, o.node("Mul", x, x)), o.constant(0.044715, dtype))
    bent = o.node("Tanh", o.node("Mul", o.node("Add", x, cubic), o.constant(math.sqrt(2 / math.pi), dtype)))
    return str(o.node("Mul", o.node("Mul", x, o.node("Add", bent, o.constant(1, dtype))), o.constant(0.5, dtype)))


def _gelu_tanh(x: Any) -> Any:
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def _onnx_clip(o: Any, x: str, low: float, high: float) -> str:
    dtype = o.type(x).dtype
    return str(o.node("Clip", x, o.constant(low, dtype), o.constant(high, dtype)))


def _hard_sigmoid(x: Any) -> Any:
    return np.clip(x + 3, 0, 6) / 6


gelu = activation("gelu", "x times the normal distribution function.", lambda x: 0.5 * x * (1 + erf.kernel(x / math.sqrt(2))), _onnx_gelu,
                  "gelu([1, -2]) ~= [0.8413447, -0.0455003]")  # fmt: skip
gelu_tanh = activation("gelu_tanh", "The same, approximated by tanh.", _gelu_tanh, _onnx_gelu_tanh,
                       "gelu_tanh([1, -2]) ~= [0.8411920, -0.0454023]")  # fmt: skip
clip = activation("clip", "x, but not below `low` and not above `high`.", lambda x, low, high: np.clip(x, low, high), _onnx_clip,
                  "clip([-1, 2, 9], low = 0, high = 6) == [0, 2, 6]", ", low, high")  # fmt: skip


def _onnx_bent(o: Any, x: str, slope: str) -> str:
    """Of whole numbers, which the ops of that name do not take."""
    return str(o.node("Where", o.node("Less", x, o.zero(x)), o.node("Mul", slope, x), x))


def _onnx_leaky_relu(o: Any, x: str, alpha: float) -> str:
    type = o.type(x)
    return str(o.node("LeakyRelu", x, alpha=float(alpha))) if type.is_float else _onnx_bent(o, x, o.constant(alpha, type.dtype))


leaky_relu = activation("leaky_relu", "x, below 0 alpha times x.", lambda x, alpha: np.where(x < 0, alpha * x, x),
                        _onnx_leaky_relu, "leaky_relu([-2, 3], alpha = 0.5) == [-1, 3]", ", alpha")  # fmt: skip
elu = activation("elu", "x, below 0 alpha times e^x - 1.", lambda x, alpha: np.where(x < 0, alpha * np.expm1(np.minimum(x, 0)), x),
                 lambda o, x, alpha: o.node("Elu", x, alpha=float(alpha)),
                 "elu([-1, 3], alpha = 2) ~= [-1.2642411, 3.0000000]", ", alpha")  # fmt: skip
prelu = Op(
    "prelu(x: [*s], slope: [*s]) -> [*s]",
    "x, below 0 times a slope.",
    kernel=lambda x, slope: np.where(x < 0, slope * x, x),
    onnx=lambda o, x, slope: o.node("PRelu", x, slope) if o.type(x).is_float else _onnx_bent(o, x, slope),
    examples=("prelu([[-2, 3], [-1, -4]], [0.5, 2]) == [[-1, 3], [-0.5, -8]]",),
    why=_WHY,
)
softsign = activation("softsign", "x / (1 + |x|).", lambda x: x / (1 + np.abs(x)), "Softsign", "softsign([-1, 3]) == [-0.5, 0.75]")
hard_sigmoid = activation("hard_sigmoid", "A straight line from 0 at -3 to 1 at 3.", _hard_sigmoid,
                          lambda o, x: o.node("HardSigmoid", x, alpha=1 / 6, beta=0.5),
                          "hard_sigmoid([-9, 0, 9]) == [0, 0.5, 1]")  # fmt: skip
hard_swish = activation("hard_swish", "x times that.", lambda x: x * _hard_sigmoid(x), "HardSwish", "hard_swish([-9, 0, 9]) == [0, 0, 9]")
