"""The plan: memory is shared only where nothing is lost, and everything is allocated before the first run."""

from __future__ import annotations

from functools import partial
from itertools import permutations
from math import prod
from typing import Any

import numpy as np
import pytest
from helpers import GALLERY, traced_peak

import nnspec
from nnspec.graph import Graph, Type
from nnspec.graph.types import ITEM_BYTES, size_names
from nnspec.ops import OPS
from nnspec.plan.memory import Arena, schedule
from nnspec.run import parts
from nnspec.run.moves import Move, in_passes
from nnspec.run.program import Program, called
from nnspec.run.quiet import quietly
from tools.batches import random_batch


def objective(name: str) -> Graph:
    """What training runs, or for a spec without losses what use does."""
    spec = nnspec.load(name).spec
    if spec.stages:
        return spec.stages[0][0].objective
    return spec.gradients if spec.model.losses else spec.inference


@pytest.mark.parametrize("name", GALLERY)
def test_no_value_is_overwritten_while_it_is_needed(name: str) -> None:
    graph = objective(name)
    names = set().union(*(size_names(n.type.shape) for n in graph))
    plan = schedule(graph, {**dict.fromkeys(names, 6), "batch": 4}, {})
    until = {n: i for i, node in enumerate(plan.order) for n in node.inputs} | {n: len(plan.order) for n in graph.outputs.values()}
    living: dict[str, tuple[Arena, int]] = {}
    for position, node in enumerate(plan.order):
        for view in [n.name for n in plan.order[: position + 1] if n.op.view]:
            root = plan.root(view)
            until[root] = max(until.get(root, 0), until.get(view, 0))
        place = plan.places[node.name]
        if isinstance(place, Arena):
            for other, (taken, _) in living.items():
                handed_over = other in node.inputs and until[other] == position and taken == place and node.op.pointwise
                apart = taken.offset + taken.size <= place.offset or place.offset + place.size <= taken.offset
                assert apart or handed_over, f"{node.name} overwrites {other}"
            living[node.name] = place, position
        living = {n: v for n, v in living.items() if until.get(n, 0) > position}


def test_memory_is_reused() -> None:
    graph = Graph()
    x = graph.source(OPS["input"], "x", Type("float32", (1000,)))
    y = x
    for _ in range(10):
        y = OPS["tanh"](OPS["sum"](y * y, axes=(0,), keep=True) + x)
    graph.outputs["y"] = y.name
    plan = schedule(graph, {}, {})
    total = sum(prod(n.type.shape) * ITEM_BYTES[n.type.dtype] for n in plan.order)  # type: ignore[arg-type]
    assert plan.arena_bytes < total / 5


def test_an_output_over_a_source_that_is_read_later_is_copied_at_the_end() -> None:
    graph = Graph()
    w = graph.source(OPS["param"], "w", Type("float64", (3,)))
    new = w * 2.0
    graph.outputs |= {"param:w": new.name, "old": (w + 1.0).name}
    memory = {"w": np.array([1.0, 2.0, 3.0])}
    program = Program(graph, {}, memory, {"param:w": "w"})
    program.run()
    assert program.output("old").tolist() == [2.0, 3.0, 4.0]
    assert memory["w"].tolist() == [2.0, 4.0, 6.0]


def test_an_output_over_a_source_seen_through_a_view_is_copied_at_the_end() -> None:
    graph = Graph()
    w = graph.source(OPS["param"], "w", Type("float64", (2, 2)))
    graph.outputs["param:w"] = (w + w.mT).name
    memory = {"w": np.array([[1.0, 2.0], [3.0, 4.0]])}
    Program(graph, {}, memory, {"param:w": "w"}).run()
    assert memory["w"].tolist() == [[2.0, 5.0], [5.0, 8.0]]


def test_a_reshape_of_a_transposed_value_is_computed_anew_each_run() -> None:
    graph = Graph()
    x = graph.source(OPS["input"], "x", Type("float64", (2, 3)))
    graph.outputs["y"] = (OPS["reshape"](x.mT, shape=(6,)) + 0.0).name
    memory = {"x": np.arange(6.0).reshape(2, 3)}
    program = Program(graph, {}, memory)
    program.run()
    memory["x"][...] += 10
    program.run()
    assert program.output("y").tolist() == [10, 13, 11, 14, 12, 15]


