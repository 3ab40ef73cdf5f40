"""Our own generator of random numbers, found in a model by its beginning and its end: `random` of the language."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

import onnx

from nnspec.elaborate.primitives import SEED, STEP
from nnspec.graph import BATCH
from nnspec.interchange.to_spec.calls import Call
from nnspec.interchange.to_spec.step import Step
from nnspec.interchange.to_spec.values import Value, of_example
from nnspec.record import dataclass

GENERATOR = (SEED, STEP)


@dataclass(frozen=True)
class Draws:
    """The values that are drawn, and the names of all that is computed for them alone."""

    drawn: Collection[str] = ()
    inside: Collection[str] = ()


def draws_of(graph: onnx.GraphProto) -> Draws:
    """What depends on seed and step up to where it becomes a float, and what is needed for nothing else."""
    names = {i.name for i in graph.input}
    if not names.issuperset(GENERATOR):
        return Draws()
    seeded, floats = {*GENERATOR}, set[str]()
    for node in graph.node:
        if seeded & {*node.input}:
            is_float = any(a.name == "to" and a.i == onnx.TensorProto.FLOAT for a in node.attribute)
            (floats if is_float else seeded).update(node.output)
    drawn = {n.output[0] for n in graph.node if n.op_type == "Mul" and floats & {*n.input}}
    inside, readers = {*drawn}, _readers(graph)
    for node in reversed(graph.node):
        if all(readers.get(o) and readers[o] <= inside for o in node.output):
            inside.update(node.output)
    return Draws(drawn, inside)


def _readers(graph: onnx.GraphProto) -> dict[str, set[str]]:
    """The first outputs of the nodes that read each value; one that the model gives out is read by nobody here."""
    found: dict[str, set[str]] = {o.name: {""} for o in graph.output}
    for node in graph.node:
        for name in node.input:
            found.setdefault(name, set()).add(node.output[0])
    return found


def drawn_like(step: Step, inputs: Mapping[str, Call]) -> Value:
    """Numbers of each example, in the shape that they are brought to."""
    first, *dims = step.dims("shape", 1) or (0,)
    shape = tuple(dims)
    like = next((c for c in inputs.values() if c.dtype == "float"), None)
    if first not in (-1, BATCH) or like is None or any(not isinstance(d, int) for d in shape):
        raise step.fault("random numbers other than of each example have no form in the language")
    if like.shape != shape:
        total = step.call("sum", like, shape=())
        like = replace(step.call("expand", total, shape=shape), settings={"shape": shape})
    return of_example(step.call("random", like, shape=shape))
