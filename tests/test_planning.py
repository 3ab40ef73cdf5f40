"""The plan of a training step as it is shown: what it says is what an engine does."""

from __future__ import annotations

import os
import tracemalloc

import pytest

import nnspec
from nnspec import planning
from nnspec.diagnostics import Fault
from nnspec.planning import memory_of, step_plan
from nnspec.run.engine import Engine
from nnspec.run.parts import PartedProgram
from tools.batches import random_batch


def test_a_plan_shows_every_operation_with_its_memory_and_time() -> None:
    spec = nnspec.load("mnist_mlp").spec
    text = str(step_plan(spec, {}))
    rows = [line.split() for line in text.splitlines()]
    computed = [n.name for n in spec.stages[0][0].objective if n.inputs]
    assert [r[0] for r in rows if len(r) > 3 and r[0] in computed] == computed
    assert ["dense/matmul", "matmul", "float32[64,", "128]", "at", "0", "32,768"] in [r[:7] for r in rows]


@pytest.mark.parametrize(("name", "sizes"), [("lenet", {}), ("gpt", {"T": 64})])
def test_the_plan_of_parts_is_that_of_the_engine(name: str, sizes: dict[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "cores", lambda: 2)
    spec = nnspec.load(name).spec
    plan = step_plan(spec, sizes)
    assert len(plan.divided[0]) == 2
    engine = Engine(spec, "numpy", threads=2)
    batch = random_batch(spec.model.ports, plan.sizes["batch"])
    engine.gradients({n: v if not sizes else v[..., :1].repeat(64, -1) for n, v in batch.items()})
    (bound,) = engine._programs.values()
    assert isinstance(bound.program, PartedProgram)
    assert [len(w.programs) for w in bound.program.workers] == [len(plan.divided[1].rounds)] * 2  # type: ignore[union-attr]  # it is cut


def test_the_memory_that_is_planned_is_what_the_engine_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "cores", lambda: 1)
    spec = nnspec.load("deep_mlp").spec
    planned = step_plan(spec, {}).memory
    batch = random_batch(spec.model.ports, spec.trainings[0].batch)
    batch = {n: v.astype(spec.model.graph[n].type.dtype) for n, v in batch.items()}
    tracemalloc.start()
    engine = Engine(spec, "numpy", threads=1)
    engine.step(batch, 0.01)
    taken = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert abs(taken - planned["peak"]) < 0.25 * planned["peak"]


def test_a_size_that_is_not_known_is_asked_for() -> None:
    spec = nnspec.load("gpt").spec
    with pytest.raises(Fault, match="`T` has no value"):
        step_plan(spec, {})
    with pytest.raises(Fault, match="no input or target has a size `U`"):
        step_plan(spec, {"T": 8, "U": 3})
    assert memory_of(spec, {}) == {} and memory_of(spec, {"T": 8})


def test_a_spec_that_does_not_train_has_no_plan() -> None:
    with pytest.raises(Fault, match="no train block"):
        step_plan(nnspec.load("filters").spec, {})
    assert memory_of(nnspec.load("filters").spec, {}) == {}


def test_this_machine_has_a_core_at_least() -> None:
    assert 1 <= planning.cores() <= (os.cpu_count() or 1)
