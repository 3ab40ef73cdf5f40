"""Metrics over a whole data set, against scikit-learn, with more examples than one evaluation batch holds."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

import nnspec
from nnspec import SpecError
from nnspec.cli.judging import metrics_text
from nnspec.graph import BATCH, Graph, Type
from nnspec.ops import OPS
from nnspec.run import reference
from nnspec.train.loop import EVALUATION_BATCH
from nnspec.wholedata import split

EXAMPLES = 2 * EVALUATION_BATCH + EVALUATION_BATCH // 2

SPEC = """
fn outer(a, b) = reshape(a, [size(a), 1]) * reshape(b, [1, size(b)])

# The share of pairs, one of each kind, that are in the right order: from the sum of ranks (Mann and Whitney 1947).
fn area(score, hit) {
  n = 2 * batch_mean(batch_rank(score)) - 1
  hits = n * batch_mean(hit)
  return (n * batch_mean(hit * batch_rank(score)) - hits * (hits + 1) / 2) / (hits * (n - hits))
}

model Judge {
  input  score: []
  input  logits: [3]
  target y: []
  target hit: []
  target kind: class(3)
  param  weights: [2, 2] = [[1, 2], [3, 4]]
  output score, logits
  loss   mse(score, y)
  metric mse(score, y)
  metric rmse = sqrt(batch_mean((score - y)^2))
  metric r2 = 1 - batch_mean((y - score)^2) / batch_var(y)
  metric spread = abs(y - batch_mean(y))
  metric auc = area(score, hit)
  metric shares = batch_mean(outer(one_hot(kind), one_hot(argmax(logits), 3)))
  metric accuracy(logits, kind)
  metric kept = weights
}
train { epochs 1  optimizer sgd(lr = 1) }
"""


def some_data() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    hit = rng.integers(0, 2, EXAMPLES)
    score = np.round(rng.standard_normal(EXAMPLES) + hit, 1)  # with many ties
    kind = np.sort(rng.integers(0, 3, EXAMPLES))  # so that no batch is like the whole
    logits = rng.standard_normal((EXAMPLES, 3)) + 2 * np.eye(3)[kind]
    return {"score": score, "logits": logits, "y": score + rng.standard_normal(EXAMPLES) + kind, "hit": hit, "kind": kind}


@pytest.fixture(scope="module", params=["numpy", "reference"])
def found(request: pytest.FixtureRequest) -> dict[str, Any]:
    return nnspec.loads(SPEC, dtype="float64", engine=request.param).evaluate(some_data())


def test_metrics_are_scikit_learn_s(found: dict[str, Any]) -> None:
    sk, data = pytest.importorskip("sklearn.metrics"), some_data()
    guessed = data["logits"].argmax(1)
    assert found["mse"] == found["loss"] == pytest.approx(sk.mean_squared_error(data["y"], data["score"]), rel=1e-12)
    assert found["rmse"] == pytest.approx(sk.root_mean_squared_error(data["y"], data["score"]), rel=1e-12)
    assert found["r2"] == pytest.approx(sk.r2_score(data["y"], data["score"]), rel=1e-10)
    assert found["auc"] == pytest.approx(sk.roc_auc_score(data["hit"], data["score"]), rel=1e-10)
    assert found["accuracy"] == pytest.approx(sk.accuracy_score(data["kind"], guessed), rel=1e-12)
    np.testing.assert_allclose(found["shares"] * EXAMPLES, sk.confusion_matrix(data["kind"], guessed), atol=1e-8)


def test_a_value_of_each_example_may_read_all_of_them(found: dict[str, Any]) -> None:
    y = some_data()["y"]
    assert found["spread"] == pytest.approx(np.abs(y - y.mean()).mean(), rel=1e-12)


def test_a_metric_without_examples_stays_as_it_is_and_the_order_is_the_spec_s(found: dict[str, Any]) -> None:
    np.testing.assert_array_equal(found["kept"], [[1, 2], [3, 4]])
    assert list(found) == ["mse", "rmse", "r2", "spread", "auc", "shares", "accuracy", "kept", "loss"]


def test_only_metrics_that_join_examples_are_taken_apart() -> None:
    spec = nnspec.loads(SPEC).spec
    assert {n.split(":")[1] for n in spec.metrics.outputs} == {"rmse", "r2", "spread", "auc", "shares", "kept"}
    assert {"metric:mse", "metric:accuracy"} <= set(spec.evaluation.outputs)


def test_a_value_with_the_batch_elsewhere_than_in_front_is_made_again() -> None:
    graph = Graph()
    x = graph.source(OPS["input"], "x", Type("float32", (BATCH, 3)))
    rows = OPS["square"](OPS["reshape"](x, shape=(BATCH * 3,)))
    graph.outputs["metric:plain"] = OPS["mean"](OPS["reshape"](rows, shape=(BATCH, 3)), axes=(0, 1), keep=False).name
    graph.outputs["metric:root"] = OPS["sqrt"](OPS["mean"](rows, axes=(0,), keep=False)).name
    each, rest = split(graph)
    assert each.outputs == {"metric:plain": graph.outputs["metric:plain"], "examples:0": "x"}
    values = np.arange(12.0).reshape(4, 3)
    assert reference.run(rest, {"examples:0": values})["metric:root"] == pytest.approx((values**2).mean() ** 0.5)


FAR = """
layer total(x: [N, n]) { sums = scan row in x with t = zeros(n) { t = t + row } return sums[-1] }
model M {
  input  z: [2]
  target y: [2]
  param  scale: [] = 0.1
  output same = 1 * z
  loss   mse(z, y)
  metric r2(z, y)
  metric mean   = batch_mean(y)
  metric var    = batch_var(y)
  metric walked = stack(0 * batch_mean(y), scale * batch_var(y), batch_mean(y)) -> total
}
"""


@pytest.mark.parametrize("engine", ["numpy", "ort", "reference"])
def test_metrics_of_single_precision_far_from_zero_are_those_of_double_precision(engine: str) -> None:
    rng = np.random.default_rng(0)
    y = rng.normal(1e6, 2, (1000, 2)).astype(np.float32)
    z = (y + rng.normal(size=y.shape)).astype(np.float32)
    found, exact = nnspec.loads(FAR, engine=engine).evaluate({"z": z, "y": y}), y.astype(float)
    mean, var = exact.mean(0), exact.var(0)
    np.testing.assert_allclose(found["mean"], mean, rtol=1e-13)
    np.testing.assert_allclose(found["var"], var, rtol=1e-9)
    assert found["walked"] == pytest.approx((mean + np.float32(0.1) * var).mean(), rel=1e-13)
    assert found["r2"] == pytest.approx((1 - ((exact - z) ** 2).mean(0) / var).mean(), rel=1e-6)


def test_a_size_of_the_data_is_known_after_the_mean_over_examples() -> None:
    sk = pytest.importorskip("sklearn.metrics")
    net = nnspec.loads(
        """
