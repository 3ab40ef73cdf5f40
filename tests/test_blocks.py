"""Formulas of single elements block by block, and slopes in place of gradients along many ways: the same numbers with less memory."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import numpy as np
import pytest
import torch
from helpers import GALLERY, compiled, compiled_text, distance
from test_shard import in_parts, started  # noqa: F401  # a fixture

from nnspec.autodiff import pull_back
from nnspec.graph import BATCH, Graph, Type, Var
from nnspec.ops import OPS
from nnspec.ops.pointwise import exp, sqrt, square, tanh, where
from nnspec.plan import blocks as regions
from nnspec.plan.memory import Passing, Schedule, schedule
from nnspec.rewrite import rewrite
from nnspec.rewrite.slopes import with_slopes
from nnspec.run import blocks, reference
from nnspec.run.program import Program
from tools.batches import random_batch

ACTIVATIONS = {
    "gelu": torch.nn.functional.gelu,
    "gelu_tanh": lambda x: torch.nn.functional.gelu(x, approximate="tanh"),
    "swish": torch.nn.functional.silu,
    "mish": torch.nn.functional.mish,
    "elu": torch.nn.functional.elu,
    "softplus": torch.nn.functional.softplus,
    "my_gelu": lambda x: torch.nn.functional.gelu(x, approximate="tanh"),
}
OWN = "fn my_gelu(x) = 0.5 * x * (1 + tanh(0.7978845608028654 * (x + 0.044715 * x^3)))\n"


@pytest.fixture
def in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even the smallest values go through the cache in several blocks."""
    monkeypatch.setattr(regions, "LARGE", 2)
    monkeypatch.setattr(blocks, "CACHE", 256)
    monkeypatch.setattr(blocks, "FEWEST", 5)


@pytest.mark.usefixtures("in_blocks", "in_parts")
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", [n for n in GALLERY if compiled(n, "float64").model.losses])
def test_steps_in_blocks_are_those_of_the_definition(name: str, threads: int) -> None:
    spec = compiled(name, "float64")
    batch = random_batch(spec.model.ports, 5)
    definition, planned = started(spec, "reference", 1), started(spec, "numpy", threads)
    for _ in range(2):
        assert abs(planned.step(batch, 0.01) - definition.step(batch, 0.01)) < 1e-8
    for key, value in planned.all_arrays().items():
        assert distance(value, definition.all_arrays()[key]) < 1e-8, key


def conv_of(activation: str) -> Any:
    text = f"{OWN}model M {{ input x: [3, 24, 24]\n target y: [2]\n h = x -> conv(40, 3) -> {activation} -> flatten -> dense(2)\n"
    return compiled_text("m", text + " output h\n loss mse(h, y) }", "float64")


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activations_of_large_images_are_those_of_torch(activation: str) -> None:
    spec = conv_of(activation)
    batch = random_batch(spec.model.ports, 32)
    engine = started(spec, "numpy", 1)
    loss, found = engine.gradients(batch)
    w = {n: torch.tensor(v, requires_grad=True) for n, v in engine.params.items()}
    h = ACTIVATIONS[activation](torch.nn.functional.conv2d(torch.tensor(batch["x"]), w["conv.W"], w["conv.b"]))
    true = ((h.flatten(1) @ w["dense.W"] + w["dense.b"] - torch.tensor(batch["y"])) ** 2).mean()
    true.backward()  # type: ignore[no-untyped-call]
    assert abs(loss - true.item()) < 1e-10
    assert all(distance(g, w[n].grad.numpy()) < 1e-9 for n, g in found.items())  # type: ignore[union-attr]


def planned(activation: str) -> Schedule:
    graph = conv_of(activation).gradients
    return schedule(graph, {"batch": 32}, {p: p for p in graph.outputs if p.startswith("grad:")})


@pytest.mark.parametrize("activation", ["gelu", "gelu_tanh", "swish", "mish", "my_gelu"])
def test_of_an_activation_its_value_and_its_slope_are_kept(activation: str) -> None:
    plan = planned(activation)
    (region,) = {id(r): r for r in plan.regions.values()}.values()
    left = [m for m in region.members if m.name not in region.passing]
    assert len(left) == 2 and len(region.members) > 5
    slope = next(m for m in left if m.role == "backward")
    (reader,) = (n for n in plan.order if slope.name in n.inputs)
    assert reader.op.name == "mul"
    assert all(isinstance(plan.places[n], Passing) for n in region.passing)


def test_what_is_cheap_to_compute_of_what_is_kept_anyway_waits_for_the_backward_pass() -> None:
    plan = planned("tanh")
    forward = next(n for n in plan.order if n.op is tanh)
    region = next(r for r in plan.regions.values() if any(m.op.name == "square" for m in r.members))
    assert forward not in region.members and len(region.members) == 3


def test_a_plan_with_blocks_takes_less_memory() -> None:
    assert planned("my_gelu").arena_bytes <= 4 * 32 * 40 * 22 * 22 * 8


def test_an_order_with_regions_is_still_one() -> None:
    plan = planned("mish")
    position = {n.name: i for i, n in enumerate(plan.order)}
    assert len(position) == len(plan.order)
    assert all(position[i] < position[n.name] for n in plan.order for i in n.inputs)


