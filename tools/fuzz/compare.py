"""One spec in every engine, in PyTorch and by finite differences: outputs, gradients, and steps of its optimizer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from unittest import mock

import numpy as np

import nnspec
from nnspec.compile import Compilation
from nnspec.diagnostics import SpecError
from nnspec.elaborate.primitives import SEED, STEP
from nnspec.gradcheck import random_values
from nnspec.interchange.simplify import simplified
from nnspec.interchange.to_onnx import to_onnx
from nnspec.run import planned, reference
from nnspec.run.ort import Session
from nnspec.source import source_of
from tools.fuzz.draft import Draft

Array = np.ndarray[Any, np.dtype[Any]]
Fields = dict[str, Array]
STEPS, LR = 3, 0.01
EXACT, FORWARD, BACKWARD = 1e-9, 2e-5, 1e-4
"""Largest differences, over the largest number: in float64; of outputs and of gradients in float32."""
EPS, BY_DIFFERENCES = 1e-6, 1e-5


def differences(draft: Draft) -> list[str]:
    """What does not agree, a line each; none is as it should be."""
    try:
        return [*of_text(draft.text, draft.seed), *_in_torch(draft)]
    except SpecError as error:
        return [f"it does not compile: {error.diagnostics[0].message}"]
    except Exception as error:  # whatever it is, it is a find
        return [f"it crashes: {error!r}"]


def of_text(text: str, seed: int = 0) -> Iterator[str]:
    """What engines, and finite differences, do not agree on."""
    double, single = _compiled(text, "float64"), _compiled(text, "float32")
    batch = random_batch(double, seed)
    definition, rounded = _net(double, "reference"), _net(single, "reference")
    expected = results(definition, batch)
    yield from _against("numpy", expected, results(_net(double, "numpy", 1), batch), EXACT, EXACT)
    with mock.patch.multiple(planned, pays=lambda *_: True, FEWEST_EXAMPLES=1):  # parts of a batch, however small
        in_parts = results(_net(double, "numpy", 2), batch)
    yield from _against("numpy in parts", expected, in_parts, EXACT, EXACT)
    yield from _against("onnxruntime", results(rounded, batch), results(_net(single, "ort"), batch), FORWARD, BACKWARD)
    yield from _exported(rounded, batch)
    yield from _by_finite_differences(definition, batch, expected, seed)


def _compiled(text: str, dtype: str) -> Compilation:
    return Compilation(source_of("fuzz.nn", text.encode()), {}, dtype).checked()


def _net(spec: Compilation, engine: str, threads: int | None = None) -> nnspec.Net:
    return _from_the_start(nnspec.Net(spec, engine, threads=threads))


def _from_the_start(net: nnspec.Net) -> nnspec.Net:
    """Off the corners: a bias of 0 behind a relu may be on one; from 0 the first step of some optimizers is the sign of a rounding."""
    net.init(seed=1)
    rng = np.random.default_rng(1)
    for name, array in net.engine.all_arrays().items():
        if name.startswith("optimizer/"):
            array[...] = 0.01
        elif name in net.params:
            array[...] += 0.1 * rng.normal(size=array.shape)
    return net


def random_batch(spec: Compilation, seed: int) -> Fields:
    rng = np.random.default_rng(seed)
    return {name: random_values(port, rng) for name, port in (spec.model.inputs | spec.model.targets).items()}


def distance(value: Any, expected: Any) -> float:
    """The largest difference over the largest number expected; infinite where one of them is not finite."""
    value, expected = np.asarray(value, np.float64), np.asarray(expected, np.float64)
    if value.shape != expected.shape or not (np.isfinite(value).all() and np.isfinite(expected).all()):
        return np.inf
    return float(np.abs(value - expected).max(initial=0) / max(np.abs(expected).max(initial=0), 1e-2))


@dataclass(frozen=True)
class Results:
    """What a network gives for a batch, and every array of it after some steps."""

    outputs: Fields
    loss: float
    gradients: Fields
    after: Fields


def results(net: nnspec.Net, batch: Fields) -> Results:
    outputs = net(**_inputs(net, batch))
    loss, gradients = net.gradients(**batch)
    for _ in range(STEPS):
        net.step(lr=LR, **batch)
    after = {n: v.copy() for n, v in net.engine.all_arrays().items()}
    _from_the_start(net)
    return Results(outputs, loss, gradients, after)


def _inputs(net: nnspec.Net, batch: Fields) -> Fields:
    return {n: batch[n] for n in net.inputs}


def _against(who: str, expected: Results, found: Results, forward: float, backward: float) -> Iterator[str]:
    for name, value in found.outputs.items():
        yield from _told(f"{who}: output {name}", distance(value, expected.outputs[name]), forward)
    yield from _told(f"{who}: loss", distance(found.loss, expected.loss), forward)
    yield from _of_gradients(who, found.gradients, expected.gradients, backward)
    for name, value in found.after.items():
        yield from _told(f"{who}: {name} after {STEPS} steps", distance(value, expected.after[name]), backward)


def _of_gradients(who: str, gradients: Fields, expected: Fields, most: float) -> Iterator[str]:
    """Over the largest of all: a gradient that is 0 but for rounding has nothing of its own to be held against."""
    scale = max([1e-2, *(np.abs(g).max(initial=0) for g in expected.values())])
    for name, gradient in gradients.items():
        yield from _told(f"{who}: gradient of {name}", float(np.abs(gradient - expected[name]).max(initial=0) / scale), most)


def _told(what: str, found: float, most: float) -> Iterator[str]:
    if not found <= most:
        yield f"{what}: {found:.1e}, where {most:.0e} is allowed"


def _exported(net: nnspec.Net, batch: Fields) -> Iterator[str]:
    """The file for deployment, with onnxruntime's optimisations and without."""
    model = to_onnx(*simplified(net.spec.deployed, {**net.params, **net.states})).SerializeToString()
    feeds = {n: np.asarray(v, net.inputs[n].dtype) for n, v in _inputs(net, batch).items()}
    expected = net(**feeds)
    for optimise, how in ((True, "optimised"), (False, "as it is")):
        for name, value in Session(model, optimise=optimise).run(feeds).items():
            yield from _told(f"the file, {how}: {name}", distance(value, expected[name]), FORWARD)


def _by_finite_differences(net: nnspec.Net, batch: Fields, found: Results, seed: int) -> Iterator[str]:
    """The derivative in a random direction of all parameters. Where a step crosses a corner it is wrong: a second direction decides."""
    error = min(_error_along(net, batch, found.gradients, np.random.default_rng([seed, n])) for n in range(2))
    yield from _told("the gradient by finite differences", error, BY_DIFFERENCES)


def _error_along(net: nnspec.Net, batch: Fields, gradients: Fields, rng: np.random.Generator) -> float:
    directions = {n: rng.normal(size=g.shape) for n, g in gradients.items()}
    along = sum(float((gradients[n] * d).sum()) for n, d in directions.items())
    weights = {**net.params, **net.states}
    moved = [{n: v + way * EPS * directions.get(n, 0) for n, v in weights.items()} for way in (1, -1)]
    forward, fixed = net.spec.training_model[0].graph, {**batch, SEED: net.engine.seed, STEP: 0}
    up, down = (float(reference.run(forward, {**fixed, **w}, ["loss"])["loss"]) for w in moved)
    return abs((up - down) / (2 * EPS) - along) / max(1.0, abs(along))


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
        yield from _of_gradients("PyTorch", gradients, expected, EXACT)
