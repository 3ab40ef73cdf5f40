"""What a `let` can hold, and formulas of plain lists, which are computed when the spec is compiled."""

from __future__ import annotations

import re
from math import cos, pi
from pathlib import Path

import numpy as np
import pytest

import nnspec
from nnspec.compile import Compilation
from nnspec.diagnostics import Source
from nnspec.testing import run_tests
from nnspec.train.schedule import LearningRate

KINDS = """
let rule    = momentum
let curve   = exponential(0.5)
let narrow  = uniform(2, 3)
let linear  = 3
let falling = linear
model M {
  input  x: [4]
  target y: []
  param  W: [4, 4] ~ narrow
  param  V: [4, linear] ~ lecun_normal
  output z = x @ W @ V -> dense(1, init = narrow) -> squeeze
  loss   mse(z, y)
}
train {
  data      { x = [[1, 2, 3, 4]], y = [1] }
  epochs    1
  optimizer rule(lr = 0.1)
  schedule  curve
}
"""


def rules(net: nnspec.Net) -> tuple[str, str]:
    """The optimizer and the schedule."""
    (training,) = net.spec.trainings
    assert training.optimizer and training.schedule
    return training.optimizer.name, training.schedule.name


def test_a_let_can_be_an_init_an_optimizer_or_a_schedule() -> None:
    net = nnspec.loads(KINDS)
    assert all(net.params[n].min() >= 2 and net.params[n].max() < 3 for n in ("W", "dense.W"))
    assert rules(net) == ("momentum", "exponential")
    assert rules(nnspec.loads(KINDS, rule="adam", curve="cosine")) == ("adam", "cosine")


def test_a_let_can_be_the_file_of_a_source(tmp_path: Path) -> None:
    text = 'let file = "a.csv" model M { input x: [] output y = 2 * x loss y } train { data csv(file) epochs 1 optimizer sgd(1) }'
    (tmp_path / "net.nn").write_text(text)
    (tmp_path / "b.csv").write_text("x\n1\n2\n")
    for file in ('"b.csv"', "b.csv"):
        assert list(nnspec.load(tmp_path / "net.nn", file=file).dataset().train["x"]) == [1, 2]


@pytest.mark.parametrize("value", ["b.csv", "b", "relu", "2020-b.csv", "data/b.csv", "a b", "3", '"b.csv"'])
def test_a_setting_of_a_text_is_the_text(value: str) -> None:
    text = 'let file = "a.csv" model M { input x: [] output y = 2 * x loss y } train { data csv(file) epochs 1 optimizer sgd(1) }'
    assert Compilation(Source("spec.nn", text), {"file": value}).names[0].names["file"] == value.strip('"')


def test_a_setting_of_a_text_may_be_a_list_of_texts() -> None:
    spec = Compilation(Source("spec.nn", 'let columns = "a" model M { input x: [] output y = 2 * x }'), {"columns": '["a", "b"]'})
    assert spec.names[0].names["columns"] == ("a", "b")


@pytest.mark.parametrize(
    ("written", "last"),
    [
        ("cosine(warmup = 2)", 0.05 * (1 + cos(pi * 17 / 18))),
        ("cosine()", 0.05 * (1 + cos(pi * 19 / 20))),
        ("linear(final = 0.1)", 0.1 * (1 - 0.9 * 19 / 20)),
        ("linear(0.1)", 0.1 * (1 - 0.9 * 19 / 20)),
        ("constant()", 0.1),
        ("if 1 < 2 then linear(final = 0.1) else cosine", 0.1 * (1 - 0.9 * 19 / 20)),
    ],
)
def test_a_schedule_with_the_name_of_a_loss_layer_or_init_is_told_by_its_arguments(written: str, last: float) -> None:
    """In a `let`, in a setting, and in the train block itself; the last of 20 steps by hand."""
    model = "model M { input x: [1] output y = x -> dense(1) loss sum(y) }"
    train = "train { data { x = [[1]] } epochs 1 optimizer sgd(0.1) schedule"
    named = nnspec.loads(f"let rate = {written} {model} {train} rate }}")
    set_so = nnspec.loads(f"let rate = constant {model} {train} rate }}", rate=written)
    there = nnspec.loads(f"{model} {train} {written} }}")
    assert [LearningRate(net.spec, 1, 20)(0, 19) for net in (named, set_so, there)] == [pytest.approx(last)] * 3


