"""The values of a model that a derivation speaks of, each with its name and what it is computed from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Set
from dataclasses import field, replace
from functools import cached_property, reduce
from itertools import chain, count
from operator import add

from nnspec.compile import Compilation
from nnspec.derivation.axes import from_first
from nnspec.derivation.formula import MOST_NODES
from nnspec.derivation.noise import noise
from nnspec.derivation.recurrence import Recurrence, Unrolling
from nnspec.derivation.statistics import statistics
from nnspec.derivation.step import LOSS, Step, local, step_of
from nnspec.drawing.body import Body
from nnspec.drawing.model import Drawing, Item, layers, names_of
from nnspec.drawing.parts import Part, parts_of
from nnspec.elaborate.derived import DERIVATIVE
from nnspec.elaborate.model import Model
from nnspec.elaborate.values import Tensor
from nnspec.graph import BATCH, Graph, Type
from nnspec.ops import OPS
from nnspec.ops.loop import scan
from nnspec.record import dataclass

OTHERS = {"z": "zsuv", "h": "hapq"}
"""Letters for what has no name in the spec, the first that no loop uses."""


@dataclass(frozen=True)
class Values:
    """A model as steps, from its inputs and parameters to the loss of one example, `L`, the sum of `losses`."""

    model: Model
    losses: tuple[str, ...]
    steps: tuple[Step | Recurrence, ...]

    @cached_property
    def sources(self) -> dict[str, Type]:
        """Inputs, targets, parameters and states that the steps read."""
        made = {s.name for s in self.steps}
        return {n: s.type_of(n) for s in self.steps for n in s.reads if n not in made}

    @cached_property
    def made_of(self) -> dict[str, tuple[str, ...]]:
        """The names that every value is computed from, those inside of loops too."""
        found = dict[str, tuple[str, ...]]()
        for step in self.steps:
            found |= step.made_of if isinstance(step, Recurrence) else {step.name: step.reads}
        return found

    @cached_property
    def shared(self) -> frozenset[str]:
        """What all examples have in common, as it is made of parameters alone."""
        return frozenset(s.name for s in self.steps if not s.type.has_batch) - self.pooled

    @cached_property
    def pooled(self) -> frozenset[str]:
        """What is made of all examples together, as the mean of a batch is."""
        own = {n for n, t in self.sources.items() if t.has_batch}
        found = set[str]()
        for step in self.steps:
            if step.type.has_batch:
                own.add(step.name)
            elif not (own | found).isdisjoint(step.reads):
                found.add(step.name)
        return frozenset(found)

    def on_the_way(self, parameter: str) -> list[Step | Recurrence]:
        """The steps that depend on a parameter, in order."""
        known, found = {parameter}, list[Step | Recurrence]()
        for step in self.steps:
            if not known.isdisjoint(step.reads):
                known.add(step.name)
                found.append(step)
        return found


def losses_for(spec: Compilation, parameter: str) -> tuple[str, ...]:
    """The losses that a parameter is trained by: of the first phase that trains it for what depends on it; without one, all."""
    phases = (phase for stage in spec.stages for phase in stage if parameter in phase.parameters)
    choices = dict.fromkeys(phase.losses for phase in phases)
    found = (losses for losses in choices if len(choices) == 1 or values_of(spec, losses).on_the_way(parameter))
    return next(found, tuple(spec.model.losses))


def values_of(spec: Compilation, minimized: Collection[str] = ()) -> Values:
    """The steps of a checked spec that its losses need, or those of them that are minimised."""
    model, root = parts_of(spec)
    names = tuple(minimized or model.losses)
    losses = {f"loss:{name}": model.graph.outputs[f"loss:{name}"] for name in names}
    work = _Naming(model, Drawing(model.graph, names_of(model), root, losses, 0, folds=False))
    return Values(model, names, tuple(work.steps(root)))


@dataclass
class _Naming:
    """Names for the values of one model: those of the spec, else z₁, z₂, ... for sums of weights and h₁, h₂, ... for others.

    A letter that a loop has stays its own, as h₁ is what it carries after its first step: then it is s₁, and a₁.
    """

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
        """What the spec calls the values that the model computes, by their first names; what it is given has its own."""
        named = ((v.var.name, n) for n, v in reversed(self.model.scope.names.items()) if isinstance(v, Tensor))
        return {value: name for value, name in named if not self.graph[value].op.is_source}

    def steps(self, root: Part) -> Iterator[Step | Recurrence]:
        ends = {node: public.partition(":")[2] for public, node in self.drawing.ends.items()}
        before = {self.graph[node].inputs[0] if self.graph[node].op.name == "mean" else node for node in ends}
        for item in self.leaves(root):
            for value in self.drawing.given(item):
                if value in ends or value in before or value in self.names or self.is_only_seen(value, item) or self.is_aligned(value):
                    continue  # the loss is a step by itself
                if body := self.loop(item):
                    yield from self.recurrence(value, item, body)
                else:
                    inside = item.nodes & self.graph.needed([value], self.names)
                    yield from self.noise(value, inside)
                    yield from self.statistics(value, inside)
                    if written_as(self.graph, value, item) == DERIVATIVE:
                        yield from self.long(value, item.nodes)
                    yield from self.step(value, self.name(value, item), written_as(self.graph, value, item))
        for node in ends:
            yield from self.noise(node, self.graph.nodes.keys())
            yield from self.long(node, self.graph.nodes.keys() - self.names.keys())
        losses = [self.loss(node, LOSS if len(ends) == 1 else f"{LOSS}_{name}") for node, name in ends.items()]
        yield from losses
        if len(losses) > 1:
            yield self.total(losses)

    def leaves(self, part: Part) -> Iterator[Item]:
        """The smallest boxes, and formulas around a function taken apart: its argument is a value of its own."""
        for item in self.drawing.items(part):
            if self.loop(item):
                inner = (Item([p], frozenset(self.drawing.drawn.intersection(p.all_nodes()))) for p in item.parts[0].parts)
                yield from (*(i for i in inner if i.nodes), item)
            elif item.parts and self.opens(item.parts[0]):
                yield from self.leaves(item.parts[0])
            else:
                yield item

    def is_only_seen(self, value: str, item: Item) -> bool:
        """Whether an operation by itself is there for nothing but another that shows its value in another shape."""
        readers = [self.graph[r] for r in self.drawing.readers.get(value, ())]
        return not item.parts and not self.graph[value].op.is_source and [r.op.name for r in readers] == ["reshape"]

    def is_aligned(self, value: str) -> bool:
        """Whether a value without a name is another with more axes of length 1 in front, as it goes together with a longer shape."""
        node = self.graph[value]
        if node.op.name != "reshape" or value in self.written:
            return False
        before, after = self.graph[node.inputs[0]].type.example, node.type.example
        return len(before) < len(after) and from_first(before) == from_first(after)

    def opens(self, part: Part) -> bool:
        """Whether a derivation goes into a part: one of several layers, of loops, or with a function of what is a value of its own."""
        return layers(part) > 1 or any(is_the_same_at_every_step(p.body) for p in part.within()) or self.has_argument(part)

    def loop(self, item: Item) -> Body | None:
        """The body of an item that is a loop."""
        body = item.parts[0].body if item.parts else None
        return body if is_the_same_at_every_step(body) else None

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
            name = self.numbered("z" if sums else "h")
        self.taken.add(name)
        return name

    @cached_property
    def of_loops(self) -> set[str]:
        """What the values of a step are called in all loops."""
        bodies = (p.body for p in self.drawing.root.within() if p.body and is_the_same_at_every_step(p.body))
        return {name for body in bodies for name in (*body.called.values(), *body.before, body.item)}

    def numbered(self, letter: str) -> str:
        letter = next((free for free in OTHERS.get(letter, "") if free not in self.of_loops), letter)
        self.counts[letter] += 1
        return letter + subscript(self.counts[letter])

    def step(self, value: str, name: str, written: str) -> Iterator[Step]:
        graph = local(self.graph, value, self.names)
        self.names[value] = name
        if not self.graph[value].op.is_source:
            yield step_of(name, written, graph)

    def noise(self, value: str, inside: Set[str]) -> Iterator[Step]:
        """What is drawn for a value."""
        for letter, node, distribution in noise(self.graph, value, inside):
            if node not in self.names:
                for step in self.step(node, self.numbered(letter), distribution[0]):
                    yield replace(step, drawn=distribution)

    def statistics(self, value: str, inside: Set[str]) -> Iterator[Step]:
        """Mean, variance and what they normalise, where a value has them in its formula."""
        for letter, node in statistics(self.graph, value, inside):
            if node not in self.names:
                yield from self.step(node, self.numbered(letter), self.graph[node].op.name)

    def long(self, value: str, nodes: Set[str]) -> Iterator[Step]:
        """The parts of what is no call of what it reads and too long to be read: what it has several times, and what is long."""
        if self.length(value) <= MOST_NODES:
            return
        inside = self.graph.needed([value], self.names) & nodes - {value}
        loops = {n.name for n in self.graph if n.op is scan}  # whose value is that of all that they yield, one behind the other
        for node in [n for n in self.graph.nodes if n in inside - loops and n not in self.names]:
            several = len(inside.union([value]).intersection(self.drawing.readers.get(node, ()))) > 1
            if self.length(node) > (1 if several else MOST_NODES // 2):
                yield from self.step(node, self.numbered("z"), self.graph[node].op.name)

    def length(self, value: str) -> int:
        """How many values the formula of one has, other ones and its own; none where it hangs on no other."""
        graph = local(self.graph, value, self.names)
        return len(graph) if any(n.op.name == "input" for n in graph) else 0

    def recurrence(self, value: str, item: Item, body: Body) -> Iterator[Step | Recurrence]:
        """A loop, after what it reads that has no name so far; of two values that it yields, each is a loop of its own."""
        carry = {node: called for called, node in body.yielded.items()}.get(value)
        if carry is None:  # what another loop reads, too: a sequence with its steps in front, or a product taken out
            return
        for node in (body.walked, *(n.name for n in body.graph if n.op.is_source and n.name in self.graph.nodes)):
            if node not in self.names:
                yield from self.step(node, self.name(node, item), self.graph[node].op.name)
        names = {n: self.names[n] for n in body.graph.nodes if n in self.names}
        unrolling = Unrolling(body, names, self.prefix(value, body))
        steps, carried = tuple(unrolling.steps()), tuple(unrolling.carried(self.graph, self.names))
        self.names[value] = name = self.name(value, item)
        walked, length = self.names[body.walked], self.graph[value].type.shape[1]
        yield Recurrence(
            name, item.parts[0].title, self.graph[value].type, walked, self.graph[body.walked].type, names[body.element], length,
            steps, carried, unrolling.key(carry),
        )  # fmt: skip

    def prefix(self, value: str, body: Body) -> str:
        """Nothing, or what tells the values of a loop from those of an earlier one: its layer, or else a number."""
        layers = [f"{path}." for path in self.drawing.paths.get(value, [])[-1:]]
        prefixes = chain(("",), layers, (f"loop{subscript(number)}." for number in count(2)))
        names = (*body.called.values(), *body.before, body.item)
        prefix = next(p for p in prefixes if self.taken.isdisjoint(p + name for name in names))
        self.taken.update(prefix + name for name in names)
        return prefix

    def loss(self, mean: str, name: str) -> Step:
        """The loss of one example: of what is averaged, the mean over all axes but the batch."""
        node = self.graph[mean]
        written = node.inputs[0] if node.op.name == "mean" else mean
        graph = local(self.graph, written, self.names)
        value = graph.var(graph.outputs["value"])
        axes = tuple(i for i, d in enumerate(value.type.shape) if d != BATCH)
        if axes:
            graph.outputs["value"] = OPS["mean"](value, axes=axes, keep=False).name
        return step_of(name, self.graph[written].op.name, graph)

    def total(self, losses: list[Step]) -> Step:
        graph = Graph(self.graph.name, self.graph.dtype)
        shares = [graph.source(OPS["input"], loss.name, loss.type) for loss in losses]
        graph.outputs["value"] = reduce(add, shares).name
        return Step(LOSS, "+", tuple(loss.name for loss in losses), graph)


def is_the_same_at_every_step(body: Body | None) -> bool:
    """Whether there is a loop that draws no random numbers, at every step others: it can be taken apart."""
    return body is not None and all(n.op.name != "random" for n in body.graph)


def written_as(graph: Graph, value: str, item: Item) -> str:
    """The call or the operation that makes a value."""
    return item.parts[0].title if item.parts else graph[value].op.name


def subscript(number: int) -> str:
    return "".join(chr(ord("₀") + int(digit)) for digit in str(number))
