"""One spec in every engine, in PyTorch and by finite differences: outputs, gradients, and steps of its optimizer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from unittest import mock

import numpy as np

import nnspec
from nnspec.compile import Compilation
from nnspec.diagnostics import SpecError
from nnspec.gradcheck import EXAMPLES
from nnspec.interchange.simplify import simplified
from nnspec.interchange.to_onnx import to_onnx
from nnspec.run import planned
from nnspec.run.ort import Session
from nnspec.source import source_of
from tools.fuzz.draft import Draft
from tools.fuzz.results import (
    Distances,
    Fields,
    Results,
    distance,
    distances,
    from_the_start,
    inputs_of,
    of_gradients,
    random_batch,
    results,
)
from tools.fuzz.roundings import by_rounding, of_loss
from tools.fuzz.slopes import error_of_gradients, loss_of

EXACT, FORWARD, BACKWARD = 1e-9, 2e-5, 1e-4
"""Largest differences, over the largest number: in float64; of outputs and of gradients in float32."""
BY_DIFFERENCES = 1e-5
ROUNDINGS = 4
"""What differs by no more than so many times what another rounding of every value makes of it is no find."""


def differences(draft: Draft) -> list[str]:
    """What does not agree, a line each; none is as it should be."""
    try:
        return [*of_text(draft.text, draft.seed, draft.examples), *_in_torch(draft)]
    except SpecError as error:
        return [f"it does not compile: {error.diagnostics[0].message}"]
    except Exception as error:  # whatever it is, it is a find
        return [f"it crashes: {error!r}"]


def of_text(text: str, seed: int = 0, examples: int = EXAMPLES) -> Iterator[str]:
    """What engines, and finite differences, do not agree on."""
    double, single = _compiled(text, "float64"), _compiled(text, "float32")
    batch = random_batch(double, seed, examples)
    definition, rounded = _net(double, "reference"), _net(single, "reference")
    expected, in_single = results(definition, batch), results(rounded, batch)
    rounding = cache(lambda: by_rounding(rounded, batch, in_single))
    yield from _against("numpy", expected, results(_net(double, "numpy", 1), batch), EXACT, EXACT)
    with mock.patch.object(planned, "pays", lambda *_: True):  # parts of a batch, however small
        in_parts = results(_net(double, "numpy", 2), batch)
    yield from _against("numpy in parts", expected, in_parts, EXACT, EXACT)
    yield from _against("onnxruntime", in_single, results(_net(single, "ort"), batch), FORWARD, BACKWARD, rounding)
    yield from _against("onnxruntime in float64", expected, results(_net(double, "ort"), batch), EXACT, EXACT)
    yield from _exported(rounded, batch, FORWARD, rounding)
    yield from _exported(definition, batch, EXACT)
    yield from _as_written(definition, batch)
    yield from _told("the gradient by finite differences", error_of_gradients(definition, batch, expected.gradients, seed), BY_DIFFERENCES)


def _compiled(text: str, dtype: str) -> Compilation:
    return Compilation(source_of("fuzz.nn", text.encode()), {}, dtype).checked()


def _net(spec: Compilation, engine: str, threads: int | None = None) -> nnspec.Net:
    return from_the_start(nnspec.Net(spec, engine, threads=threads))


def _nothing() -> Distances:
    return Distances(defaultdict(float), defaultdict(float))


def _against(
    who: str, expected: Results, found: Results, forward: float, backward: float, rounding: Callable[[], Distances] = _nothing
) -> Iterator[str]:
    apart = distances(found, expected)
    yield from _all_told(who, apart.forward, forward, lambda: rounding().forward)
    yield from _all_told(who, apart.backward, backward, lambda: rounding().backward)


def _all_told(who: str, apart: Mapping[str, float], most: float, rounding: Callable[[], Mapping[str, float]]) -> Iterator[str]:
    """What is farther apart than allowed, and than rounding explains."""
    for what, found in apart.items():
        if not found <= most:
            yield from _told(f"{who}: {what}", found, max(most, ROUNDINGS * rounding()[what]))


def _told(what: str, found: float, most: float) -> Iterator[str]:
    if not found <= most:
        yield f"{what}: {found:.1e}, where {most:.0e} is allowed"


def _exported(net: nnspec.Net, batch: Fields, most: float, rounding: Callable[[], Distances] = _nothing) -> Iterator[str]:
    """The file for deployment, with onnxruntime's optimisations and without."""
    model = to_onnx(*simplified(net.spec.deployed, {**net.params, **net.states})).SerializeToString()
    feeds = {n: np.asarray(v, net.inputs[n].dtype) for n, v in inputs_of(net, batch).items()}
    expected = net(**feeds)
    for optimise, how in ((True, "optimised"), (False, "as it is")):
        found = Session(model, optimise=optimise).run(feeds)
        apart = {f"output {name}": distance(value, expected[name]) for name, value in found.items()}
        yield from _all_told(f"the file in {net.spec.dtype}, {how}", apart, most, lambda: rounding().forward)


def _as_written(net: nnspec.Net, batch: Fields) -> Iterator[str]:
    """The loss without the rules that make it stable, as exact as it is without them."""
    written = net.spec.training_model[0].graph
    stable, expected = (loss_of(net, graph, batch) for graph in (net.spec.stable, written))
    apart = distance(stable, expected)
    if not apart <= EXACT:
        yield from _told("the loss as written", apart, ROUNDINGS * of_loss(net, written, batch, expected))


def _in_torch(draft: Draft) -> Iterator[str]:
    """Loss and gradients by PyTorch, where every line has its like there."""
    lines = draft.lines[1:]
    if not draft.loss.torch or draft.beside or not all(line.torch for line in lines):
        return
    import torch

    net = _net(_compiled(draft.text, "float64"), "reference")
    batch = random_batch(net.spec, draft.seed)
    parameters = {n: torch.tensor(v.copy(), requires_grad=True) for n, v in net.params.items()}
    values = {"x": torch.tensor(batch["x"])}
    for line in lines:
        values[line.name] = line.torch(parameters, *(values[n] for n in line.uses))  # type: ignore[misc]  # all have one
    loss = draft.loss.torch(parameters, values[lines[-1].name if lines else "x"], torch.tensor(batch["y"]))
    ours, gradients = net.gradients(**batch)
    yield from _told("PyTorch: loss", distance(ours, loss.item()), EXACT)
    if parameters:
        loss.backward()
        expected = {n: p.grad.numpy() if p.grad is not None else np.zeros(p.shape) for n, p in parameters.items()}
        yield from _all_told("PyTorch", of_gradients(gradients, expected), EXACT, lambda: _nothing().backward)
