"""Parts that were padded to be added up, laid side by side instead: what the gradients of slices of one value come to."""

from __future__ import annotations

from nnspec.graph import Graph, Node
from nnspec.ops.arrange import concat, pad

MAX_PARTS = 256
"""Of a sum; those of neighbours are laid side by side as they come, and are one from then on."""


def side_by_side(graph: Graph, name: str, others: set[str]) -> str | None:
    """For a sum of pads, the concatenation of what they pad; None where that is not all, or parts overlap or leave a gap.

    `others` are the sums of anything else, as far as they are known; what is found to be one is added.
    """
    parts = _pads(graph, graph[name], others)
    if len(parts) < 2 or len({p.attributes["axis"] for p in parts}) > 1 or len({p.type for p in parts}) > 1:
        others.add(name)
        return None
    axis = parts[0].attributes["axis"]
    places = sorted((p.attributes["before"], i) for i, p in enumerate(parts) if isinstance(p.attributes["before"], int))
    ordered = [parts[i] for _, i in places]
    inner = [graph.var(p.inputs[0]) for p in ordered]
    ends = [p.attributes["before"] + v.type.shape[axis] for p, v in zip(ordered, inner, strict=True)]
    if len(ordered) < len(parts) or [p.attributes["before"] for p in ordered[1:]] != ends[:-1]:
        return None
    joined = concat(*(graph.var(n) for v in inner for n in _joined(v.node, axis)), axis=axis)
    before, after = ordered[0].attributes["before"], ordered[-1].attributes["after"]
    return (joined if (before, after) == (0, 0) else pad(joined, axis=axis, before=before, after=after)).name


def _joined(node: Node, axis: int) -> tuple[str, ...]:
    """What a value is made of along an axis."""
    return node.inputs if node.op is concat and node.attributes["axis"] == axis else (node.name,)


def _pads(graph: Graph, node: Node, others: set[str]) -> list[Node]:
    """The pads of a sum; none if it has any other part, too many, or one twice, which overlaps itself."""
    found, waiting, seen = list[Node](), [node], set[str]()
    while waiting:
        part = waiting.pop()
        if part.name in seen or part.name in others or len(found) == MAX_PARTS:
            return []
        seen.add(part.name)
        if part.op is pad:
            found.append(part)
        elif part.op.name == "add" and all(graph[i].type == part.type for i in part.inputs):
            waiting += [graph[i] for i in part.inputs]
        else:
            return []
    return found
