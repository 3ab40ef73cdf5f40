"""Sizes that do not fit: each message says which, and where both come from."""

from __future__ import annotations

import pytest
from mistakes import Mistake, check, diagnostics, image, model


def logit(line: str) -> str:
    """One number for two classes, as logistic regression has it."""
    return model("target y: class(2)", "z = x -> dense(1) -> squeeze", "output p = sigmoid(z)", line, "loss bce_logits(z, y)")


IMAGE = "an image is [channels, height, width]"
MISTAKES = {
    "elementwise": Mistake(model("output y = x + [1, 2, 3]"), "E201", 3, "x + [1, 2, 3]", "shapes [4] and [3] do not fit together"),
    "a vector where an image is due": Mistake(
        model("output y = x -> conv(8, 3)"), "E202", 3, "conv(8, 3)", "an image is [channels, height, width], not [4]",
        "a volume or a signal",
    ),
    "too few logits": Mistake(
        model("target y: class(5)", "z = x -> dense(3)", "output z", "loss cross_entropy(z, y)"), "E202", 6, "cross_entropy(z, y)",
        "a class(5) needs 5 values, one for each class, not 3", "did you mean `dense(5)`?",
    ),
    "an image that is not flattened": Mistake(
        image("dense(9) -> relu -> dense(5)\n  target t: class(5)\n  loss cross_entropy(y, t)"), "E202", 5, "cross_entropy(y, t)",
        "cannot pick by class(5) from [1, 8, 5]", "`-> flatten` before `dense(9)`",
    ),
    "an image that is not flattened beside a vector": Mistake(
        image("conv(2, 3) -> dense(9)\n  z = y - [1, 2]"), "E201", 4, "y - [1, 2]", "do not fit", "`-> flatten` before `dense(9)`"
    ),
    "an image times a matrix": Mistake(
        "model M {\n  input i: [1, 8, 8]\n  param W: [64, 5] ~ he_normal\n  output y = i @ W\n}",
        "E203", 4, "i @ W", "no matrix product", "did you mean `flatten(i)`",
    ),
    "every step of a sequence": Mistake(
        "model M {\n  input s: [T, 8]\n  target y: class(5)\n  z = s -> gru(9) -> dense(5)\n  output z\n  loss cross_entropy(z, y)\n}",
        "E202", 6, "cross_entropy(z, y)", "cannot pick by class(5) from [T, 5]", "`(x -> gru(9))[-1]` is the last step",
    ),
    "a row beside its image": Mistake(
        image("flatten -> dense(64)\n  loss mse(y, image)"), "E201", 4, "mse(y, image)", "shapes [64] and [1, 8, 8] do not fit",
        "both have 64 numbers: `-> flatten` makes one row of [1, 8, 8]",
    ),
    "an image with its channels last": Mistake(
        "model M {\n  input photo: [28, 28, 1]\n  output y = photo -> conv(8, 3, pad = same) -> maxpool(2)\n}", "E206", 3, "2",
        "the kernel reaches over 2, the image has 1", "`photo: [28, 28, 1]` has its channels last, and [1, 28, 28] has them first",
    ),
    "W x": Mistake(
        model("param W: [3, 4] ~ he_normal", "output y = W @ x"), "E203", 4, "W @ x", "no matrix product", "`x @ transpose(W)`"
    ),
    "W x, with its rows as many as x has numbers": Mistake(
        model("param W: [4, 3] ~ he_normal", "output y = W @ x"), "E203", 4, "W @ x", "no matrix product", "did you mean `x @ W`?"
    ),
    "a turned W x": Mistake(
        model("param W: [4, 4] ~ he_normal", "output y = transpose(W) @ x"), "E203", 4, "transpose(W) @ x", "no matrix product", "`x @ W`"
    ),
    "a vector by a vector": Mistake(
        model("param w: [4] ~ normal(0, 1)", "output y = x @ w"), "E203", 4, "x @ w", "no matrix product",
        "the product of two vectors is a sum: `sum(x * w)`",
    ),
    "channels before units": Mistake(
        image("maxpool(2) -> conv(6, 16, 5)"), "E206", 3, "16", "the kernel reaches over 16, the image has 4",
        "16 units and a kernel of 5 are `conv(16, 5)`",
    ),
    "a kernel and a stride that are meant": Mistake(
        image("maxpool(2) -> conv(16, 5, 2)"), "E206", 3, "5", "the kernel reaches over 5, the image has 4", "`pad` adds to it"
    ),
    "the numbers of a shape": Mistake(
        model("output y = x -> reshape(2, 2)"), "E104", 3, "2", "`reshape` takes at most 2 arguments", "`shape` is a list: `[2, 2]`"
    ),
    "a vector as a column": Mistake(
        model("param w: [4] ~ normal(0, 1)", "output y = x @ transpose(w)"), "E205", 4, "transpose(w)",
        "a vector, [4], has no two axes to swap", "`sum(a * b)` is the product of two vectors; as a column it is [4, 1]",
    ),
    "a number as a column": Mistake(model("output y = transpose(x[0])"), "E205", 3, "transpose(x[0])", "one number has no axes to swap"),
    "a weight with its rows for its columns": Mistake(
        model("param W: [3, 4] ~ he_normal", "output y = x @ W"), "E203", 4, "x @ W", "no matrix product", "`x @ transpose(W)`?"
    ),
    "a tied weight": Mistake(
        model("h = x -> dense(3) as e", "output y = h @ e.W"), "E203", 4, "h @ e.W", "no matrix product", "`h @ transpose(e.W)`?"
    ),
    "queries and keys": Mistake(
        "model M {\n  input s: [5, 4]\n  output y = s @ s\n}", "E203", 3, "s @ s", "no matrix product", "`s @ transpose(s)`?"
    ),
    "a product whose leading axes differ": Mistake(
        "model M {\n  input x: [3, 4, 3]\n  param P: [2, 3, 2] ~ normal(0, 1)\n  output o = x @ P\n}", "E203", 4, "x @ P",
        "no matrix product",
    ),
    "a product whose leading axes differ at run time": Mistake(
        "model M {\n  input x: [N, 4, 3]\n  input z: [2, 3, 2]\n  output o = x @ z\n}", "E203", 4, "x @ z", "no matrix product"
    ),
    "a largest over an axis without its name": Mistake(
        model("output y = max(x, 0, keep = true)"), "E104", 3, "true", "`max` of two values goes element by element, and has no `keep`",
        "`axis = 0`",
    ),
    "a smallest of two over an axis": Mistake(
        model("output y = min(x, 2 * x, axis = 0)"), "E104", 3, "0", "`min` of two values goes element by element, and has no `axis`"
    ),
    "an order that names an axis twice": Mistake(
        "model M {\n  input x: [3, 4]\n  output y = transpose(x, [1, -1])\n}", "E205", 3, "transpose(x, [1, -1])",
        "[1, -1] is not an order of the axes of [3, 4]",
    ),
    "an order with what is no axis": Mistake(
        "model M {\n  input x: [3, 4]\n  output y = transpose(x, [x, 1])\n}", "E205", 3, "transpose(x, [x, 1])",
        "is not an order of the axes of [3, 4]",
    ),
    "a list cut by a size of the data": Mistake(
        "model M {\n  input x: [T]\n  output y = x + [1, 2, 3][:T]\n}", "E205", 3, ":T", "numbers that are written out are not cut by `:T`",
        "a parameter or an input can be cut by it",
    ),
    "a vector along an axis that is none": Mistake(
        "model M {\n  input x: [3, 4]\n  output y = x * along([1, 2, 3], x, axis = 2)\n}", "E205", 3, "2", "there is no axis 2",
        "-1 is the last",
    ),
    "a condition and the first side of it": Mistake(
        "model M {\n  input x: [3]\n  input z: [2]\n  output y = if x > 0 then z else 0\n}", "E201", 4, "if x > 0 then z else 0",
        "shapes [3] and [2] do not fit together",
    ),
    "a condition and the other side of it": Mistake(
        "model M {\n  input x: [2, 3]\n  input z: [2, 2]\n  output y = if x > 0 then x else z\n}", "E201", 4, "if x > 0 then x else z",
        "shapes [2, 3] and [2, 2] do not fit together",
    ),
    "an area under a curve of several": Mistake(
        "model M {\n  input x: [4]\n  target y: class(2)[3]\n  output z = x\n  metric auc(z, y)\n}", "E201", 5, "auc(z, y)", "do not fit",
    ),
    "random numbers of no shape": Mistake(
        model("output y = x * sum(random(adam))"), "E106", 3, "adam", "a shape is a list of sizes, whole numbers from 1"
    ),
    "random numbers of a shape below 1": Mistake(
        model("output y = x * sum(random([2, 0]))"), "E106", 3, "[2, 0]", "a shape is a list of sizes, whole numbers from 1, not [2, 0]"
    ),
    "a sequence for its element": Mistake(
        "model M {\n  input s: [T, 4]\n  output y = scan v in s with h = zeros(4) {\n    h = h + tanh(s)\n  }\n}",
        "E202", 4, "h + tanh(s)", "`h` starts as [4] and is [T, 4] after a step", "did you mean `v`, the element of `s`?",
    ),
    "reshape": Mistake(model("output y = reshape(x, [2, 3])"), "E204", 3, "[2, 3]", "[4] has 4 elements, [2, 3] has 6"),
    "an axis that counts the batch": Mistake(
        model("output y = sum(x, axis = 1)"), "E205", 3, "1", "there is no axis 1", "leave the batch out"
    ),
    "an accuracy of one probability": Mistake(
        logit("metric accuracy(p, y)"), "E205", 6, "p", "this is one number, of shape []", "`metric accuracy = (p > 0.5) == y`"
    ),
    "the largest of one probability": Mistake(
        logit("metric hits = argmax(p) == y"), "E205", 6, "p", "this is one number, of shape []", "`metric accuracy = (p > 0.5) == y`"
    ),
    "the softmax of one number": Mistake(
        logit("q = softmax(z)"), "E205", 6, "softmax(z)", "there is no axis -1: this has shape []", "`sigmoid` makes a probability"
    ),
    "the cross-entropy of one logit": Mistake(
        logit("loss more = cross_entropy(z, y)"), "E205", 6, "cross_entropy(z, y)", "there is no axis -1", "`bce_logits` a loss"
    ),
    "the likelihood of one log-probability": Mistake(
        logit("loss more = nll(log(p), y)"), "E202", 6, "nll(log(p), y)", "cannot pick by class(2) from []", "`bce(p, y)`"
    ),
    "an axis of one number": Mistake(logit("q = sum(z, axis = 0)"), "E205", 6, "0", "there is no axis 0", "one number has no axes"),
    "a misspelled path of a parameter": Mistake(
        model("h = x -> dense(4)", "output y = h @ transpose(denze.W)"), "E101", 4, "denze.W", "there is no `denze.W`", "`dense.W`"
    ),
    "a slice of nothing": Mistake(model("output y = x[3:1]"), "E205", 3, "3:1", "nothing lies from 3 up to 1"),
    "a slice up to a function": Mistake(model("output y = x[0:relu]"), "E106", 3, "0:relu", "a slice goes from one whole number"),
    "an index from 1": Mistake(model("output y = x[4]"), "E205", 3, "4", "there is no element 4"),
    "a kernel larger than its image": Mistake(image("conv(4, 9)"), "E206", 3, "9", "the kernel reaches over 9, the image has 8", IMAGE),
    "a named kernel": Mistake(image("conv(4, kernel = 9)"), "E206", 3, "9", "the kernel reaches over 9, the image has 8", IMAGE),
    "a pooling too many": Mistake(image("maxpool(4) -> maxpool(3)"), "E206", 3, "3", "the kernel reaches over 3, the image has 2", IMAGE),
    "groups that do not divide": Mistake(
        image("conv(4, 3) -> conv(4, 3, groups = 3)"), "E106", 3, "3", "a size is a whole number from 1"
    ),
    "units that the groups do not divide": Mistake(
        image("conv(4, 3) -> conv(6, 3, groups = 4)"), "E202", 3, "4", "6 units do not divide into 4 groups"
    ),
    "an init of another shape": Mistake(
        "init i = [1, 2, 3]\n" + model("output y = x -> dense(2, init = i)"), "E208", 1, "i",
        "the init `i` gives [3], and the parameter `dense.W` is [4, 2]",
    ),
    "an expectation": Mistake(
        model("output y = x -> dense(3)", "expect params == 12"), "E207", 4, "params == 12", "this expectation does not hold"
    ),
    "a start of another shape": Mistake(
        model("param W: [4, 2] = [[1, 2]]", "output y = x @ W"), "E208", 3, "[[1, 2]]", "`W` is declared [4, 2] and set to [1, 2]"
    ),
}  # fmt: skip


