"""The faults, by kind: a file of the package, a text that stands in it once, and what a slip would have written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    kind: str
    file: str
    right: str
    wrong: str


OPS, RULES = "nnspec/ops/", "nnspec/rewrite/"

GRADIENTS = (
    (OPS + "pointwise.py", 'np.sqrt, lambda g, y, x: (g / (2.0 * y),)', 'np.sqrt, lambda g, y, x: (g / y,)'),
    (OPS + "pointwise.py", 'np.square, lambda g, y, x: (g * (2.0 * x),)', 'np.square, lambda g, y, x: (g * x,)'),
    (OPS + "pointwise.py", 'np.sin, lambda g, y, x: (g * cos(x),)', 'np.sin, lambda g, y, x: (-(g * cos(x)),)'),
    (OPS + "pointwise.py", 'np.cos, lambda g, y, x: (-(g * sin(x)),)', 'np.cos, lambda g, y, x: (g * sin(x),)'),
    (OPS + "pointwise.py", '(g * (1.0 - square(y)),), "Tanh"', '(g * (1.0 - y),), "Tanh"'),
    (OPS + "pointwise.py", '_logistic, lambda g, y, x: (g * (y * (1.0 - y)),)', '_logistic, lambda g, y, x: (g * (y * (1.0 + y)),)'),
    (OPS + "pointwise.py", '_softplus, lambda g, y, x: (g * sigmoid(x),)', '_softplus, lambda g, y, x: (g * sigmoid(-x),)'),
    (OPS + "pointwise.py", '0.5 * cast(equal(x, y)', '1.0 * cast(equal(x, y)'),
    (OPS + "pointwise.py", '(_larger(g, y, x), _larger(g, x, y)), "Min"', '(_larger(g, x, y), _larger(g, y, x)), "Min"'),
    (OPS + "pointwise.py", '(None, where(c, g, 0.0), where(c, 0.0, g))', '(None, where(c, 0.0, g), where(c, g, 0.0))'),
    (OPS + "pointwise.py", '(gate(g, y), None)', '(gate(g, x), None)'),
    (OPS + "pointwise.py", 'lambda g, out, w, v, rate: (g, -(g * rate), -(g * v))',
     'lambda g, out, w, v, rate: (g, -(g * v), -(g * rate))'),
    (OPS + "reduce.py", '_spread(g / size_var(g, _number(x.type, axes)), x, axes)', '_spread(g, x, axes)'),
    (OPS + "reduce.py", 'hit / sum(hit, axes=axes, keep=True)', 'hit'),
    (OPS + "reduce.py", 'return (y * (g - sum(g * y, axes=axes, keep=True)),)', 'return (y * (g - sum(g, axes=axes, keep=True)),)'),
    (OPS + "reduce.py", 'return (g - exp(y) * sum(g, axes=axes, keep=True),)', 'return (g - exp(y) * g,)'),
    (OPS + "reduce.py", '_spread(g, x, axes) * exp(x - _spread(y, x, axes))', '_spread(g, x, axes) * exp(x)'),
    (OPS + "arrange.py", 'tuple(axes.index(i) for i in range(len(axes)))', 'axes'),
    (OPS + "arrange.py", '(flip(g, axis=axis),)', '(g,)'),
    (OPS + "arrange.py", 'pad(g, axis=axis, before=start, after=x.type.shape[axis] - stop)',
     'pad(g, axis=axis, before=x.type.shape[axis] - stop, after=start)'),
    (OPS + "arrange.py", 'cut(g, axis=axis, start=before, stop=before + x.type.shape[axis])',
     'cut(g, axis=axis, start=0, stop=x.type.shape[axis])'),
    (OPS + "index.py", 'grad=lambda gg, out, g, i, size: (take(gg, i), None)', 'grad=lambda gg, out, g, i, size: (take(gg + gg, i), None)'),
    (OPS + "linear.py", 'return g @ y.mT, x.mT @ g', 'return g @ y.mT, (x.mT @ g) * 2.0'),
    (OPS + "linear.py", '(g @ y.mT, x.mT @ g, g * keep)', '(g @ y.mT, x.mT @ g, g)'),
    (OPS + "image.py", 'conv_input_grad(g, w, size=x.type.shape[2:], **a),', 'conv_input_grad(g, -w, size=x.type.shape[2:], **a),'),
    (OPS + "image.py", '(conv(gg, w, **a), conv_weight_grad(gg, g, kernel', '(conv(gg, w, **a), conv_weight_grad(g, gg, kernel'),
    ("nnspec/autodiff.py", 'first = length - 1 if reverse else 0', 'first = 0'),
    ("nnspec/autodiff.py", 'reverse=not reverse)', 'reverse=reverse)'),
    ("nnspec/autodiff.py", 'i < extra or (type.shape[i - extra] == 1 and shape[i] != 1)', 'i < extra'),
    ("nnspec/step.py", 'OPS["square"](w) * 0.5', 'OPS["square"](w)'),
    ("nnspec/step.py", 'if w.type.rank >= 2:', 'if w.type.rank >= 1:'),
    ("nnspec/optimization.py", '+ 1e-6), 1.0)', '+ 1e-6), 2.0)'),
)  # fmt: skip

KERNELS = (
    (OPS + "pointwise.py", 'np.multiply(out, half, out)\n        np.add(out, half, out)', 'np.multiply(out, half, out)'),
    (OPS + "pointwise.py", 'np.greater(y, zero, open_)', 'np.greater_equal(y, zero, open_)'),
    (OPS + "pool.py", 'np.greater(free, hit, free)  #', 'np.greater(free, free, free)  #'),
    (OPS + "pool.py", 'covered = all(n == k * windows', 'covered = any(n == k * windows'),
    (OPS + "windows.py", 'first = place * dilation', 'first = place'),
    (OPS + "windows.py", 'reach = dilation * (kernel - 1) + 1\n    padded', 'reach = dilation * kernel\n    padded'),
    (OPS + "windows.py", 'return [n - ((windows - 1) * s + d * (k - 1) + 1)', 'return [n - ((windows - 1) * s + d * (k - 1) + 2)'),
    (OPS + "reduce.py", 'np.subtract(z, np.log(row, row), out)', 'np.add(z, np.log(row, row), out)'),
    (OPS + "reduce.py", 'return y if keep else np.squeeze(y, axes)', 'return y - top if keep else np.squeeze(y, axes)'),
    (OPS + "index.py", 'np.add(first, column, at)\n        flat.fill(0)', 'np.add(first, column, at)'),
    (OPS + "linear.py", '< 0, -1, 1)', '> 0, -1, 1)'),
)  # fmt: skip

SHAPES = (
    (OPS + "windows.py", 'return (padded - reach) // stride + 1', 'return (padded - reach) // stride'),
    (OPS + "windows.py", 'if reach > padded:', 'if reach >= padded:'),
    (OPS + "image.py", 'if x.shape[1] != channels * groups:', 'if x.shape[1] != channels:'),
    (OPS + "image.py", '(g.shape[0], w.shape[1] * groups, *size)', '(g.shape[0], w.shape[1], *size)'),
    (OPS + "arrange.py", '_replaced(x.shape, axis, stop - start)', '_replaced(x.shape, axis, stop)'),
    (OPS + "arrange.py", '_replaced(x.shape, axis, x.shape[axis] + before + after)', '_replaced(x.shape, axis, x.shape[axis] + before)'),
    (OPS + "arrange.py", 'if count(x.shape) != count(shape):', 'if False:'),
    (OPS + "arrange.py", 'if _replaced(x.shape, axis, 0) != _replaced(first, axis, 0):', 'if False:'),
    (OPS + "index.py", 'shape=lambda x, i: (*i.shape, *x.shape[1:])', 'shape=lambda x, i: (*x.shape[1:], *i.shape)'),
    ("nnspec/graph/types.py", 'if len(dims) > 1:\n            return None', 'if len(dims) > 2:\n            return None'),
    ("nnspec/elaborate/batch.py", 'or x.shape[-1] != y.shape[-2]:', ':'),
    ("nnspec/elaborate/batch.py", 'not -rank <= a < rank:', 'not -rank <= a <= rank:'),
    ("nnspec/elaborate/batch.py", 'axes = {a % rank + t.batched for a in wanted}', 'axes = {a % rank for a in wanted}'),
    ("nnspec/elaborate/batch.py", 'shape=full), t.batched, t.origin)', 'shape=full), False, t.origin)'),
)  # fmt: skip

LOWERINGS = (
    (OPS + "pointwise.py", 'lambda o, x: o.node("Mul", x, x)', 'lambda o, x: o.node("Add", x, x)'),
    (OPS + "pointwise.py", 'o.cast(o.node("Greater", y, o.zero(y))', 'o.cast(o.node("GreaterOrEqual", y, o.zero(y))'),
    (OPS + "pointwise.py", 'o.node("Sub", w, o.node("Mul", rate, v))', 'o.node("Sub", o.node("Mul", rate, v), w)'),
    (OPS + "pointwise.py", 'o.node("And", o.node("Not", c), y)', 'o.node("And", c, y)'),
    (OPS + "pointwise.py", 'lambda o, x, y: o.node("Not", o.node("Equal", x, y))', 'lambda o, x, y: o.node("Equal", x, y)'),
    (OPS + "reduce.py", 'o.node("Softmax", x, axis=axes[0])', 'o.node("Softmax", x, axis=0)'),
    (OPS + "reduce.py", 'onnx=_onnx("ReduceMin")', 'onnx=_onnx("ReduceMax")'),
    (OPS + "reduce.py", 'axis=axis, keepdims=0)', 'axis=axis, keepdims=0, select_last_index=1)'),
    (OPS + "arrange.py", 'perm=list(axes))', 'perm=[axes.index(i) for i in range(len(axes))])'),
    (OPS + "arrange.py", 'o.shape((start,)), o.shape((stop,))', 'o.shape((start,)), o.shape((stop - start,))'),
    (OPS + "arrange.py", 'amount if i == axis else 0 for amount in (before, after)',
     'amount if i == axis else 0 for amount in (after, before)'),
    (OPS + "index.py", 'reduction="add"))', 'reduction="none"))'),
    (OPS + "linear.py", 'beta=float(keep)', 'beta=1.0'),
    (OPS + "image.py", 'strides=list(dilations), dilations=list(strides)', 'strides=list(strides), dilations=list(dilations)'),
    (OPS + "image.py", 'output_padding=missing, **a', 'output_padding=[0] * len(missing), **a'),
    ("nnspec/interchange/lowering.py", '"scan_output_directions": [1] * yielded', '"scan_output_directions": [0] * yielded'),
    ("nnspec/interchange/lowering.py", 'keepdims=int(keep))\n\n', 'keepdims=0)\n\n'),
)  # fmt: skip

REWRITES = (
    (RULES + "stability.rules", 'exp(x) / (1 + exp(x))                       => sigmoid(x)',
     'exp(x) / (1 + exp(x))                       => sigmoid(neg(x))'),
    (RULES + "stability.rules", '=> y * sigmoid(neg(x))', '=> y * sigmoid(x)'),
    (RULES + "stability.rules", 'softplus(neg(2 * x)) - 0.69', 'softplus(neg(2 * x)) + 0.69'),
    (RULES + "stability.rules", 'log(sigmoid(x))           => neg(softplus(neg(x)))', 'log(sigmoid(x))           => neg(softplus(x))'),
    (RULES + "stability.rules", 'log(1 - sigmoid(x))       => neg(softplus(x))', 'log(1 - sigmoid(x))       => softplus(x)'),
    (RULES + "stability.rules", 'where(x > 0, x, exp(x) - 1)        => where(x > 0, x, exp(minimum(x, 0)) - 1)',
     'where(x > 0, x, exp(x) - 1)        => where(x > 0, x, exp(maximum(x, 0)) - 1)'),
    (RULES + "stability.rules", 'neg(x) / y => neg(x / y)', 'neg(x) / y => neg(y / x)'),
    (RULES + "algebra.rules", 'x ^ 3 => x * square(x)', 'x ^ 3 => x + square(x)'),
    (RULES + "algebra.rules", 'x - 0 => x', 'x - 1 => x'),
    (RULES + "broadcast.rules", 'y / expand(x, shape = s) => y / x', 'y / expand(x, shape = s) => x / y'),
    (RULES + "pooling.rules", '=> relu(max_pool(x, kernel = k, strides = s, pads = p) + b) where per_channel b',
     '=> relu(max_pool(x, kernel = k, strides = s, pads = p) + b)'),
    (RULES + "export.rules", 'minimum(maximum(x, e), f) => clip(x, low = e, high = f)',
     'minimum(maximum(x, e), f) => clip(x, low = f, high = e)'),
    (RULES + "export.rules", 'where(x < 0, e * x, x) => leaky_relu', 'where(x < 0, x, e * x) => leaky_relu'),
    (RULES + "update.rules", 'x - f * y     => descend(x, y, f)', 'x - f * y     => descend(y, x, f)'),
    (RULES + "absorb.py", 'constant if op == "add" else -constant', 'constant'),
    (RULES + "absorb.py", 'constant if op == "mul" else 1.0 / constant', 'constant'),
    (RULES + "absorb.py", 'return value * (factor / first) if value and first else None',
     'return value * (factor * first) if value and first else None'),
    (RULES + "factors.py", 'return (y, _single(x)) if _is_small(x, y) else None', 'return (x, _single(y)) if _is_small(x, y) else None'),
)  # fmt: skip


def faults() -> Iterator[Fault]:
    """All of them, numbered by their order."""
    kinds = {"gradient": GRADIENTS, "kernel": KERNELS, "shape": SHAPES, "lowering": LOWERINGS, "rewrite": REWRITES}
    for kind, planted in kinds.items():
        for file, right, wrong in planted:
            yield Fault(kind, file, right, wrong)
