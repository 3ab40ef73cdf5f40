"""A training as graphs for other runtimes: whole steps, and what the network is in use."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from operator import add

from nnspec import wholedata
from nnspec.compile import Compilation
from nnspec.elaborate.primitives import SEED, STEP
from nnspec.graph import Graph, Type, Var, outputs_of
from nnspec.ops import OPS
from nnspec.optimization import LR, T
from nnspec.rewrite import STABLE, rewrite
from nnspec.run.engine import PHASE_SHIFT

BEGUN = "begun"
"""The steps that were done when a later train block began."""
NEXT, LOSS, FINITE = "next:", "loss", "loss_is_finite"
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
    seed, step = source(graph, SEED, COUNT), source(graph, STEP, COUNT)
    lr = source(graph, rate_name(spec), Type(spec.dtype))
    done = step - source(graph, BEGUN, COUNT) if stage else step
    with graph.at(role="update"):
        scalars = {SEED: seed, LR: lr, T: OPS["cast"](done + 1, dtype=spec.dtype)}
    values, losses = dict[str, str](), list[Mapping[str, str]]()
    for number, phase in enumerate(spec.stages[stage]):
        draw = step + (number << PHASE_SHIFT) if number else step
        known = values | {n: v.name for n, v in {**scalars, STEP: draw}.items()}
        sources = (n.name for n in phase.step if n.op.is_source)  # also of those that only tell a length
        moved = graph.insert(phase.step, [*phase.step.outputs.values(), *sources], known)
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


def evaluation(spec: Compilation) -> Graph:
    """The loss and the metrics that are means over examples, in use and not in training."""
    graph = wholedata.split(rewrite(spec.model.graph, *STABLE))[0]
    return graph.only(outputs_of(graph, LOSS, "metric"), "evaluate")


def of_all_at_once(spec: Compilation) -> list[str]:
    """The metrics that are no means over examples, and so none over batches: what is exported has none of them."""
    return [public.partition(":")[2] for public in wholedata.split(spec.model.graph)[1].outputs]


def source(graph: Graph, name: str, type: Type) -> Var:
    """An input of that name."""
    return graph.source(OPS["input"], name, type)
