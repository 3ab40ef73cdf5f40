"""Which output says which target, and what is made of it: labels beside predictions, and pictures of mistakes."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import numpy as np
import pytest
from helpers import run

import nnspec
from nnspec.elaborate.answers import Answer

HEADS = """
  input  x: [2]
  target a: class(3)
  target b: class(3)
  h = x -> dense(4) -> tanh
  u = h -> dense(3) as first
  v = h -> dense(3) as second
"""


def said(lines: str) -> dict[str, Answer]:
    return dict(nnspec.loads(f"model M {{\n{lines}\n}}").spec.answers)


@pytest.mark.parametrize("judged", [
    "loss cross_entropy(u, b)",
    "loss cross_entropy(u, b, smoothing = 0.1)",
    "loss cross_entropy(u, b, weights = [1, 2, 5])",
    "loss nll(log(softmax(u)), b)",
    "loss -sum(one_hot(b, 3) * log(softmax(u)))",
    "loss mse(softmax(u), one_hot(b, 3))",
    "loss -pick(u - log(sum(exp(u - max(u)), keep = true)) - max(u), b)",
    "metric accuracy(u, b)",
    "metric top_k(u, b, k = 2)",
    "metric f1(softmax(u), b)",
    "metric confusion(u, b)",
    "metric perplexity(u, b)",
])  # fmt: skip
@pytest.mark.parametrize("output", ["u", "p = softmax(u)", "p = log_softmax(u)", "p = softmax(u / 2)", "p = exp(u) / sum(exp(u))"])
def test_an_output_says_the_target_that_its_scores_are_compared_with(judged: str, output: str) -> None:
    found = said(f"{HEADS} output v, {output}\n {judged}")
    assert found == {output.split(maxsplit=1)[0]: Answer("b")}


def test_each_of_two_targets_of_one_size_has_its_output() -> None:
    heads = "output p = softmax(v), q = softmax(u), r = h -> dense(3)\n loss l = cross_entropy(u, a)\n loss m = cross_entropy(v, b)"
    assert said(HEADS + heads) == {"p": Answer("b"), "q": Answer("a")}


@pytest.mark.parametrize("lines", [
    "output u  loss cross_entropy(-u, a)",
    "output u  loss cross_entropy(-0.5 * u, a)",
    "output p = 1 - softmax(u)  loss cross_entropy(u, a)",
    "output u  loss l = cross_entropy(u, a)  loss m = cross_entropy(u, b)",
    "output u  loss cross_entropy(u -> dense(3), a)",
    "output u  loss cross_entropy(u * v, a)",
    "output h  loss cross_entropy(u, a)",
    "output v  loss cross_entropy(concat(v, one_hot(a, 3)) -> dense(3), b)",
    "output u  loss mse(u, x[0])",
])  # fmt: skip
def test_what_nothing_ties_to_one_target_says_none(lines: str) -> None:
    assert said(HEADS + lines) == {}


def test_parts_of_one_layer_are_told_apart() -> None:
    lines = "z = h -> dense(6)\n output p = softmax(z[:3]), q = softmax(z[3:])\n loss l = cross_entropy(z[3:], a)\n loss m = nll(log(p), b)"
    assert said(HEADS + lines) == {"p": Answer("b"), "q": Answer("a")}


@pytest.mark.parametrize(("lines", "answer"), [
    ("output p = x -> logistic  loss bce(p, y)", Answer("y", 0.5)),
    ("output p = x -> dense(1) -> sigmoid -> squeeze  loss mse(p, y)", Answer("y", 0.5)),
    ("z = x -> dense(1) -> squeeze  output p = sigmoid(z)  loss bce_logits(z, y)", Answer("y", 0.5)),
    ("output p = x -> dense(1) -> squeeze  loss bce_logits(p, y)", Answer("y", 0.0)),
    ("z = x -> dense(1)  output p = z -> squeeze  loss bce(sigmoid(p), y)", Answer("y", 0.0)),
    ("output p = x -> logistic  loss if y == 1 then -log(p) else -log(1 - p)", Answer("y", 0.5)),
    ("output p = x -> logistic  metric auc(p, y)", Answer("y", 0.5)),
    ("output p = x -> logistic  loss hinge(p, 2 * y - 1)", Answer("y", 0.5)),
    ("output p = x -> dense(1) -> squeeze  loss mse(p, y)", None),  # of which no number is the border of the classes
    ("output p = x -> logistic  q = x -> logistic  loss bce(q, y)", None),
    ("p = x -> logistic  output n = 1 - p  loss bce(p, y)", None),
])  # fmt: skip
def test_one_number_says_the_second_of_two_classes_above_a_threshold(lines: str, answer: Answer | None) -> None:
    found = said(f"input x: [2]\n target y: class(2)\n {lines}")
    assert found == ({"p": answer} if answer else {})


TABLE = 'data csv("t.csv", x = [x_0, x_1])  test 0.2  epochs 60  batch 16  optimizer adam(lr = 0.05)'
TWO = """
model Two {
  input  x: [2]
  target color: class(3)
  target size: class(3)
  target warm: class(2)
  h = x -> dense(16) -> relu
  c = h -> dense(3)
  s = h -> dense(3)
  output code = h -> dense(3), sizes = softmax(s), colors = softmax(c)
  output glow = h -> logistic
  loss of_color = cross_entropy(c, color)
  loss of_size = cross_entropy(s, size)
  loss of_warm = bce(glow, warm)
  loss small = 0.01 * sum(code^2)
}
train { %s }
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on three clusters, of which each has its colour and its size, and one is warm."""
    folder, rng = tmp_path_factory.mktemp("two"), np.random.default_rng(0)
    kind = rng.integers(0, 3, 150)
    at = np.array([[0, 0], [4, 0], [0, 4]])[kind] + 0.3 * rng.standard_normal((150, 2))
    names = [("blue", "small", "no"), ("red", "large", "yes"), ("green", "middle", "no")]
    rows = [(*xy, *names[k]) for xy, k in zip(at, kind, strict=True)]
    with (folder / "t.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("x_0", "x_1", "color", "size", "warm"), *rows])
    (folder / "two.nn").write_text(TWO % TABLE)
    done = run("train", "two.nn", "--run", "r", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize("model", ["r", "r/model.onnx"])
def test_labels_of_predictions_come_from_the_output_of_their_target(trained: Path, tmp_path: Path, model: str) -> None:
    out = tmp_path / "p.csv"
    done = run("predict", model, "--data", "t.csv", "-o", str(out), cwd=trained)
    assert done.returncode == 0, done.stderr
    predicted, table = ([*csv.DictReader(path.open())] for path in (out, trained / "t.csv"))
    probs = ["sizes_large", "sizes_middle", "sizes_small", "colors_blue", "colors_green", "colors_red"]
    assert [*predicted[0]] == ["code_0", "code_1", "code_2", *probs, "glow", "size", "color", "warm"]
    for target in ("color", "size", "warm"):
        assert np.mean([p[target] == t[target] for p, t in zip(predicted, table, strict=True)]) > 0.95
    assert all((float(p["glow"]) > 0.5) == (p["warm"] == "yes") for p in predicted)


def test_each_target_has_its_confusion_matrix(trained: Path) -> None:
    for target in ("color", "size", "warm"):
        assert f"{target}: 30 of 30 right" in (trained / "r" / f"confusion.{target}.svg").read_text("utf-8")
    assert not (trained / "r" / "confusion.svg").exists()


def test_a_binary_classifier_has_its_confusion_matrix(tmp_path: Path) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    x = np.random.default_rng(1).standard_normal(200)
    y = (x + np.random.default_rng(2).standard_normal(200) > 0).astype(int)
    rows = "".join(f"{v},{('no', 'yes')[k]}\n" for v, k in zip(x, y, strict=True))
    (tmp_path / "t.csv").write_text(f"x,y\n{rows}")
    text = "model B { input x: []  target y: class(2)  output z = stack(x) -> dense(1)  loss bce_logits(z -> squeeze, y) }\n"
    (tmp_path / "b.nn").write_text(text + 'train { data csv("t.csv")  test csv("t.csv")  epochs 10  optimizer adam(lr = 0.1) }')
    assert (done := run("train", "b.nn", "--run", "r", cwd=tmp_path)).returncode == 0, done.stderr
    predicted = nnspec.open(tmp_path / "r").predict({"x": x})["z"][:, 0] > 0
    picture = (tmp_path / "r" / "confusion.svg").read_text("utf-8")
    found = [int(number) for number in re.findall(r'font-size="11">(\d+)<', picture)]
    assert len(found) == 4 and found == metrics.confusion_matrix(y, predicted).ravel().tolist()


def test_an_exported_value_keeps_its_classes_and_a_model_that_says_nothing_has_none(tmp_path: Path) -> None:
    net = nnspec.loads(f"model M {{ {HEADS} output q = softmax(u), v  loss cross_entropy(u, b) }}")
    net.labels = {"b": ["x", "y", "z"]}
    net.export(tmp_path / "m.onnx")
    net.export(tmp_path / "u.onnx", outputs=["u", "v"])
    assert nnspec.load(tmp_path / "m.onnx").spec.answers == {"q": Answer("b")}
    assert nnspec.load(tmp_path / "u.onnx").spec.answers == {"u": Answer("b")}


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_predictions_need_no_column_that_only_a_loss_reads(tmp_path: Path, suffix: str) -> None:
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame({"a": [0.5, 1.5, -1.0], "b": [1.0, 2.0, 3.0], "w": [1.0, 2.0, 1.0], "y": [0, 1, 0]})
    text = "model M { input x: [2]  input w: []  target y: class(2)  output z = x -> dense(2)  loss w * cross_entropy(z, y) }\n"
    net = nnspec.loads(text + 'train { data csv("t.csv", x = [a, b])  epochs 1  optimizer sgd(lr = 0.1) }')
    net.save(tmp_path / "r")
    rest = table[["a", "b"]]
    rest.to_csv(tmp_path / "rest.csv", index=False) if suffix == "csv" else rest.to_parquet(tmp_path / "rest.parquet")
    done = run("predict", "r", "--data", f"rest.{suffix}", "-o", f"o.{suffix}", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    out = getattr(pandas, f"read_{suffix}")(tmp_path / f"o.{suffix}")
    np.testing.assert_allclose(out.to_numpy(), net.predict({"x": rest.to_numpy()})["z"], rtol=1e-5)
