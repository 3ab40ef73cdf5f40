"""A model behind another, which makes its inputs: both as one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import onnx

from nnspec.interchange.names import PUBLIC, Names, rename
from nnspec.interchange.nodes import bodies, every_node, refill


def behind(first: onnx.ModelProto, ports: Sequence[str], second: onnx.ModelProto) -> onnx.ModelProto:
    """The second model with its inputs, called `ports`, made by the first as its outputs in this order; both are used up.

    What the first takes and the arrays of the second keep their names, and so do outputs, but those that an input is called as.
    """
    names = Names()
    outer = {i.name: names.give(i.name) for i in first.graph.input}
    kept = {array.name: names.give(array.name) for array in second.graph.initializer}
    kept |= {o.name: names.give(o.name, PUBLIC + o.name) for o in second.graph.output}
    results = dict(zip(ports, (o.name for o in first.graph.output), strict=True))
    made = _rename(first.graph, {result: kept[port] for port, result in results.items() if port in kept} | outer, names)
    _rename(second.graph, kept | {port: made[result] for port, result in results.items()}, names)
    nodes = [*first.graph.node, *second.graph.node]
    _name_apart(nodes)
    refill(second.graph.node, nodes)
    refill(second.graph.input, first.graph.input)
    second.graph.ClearField("value_info")
    second.graph.initializer.extend(first.graph.initializer)
    return second


def _rename(graph: onnx.GraphProto, known: Mapping[str, str], names: Names) -> dict[str, str]:
    """Give every value of a graph the name that it is known to have, or else a free one; says what each is called now."""
    final = dict(known)
    for name in _values(graph):
        if name not in final:
            final[name] = names.give(name)
    rename(graph.node, final)
    for value in (*graph.initializer, *graph.output):
        value.name = final[value.name]
    return final


def _values(graph: onnx.GraphProto) -> Iterator[str]:
    """The names of all arrays and of what nodes make, in the bodies of loops too."""
    yield from (array.name for array in graph.initializer)
    for node in every_node(graph.node):
        yield from filter(None, node.output)
        for body in bodies(node):
            yield from (value.name for value in (*body.input, *body.initializer))


def _name_apart(nodes: Sequence[onnx.NodeProto]) -> None:
    """Give every node a name of its own, which onnxruntime asks for."""
    names = Names()
    for node in every_node(nodes):
        node.name = names.give(node.name)
