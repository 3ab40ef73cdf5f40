"""Gradients, graph to graph: every partial derivative is built once, shared, and can be differentiated again."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import reduce
from operator import add

from nnspec.graph import Dim, Graph, Node, Type, Var
from nnspec.graph.loop import KINDS, Loop
from nnspec.graph.types import count
from nnspec.loops import Carried, Item, apart, close, of_step, stand_in
from nnspec.ops.arrange import concat, cut, expand, reshape, transpose
from nnspec.ops.loop import scan
from nnspec.ops.pointwise import where
from nnspec.ops.reduce import sum as sum_over
from nnspec.sides import Choices, choices, cut_off, leaving


def gradients(graph: Graph, of: str, wrt: Sequence[str]) -> list[Var]:
    """The gradient of the sum of node `of` with respect to each node of `wrt`, as nodes of role backward."""
    type = graph[of].type
    with graph.at(role="backward"):
        return pull_back(graph, [(of, expand(graph.constant(1.0, type.dtype), shape=type.shape))], wrt)


def pull_back(graph: Graph, seeds: Iterable[tuple[str, Var]], wrt: Sequence[str], ends: Collection[str] = ()) -> list[Var]:
    """What gradients at some nodes, the seeds, come to at the nodes of `wrt`; those at `ends` are not sent on."""
    parts: dict[str, list[Var]] = {}
    for name, seed in seeds:
        parts.setdefault(name, []).append(seed)
    dependent = graph.dependents(wrt)
    on_the_way = graph.needed(parts) & dependent - {*ends}
    sides = choices(graph, on_the_way, {*parts, *wrt, *ends})
    for node in [n for n in reversed(list(graph)) if n.name in on_the_way]:
        if node.op is scan or (node.inputs and node.name in parts):
            _differentiate(graph, node, parts, dependent, sides)
    return [reduce(add, parts[name]) if name in parts else _zero(graph, graph[name].type) for name in wrt]


def _differentiate(graph: Graph, node: Node, parts: dict[str, list[Var]], dependent: set[str], sides: Mapping[str, Choices]) -> None:
    """Send the gradient of a node on to those of its inputs that matter."""
    own = sides.get(node.name, ())
    with graph.at(span=node.span):
        inputs = [graph.var(i) for i in node.inputs]
        for place, (source, share) in enumerate(zip(inputs, _shares(graph, node, inputs, parts, own), strict=True)):
            if share is not None and source.name in dependent and source.type.is_float:
                arriving = cut_off(share, leaving(node, place, own)[len(sides.get(source.name, ())) :])
                parts.setdefault(source.name, []).append(unbroadcast(arriving, source.type))


def _shares(graph: Graph, node: Node, inputs: Sequence[Var], parts: dict[str, list[Var]], own: Choices) -> Sequence[Var | None]:
    """The share of each input in the gradient of a node; through a choice all of it goes to either side, to be cut off later."""
    if node.op is scan:
        readers = {n.attributes["start"]: parts[n.name][0] for n in graph if n.inputs == (node.name,) and n.name in parts}
        return _through_time(graph, node, readers) if readers else [None] * len(inputs)
    total = reduce(add, parts[node.name])
    parts[node.name] = [total]
    if node.op is where:
        return None, total, total
    total = total if node.op.pointwise else cut_off(total, own)
    return node.op.grad(total, graph.var(node.name), *inputs, **node.attributes) if node.op.grad else [None] * len(inputs)


def _zero(graph: Graph, type: Type) -> Var:
    return expand(graph.constant(0.0, type.dtype), shape=type.shape)


def _through_time(graph: Graph, node: Node, g: Mapping[Dim, Var]) -> list[Var | None]:
    """Backpropagation through time (Werbos 1990): a loop the other way that carries the gradients of the carried values.

    `g` are the gradients of what the steps yield, by where it starts in the value of the loop.
    Each step is computed again from the carried values before it, for all steps at once; but for what it has yielded.
    """
    a, inputs = node.attributes, [graph.var(i) for i in node.inputs]
    loop, n, length, reverse = a["body"], a["carries"], a["length"], a["reverse"]
    starts, sequences, given = inputs[:n], inputs[n : n + a["items"]], inputs[n + a["items"] :]
    outs = apart(graph.var(node.name), loop, length)
    assert len(outs) >= n, "a loop that was trimmed cannot be differentiated"
    after_each = [_as_carried(loop.body, i, out) for i, out in enumerate(outs[:n])]
    before = [_item(graph, _shifted(s, c, length, reverse)) for s, c in zip(starts, after_each, strict=True)]
    items = [_item(graph, s) for s in sequences]
    arriving = {i: _item(graph, g[out.node.attributes["start"]]) for i, out in enumerate(outs) if out.node.attributes["start"] in g}
    after = {i: stand_in(graph, s.type) for i, s in enumerate(starts) if s.type.is_float}
    values = _step(graph, loop, before, items, given)
    done = [Item(graph.var(values[f"out:{i}"]), out) for i, out in enumerate(outs) if loop.body[loop.body.outputs[f"out:{i}"]].inputs]
    seeds = [(values[f"out:{i}"], item.at_step) for i, item in arriving.items()]
    seeds += [(values[f"carry:{i}"], dc) for i, dc in after.items()]
    inside, outside = ([v.name for v in values] for values in ((*_at_step(before), *_at_step(items)), given))
    found = pull_back(graph, seeds, [*inside, *outside], ends=outside)  # of what is given, one may be made of another
    carried = [Carried(dc, _zero(graph, dc.type), found[i]) for i, dc in after.items()]
    over_time = close(graph, carried, [*before, *items, *arriving.values(), *done], length, found, reverse=not reverse)
    first = length - 1 if reverse else 0
    of_given = {v.name: _over_steps(d, v) for d, v in zip(over_time[n + len(items) :], given, strict=True)}
    return [
        *(reshape(cut(d, axis=0, start=first, stop=first + 1), shape=s.type.shape) for d, s in zip(over_time, starts, strict=False)),
        *over_time[n : n + len(items)],
        *(of_given.pop(v.name, None) for v in given),  # what is given twice has the gradient of both uses
    ]


def _as_carried(body: Graph, number: int, out: Var) -> Var:
    """A carried value after each step, from what is yielded in its place: where its batch is not in front, it is seen otherwise."""
    name, carry = body.outputs[f"out:{number}"], body.outputs[f"carry:{number}"]
    while name != carry:
        view = body[name]
        assert view.op in (reshape, transpose), "a loop that was trimmed cannot be differentiated"
        name = view.inputs[0]
        if view.op is transpose:
            axes = view.attributes["axes"]
            out = transpose(out, axes=(0, *(1 + axes.index(i) for i in range(len(axes)))))
        else:
            out = reshape(out, shape=(out.type.shape[0], *body[name].type.shape))
    return out


def _item(graph: Graph, sequence: Var) -> Item:
    return Item(stand_in(graph, of_step(sequence.type)), sequence)


def _at_step(items: Sequence[Item]) -> list[Var]:
    return [i.at_step for i in items]


def _step(graph: Graph, loop: Loop, before: Sequence[Item], items: Sequence[Item], given: Sequence[Var]) -> dict[str, str]:
    """The formulas of one step on stand-ins, by the public names of the body's outputs."""
    groups = zip(KINDS, (_at_step(before), _at_step(items), given), strict=True)
    known = {f"{kind}:{i}": value.name for kind, values in groups for i, value in enumerate(values)}
    moved = graph.insert(loop.body, loop.body.outputs.values(), known)
    return {public: moved[name] for public, name in loop.body.outputs.items()}