model Tagger {
  input  z: [T, 3]
  target y: class(3)[T]
  output z
  loss   cross_entropy(z, y)
  metric confusion(z, y)
  metric each = sqrt(batch_mean(sum(z^2)) / size(y))
}""",
        dtype="float64",
    )
    rng = np.random.default_rng(0)
    z, y = rng.standard_normal((EXAMPLES, 7, 3)), rng.integers(0, 3, (EXAMPLES, 7))
    found = net.evaluate({"z": z, "y": y})
    np.testing.assert_allclose(found["confusion"] * y.size, sk.confusion_matrix(y.flat, z.argmax(2).flat), atol=1e-8)
    assert found["each"] == pytest.approx(np.sqrt((z**2).sum() / y.size), rel=1e-12)


def test_validation_reports_them_and_json_has_lists() -> None:
    net, data = nnspec.loads(SPEC), {n: v[:30] for n, v in some_data().items()}
    (epoch,) = net.fit(data, validation=data).epochs
    assert epoch.metrics["val.rmse"] == pytest.approx(epoch.metrics["val.mse"] ** 0.5, rel=1e-5)
    assert np.shape(json.loads(json.dumps(epoch.as_json()))["val.shares"]) == (3, 3)


def test_a_matrix_is_shown_as_a_table() -> None:
    text = metrics_text("test", {"loss": 0.5, "confusion": np.array([[12.0, 3], [0, 7]])})
    assert text == "test: loss 0.5\ntest: confusion\n  12   3\n   0   7"


@pytest.mark.parametrize(
    "line",
    ["loss sum(batch_rank(x))", "output r = batch_rank(x)", "loss other = sum(x)  metric m = batch_rank(2)"],
)
def test_ranks_belong_to_metrics(line: str) -> None:
    with pytest.raises(SpecError, match=r"E10[68]"):
        nnspec.loads(f"model M {{ input x: [2]  output y = x  {line} }}")


def test_a_table_cannot_be_watched() -> None:
    with pytest.raises(SpecError, match="E402"):
        nnspec.loads(SPEC.replace("epochs 1", "epochs 1  stop early(val.shares, patience = 1)"))


TWO = """
model Two {
  input  x: [3]
  target y: []
  code = x -> dense(4) -> tanh
  z    = code -> dense(1) -> squeeze
  output z
  loss   error = mse(z, y)
  loss   size  = 0.5 * sum(code^2)
  metric mae(z, y)
}
train { batch 4  epochs 3  optimizer sgd(lr = 0.1)  stop early(val.error, patience = 2) }
"""


def test_losses_that_are_added_are_told_apart_in_epochs_and_when_judged() -> None:
    net, x = nnspec.loads(TWO), np.random.default_rng(0).normal(size=(10, 3))
    data = {"x": x, "y": x.sum(axis=1)}
    *_, last = net.fit(data, validation=data).epochs
    assert list(last.metrics) == ["loss", "error", "size", "val.mae", "val.error", "val.size", "val.loss"]
    assert last.metrics["error"] + last.metrics["size"] == pytest.approx(last.metrics["loss"], rel=1e-6)
    reached, z = net.evaluate(data), net.predict(data["x"])
    assert reached["error"] == pytest.approx(np.mean((z - data["y"]) ** 2), rel=1e-5)
    assert reached["error"] + reached["size"] == pytest.approx(reached["loss"], rel=1e-6)


def test_a_single_loss_and_one_that_a_metric_has_the_name_of_are_told_once() -> None:
    data = {"x": np.ones((4, 3)), "y": np.ones(4)}
    alone = nnspec.loads(TWO.replace("  loss   size  = 0.5 * sum(code^2)\n", "").replace("stop early(val.error, patience = 2)", ""))
    *_, last = alone.fit(data, validation=data).epochs
    assert list(last.metrics) == ["loss", "val.mae", "val.loss"]
    named = nnspec.loads(TWO.replace("metric mae(z, y)", "metric error = 2 * abs(z - y)"))
    reached = named.evaluate(data)
    assert list(reached) == ["error", "size", "loss"] and reached["error"] == pytest.approx(2 * np.abs(named.predict(data["x"]) - 1).mean())
