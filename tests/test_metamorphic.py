"""What must not change a result: other names, another order, parts of a batch, rules on or off, the same thing written otherwise."""

from __future__ import annotations

import re
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from helpers import GALLERY, compiled, compiled_text, distance, small

import nnspec
from nnspec.compile import Compilation
from nnspec.diagnostics import Source, SpecError
from nnspec.elaborate.primitives import SEED, STEP
from nnspec.interchange.simplify import simplified
from nnspec.interchange.to_onnx import to_onnx
from nnspec.run import reference
from nnspec.run.engine import first_values
from nnspec.syntax import ast
from nnspec.syntax.parser import parse
from tools.batches import random_batch

Fields = dict[str, Any]
EXAMPLES, EXACT = 4, 1e-9
TRAINED = [n for n in GALLERY if compiled(n, "float64").model.losses]


def ports(spec: Compilation) -> dict[str, Any]:
    return spec.model.ports


@cache
def net(name: str) -> nnspec.Net:
    return nnspec.Net(compiled(name, "float64"), "numpy", threads=1).init(seed=2)


def like(text: str, name: str) -> nnspec.Net:
    """The network of another text, with the weights of the spec, whatever they are called there."""
    other = nnspec.Net(compiled_text(name, text, "float64"), "numpy", threads=1).init(seed=2)
    for mine, its in ((net(name).params, other.params), (net(name).states, other.states)):
        for a, b in zip(mine.values(), its.values(), strict=True):
            b[...] = a
    return other


def draws(spec: Compilation) -> bool:
    return any(n.op.name == "random" for n in spec.stable)


def meets_batch(spec: Compilation) -> bool:
    """Whether an example's loss depends on the others."""
    return bool(spec.model.states) and spec.training_model[0].graph.outputs.keys() != spec.model.graph.outputs.keys()


def agree(one: tuple[float, Fields], two: tuple[float, Fields], most: float = EXACT) -> None:
    assert abs(one[0] - two[0]) <= most * max(1, abs(one[0]))
    largest = max((abs(g).max() for g in one[1].values()), default=1)
    for a, b in zip(one[1].values(), two[1].values(), strict=True):
        assert abs(a - b).max() <= most * largest


def rows(batch: Fields, chosen: Any) -> Fields:
    return {n: v[chosen] for n, v in batch.items()}


# ---- on every spec of the gallery


@pytest.mark.parametrize("name", GALLERY)
def test_examples_in_another_order_have_the_same_outputs_in_that_order(name: str) -> None:
    n = net(name)
    if draws(n.spec):
        pytest.skip("the numbers it draws are those of a place in the batch")
    batch, order = random_batch(n.inputs, EXAMPLES), [2, 0, 3, 1]
    straight, mixed = n(**batch), n(**rows(batch, order))
    assert all(distance(mixed[o], v[order] if len(v) == EXAMPLES else v) < EXACT for o, v in straight.items())


@pytest.mark.parametrize("name", TRAINED)
def test_examples_in_another_order_have_the_same_loss_and_gradients(name: str) -> None:
    n = net(name)
    if draws(n.spec):
        pytest.skip("the numbers it draws are those of a place in the batch")
    batch = random_batch(ports(n.spec), EXAMPLES)
    agree(n.gradients(step=0, **batch), n.gradients(step=0, **rows(batch, [2, 0, 3, 1])))


@pytest.mark.parametrize("name", TRAINED)
def test_the_gradient_of_a_batch_is_the_mean_of_those_of_its_halves(name: str) -> None:
    n = net(name)
    if draws(n.spec) or meets_batch(n.spec):
        pytest.skip("an example's loss depends on the others, or on its place")
    batch = random_batch(ports(n.spec), EXAMPLES)
    halves = [n.gradients(step=0, **rows(batch, part)) for part in (slice(2), slice(2, 4))]
    mean = {p: (halves[0][1][p] + halves[1][1][p]) / 2 for p in halves[0][1]}
    agree(n.gradients(step=0, **batch), ((halves[0][0] + halves[1][0]) / 2, mean))


@pytest.mark.parametrize("name", TRAINED)
def test_three_times_the_loss_has_three_times_the_gradients(name: str) -> None:
    text = small(name)
    for report in sorted(_of_model(text, ast.Report), key=lambda r: -r.value.span.start):
        if report.kind == "loss":
            a, b = report.value.span.start, report.value.span.end
            text = f"{text[:a]}3 * ({text[a:b]}){text[b:]}"
    batch = random_batch(ports(net(name).spec), EXAMPLES)
    loss, gradients = net(name).gradients(step=0, **batch)
    agree((3 * loss, {n: 3 * g for n, g in gradients.items()}), like(_without_tests(text), name).gradients(step=0, **batch))


