"""A training as graphs for other runtimes: whole steps, the values that the first begins with, rates, and what the network is in use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import reduce
from operator import add

from nnspec import wholedata
from nnspec.compile import Compilation
from nnspec.elaborate.primitives import SEED, STEP
from nnspec.elaborate.update import optimizer_states, schedule_graph
from nnspec.graph import Graph, Node, Type, Var
from nnspec.ops import OPS
from nnspec.optimization import LR, T
from nnspec.rewrite import STABLE, rewrite
from nnspec.run.engine import PHASE_SHIFT
from nnspec.step import outputs_of

BEGUN = "begun"
"""The steps that were done when a later train block began."""
NEXT, LOSS, FINITE, RATE = "next:", "loss", "loss_is_finite", "learning_rate"
COUNT = Type("int64")


def rate_name(spec: Compilation) -> str:
    """What the learning rate is called: `lr`, but in a model that has one of its own."""
    model = spec.model
    return LR if any("lr" in names for names in (model.inputs, model.targets, model.owned)) else "lr"


def whole_step(spec: Compilation, stage: int) -> Graph:
    """Every phase of a train block in turn: from a batch, `lr`, `seed`, `step` and all that training changes to the new values.

    `next:NAME` is what NAME becomes. `loss` is the sum over the phases, each before its own update; of several losses each is an output.
    """
    graph = Graph("step", spec.dtype)
    seed, step = _input(graph, SEED, COUNT), _input(graph, STEP, COUNT)
    lr = _input(graph, rate_name(spec), Type(spec.dtype))
    done = step - _input(graph, BEGUN, COUNT) if stage else step
    with graph.at(role="update"):
        scalars = {SEED: seed, LR: lr, T: OPS["cast"](done + 1, dtype=spec.dtype)}
    values, losses = dict[str, str](), list[Mapping[str, str]]()
    for number, phase in enumerate(spec.stages[stage]):
        draw = step + (number << PHASE_SHIFT) if number else step
        known = values | {n: v.name for n, v in {**scalars, STEP: draw}.items()}
        moved = graph.insert(phase.step, phase.step.outputs.values(), known)
        values |= {n.partition(":")[2]: moved[node] for n, node in outputs_of(phase.step, "param", "state", "opt").items()}
        losses.append({n: moved[node] for n, node in outputs_of(phase.step, LOSS).items()})
    with graph.at(role="update"):
        values[STEP] = (step + 1).name
    graph.outputs = {f"{NEXT}{n}": node for n, node in values.items()} | _losses(graph, losses)
    return graph.swept()


def _losses(graph: Graph, phases: list[Mapping[str, str]]) -> dict[str, str]:
    """Their sum, whether that is finite, and each by name where there are several."""
    with graph.at(role="loss"):
        total = reduce(add, (graph.var(p[LOSS]) for p in phases))
        finite = OPS["less"](OPS["abs"](total), float("inf"))
    each = {n: node for p in phases for n, node in p.items() if n != LOSS}
    return {LOSS: total.name, FINITE: finite.name, **(each if len(each) > 1 else {})}


def begin(spec: Compilation, stage: int) -> Graph:
    """From `seed` to the first value of every parameter and state that is not read from a file, and of the optimizer's states."""
    graph = Graph("init", spec.dtype)
    seed = _input(graph, SEED, COUNT)
    moved = graph.insert(spec.initial, spec.initial.outputs.values(), {SEED: seed.name, STEP: graph.constant(0, "int64").name})
    graph.outputs = {n: moved[node] for n, node in spec.initial.outputs.items()}
    for name in spec.saved:
        graph.outputs[name] = graph.source(OPS["param"], name, spec.parameter_types[name]).name
    for name, (type, number) in memory_of(spec, stage).items():
        graph.outputs[name] = OPS["expand"](graph.constant(number), shape=type.shape).name
    graph.outputs[STEP] = graph.constant(0, "int64").name
    return graph  # with the input `seed`, though it may be that nothing is drawn


def memory_of(spec: Compilation, stage: int) -> dict[str, tuple[Type, float]]:
    """The optimizer's states of a train block, as its step calls them: their types, and the number that each is full of at first."""
    optimizer = spec.trainings[stage].optimizer
    assert optimizer  # a train block without one is refused
    trained = {n: type for phase in spec.stages[stage] for n, type in phase.parameters.items()}
    return {f"{n}.{s}": (type, number) for n, type in trained.items() for s, number in optimizer_states(optimizer).items()}


def rate(spec: Compilation, stage: int) -> Graph | None:
    """The schedule of a train block: from the base rate and where the training is to `learning_rate`."""
    schedule = spec.trainings[stage].schedule
    if schedule is None:
        return None
    graph = schedule_graph(spec.definitions, schedule)
    return graph.only({RATE: graph.outputs["lr"]})


def fitting(spec: Compilation) -> Graph | None:
    """From a whole data set to the states that are learnt from it at once, in float64 inside."""
    if spec.fitting is None:
        return None

    def rule(new: Graph, node: Node, inputs: tuple[str, ...]) -> str:
        if node.op is OPS["input"] and node.type.is_float:
            return OPS["cast"](new.source(node.op, node.name, replace(node.type, dtype=spec.dtype)), dtype=node.type.dtype).name
        return new.copy_node(node, inputs)

    graph = spec.fitting.rebuilt(rule, name="fit")
    graph.outputs = {n.partition(":")[2]: OPS["cast"](graph.var(node), dtype=spec.dtype).name for n, node in graph.outputs.items()}
    return graph


def evaluation(spec: Compilation) -> Graph:
    """The loss and the metrics that are means over examples, in use and not in training."""
    graph = wholedata.split(rewrite(spec.model.graph, *STABLE))[0]
    return graph.only(outputs_of(graph, LOSS, "metric"), "evaluate")


def _input(graph: Graph, name: str, type: Type) -> Var:
    return graph.source(OPS["input"], name, type)