@pytest.mark.parametrize("size", ["32", "batch"])
def test_a_size_that_counts_the_batch_is_said_to_be_left_out(size: str) -> None:
    spec = f"model M {{\n  input x: [{size}, 4]\n  target y: class(3)\n  output z = x -> dense(3)\n  loss cross_entropy(z, y)\n}}"
    (d,) = diagnostics(spec)
    assert d.help == f"a shape is that of one example: if {size} counts the batch, write `x: [4]`"
    assert not diagnostics(spec.replace(f"[{size}, 4]", "[4]"))


@pytest.mark.parametrize("name", sorted(MISTAKES))
def test_a_mistake_is_named_where_it_stands(name: str) -> None:
    check(MISTAKES[name])


def notes(spec: str) -> list[tuple[int, str, str]]:
    """The second labels of the one mistake: line, what is marked, what is said."""
    (d,) = diagnostics(spec)
    return [(span.line, span.text, text) for span, text in d.notes]


def test_a_product_that_does_not_fit_names_what_both_sizes_come_from() -> None:
    spec = model("param W2: [9, 2] ~ he_normal", "h1 = x -> dense(8) -> relu -> dropout(0.5)", "output y = relu(h1 @ W2)")
    (d,) = diagnostics(spec)
    assert (d.code, d.label) == ("E203", "h1 is [8], W2 is [9, 2]: 8 and 9 differ")
    assert notes(spec) == [(4, "dense(8)", "h1 gets 8 here"), (3, "9", "W2 gets 9 here")]
    assert d.help == "did you mean `param W2: [8, 2]`?"
    assert d.fix and (d.fix.span.text, d.fix.text) == ("9", "8")