@pytest.mark.parametrize("name", TRAINED)
def test_names_do_not_matter(name: str) -> None:
    text = small(name)
    for word in _names_to_change(text):
        text = re.sub(rf"(?<![\w.]){word}(?![\w(])", f"{word}_renamed", text)
    batch = random_batch(ports(net(name).spec), EXAMPLES)
    agree(net(name).gradients(step=0, **batch), like(text, name).gradients(step=0, **batch))


@pytest.mark.parametrize("name", TRAINED)
def test_statements_may_stand_in_any_order_in_which_names_come_before_their_use(name: str) -> None:
    other = like(_reordered(small(name)), name)
    batch = random_batch(ports(net(name).spec), EXAMPLES)
    if draws(other.spec):
        one, two = (n(**{p: batch[p] for p in n.inputs}) for n in (net(name), other))
        assert all(distance(two[o], v) < EXACT for o, v in one.items())
    else:
        agree(net(name).gradients(step=0, **batch), other.gradients(step=0, **batch))


@pytest.mark.parametrize("name", GALLERY)
def test_the_rules_change_no_result(name: str) -> None:
    """The graph as written, against the one that is run."""
    spec = compiled(name, "float64")
    feeds = {**random_batch(ports(spec), EXAMPLES), **first_values(spec, 2), SEED: 2, STEP: 0}
    written = spec.training_model[0].graph
    kept = [o for o in written.outputs if o in spec.stable.outputs]
    one, two = (reference.run(graph, feeds, kept) for graph in (written, spec.stable))
    assert kept and all(distance(two[o], one[o]) < 1e-7 for o in kept)


NOT_READ = {"gan": "E522"}
"""Its draws are fed by a seed."""


@pytest.mark.parametrize("name", GALLERY)
def test_a_model_that_is_exported_and_read_again_computes_the_same(name: str) -> None:
    spec = compiled(name, "float32")
    weights = {n: v.astype("float32") for n, v in {**net(name).params, **net(name).states}.items()}
    model = to_onnx(*simplified(spec.deployed, weights))
    if name in NOT_READ:
        with pytest.raises(SpecError, match=NOT_READ[name]):
            nnspec.from_onnx(model)
        return
    again = nnspec.from_onnx(model)
    batch = random_batch(spec.model.inputs, EXAMPLES)
    for public, value in net(name)(**batch).items():
        assert distance(again(**batch)[public], value) < 2e-5, public


def _of_model(text: str, *kinds: Any) -> list[Any]:
    tree, wrong = parse(Source("<text>", text))
    assert not wrong
    models = [d for d in tree.definitions if isinstance(d, ast.Definition) and d.kind == "model"]
    return [s for s in models[-1].body if not kinds or isinstance(s, kinds)]


def _without_tests(text: str) -> str:
    """Their numbers are those of the loss as it was."""
    tree, _ = parse(Source("<text>", text))
    starts = [d.span.start for d in tree.definitions if isinstance(d, ast.Test)]
    return text[: min(starts)] if starts else text


def _names_to_change(text: str) -> list[str]:
    """What the model calls its values, but where a word has another meaning too: an argument, a part of a path."""
    assigned = {n.id for s in _of_model(text, ast.Assign) for n in s.names}
    return sorted(n for n in assigned if not re.search(rf"[(,]\s*{n}\s*=|\b{n}\.|\.{n}\b|\b{n}\(|\bas {n}\b|\"[^\"]*\b{n}\b", text))


def _reordered(text: str) -> str:
    """Ports, losses, metrics and expectations as late as can be; what owns weights stays in its order, as that gives them their names."""
    body = _of_model(text)
    starts = [s.span.start for s in body]
    end = text.index("\n}", starts[-1]) + 1
    pieces = [text[a:b] for a, b in zip(starts, [*starts[1:], end], strict=True)]
    defines = [_defined(s) for s in body]
    waits = [{i for i in range(k) if any(re.search(rf"(?<![\w.]){n}\b", pieces[k]) for n in defines[i])} for k in range(len(body))]
    fixed = [k for k, s in enumerate(body) if not isinstance(s, ast.Port | ast.Report | ast.Expect)]
    for before, after in pairwise(fixed):
        waits[after].add(before)
    order: list[int] = []
    while len(order) < len(body):
        order.append(max(k for k in range(len(body)) if k not in order and waits[k] <= set(order)))
    return text[: starts[0]] + "\n".join(pieces[k].rstrip() for k in order) + "\n" + text[end:]


def _defined(s: Any) -> list[str]:
    match s:
        case ast.Assign(names=names):
            return [n.id for n in names]
        case ast.Output(items=items):
            return [name.id for name, value in items if value is not None]
        case ast.ParamDecl(name=name) | ast.Port(name=name) | ast.Share(name=name):
            return [name.id]
        case _:
            return []


# ---- the same thing, written otherwise

