"""What is imported can be differentiated: the cases of ONNX's own tests once more, their gradients against finite differences."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from typing import Any

import numpy as np
import pytest
from conformance import TABLE, Array, Case, case_inputs, family, imported_with

from nnspec.autodiff import gradients
from nnspec.graph import Graph, Type
from nnspec.interchange.from_onnx import Imported
from nnspec.ops import OPS
from nnspec.run import reference

STEP, CLOSE = 1e-6, 1e-4
MOST = 4096  # elements: among more, some lie within a step of a kink


def weighted(graph: Graph, weights: Mapping[str, Array]) -> str:
    """One number of all outputs: their sum, each element with a weight of its own."""
    found = []
    for public, node in graph.outputs.items():
        if public in weights:
            x = graph.var(node) * graph.source(OPS["input"], f"weight of {public}", graph[node].type)
            found.append(OPS["sum"](x, axes=tuple(range(x.type.rank)), keep=False) if x.type.rank else x)
    return reduce(lambda a, b: a + b, found).name


def moved(values: Mapping[str, Array], rng: np.random.Generator) -> dict[str, Array]:
    """Floats a little off their places, where whole numbers and equal ones lie on kinks."""
    return {n: v + 1e-2 * rng.normal(size=v.shape) if v.dtype.kind == "f" else v for n, v in values.items()}


def slopes(imported: Imported, values: Mapping[str, Array], rng: np.random.Generator) -> list[tuple[str, float, float]]:
    """For each input of floats the slope in a direction, by the gradient and by differences."""
    graph, sizes = imported.graph, reference.sizes_of(imported.inputs, values)
    outputs = {p: graph[n].type.bound(sizes) for p, n in graph.outputs.items() if graph[n].type.is_float}
    wrt = [n for n, t in imported.inputs.items() if t.is_float and n in graph.nodes and values[n].size]
    if not outputs or not wrt:
        return []
    weights = {p: rng.normal(size=t.numbers) for p, t in outputs.items()}
    total = weighted(graph, weights)
    graph.outputs = {"total": total} | {w: g.name for w, g in zip(wrt, gradients(graph, total, wrt), strict=True)}
    feeds = {**values, **{f"weight of {p}": w for p, w in weights.items()}}
    by_gradient = reference.run(graph, feeds, wrt, sizes)

    def at(name: str, step: Any) -> float:
        return float(reference.run(graph, {**feeds, name: feeds[name] + step}, ["total"], sizes)["total"])

    found = []
    for name in wrt:
        d = rng.normal(size=values[name].shape)
        found.append((name, float(np.sum(by_gradient[name] * d)), (at(name, STEP * d) - at(name, -STEP * d)) / (2 * STEP)))
    return found


def has_slopes(case: Case) -> bool:
    """Whether all that goes in is finite and not too much."""
    values = case_inputs(case).values()
    return not case.expanded and all(np.isfinite(v).all() and v.size <= MOST for v in values if v.dtype.kind == "f")


def wrong(case: Case) -> str:
    rng, values = np.random.default_rng(0), case_inputs(case)
    imported = imported_with(case.given.model, values, "float64")
    fed = moved({n: values[n] for n in imported.inputs}, rng)
    off = [(n, g, d) for n, g, d in slopes(imported, fed, rng) if not abs(g - d) <= CLOSE * max(1.0, abs(d))]
    return f"{case.name}: {off}" if off else ""


@pytest.mark.parametrize("name", [f for f in TABLE["families"] if not f.startswith("attention")])
def test_the_gradients_of_a_family_are_its_slopes(name: str) -> None:
    chosen = [c for c in family(name) if has_slopes(c)]
    assert [message for c in chosen if (message := wrong(c))] == []


def test_there_is_something_to_be_differentiated() -> None:
    imported = imported_with(family("softmax")[0].given.model, {}, "float64")
    values = {n: np.zeros(Type(t.dtype, t.shape).numbers) for n, t in imported.inputs.items()}
    assert slopes(imported, values, np.random.default_rng(0))