def test_of_a_choice_the_two_parts_that_do_not_fit_are_named() -> None:
    (d,) = diagnostics("model M {\n  input x: [3]\n  input z: [2]\n  output y = if x > 0 then z else 0\n}")
    assert d.label == "x > 0 is [3], z is [2]: 3 and 2 differ"


def test_leading_axes_of_a_product_that_differ_are_named() -> None:
    spec = "model M {\n  input x: [5, 3, 1, 3]\n  param P: [4, 2, 3, 2] ~ he_normal\n  output o = x @ P\n}"
    (d,) = diagnostics(spec)
    assert d.label == "x is [5, 3, 1, 3], P is [4, 2, 3, 2]: of the axes before the last two, 3 and 2 differ"
    assert notes(spec) == [(2, "3", "x gets 3 here"), (3, "2", "P gets 2 here")]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("let n = 8\n" + model("param W: [9, 2] ~ ones", "h = x -> dense(n)", "output y = h @ W"), (1, "n", "h gets 8 here")),
        (model("param V: [4, 8] ~ ones", "h = relu(x @ V) + 1", "output y = h - [1, 2]"), (3, "8", "h gets 8 here")),
        (model("output y = flatten(x) - [1, 2]"), (2, "4", "flatten(x) gets 4 here")),
        ("model M {\n  input i: [2, 3]\n  h = i -> flatten\n  output y = h - [1, 2]\n}", (2, "input i: [2, 3]", "h gets 6 here")),
        (image("conv(8, 3, pad = same) -> batchnorm as h\n  z = h + [[[1]], [[2]]]"), (3, "conv(8, 3, pad = same)", "h gets 8 here")),
        (image("conv(8, 3) -> relu as h\n  z = h + [1, 2]"), (3, "conv(8, 3)", "h gets 6 here")),
        (model("h = stack(x, x, x) -> transpose", "output y = h - [1, 2]"), (3, "stack(x, x, x)", "h gets 3 here")),
        (model("h = concat(x, x)", "output y = h - [1, 2]"), (3, "concat(x, x)", "h gets 8 here")),
        (
            model("share enc = dense(3)", "a = x -> enc", "output y = concat(x, x) -> enc"),
            (5, "enc", "in this use"),
        ),
        (
            model("target y: class(5)", "z = x -> dense(3) -> tanh", "output z", "loss cross_entropy(z, y)"),
            (4, "dense(3)", "this gets 3 here"),
        ),
        (
            "layer l(x: [3]) = x -> dense(2)\n" + model("output y = x -> l"),
            (3, "4", "x gets 4 here"),
        ),
        ("layer l(x: [3]) = x -> dense(2)\n" + model("output y = x -> l"), (1, "[3]", "`l` takes [3]")),
        ("layer l(x, n, m) = x -> dense(n * m)\n" + model("output y = x -> l(3)"), (1, "x, n, m", "the arguments of `l`")),
        (
            "layer halved(x: [*s, n]) {\n  expect n % 2 == 0\n  return x\n}\n" + model("output y = x -> dense(3) -> halved"),
            (7, "dense(3)", "n gets 3 here"),
        ),
    ],
)
def test_a_size_is_followed_back_to_what_gave_it(spec: str, expected: tuple[int, str, str]) -> None:
    assert expected in notes(spec)


