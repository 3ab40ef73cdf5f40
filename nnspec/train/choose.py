"""Which engine trains a spec the fastest: a few steps of each, where training is long enough for that to pay."""

from __future__ import annotations

import time
from collections.abc import Mapping
from math import prod

import numpy as np

from nnspec.array import Array
from nnspec.diagnostics import Fault
from nnspec.graph import Graph, Node
from nnspec.graph.types import ITEM_BYTES
from nnspec.ops.image import conv
from nnspec.plan.estimate import estimate
from nnspec.run.engine import Engine
from nnspec.run.reference import sizes_of

CANDIDATES = ("numpy", "ort")
# Seconds of training below which no choice is worth its while, and seconds that each candidate is tried for.
WORTH_IT, TRIAL = 5.0, 0.25
FEWEST_STEPS = 3
# Bytes of windows above which onnxruntime, which keeps them all, is no candidate: it takes gigabytes, and is slower.
MOST_WINDOWS = 1 << 26
# What another engine has to save before it is preferred to the first.
MARGIN = 0.9


def choose(engine: Engine, batch: Mapping[str, Array], steps: int) -> bool:
    """Let the fastest engine train so many steps of such batches, and have it say why; whether others were tried."""
    sizes = sizes_of(engine.spec.model.ports, batch)
    graphs = [phase.objective for phase in engine.spec.stages[engine.stage]]
    expected = steps * sum(estimate(graph, sizes).alone(max(1, engine.threads)) for graph in graphs)
    if expected < WORTH_IT:
        engine.choice = f"{engine.name}: the training should take {expected:.1f} seconds, too few to try others"
        return False
    kept = sum(_windows(graph, sizes) for graph in graphs)
    plausible = CANDIDATES if kept <= MOST_WINDOWS else CANDIDATES[:1]
    with engine.lock:  # as what is tried moves states for a while
        tried = {name: _tried(engine, name, batch) for name in plausible}
    times = {name: seconds for name, seconds in tried.items() if seconds is not None}
    best = min(times, key=lambda name: times[name] * (MARGIN if name == CANDIDATES[0] else 1))
    engine.use(best)
    left_out = [f"{n} cannot run it" for n in tried if n not in times]
    left_out += [f"{n} not tried, as it would keep {kept / 1e9:.1f} GB of windows" for n in CANDIDATES if n not in tried]
    engine.choice = "; ".join([_ranking(best, times), *left_out])
    return True


def _ranking(best: str, times: Mapping[str, float]) -> str:
    """What a step takes in the engine that is taken, in the others, and why it is this one where it is not the fastest."""
    others = [f"{name} {1000 * seconds:.1f} ms" for name, seconds in times.items() if name != best]
    sentence = ", ".join([f"{best}: {1000 * times[best]:.1f} ms a step", *others])
    return sentence if times[best] == min(times.values()) else f"{sentence}, too little faster to change"


def _windows(graph: Graph, sizes: Mapping[str, int]) -> int:
    """Bytes of the windows of all convolutions."""
    return sum(_windows_of(graph, node, sizes) for node in graph if node.op is conv)


def _windows_of(graph: Graph, node: Node, sizes: Mapping[str, int]) -> int:
    out, weights = (type.bound(sizes).numbers for type in (node.type, graph[node.inputs[1]].type))
    return out[0] * prod(out[2:]) * prod(weights[1:]) * int(node.attributes["groups"]) * ITEM_BYTES[node.type.dtype]


def _tried(engine: Engine, name: str, batch: Mapping[str, Array]) -> float | None:
    """The median seconds of a step in an engine, which leaves everything as it was; None if it cannot run the spec."""
    before = engine.copies()
    done, times = int(engine.steps_done), list[float]()
    try:
        engine.use(name)
        engine.step(batch, 0.0, settled=False)
        while sum(times) < TRIAL or len(times) < FEWEST_STEPS:
            started = time.perf_counter()
            engine.step(batch, 0.0, settled=False)
            times.append(time.perf_counter() - started)
    except Fault:
        return None
    finally:
        engine.put(before)
        engine.steps_done[...] = done
    return float(np.median(times))
