"""Graphs: printing and reading, verification, gradients, sizes."""

from __future__ import annotations

from dataclasses import replace

import networkx
import numpy as np
import pytest
from helpers import GALLERY

import nnspec
from nnspec.autodiff import gradients
from nnspec.graph import BATCH, Graph, Size, Type
from nnspec.graph.text import from_text, to_text
from nnspec.graph.verify import InvalidGraph, verify
from nnspec.ops import OPS
from nnspec.run import reference


@pytest.mark.parametrize("name", GALLERY)
def test_a_printed_graph_reads_back_the_same(name: str) -> None:
    spec = nnspec.load(name).spec
    step = spec.step if spec.trainings else spec.inference
    again = from_text(to_text(step))
    verify(again)
    assert [replace(n, span=None) for n in again] == [replace(n, span=None) for n in step]
    assert again.outputs == step.outputs


def test_equal_operations_are_made_once() -> None:
    graph = Graph()
    x = graph.source(OPS["input"], "x", Type("float32", (2,)))
    assert (OPS["exp"](x) + 1.0).name == (OPS["exp"](x) + 1.0).name
    assert graph.constant(1.0).name != graph.constant(1, "int64").name


def test_an_input_used_twice_is_two_edges_of_the_mirror() -> None:
    graph = Graph()
    x = graph.source(OPS["input"], "x", Type("float32", (2,)))
    square = x * x
    assert graph.nx.number_of_edges("x", square.name) == 2
    assert networkx.is_directed_acyclic_graph(graph.nx)


def test_a_graph_with_a_wrong_type_is_refused() -> None:
    graph = Graph()
    x = graph.source(OPS["input"], "x", Type("float32", (2,)))
    y = OPS["exp"](x)
    graph.nodes[y.name] = replace(y.node, type=Type("float32", (3,)))
    with pytest.raises(InvalidGraph, match="its op gives"):
        verify(graph)


def test_a_gradient_can_be_differentiated_again() -> None:
    graph = Graph(dtype="float64")
    x = graph.source(OPS["input"], "x", Type("float64", (4,)))
    y = OPS["sum"](x**3.0, axes=(0,), keep=False)
    (first,) = gradients(graph, y.name, ["x"])
    (second,) = gradients(graph, first.name, ["x"])
    graph.outputs |= {"first": first.name, "second": second.name}
    at = np.array([0.5, 1.0, 2.0, 3.0])
    result = reference.run(graph, {"x": at})
    np.testing.assert_allclose(result["first"], 3 * at**2)
    np.testing.assert_allclose(result["second"], 6 * at)


def test_a_shared_value_gets_one_gradient_so_that_backward_stays_linear() -> None:
    graph = Graph()
    y = x = graph.source(OPS["input"], "x", Type("float32", (2,)))
    for _ in range(50):
        y = OPS["tanh"](y) * OPS["exp"](y)
    forward = len(graph)
    gradients(graph, OPS["sum"](y, axes=(0,), keep=False).name, ["x"])
    assert len(graph) < 10 * forward
    assert x.name == "x"


def test_a_parameter_that_the_loss_does_not_use_has_gradient_zero() -> None:
    net = nnspec.loads(
        "model M { input x: [2]  param a: [2] = 1  param b: [3] = 1  output y = sum(a * x)  loss y }"
        "train { epochs 1  optimizer sgd(lr = 1) }"
    )
    assert net.gradients(x=[[1, 2]])[1]["b"].tolist() == [0, 0, 0]


def test_backward_nodes_keep_the_place_of_the_formula_they_come_from() -> None:
    spec = nnspec.load("mazur").spec
    lines = {n.span.line for n in spec.step if n.role == "backward" and n.span}
    assert lines <= {11, 12, 15}
    assert {11, 12} <= lines


def test_sizes_add_multiply_and_print() -> None:
    t = Size.named("T")
    assert str(2 * t - 2) == "2*T - 2"
    assert (t + 1) * BATCH == t * BATCH + BATCH
    assert t - t == 0
    assert (2 * t * BATCH) // t == 2 * BATCH
    assert ((t - 2) * 3).bind({"T": 5}) == 9  # type: ignore[union-attr]