@pytest.mark.parametrize(
    ("spec", "better"),
    [
        (MISTAKES["an image that is not flattened"].spec, "image -> flatten -> dense(9)"),
        (MISTAKES["an image times a matrix"].spec, "flatten(i) @ W"),
        (MISTAKES["too few logits"].spec, "x -> dense(5)"),
    ],
)
def test_what_is_offered_helps(spec: str, better: str) -> None:
    (d,) = diagnostics(spec)
    assert d.fix
    mended = spec[: d.fix.span.start] + d.fix.text + spec[d.fix.span.end :]
    assert better in mended and diagnostics(mended) == ()


def test_one_operand_twice_is_noted_once() -> None:
    (d,) = diagnostics(model("output y = x @ x"))
    assert len(d.notes) == 1


def test_a_label_says_the_size_that_was_computed() -> None:
    (d,) = diagnostics(image("conv(4, 3) -> conv(4, 3, groups = 3)"))
    assert d.label.startswith("`channels / groups` is 1.33")


def test_an_expectation_says_only_what_is_not_written() -> None:
    (d,) = diagnostics(model("output y = x -> dense(3)", "expect params == 12"))
    assert d.label == "params is 15"


def test_a_mistake_in_a_definition_of_the_user_points_into_it() -> None:
    (d,) = diagnostics("layer shifted(x, n) {\n  y = x -> dense(n)\n  return y + [1, 2, 3]\n}\n" + model("output y = x -> shifted(7)"))
    assert d.span
    assert (d.code, d.span.line, d.span.text) == ("E201", 3, "y + [1, 2, 3]")
    assert d.label == "y is [7], [1, 2, 3] is [3]: 7 and 3 differ"


