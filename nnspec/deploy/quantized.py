"""Export on 8-bit numbers: calibrated on what the network was trained on, and judged by the spec's own metrics before and after."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nnspec.array import Array
from nnspec.compile import Compilation
from nnspec.deploy.interface import given_as, graph_of, judged, preparing
from nnspec.deploy.model import Proof, written
from nnspec.deploy.proof import inputs_of, proved
from nnspec.deploy.wishes import Wishes
from nnspec.diagnostics import fault
from nnspec.elaborate.primitives import SEED, STEP
from nnspec.graph import Graph
from nnspec.interchange.behind import behind
from nnspec.interchange.cut import cut_at, nodes_for
from nnspec.interchange.prove import check
from nnspec.interchange.simplify import simplified
from nnspec.interchange.to_onnx import to_onnx
from nnspec.run.engine import Engine
from nnspec.run.ort import QUANTIZED, Session, quantized
from nnspec.train.check import Fields
from nnspec.train.check import examples as number_of
from nnspec.train.loop import evaluate

# Examples to calibrate on, and how many at a time; examples whose outputs are compared.
CALIBRATION, BATCH, COMPARED = 512, 64, 64


def export_quantized(
    spec: Compilation,
    engine: Engine,
    weights: Mapping[str, Array],
    path: Path,
    wishes: Wishes,
    *,
    metadata: Mapping[str, str],
    examples: Mapping[str, Array],
) -> Proof:
    """Write a float32 spec with its matrix products and convolutions on 8-bit numbers.

    Losses and metrics are computed by the same model, of which only the outputs are kept in the end. What a data block makes of `raw`
    fields is put before it then: in single precision, and proved to be what the model was calibrated on.
    """
    w = wishes
    assert w.int8
    data, bright = w.int8.as_arrays(), () if w.raw else w.pixels
    each, whole = judged(spec, w.outputs, bright)
    numbers = {SEED: np.asarray(engine.seed), STEP: np.zeros((), np.int64)}
    single = to_onnx(*simplified(each, weights), metadata=metadata, opset=w.opset)
    before = check(single)
    public = dict(zip((o.name for o in single.graph.output), each.outputs, strict=True))
    kept = [name for name, wish in public.items() if wish.startswith("output:")]

    def fed(fields: Fields, draw: int = 0) -> dict[str, Array]:
        given = {**numbers, STEP: np.asarray(draw, np.int64), **given_as(fields, bright)}
        return {i.name: given[i.name] for i in single.graph.input}

    nodes = _to_quantize(spec, single, kept)
    after = quantized(before, nodes, map(fed, _batches(data.train)))
    seen = data.test or data.validation or data.train
    reached = [_reached(engine, Session(content), public, fed, seen, whole) for content in (before, after)]
    small, model = cut_at(before, kept), cut_at(after, kept)
    model.producer_name, model.producer_version = single.producer_name, single.producer_version
    remarks = [*_of_metrics(*reached), *_of_size(small.ByteSize(), model.ByteSize())]
    if w.raw:
        ports = [i.name for i in model.graph.input]
        model = behind(to_onnx(*simplified(preparing(spec, ports, w.pixels, w.raw), {}), opset=w.opset), ports, model)
    content = check(model)
    graph = graph_of(spec, w.outputs, w.pixels, w.raw)
    shown = examples or given_as({n: v[:COMPARED] for n, v in seen.items()}, w.pixels)
    compared = {n: np.asarray(shown[n], t.dtype) for n, t in inputs_of(graph).items() if n in shown}
    difference = proved(graph, content, [{**weights, **numbers, **compared}], most=np.inf)
    return written(path, model, content, difference, f"on {number_of(compared)} examples", *remarks)


def _to_quantize(spec: Compilation, model: Any, outputs: Sequence[str]) -> list[str]:
    """The products and convolutions that these outputs need; a Fault (E512) where there are none."""
    nodes = [n.name for n in nodes_for(model, outputs) if n.op_type in QUANTIZED]
    if not nodes:
        raise fault("E512", f"`{spec.model.name}` has no matrix product or convolution outside of loops to quantize", spec.model.span)
    return nodes


def _batches(fields: Fields) -> Iterator[Fields]:
    for start in range(0, min(number_of(fields), CALIBRATION), BATCH):
        yield {n: np.asarray(v[start : start + BATCH]) for n, v in fields.items()}


def _reached(
    engine: Engine, session: Session, public: Mapping[str, str], fed: Callable[[Fields, int], Fields], fields: Fields, whole: Graph
) -> dict[str, Any]:
    """Loss and metrics of a model over a data set; `whole` gives those that need all examples."""
    outside = {wish: name for name, wish in public.items() if not wish.startswith("output:")}

    def compute(part: Fields, draw: int) -> Fields:
        values = session.run(fed(part, draw))
        return {wish: values[name] for wish, name in outside.items()}

    return evaluate(engine, fields, compute, whole)


def _of_metrics(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    """What the metrics that are numbers came to, or the loss where there are none."""
    numbers = [n for n, v in before.items() if isinstance(v, float) and n != "loss"] or ["loss"]
    for name in numbers:
        yield f"{name} {before[name]:.4g} before and {after[name]:.4g} after it was quantized"


def _of_size(before: int, after: int) -> Iterator[str]:
    """That nothing is gained in size, if so it is."""
    if after > before:
        yield f"larger than in single precision by {after - before:,} bytes, as its weights are few"