def test_a_loss_in_a_let_stays_one() -> None:
    assert nnspec.loads("let n = cosine([1, 0], [0, 1]) model M { input x: [] output y = n * x }").spec.names[0].names["n"] == 1


def test_a_let_of_a_number_does_not_hide_the_schedule_of_its_name() -> None:
    text = KINDS.replace("schedule  curve", "schedule  linear(final = 0.1)")
    assert rules(nnspec.loads(text)) == ("momentum", "linear")


@pytest.mark.parametrize(
    ("rule", "messages"),
    [
        ("momentun", ["there is no `momentun` here"]),
        ("relu", ["the fn `relu` is not an optimizer"]),
        ("cosine", ["the fn `cosine` is not an optimizer"]),
        ("adam(1)", ["`rule` has its arguments already"]),
        ("3", ["3 is not an optimizer"]),
    ],
)
def test_a_let_that_is_no_optimizer_says_what_it_is(rule: str, messages: list[str]) -> None:
    assert [d.message for d in Compilation(Source("spec.nn", KINDS), {"rule": rule}).diagnostics] == messages


@pytest.mark.parametrize(
    ("value", "formula"), [(3, "optimizer rule"), ("relu", "optimizer rule"), ("0", "x -> dense(rule)"), (2.5, "rule(x)")]
)
def test_a_mistake_at_a_let_that_is_set_points_at_the_setting(value: object, formula: str) -> None:
    layer = formula if "optimizer" not in formula else "x -> dense(1)"
    rule = formula if "optimizer" in formula else "optimizer adam"
    text = f"let rule = adam model M {{ input x: [2] output y = {layer} loss sum(y) }} train {{ data {{ x = [[1, 2]] }} epochs 1 {rule} }}"
    [found] = Compilation(Source("spec.nn", text), {"rule": value}).diagnostics
    assert [(str(span), span.text) for span, _ in found.notes] == [("--set rule:1:1", str(value))]


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        ("range(0, 5) / 4", [0, 0.25, 0.5, 0.75, 1]),
        ("2 - [1, 2]", [1, 0]),
        ("cos(pi * range(0, 3))", [1, -1, 1]),
        ("[[1, 2], [3, 4]] * [5, 6]", [[5, 12], [15, 24]]),
        ("[[1], [2]] + [[3, 4]]", [[4, 5], [5, 6]]),
        ("-[1, 2]^2 % 3", [2, 2]),
        ("max([1, 5], [3, 4])", [3, 5]),
        ("[[1, 2, 3], [4, 5, 6], [7, 8, 9]][:, 0]", [1, 4, 7]),
        ("[[1, 2, 3], [4, 5, 6], [7, 8, 9]][1:, 1:]", [[5, 6], [8, 9]]),
        ("[[1, 2], [4, 5], [7, 8]][0:2, 1]", [2, 5]),
        ("if [0, 1, 1] == 1 then [4, 5, 6] else 0", [0, 5, 6]),
        ("if [[0, 1], [2, 3]] != 1 then 2 else [3, 4]", [[2, 4], [2, 2]]),
        ("if [1, 2] == [1, 2] then 1 else 0", 1),
        ("if [1, 2] != [1, 2] or [1, 2] == [1, 3] then 1 else 0", 0),
    ],
)
def test_a_formula_of_lists_is_computed_element_by_element(formula: str, expected: object) -> None:
    net = nnspec.loads(f"let a = {formula} model M {{ input x: [] output y = x + a }}")
    np.testing.assert_allclose(net(x=[0])["y"][0], expected, atol=1e-6)


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        ("(mask == 1) * x", [0, 6, 7]),
        ("(1 != mask) * x", [5, 0, 0]),
        ("(mask >= 1) * x", [0, 6, 7]),
        ("if x > 6 and mask == 1 then x else 0", [0, 0, 7]),
        ("if mask == 1 then x else -x", [-5, 6, 7]),
    ],
)
def test_a_list_is_compared_with_a_number_element_by_element(formula: str, expected: list[float]) -> None:
    net = nnspec.loads(f"let mask = [0, 1, 1] model M {{ input x: [3]  output y = {formula} }}")
    assert net(x=[[5, 6, 7]])["y"].tolist() == [expected]


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("expect mask >= 0", None),
        ("expect mask == 1", "this expectation does not hold"),
        ("expect mask * 2", "an expectation is true or false, not [0, 2]"),
        ("if mask == 1 { y = 2 * x }", "a condition is true or false, not [false, true]"),
        ("y = x -> positive(mask + 1)", None),
        ("y = x -> positive(mask)", "`positive` expects n > 0 and n != 7"),
    ],
)
def test_of_a_list_all_is_expected_and_it_is_no_condition(statement: str, message: str | None) -> None:
    layer = "layer positive(x, n) { expect n > 0 and n != 7  return x * n }"
    text = f"let mask = [0, 1] {layer} model M {{ input x: [2]  y = x  {statement}  output y }}"
    found = [d.message for d in Compilation(Source("spec.nn", text), {}).diagnostics]
    assert found == ([message] if message else [])


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        ("sum([1, 2, 1])", 4),
        ("mean([[1, 2], [4, 5]], axis = 0)", [2.5, 3.5]),
        ("[max([3, 7]), 1]", [7, 1]),
        ("argmax([3, 7, 5])", 1),
        ("cumsum([1, 2, 3])", [1, 3, 6]),
        ("reverse([1, 2, 3])", [3, 2, 1]),
        ("softmax([0, log(3)])[0]", 0.25),
        ("zeros(2)", [0, 0]),
        ("[[1, 2]] @ [[3], [4]]", [[11]]),
        ("scan e in [1, 2, 3] with h = 0 { h = h + e }", [1, 3, 6]),
        ("if sum([1, 2]) > 2 then 5 else 6", 5),
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_is_computed_of_numbers_alone_is_numbers(formula: str, expected: object, dtype: str) -> None:
    net = nnspec.loads(f"let a = {formula} model M {{ input x: []  loss x + sum(a)  output y = x + a }}", dtype=dtype)
    np.testing.assert_allclose(net(x=[0])["y"][0], expected, rtol=1e-7)
    assert net.gradients(x=[0])[0] == pytest.approx(np.sum(expected))


