"""The library's metrics against those of scikit-learn, over a whole data set."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn import metrics
from std_models import Array, library, words

import nnspec

METRICS: dict[str, Callable[..., float]] = {
    "accuracy(z, y)": lambda y, p, z: metrics.accuracy_score(y, p),
    "top_k(z, y, k = 2)": lambda y, p, z: metrics.top_k_accuracy_score(y, z, k=2, labels=range(4)),
    "precision(z, y)": lambda y, p, z: metrics.precision_score(y, p, average="macro"),
    "recall(z, y)": lambda y, p, z: metrics.recall_score(y, p, average="macro"),
    "f1(z, y)": lambda y, p, z: metrics.f1_score(y, p, average="macro"),
    "f1(z, y, each = true)[2]": lambda y, p, z: metrics.f1_score(y, p, average=None)[2],
    "confusion(z, y)[1, 3]": lambda y, p, z: metrics.confusion_matrix(y, p, normalize="all")[1, 3],
    "confusion(z, y)[3, 1]": lambda y, p, z: metrics.confusion_matrix(y, p, normalize="all")[3, 1],
    "perplexity(z, y)": lambda y, p, z: math.exp(metrics.log_loss(y, softmax(z))),
}
"""Of labels, predictions and logits."""
BINARY: dict[str, Callable[..., float]] = {
    "precision(z, y)": metrics.precision_score,
    "recall(z, y)": metrics.recall_score,
    "f1(z, y)": metrics.f1_score,
}
REGRESSION: dict[str, Callable[..., float]] = {
    "mse(z, y)": metrics.mean_squared_error,
    "mae(z, y)": metrics.mean_absolute_error,
    "rmse(z, y)": lambda y, z: math.sqrt(metrics.mean_squared_error(y, z)),
    "r2(z, y)": metrics.r2_score,
}


def softmax(z: Array) -> Array:
    return np.exp(z) / np.exp(z).sum(-1, keepdims=True)


def measured(metric: str, types: tuple[str, str], x: Array, y: Array) -> Any:
    text = f"model M {{ input x: {types[0]}  target y: {types[1]}  z = 1 * x  output z  loss r = mean(z)  metric m = {metric} }}"
    return nnspec.loads(text, dtype="float64").evaluate({"x": x, "y": y})["m"]


def test_every_metric_is_tested() -> None:
    assert library("metrics", "fn") == words((*METRICS, *REGRESSION)) - {"mse", "mae"} | {"auc"}


@pytest.mark.parametrize("metric", METRICS)
def test_a_metric_of_classes_equals_scikit_learn(metric: str) -> None:
    rng = np.random.default_rng(0)
    z, y = rng.normal(size=(200, 4)), rng.integers(0, 4, 200)
    z[np.arange(200), y] += 0.7
    assert measured(metric, ("[4]", "class(4)"), z, y) == pytest.approx(METRICS[metric](y, z.argmax(1), z), rel=1e-9)


@pytest.mark.parametrize("types", [("[]", "[]"), ("[1]", "[1]"), ("[1]", "class(2)")])
@pytest.mark.parametrize("metric", BINARY)
def test_a_metric_of_one_logit_equals_scikit_learn(metric: str, types: tuple[str, str]) -> None:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 100)
    z = rng.normal(size=100) + y - 0.2
    given = [a.reshape(100, 1) if t == "[1]" else a for a, t in zip((z, y), types, strict=True)]
    assert measured(metric, types, *given) == pytest.approx(BINARY[metric](y, z > 0), rel=1e-9)


@pytest.mark.parametrize("shape", [(), (3,)])
@pytest.mark.parametrize("metric", REGRESSION)
def test_a_metric_of_numbers_equals_scikit_learn(metric: str, shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    y = rng.normal(2, 3, (100, *shape))
    z = y + rng.normal(size=y.shape)
    assert measured(metric, (str(list(shape)), str(list(shape))), z, y) == pytest.approx(REGRESSION[metric](y, z), rel=1e-9)


def test_the_area_under_the_curve_equals_scikit_learn_over_several_batches_and_with_ties() -> None:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 2500).astype(float)
    z = np.round(rng.normal(size=2500) + y, 1)
    assert measured("auc(z, y)", ("[]", "[]"), z, y) == pytest.approx(metrics.roc_auc_score(y, z), rel=1e-9)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning")
@pytest.mark.parametrize("number", [3, 2500])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_area_under_the_curve_of_one_class_is_undefined(dtype: str, number: int) -> None:
    scores = np.random.default_rng(0).normal(size=number)
    spec = "model M { input x: []  target y: []  z = 1 * x  output z  loss r = mean(z)  metric auc(z, y) }"
    for of_all in (0.0, 1.0):
        y = np.full(number, of_all)
        assert math.isnan(metrics.roc_auc_score(y, scores))
        assert math.isnan(nnspec.loads(spec, dtype=dtype).evaluate({"x": scores, "y": y})["auc"])


@pytest.mark.parametrize(("negative", "positive"), [(1, 57), (3, 1), (40, 13), (1000, 1500)])
def test_the_area_under_the_curve_is_one_where_all_pairs_are_in_order_and_zero_where_none_is(negative: int, positive: int) -> None:
    y = np.repeat([0.0, 1.0], (negative, positive))
    spec = nnspec.loads("model M { input z: []  target y: []  output o = 1 * z  loss r = mean(z)  metric auc(z, y) }")
    z = np.random.default_rng(0).uniform(size=y.shape)
    assert [spec.evaluate({"z": sign * (z + y), "y": y})["auc"] for sign in (1, -1)] == [1, 0]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("number", [1, 3, 100, 999])
def test_of_a_constant_target_all_or_nothing_is_explained(dtype: str, number: int) -> None:
    rng = np.random.default_rng(0)
    y = rng.normal(size=(number, 3))
    y[:, 1] = 0.1  # of which a mean is rounded
    z = y + rng.normal(size=y.shape)
    spec = "model M { input x: [3]  target y: [3]  z = 1 * x  output z  loss mse(z, y)  metric r2(z, y)  metric last = r2(z[1], y[1]) }"
    net = nnspec.loads(spec, dtype=dtype)
    assert net.evaluate({"x": z, "y": y})["last"] == 0 and net.evaluate({"x": y, "y": y})["r2"] == 1
    if number > 1:
        assert net.evaluate({"x": z, "y": y})["r2"] == pytest.approx(metrics.r2_score(y[:, [0, 2]], z[:, [0, 2]]) * 2 / 3, rel=1e-5)


LABELS = [("[4]", "[4]"), ("[4]", "class(2)[4]"), ("[2, 4]", "class(2)[2, 4]")]


@pytest.mark.parametrize("types", LABELS)
@pytest.mark.parametrize("metric", BINARY)
def test_a_metric_of_labels_that_do_not_exclude_each_other_equals_scikit_learn(metric: str, types: tuple[str, str]) -> None:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, (80, 4))
    z = rng.normal(size=(80, 4)) + y - 0.4
    given = [a.reshape(-1, 2, 4) if "2, 4" in types[0] else a for a in (z, y)]
    assert measured(metric, types, *given) == pytest.approx(BINARY[metric](y, z > 0, average="macro"), rel=1e-9)
    each = measured(f"{metric[:-1]}, each = true)", types, *given)
    np.testing.assert_allclose(each, BINARY[metric](y, z > 0, average=None), rtol=1e-9)


@pytest.mark.parametrize("metric", BINARY)
def test_a_metric_of_one_logit_at_each_position_equals_scikit_learn(metric: str) -> None:
    rng = np.random.default_rng(0)
    z, y = rng.normal(size=(30, 7, 1)), rng.integers(0, 2, (30, 7))
    assert measured(metric, ("[7, 1]", "class(2)[7]"), z, y) == pytest.approx(BINARY[metric](y.ravel(), z.ravel() > 0), rel=1e-9)


@pytest.mark.parametrize("metric", ["accuracy", "top_k", "f1", "precision", "recall", "confusion"])
@pytest.mark.parametrize("types", [("[5]", "class(5)[3]"), ("[3, 5]", "class(5)"), ("[5, 3]", "class(5)[3, 5]")])
def test_a_metric_of_classes_repeats_nothing_to_meet_another_shape(metric: str, types: tuple[str, str]) -> None:
    with pytest.raises(nnspec.SpecError, match=rf"E207.*`{metric}` expects shape\(logits\)"):
        measured(f"{metric}(z, y)", types, np.zeros(0), np.zeros(0))


@pytest.mark.parametrize("metric", ["accuracy", "top_k", "confusion"])
@pytest.mark.parametrize("y", ["[5]", "class(2)[5]"])
def test_of_a_number_for_each_logit_it_is_said_how_to_judge_it(metric: str, y: str) -> None:
    with pytest.raises(nnspec.SpecError, match=rf"E207.*`{metric}` expects shape\(logits\)(.|\n)*help: .*argmax\(y\)"):
        measured(f"{metric}(z, y)", ("[5]", y), np.zeros(0), np.zeros(0))


@pytest.mark.parametrize("metric", ["precision(z, y)", "recall(z, y)", "f1(z, y)"])
def test_a_class_that_is_neither_said_nor_true_of_any_example_has_no_part_in_a_mean(metric: str) -> None:
    rng = np.random.default_rng(0)
    y, z = rng.integers(0, 3, 100), rng.normal(size=(100, 5))
    z[:, 3] -= 100  # never said, never true
    z[0, 4] += 100  # said once, never true
    expected = {"precision": metrics.precision_score, "recall": metrics.recall_score, "f1": metrics.f1_score}[metric.partition("(")[0]]
    assert measured(metric, ("[5]", "class(5)"), z, y) == pytest.approx(
        expected(y, z.argmax(1), average="macro", zero_division=0), rel=1e-9
    )
    each = measured(f"{metric[:-1]}, each = true)[3]", ("[5]", "class(5)"), z, y)
    assert each == 0


def test_nothing_said_of_a_class_is_precision_zero() -> None:
    assert measured("precision(z, y)", ("[]", "[]"), -np.ones(3), np.array([1.0, 0, 1])) == 0


def test_metrics_of_a_sequence_count_its_positions() -> None:
    rng = np.random.default_rng(0)
    z, y = rng.normal(size=(20, 5, 4)), rng.integers(0, 4, (20, 5))
    for metric in ("f1(z, y)", "top_k(z, y, k = 2)", "perplexity(z, y)"):
        whole = measured(metric, ("[5, 4]", "class(4)[5]"), z, y)
        assert whole == pytest.approx(measured(metric, ("[4]", "class(4)"), z.reshape(100, 4), y.reshape(100))), metric
    table = measured("confusion(z, y)", ("[5, 4]", "class(4)[5]"), z, y)
    np.testing.assert_allclose(table, metrics.confusion_matrix(y.ravel(), z.argmax(-1).ravel(), normalize="all"))
