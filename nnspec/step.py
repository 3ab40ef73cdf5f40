"""A training step as one graph: gradients after the loss, then the optimizer's formulas for every parameter."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from functools import cached_property, reduce
from operator import add

from nnspec.autodiff import gradients
from nnspec.elaborate.library import Definitions
from nnspec.elaborate.training import Training
from nnspec.graph import Graph, Type, Var, outputs_of
from nnspec.loops import keeping_values
from nnspec.ops import OPS
from nnspec.optimization import Optimization, Turn
from nnspec.record import dataclass
from nnspec.rewrite import AFTER_GRADIENTS, rewrite
from nnspec.rewrite.steps import rewrite_step

Penalty = tuple[tuple[str, float], ...]


@dataclass(frozen=True, eq=False)
class Phase:
    """One phase of a train block: the losses it minimises, the parameters it trains, and the graphs that do it.

    `forward` is the training graph after the stability rules; `states` are those that change in this phase; `turns` says of each parameter
    which of the phases that train it this is.
    """

    forward: Graph
    definitions: Definitions
    training: Training
    losses: tuple[str, ...]
    parameters: Mapping[str, Type]
    states: Collection[str]
    turns: Mapping[str, Turn]

    @property
    def optimization(self) -> Optimization:
        assert self.training.optimizer  # a train block without one is refused
        return Optimization(self.definitions, self.training.optimizer, self.training.clip, self.turns)

    @cached_property
    def objective(self) -> Graph:
        """The losses and their sum, the new states, and the gradient of sum and penalties for every trained parameter."""
        graph = _minimising(self.forward, self.losses, self.states)
        return rewrite_step(add_gradients(graph, self.parameters, self.training.penalty))

    @cached_property
    def step(self) -> Graph:
        """Forward, loss, backward and update in one graph."""
        return rewrite(self.optimization.added(self.objective, self.parameters), *AFTER_GRADIENTS)

    @cached_property
    def folded(self) -> Graph:
        """The same with velocities that take their gradients in the products that make them."""
        return rewrite(self.step, "update")

    @cached_property
    def folds(self) -> bool:
        """Whether it has such."""
        return any(n.op.name == "gemm" and self.folded[n.inputs[2]].op.name == "state" for n in self.folded)

    @cached_property
    def watched(self) -> Graph:
        """The same with the gradients among the outputs."""
        return rewrite(self.optimization.added(self.objective, self.parameters, watched=True), *AFTER_GRADIENTS)


def states_by_phase(forward: Graph, losses: Sequence[Sequence[str]]) -> list[list[str]]:
    """The states that change in each phase, which minimises these losses.

    A state changes where the losses compute all of the batch that it is made of; one for which none does, in the first phase.
    """
    states = {public.removeprefix("state:"): node for public, node in outputs_of(forward, "state").items()}
    found: list[list[str]] = []
    for names in losses:
        there = forward.needed([forward.outputs[f"loss:{n}"] for n in names])
        found.append([s for s, node in states.items() if not any(_reads_batch(forward, n) for n in forward.needed([node]) - there)])
    taken = {s for phase in found for s in phase}
    found[0] += [s for s in states if s not in taken]
    return found


def turns_by_phase(parameters: Sequence[Collection[str]]) -> list[dict[str, Turn]]:
    """The turn of every parameter in each phase, which trains these: phases that share one share its optimizer states."""
    number = Counter(n for trained in parameters for n in trained)
    done = Counter[str]()
    found = []
    for trained in parameters:
        found.append({n: Turn(number[n], done[n]) for n in trained})
        done.update(iter(trained))
    return found


def _reads_batch(graph: Graph, name: str) -> bool:
    return any(graph[n].type.has_batch for n in (name, *graph[name].inputs))


def _minimising(forward: Graph, losses: Sequence[str], states: Collection[str]) -> Graph:
    """The forward graph with these losses only, `loss` being their sum."""
    chosen = {f"loss:{n}": forward.outputs[f"loss:{n}"] for n in losses} | {f"state:{n}": forward.outputs[f"state:{n}"] for n in states}
    graph = forward.only(chosen)
    with graph.at(role="loss"):
        total = reduce(add, (graph.var(graph.outputs[f"loss:{n}"]) for n in losses))
    graph.outputs["loss"] = total.name
    return graph


def add_gradients(forward: Graph, parameters: Mapping[str, Type], penalty: Penalty) -> Graph:
    """Loss, new states, and `grad:NAME` for every parameter."""
    graph = keeping_values(forward.only(outputs_of(forward, "loss", "state")))
    for name, type in parameters.items():
        graph.source(OPS["param"], name, type)  # one that the loss does not use has a gradient too: zero
    objective = _with_penalty(graph, list(parameters), penalty)
    for name, gradient in zip(parameters, gradients(graph, objective.name, list(parameters)), strict=True):
        graph.outputs[f"grad:{name}"] = gradient.name
    return graph


def _with_penalty(graph: Graph, parameters: Sequence[str], penalty: Penalty) -> Var:
    """l2 adds lambda/2 times the squared weights, l1 lambda times their magnitudes; matrices and kernels only, no biases."""
    total = graph.var(graph.outputs["loss"])
    with graph.at(role="loss"):
        for kind, strength in penalty:
            for name in parameters:
                w = graph.var(name)
                if w.type.rank >= 2:
                    size = OPS["square"](w) * 0.5 if kind == "l2" else OPS["abs"](w)
                    total = total + strength * OPS["sum"](size, axes=tuple(range(w.type.rank)), keep=False)
    return total