def _seen_as_rows(axes: tuple[int, ...]) -> Program:
    """Products [2, 3, 4, 5] with their axes in another order, as a matrix."""
    graph = Graph()
    x, y = (graph.source(OPS["input"], name, Type("float64", shape)) for name, shape in (("x", (2, 3, 4, 6)), ("y", (2, 3, 6, 5))))
    product = OPS["transpose"](x @ y, axes=axes)
    graph.outputs["rows"] = OPS["reshape"](product, shape=(6, 20)).name
    rng = np.random.default_rng(0)
    memory = {"x": rng.normal(size=(2, 3, 4, 6)), "y": rng.normal(size=(2, 3, 6, 5))}
    program = Program(graph, {}, memory)
    program.run()
    expected = (memory["x"] @ memory["y"]).transpose(axes).reshape(6, 20)
    np.testing.assert_allclose(program.output("rows"), expected, rtol=1e-12)
    return program


@pytest.mark.parametrize("axes", [*permutations(range(4))], ids=str)
def test_products_seen_as_rows_lie_so_where_blas_can_write_them(axes: tuple[int, ...]) -> None:
    program = _seen_as_rows(axes)
    assert len(program.calls) == (1 if axes[-1] >= 2 else 2)  # else the product, and a copy


@pytest.mark.parametrize(
    ("name", "most"), [("digits", 64), ("mnist_mlp", 64), ("lenet", 256), ("resnet", 256), ("char_lstm", 256), ("gpt", 256)]
)
def test_a_step_allocates_next_to_nothing_after_the_first(name: str, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left in the larger ones are buffers of NumPy's own, of a fixed size: up to 128 KiB in `add.at`. The parts of a batch run one
    after the other here, so that it does not depend on their timing how many of those there are at a time.
    """
    monkeypatch.setattr(parts, "together", lambda jobs: [job() for job in jobs])
    net = nnspec.load(name, engine="numpy", threads=2)
    batch: dict[str, Any] = {n: np.asarray(v, net.spec.model.graph[n].type.dtype) for n, v in
                             random_batch({**net.inputs, **net.targets}, 64).items()}  # fmt: skip
    assert traced_peak(net, batch) < most * 1024


def moves_of(frozen: str) -> list[Move]:
    net = nnspec.loads(
        f"""
        model M {{
          input x: [3]
          target y: [2]
          output out = x -> dense(5) as a -> relu -> dense(4) as b -> dense(2) as c
          loss mse(out, y)
        }}
        train {{
          epochs 1
          optimizer momentum(0.1)
          {frozen}
        }}
        """,
        engine="numpy",
    )
    net.step(x=np.ones((4, 3)), y=np.ones((4, 2)), lr=0.1)
    (bound,) = net.engine._programs.values()
    assert isinstance(bound.program, Program)
    return bound.program.moves


@pytest.mark.parametrize(("frozen", "passes"), [("", 1), ("freeze b", 2)])
def test_weights_that_are_neighbours_move_in_one_pass(frozen: str, passes: int) -> None:
    moves = moves_of(frozen)
    assert len(moves) == (6 if not frozen else 4)
    assert len(list(in_passes(moves))) == passes


def test_moves_in_one_pass_are_those_one_by_one() -> None:
    rng = np.random.default_rng(0)
    w, v, rate = rng.normal(size=12), rng.normal(size=12), np.array(0.1)
    expected, places = w - 0.1 * v, [slice(6, 12), slice(0, 2), slice(2, 6)]
    (call,) = in_passes([Move(w[at].reshape(2, -1), v[at].reshape(2, -1), rate) for at in places])
    call()
    np.testing.assert_allclose(w, expected, rtol=1e-15)


@pytest.mark.filterwarnings("error")
def test_a_run_is_quiet_and_what_comes_after_it_is_not() -> None:
    infinite = np.full(3, 1e38, np.float32)
    quietly([partial(np.multiply, infinite, infinite, infinite)], Graph("m", "float32"))()
    assert np.isinf(infinite).all()
    with pytest.raises(RuntimeWarning, match="invalid"):
        np.subtract(infinite, infinite)


@pytest.mark.parametrize("ufunc", [np.add, np.subtract, np.multiply])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_single_numbers_are_computed_as_arrays_are(ufunc: np.ufunc, dtype: str) -> None:
    numbers = np.random.default_rng(0).normal(size=(2, 100)).astype(dtype) * np.array([[1e-20], [1e18]], dtype)
    for x, y in numbers.T:
        out = np.zeros((), dtype)
        called(ufunc, [np.asarray(x), np.asarray(y)], out)()
        assert out == ufunc(x, y)
