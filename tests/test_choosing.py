"""Elements and rows by their number: `pick`, `take` and indices, of what each example has and of what is the same for all."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pytest
import torch
from helpers import distance, refused, run
from pyarrow import parquet
from torch.nn import functional as F

import nnspec
from nnspec import SpecError
from nnspec.interchange.numbered import NUMBERED
from nnspec.interchange.to_onnx import to_onnx
from nnspec.run import planned

ENGINES = ("numpy", "reference", "ort")
CLASSES = np.array([0, 3, 1])


# ---- of what is the same for all examples

ROW = torch.tensor([1.0, 2.0, 4.0, 3.0])
COMMON = {
    "cross_entropy(b, y)": F.cross_entropy,
    "nll(log_softmax(b), y)": F.cross_entropy,
    "-log(pick(softmax(b), y))": F.cross_entropy,
    "-log(pick(sigmoid(b), y))": lambda b, y: -F.logsigmoid(b.gather(1, y[:, None])[:, 0]).mean(),
    "-pick([1, 2, 5, 7], y) * pick(log_softmax(b), y)": lambda b, y: F.cross_entropy(
        b, y, torch.tensor([1.0, 2, 5, 7]), reduction="none"
    ).mean(),
}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("loss", COMMON)
def test_a_class_of_each_example_picks_from_values_that_all_have(loss: str, engine: str) -> None:
    b = ROW.clone().requires_grad_()
    expected = COMMON[loss](b.expand(3, 4), torch.tensor(CLASSES))
    expected.backward()
    text = f"model M {{ target y: class(4)  param b: [4] = {ROW.tolist()}  output b  loss {loss} }}"
    value, gradients = nnspec.loads(text, engine=engine).gradients(y=CLASSES)
    assert value == pytest.approx(expected.item(), rel=1e-6) and distance(gradients["b"], b.grad) < 1e-6


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("classes", ["[1, 0]", "round([1.2, -0.3])", "[2 / 2, 0]"])
def test_classes_that_are_written_down_are_picked(classes: str, engine: str) -> None:
    net = nnspec.loads(
        f"model M {{ input x: [2, 3]  output l = cross_entropy(x, {classes}), p = pick(x, {classes}), h = one_hot({classes}, 3) }}",
        engine=engine,
    )
    x, y = torch.randn(4, 2, 3, generator=torch.Generator().manual_seed(0)), torch.tensor([1, 0])
    found = net(x=x.numpy())
    assert distance(found["l"], F.cross_entropy(x.reshape(-1, 3), y.repeat(4), reduction="none").reshape(4, 2)) < 1e-6
    assert distance(found["p"], x[:, [0, 1], [1, 0]]) == 0 and distance(found["h"], F.one_hot(y, 3)) == 0


@pytest.mark.parametrize(
    ("classes", "said"), [("[1, 3]", "there is no element 3"), ("[-1, 0]", "no element -1"), ("[0.5, 0]", "a class number")]
)
def test_classes_that_are_written_down_are_there(classes: str, said: str) -> None:
    assert said in refused(f"input x: [2, 3]  output p = pick(x, {classes})")


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("input i: class(3)[2]  param b: [2, 3] = [[1, 2, 3], [4, 5, 6]]  output u = pick(b, i)", [[1, 6], [3, 5]]),
        ("input x: [2, 3]  param b: [2, 3] = [[7, 2, 3], [4, 5, 6]]  output u = pick(x, argmax(b))", [[0, 5], [6, 11]]),
        ("input i: class(3)[2]  output u = pick([1, 2, 3], i[1])", [3, 2]),
    ],
)
def test_what_has_no_batch_is_the_same_for_each_example(model: str, expected: list[Any], engine: str) -> None:
    net = nnspec.loads(f"model M {{ {model} }}", engine=engine).init(0)
    feeds = {"i": [[0, 2], [2, 1]], "x": np.arange(12.0).reshape(2, 2, 3)}
    assert net(**{name: feeds[name] for name in net.inputs})["u"].tolist() == expected


def test_the_loss_of_an_answer_that_is_the_same_for_all_does_not_overflow() -> None:
    net = nnspec.loads("model M { target y: class(2)  param b: [2] = [300, 0]  output b  loss -log(pick(softmax(b), y)) }").init(0)
    value, gradients = net.gradients(y=[1])
    assert value == 300 and gradients["b"].tolist() == [1, -1]


# ---- classes stay classes

VIEWS = [
    "tags[0]",
    "tags[1:][0]",
    "reverse(tags)[0]",
    "reshape(tags, [1, 2])[0, 1]",
    "concat(tags, tags)[0]",
    "take(tags, 1)",
    "(tags -> flatten)[0]",
]


@pytest.mark.parametrize("view", VIEWS)
def test_one_of_a_sequence_of_classes_knows_how_many_there_are(view: str) -> None:
    wrong = refused(f"input x: [3]  target tags: class(4)[2]  output x  loss cross_entropy(x, {view})")
    assert "a class(4) needs 4 values, one for each class, not 3" in wrong
    net = nnspec.loads(f"model M {{ input tags: class(4)[2]  output code = one_hot({view}) }}")
    assert net(tags=[[2, 2]])["code"].tolist() == [[0, 0, 1, 0]]


def test_what_is_computed_of_classes_is_none() -> None:
    assert re.search("E103.*missing `size`", refused("input tags: class(4)[2]  output code = one_hot(tags[0] + 1)"))


# ---- the same rows of every example


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("rows", [[0, 2, 2], [[1, 0], [2, 1]], 1])
def test_rows_of_every_example_are_taken_whatever_the_others_hold(rows: list[Any], engine: str) -> None:
    text = f"model M {{ input x: [3, 2]  input tags: class(4)[3]  output y = take(log(x), {rows}), of = take(tags, {rows}) }}"
    x, tags = np.arange(12.0).reshape(2, 3, 2), np.array([[1, 2, 3], [3, 0, 1]])
    found = nnspec.loads(text, engine=engine)(x=x, tags=tags)
    np.testing.assert_allclose(np.exp(found["y"]), x[:, rows], rtol=1e-6)
    np.testing.assert_array_equal(found["of"], tags[:, rows])


def test_rows_of_every_example_have_the_same_gradient_in_parts_of_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planned, "pays", lambda *_: True)
    text = "model M { input x: [3, 2]  param W: [2] = [1, 2]  z = take(x * W, [2, 0, 2])  output z  loss sum(z^3) }"
    x = np.random.default_rng(0).random((5, 3, 2))
    value, gradients = nnspec.loads(text, dtype="float64", engine="numpy", threads=2).gradients(x=x)
    w = torch.tensor([1.0, 2], dtype=torch.float64, requires_grad=True)
    expected = ((torch.tensor(x) * w)[:, [2, 0, 2]] ** 3).sum((1, 2)).mean()
    expected.backward()
    assert value == pytest.approx(expected.item()) and distance(gradients["W"], w.grad) < 1e-12


@pytest.mark.parametrize("engine", ENGINES)
def test_each_example_takes_numbers_of_its_own_whatever_the_others_are(engine: str) -> None:
    text = (
        "model M { input x: [T]  input tags: class(4)[T]  input i: int[2]  param s: [] = 1"
        "  output y = take(log(x), i), of = take(tags, i), one = take(x, i[0])  loss sum(take(s * x, i)^2) }"
    )
    x, i, tags = np.array([[0.0, 1, 2], [3, 0, 5]]), np.array([[2, 1], [2, 2]]), np.array([[1, 2, 3], [3, 0, 1]])
    net = nnspec.loads(text, engine=engine).init(0)
    found, (loss, gradients) = dict(net(x=x, tags=tags, i=i)), net.gradients(x=x, tags=tags, i=i)
    np.testing.assert_allclose(found["y"], np.log([[2, 1], [5, 5]]), rtol=1e-6)
    assert (found["of"].tolist(), found["one"].tolist()) == ([[3, 2], [1, 1]], [2, 5])
    assert (loss, gradients["s"]) == (27.5, 55)


# ---- numbers that are computed


@pytest.mark.parametrize("engine", ENGINES)
def test_rows_are_taken_by_numbers_that_are_computed(engine: str) -> None:
    text = (
        "model M { input a: class(4)[2]  input x: []  param W: [4, 1] = [[10], [20], [30], [40]]"
        "  output joined = take(W, concat([3], a)), rounded = take(W, floor(x * 4)), code = one_hot(round(x), 2) }"
    )
    found = nnspec.loads(text, engine=engine).init(0)(a=[[0, 1]], x=[0.7])
    assert found["joined"].tolist() == [[[40], [10], [20]]]
    assert (found["rounded"].tolist(), found["code"].tolist()) == ([[30]], [[0, 1]])


def test_whole_numbers_beside_fractions_in_a_list_become_fractions() -> None:
    found = nnspec.loads("model M { input a: int[2]  output y = a + [0.5, 1], z = concat([0.5], a), w = a + [1, 2] }")(a=[[1, 2]])
    assert (found["y"].tolist(), found["z"].tolist(), found["w"].tolist()) == ([[1.5, 3]], [[0.5, 1, 2]], [[2, 4]])


def test_what_is_no_whole_number_numbers_nothing() -> None:
    message = refused("input x: [3]  param W: [4] = 1  output y = take(W, x * 3)")
    assert re.search(r"E106.*expected a class number, got \[3\].*`round\(x \* 3\)` makes whole numbers", message, re.S)


@pytest.mark.parametrize(
    ("formula", "words"),
    [("W[i]", "this is class(3)"), ("[7, 8, 9][i]", "this is class(3)"), ("x[0, x]", "this is [2, 3]")],
)
def test_an_index_that_is_computed_is_told_of_take_and_pick(formula: str, words: str) -> None:
    message = refused(f"input i: class(3)  input x: [2, 3]  param W: [3, 2] = 1  output y = {formula}")
    assert re.search("E205.*an index is known when the spec is compiled, and .*`take.*`pick", message, re.S) and words in message


# ---- numbers that number nothing

ABSENT = {"take(W, i + 2)": "row", "pick(W + x, i + 2)": "element", "one_hot(i + 2, 5)": "class"}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("formula", ABSENT)
def test_a_computed_number_that_is_none_of_those_there_is_an_error_at_its_place(formula: str, dtype: str, engine: str) -> None:
    text = f"model M {{ input i: int[]  input x: []  param W: [5] = [1, 2, 3, 4, 5]\n  output y = max({formula}) + 0 * W[0] }}"
    net = nnspec.loads(text, engine=engine, dtype=dtype).init(0)
    assert net(i=[-2, 2], x=[0, 0])["y"].tolist() == ([1, 1] if "one_hot" in formula else [1, 5])
    for number, there_is in ((3, 5), (-3, -1), (-20, -18)):
        with pytest.raises(SpecError) as error:
            net(i=[0, number], x=[0, 0])
        (found,) = error.value.diagnostics
        assert (found.code, found.message) == ("E205", f"there is no {ABSENT[formula]} {there_is}: there are 5, numbered from 0")
        assert found.span and found.span.text == formula


@pytest.mark.parametrize("engine", ENGINES)
def test_an_absent_number_in_a_step_of_a_loop_is_found(engine: str) -> None:
    text = (
        "model M { input i: int[T]  param W: [3] = 1\n  hs = scan j in i with h = 0 { h = h + take(W, round(h + j)) }\n"
        "  output y = hs[-1]  loss y }"
    )
    net = nnspec.loads(text, engine=engine).init(0)
    with pytest.raises(SpecError, match=r"there is no row -1: there are 3(?s:.*)2:41"):
        net.gradients(i=[[0, -2, 0]])


@pytest.mark.parametrize("engine", ENGINES)
def test_a_step_with_an_absent_number_leaves_the_weights_as_they_were(engine: str) -> None:
    text = "model M { input i: int[]  param W: [3] = 1  output y = take(W, i)  loss y^2 } train { epochs 1  optimizer sgd(lr = 0.25) }"
    net = nnspec.loads(text, engine=engine).init(0)
    net.step(i=[0])
    with pytest.raises(SpecError, match="no row -1"):
        net.step(i=[-1])
    net.step(i=[1])
    assert net.params["W"].tolist() == [0.5, 0.5, 1]


def test_only_numbers_that_are_no_classes_are_looked_at_in_onnxruntime() -> None:
    def operators(type: str) -> list[str]:
        graph = nnspec.loads(f"model M {{ input i: {type}  param W: [5] = 1  output y = take(W, i) }}").spec.inference
        return [n.op_type for n in to_onnx(graph, None, forms=NUMBERED).graph.node]

    assert operators("class(5)") == ["Gather"] and operators("int[]") == ["Less", "Where", "Gather"]


@pytest.mark.parametrize("command", ["train", "train --engine ort", "trace", "gradcheck", "derive W"])
def test_a_command_says_where_a_number_is_computed_that_numbers_nothing(command: str, tmp_path: Path) -> None:
    name, *rest = command.split()
    (tmp_path / "c.nn").write_text(
        "model C {\n  input a: class(4)\n  target y: []\n  param W: [5] = 1\n  z = take(W, a + 20)\n  output z\n  loss (z - y)^2\n}\n"
        "train { data { a = [1, 3], y = [1, 2] }  epochs 1  optimizer sgd(lr = 0.1) }\n"
    )
    done = run(name, str(tmp_path / "c.nn"), *rest, cwd=tmp_path)
    assert done.returncode == 1 and re.search(r"E205\]: there is no row 2\d: there are 5, .*c\.nn:5:7", done.stderr, re.S)


def test_rows_that_are_streamed_say_where_a_number_numbers_nothing(tmp_path: Path) -> None:
    (tmp_path / "r.nn").write_text(
        "model R {\n  input b: int[2]\n  target y: []\n  param W: [5] = 1\n  z = sum(take(W, b))\n  output z\n  loss (z - y)^2\n}\n"
        "train { data { b = [[1, 3]], y = [1] }  epochs 1  optimizer sgd(lr = 0.1) }\n"
    )
    parquet.write_table(pyarrow.table({"b_0": [0], "b_1": [7]}), tmp_path / "rows.parquet")
    assert run("train", "r.nn", cwd=tmp_path).returncode == 0
    done = run("predict", "runs/r-1", "--data", "rows.parquet", "-o", "out.parquet", cwd=tmp_path)
    assert done.returncode == 1 and re.search(r"E205\]: there is no row 7: .*spec\.nn:5:11", done.stderr, re.S)


@pytest.mark.parametrize("engine", ["reference", "numpy", "ort"])
def test_written_numbers_are_of_rows_whose_count_is_known_at_run_time(engine: str) -> None:
    net = nnspec.loads("model M { input x: [T, 3]  param w: [3] = 1  a = take(w * x, [1, 0, 1])  output a  loss mean(a^2) }", engine=engine)
    x = np.arange(12.0).reshape(2, 2, 3)
    assert np.array_equal(net(x=x)["a"], x[:, [1, 0, 1]])
    np.testing.assert_allclose(net.gradients(x=x)[1]["w"], 2 * np.mean(x[:, [1, 0, 1]] ** 2, axis=(0, 1)) / 3, rtol=1e-6)
    with pytest.raises(SpecError, match="there is no row 1: there are 1"):
        net(x=x[:, :1])