@pytest.mark.usefixtures("in_blocks")
def test_a_block_is_not_written_over_what_the_next_one_reads() -> None:
    """Eight truths take the bytes of one number: their memory may become that of a value once all of their blocks are read."""
    graph = Graph(dtype="float64")
    x, w = graph.source(OPS["input"], "x", Type("float64", (BATCH, 6))), graph.source(OPS["param"], "w", Type("float64", (6, 6)))
    choices = [OPS["greater"](x, i / 5 - 0.8) for i in range(8)]
    value = x @ w
    for choice in choices:
        value = where(choice, value * 1.5, value)
    graph.outputs |= {"a": tanh(value).name, "b": exp(value).name}
    rng = np.random.default_rng(0)
    memory = {"x": rng.standard_normal((64, 6)), "w": rng.standard_normal((6, 6))}
    program = Program(graph, {"batch": 64}, memory)
    program.run()
    for name, expected in reference.run(graph, memory).items():
        np.testing.assert_allclose(program.output(name), expected, rtol=1e-13)


@pytest.mark.parametrize("most", [1, 5, 24, 60, 1000])
def test_blocks_cover_every_element_once_and_are_stretches_of_memory(most: int) -> None:
    for order in permutations(range(3)):
        shape = [5, 3, 4]
        seen = np.zeros([shape[a] for a in order], int).transpose([order.index(a) for a in range(3)])
        for block in blocks.blocks(shape, order, most):
            part = seen[block].transpose(order)
            assert part.flags.c_contiguous and part.size <= 2 * most
            seen[block] += 1
        assert (seen == 1).all()


# ---- slopes


def differentiated(formula: Any) -> tuple[Graph, Graph]:
    """The gradient of a formula of x, g for its value, before and after."""
    graph = Graph(dtype="float64")
    x, g = (graph.source(OPS["input"], name, Type("float64", (BATCH, 3))) for name in "xg")
    y = formula(x)
    with graph.at(role="backward"):
        graph.outputs["grad"] = pull_back(graph, [(y.name, g)], [x.name])[0].name
    return graph, with_slopes(graph)


def positive(x: Var) -> Var:
    return x.graph.call(OPS["greater"], x, 0.0)


FORMULAS = {
    "a chain": lambda x: x * tanh(x * x * x + x),
    "a choice": lambda x: where(positive(x), x * x, exp(x) * x),
    "a choice of nothing": lambda x: where(positive(x), x * tanh(x), 0.0),
    "a gate": lambda x: OPS["relu"](x) * OPS["relu"](x) + x,
    "a quotient": lambda x: x / (1.0 + exp(-x)) - x,
    "a polynomial": lambda x: 0.5 * x * (1.0 + tanh(0.8 * (x + 0.04 * (x * square(x))))),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_slopes_change_no_gradient(name: str) -> None:
    rng = np.random.default_rng(0)
    feeds = {"x": rng.standard_normal((40, 3)), "g": rng.standard_normal((40, 3))}
    before, after = differentiated(FORMULAS[name])
    expected, got = (reference.run(graph, feeds)["grad"] for graph in (before, after))
    np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", ["a chain", "a choice", "a quotient"])
def test_the_gradient_meets_one_slope(name: str) -> None:
    _, after = differentiated(FORMULAS[name])
    (reader,) = (n for n in after if "g" in n.inputs)
    assert reader.name == after.outputs["grad"]


def test_common_factors_are_taken_out_one_after_another_and_powers_meet() -> None:
    before, after = differentiated(FORMULAS["a polynomial"])
    met = rewrite(after, "slopes")
    feeds = {"x": np.linspace(-3, 3, 12).reshape(4, 3), "g": np.ones((4, 3))}
    expected, got = (reference.run(graph, feeds)["grad"] for graph in (before, met))
    np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-14)
    work = [
        sum(n.op.pointwise and n.type.has_batch for n in graph if n.name in graph.needed(graph.outputs.values())) for graph in (before, met)
    ]
    assert work == [23, 16]


def test_where_a_choice_leaves_an_infinite_gradient_out_it_stays_out() -> None:
    before, after = differentiated(lambda x: sqrt(where(positive(x), x * x, 0.0)))
    feeds = {"x": np.array([[-1.0, 2.0, -3.0]]), "g": np.ones((1, 3))}
    for graph in (before, after):
        np.testing.assert_array_equal(reference.run(graph, feeds)["grad"], [[0, 1, 0]])


def test_a_choice_within_a_choice_leaves_it_out_too() -> None:
    graph = Graph(dtype="float64")
    x, g = (graph.source(OPS["input"], name, Type("float64", (BATCH, 3))) for name in "xg")
    outer, inner = positive(x), graph.call(OPS["greater"], x, 1.0)
    with graph.at(role="backward"):
        graph.outputs["y"] = (where(outer, where(inner, g * x, 0.0), g * 2.0) + where(outer, where(inner, g, 0.0), g)).name
    feeds = {"x": np.array([[0.5, 2.0, -3.0]]), "g": np.array([[np.inf, 1.0, 1.0]])}
    np.testing.assert_array_equal(reference.run(with_slopes(graph), feeds)["y"], [[0, 3, 3]])


def test_a_sum_of_what_has_nothing_in_common_stays() -> None:
    graph = Graph(dtype="float64")
    a, b, c, d = (graph.source(OPS["input"], name, Type("float64", (BATCH,))) for name in "abcd")
    with graph.at(role="backward"):
        graph.outputs["y"] = (a * b + c * d).name
    assert with_slopes(graph) is graph
