"""Which output says which target, or what comes next: one that a loss or metric compares with it, or that is made of the same scores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from nnspec.graph import BATCH, Graph, Node, Shape, Type
from nnspec.lazy import np
from nnspec.rewrite import STABLE, rewrite

RISING = ("exp", "log", "sqrt", "tanh", "sigmoid", "softplus", "softmax", "log_softmax", "relu", "rank_of", "cast", "reshape")
"""What keeps the order of its numbers, the classes of an example or one number of each."""
SCALING, BOUNDING, COMPARING = ("mul", "div"), ("add", "maximum", "minimum"), ("greater", "greater_equal")
OF_LOGITS = ("sigmoid", "softplus")


class Answer(NamedTuple):
    """What an output says of a target: the class of its largest number, or class 1 where its one number is above a threshold."""

    target: str
    threshold: float | None = None


class Continuation(NamedTuple):
    """Which output has a number for each class that an input may go on with, and how many places of the input it was trained to see."""

    output: str
    window: int | None = None


def answers(graph: Graph, targets: Mapping[str, Type]) -> dict[str, Answer]:
    """Of the public outputs of a graph, those that say a target that is one class, by what its losses and metrics compare it with."""
    scores = {name: _compared(graph, name) for name, type in targets.items() if type.classes and type.rank == 1}
    found = {}
    for public, node in graph.outputs.items():
        kind, _, output = public.partition(":")
        own = {*_made_of(graph, node)} if kind == "output" and scores else set()
        if len(tied := [target for target, compared in scores.items() if own & compared]) == 1:
            shape, classes = graph[node].type.shape[1:], targets[tied[0]].classes
            if shape == (classes,):
                found[output] = Answer(tied[0])
            elif classes == 2 and _wide(graph, node) == (BATCH,) and (threshold := _threshold(graph, public)) is not None:
                found[output] = Answer(tied[0], threshold)
    return found


def next_of(graph: Graph, targets: Mapping[str, Type], classes: int) -> str | None:
    """The output with a number for each of these classes that the losses and metrics of a graph compare with a target of as many.

    Where they compare none of several, it is one that no other of them is made of.
    """
    outputs = {public.removeprefix("output:"): node for public, node in graph.outputs.items() if public.startswith("output:")}
    wide = {name: node for name, node in outputs.items() if graph[node].type.rank in (2, 3) and graph[node].type.shape[-1] == classes}
    compared = {made for name, type in targets.items() if type.classes == classes for made in _compared(graph, name)}
    tied = [name for name, node in wide.items() if not compared.isdisjoint(_made_of(graph, node))]
    before = {node for made in wide.values() for node in graph.needed([made]) - {made}}
    return next(iter(tied or [name for name, node in wide.items() if node not in before]), None)


def _compared(graph: Graph, target: str) -> set[tuple[str, int]]:
    """The values that a target meets in a comparison, and what these are made of."""
    others = graph.dependents(n.name for n in graph if n.op.is_source and n.name != target)
    alone = graph.dependents([target]) - others
    meeting = (n for n in graph if (n.op.pointwise or n.op.name in ("pick", "matmul")) and not alone.isdisjoint(n.inputs))
    met = {i for n in meeting for i in n.inputs if i in others}
    return {made for value in met for made in _made_of(graph, value)}


def _made_of(graph: Graph, name: str) -> Iterator[tuple[str, int]]:
    """A value and those before it that rank the classes of an example, or the examples, in the same order, or with -1 in the opposite."""
    sign = 1
    yield name, sign
    while step := _before(graph, graph[name]):
        name, sign = step[0], sign * step[1]
        yield name, sign


def _before(graph: Graph, node: Node) -> tuple[str, int] | None:
    """The one input whose order a node keeps, or turns around."""
    op, first = node.op.name, next(iter(node.inputs), "")
    if op in RISING and _wide(graph, first) == _wide(graph, node.name):
        return first, 1
    if op == "neg":
        return first, -1
    if op == "one_hot" or (op == "argmax" and node.attributes["axis"] == graph[first].type.rank - 1):
        return first, 1
    if op in (*SCALING, *BOUNDING, *COMPARING, "sub"):
        return _beside_what_is_alike(graph, node)
    return None


def _beside_what_is_alike(graph: Graph, node: Node) -> tuple[str, int] | None:
    """The one of two inputs that the other moves or scales alike for all classes, or for all examples where there is one number of each."""
    left, right = node.inputs
    name, other = (left, right) if _is_alike(graph, right, node) else (right, left)
    if not _is_alike(graph, other, node) or _wide(graph, name) != _wide(graph, node.name):
        return None
    turned = name == right and node.op.name in ("sub", "div", *COMPARING)
    sign = _sign(graph[other]) if node.op.name in SCALING else 1
    return (name, -sign if turned else sign) if sign else None


def _is_alike(graph: Graph, name: str, node: Node) -> bool:
    """Whether a value is a constant, or one number for all classes of what a node gives."""
    wide = _wide(graph, name)
    return graph[name].op.name == "const" or (wide in ((), (BATCH,)) and len(_wide(graph, node.name)) > 1)


def _sign(factor: Node) -> int:
    """Of a constant its own, 0 where it has several; what is computed is a sum of exponentials, a weight or a temperature."""
    if factor.op.name != "const":
        return 1
    signs = {int(sign) for sign in np.sign(np.ravel(factor.attributes["value"]))}
    return signs.pop() if len(signs) == 1 else 0


def _wide(graph: Graph, name: str) -> Shape:
    """A shape without its axes of one."""
    return tuple(d for d in graph[name].type.shape if d != 1)


def _threshold(graph: Graph, public: str) -> float | None:
    """Where the second of two classes begins: at a half of a probability, at 0 of a logit; None of what is neither."""
    stable = rewrite(graph, *STABLE)
    output = node = stable[stable.outputs[public]]
    while node.op.name in ("reshape", "cast"):
        node = stable[node.inputs[0]]
    if node.op.name == "sigmoid":
        return 0.5
    read = (made for n in stable if n.op.name in OF_LOGITS for made, _ in _made_of(stable, n.inputs[0]))
    return 0.0 if output.name in read else None
