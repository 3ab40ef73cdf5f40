"""A convolution before a pool whose windows do not overlap, with its gradients, in planes: see `nnspec.ops.planes`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from nnspec.graph import Graph, Node, Op
from nnspec.ops.image import conv, conv_input_grad, conv_weight_grad
from nnspec.ops.planes import conv_planes, conv_planes_input_grad, conv_planes_weight_grad, max_plane, max_plane_grad
from nnspec.ops.pool import max_pool, max_pool_grad
from nnspec.ops.windows import Numbers

IN_PLANES: Mapping[Op, Op] = {
    conv: conv_planes,
    conv_input_grad: conv_planes_input_grad,
    conv_weight_grad: conv_planes_weight_grad,
    max_pool: max_plane,
    max_pool_grad: max_plane_grad,
}


def with_planes(graph: Graph) -> Graph:
    """The graph with what can lie in planes lying so; nobody differentiates it again."""
    found = _found(graph)

    def rule(new: Graph, node: Node, inputs: tuple[str, ...]) -> str:
        if node.name not in found:
            return new.copy_node(node, inputs)
        attrs = _attributes(node, found[node.name])
        type = IN_PLANES[node.op].type(tuple(new[i].type for i in inputs), attrs)
        return new.add(IN_PLANES[node.op], inputs, attrs, type, node.name)

    return graph.rebuilt(rule) if found else graph


def _attributes(node: Node, planes: Numbers) -> dict[str, Any]:
    if node.op in (max_pool, max_pool_grad):
        return {}
    return {**{name: value for name, value in node.attrs if name != "groups"}, "planes": planes}


def _found(graph: Graph) -> dict[str, Numbers]:
    """The planes of every operation that can have them."""
    readers: dict[str, list[Node]] = {}
    for node in graph:
        for i in dict.fromkeys(node.inputs):
            readers.setdefault(i, []).append(node)
    found: dict[str, Numbers] = {}
    given = {*graph.outputs.values()}
    for pool in graph:
        if pool.op is max_pool and _fits(pool, graph[pool.inputs[0]]):
            found |= dict.fromkeys(_around(graph, pool, readers, given), pool.attributes["kernel"])
    return found


def _fits(pool: Node, image: Node) -> bool:
    """Whether windows lie side by side and cover an image that is a convolution in one group."""
    kernel, strides, pads = (pool.attributes[name] for name in ("kernel", "strides", "pads"))
    if image.op is not conv or image.attributes["groups"] != 1 or kernel != strides or any(pads):
        return False
    return all(isinstance(n, int) and n % k == 0 for n, k in zip(image.type.shape[2:], kernel, strict=True))


def _around(graph: Graph, pool: Node, readers: Mapping[str, list[Node]], given: Collection[str]) -> list[str]:
    """A pool with its convolution and the gradients of both; nothing where anything else reads what lies between them."""
    image = pool.inputs[0]
    back = [n for n in readers[image] if n is not pool]
    ends = [(n.name, reader) for n in back for reader in readers.get(n.name, [])]
    own = all(n.op is max_pool_grad and n.inputs[1:] == (image, pool.name) for n in back)
    if not own or any(_gradient_of(reader) != g for g, reader in ends) or not {image, *(n.name for n in back)}.isdisjoint(given):
        return []
    return [pool.name, image, *(n.name for n in back), *(reader.name for _, reader in ends)]


def _gradient_of(node: Node) -> str:
    """The value for which an operation is the gradient of a convolution."""
    if node.op is conv_input_grad:
        return node.inputs[0]
    return node.inputs[1] if node.op is conv_weight_grad else ""
