"""Normalisation over the batch, over channels, layers and groups, and losses."""

from __future__ import annotations

from functools import reduce

from nnspec.graph import Var
from nnspec.interchange.from_onnx.call import Call, Rule
from nnspec.interchange.from_onnx.moves import aligned, as_kind, between, full, gathered
from nnspec.interchange.from_onnx.roots import root
from nnspec.ops import pointwise as p
from nnspec.ops import reduce as r
from nnspec.ops.arrange import moved, pad, reshape
from nnspec.ops.index import pick

GROUP_GAINS_BY_CHANNEL = 21
EPSILON = 1e-5


def _moments(x: Var, axes: tuple[int, ...]) -> tuple[Var, Var]:
    """Mean and variance over axes, which stay as axes of length 1."""
    mean = r.mean(x, axes=axes, keep=True)
    return mean, r.mean(p.square(x - mean), axes=axes, keep=True)


def _standard(x: Var, axes: tuple[int, ...], epsilon: float) -> Var:
    mean, variance = _moments(x, axes)
    return (x - mean) / p.sqrt(variance + epsilon)


def _batch_norm(c: Call, x: Var, gain: Var, bias: Var, mean: Var, variance: Var) -> Var | tuple[Var, ...]:
    rank, epsilon = x.type.rank, c.attr("epsilon", EPSILON)
    gain, bias = (as_kind(v, x.type.dtype) for v in (gain, bias))
    if not c.attr("training_mode", 0):
        scale = gain / p.sqrt(as_kind(variance, x.type.dtype) + epsilon)
        return (x - aligned(as_kind(mean, x.type.dtype), 1, rank)) * aligned(scale, 1, rank) + aligned(bias, 1, rank)
    axes = tuple(i for i in range(rank) if i != 1)
    of_batch = _moments(x, axes)
    y = _scaled((x - of_batch[0]) / p.sqrt(of_batch[1] + epsilon), gain, bias)
    keep = c.attr("momentum", 0.9)
    running = (old * keep + reshape(new, shape=old.type.shape) * (1 - keep) for old, new in zip((mean, variance), of_batch, strict=True))
    return y, *running


def _instance_norm(c: Call, x: Var, gain: Var, bias: Var) -> Var:
    y = _standard(x, tuple(range(2, x.type.rank)), c.attr("epsilon", EPSILON))
    return _scaled(y, gain, bias)


def _scaled(y: Var, gain: Var, bias: Var) -> Var:
    """By a number for each channel."""
    return y * aligned(gain, 1, y.type.rank) + aligned(bias, 1, y.type.rank)


def _layer_norm(c: Call, x: Var, gain: Var, bias: Var | None = None) -> tuple[Var, ...]:
    axes = tuple(range(c.axis_of(x, -1), x.type.rank))
    mean, variance = _moments(x, axes)
    deviation = p.sqrt(variance + c.attr("epsilon", EPSILON))
    y = (x - mean) / deviation * gain
    return y if bias is None else y + bias, mean, 1.0 / deviation


def _rms_norm(c: Call, x: Var, gain: Var) -> Var:
    axes = tuple(range(c.axis_of(x, -1), x.type.rank))
    return x / p.sqrt(r.mean(p.square(x), axes=axes, keep=True) + c.attr("epsilon", EPSILON)) * gain


def _group_norm(c: Call, x: Var, gain: Var, bias: Var) -> Var:
    groups, (n, channels, *size) = c.attr("num_groups", 1), x.type.shape
    apart = reshape(x, shape=(n, groups, channels // groups, *size))
    y = _standard(apart, tuple(range(2, apart.type.rank)), c.attr("epsilon", EPSILON))
    if c.opset < GROUP_GAINS_BY_CHANNEL:
        return reshape(_scaled(y, gain, bias), shape=x.type.shape)
    return _scaled(reshape(y, shape=x.type.shape), gain, bias)


def _mean_variance(c: Call, x: Var) -> Var:
    mean, variance = _moments(x, tuple(c.axis(a, x.type.rank) for a in c.attr("axes", (0, 2, 3))))
    return (x - mean) / (p.sqrt(variance) + 1e-9)


def _lrn(c: Call, x: Var) -> Var:
    """Local response: over the squares of the channels nearby."""
    size, channels = c.attr("size", 1), x.type.shape[1]
    squares = pad(p.square(x), axis=1, before=(size - 1) // 2, after=size // 2)
    near = reduce(p.add, (between(squares, 1, i, channels + i) for i in range(size)))
    nearby: Var = (c.attr("bias", 1.0) + c.attr("alpha", 1e-4) / size * near) ** c.attr("beta", 0.75)
    return x / nearby


def _lp_normalisation(c: Call, x: Var) -> Var:
    """A row of zeros stays one."""
    axes = (c.axis_of(x, -1),)
    size = r.sum(p.abs(x), axes=axes, keep=True) if c.attr("p", 2) == 1 else root(r.sum(p.square(x), axes=axes, keep=True))
    return x / p.where(p.equal(size, 0.0), 1.0, size)


# ---- losses


def _nll(c: Call, log_probs: Var, target: Var, weight: Var | None = None) -> Var:
    """Minus the log-probability of the target, weighted by its class; what is ignored counts nothing."""
    ignored = c.attributes.get("ignore_index")
    there = None if ignored is None else p.not_equal(target, ignored)
    chosen = target if there is None else p.where(there, target, 0)
    losses = -pick(moved(log_probs, 1, log_probs.type.rank - 1), chosen)
    weights = full(c.graph, 1.0, losses.type.shape, losses.type.dtype) if weight is None else gathered(weight, chosen, 0)
    if there is not None:
        weights = p.where(there, weights, 0.0)
    axes, losses = tuple(range(losses.type.rank)), losses * weights
    match c.attr("reduction", "mean"):
        case "none":
            return losses
        case "sum":
            return r.sum(losses, axes=axes, keep=False)
    if weight is None and there is None:
        return r.mean(losses, axes=axes, keep=False)
    return r.sum(losses, axes=axes, keep=False) / r.sum(weights, axes=axes, keep=False)


def _cross_entropy(c: Call, scores: Var, target: Var, weight: Var | None = None) -> tuple[Var, Var]:
    log_probs = r.log_softmax(scores, axes=(1,))
    return _nll(c, log_probs, target, weight), log_probs


RULES: dict[str, Rule] = {
    "BatchNormalization": _batch_norm,
    "InstanceNormalization": _instance_norm,
    "LayerNormalization": _layer_norm,
    "RMSNormalization": _rms_norm,
    "GroupNormalization": _group_norm,
    "MeanVarianceNormalization": _mean_variance,
    "LRN": _lrn,
    "LpNormalization": _lp_normalisation,
    "NegativeLogLikelihoodLoss": _nll,
    "SoftmaxCrossEntropyLoss": _cross_entropy,
}