def _shifted(start: Var, out: Var, length: Dim, reverse: bool) -> Var:
    """The carried value before each step, from that after each."""
    first = reshape(start, shape=(1, *start.type.shape))
    if reverse:
        return concat(cut(out, axis=0, start=1, stop=length), first, axis=0)
    return concat(first, cut(out, axis=0, start=0, stop=length - 1), axis=0)


def _over_steps(d: Var, given: Var) -> Var:
    """A gradient of what all steps share; that of one number for all examples is a sum already."""
    return d if d.type.shape == given.type.shape else sum_over(d, axes=(0,), keep=False)


def unbroadcast(g: Var, type: Type) -> Var:
    """A gradient summed over the axes along which its value was broadcast."""
    shape, extra = g.type.shape, g.type.rank - type.rank
    if shape == type.shape:
        return g
    axes = tuple(i for i in range(len(shape)) if i < extra or (type.shape[i - extra] == 1 and shape[i] != 1))
    if len(axes) > 1 and axes == tuple(range(len(axes))):
        # All rows as one axis, as the product for the gradient of a weight has them too.
        g, axes = reshape(g, shape=(count(shape[: len(axes)]), *shape[len(axes) :])), (0,)
    summed = sum_over(g, axes=axes, keep=False) if axes else g
    return summed if summed.type.shape == type.shape else reshape(summed, shape=type.shape)
