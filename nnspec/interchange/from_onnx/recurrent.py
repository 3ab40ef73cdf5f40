"""Recurrent layers, as the formulas that ONNX defines them by, over [length, batch, ...]."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from nnspec.graph import Dim, Size, Var
from nnspec.interchange.from_onnx.call import Call, Rule
from nnspec.interchange.from_onnx.elementwise import ACTIVATIONS
from nnspec.interchange.from_onnx.moves import as_kind, between, counting, full, joined, squeezed, unsqueezed
from nnspec.interchange.lengths import BATCH_FIRST
from nnspec.loops import Carried, Item, close, of_step, stand_in
from nnspec.ops import pointwise as p
from nnspec.ops.arrange import expand, reshape, transpose
from nnspec.record import dataclass

ALPHAS = {"Affine": 1.0, "LeakyRelu": 0.01, "ThresholdedRelu": 1.0, "ScaledTanh": 1.0, "HardSigmoid": 0.2, "Elu": 1.0}
BETAS = {"Affine": 0.0, "ScaledTanh": 1.0, "HardSigmoid": 0.5}
Activation = Callable[[Var], Var]
State = tuple[Var, ...]


@dataclass(frozen=True)
class Cell:
    """One direction of a layer: weights as matrices to be multiplied by from the right, biases as rows, and what bends the gates."""

    call: Call
    r: Var
    b_r: Var
    peephole: tuple[Var, ...]
    f: Sequence[Activation]

    def clipped(self, x: Var) -> Var:
        """What goes into an activation, cut off where the node says so."""
        most = self.call.attr("clip", 0.0)
        return p.minimum(p.maximum(x, -most), most) if most else x

    def gates(self, x: Var, number: int) -> list[Var]:
        """The last axis in so many parts."""
        width = self.call.fixed(x.type.shape[-1:])[0] // number
        return [between(x, x.type.rank - 1, i * width, (i + 1) * width) for i in range(number)]


def _rnn_step(cell: Cell, x: Var, state: State) -> State:
    return (cell.f[0](cell.clipped(x + state[0] @ cell.r + cell.b_r)),)


def _gru_step(cell: Cell, x: Var, state: State) -> State:
    (h,) = state
    (x_z, x_r, x_h), (r_z, r_r, r_h), (b_z, b_r, b_h) = (cell.gates(v, 3) for v in (x, cell.r, cell.b_r))
    z = cell.f[0](cell.clipped(x_z + h @ r_z + b_z))
    r = cell.f[0](cell.clipped(x_r + h @ r_r + b_r))
    before = r * (h @ r_h + b_h) if cell.call.attr("linear_before_reset", 0) else (r * h) @ r_h + b_h
    return ((1.0 - z) * cell.f[1](cell.clipped(x_h + before)) + z * h,)


def _lstm_step(cell: Cell, x: Var, state: State) -> State:
    h, c = state
    x_i, x_o, x_f, x_c = cell.gates(x + h @ cell.r + cell.b_r, 4)
    if cell.peephole:
        x_i, x_f = x_i + cell.peephole[0] * c, x_f + cell.peephole[2] * c
    i = cell.f[0](cell.clipped(x_i))
    forget = 1.0 - i if cell.call.attr("input_forget", 0) else cell.f[0](cell.clipped(x_f))
    c = forget * c + i * cell.f[1](cell.clipped(x_c))
    o = cell.f[0](cell.clipped(x_o + cell.peephole[1] * c if cell.peephole else x_o))
    return o * cell.f[2](c), c


@dataclass(frozen=True)
class Kind:
    """A kind of layer: its step, how many states it has, and its activations where none are named."""

    step: Callable[[Cell, Var, State], State]
    states: int
    bends: tuple[str, ...]


KINDS = {
    "RNN": Kind(_rnn_step, 1, ("Tanh",)),
    "GRU": Kind(_gru_step, 1, ("Sigmoid", "Tanh")),
    "LSTM": Kind(_lstm_step, 2, ("Sigmoid", "Tanh", "Tanh")),
}


def _activation(c: Call, name: str, alphas: Iterator[float], betas: Iterator[float]) -> Activation:
    known = next((n for n in ACTIVATIONS if n.lower() == name.lower()), None)
    if known is None:
        raise c.fault("E521", f"the activation `{name}` is not imported")
    alpha = next(alphas, ALPHAS[known]) if known in ALPHAS else 0.0
    beta = next(betas, BETAS[known]) if known in BETAS else 0.0
    return lambda x: ACTIVATIONS[known](x, alpha, beta)


def _activations(c: Call, usual: tuple[str, ...]) -> list[Activation]:
    """Those of all directions; alphas and betas are for the ones that take any, in their order."""
    alphas, betas = iter(c.attr("activation_alpha", ())), iter(c.attr("activation_beta", ()))
    return [_activation(c, name, alphas, betas) for name in c.attr("activations", usual)]


def _layer(
    c: Call,
    x: Var,
    w: Var,
    r: Var,
    b: Var | None = None,
    lengths: Var | None = None,
    h: Var | None = None,
    cell_state: Var | None = None,
    peephole: Var | None = None,
) -> list[Var]:
    kind = KINDS[c.node.op_type]
    batch_first = bool(c.attr("layout", 0))
    x = transpose(x, axes=(1, 0, 2)) if batch_first else x
    (directions,) = c.fixed(w.type.shape[:1])
    starts = [_start(c, given, x, r, directions, batch_first) for given in (h, cell_state)[: kind.states]]
    bends, runs = _activations(c, kind.bends * directions), []
    for d in range(directions):
        backwards = c.attr("direction", "forward") == "reverse" or d == 1
        w_d, r_d, b_d, p_d = (squeezed(between(v, 0, d, d + 1), [0]) if v else None for v in (w, r, b, peephole))
        assert w_d is not None and r_d is not None
        cell = _cell(c, r_d, b_d, p_d, bends[d * len(kind.bends) :])
        inputs = x @ w_d.mT if b_d is None else x @ w_d.mT + between(b_d, 0, 0, c.fixed(w_d.type.shape[:1])[0])
        runs.append(_run(c, kind, cell, inputs, [s[d] for s in starts], lengths, backwards))
    whole = joined([unsqueezed(y, [1]) for y, _ in runs], 1)
    last = [joined([unsqueezed(state[i], [0]) for _, state in runs], 0) for i in range(kind.states)]
    if batch_first:
        return [transpose(whole, axes=(2, 0, 1, 3)), *(transpose(s, axes=(1, 0, 2)) for s in last)]
    return [whole, *last]


def _start(c: Call, given: Var | None, x: Var, r: Var, directions: int, batch_first: bool) -> list[Var]:
    """The state of each direction before the first step."""
    if given is None:
        return [full(c.graph, 0.0, (x.type.shape[1], r.type.shape[2]), x.type.dtype)] * directions
    given = transpose(given, axes=(1, 0, 2)) if batch_first else given
    return [squeezed(between(given, 0, d, d + 1), [0]) for d in range(directions)]


def _cell(c: Call, r: Var, b: Var | None, peephole: Var | None, bends: Sequence[Activation]) -> Cell:
    (width,) = c.fixed(r.type.shape[:1])
    b_r = full(c.graph, 0.0, (width,), r.type.dtype) if b is None else between(b, 0, width, 2 * width)
    units = c.fixed(r.type.shape[1:])[0]
    each = tuple(between(peephole, 0, i * units, (i + 1) * units) for i in range(3)) if peephole else ()
    return Cell(c, r.mT, b_r, each, bends)


def _run(
    c: Call, kind: Kind, cell: Cell, inputs: Var, starts: Sequence[Var], lengths: Var | None, backwards: bool
) -> tuple[Var, list[Var]]:
    """What one direction yields at every step, and its states after the last."""

    def step(x_t: Var, at: Var | None, state: State) -> tuple[Var, State]:
        new = kind.step(cell, x_t, state)
        if at is None or lengths is None:
            return new[0], new
        there = reshape(p.less(at, as_kind(lengths, "int64")), shape=(inputs.type.shape[1], 1))
        return p.where(there, new[0], 0.0), tuple(p.where(there, n, old) for n, old in zip(new, state, strict=True))

    length = inputs.type.shape[0]
    if of_step(inputs.type).leads_with_batch:
        return _closed(inputs, starts, lengths, length, backwards, step)
    return _unrolled(c, inputs, starts, length, backwards, step)


Step = Callable[[Var, Var | None, State], tuple[Var, State]]


def _closed(inputs: Var, starts: Sequence[Var], lengths: Var | None, length: Dim, backwards: bool, step: Step) -> tuple[Var, list[Var]]:
    """One loop over the steps of a batch."""
    graph = inputs.graph
    x_t = stand_in(graph, of_step(inputs.type))
    items = [Item(x_t, inputs)]
    at = None
    if lengths is not None:
        n = inputs.type.shape[1]
        times = expand(reshape(counting(graph, length), shape=(length, 1)), shape=(length, n))
        at = stand_in(graph, of_step(times.type))
        items.append(Item(at, times))
    before = [stand_in(graph, s.type) for s in starts]
    y, after = step(x_t, at, tuple(before))
    carried = [Carried(*each) for each in zip(before, starts, after, strict=True)]
    whole, *states = close(graph, carried, items, length, [y, *after], reverse=backwards)
    last = 0 if backwards else length - 1
    return whole, [squeezed(between(s, 0, last, last + 1), [0]) for s in states]


def _unrolled(c: Call, inputs: Var, starts: Sequence[Var], length: Dim, backwards: bool, step: Step) -> tuple[Var, list[Var]]:
    """The steps one after another, where there is no batch that a loop could be over."""
    if isinstance(length, Size):
        message = f"the number of steps, `{length}`, is known only at run time, and the second axis of its input is no batch"
        raise c.fault("E523", message, help=BATCH_FIRST)
    rows: list[Var] = []
    state = tuple(starts)
    for t in reversed(c.steps(length)) if backwards else c.steps(length):
        y, state = step(squeezed(between(inputs, 0, t, t + 1), [0]), c.graph.constant(t, "int64"), state)
        rows.append(unsqueezed(y, [0]))
    return joined(rows[::-1] if backwards else rows, 0), list(state)


RULES: dict[str, Rule] = dict.fromkeys(KINDS, _layer)
