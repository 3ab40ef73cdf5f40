"""Models that take what the data have: what a data block makes of its fields is done in the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import prod

import numpy as np

from nnspec.array import Array
from nnspec.compile import Compilation
from nnspec.deploy.proof import LARGEST_DIFFERENCE, compared, inputs_of
from nnspec.diagnostics import Fault, fault
from nnspec.elaborate.fields import FIELD, Formula, field_graph
from nnspec.elaborate.primitives import SEED, STEP
from nnspec.graph import BATCH, Graph, Node, Type, Var, outputs_of
from nnspec.graph.types import nested
from nnspec.ops import OPS
from nnspec.rewrite import rewrite
from nnspec.run import reference
from nnspec.train.data import Sample


def with_fields(graph: Graph, sample: Sample) -> Graph:
    """The graph with fields as its inputs, in the place of those inputs that are made of them."""
    types = _types(sample, graph)
    for node in graph:
        if node.op.is_source and node.name in types and node.name not in sample.made and node.type != types[node.name]:
            message = f"an input is made of the field `{node.name}`, and the model has something else of that name"
            raise fault("E590", message, node.span, help="give one of them another name")

    def rule(new: Graph, node: Node, inputs: tuple[str, ...]) -> str:
        if node.op is not OPS["input"] or node.name not in sample.made:
            return new.copy_node(node, inputs)
        parts = [_cast(_part(new, item, types, sample.means), node.type.dtype) for item in sample.made[node.name]]
        joined = parts[0] if len(parts) == 1 else OPS["concat"](*map(_as_row, parts), axis=1)
        return (joined if joined.type.shape == node.type.shape else OPS["reshape"](joined, shape=node.type.shape)).name

    return graph.rebuilt(rule)


def prove_same(raw: Graph, plain: Graph, weights: Mapping[str, Array], sample: Sample) -> float:
    """How far the outputs for fields are from those for what the data block has made of them; E505 where that is too far."""
    numbers = {name: np.zeros((), np.int64) for name in (SEED, STEP)}
    types = inputs_of(raw)
    fields = {**sample.inputs, **{n: np.asarray(v, types[n].dtype) for n, v in sample.fields.items() if n in types}}
    means = {n: mean for n, mean in sample.means.items() if n in types and types[n].is_float}
    gaps, filled = ({n: np.full_like(fields[n], v) for n, v in values.items()} for values in (dict.fromkeys(means, np.nan), means))
    runs = ((raw, fields), (plain, sample.inputs), (raw, fields | gaps), (raw, fields | filled))
    got, expected, of_gaps, of_means = (reference.run(graph, {**weights, **numbers, **given}) for graph, given in runs)
    pairs = (*((got[n], expected[n]) for n in expected), *((of_gaps[n], of_means[n]) for n in of_means))
    return compared(pairs, LARGEST_DIFFERENCE)


def renamed(sample: Sample) -> dict[str, str]:
    """The fields that are an input of another name just as they are, by that name."""
    return {port: items[0] for port, items in sample.made.items() if len(items) == 1 and isinstance(items[0], str)}


def _types(sample: Sample, graph: Graph) -> dict[str, Type]:
    """Those of the fields: numbers, and whole ones where a formula asks for these, so that 2.5 can come where all examples were whole.

    What is only called otherwise is of the type of its input.
    """
    dtype = graph.dtype
    types = {n: Type("bool" if v.dtype.kind == "b" else dtype, (BATCH, *v.shape[1:])) for n, v in sample.fields.items()}
    inputs = inputs_of(graph)
    types |= {field: inputs[port] for port, field in renamed(sample).items() if port in inputs and inputs[port].rank == types[field].rank}
    formulas = [item for items in sample.made.values() for item in items if isinstance(item, Formula)]
    whole = {n.name for f in formulas for n in _formula(f, types, dtype) if n.op is OPS["input"] and n.type.dtype == "int64"}
    return {n: replace(t, dtype="int64") if n in whole else t for n, t in types.items()}


def _part(graph: Graph, item: str | Formula, types: Mapping[str, Type], means: Mapping[str, Array]) -> Var:
    if isinstance(item, str):
        return _field(graph, item, types[item], means)
    formula = _formula(item, {n: replace(t, dtype=graph.dtype) if t.dtype == "int64" else t for n, t in types.items()}, graph.dtype)
    inputs = [n for n in formula if n.op is OPS["input"]]
    known = {n.name: _cast(_field(graph, n.name, types[n.name], means), n.type.dtype).name for n in inputs}
    return graph.var(graph.insert(formula, formula.outputs.values(), known)[formula.outputs[FIELD]])


def _field(graph: Graph, name: str, type: Type, means: Mapping[str, Array]) -> Var:
    """An input, with the mean of the training data for every number that it lacks, which comes as NaN."""
    given = graph.source(OPS["input"], name, type)
    if name not in means or not type.is_float:
        return given
    mean = graph.constant(nested(means[name].tolist()), type.dtype)
    return OPS["where"](OPS["equal"](given, given), given, mean)


def _formula(formula: Formula, types: Mapping[str, Type], dtype: str) -> Graph:
    """Its graph, of whole numbers only where it is none of others."""
    own = {n: types[n] for n in formula.names() if n in types}
    try:
        return rewrite(field_graph(formula, own, dtype), "stability")
    except Fault:
        whole = {n: replace(t, dtype="int64") if t.is_float else t for n, t in own.items()}
        return rewrite(field_graph(formula, whole, dtype), "stability")


def _cast(x: Var, dtype: str) -> Var:
    return x if x.type.dtype == dtype else OPS["cast"](x, dtype=dtype)


def _as_row(x: Var) -> Var:
    return OPS["reshape"](x, shape=(BATCH, prod(int(str(d)) for d in x.type.shape[1:])))


def has_learnt(spec: Compilation, states: Mapping[str, Array], seed: int) -> bool:
    """Whether the states that are fitted to the training data are no longer those of the beginning."""
    if spec.fitting is None:
        return False
    fitted = [public.partition(":")[2] for public in outputs_of(spec.fitting, "state")]
    first = reference.run(spec.initial, {SEED: seed, STEP: 0}, [n for n in fitted if n in spec.initial.outputs])
    return any(n not in first or not np.array_equal(states[n], first[n]) for n in fitted)


def refuse_unprepared(spec: Compilation, sample: Sample | None, *, standardized: bool, learnt: bool) -> None:
    """E590 for a model that is to take raw values and cannot, or has nothing to make of them."""
    if sample is not None and not sample.made:
        message = f"the data block makes nothing of its fields, so `{spec.model.name}` takes them as they are already"
        raise fault("E590", message, spec.trainings[-1].span, help='a formula is written so: `csv("f.csv", x = [log(a), b / 10])`')
    if standardized and not spec.fitting:
        help_ = "write `x -> standardize` where the network takes `x`"
        raise fault("E590", f"`{spec.model.name}` standardizes nothing: no layer of it learns from the data", spec.model.span, help=help_)
    if standardized and not learnt:
        help_ = "train it, and export the run"
        raise fault("E590", f"`{spec.model.name}` has learnt no mean and deviation yet to standardize by", spec.model.span, help=help_)