def test_a_computed_let_is_a_size_and_an_index_as_one_that_is_written() -> None:
    text = "let n = 0  let order = reverse([0, 1])  model M { input x: [2, 4]  output y = reshape(transpose(x, order)[n], [2, n - 2]) }"
    x = np.arange(8.0).reshape(1, 2, 4)
    np.testing.assert_array_equal(nnspec.loads(text, n="sum([1, 2])")(x=x)["y"], [[[3], [7]]])


@pytest.mark.parametrize("formula", ["random(3)", "[1, 2] -> dense(3)", "[1, sum(random(2))]", "sgd(lr = sum(random(2)))"])
def test_a_let_belongs_to_no_model(formula: str) -> None:
    text = f"let a = {formula}\nmodel M {{ input x: []  output y = x + a }}"
    (found,) = Compilation(Source("spec.nn", text), {}).diagnostics
    assert found.code == "E108" and found.span and found.span.text == formula


@pytest.mark.parametrize(
    ("formula", "code"), [("1 / sum([0, 0])", "E107"), ("log(min([0, -1]))", "E107"), ("sum(zeros(1000, 101))", "E502")]
)
def test_a_let_that_cannot_be_computed_is_pointed_at(formula: str, code: str) -> None:
    text = f"let a = {formula}\nmodel M {{ input x: []  output y = x + a }}"
    (found,) = Compilation(Source("spec.nn", text), {}).diagnostics
    assert found.code == code and found.span and found.span.text in formula


