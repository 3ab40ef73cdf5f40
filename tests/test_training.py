"""Training for real: published numbers, accuracy on held-out data, determinism, settings of the train block."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
import pytest
from helpers import MNIST

import nnspec
from nnspec import SpecError
from nnspec.ops import OPS
from nnspec.train.schedule import LearningRate

X, Y = [[0.05, 0.10]], [[0.01, 0.99]]

SMALL = """
model Small {
  input  x: [4]
  target y: [2]
  out = x -> dense(8) -> tanh -> dropout(0.25) -> dense(2)
  output out
  loss   mse(out, y)
  metric mse(out, y)
}
train {
  batch 8
  epochs 4
  optimizer adam(lr = 0.01)
  SETTINGS
}
"""


LINEAR = """
model Linear {
  input  x: [1]
  target y: [1]
  y_hat = x -> dense(1, bias = false)
  output y_hat
  loss mse(y_hat, y)
}
train { batch 2  epochs 1000  optimizer sgd(lr = 0.05)  stop STOP }
"""


def small(settings: str = "", **more: Any) -> nnspec.Net:
    return nnspec.loads(SMALL.replace("SETTINGS", settings), **more)


def some_data(examples: int = 50) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((examples, 4))
    return {"x": x, "y": x[:, :2] - x[:, 2:]}


# ---- the worked example


def test_the_worked_example_has_its_published_loss_and_weights() -> None:
    net = nnspec.load("mazur", dtype="float64")
    assert net.step(x=X, y=Y) == pytest.approx(0.298371109, abs=5e-10)
    np.testing.assert_allclose(net.params["W2"], [[0.35891648, 0.511301270], [0.408666186, 0.561370121]], atol=1e-8)
    np.testing.assert_allclose(net.params["W1"], [[0.149780716, 0.24975114], [0.19956143, 0.29950229]], atol=1e-8)


def test_the_worked_example_after_ten_thousand_steps() -> None:
    net = nnspec.load("mazur", dtype="float64")
    net.fit()
    assert f"{net.evaluate({'x': X, 'y': Y})['loss']:.2e}" == "3.51e-05"


# ---- real data


def test_digits_reaches_97_percent_and_so_does_its_exported_model(tmp_path: Any) -> None:
    pytest.importorskip("sklearn")
    net = nnspec.load("digits")
    net.fit()
    test = net.dataset().test
    assert test is not None
    accuracy = net.evaluate(test)["accuracy"]
    assert accuracy >= 0.97
    net.export(tmp_path / "m.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx")
    (probs,) = session.run(["probs"], {"image": test["image"]})
    assert np.mean(probs.argmax(1) == test["digit"]) == pytest.approx(accuracy, abs=1e-6)  # one image is 3e-3


@pytest.mark.skipif(not MNIST.is_dir(), reason="the MNIST files are not here")
def test_mnist_mlp_learns_in_one_epoch_and_exports_the_same_answers(tmp_path: Any) -> None:
    net = nnspec.load("mnist_mlp")
    net.fit(epochs=1, path=str(MNIST))
    test = net.dataset(str(MNIST)).test
    assert test is not None
    predicted = net.predict(test["image"]).argmax(1)
    assert np.mean(predicted == test["digit"]) > 0.96
    net.export(tmp_path / "m.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx")
    (probs,) = session.run(["probs"], {"image": test["image"]})
    assert (probs.argmax(1) == predicted).all()


# ---- determinism


def test_the_same_training_twice_gives_the_same_bits() -> None:
    runs = []
    for _ in range(2):
        net = small("seed 3")
        net.fit(some_data())
        runs.append({n: v.copy() for n, v in net.params.items()})
    assert all((runs[0][n] == runs[1][n]).all() for n in runs[0])


def test_another_seed_gives_other_weights() -> None:
    assert (small("seed 1").params["dense.W"] != small("seed 2").params["dense.W"]).any()


def test_dropout_draws_anew_each_step_and_not_in_use() -> None:
    net = nnspec.loads("model M { input x: [1000]  output y = x -> dropout(0.25)  loss sum(y) } train { epochs 1 optimizer sgd(lr = 1) }")
    x = np.random.default_rng(0).random((2, 1000)).astype(np.float32)
    assert (net(x=x)["y"] == x).all()
    losses = [net.step(x=x) for _ in range(3)]
    assert len(set(losses)) == 3
    assert all(abs(loss - 500) < 50 for loss in losses)


NOISY = """
model Noisy {
  input x: [20]
  param w: [20] = 1
  output o = sum(dropout(x, 0.5) * w)
  output drawn = x * bernoulli(0.5)
  loss o
}
train { epochs 1  seed 5  optimizer sgd(lr = 0.1) }
"""


@pytest.mark.parametrize("engine", ["numpy", "ort", "reference"])
def test_a_loop_by_hand_draws_as_steps_do(engine: str) -> None:
    by_hand, by_steps = (nnspec.loads(NOISY, engine=engine, threads=1) for _ in range(2))
    masks, x = set(), np.ones((1, 20), np.float32)
    for _ in range(6):
        loss, gradients = by_hand.gradients(x=x)
        by_hand.params["w"][...] -= np.float32(0.1) * gradients["w"]
        masks.add(tuple(gradients["w"] > 0))
        assert loss == pytest.approx(by_steps.step(x=x), rel=1e-5)
        np.testing.assert_allclose(by_hand.params["w"], by_steps.params["w"], rtol=1e-5)
    assert len(masks) == 6


@pytest.mark.parametrize("engine", ["numpy", "ort", "reference"])
def test_gradients_of_a_certain_step_are_always_the_same(engine: str) -> None:
    net, x = nnspec.loads(NOISY, engine=engine, threads=1), np.ones((3, 20), np.float32)
    anew = [net.gradients(x=x)[1]["w"] for _ in range(3)]
    again = [net.gradients(x=x, step=step)[1]["w"] for step in (0, 1, 2, 0)]
    np.testing.assert_array_equal(again, [*anew, anew[0]])
    assert (net.gradients(x=x)[1]["w"] == net.gradients(x=x, step=3)[1]["w"]).all()
    np.testing.assert_array_equal(net.init(5).gradients(x=x)[1]["w"], anew[0])


@pytest.mark.parametrize("engine", ["numpy", "ort", "reference"])
def test_use_repeats_and_draws_anew_for_another_step(engine: str) -> None:
    net, x = nnspec.loads(NOISY, engine=engine, threads=1), np.ones((300, 20), np.float32)
    for step in (0, 7):
        np.testing.assert_array_equal(*(net.predict({"x": x}, step=step)["drawn"] for _ in range(2)))
    passes = np.array([net.predict({"x": x}, step=step)["drawn"] for step in range(200)])
    np.testing.assert_allclose(passes.mean(0), 0.5, atol=5 * 0.5 / 200**0.5)  # of each number by itself
    assert (passes.std(0) > 0.4).all()
    np.testing.assert_array_equal(*(net(x=x)["drawn"] for _ in range(2)))
    np.testing.assert_array_equal(net(x=x[:9])["drawn"], net.predict({"x": x[:9]}, step=0)["drawn"])


@pytest.mark.parametrize("step", [-1, 0.5, "a", 2**32])
def test_what_is_no_number_of_a_step_is_refused(step: Any) -> None:
    net, x = nnspec.loads(NOISY), np.ones((1, 20))
    for use in (net.gradients, lambda x, step: net.predict({"x": x}, step=step)):
        with pytest.raises(SpecError, match=r"E106.*`step` is a whole number from 0"):
            use(x=x, step=step)


def test_the_seeded_generator_is_uniform_and_steps_and_places_are_unrelated() -> None:
    draw = OPS["random"].kernel
    streams = [draw(seed, step, stream, (100_000,), "float64") for seed, step, stream in [(0, 0, 1), (0, 1, 1), (1, 0, 1), (0, 0, 2)]]
    for u in streams:
        assert abs(u.mean() - 0.5) < 0.005 and abs(u.var() - 1 / 12) < 0.002
        assert abs(np.corrcoef(u[1:], u[:-1])[0, 1]) < 0.015
        counts = np.histogram(u, 100, (0, 1))[0]
        assert ((counts - 1000) ** 2 / 1000).sum() < 150  # chi squared with 99 degrees of freedom
    assert np.abs(np.corrcoef(streams) - np.eye(4)).max() < 0.015


# ---- settings


def test_a_penalty_adds_its_gradient_to_matrices_only_and_not_to_the_loss() -> None:
    plain, l2 = small(), small("penalty l2(0.1)")
    data = {n: v[:8] for n, v in some_data().items()}
    for net in (plain, l2):
        net.init(0)
        net.params["dense.b"][...] = 0.5  # a bias of 0 would have no penalty whatever the rule
    assert plain.engine.step(plain._checked(data, {**plain.inputs, **plain.targets}), 0.0) == l2.engine.step(
        l2._checked(data, {**l2.inputs, **l2.targets}), 0.0
    )
    difference = {n: l2.engine.gradient_views[n] - plain.engine.gradient_views[n] for n in l2.params}
    np.testing.assert_allclose(difference["dense.W"], 0.1 * l2.params["dense.W"], atol=1e-6)
    assert not difference["dense.b"].any()


@pytest.mark.parametrize(("clip", "largest"), [("norm(0.01)", 0.01), ("value(0.001)", 0.001)])
def test_clipping_limits_the_step(clip: str, largest: float) -> None:
    net = nnspec.loads(SMALL.replace("adam(lr = 0.01)", "sgd(lr = 1)").replace("SETTINGS", f"clip {clip}"))
    before = {n: v.copy() for n, v in net.params.items()}
    net.step(**{n: v[:8] for n, v in some_data().items()})
    moved = np.concatenate([(net.params[n] - before[n]).ravel() for n in before])
    assert (np.linalg.norm(moved) if "norm" in clip else abs(moved).max()) == pytest.approx(largest, rel=1e-3)


@pytest.mark.parametrize("clip", ["norm(1000)", "value(1000)"])
def test_gradients_within_the_limit_are_not_scaled(clip: str) -> None:
    by_gradient = SMALL.replace("adam(lr = 0.01)", "sgd(lr = 1)")
    free, clipped = (nnspec.loads(by_gradient.replace("SETTINGS", setting)).init(0) for setting in ("", f"clip {clip}"))
    for net in (free, clipped):
        net.step(**{n: v[:8] for n, v in some_data().items()})
    for name, value in free.params.items():
        np.testing.assert_allclose(clipped.params[name], value, rtol=1e-6)


def test_early_stopping_keeps_the_best_weights() -> None:
    net = small("stop early(val.loss, patience = 2)")
    data = some_data()
    validation = {"x": data["x"], "y": -data["y"]}
    history = net.fit(data, epochs=50, validation=validation)
    assert len(history.epochs) < 50
    best = min(e.metrics["val.loss"] for e in history.epochs)
    assert net.evaluate(validation)["loss"] == pytest.approx(best, rel=1e-5)


def test_a_single_step_takes_the_base_rate_and_leaves_the_schedule_out() -> None:
    by_gradient = SMALL.replace("adam(lr = 0.01)", "sgd(lr = 1)")
    plain, warming = (nnspec.loads(by_gradient.replace("SETTINGS", s)).init(0) for s in ("", "schedule warmup(5)"))
    for net in (plain, warming):
        net.step(**{n: v[:8] for n, v in some_data().items()})
    assert all(np.array_equal(v, plain.params[n]) for n, v in warming.params.items())


ABSOLUTE = "metric own = 100 * mean(abs(out - y))\n  metric right = -100 * mean(abs(out - y))\n  metric error = mae(out, y)"


@pytest.mark.parametrize("stop", ["val.own, patience = 2, best = low", "val.right, 2, high", "val.error, patience = 2"])
def test_early_stopping_keeps_the_weights_that_are_best_the_way_the_metric_says(stop: str) -> None:
    net = nnspec.loads(SMALL.replace("metric mse(out, y)", ABSOLUTE).replace("SETTINGS", f"stop early({stop})"))
    data = some_data()
    validation = {"x": data["x"], "y": -data["y"]}
    history = net.fit(data, epochs=50, validation=validation)
    assert "best weights are kept" in history.stopped and "taken as" not in history.stopped
    best = min(e.metrics["val.own"] for e in history.epochs)
    assert net.evaluate(validation)["own"] == pytest.approx(best, rel=1e-5)


def test_of_a_metric_of_one_s_own_the_message_of_the_stop_says_which_way_was_taken() -> None:
    net = nnspec.loads(SMALL.replace("metric mse(out, y)", ABSOLUTE).replace("SETTINGS", "stop early(val.own, patience = 3)"))
    data = some_data()
    history = net.fit(data, epochs=50, validation=data)
    assert history.stopped.startswith("val.own, taken as better when higher, has not improved for 3 epochs")


def test_an_accuracy_that_rises_is_no_plateau() -> None:
    spec = SMALL.replace("metric mse(out, y)", ABSOLUTE).replace(
        "SETTINGS", "stop plateau(val.right, patience = 3, smoothing = 1, best = BEST)"
    )
    data = some_data()
    rising, falling = (nnspec.loads(spec.replace("BEST", best)).fit(data, epochs=8, validation=data) for best in ("high", "low"))
    assert len(rising.epochs) == 8 and not rising.stopped and len(falling.epochs) == 4


def test_training_stops_when_the_weights_no_longer_move() -> None:
    spec = LINEAR.replace("STOP", "converged(weights = 1e-4)")
    net = nnspec.loads(spec)
    history = net.fit({"x": [[1.0], [2.0]], "y": [[2.0], [4.0]]})
    assert "no weight moved" in history.stopped and 5 < len(history.epochs) < 1000
    assert net.params["dense.W"][0, 0] == pytest.approx(2, abs=1e-2)


def test_training_stops_when_the_gradient_vanishes() -> None:
    net = nnspec.loads(LINEAR.replace("STOP", "converged(grad = 1e-3)"))
    data = {"x": [[1.0], [2.0]], "y": [[2.0], [4.0]]}
    history = net.fit(data)
    assert "gradient" in history.stopped and len(history.epochs) < 1000
    assert abs(net.gradients(**data)[1]["dense.W"][0, 0]) < 2e-3


def test_training_stops_on_a_plateau_of_the_smoothed_loss() -> None:
    history = nnspec.loads(LINEAR.replace("STOP", "plateau(loss, patience = 4, smoothing = 0.5, tolerance = 0.01)")).fit(
        {"x": [[1.0], [1.0]], "y": [[0.0], [2.0]]}  # the best there is leaves a loss of 1
    )
    assert "level for 4 epochs" in history.stopped and len(history.epochs) < 200


@pytest.mark.parametrize(
    "stop",
    [
        "converged()",
        "converged(weigths = 1)",
        "converged(0.1)",
        "plateau(patience = 2)",
        "early(val.loss)",
        "plateau(loss, patience = 0)",
        "early(val.loss, patience = 2, best = lower)",
        "early(val.loss, patience = 2, best = -1)",
    ],
)
def test_a_wrong_way_to_stop_is_refused(stop: str) -> None:
    with pytest.raises(SpecError, match=r"E10[236]"):
        nnspec.loads(LINEAR.replace("STOP", stop))


def test_watching_a_metric_that_is_not_there_says_which_are() -> None:
    with pytest.raises(SpecError, match="E402") as error:
        small("stop early(val.acuracy, patience = 2)").fit(some_data())
    assert "val.acuracy" in str(error.value)


def test_watching_validation_data_that_is_not_there_is_refused_before_the_first_epoch() -> None:
    net = small("stop early(val.loss, patience = 2)")
    before = {n: v.copy() for n, v in net.params.items()}
    with pytest.raises(SpecError, match=r"E402.*there is no validation data"):
        net.fit(some_data())
    assert all(np.array_equal(v, before[n]) for n, v in net.params.items())


@pytest.mark.parametrize("length", ["steps 10", "epochs 9 steps 10"])
def test_steps_limit_the_training(length: str) -> None:
    history = nnspec.loads(SMALL.replace("epochs 4", length).replace("SETTINGS", "")).fit(some_data())
    assert [e.step for e in history.epochs] == [7, 10]


@pytest.mark.parametrize("schedule", ["cosine", "linear", "one_cycle"])
@pytest.mark.parametrize("length", ["epochs 2 steps 1000", "epochs 9 steps 14", "steps 14"])
def test_a_schedule_lies_over_the_steps_that_there_are_whichever_of_epochs_and_steps_ends_first(length: str, schedule: str) -> None:
    def rates(length: str) -> list[float]:
        text = SMALL.replace("epochs 4", length).replace("SETTINGS", f"schedule {schedule}")
        return [e.lr for e in nnspec.loads(text).fit(some_data()).epochs]

    assert rates(length) == rates("epochs 2")


def test_the_last_rate_of_a_cosine_cut_short_by_epochs_is_that_of_its_formula() -> None:
    history = nnspec.loads(SMALL.replace("epochs 4", "epochs 2 steps 1000").replace("SETTINGS", "schedule cosine")).fit(some_data())
    assert history.epochs[-1].lr == pytest.approx(0.01 * (1 + np.cos(np.pi * 13 / 14)) / 2, rel=1e-6)


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("step_decay(gamma = 0.5, every = 2)", {(0, 0): 0.01, (1, 9): 0.01, (2, 14): 0.005, (5, 0): 0.0025}),
        ("exponential(0.9)", {(0, 0): 0.01, (2, 0): 0.0081}),
        ("cosine", {(0, 0): 0.01, (0, 50): 0.005, (0, 100): 0.0}),
        ("cosine(warmup = 10)", {(0, 0): 0.001, (0, 9): 0.01, (0, 55): 0.005}),
    ],
)
def test_schedules_give_the_rates_of_their_formulas(schedule: str, expected: dict[tuple[int, int], float]) -> None:
    rate = LearningRate(small(f"schedule {schedule}").spec, epochs=10, steps=100)
    assert {at: rate(*at) for at in expected} == pytest.approx(expected, abs=1e-12)


def test_a_diverging_loss_stops_the_training_and_says_what_helps() -> None:
    net = nnspec.loads(SMALL.replace("adam(lr = 0.01)", "sgd(lr = 1e30)").replace("SETTINGS", ""))
    with pytest.raises(SpecError, match="E401"):
        net.fit(some_data())


# ---- metrics and states


def test_metrics_weigh_every_example_alike() -> None:
    net = small().init(0)
    data = some_data(1500)  # more than one evaluation batch, the last one smaller
    expected = np.mean((net.predict(data["x"]) - data["y"]) ** 2)
    assert net.evaluate(data)["mse"] == pytest.approx(expected, rel=1e-5)


def test_batchnorm_keeps_the_running_averages_of_its_definition() -> None:
    net = nnspec.loads(
        "model M { input x: [3]  y = x -> batchnorm(momentum = 0.75)  output y  loss sum(y) } train { epochs 1 optimizer sgd(lr = 0) }"
    )
    x = np.random.default_rng(0).standard_normal((10, 3)) * 3 + 5
    net.step(x=x)
    np.testing.assert_allclose(net.states["batchnorm.mu"], 0.25 * x.mean(0), rtol=1e-5)
    np.testing.assert_allclose(net.states["batchnorm.var"], 0.75 + 0.25 * x.var(0, ddof=1), rtol=1e-5)


# ---- saving


def test_a_saved_run_opens_with_the_same_weights_and_optimizer(tmp_path: Any) -> None:
    net = small()
    net.fit(some_data())
    net.save(tmp_path / "run")
    again = nnspec.open(tmp_path / "run")
    for name, value in net.engine.all_arrays().items():
        assert (again.engine.all_arrays()[name] == value).all(), name
    batch = {n: v[:8] for n, v in some_data().items()}
    assert again.step(**batch) == net.step(**batch)
    assert not list((tmp_path / "run").glob(".tmp-*"))


def test_a_step_is_never_saved_over_and_another_spec_neither(tmp_path: Any) -> None:
    net = small()
    net.save(tmp_path / "run")
    for other in (net, small("seed 7")):
        with pytest.raises(SpecError, match="E504"):
            other.save(tmp_path / "run")
    net.step(**{n: v[:8] for n, v in some_data().items()})
    net.save(tmp_path / "run")
    assert int(nnspec.open(tmp_path / "run").engine.steps_done) == 1


def test_a_directory_that_cannot_be_written_is_one_clear_error(tmp_path: Any) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SpecError, match="E504"):
        small().save(tmp_path / "file" / "run")


def test_a_damaged_checkpoint_is_not_taken(tmp_path: Any) -> None:
    net = small()
    (state,) = net.save(tmp_path / "run").glob("step-*/state.safetensors")
    state.write_bytes(state.read_bytes()[:-1] + b"x")
    with pytest.raises(SpecError, match="E503"):
        nnspec.open(tmp_path / "run")
