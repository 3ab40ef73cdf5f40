"""Many steps in one call: a step's model as the body of a Scan over minibatches."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import onnx
from onnx import helper

from nnspec.interchange.nodes import bodies, copy_of, every_node, refill

STEPS = "steps"
"""The number of minibatches, a size that is known only at run time."""
INNER = "step/"


def over_batches(step: onnx.ModelProto, carried: Mapping[str, str], each: Collection[str]) -> onnx.ModelProto:
    """The model that takes as many steps as there are minibatches, under the names of the step's own inputs and outputs.

    `carried` says which input is what which output becomes; the inputs `each` have one value for every step in front, and so do the other
    outputs. The remaining inputs are the same for all steps.
    """
    body, made = copy_of(step).graph, copy_of(step)
    inputs, outputs = ({v.name: v for v in values} for values in (step.graph.input, step.graph.output))
    yielded = [n for n in outputs if n not in carried.values()]
    taken = [*carried, *each]
    shared = {n for n in inputs if n not in taken} | {w.name for w in step.graph.initializer}
    _rename(body, shared)
    body.ClearField("initializer")
    _in_order(body.input, [INNER + n for n in taken])
    _in_order(body.output, [INNER + n for n in (*carried.values(), *yielded)])
    made.graph.ClearField("node")
    made.graph.node.append(
        helper.make_node("Scan", taken, [*carried.values(), *yielded], name="epoch", body=body, num_scan_inputs=len(each))
    )
    made.graph.name = "epoch"
    for value in (*made.graph.input, *made.graph.output):
        if value.name in each or value.name in yielded:
            _with_steps(value)
    return made


def _rename(body: onnx.GraphProto, shared: Collection[str]) -> None:
    """No value of a body may have the name of one outside, unless it is that one."""

    def inner(name: str) -> str:
        return name if not name or name in shared else INNER + name

    for value in (*body.input, *body.output, *body.value_info):
        value.name = inner(value.name)
    for node in every_node(body.node):
        node.input[:] = map(inner, node.input)
        node.output[:] = map(inner, node.output)
        for loop in bodies(node):
            for value in (*loop.input, *loop.output):
                value.name = inner(value.name)


def _in_order(values: onnx.ValueInfoProto, names: list[str]) -> None:
    """These of the values, in this order."""
    by_name = {v.name: v for v in values}
    refill(values, (by_name[n] for n in names))


def _with_steps(value: onnx.ValueInfoProto) -> None:
    shape = value.type.tensor_type.shape
    refill(shape.dim, (onnx.TensorShapeProto.Dimension(dim_param=STEPS), *shape.dim))
