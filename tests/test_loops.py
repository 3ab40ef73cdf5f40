"""Loops made short: each pass keeps what a graph means, and leaves at every step only what the next one waits for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from helpers import distance, traced_peak
from test_scan import NETS, spec

import nnspec
from nnspec.autodiff import gradients
from nnspec.graph import Graph, Node, Type
from nnspec.graph.verify import verify
from nnspec.ops import OPS
from nnspec.plan.layout import columns
from nnspec.plan.memory import Inside, schedule
from nnspec.rewrite import AFTER_GRADIENTS, rewrite
from nnspec.rewrite.loops import hoist, start_with, trim
from nnspec.rewrite.neighbours import join_neighbours
from nnspec.rewrite.pieces import in_pieces
from nnspec.rewrite.rows import rows_first
from nnspec.run import reference
from nnspec.run.program import Program
from nnspec.step import add_gradients
from tools.batches import random_batch

PER_ROW = (
    "layer per_row(x: [T, S, n]) { hs = scan row in x with s = zeros(4) { inner = row -> gru(4)  s = tanh(s + inner[-1]) } return hs }"
)
LAYERS = {
    **NETS,
    "lstm": "x -> lstm(5) -> lstm(4)",
    "gru": "x -> gru(5)",
    "both ways": "x -> bidirectional(gru, 4)",
    "a gru for every row": "stack(x, 2 * x, axis = 1) -> per_row",
}


def text(layer: str) -> str:
    return PER_ROW + spec(LAYERS[layer])


def bodies(graph: Graph) -> list[Graph]:
    return [n.attributes["body"].body for n in graph if n.op.name == "scan"]


def computed(body: Graph) -> list[str]:
    return [n.op.name for n in body if n.inputs and not n.op.view]


def objective(pipeline: str) -> Graph:
    graph = nnspec.loads(spec(pipeline)).spec.stages[0][0].objective
    return verify(graph)


PASSES: dict[str, Callable[[Graph], Graph]] = {
    "trim": trim,
    "hoist": lambda g: hoist(trim(g)),
    "start_with": lambda g: start_with(trim(g)),
    "rows_first": rows_first,
    "join_neighbours": join_neighbours,
    "in_pieces": lambda g: in_pieces(hoist(trim(g))),
}


@pytest.mark.parametrize("name", PASSES)
@pytest.mark.parametrize("layer", LAYERS)
def test_a_pass_keeps_what_a_graph_means(layer: str, name: str) -> None:
    net = nnspec.loads(text(layer), dtype="float64").init(seed=2)
    model = net.spec.model
    graph = rewrite(add_gradients(net.spec.stable, {n: o.type for n, o in model.parameters.items()}, ()), *AFTER_GRADIENTS)
    after = verify(PASSES[name](graph))
    ports = {"x": net.inputs["x"].bound({"batch": 3, "T": 4}), "y": net.targets["y"]}
    feeds = {**net.params, **{n: np.asarray(v, np.float64) for n, v in random_batch(ports, 3).items()}}
    expected, found = reference.run(graph, feeds), reference.run(after, feeds)
    assert expected.keys() == found.keys()
    assert all(distance(found[n], expected[n]) < 1e-12 for n in expected)


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("examples", [1, 16])
def test_an_engine_gives_what_the_definition_gives_however_values_lie(layer: str, examples: int) -> None:
    ours, plain = (nnspec.loads(text(layer), engine=e).init(seed=1) for e in ("numpy", "reference"))
    for length in (1, 2, 4, 6):
        ports = {"x": ours.inputs["x"].bound({"batch": examples, "T": length}), "y": ours.targets["y"]}
        batch = random_batch(ports, examples)
        expected = plain.gradients(**batch)[1]
        first = {n: g.copy() for n, g in ours.gradients(**batch)[1].items()}
        again = ours.gradients(**batch)[1]
        assert all(distance(first[n], expected[n]) < 1e-4 for n in expected)
        assert all(np.array_equal(first[n], again[n]) for n in expected)


def test_a_step_of_the_lstm_is_one_product_and_as_few_operations_as_its_formula() -> None:
    forward, backward = bodies(objective("x -> lstm(5)"))
    sigmoids = ["mul", "tanh", "mul", "add"]
    assert sorted(computed(forward)) == sorted(["matmul", "add", *sigmoids, "tanh", "mul", "mul", "add", "tanh", "mul"])
    assert sorted(computed(backward)) == sorted(["add", "mul", "add", *["mul"] * 5, "concat", "matmul"])


def test_gates_side_by_side_are_computed_in_one_go() -> None:
    forward = bodies(objective("x -> gru(5)"))[0]
    assert [n.type.shape[1] for n in forward if n.op.name == "tanh"] == [10, 5]


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_in_pieces_a_step_cuts_only_what_it_has_computed_number_by_number(cell: str) -> None:
    graph = verify(in_pieces(objective(f"x -> {cell}(5)")))
    for body in bodies(graph):
        cut_of = [body[n.inputs[0]] for n in body if n.op.name == "cut"]
        assert all(whole.op.pointwise for whole in cut_of)
    products = [n for body in bodies(graph) for n in body if n.op.name == "matmul"]
    assert len(products) == {"gru": 3, "lstm": 3}[cell]
    assert sum(n.op.name == "cut" and graph[n.inputs[0]].op.name in ("add", "matmul") for n in graph) == 0


def test_one_less_a_gate_is_computed_once_for_all_steps() -> None:
    graph = objective("x -> gru(5)")
    assert [n.op.name for n in graph if n.op.name in ("neg", "sub") and n.type.rank == 3] == ["sub", "sub", "sub"]


def test_only_a_gradient_at_every_step_is_an_item() -> None:
    last = "model M { input x: [T, 3] target y: [4]  h = x -> rnn(4)  output z = h[-1]  loss mean((z - y)^2) }"
    (loop,) = (n for n in nnspec.loads(last).spec.gradients if n.op.name == "scan" and n.attributes["reverse"])
    assert "add" not in computed(loop.attributes["body"].body)
    every = last.replace("[4]  h", "[T, 4]  h").replace("h[-1]", "h")
    (loop,) = (n for n in nnspec.loads(every).spec.gradients if n.op.name == "scan" and n.attributes["reverse"])
    assert "add" in computed(loop.attributes["body"].body)


def test_what_nobody_reads_is_not_yielded() -> None:
    graph = objective("x -> lstm(5)")
    for loop in (n for n in graph if n.op.name == "scan"):
        read = {n.attributes["start"] for n in graph if n.inputs == (loop.name,)}
        assert len(read) == len([p for p in loop.attributes["body"].body.outputs if p.startswith("out:")])


@pytest.mark.parametrize("layer", ["lstm(5)", "gru(5)"])
def test_a_trimmed_loop_is_not_differentiated(layer: str) -> None:
    graph = objective(f"x -> {layer}")
    loop = next(n for n in reversed(list(graph)) if n.op.name == "scan")
    of = next(n.name for n in graph if n.inputs == (loop.name,))
    with pytest.raises(AssertionError, match="trimmed"):
        gradients(graph, of, ["x"])


# ---- neighbours and rows


def pieces(*stretches: tuple[int, int]) -> Graph:
    graph = Graph()
    x = graph.source(OPS["input"], "x", Type("float32", (3, 10)))
    for i, (start, stop) in enumerate(stretches):
        graph.outputs[f"y{i}"] = OPS["tanh"](OPS["cut"](x, axis=1, start=start, stop=stop)).name
    return graph


@pytest.mark.parametrize(
    ("stretches", "widths"),
    [
        (((0, 3), (3, 7)), [7]),
        (((3, 7), (0, 3), (7, 10)), [10]),
        (((0, 3), (4, 7)), [3, 3]),
        (((0, 3), (2, 7)), [3, 5]),
        (((0, 2), (2, 4), (5, 6), (6, 10)), [4, 5]),
    ],
)
def test_neighbours_are_joined_and_nothing_else(stretches: tuple[tuple[int, int], ...], widths: list[int]) -> None:
    graph = pieces(*stretches)
    joined = verify(join_neighbours(graph))
    assert [n.type.shape[1] for n in joined if n.op.name == "tanh"] == widths
    x = np.random.default_rng(0).normal(size=(3, 10)).astype("float32")
    expected, found = reference.run(graph, {"x": x}), reference.run(joined, {"x": x})
    assert all(np.array_equal(found[n], expected[n]) for n in expected)


def test_rows_of_a_piece_are_a_piece_of_the_rows() -> None:
    graph = Graph()
    x = graph.source(OPS["input"], "x", Type("float32", (2, 3, 10)))
    joined = OPS["concat"](OPS["cut"](x, axis=2, start=4, stop=7), x, axis=2)
    graph.outputs |= {"y": OPS["reshape"](joined, shape=(6, 13)).name, "z": OPS["reshape"](x, shape=(6, 10)).name}
    after = verify(rows_first(graph))
    assert [n.inputs for n in after if n.op.name == "reshape"] == [("x",)]


# ---- how values lie


def names(graph: Graph, examples: int) -> set[str]:
    return columns(graph, list(graph), {"batch": examples, "T": 4})


def test_loops_of_rows_and_what_goes_in_and_comes_out_lie_in_columns() -> None:
    graph = objective("x -> lstm(5)")
    found = names(graph, 32)
    loops = {n.name for n in graph if n.op.name == "scan"}
    assert loops < found
    first = next(n for n in graph if n.name in loops)
    assert first.inputs[first.attributes["carries"]] in found
    assert not names(graph, 4)
    assert not names(objective(NETS["attention in a step"]), 32)


def joining() -> tuple[Graph, Node]:
    graph = Graph()
    x = graph.source(OPS["input"], "x", Type("float64", (2, 3)))
    joined = OPS["concat"](OPS["tanh"](x), x, OPS["exp"](x), axis=1)
    graph.outputs["y"] = joined.name
    return graph, joined.node


def test_what_is_joined_is_computed_in_its_place() -> None:
    graph, joined = joining()
    plan = schedule(graph, {}, {})
    assert [isinstance(plan.places[i], Inside) for i in joined.inputs] == [True, False, True]
    x = np.random.default_rng(0).normal(size=(2, 3))
    for given in ({}, {"y": "y"}):
        program = Program(graph, {}, {"x": x, "y": np.empty((2, 9))}, given)
        program.run()
        assert np.array_equal(program.output("y"), np.concatenate([np.tanh(x), x, np.exp(x)], 1))


def test_what_is_joined_and_an_output_too_has_a_place_of_its_own() -> None:
    graph, joined = joining()
    graph.outputs["z"] = joined.inputs[0]
    plan = schedule(graph, {}, {})
    assert [isinstance(plan.places[i], Inside) for i in joined.inputs] == [False, False, True]


@pytest.mark.parametrize("layer", ["lstm", "gru", "attention in a step"])
def test_a_step_over_a_sequence_allocates_next_to_nothing_after_the_first(layer: str) -> None:
    net = nnspec.loads(text(layer))
    ports = {"x": net.inputs["x"].bound({"batch": 64, "T": 30}), "y": net.targets["y"]}
    batch: dict[str, Any] = {n: np.asarray(v, "float32") for n, v in random_batch(ports, 64).items()}
    assert traced_peak(net, batch) < 64 * 1024
