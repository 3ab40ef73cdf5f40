"""The mistakes a newcomer makes: each message names the thing, points at it, and offers the fix."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from nnspec.compile import Compilation
from nnspec.diagnostics import Diagnostic, Source, columns, render


@dataclass(frozen=True)
class Mistake:
    """A spec with one mistake: its code, the line and the text under the caret, a part of the message, and a part of the help."""

    spec: str
    code: str
    line: int
    caret: str
    message: str
    help: str = ""


IMAGE = "an image is [channels, height, width]"


def model(*lines: str) -> str:
    return "\n".join(("model M {", "  input x: [4]", *(f"  {line}" for line in lines), "}"))


def image(stages: str) -> str:
    return f"model M {{\n  input image: [1, 8, 8]\n  output y = image -> {stages}\n}}"


def training(*lines: str) -> str:
    return model("output y = x -> dense(1)", "loss mse(y, 0)") + "\n" + "\n".join(("train {", *lines, "}"))


def diagnostics(spec: str) -> tuple[Diagnostic, ...]:
    return Compilation(Source("spec.nn", spec), {}).diagnostics


WELL = ("  epochs 3", "  optimizer adam")
MISTAKES = {
    # ---- names
    "the layer of another framework": Mistake(
        model("output y = x -> Linear(10)"), "E101", 3, "Linear", "there is no `Linear`", "did you mean `dense`?"
    ),
    "a dotted name of another framework": Mistake(
        model("output y = x -> nn.ReLU()"), "E101", 3, "nn.ReLU", "there is no `nn.ReLU`", "did you mean `relu`?"
    ),
    "a misspelt activation": Mistake(
        model("output y = x -> dense(10) -> rellu"), "E101", 3, "rellu", "there is no `rellu`", "did you mean `relu`?"
    ),
    "a misspelt function": Mistake(model("output y = sofmax(x)"), "E101", 3, "sofmax", "there is no `sofmax`", "did you mean `softmax`?"),
    "a misspelt output": Mistake(
        model("probs = softmax(x)", "output prob"), "E101", 4, "prob", "there is no `prob`", "did you mean `probs`?"
    ),
    "a method call": Mistake(model("output y = x.relu()"), "E101", 3, "x.relu", "there is no `x.relu`", "did you mean `relu`?"),
    "half the name of an init": Mistake(
        model("output y = x -> dense(10, init = he)"), "E101", 3, "he", "there is no `he`", "did you mean `he_normal`?"
    ),
    "a type that is none": Mistake(
        "model M {\n  input x: float[4]\n  input z: flaot[4]\n  output x\n}", "E101", 3, "flaot[4]", "there is no type `flaot`", "a type is"
    ),
    # ---- arguments
    "a misspelt argument": Mistake(
        model("output y = x -> dense(10, bais = false)"), "E102", 3, "bais", "`dense` has no argument `bais`", "did you mean `bias`?"
    ),
    "the keyword of numpy": Mistake(model("output y = sum(x, dim = 0)"), "E102", 3, "dim", "`sum` has no argument `dim`", "sum(x, axis"),
    "no units": Mistake(
        model("output y = x -> dense"), "E103", 3, "dense", "`dense` is missing `units`", "dense(x, units, bias = true, init = he_normal)"
    ),
    "no learning rate": Mistake(training("  epochs 3", "  optimizer sgd"), "E103", 8, "sgd", "`sgd` is missing `lr`", "sgd(lr)"),
    "a parameter without a start": Mistake(
        model("param W: [4, 2]", "output y = x @ W"), "E103", 3, "param W: [4, 2]", "does not say how it starts", "~ he_normal"
    ),
    "inputs and outputs, as elsewhere": Mistake(
        model("output y = x -> dense(4, 10)"), "E106", 3, "10", "a condition is true or false, not 10"
    ),
    "too many arguments": Mistake(
        model("output y = x -> relu(1)"), "E104", 3, "1", "`relu` takes at most 1 argument", "relu(x)"
    ),
    "an argument twice": Mistake(
        model("output y = x -> dense(3, units = 4)"), "E104", 3, "units = 4", "`dense` gets `units` twice"
    ),
    # ---- kinds of values
    "a text for a number": Mistake(model('output y = x -> dense("ten")'), "E106", 3, '"ten"', 'a size is a whole number from 1, not "ten"'),
    "half a unit": Mistake(model("output y = x -> dense(2.5)"), "E106", 3, "2.5", "a size is a whole number from 1, not 2.5"),
    "an init in quotes": Mistake(
        model('output y = x -> dense(3, init = "he_normal")'), "E106", 3, '"he_normal"', "is not an init", "did you mean `he_normal`?"
    ),
    "a function as init": Mistake(
        model("output y = x -> dense(3, init = relu)"), "E106", 3, "relu", "the fn `relu` is not an init", "did you mean"
    ),
    "padding in quotes": Mistake(image('conv(4, 3, pad = "same")'), "E106", 3, '"same"', "`pad` is same, valid or a number", "pad = same"),
    "padding that a target hides": Mistake(
        'model M {\n  input image: [1, 8, 8]\n  target same: []\n  output y = image -> conv(4, 3, pad = same)\n}',
        "E106", 4, "same", "`pad` is same, valid or a number", "give the value another name",
    ),
    "a pipeline kept for later": Mistake(
        model("enc = dense(8) -> relu", "output y = x -> enc"), "E103", 3, "dense(8)", "missing `units`", "`share enc = dense(8) -> relu`"
    ),
    "a weight of a layer inside a shared pipeline": Mistake(
        model("share enc = dense(8) -> relu", "output y = (x -> enc) @ transpose(enc.W)"), "E101", 4, "enc.W", "`enc.W`", "`enc.dense.W`?"
    ),
    "a function that is not applied": Mistake(
        model("output y = relu"), "E106", 3, "y", "an output is a tensor, not the fn `relu`", "`x -> relu`"
    ),
    "a value as a stage": Mistake(model("output y = x -> x"), "E106", 3, "x", "`x` is [4], not a function or layer"),
    "a network with a size of the data": Mistake(
        "model M {\n  input x: [T, 4]\n  output y = x -> flatten -> dense(3)\n}", "E106", 3, "dense(3)", "known only at run time, `4*T`"
    ),
    "a class as a vector": Mistake(
        "model M {\n  input k: class(4)\n  output y = k -> dense(3)\n}", "E202", 3, "dense(3)", "`x` is [], expected [*s, n]", "one_hot"
    ),
    "a class that is none": Mistake(
        model("target y: [3]", "z = x -> dense(3)", "output z", "loss cross_entropy(z, y)"), "E106", 6, "y",
        "expected a class number, got [3]", "class(N)",
    ),
    "a rate in quotes": Mistake(
        training("  epochs 3", '  optimizer sgd("0.1")'), "E106", 8, 'sgd("0.1")', "the learning rate is a number"
    ),
    "an init that asks for the data": Mistake(
        model("param W: [4, 2] ~ normal(0, x)", "output y = x @ W"), "E106", 3, "normal(0, x)", "`std` of the init `normal` is a number"
    ),
    "an expectation of a number": Mistake(
        model("output x", "expect receptive_field(3) == 1"), "E106", 4, "3", "not 3"
    ),
    # ---- places
    "return in a model": Mistake(model("return x"), "E108", 3, "return x", "does not belong in a model", "output NAME"),
    "a loss in a layer": Mistake(
        "layer l(x) {\n  loss sum(x)\n  return x\n}\n" + model("output y = l(x)"), "E108", 2, "loss sum(x)", "belongs in a model"
    ),
    "a parameter in a fn": Mistake(
        "fn f(x) {\n  param a = 1\n  return a * x\n}\n" + model("output y = f(x)"), "E108", 2, "param a = 1", "a fn is a pure formula"
    ),
    "more after the return": Mistake(
        "fn f(x) {\n  return x\n  y = 3\n}\n" + model("output y = f(x)"), "E108", 3, "y = 3", "nothing after a `return` is reached"
    ),
    "no return": Mistake(
        "fn f(x) {\n  y = x\n}\n" + model("output y = f(x)"), "E108", 1, "f", "`f` returns nothing", "end it with `return ...`"
    ),
    "no output": Mistake(model("y = x -> dense(1)"), "E110", 1, "M", "the model `M` has no output", "output NAME"),
    "a let twice": Mistake("let n = 3\nlet n = 4\n" + model("output x"), "E105", 2, "n", "`let n` is written twice"),
    "two arguments of one name": Mistake(
        "fn f(x, x) = x\n" + model("output x"), "E105", 1, "x", "`f` has two arguments `x`"
    ),
    "an input that is assigned": Mistake(model("x = x -> relu", "output x"), "E105", 3, "x", "`x` is a port of the model"),
    # ---- training
    "an unknown setting": Mistake(
        training("  epoch 3", *WELL), "E111", 7, "epoch", "a train block has no setting `epoch`", "did you mean `epochs`?"
    ),
    "a misspelt optimizer": Mistake(
        training("  epochs 3", "  optimizer adma(lr = 0.1)"), "E101", 8, "adma", "there is no optimizer `adma`", "did you mean `adam`?"
    ),
    "an optimizer as schedule": Mistake(
        training(*WELL, "  schedule sgd(0.1)"), "E106", 9, "sgd", "the optimizer `sgd` is not a schedule", "cosine"
    ),
    "half an epoch": Mistake(
        training("  epochs 1.5", "  optimizer adam"), "E106", 7, "1.5", "expected a whole number from 1, got 1.5"
    ),
    "validation in percent": Mistake(training(*WELL, "  validation 10"), "E106", 9, "10", "a fraction lies between 0 and 1, not 10"),
    "no way to train": Mistake(
        model("output y = x -> dense(1)", "loss mse(y, 0)") + "\ntrain { epochs 3 }", "E110", 6, "train", "no optimizer", "optimizer adam"
    ),
    # ---- shapes
    "elementwise": Mistake(model("output y = x + [1, 2, 3]"), "E201", 3, "x + [1, 2, 3]", "shapes [4] and [3] do not fit together"),
    "a vector where an image is due": Mistake(
        model("output y = x -> conv(8, 3)"), "E202", 3, "conv(8, 3)", "an image is [channels, height, width], not [4]",
        "a volume or a signal",
    ),
    "too few logits": Mistake(
        model("target y: class(5)", "z = x -> dense(3)", "output z", "loss cross_entropy(z, y)"), "E202", 6, "cross_entropy(z, y)",
        "a class(5) needs 5 values, one for each class, not 3",
    ),
    "W x": Mistake(
        model("param W: [3, 4] ~ he_normal", "output y = W @ x"), "E203", 4, "W @ x", "no matrix product", "`x @ transpose(W)`"
    ),
    "reshape": Mistake(model("output y = reshape(x, [2, 3])"), "E204", 3, "[2, 3]", "[4] has 4 elements, [2, 3] has 6"),
    "an axis that counts the batch": Mistake(
        model("output y = sum(x, axis = 1)"), "E205", 3, "1", "there is no axis 1", "leave the batch out"
    ),
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
        image("conv(4, 3) -> conv(4, 3, groups = 3)"), "E106", 3, "conv(4, 3, groups = 3)", "a size is a whole number from 1"
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
    # ---- syntax
    "a misspelt statement": Mistake(
        model("outptu x"), "E001", 3, "outptu", "`outptu` does not start a statement", "did you mean `output`?"
    ),
    "a misspelt definition": Mistake("modle M {\n}", "E001", 1, "modle", "`modle` cannot stand here", "did you mean `model`?"),
    "a missing value": Mistake(model("y = x ->", "output y"), "E001", 4, "output", "`output` cannot stand here"),
    "the power of Python": Mistake(model("output y = x ** 2"), "E001", 3, "*", "`*` cannot stand here", "x ^ 2"),
    "no colon": Mistake("model M {\n  input x [4]\n  output x\n}", "E001", 2, "[", "`[` cannot stand here"),
    "branches that are not joined": Mistake(
        model("output y = x -> [dense(3), dense(2)]"), "E106", 3, "y", "an output is a tensor, not [[3], [2]]", "-> concat(axis = 0)"
    ),
    "branches in a function": Mistake(
        model("output y = x -> [dense(2), dense(2)] -> relu"), "E106", 3, "relu", "a list of branches", "-> concat"
    ),
    "a weight before its use": Mistake(
        model("share e = dense(3)", "output y = e.dense.W"), "E101", 4, "e.dense.W", "no parameters yet", "first use"
    ),
    "a column beside a row": Mistake(
        "model M {\n  input x: [T, 4]\n  target y: [T]\n  output z = x -> dense(1)\n  loss mse(z, y)\n}",
        "E207", 5, "y", "`mse` expects shape(y_hat - y) == shape(y_hat)",
    ),
    "noise alone": Mistake(model("output y = normal(0, 1)"), "E106", 3, "y", "not the init `normal`", "x + normal(0, 0.1)"),
    "branches joined along the batch's axis": Mistake(
        model("output y = x -> [dense(3), dense(3)] -> concat(axis = 1)"),
        "E205", 3, "1", "no axis 1: the result has 1 axis", "leave the batch out",
    ),
    "a recursion past its end": Mistake(
        "layer f(x, n) = if n == 0 then x else f(x -> dense(4), n - 1)\n" + model("output y = x -> f(2.5)"),
        "E502", 1, "dense(4)", "does `f` call itself without end?",
    ),
    "a weight that a test calls by its layer": Mistake(
        model("output y = x -> linear") + '\ntest "t" of M {\n  given x = [1, 2, 3, 4]\n  expect linear.W == 0\n}',
        "E101", 7, "linear.W", "there is no `linear.W` here", "did you mean `linear.dense.W`?",
    ),
    "a pipeline after a choice": Mistake(
        model("y = if rank(x) == 1 then x else x -> dense(3)", "output y"), "E001", 3, "->", "`->` cannot stand here", "else (x -> f)"
    ),
    "a pipeline in a choice": Mistake(
        "layer f(x) =\n  if rank(x) == 1 then x -> dense(3) else x\n" + model("output y = x -> f"),
        "E001", 2, "->", "`->` cannot stand here", "(if c then x else y) -> f",
    ),
    "an open bracket": Mistake(model("output y = x -> dense(3"), "E002", 3, "(", "`(` is never closed"),
    "an open text": Mistake(model('output y = "abc'), "E001", 3, '"', "a text is not closed"),
    "a version of the future": Mistake("nnspec 2\n" + model("output x"), "E109", 1, "2", "reads version 1 of the language"),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(MISTAKES))
def test_a_mistake_is_named_where_it_stands(name: str) -> None:
    mistake = MISTAKES[name]
    found = diagnostics(mistake.spec)
    assert len(found) == 1, render(found)
    (d,) = found
    assert d.span
    assert (d.code, d.span.line, d.span.text) == (mistake.code, mistake.line, mistake.caret), render(found)
    assert mistake.message in d.message
    assert mistake.help in d.help
    assert bool(mistake.help) == bool(d.help), d.help


def test_a_product_that_does_not_fit_names_where_both_sides_come_from() -> None:
    spec = model("param W1: [4, 8] ~ he_normal", "param W2: [9, 2] ~ he_normal", "h1 = relu(x @ W1)", "output y = h1 @ W2")
    (d,) = diagnostics(spec)
    assert (d.code, d.label) == ("E203", "h1 is [8], W2 is [9, 2]: 8 and 9 differ")
    assert [(span.line, span.text, text) for span, text in d.notes] == [
        (5, "relu(x @ W1)", "[8] comes from here"),
        (4, "[9, 2]", "[9, 2] comes from here"),
    ]


def test_one_operand_twice_is_noted_once() -> None:
    (d,) = diagnostics(model("output y = x @ x"))
    assert len(d.notes) == 1


def test_a_label_says_the_size_that_was_computed() -> None:
    (d,) = diagnostics(image("conv(4, 3) -> conv(4, 3, groups = 3)"))
    assert d.label.startswith("`channels / groups` is 1.33")


def test_an_expectation_says_only_what_is_not_written() -> None:
    (d,) = diagnostics(model("output y = x -> dense(3)", "expect params == 12"))
    assert d.label == "params is 15"


def test_several_mistakes_are_reported_in_one_run_without_their_consequences() -> None:
    spec = model(
        "a = x -> rellu",
        "b = a + 1",
        "c = x -> dense(10, bais = false)",
        "d = c @ b",
        "output d",
        "loss mse(d, 0)",
        "metric acuracy(d, x)",
    )
    spec += "\ntrain {\n  epoch 3\n  optimizer adma\n}"
    found = [(d.code, d.span.line if d.span else 0) for d in diagnostics(spec)]
    assert found == [("E101", 3), ("E102", 5), ("E101", 9), ("E111", 12), ("E101", 13)]


def test_several_mistakes_of_syntax_are_reported_in_one_run() -> None:
    found = diagnostics(model("a = x +", "b = * 3", "output a b"))
    assert [d.code for d in found] == ["E001"] * len(found)
    assert len(found) >= 2


@pytest.mark.parametrize(
    "lines",
    [
        ("h = x -> rellu", "y = h + 1", "output y", "loss sum(y)"),
        ("param W: [4, 2]", "h = x @ W", "output h", "expect shape(h) == [2]"),
        ("output y = relu", "loss mse(y, 0)"),
        ("state s = 0", "state s2: [q] = 0", "s2 <- s", "output x"),
    ],
)
def test_a_poisoned_name_stays_silent(lines: tuple[str, ...]) -> None:
    assert len(diagnostics(model(*lines))) == 1


def test_a_wrong_let_stays_silent_where_it_is_used() -> None:
    found = diagnostics("let n = m\n" + model("output y = x -> dense(n)"))
    assert [(d.code, d.span.text if d.span else "") for d in found] == [("E101", "m")]


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


def test_no_message_quotes_the_library() -> None:
    for mistake in MISTAKES.values():
        for d in diagnostics(mistake.spec):
            assert not any(span.source.library for span, _ in d.notes)
            assert "std/" not in render([d])


def test_a_very_long_sum_is_no_mistake() -> None:
    assert not diagnostics(model("output y = " + " + ".join(["x"] * 500)))


@pytest.mark.parametrize("hostile", ["\x1b[31mred", "\u202egnp", "\x07", "\u2066", "\x9b31m"])
@pytest.mark.parametrize(
    "spec", ["model M {{\n  input x: [4]\n  output y = x -> rellu # {0}\n}}", 'let a = "{0}" + 1\n', "model M {{ {0} }}", "{0}"]
)
def test_escape_characters_never_reach_the_terminal_raw(hostile: str, spec: str) -> None:
    found = diagnostics(spec.format(hostile) + ("" if "model" in spec else "\nmodel M { input x: [4] output x }"))
    assert found
    text = render(found)
    assert not set(text) & set("\x1b\u202e\x07\u2066\x9b")


@pytest.mark.parametrize("name", ["x", "漢字", "é", "η", "ＷＩＤＥ"])
def test_the_caret_stands_under_the_mistake_whatever_the_width_of_the_letters(name: str) -> None:
    spec = f"model M {{\n  input {name}: [4]\n  output y = {name} + {name} -> rellu\n}}"
    (d,) = diagnostics(spec)
    lines = render([d]).splitlines()
    shown = next(line for line in lines if "rellu" in line and "|" in line)
    caret = lines[lines.index(shown) + 1]
    assert columns(shown[: shown.index("rellu")]) == columns(caret[: caret.index("^")])
    assert caret.count("^") == len("rellu")


def test_a_combining_mark_takes_no_column() -> None:
    (d,) = diagnostics('let a = ["e\u0301", rellu]\n' + model("output x"))
    *_, shown, caret, _ = render([d]).splitlines()
    assert columns(shown[: shown.index("rellu")]) == columns(caret[: caret.index("^")]) == caret.index("^")


def test_a_wide_name_is_underlined_over_its_whole_width() -> None:
    (d,) = diagnostics(model("output y = 漢字"))
    assert "^^^^" in render([d])
    assert "^^^^^" not in render([d])


@pytest.mark.parametrize(("kind", "article"), [("init", "an"), ("optimizer", "an"), ("schedule", "a")])
def test_articles_are_right(kind: str, article: str) -> None:
    line = "init = relu" if kind == "init" else ""
    spec = model(f"output y = x -> dense(3, {line})") if line else training(*WELL[: 1 if kind == "optimizer" else 2], f"  {kind} relu")
    (d,) = diagnostics(spec)
    assert d.message == f"the fn `relu` is not {article} {kind}"


def test_a_setting_of_the_command_line_that_is_none_offers_the_let() -> None:
    (d,) = Compilation(Source("spec.nn", "let width = 3\n" + model("output x")), {"widht": 4}).diagnostics
    assert (d.code, d.help) == ("E101", "did you mean `width`?")


def test_an_argument_that_a_definition_does_not_expect_is_pointed_at() -> None:
    (d,) = diagnostics(model("output y = x -> dropout(2)"))
    assert (d.code, d.span.text if d.span else "", d.label) == ("E207", "2", "rate is 2")
    (d,) = diagnostics("fn half(x, share) { expect share < 1  return share * x }\n" + model("output y = half(x, share = 3)"))
    assert (d.code, d.span.text if d.span else "", d.message) == ("E207", "3", "`half` expects share < 1")


def test_a_mistake_in_a_formula_is_not_counted_as_a_broken_expectation_too() -> None:
    (d,) = diagnostics(model("h = x -> dens(3)", "output y = x -> dense(2)", "expect params == 25"))
    assert d.code == "E101"


def test_the_batch_is_for_training_only() -> None:
    (d,) = diagnostics(model("output y = x - batch_mean(x)"))
    assert d.code == "E108" and "training" in d.help


@pytest.mark.parametrize(("augment", "code"), [("imag -> shift(1)", "E101"), ("x -> shift(1)", "E202"), ("x -> rotate(10)", "E202")])
def test_an_augmentation_that_cannot_be_is_found_before_training(augment: str, code: str) -> None:
    (d,) = diagnostics(training(*WELL, f"  augment {augment}"))
    assert d.code == code


@pytest.mark.parametrize("formula", ["-" * 5000 + "x", "x" + " ^ 1" * 3000])
def test_a_formula_nested_without_end_is_one_error(formula: str) -> None:
    (d,) = diagnostics(model(f"output y = {formula}"))
    assert d.code == "E502"


@pytest.mark.parametrize(
    ("spec", "code", "marked"),
    [
        ("let a = a\n" + model("output y = x * a"), "E101", "a"),
        (model("target y: [4]", "output z = x + y", "loss mse(z, x)"), "E108", "x + y"),
        ("let a = 9^9^9\n" + model("output y = x * a"), "E107", "9^9^9"),
        ("let a = 10^400\n" + model("output y = x * a"), "E107", "10^400"),
        (model("output y = sum(x, axis = [0, 0])"), "E205", "[0, 0]"),
        (model("output y = x -> dense(3))"), "E002", ")"),
        (model("state c = 0", "if training { c = c + 1 }", "output x"), "E105", "c"),
        (model("output y = range(0, 1e12)"), "E502", "1e12"),
        (model("let k = 2", "output x"), "E001", "let"),
        (training(*WELL, "  penalty l2(-1)"), "E106", "-1"),
        (training(*WELL, "  seed 99999999999999999999"), "E106", "99999999999999999999"),
        (training(*WELL, "  stop early(val.acuracy, patience = 3)"), "E402", "val.acuracy"),
    ],
)
def test_what_would_go_wrong_later_is_found_at_its_place(spec: str, code: str, marked: str) -> None:
    (d,) = diagnostics(spec)
    assert (d.code, d.span.text if d.span else "") == (code, marked)
