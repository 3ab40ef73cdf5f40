"""What an exported training begins with: first values drawn from a seed, and all that a train block has anew."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from nnspec.array import Array
from nnspec.compile import Compilation
from nnspec.deploy.schedule import EPOCH_END, count, first_counts
from nnspec.deploy.step import BEGUN, COUNT, NEXT, rate_name, source
from nnspec.elaborate.primitives import SEED, STEP
from nnspec.elaborate.update import optimizer_states
from nnspec.graph import Graph, Node, Type
from nnspec.ops import OPS


def first_values(spec: Compilation, stage: int) -> Graph:
    """From `seed` to the first value of every parameter and state that is not read from a file, and of the optimizer's states."""
    graph = Graph("init", spec.dtype)
    seed = source(graph, SEED, COUNT)
    moved = graph.insert(spec.initial, spec.initial.outputs.values(), {SEED: seed.name, STEP: graph.constant(0, "int64").name})
    graph.outputs = {n: moved[node] for n, node in spec.initial.outputs.items()}
    for name in spec.saved:
        owned = spec.model.owned[name]
        graph.outputs[name] = graph.source(OPS[owned.kind], name, owned.type).name
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


def beginning(spec: Compilation, stage: int, start: Mapping[str, Array], *, first: bool, fitted: bool) -> Graph:
    """What a train block sets before its first step, as `next:NAME`: the counts of its schedule, and states `fitted` to the whole data.

    One that is not the `first` to train has the optimizer's states anew, and takes over the parameters and states `start`.
    """
    graph = Graph("begin", spec.dtype)
    epoch = graph.constant(1.0, "float64") if first else count(graph, EPOCH_END)
    values = {n: value.name for n, value in first_counts(graph, spec, stage, rate_name(spec), epoch=epoch).items()}
    if fitted and spec.fitting:
        graph_of_data = _fitting(spec.fitting, spec.dtype)
        moved = graph.insert(graph_of_data, graph_of_data.outputs.values(), {})
        learnt = {n.partition(":")[2]: graph.var(moved[node]) for n, node in graph_of_data.outputs.items()}
        values |= {n: OPS["cast"](value, dtype=spec.dtype).name for n, value in learnt.items()}
    if not first:
        values |= {n: OPS["expand"](graph.constant(number), shape=t.shape).name for n, (t, number) in memory_of(spec, stage).items()}
        values |= {n: graph.source(OPS["param"], n, Type(spec.dtype, array.shape)).name for n, array in start.items()}
        values[BEGUN] = source(graph, STEP, COUNT).name
    graph.outputs = {f"{NEXT}{n}": node for n, node in values.items()}
    return graph


def _fitting(fitting: Graph, dtype: str) -> Graph:
    """The graph from a whole data set, and weights before it, to what is learnt: in float64 inside, given another kind of float."""

    def rule(new: Graph, node: Node, inputs: tuple[str, ...]) -> str:
        if node.op.is_source and node.type.is_float:
            return OPS["cast"](new.source(OPS["input"], node.name, replace(node.type, dtype=dtype)), dtype=node.type.dtype).name
        return new.copy_node(node, inputs)

    return fitting.rebuilt(rule)