def test_settings_of_a_training_may_be_computed() -> None:
    spec = """
let rule = momentum(lr = mean([0.1, 0.3]), mu = 0.5)
schedule less(by) = lr / sum(by)
init spread(w) = w * random(shape)
model M {{ input x: [2]  param W: [1, 2] ~ spread({zero})  output y = x * W  loss mean((y - 1)^2) }}
train {{ data {{ x = [{one}] }}  steps {three}  batch 1  optimizer {rule}  schedule less({by})  penalty l2({half}) }}
"""
    computed = {
        "zero": "min([0, 1])",
        "one": "ones(2)",
        "three": "sum([1, 2])",
        "rule": "rule",
        "by": "cumsum([1, 1])",
        "half": "mean([0, 1])",
    }
    written = {"zero": "0", "one": "[1, 1]", "three": "3", "rule": "momentum(lr = 0.2, mu = 0.5)", "by": "[1, 2]", "half": "0.5"}
    nets = [nnspec.loads(spec.format(**words), dtype="float64") for words in (computed, written)]
    for net in nets:
        net.fit()
    w, v = np.zeros((1, 2)), np.zeros((1, 2))
    for _ in range(3):
        v = 0.5 * v - 0.2 / 3 * ((w - 1) + 0.5 * w)
        w = w + v
    np.testing.assert_array_equal(nets[0].params["W"], nets[1].params["W"])
    np.testing.assert_allclose(nets[0].params["W"], w)


@pytest.mark.parametrize("engine", ["numpy", "reference", "ort"])
def test_a_list_of_numbers_is_an_output(engine: str, tmp_path: Path) -> None:
    text = "let a = [[1, 2], [3, 4.5]] model M { input x: [2] output k = [1, 2], a, r = range(0, 3) / 2, y = 2 * x }"
    net = nnspec.loads(text, engine=engine)
    found = {name: value.tolist() for name, value in net(x=[[1, 2]]).items()}
    assert found == {"k": [1, 2], "a": [[1, 2], [3, 4.5]], "r": [0, 0.5, 1], "y": [[2, 4]]}
    net.export(tmp_path / "m.onnx")


OF_SIZES = {
    "[1, 2] * shape(x)[0]": [5, 10],
    "shape(x) * 2": [10, 6],
    "2 - shape(x)": [-3, -1],
    "shape(x) / 2": [2.5, 1.5],
    "[1.5, 2] * shape(x)[0]": [7.5, 10],
    "shape(x) % 2": [1, 1],
    "max([1, 8], shape(x)[0])": [5, 8],
    "[[1, 2], [3, shape(x)[0]]]": [[1, 2], [3, 5]],
    "if shape(x)[0] > [2, 9] then 1 else 0": [1, 0],
    "shape(reshape(x, [shape(x)[0], 3, 1] * [1, 1, 1]))": [5, 3, 1],
}


@pytest.mark.parametrize("engine", ["numpy", "reference", "ort"])
def test_a_list_beside_a_size_that_the_data_tell_is_computed_element_by_element(engine: str) -> None:
    outputs = ", ".join(f"y{i} = {formula}" for i, formula in enumerate(OF_SIZES))
    out = nnspec.loads(f"model M {{ input x: [T, 3]  output {outputs} }}", engine=engine)(x=np.zeros((1, 5, 3)))
    assert [value.tolist() for value in out.values()] == list(OF_SIZES.values())


def test_lists_that_do_not_fit_are_pointed_at() -> None:
    (d,) = Compilation(Source("spec.nn", "let a = [1, 2] + [1, 2, 3] model M { input x: [] output y = x + a }"), {}).diagnostics
    assert (d.code, d.message) == ("E201", "lists of 2 and 3 elements do not fit together")


def test_data_can_be_written_as_formulas() -> None:
    net = nnspec.loads("let i = range(0, 4) fn f(x) = x^2 " + KINDS.replace("{ x = [[1, 2, 3, 4]], y = [1] }", "{ x = [i / 2], y = [1] }"))
    np.testing.assert_allclose(net.dataset().train["x"], [[0, 0.5, 1, 1.5]])


