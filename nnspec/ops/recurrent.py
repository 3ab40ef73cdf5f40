"""Whole recurrent layers from zeros, as ONNX has them: what an export makes of the library's loops, over [length, batch, ...]."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nnspec.graph import Op
from nnspec.lazy import np

_WHY = "only an exported graph has it: training runs the loop it stands for"


def _sigmoid(x: Any) -> Any:
    return 1.0 / (1.0 + np.exp(-x))


def _lstm(x: Any, w: Any, r: Any, b: Any) -> Any:
    h = c = np.zeros((x.shape[1], len(r)), x.dtype)
    rows = []
    for gates in x @ w + b:
        i, o, f, new = np.split(gates + h @ r, 4, axis=-1)
        c = _sigmoid(f) * c + _sigmoid(i) * np.tanh(new)
        h = _sigmoid(o) * np.tanh(c)
        rows.append(h)
    return np.stack(rows)


def _gru(x: Any, w: Any, r: Any, b: Any, b_r: Any) -> Any:
    h = np.zeros((x.shape[1], len(r)), x.dtype)
    rows = []
    for now in x @ w + b:
        z, reset, new = np.split(now, 3, axis=-1)
        before_z, before_r, before = np.split(h @ r, 3, axis=-1)
        z = _sigmoid(z + before_z)
        h = (1 - z) * np.tanh(new + _sigmoid(reset + before_r) * (before + b_r)) + z * h
        rows.append(h)
    return np.stack(rows)


def _rnn(x: Any, w: Any, r: Any, b: Any) -> Any:
    h = np.zeros((x.shape[1], len(r)), x.dtype)
    rows = []
    for now in x @ w + b:
        h = np.tanh(now + h @ r)
        rows.append(h)
    return np.stack(rows)


def _onnx(kind: str, **attrs: Any) -> Callable[..., str]:
    """ONNX keeps weights as [directions, gates, inputs], and one bias for the input and one for the state side by side."""

    def write(o: Any, x: str, w: str, r: str, b: str, *b_r: str) -> str:
        hidden, gates = o.type(r).shape
        weights = [o.unsqueeze(o.node("Transpose", m, perm=[1, 0]), 0) for m in (w, r)]
        zeros = o.constant([0.0] * (gates - hidden * len(b_r)), o.type(b).dtype)
        bias = o.unsqueeze(o.node("Concat", b, zeros, *b_r, axis=0), 0)
        y = o.nodes(kind, 1, x, *weights, bias, hidden_size=hidden, **attrs)[0]
        return str(o.squeeze(y, 1))

    return write


lstm = Op(
    "lstm(x: [t, n, i], w: [i, g], r: [h, g], b: [g]) -> [t, n, h]",
    "Long short-term memory from zeros, its gates in the order input, output, forget, cell.",
    kernel=_lstm,
    onnx=_onnx("LSTM"),
    examples=("lstm([[[1]], [[1]]], [[0, 0, 0, 1]], [[0, 0, 0, 1]], [0, 0, 0, 0]) ~= [[[0.18170]], [[0.27008]]]",),
    why=_WHY,
)
gru = Op(
    "gru(x: [t, n, i], w: [i, g], r: [h, g], b: [g], b_r: [h]) -> [t, n, h]",
    "Gated recurrent units from zeros, their gates in the order update, reset, new; the reset gate acts after the product with the state.",
    kernel=_gru,
    onnx=_onnx("GRU", linear_before_reset=1),
    examples=("gru([[[1]], [[1]]], [[0, 0, 1]], [[0, 0, 1]], [0, 0, 0], [2]) ~= [[[0.48201]], [[0.72982]]]",),
    why=_WHY,
)
rnn = Op(
    "rnn(x: [t, n, i], w: [i, h], r: [h, h], b: [h]) -> [t, n, h]",
    "The plain recurrent layer from zeros, with tanh.",
    kernel=_rnn,
    onnx=_onnx("RNN"),
    examples=("rnn([[[1]], [[1]]], [[1]], [[1]], [0]) ~= [[[0.76159]], [[0.94268]]]",),
    why=_WHY,
)
