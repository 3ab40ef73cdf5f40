"""How long a graph should take, from what it computes and moves: good enough to choose between ways of running it."""

from __future__ import annotations

from collections.abc import Mapping

from nnspec.graph import Graph, Node
from nnspec.graph.loop import Loop
from nnspec.graph.types import bind
from nnspec.record import dataclass

# One core of a current processor: operations a second in a matrix product of float32, bytes a second through the caches, and what it takes
# to call an operation and to wake a thread.
FLOPS, BYTES, CALL, WAKE = 1.2e11, 3e10, 1e-6, 4e-5
# What a step takes on threads that share every operation of it, over what it would if they never waited.
WAITING = 1.2
# How much longer a call takes for each other thread that Python has to be handed over from.
HANDOVER = 3


@dataclass(frozen=True)
class Estimate:
    """Seconds on one thread: in matrix products, which BLAS spreads over threads by itself, in all else, and in calls."""

    products: float
    rest: float
    calls: float

    def alone(self, threads: int) -> float:
        """With the threads used by BLAS only."""
        return self.products / threads + self.rest + self.calls

    def spread(self, threads: int) -> float:
        """With the threads sharing every operation, after which they wait for each other."""
        return WAITING * (self.products + self.rest) / threads + self.calls

    def in_parts(self, threads: int, shares: int) -> float:
        """With the batch in parts, one a thread, that leave shares of so many bytes to be added up; only one thread at a time calls."""
        return (self.products + self.rest) / threads + self.calls * (1 + HANDOVER * (threads - 1)) + 2 * shares / BYTES + 2 * WAKE

    def in_sessions(self, threads: int, shares: int) -> float:
        """The same in sessions, which do not wait for each other to call; but the update is a pass of its own over all shares then."""
        return (self.products + self.rest) / threads + self.calls + 6 * shares / BYTES + 2 * WAKE


def estimate(graph: Graph, sizes: Mapping[str, int]) -> Estimate:
    """The time of everything the outputs need."""
    needed = graph.needed(graph.outputs.values())
    costs = [cost(graph, n, sizes) for n in graph if n.name in needed and not n.op.view and n.inputs]
    return Estimate(sum(c.products for c in costs), sum(c.rest for c in costs), sum(c.calls for c in costs))


def cost(graph: Graph, node: Node, sizes: Mapping[str, int]) -> Estimate:
    """The time of one operation."""
    body = node.attributes.get("body")
    if isinstance(body, Loop):
        once, length = estimate(body.body, sizes), bind(node.attributes["length"], sizes)
        return Estimate(once.products * length, once.rest * length, once.calls * length)
    types = [graph[i].type for i in node.inputs]
    work: float = bind(node.op.work(node.type, tuple(types), node.attributes), sizes)
    moved = sum(t.bound(sizes).nbytes for t in (node.type, *types)) / BYTES
    if node.op.name in ("matmul", "gemm"):
        return Estimate(work / FLOPS, 0.0, CALL)
    return Estimate(0.0, max(moved, work / FLOPS) if node.op.pointwise or not node.op.flops else moved + work / FLOPS, CALL)