@pytest.mark.parametrize(
    ("spec", "name", "help_"),
    [
        (
            "model Net(width = 12) { input x: [3]  output y = x -> dense(width) }",
            "width",
            "a parameter of the model `Net`; .* `let width = ..`",
        ),
        ("let depth = 2\nmodel Net(width = 12) { input x: [3]  output y = x -> dense(width) }", "dept", "did you mean `depth`"),
        ("let units = 2\nmodel Net { input x: [3]  output y = x -> dense(units) }", "rate", "it has units"),
        ("model Net { input x: [3]  output y = x -> dense(3) }", "width", "it has no `let` at all"),
    ],
)
def test_what_is_no_let_and_is_set_is_told_what_it_is(spec: str, name: str, help_: str) -> None:
    (found,) = Compilation(Source("net.nn", spec), {name: 3}).diagnostics
    assert found.code == "E101" and re.search(help_, found.help)
    assert not Compilation(Source("net.nn", spec), {}).diagnostics


def test_what_python_has_and_the_language_has_not_is_refused_as_a_setting() -> None:
    spec = "let a = 3  model M { input x: [2]  output y = x * a }"
    assert nnspec.loads(spec, a=np.array([1, 2]))(x=[[1, 1]])["y"].tolist() == [[1, 2]]
    for value, said in ((None, "None"), ({}, "a dict"), ([1, None], "None")):
        with pytest.raises(nnspec.SpecError, match=rf"E106.*a `let` is set to .*, not {said}"):
            nnspec.loads(spec, a=value)  # type: ignore[arg-type]


COMPUTED = """
let I = identity(2, 3)
layer shifted(x: [n], m) {
  param b: [n] = zeros(n) + 0.5
  param c: [m] = range(0, m) / 2
  return x * sum(c) + b
}
model M {
  input  x: [4]
  target y: []
  state  s: [4] = ones(4) * 0.25
  param  v: [6, 6] = 1 - identity(6, 6)
  output o = sum(x + s) + sum(v) + sum(I) + sum(x -> shifted(3) -> shifted(2))
  loss   (o - y)^2
}
test "given by formulas" of M { given x = range(0, 4) / 2  expect x == [0, 0.5, 1, 1.5] }
"""


def test_a_parameter_starts_with_what_is_computed_from_numbers() -> None:
    net = nnspec.loads(COMPUTED)
    starts = {
        "v": 1 - np.eye(6), "shifted.b": np.full(4, 0.5), "shifted.c": np.arange(3) / 2, "shifted_2.c": np.arange(2) / 2,
        "shifted_2.b": np.full(4, 0.5),
    }  # fmt: skip
    assert all(np.array_equal(net.params[name], start) for name, start in starts.items())
    assert all(op not in net.spec.graph[name].op.name for name in net.spec.graph.nodes for op in ("range", "expand"))
    assert [o.failures for o in run_tests(net.spec)] == [()]


@pytest.mark.parametrize("value", ["random([4])", "x", "ones(4) * x"])
def test_a_parameter_starts_with_nothing_that_is_fed_or_drawn(value: str) -> None:
    (d,) = Compilation(Source("net.nn", f"model M {{ input x: [4]  param w: [4] = {value}  output o = w * x }}"), {}).diagnostics
    assert d.code == "E106" and "computed from such alone" in d.help and d.span and d.span.text == value


@pytest.mark.parametrize("start", ["normal(0, 1) * 0.01", "0.01 * normal(0, 1)", "-normal", "2 * uniform(0, 1) - 1"])
def test_an_init_in_a_formula_says_how_it_is_spread(start: str) -> None:
    (d,) = Compilation(Source("net.nn", f"model M {{ input x: [2]  param W: [2, 1] ~ {start}  output o = x @ W }}"), {}).diagnostics
    assert d.code == "E106" and "`normal(0, 0.01)`" in d.help and d.span and d.span.text == start
    text = "init mine = sqrt(6 / (fan_in + fan_out)) * uniform(-1, 1)\nmodel M { input x: [2]  param W: [2, 1] ~ mine  output o = x @ W }"
    (d,) = Compilation(Source("net.nn", text), {}).diagnostics
    assert "`uniform(-a, a)`" in d.help and d.span and d.span.text == "uniform(-1, 1)"
