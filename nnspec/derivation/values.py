"""The values of a model that a derivation speaks of, each with its name and what it is computed from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import field
from functools import cached_property, reduce
from operator import add

from nnspec.autodiff import pull_back
from nnspec.compile import Compilation
from nnspec.drawing.model import Drawing, Item, is_block
from nnspec.drawing.parts import Part, parts_of
from nnspec.elaborate.model import Model
from nnspec.elaborate.values import Tensor
from nnspec.graph import BATCH, Graph, Type
from nnspec.ops import OPS
from nnspec.record import dataclass
from nnspec.rewrite import AFTER_GRADIENTS, BEFORE_GRADIENTS, rewrite
from nnspec.step import outputs_of

LOSS, GRADIENT = "L", "gradient:"


@dataclass(frozen=True)
class Step:
    """One value and the formula for it: a graph from the values it reads to the output `value`; `written` is the call in the spec."""

    name: str
    written: str
    reads: tuple[str, ...]
    graph: Graph

    @property
    def type(self) -> Type:
        return self.graph[self.graph.outputs["value"]].type

    @cached_property
    def backward(self) -> Graph:
        """The outputs `gradient:NAME`: what a gradient of this value, the input `gradient`, comes to at each value that it reads."""
        graph = self.graph.only(self.graph.outputs)
        value = graph.var(graph.outputs["value"])
        sources = [n for n in self.reads if n in graph.nodes and graph[n].type.is_float]
        with graph.at(role="backward"):
            seed = graph.source(OPS["input"], "gradient", value.type)
            found = pull_back(graph, [(value.name, seed)], sources)
        graph.outputs |= {GRADIENT + n: g.name for n, g in zip(sources, found, strict=True)}
        return rewrite(graph, *AFTER_GRADIENTS)


@dataclass(frozen=True)
class Values:
    """A model as steps, from its inputs and parameters to the loss of one example, `L`."""

    model: Model
    steps: tuple[Step, ...]

    @cached_property
    def sources(self) -> dict[str, Type]:
        """Inputs, targets, parameters and states that the steps read."""
        made = {s.name for s in self.steps}
        return {n: s.graph[n].type for s in self.steps for n in s.reads if n not in made}

    def on_the_way(self, parameter: str) -> list[Step]:
        """The steps that depend on a parameter, in order."""
        known, found = {parameter}, []
        for step in self.steps:
            if not known.isdisjoint(step.reads):
                known.add(step.name)
                found.append(step)
        return found


def values_of(spec: Compilation) -> Values:
    """The steps of a checked spec that its losses need."""
    model, root = parts_of(spec)
    losses = outputs_of(model.graph, "loss")
    losses.pop("loss", None)
    work = _Naming(model, Drawing(model, root, losses, 0, folds=False))
    return Values(model, tuple(work.steps(root)))


@dataclass
class _Naming:
    """Names for the values of one model: those of the spec, else z₁, z₂, ... for sums of weights and h₁, h₂, ... for others."""

    model: Model
    drawing: Drawing
    names: dict[str, str] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)
    counts: Counter[str] = field(default_factory=Counter)

    @property
    def graph(self) -> Graph:
        return self.model.graph

    @cached_property
    def written(self) -> dict[str, str]:
        """What the spec calls the values of the model itself."""
        return {v.var.name: n for n, v in self.model.scope.names.items() if isinstance(v, Tensor)}

    def steps(self, root: Part) -> Iterator[Step]:
        ends = {node: public.partition(":")[2] for public, node in self.drawing.ends.items()}
        before = {self.graph[node].inputs[0] if self.graph[node].op.name == "mean" else node for node in ends}
        for item in self.leaves(root):
            for value in self.drawing.given(item):
                if value in ends or value in before:
                    continue  # the loss is a step by itself
                yield from self.step(value, self.name(value, item), item.parts[0].title if item.parts else self.graph[value].op.name)
        losses = [self.loss(node, LOSS if len(ends) == 1 else f"{LOSS}_{name}") for node, name in ends.items()]
        yield from losses
        if len(losses) > 1:
            yield self.total(losses)

    def leaves(self, part: Part) -> Iterator[Item]:
        """The smallest boxes, and formulas around a function taken apart: its argument is a value of its own."""
        for item in self.drawing.items(part):
            if item.parts and (is_block(item.parts[0]) or self.has_argument(item.parts[0])):
                yield from self.leaves(item.parts[0])
            else:
                yield item

    def has_argument(self, part: Part) -> bool:
        items = self.drawing.items(part) if part.kind == "formula" else []
        whole = len(items) > 1 and all(i.parts for i in items)
        return whole and items[-1].parts[0].kind == "fn" and any(self.graph[n].role != "loss" for n in items[-1].nodes)

    def name(self, value: str, item: Item) -> str:
        if value in self.written and self.written[value] not in self.taken:
            name = self.written[value]
        elif self.graph[value].op.is_source:
            name = value
        else:
            sums = any(self.graph[s].role == "param" for n in item.nodes for s in self.graph[n].inputs)
            letter = "z" if sums else "h"
            self.counts[letter] += 1
            name = letter + subscript(self.counts[letter])
        self.taken.add(name)
        return name

    def step(self, value: str, name: str, written: str) -> Iterator[Step]:
        graph = self.local(value)
        self.names[value] = name
        if not self.graph[value].op.is_source:
            yield Step(name, written, tuple(n.name for n in graph if n.op.is_source), graph)

    def local(self, value: str) -> Graph:
        """The formula of a value by the values that have names."""
        graph = Graph(self.graph.name, self.graph.dtype)
        known = {node: graph.source(OPS["input"], name, self.graph[node].type).name for node, name in self.names.items()}
        moved = graph.insert(self.graph, [value], known)
        graph.outputs = {"value": moved[value]}
        return rewrite(graph.swept(), *BEFORE_GRADIENTS)

    def loss(self, mean: str, name: str) -> Step:
        """The loss of one example: of what is averaged, the mean over all axes but the batch."""
        node = self.graph[mean]
        written = node.inputs[0] if node.op.name == "mean" else mean
        graph = self.local(written)
        value = graph.var(graph.outputs["value"])
        axes = tuple(i for i, d in enumerate(value.type.shape) if d != BATCH)
        if axes:
            graph.outputs["value"] = OPS["mean"](value, axes=axes, keep=False).name
        return Step(name, self.graph[written].op.name, tuple(n.name for n in graph if n.op.is_source), graph)

    def total(self, losses: list[Step]) -> Step:
        graph = Graph(self.graph.name, self.graph.dtype)
        shares = [graph.source(OPS["input"], loss.name, loss.type) for loss in losses]
        graph.outputs["value"] = reduce(add, shares).name
        return Step(LOSS, "+", tuple(loss.name for loss in losses), graph)


def subscript(number: int) -> str:
    return "".join(chr(ord("₀") + int(digit)) for digit in str(number))