def test_a_mistake_in_a_layer_of_the_library_points_at_the_call_of_the_user() -> None:
    (d,) = diagnostics("layer block(x, k) = x -> conv(8, k) -> relu\nmodel M {\n  input i: [1, 4, 4]\n  output y = i -> block(7)\n}")
    assert d.span
    assert (d.code, d.span.line, d.span.text) == ("E206", 1, "k")
    assert not d.span.source.library


LOOP = """layer r(x: [T, n], units) {{
  param U: {shape} ~ orthogonal
  hs = scan v in x with h = zeros(units) {{ h = h @ U }}
  return hs
}}
"""


@pytest.mark.parametrize(("shape", "fixed"), [("[n, units]", None), ("[4, units]", "[3, units]")])
def test_a_fix_of_a_weights_size_changes_its_own_declaration(shape: str, fixed: str | None) -> None:
    spec = LOOP.format(shape=shape) + "model M {\n  input x: [T, 4]\n  output y = x -> r(3)\n}"
    (d,) = diagnostics(spec)
    assert d.code == "E203" and bool(d.fix) == bool(d.help) == bool(fixed)
    if d.fix and fixed:
        assert d.help == f"did you mean `param U: {fixed}`?"
        assert spec[: d.fix.span.start] + d.fix.text + spec[d.fix.span.end :] == spec.replace(shape, fixed)