SAME = {
    "a repetition is so many copies": (
        "y = x -> repeat(3) { dense(4) -> tanh }",
        "y = x -> dense(4) -> tanh -> dense(4) -> tanh -> dense(4) -> tanh",
    ),
    "a layer is its formulas": (
        "y = x -> dense(4) -> relu",
        "param W: [4, 4] ~ he_normal  param b: [4] ~ zeros  y = max(x @ W + b, 0)",
    ),
    "a layer of one's own is what it calls": (
        "y = x -> block(4)",
        "y = x -> dense(4) -> tanh -> dense(4)",
    ),
    "branches are joined by hand": (
        "y = x -> [dense(2), dense(3) -> tanh] -> concat(axis = 0)",
        "a = x -> dense(2)  b = x -> dense(3) -> tanh  y = concat(a, b, axis = 0)",
    ),
    "a residual is a sum": ("y = x -> residual(inner)", "y = x + (x -> dense(4) -> tanh -> dense(4))"),
    "softmax is its formula": ("y = softmax(x -> dense(3))", "z = x -> dense(3)  y = exp(z) / sum(exp(z))"),
}  # fmt: skip
BLOCK = "layer block(x, units) = x -> dense(units) -> tanh -> dense(units)\nlayer inner(x) = x -> block(4)\n"


def model(body: str, shape: str = "[4]") -> str:
    return f"{BLOCK}model M {{ input x: {shape}  {body}  output out = 1 * y  loss mean(sin(y)) }}"


def same(one: str, two: str, shape: str = "[4]", copy: Any = lambda name, value, its: value) -> None:
    """Outputs, loss and gradients are the same; `copy` gives a parameter of the second its value from that of the first."""
    first, second = (nnspec.loads(model(text, shape), dtype="float64").init(seed=3) for text in (one, two))
    rng = np.random.default_rng(4)
    for (name, value), its in zip(first.params.items(), second.params.values(), strict=True):
        value[...] = rng.normal(size=value.shape)
        its[...] = copy(name, value, its)
    batch = random_batch(first.inputs, EXAMPLES)
    assert distance(second(**batch)["out"], first(**batch)["out"]) < EXACT
    (loss, gradients), (other_loss, others) = first.gradients(step=0, **batch), second.gradients(step=0, **batch)
    moved = {n: copy(n, g, others[o]) for (n, g), o in zip(gradients.items(), others, strict=True)}
    agree((loss, moved), (other_loss, others))


@pytest.mark.parametrize(("one", "two"), SAME.values(), ids=SAME)
def test_the_same_thing_may_be_written_otherwise(one: str, two: str) -> None:
    same(one, two)


def test_a_convolution_of_one_pixel_is_a_dense_layer_at_every_pixel() -> None:
    def copy(name: str, value: Any, its: Any) -> Any:
        return value[:, :, 0, 0].T if name == "conv.W" else value

    same("y = x -> conv(3, 1)", "y = transpose(transpose(x, [1, 2, 0]) -> dense(3), [2, 0, 1])", "[2, 4, 5]", copy)


def test_a_convolution_is_the_one_way_back_of_the_other() -> None:
    """With a kernel as large as the image, each number of the result is a product with the whole image: a dense layer."""

    def copy(name: str, value: Any, its: Any) -> Any:
        return value.reshape(3, -1).T if name == "conv.W" else value

    same("y = x -> conv(3, [4, 5]) -> flatten", "y = x -> flatten -> dense(3)", "[2, 4, 5]", copy)


@pytest.mark.parametrize("length", [1, 3])
def test_a_scan_is_its_steps_one_after_the_other(length: int) -> None:
    weights = "param W: [2, 3] ~ xavier_uniform  param R: [3, 3] ~ orthogonal  param b: [3] ~ zeros"
    steps = "h0 = zeros(3)  " + "  ".join(f"h{t + 1} = tanh(x[{t}] @ W + h{t} @ R + b)" for t in range(length))
    listed = ", ".join(f"h{t + 1}" for t in range(length))
    scan = "y = scan x_t in x with h = zeros(3) { h = tanh(x_t @ W + h @ R + b) }"
    same(f"{weights}  {scan}", f"{weights}  {steps}  y = stack({listed})", f"[{length}, 2]")


def test_a_layer_that_is_shared_has_the_sum_of_the_gradients_of_its_copies() -> None:
    shared, copies = (
        nnspec.loads(model(text), dtype="float64").init(seed=3)
        for text in ("share f = dense(4) -> tanh  y = (x -> f) * (2 * x -> f)", "y = (x -> dense(4) -> tanh) * (2 * x -> dense(4) -> tanh)")
    )
    for n in ("W", "b"):
        shared.params[f"f.dense.{n}"][...] = copies.params[f"dense_2.{n}"][...] = copies.params[f"dense.{n}"]
    batch = random_batch(shared.inputs, EXAMPLES)
    (loss, gradients), (other, parts) = shared.gradients(step=0, **batch), copies.gradients(step=0, **batch)
    agree((loss, gradients), (other, {f"f.dense.{n}": parts[f"dense.{n}"] + parts[f"dense_2.{n}"] for n in ("W", "b")}))
