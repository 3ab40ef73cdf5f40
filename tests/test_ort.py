"""The engine `ort`: steps as sessions of onnxruntime, whose results are where a person looks for them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from helpers import distance

import nnspec
from nnspec.diagnostics import SpecError
from nnspec.plan.estimate import Estimate
from nnspec.run import session
from nnspec.run.ort import Binding, Memory, Session
from nnspec.run.session import PartedSessions, session_for
from tools.batches import random_batch

NET = """
model M {
  input  x: [5]
  target y: [2]
  h = x -> batchnorm -> dense(8) -> relu -> dropout(0.3) -> dense(2)
  output h
  loss mse(h, y)
}
"""
TRAIN = "train {{ epochs 2  batch 8  optimizer {} {} }}"
OPTIMIZERS = {
    "plain": "sgd(lr = 0.1)",
    "momentum": "momentum(lr = 0.1)",
    "looking ahead": "nesterov(lr = 0.1)",
    "second moments": "adamw(lr = 0.01)",
}
ALTERNATING = """
model Lower {
  input  x: [3]
  output a = x -> dense(4) -> tanh
}

model Upper {
  input  a: [4]
  output b = a -> dense(3)
}

model M {
  input  x: [3]
  target y: [3]
  share first = Lower
  share second = Upper
  a = x -> first
  b = a -> second
  output b
  loss whole = mse(b, y)
  loss small = mean(a^2)
}
train {
  epochs 2  batch 4
  minimize whole update second
  minimize small update first
  optimizer adam(lr = 0.01)
}
"""


def pair(text: str) -> tuple[nnspec.Net, nnspec.Net]:
    return nnspec.loads(text), nnspec.loads(text, engine="ort")


def batch_of(net: nnspec.Net, examples: int = 8, seed: int = 0) -> dict[str, Any]:
    return random_batch({**net.inputs, **net.targets}, examples, seed)


def alike(one: nnspec.Net, other: nnspec.Net, limit: float = 1e-5) -> bool:
    theirs = other.engine.all_arrays()
    return all(distance(v, theirs[n]) < limit for n, v in one.engine.all_arrays().items())


@pytest.mark.parametrize("clip", ["", "clip norm(0.1)", "clip value(0.01)"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_training_gives_the_same_weights_as_numpy(optimizer: str, clip: str) -> None:
    numpy, ort = pair(NET + TRAIN.format(OPTIMIZERS[optimizer], clip))
    data = batch_of(ort, 30)  # so that the last batch is smaller
    losses = [[e.metrics["loss"] for e in net.fit(data).epochs] for net in (numpy, ort)]
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)
    assert alike(numpy, ort)


def test_phases_that_alternate_read_what_the_others_wrote() -> None:
    numpy, ort = pair(ALTERNATING)
    for seed in range(5):
        batch = batch_of(ort, 4, seed)
        assert ort.step(**batch) == pytest.approx(numpy.step(**batch), rel=1e-5)
        assert ort.engine.losses == pytest.approx(numpy.engine.losses, rel=1e-5)
    assert alike(numpy, ort)


def test_a_view_held_since_before_a_step_has_the_new_weights() -> None:
    net = nnspec.loads(NET + TRAIN.format("sgd(lr = 0.1)", ""), engine="ort")
    name = next(iter(net.params))
    held = net.params[name]
    for _ in range(3):
        before = held.copy()
        net.step(**batch_of(net))
        assert (held != before).any()
        assert (held == net.params[name]).all()


def test_within_an_epoch_who_asks_for_the_weights_gets_those_of_now() -> None:
    from nnspec.train.loop import Progress

    numpy, ort = pair(NET + TRAIN.format("sgd(lr = 0.1)", ""))
    data, name = batch_of(ort, 30), next(iter(ort.params))
    seen: dict[str, list[Any]] = {"numpy": [], "ort": []}
    for net in (numpy, ort):
        net.fit(data, progress=Progress(on_batch=lambda *_, net=net: seen[net.engine.name].append(net.params[name].copy())))
    assert max(distance(a, b) for a, b in zip(seen["ort"], seen["numpy"], strict=True)) < 1e-5


def test_a_weight_that_is_set_between_steps_is_used() -> None:
    numpy, ort = pair(NET + TRAIN.format("momentum(lr = 0.1)", ""))
    for net in (numpy, ort):
        net.step(**batch_of(net))
        for array in net.params.values():
            array[...] = 0.1
        net.step(**batch_of(net))
    assert alike(numpy, ort)


def test_the_rate_can_change_at_every_step() -> None:
    numpy, ort = pair(NET + TRAIN.format("sgd(lr = 0.1)", "schedule cosine"))
    data = batch_of(ort, 40)
    numpy.fit(data)
    ort.fit(data)
    assert alike(numpy, ort)


def test_training_twice_gives_the_same_bits() -> None:
    text = NET.replace("input  x: [5]", "input  i: class(20)[6]").replace("x ->", "i -> embedding(20, 16) -> flatten ->")
    runs = [nnspec.loads(text + TRAIN.format("adam(lr = 0.01)", ""), engine="ort") for _ in range(2)]
    for net in runs:
        net.fit(batch_of(net, 300))
    assert all((v == runs[1].engine.all_arrays()[n]).all() for n, v in runs[0].engine.all_arrays().items())


def test_a_run_goes_on_from_a_checkpoint_bit_for_bit(tmp_path: Path) -> None:
    net = nnspec.loads(NET + TRAIN.format("adam(lr = 0.01)", ""), engine="ort")
    net.step(**batch_of(net))
    net.save(tmp_path / "run")
    again = nnspec.open(tmp_path / "run")
    assert all((v == again.engine.all_arrays()[n]).all() for n, v in net.engine.all_arrays().items())


def test_a_stop_at_a_short_gradient_sees_the_gradient_of_the_last_step() -> None:
    net = nnspec.loads(NET + TRAIN.format("sgd(lr = 0.001)", "stop converged(grad = 1e6)"), engine="ort")
    assert "gradient" in net.fit(batch_of(net, 16)).stopped
    assert any(g.any() for g in net.engine.gradient_views.values())


def test_a_session_refuses_to_write_what_it_reads() -> None:
    net = nnspec.load("mazur")
    session: Session = session_for(net.graph, {"batch": 2})
    memory = {n: Memory(np.zeros(t.bound({"batch": 2}).numbers, "float32"), "cpu") for n, t in net.inputs.items()}
    memory |= {n: Memory(v, "cpu") for n, v in net.params.items()}
    with pytest.raises(AssertionError):
        Binding(session, memory, dict.fromkeys(session.outputs, memory["x"]))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("formula", ["v @ transpose(Q)", "v @ transpose(Q) + b"])
def test_a_transpose_is_an_output_and_part_of_a_product(formula: str, dtype: str) -> None:
    text = f"""
    model M {{
      input x: [3]
      param Q: [4, 3] ~ normal(0, 1)
      param b: [4] ~ normal(0, 1)
      v = scan e in x with h = 0 {{ h = tanh(e + 0.5 * h) }}
      output v, q = {formula}
    }}"""
    x = np.random.default_rng(0).normal(size=(5, 3)).astype(dtype)
    plain, ort = (nnspec.loads(text, engine=e, dtype=dtype).init(seed=0)(x=x) for e in ("reference", "ort"))
    assert all(distance(ort[name], plain[name]) < 1e-6 for name in plain)


def test_what_goes_in_and_what_is_learnt_are_outputs_under_their_own_names() -> None:
    text = """
    model M {
      input x: [2]
      target y: [2]
      param W: [2, 2] ~ normal(0, 1)
      state n: [2] = 3
      output x, W, n, z = x @ W + n
      loss mse(z, y)
      n <- n + 1
    }
    train { epochs 1  optimizer sgd(lr = 0.1) }"""
    net = nnspec.loads(text, engine="ort").init(seed=0)
    x = np.arange(4.0).reshape(2, 2)
    for taken in range(3):
        found = net(x=x)
        assert np.array_equal(found["x"], x)
        assert np.array_equal(found["W"], net.params["W"])
        assert np.array_equal(found["n"], [3 + taken] * 2)
        assert distance(found["z"], x @ net.params["W"] + 3 + taken) < 1e-6
        net.step(x=x, y=x)


def test_whatever_onnxruntime_raises_of_a_model_is_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    def lose(*_: object, **__: object) -> None:
        raise RuntimeError("Failed to find node output")

    monkeypatch.setattr(onnxruntime, "InferenceSession", lose)
    with pytest.raises(SpecError, match="onnxruntime cannot run `M` in float32: Failed to find node output") as caught:
        nnspec.loads("model M { input x: [4]  output y = exp(x) }", engine="ort")(np.zeros((1, 4)))
    assert [d.code for d in caught.value.diagnostics] == ["E506"]


def test_what_onnx_cannot_say_is_refused_at_its_line() -> None:
    with pytest.raises(SpecError) as caught:
        nnspec.loads("model M {\n input x: [4]\n output y = erfinv(x)\n}", engine="ort")(np.zeros((1, 4)))
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code == "E506" and diagnostic.span and diagnostic.span.line == 3


def test_another_device_is_for_ort_only() -> None:
    with pytest.raises(ValueError, match="processor only"):
        nnspec.load("mazur", device="cuda")


@pytest.mark.parametrize(
    "text", [NET.replace("batchnorm -> ", "") + TRAIN.format(o, c) for o in OPTIMIZERS.values() for c in ("", "clip norm(0.1)")]
)
def test_parts_of_a_batch_give_what_the_whole_gives(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    numpy, ort = pair(text)
    monkeypatch.setattr(Estimate, "in_sessions", lambda *_: 0.0)
    ort.engine._planner.threads = 3
    for seed in range(3):
        batch = batch_of(ort, 13, seed)
        assert ort.step(**batch) == pytest.approx(numpy.step(**batch), rel=1e-5)
    assert any(isinstance(bound.program, PartedSessions) for bound in ort.engine._programs.values())
    assert alike(numpy, ort)


def test_the_gates_of_a_loop_are_one_operation_of_onnxruntime(monkeypatch: pytest.MonkeyPatch) -> None:
    net = nnspec.load("char_lstm")
    written: list[str] = []
    monkeypatch.setattr(session, "Session", lambda content, *_, **__: written.extend(_kinds(onnx.load_from_string(content).graph)))
    session_for(net.spec.stages[0][0].objective, {"batch": 8, "T": 4})
    assert written.count("Sigmoid") == 1 and written.count("Tanh") == 2


def _kinds(graph: onnx.GraphProto) -> Iterator[str]:
    """The operations of a graph and of its bodies."""
    for node in graph.node:
        yield node.op_type
        for attribute in node.attribute:
            yield from _kinds(attribute.g)


def test_many_small_operations_are_worth_a_session_a_part_but_no_thread_of_calls() -> None:
    loop = Estimate(products=5e-3, rest=1e-3, calls=2e-3)
    assert loop.in_sessions(2, 0) < loop.spread(2)
    assert loop.in_parts(2, 0) > loop.alone(2)


def test_a_batch_whose_examples_meet_before_the_end_stays_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Estimate, "in_sessions", lambda *_: 0.0)
    net = nnspec.loads(NET + TRAIN.format("sgd(lr = 0.1)", ""), engine="ort")
    net.engine._planner.threads = 2
    net.step(**batch_of(net, 16))
    assert not any(isinstance(bound.program, PartedSessions) for bound in net.engine._programs.values())


SUMS = """
model Sums {
  input  x: [3, 256, 256]
  target y: [3, 256, 256]
  output z = x -> batchnorm(momentum = 0)
  loss   mse(x, y)
}
train { steps 1  optimizer sgd(lr = 0) }
"""


@pytest.mark.parametrize("threads", [1, 2])
def test_losses_and_statistics_of_millions_of_numbers_are_those_of_double_precision(threads: int) -> None:
    rng = np.random.default_rng(0)
    x = np.where(rng.random((16, 3, 256, 256)) < 0.03, 0.1, 0.98).astype(np.float32)
    y = rng.random(x.shape, np.float32)
    net, exact = nnspec.loads(SUMS, engine="ort", threads=threads), x.astype(float)
    assert net.step(x=x, y=y) == pytest.approx(np.mean((exact - y) ** 2), rel=1e-6)
    np.testing.assert_allclose(net.states["batchnorm.mu"], exact.mean((0, 2, 3)), rtol=3e-6)