def test_the_weight_of_a_layer_has_no_declaration_to_change() -> None:
    (d,) = diagnostics(model("h = x -> dense(3) as e", "output y = e.W @ ones(7, 7)"))
    assert (d.code, d.help, d.fix) == ("E203", "", None)


def test_a_shape_that_does_not_fit_inside_of_a_layer_names_the_calls_that_led_to_it() -> None:
    spec = """layer block(x: [n], m) {
  y = x -> dense(m) -> relu
  return y + x
}
layer pair(x, m) = x -> block(4) -> block(m)
model M {
  input x: [4]
  a = x -> block(4) -> pair(4)
  output y = a -> pair(3)
}
"""
    (d,) = diagnostics(spec)
    assert d.span and (d.code, d.span.line, d.span.text) == ("E201", 3, "y + x")
    calls = [(span.line, span.text) for span, label in d.notes if label.endswith("is called here")]
    assert calls == [(5, "block(m)"), (9, "pair(3)")]


def test_a_layer_that_calls_itself_is_said_to_be_called_in_each_place_once() -> None:
    spec = "layer r(x, n) = if n == 0 then x + [1, 2] else r(x -> dense(4), n - 1)\n" + model("output y = x -> r(20)")
    (d,) = diagnostics(spec)
    assert [span.line for span, label in d.notes if "`r` is called" in label] == [1, 4]


@pytest.mark.parametrize("left", ["x", "(x + 1)", "relu(x)"])
def test_a_product_of_elements_that_fits_as_one_of_matrices_is_shown_its_sign(left: str) -> None:
    spec = model("param W: [4, 3] ~ he_normal", f"output y = {left} * W")
    (d,) = diagnostics(spec)
    assert d.fix and (d.code, d.fix.span.text, d.fix.text, d.fix.safe) == ("E201", "*", "@", False) and "`@`" in d.help
    assert not diagnostics(spec[: d.fix.span.start] + d.fix.text + spec[d.fix.span.end :])


@pytest.mark.parametrize("formula", ["x + W", "W * x"])
def test_what_has_no_matrix_product_is_shown_none(formula: str) -> None:
    (d,) = diagnostics(model("param W: [4, 3] ~ he_normal", f"output y = {formula}"))
    assert (d.code, d.fix) == ("E201", None) and "@" not in d.help
