"""A batch in parts: threads that each run a part of it give what one run over all of it gives, for every gallery spec."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest
from helpers import GALLERY, distance
from test_engines import compiled

import nnspec
from nnspec.diagnostics import Fault
from nnspec.graph import BATCH, Graph, Type
from nnspec.ops import OPS
from nnspec.plan.memory import crossing
from nnspec.plan.shard import cut
from nnspec.run import planned
from nnspec.run.engine import Engine
from nnspec.run.parts import PartedProgram
from tools.batches import random_batch

BATCH_SIZE = 6


@pytest.fixture
def in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Engines cut every batch that can be cut."""
    monkeypatch.setattr(planned, "pays", lambda *_: True)


@pytest.fixture(params=[n for n in GALLERY if compiled(n, "float64").model.losses])
def spec(request: pytest.FixtureRequest) -> Any:
    return compiled(request.param, "float64")


def started(spec: Any, name: str, threads: int) -> Engine:
    engine = Engine(spec, name, threads)
    engine.initialise(5)
    for key, array in engine.all_arrays().items():
        if key.startswith("optimizer/"):
            array[...] = 1
    return engine


@pytest.mark.usefixtures("in_parts")
@pytest.mark.parametrize("threads", [1, 2, 4])
def test_a_step_is_the_same_on_any_number_of_threads(spec: Any, threads: int) -> None:
    batch = random_batch(spec.model.ports, BATCH_SIZE)
    definition, parted = started(spec, "reference", 1), started(spec, "numpy", threads)
    expected, loss = definition.gradients(batch), parted.gradients(batch)
    assert abs(loss[0] - expected[0]) < 1e-9 * max(1.0, abs(expected[0]))
    largest = max(abs(g).max() for g in expected[1].values())
    assert all(abs(g - expected[1][n]).max() < 1e-9 * largest for n, g in loss[1].items())
    for _ in range(2):
        assert abs(parted.step(batch, 0.01) - definition.step(batch, 0.01)) < 1e-8
    for name, value in parted.all_arrays().items():
        assert distance(value, definition.all_arrays()[name]) < 1e-8, name


@pytest.mark.usefixtures("in_parts")
def test_outputs_and_metrics_of_parts_are_joined(spec: Any) -> None:
    batch = random_batch(spec.model.ports, BATCH_SIZE)
    definition, parted = started(spec, "reference", 1), started(spec, "numpy", 2)
    for expected, values in ((definition.outputs(batch), parted.outputs(batch)), (definition.evaluate(batch), parted.evaluate(batch))):
        assert all(distance(values[n], v) < 1e-9 for n, v in expected.items())


@pytest.mark.usefixtures("in_parts")
@pytest.mark.parametrize("name", ["lenet", "gpt", "char_lstm", "resnet", "deep_mlp"])
def test_batches_of_these_are_cut(name: str) -> None:
    spec = compiled(name, "float32")
    engine = started(spec, "numpy", 2)
    engine.step(random_batch(spec.model.ports, BATCH_SIZE), 0.01)
    assert any(isinstance(b.program, PartedProgram) for b in engine._programs.values())


@pytest.mark.usefixtures("in_parts")
@pytest.mark.parametrize("name", ["lenet", "gpt"])
def test_a_run_is_bit_identical_when_repeated_with_the_same_threads(name: str) -> None:
    spec = compiled(name, "float32")
    batch = random_batch(spec.model.ports, BATCH_SIZE)
    found = []
    for _ in range(2):
        engine = started(spec, "numpy", 2)
        for _ in range(5):
            engine.step(batch, 0.01)
        found.append(np.concatenate([v.reshape(-1) for v in engine.all_arrays().values()]))
    assert np.array_equal(*found)


def graph_of(**types: Type) -> tuple[Graph, dict[str, Any]]:
    graph = Graph(dtype="float64")
    return graph, {n: graph.source(OPS["input"], n, t) for n, t in types.items()}


MEETING = {
    "softmax over the batch": lambda x: OPS["softmax"](x, axes=(0,)),
    "each example with each": lambda x: x @ x.mT,
    "the largest of the batch": lambda x: OPS["max"](x, axes=(0,), keep=False),
    "running sums": lambda x: OPS["cumsum"](x, axis=0, reverse=False),
    "half of the batch": lambda x: OPS["flip"](x, axis=0),
}


@pytest.mark.parametrize("how", MEETING)
def test_what_mixes_examples_is_not_cut(how: str) -> None:
    graph, given = graph_of(x=Type("float64", (BATCH, 3)))
    graph.outputs["y"] = MEETING[how](given["x"]).name
    assert cut(graph) is None


def test_a_sum_that_is_needed_before_the_end_makes_two_rounds() -> None:
    graph, given = graph_of(x=Type("float64", (BATCH, 3)))
    centred = given["x"] - OPS["mean"](given["x"], axes=(0,), keep=True)
    graph.outputs["y"] = OPS["sum"](OPS["square"](centred), axes=(0, 1), keep=False).name
    found = cut(graph)
    assert found and len(found.rounds) == 2 and [len(r.sums) for r in found.rounds] == [1, 1]


def test_an_exception_in_a_thread_reaches_the_caller(in_parts: None) -> None:
    net = nnspec.loads("model M { input i: class(3)  target y: []  h = i -> embedding(3, 2) -> dense(1)  output h  loss mse(h[0], y) }")
    engine = Engine(net.spec, "numpy", 2)
    with pytest.raises(Fault, match="there is no row 7"):
        engine.gradients({"i": np.array([0, 1, 2, 7]), "y": np.zeros(4, "float32")})


@pytest.mark.parametrize("name", ["lenet", "resnet", "inception_mnist"])
def test_values_that_go_from_round_to_round_share_memory_but_not_while_both_are_read(name: str) -> None:
    found = cut(nnspec.load(name).spec.stages[0][0].objective)
    assert found and len(found.rounds) > 2
    pieces = [stage.parts for stage in found.rounds]
    places, size = crossing(pieces, {"batch": 4})
    lives = {p: (number, _last_reader(pieces, p)) for number, piece in enumerate(pieces) for p in piece.outputs if p in places}
    for a, b in combinations(places, 2):
        together = lives[a][0] <= lives[b][1] and lives[b][0] <= lives[a][1]
        apart = places[a].offset >= places[b].offset + places[b].size or places[b].offset >= places[a].offset + places[a].size
        assert apart or not together, (a, b)
    assert size < sum(p.size for p in places.values())


def _last_reader(pieces: list[Graph], public: str) -> int:
    name = public.removeprefix("value:")
    made = next(i for i, piece in enumerate(pieces) if public in piece.outputs)
    return max([made, *(i for i, piece in enumerate(pieces) if name in piece.nodes and piece[name].op.is_source)])
