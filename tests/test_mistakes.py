"""The mistakes a newcomer makes with names, arguments and settings: each message names the thing, points at it, and offers the fix."""

from __future__ import annotations

import pytest
from mistakes import WELL, Mistake, check, diagnostics, image, model, training

from nnspec.compile import Compilation
from nnspec.diagnostics import Source

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
    "the beginning of a name": Mistake(
        model("output y = x -> drop(0.1)"), "E101", 3, "drop", "there is no `drop`", "did you mean `dropout`?"
    ),
    "the beginning of several names": Mistake(
        model("output y = x -> cross"), "E101", 3, "cross", "there is no `cross`", "did you mean `cross_entropy`?"
    ),
    "a misspelt output": Mistake(
        model("probs = softmax(x)", "output prob"), "E101", 4, "prob", "there is no `prob`", "did you mean `probs`?"
    ),
    "a method call": Mistake(model("output y = x.relu()"), "E101", 3, "x.relu", "there is no `x.relu`", "did you mean `x -> relu`?"),
    "a method call in a formula": Mistake(
        model("output y = x - x.mean()"), "E101", 3, "x.mean", "there is no `x.mean`", "did you mean `mean(x)`?"
    ),
    "a method call with arguments": Mistake(
        model("output y = 2 * x.sum(axis = 0)"), "E101", 3, "x.sum", "there is no `x.sum`", "did you mean `sum(x, axis = 0)`?"
    ),
    "an attribute of other languages": Mistake(
        model("output y = x / x.shape[0]"), "E101", 3, "x.shape", "there is no `x.shape`", "did you mean `shape(x)`?"
    ),
    "a matrix turned as in mathematics": Mistake(
        model("param W: [4, 4] ~ he_normal", "output y = x @ Wᵀ"), "E101", 4, "Wᵀ", "there is no `Wᵀ`", "it is written `transpose(W)`"
    ),
    "a function that is made and called": Mistake(
        model("target y: [4]", "output z = 2 * x", "loss nn.MSELoss()(z, y)"), "E106", 5, "nn.MSELoss()", "only a name", "`mse(z, y)`"
    ),
    "a layer that is made and called": Mistake(
        model("output y = dense(3)(x)"), "E106", 3, "dense(3)", "only a name", "the value comes first: `x -> dense(3)`"
    ),
    "a name above the line that makes it": Mistake(
        model("output y = softmax(z)", "z = 2 * x"), "E101", 3, "z", "there is no `z`", "the names of the lines above it"
    ),
    "a weight by a layer too many": Mistake(
        model("h = x -> dense(3) as enc", "output y = h @ transpose(enc.dense.W)"), "E101", 4, "enc.dense.W", "there is no", "`enc.W`"
    ),
    "the sign of millionths for a Greek letter": Mistake(
        model("\u00b5 = mean(x)", "output y = x - \u03bc"), "E101", 4, "\u03bc", "there is no", "stands a Greek small letter mu"
    ),
    "half the name of an init": Mistake(
        model("output y = x -> dense(10, init = he)"), "E101", 3, "he", "there is no `he`", "did you mean `he_normal`?"
    ),
    "a type that is none": Mistake(
        "model M {\n  input x: float[4]\n  input z: flaot[4]\n  output x\n}", "E101", 3, "flaot", "there is no type `flaot`",
        "did you mean `float`?"
    ),
    # ---- arguments
    "a misspelt argument": Mistake(
        model("output y = x -> dense(10, bais = false)"), "E102", 3, "bais", "`dense` has no argument `bais`", "did you mean `bias`?"
    ),
    "the keyword of numpy": Mistake(
        model("output y = sum(x, dim = 0)"), "E102", 3, "dim", "`sum` has no argument `dim`", "did you mean `axis`?"
    ),
    "no units": Mistake(
        model("output y = x -> dense"), "E103", 3, "dense", "`dense` is missing `units`", "dense(x, units, bias = true, init = he_normal)"
    ),
    "no learning rate": Mistake(training("  epochs 3", "  optimizer sgd"), "E103", 8, "sgd", "`sgd` is missing `lr`", "sgd(lr)"),
    "a schedule that asks for the rate": Mistake(
        "schedule s(lr, every = 2) = lr * 0.9^(epoch / every)\n" + training("  epochs 3", "  optimizer sgd(0.1)", "  schedule s"),
        "E103", 10, "s", "`s` is missing `lr`", "a schedule knows `lr` without being given it: write `schedule s(every = 2)`",
    ),
    "an optimizer that asks for the gradient": Mistake(
        "optimizer by(lr, g) { w <- w - lr * g }\n" + training("  epochs 3", "  optimizer by(0.1)"), "E103", 9,
        "by(0.1)", "`by` is missing `g`", "an optimizer knows `g` without being given it: write `optimizer by(lr)`",
    ),
    "an optimizer without its rate": Mistake(
        "optimizer by(lr) { w <- w - lr * g }\n" + training("  epochs 3", "  optimizer by"), "E103", 9,
        "by", "`by` is missing `lr`", "its arguments are by(lr)",
    ),
    "an init that asks for the fan": Mistake(
        "init he(fan_in) = normal(0, sqrt(2 / fan_in))\n" + model("output y = x -> dense(10, init = he)"), "E103", 4,
        "he", "`he` is missing `fan_in`", "an init knows `fan_in` without being given it: write `init he`",
    ),
    "a parameter without a start": Mistake(
        model("param W: [4, 2]", "output y = x @ W"), "E103", 3, "param W: [4, 2]", "does not say how it starts", "~ he_normal"
    ),
    "a state that is drawn": Mistake(
        model("state R: [4, 4] = normal(0, 0.3)", "output y = x @ R"), "E106", 3, "normal(0, 0.3)", "an init is drawn",
        "`param R: [4, 4] ~ normal(0, 0.3)`, and in training `freeze R`",
    ),
    "a parameter that is drawn": Mistake(
        model("param R: [4, 4] = normal(0, 0.3)", "output y = x @ R"), "E106", 3, "normal(0, 0.3)", "drawn by an init", "`~ normal(0, 0.3)`"
    ),
    "inputs and outputs, as elsewhere": Mistake(
        model("output y = x -> dense(4, 10)"), "E106", 3, "10", "`bias` of `dense` is true or false, not 10", "is known: `dense(10)`"
    ),
    "an activation among the arguments": Mistake(
        model("output y = x -> dense(4, relu)"), "E106", 3, "relu", "`bias` of `dense` is true or false, not the fn `relu`", "`-> relu`"
    ),
    "an activation in quotes": Mistake(
        model('output y = x -> dense(4, "relu")'), "E106", 3, '"relu"', '`bias` of `dense` is true or false, not "relu"', "`-> relu`"
    ),
    "an activation by name, in quotes": Mistake(
        model('output y = x -> dense(4, activation = "relu")'), "E102", 3, "activation", "`dense` has no argument `activation`", "`-> relu`"
    ),
    "a number for a truth": Mistake(
        model("output y = x -> dense(4, bias = 0)"), "E106", 3, "0", "`bias` of `dense` is true or false, not 0", "bias = true"
    ),
    "a layer without its value": Mistake(
        model("output y = dense(4, 10)"), "E202", 3, "4", "`dense` cannot take this", "the value comes first: `x -> dense(...)`"
    ),
    "a layer of nothing": Mistake(
        model("output y = relu(dense(8))"), "E103", 3, "dense(8)", "`dense` is missing `units`",
        "the value comes first: `x -> dense(8)`, or `dense(x, 8)`",
    ),
    "a list of layers": Mistake(
        "let layers = [dense(8), relu]\n" + model("output y = x -> dense(2)"), "E103", 1, "dense(8)", "",
        "the value comes first: `x -> dense(8)`",
    ),
    "a layer that is made and then called": Mistake(
        model("output y = dense(10)(x)"), "E106", 3, "dense(10)", "only a name can be called", "the value comes first: `x -> dense(10)`"
    ),
    "the momentum of another framework": Mistake(
        training("  epochs 3", "  optimizer sgd(lr = 0.1, momentum = 0.9)"), "E102", 8, "momentum", "`sgd` has no argument `momentum`",
        "another optimizer: `momentum(lr = 0.1, mu = 0.9)`",
    ),
    "weight decay in adam": Mistake(
        training("  epochs 3", "  optimizer adam(weight_decay = 0.1)"), "E102", 8, "weight_decay", "no argument `weight_decay`", "`adamw("
    ),
    "a penalty without its name": Mistake(
        training(*WELL, "  penalty 0.1"), "E106", 9, "0.1", "there is no penalty `0.1`", "`l1(0.1)` or `l2(0.1)`"
    ),
    "a batch that is written": Mistake(
        model("input z: [None, 4]", "output x"), "E106", 3, "None", "the batch is not written", "leave it out"
    ),
    "a batch of minus one": Mistake(model("input z: [-1, 4]", "output x"), "E106", 3, "-1", "the batch is not written", "leave it out"),
    "a statement as a value": Mistake(
        model("W = param [2, 2]", "output x"), "E101", 3, "param", "there is no `param`", "`param W: [4, 2] ~ he_normal`"
    ),
    "a power that is written high": Mistake(model("output y = x² + 1"), "E101", 3, "x²", "there is no `x²`", "written `x ^ 2`"),
    "the number e": Mistake(model("output y = e^x"), "E101", 3, "e", "there is no `e`", "e^x is written `exp(x)`"),
    "the number of the circle": Mistake(model("output y = π * x"), "E101", 3, "π", "there is no `π`", "did you mean `pi`?"),
    "a matrix turned as in Python": Mistake(model("output y = x.T"), "E101", 3, "x.T", "there is no `x.T`", "`transpose(x)`"),
    "a product with a bracket": Mistake(
        model("output y = 2(x + 1)"), "E106", 3, "2", "only a name can be called", "a product is written `2 * (...)`"
    ),
    "a product of a value with a bracket": Mistake(
        model("output y = x(x + 1)"), "E106", 3, "x", "`x` is [4], not a function", "a product is written `x * (...)`"
    ),
    "a container of layers": Mistake(
        model("output y = x -> nn.Sequential(dense(3))"), "E101", 3, "nn.Sequential", "there is no `nn.Sequential`", "`x -> dense(8)"
    ),
    "an activation as a layer of Keras": Mistake(
        model('output y = x -> Activation("relu")'), "E101", 3, "Activation", "there is no `Activation`", "a stage of its own"
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
        model("output y = x -> dense(3, init = relu)"), "E106", 3, "relu", "the fn `relu` is not an init", "known are"
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
    "a size that is left open": Mistake(
        model("output y = reshape(x, [2, -1])"), "E106", 3, "[2, -1]", "a shape is a list of sizes", "is written, too: `[2, 2]`"
    ),
    "a size that cannot be": Mistake(model("output y = reshape(x, [3, -1])"), "E106", 3, "[3, -1]", "a shape is a list of sizes"),
    "a value as a stage": Mistake(model("output y = x -> x"), "E106", 3, "x", "`x` is [4], not a function or layer"),
    "a network with a size of the data": Mistake(
        "model M {\n  input x: [T, 4]\n  output y = x -> flatten -> dense(3)\n}", "E106", 3, "dense(3)", "known only at run time, `4*T`",
        "or the last element, `x[-1]`, before it",
    ),
    "a class as a vector": Mistake(
        "model M {\n  input k: class(4)\n  output y = k -> dense(3)\n}", "E202", 3, "dense(3)", "`x` is [], expected [*s, n]", "one_hot"
    ),
    "a class that is none": Mistake(
        model("target y: [3]", "z = x -> dense(3)", "output z", "loss cross_entropy(z, y)"), "E106", 6, "y",
        "expected a class number, got [3]", "class(N)",
    ),
    "a rate in quotes": Mistake(
        training("  epochs 3", '  optimizer sgd("0.1")'), "E106", 8, '"0.1"', "the learning rate is a number"
    ),
    "a state that becomes a matrix": Mistake(
        "optimizer o(lr) {\n  state s = 0\n  s <- s + stack(g, g)\n  w <- w - lr * s\n}\n"
        + training("  epochs 3", "  optimizer o(0.1)"), "E202", 3, "s + stack(g, g)", "this is [2, n], in the place of [n]",
        "have one shape",
    ),
    "a setting that is drawn": Mistake(
        training("  epochs 3", "  optimizer momentum(lr = 1, mu = sum(random(2)))"), "E106", 8, "sum(random(2))",
        "`mu` of the optimizer `momentum` is a number, not []",
    ),
    "an init that asks for the data": Mistake(
        model("param W: [4, 2] ~ normal(0, x)", "output y = x @ W"), "E106", 3, "x", "`std` of the init `normal` is a number"
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
    "a state that is not declared": Mistake(
        "optimizer o(lr) {\n  m <- 0.9 * m + g\n  w <- w - lr * m\n}\n" + training("  epochs 3", "  optimizer o(0.1)"), "E108", 2, "m",
        "`m` is neither `w` nor a state", "`state m = 0`",
    ),
    "a list of decay rates": Mistake(
        training("  epochs 3", "  optimizer adam(beta1 = [0.9, 0.99])"), "E201", 8, "adam(beta1 = [0.9, 0.99])",
        "shapes [2] and [n] do not fit together",
    ),
    "a misspelt optimizer": Mistake(
        training("  epochs 3", "  optimizer adma(lr = 0.1)"), "E101", 8, "adma", "there is no optimizer `adma`", "did you mean `adam`?"
    ),
    "an optimizer as schedule": Mistake(
        training(*WELL, "  schedule sgd(0.1)"), "E106", 9, "sgd", "the optimizer `sgd` is not a schedule", "cosine"
    ),
    "half an epoch": Mistake(
        training("  epochs 1.5", "  optimizer adam"), "E106", 7, "1.5", "`epochs` is a whole number from 1, not 1.5"
    ),
    "validation in percent": Mistake(training(*WELL, "  validation 10"), "E106", 9, "10", "fraction between 0 and 1, not 10"),
    "no way to train": Mistake(
        model("output y = x -> dense(1)", "loss mse(y, 0)") + "\ntrain { epochs 3 }", "E110", 6, "train", "no optimizer", "optimizer adam"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(MISTAKES))
def test_a_mistake_is_named_where_it_stands(name: str) -> None:
    check(MISTAKES[name])


@pytest.mark.parametrize(("kind", "article"), [("init", "an"), ("optimizer", "an"), ("schedule", "a")])
def test_articles_are_right(kind: str, article: str) -> None:
    line = "init = relu" if kind == "init" else ""
    spec = model(f"output y = x -> dense(3, {line})") if line else training(*WELL[: 1 if kind == "optimizer" else 2], f"  {kind} relu")
    (d,) = diagnostics(spec)
    assert d.message == f"the fn `relu` is not {article} {kind}"


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("(-2)^0.5", "`^` has no value for -2 and 0.5"),
        ("sqrt(-1)", "`sqrt` has no value for -1"),
        ("log(0)", "`log` has no value for 0"),
        ("exp(1000)", "this number is too large for the graph"),
        ("1e400", "this number is too large for the graph"),
    ],
)
def test_a_number_that_has_no_value_is_said_with_what_it_is_made_of(formula: str, message: str) -> None:
    (d,) = diagnostics(model(f"output y = x * {formula}"))
    assert (d.code, d.message, d.span.text if d.span else "") == ("E107", message, formula)


@pytest.mark.parametrize(("kind", "name"), [("input", "batch"), ("target", "training"), ("input", "fitting")])
def test_a_name_that_every_model_has_is_taken(kind: str, name: str) -> None:
    (d,) = diagnostics(model(f"{kind} {name}: [4]", "output y = 2 * x", f"loss mse(y, {name})"))
    assert (d.code, d.span.text if d.span else "") == ("E105", name) and d.message.startswith(f"`{name}` is taken: it is ")


@pytest.mark.parametrize(("written", "meant"), [("\u0445", "x"), ("x -> dens\u0435(3)", "dense"), ("\u0430\u0440", "\u0430p")])
def test_letters_of_another_alphabet_are_told_from_those_that_look_the_same(written: str, meant: str) -> None:
    (d,) = diagnostics(model("\u0430p = 2 * x", f"output y = {written}", "output z = \u0430p"))
    assert (d.code, d.fix.text if d.fix else "") == ("E101", meant)
    assert d.help.startswith(f"did you mean `{meant}`? It looks the same, but here stands a Cyrillic small letter ")


@pytest.mark.parametrize(("let", "used"), [("batch", "width"), ("epochs", "three")])
def test_a_name_far_from_all_others_is_not_taken_for_one(let: str, used: str) -> None:
    (d,) = diagnostics(f"let {let} = 16\n" + model(f"output y = x -> dense({used})"))
    assert (d.code, d.help) == ("E101", "")


def test_a_kernel_for_each_example_is_told_that_there_is_one_for_all() -> None:
    spec = "model M { input x: [3, 8, 8]  input s: []  param W: [2, 3, 3, 3] ~ he_normal  output y = convolve(x, W * s) }"
    (d,) = diagnostics(spec)
    assert (d.code, d.message, d.span.text if d.span else "") == (
        "E202",
        "W is one for all examples, and this is [2, 3, 3, 3] for each",
        "W * s",
    )


def test_a_setting_of_the_command_line_that_is_none_offers_the_let() -> None:
    (d,) = Compilation(Source("spec.nn", "let width = 3\n" + model("output x")), {"widht": 4}).diagnostics
    assert (d.code, d.help) == ("E101", "did you mean `width`?")


def test_an_argument_that_a_definition_does_not_expect_is_pointed_at() -> None:
    (d,) = diagnostics(model("output y = x -> dropout(2)"))
    assert (d.code, d.span.text if d.span else "", d.label) == ("E207", "2", "rate is 2")
    (d,) = diagnostics("fn half(x, share) { expect share < 1  return share * x }\n" + model("output y = half(x, share = 3)"))
    assert (d.code, d.span.text if d.span else "", d.message) == ("E207", "3", "`half` expects share < 1")


@pytest.mark.parametrize(
    ("layer", "label"),
    [
        ("batchnorm(4)", "momentum is 4"),
        ("batchnorm(0.9, 4)", "eps is 4"),
        ("layernorm(4)", "axis is 4, x is [4]"),
        ("groupnorm(2, 4)", "eps is 4"),
        ("rmsnorm(4)", "eps is 4"),
        ("instancenorm(4)", "eps is 4"),
        ("standardize(4)", "eps is 4"),
    ],
)
def test_a_normalisation_is_not_told_how_many_channels_there_are(layer: str, label: str) -> None:
    (d,) = diagnostics(model(f"output y = x -> {layer}"))
    assert (d.code, d.span.text if d.span else "", d.label) == ("E207", "4", label)
    assert "how many numbers or channels come in is known" in d.help


@pytest.mark.parametrize("layer", ["batchnorm(1.5)", "batchnorm(momentum = -1)", "batchnorm(eps = -1)", "layernorm(axis = -2)"])
def test_a_normalisation_out_of_its_range_is_an_error(layer: str) -> None:
    (d,) = diagnostics(model(f"output y = x -> {layer}"))
    assert d.code == "E207" and not d.help


@pytest.mark.parametrize(
    ("line", "marked"),
    [
        ('output y = x -> dropout("a")', '"a"'),
        ('output y = x -> dense(2, init = normal(0, "a"))', '"a"'),
        ("output y = x -> dense(2, init = normal(0, -1))", "-1"),
        ('output y = reshape(x, [1, 2, 2]) -> conv(4, "2")', '"2"'),
        ('output y = reshape(x, [1, 2, 2]) -> conv(4, kernel = "2")', '"2"'),
        ("output y = reshape(x, [1, 2, 2]) -> conv(4, 1, groups = 2)", "2"),
        ("output y = x -> layernorm(axis = relu)", "relu"),
        ("output y = x + rank(relu)", "relu"),
        ('output y = x + shape("x")[0]', '"x"'),
    ],
)
def test_an_argument_of_the_wrong_kind_is_marked_itself_and_no_sign_of_the_library_is_spoken_of(line: str, marked: str) -> None:
    (d,) = diagnostics(model(line))
    assert d.code in ("E106", "E207") and d.span and d.span.text == marked and "`<" not in d.message


@pytest.mark.parametrize(
    ("line", "expects", "label"),
    [
        ("loss cross_entropy(z, kind, smoothing = 2)", "`cross_entropy` expects smoothing <= 1", "smoothing is 2"),
        ("loss cross_entropy(z, kind, smoothing = -1)", "`cross_entropy` expects smoothing >= 0", "smoothing is -1"),
        ("loss cross_entropy(z, kind, weights = [1, -2, 1, 1])", "`cross_entropy` expects weights >= 0", "weights is [1, -2, 1, 1]"),
        ("metric top_k(z, kind, k = 0)", "`top_k` expects k >= 1", "k is 0"),
        ("metric top_k(z, kind, k = 1.5)", "`top_k` expects k % 1 == 0", "k is 1.5"),
        ("loss huber(z, x, delta = -1)", "`huber` expects delta > 0", "delta is -1"),
        ("loss triplet(z, x, x, margin = -1)", "`triplet` expects margin >= 0", "margin is -1"),
        ("output a = clip(x, 2, 1)", "`clip` expects low <= high", "high is 1, low is 2"),
        ("output a = clip(x, [0, 2, 0, 0], 1)", "`clip` expects low <= high", "high is 1, low is [0, 2, 0, 0]"),
        ("output a = x + normal(0, -1)", "`normal` expects std >= 0", "std is -1"),
        ("output a = x * uniform(1, -1)", "`uniform` expects low <= high", "high is -1, low is 1"),
        ("output a = x * bernoulli(3)", "`bernoulli` expects p <= 1", "p is 3"),
        ("param W: [4] ~ truncated_normal(0, -1)  output a = x * W", "`truncated_normal` expects std >= 0", "std is -1"),
    ],
)
def test_an_argument_of_the_library_out_of_its_range_is_an_error(line: str, expects: str, label: str) -> None:
    (d,) = diagnostics(model("target kind: class(4)", "output z = x -> dense(4)", line))
    assert (d.code, d.message, d.label) == ("E207", expects, label)


def test_an_argument_known_only_when_it_runs_is_not_asked_to_be_in_a_range() -> None:
    lines = (
        "param s: [4] = -1",
        "a = clip(x, s, -s) + normal(x, s) + x * bernoulli(sigmoid(x)) + uniform(s, 1)",
        "output b = a * bernoulli([0, 1, 1, 0])",
    )
    assert not diagnostics(model(*lines, "loss huber(b, x, delta = exp(s))", "loss triplet(b, x, s, margin = s)"))


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


@pytest.mark.parametrize(
    ("stage", "guess", "safe"),
    [
        ("nn.Conv2d(3, 16, 3)", "conv", False),
        ("LayerNorm(4)", "layernorm", False),
        ("nn.Linear(10)", "dense", False),
        ("Conv(3, 3)", "conv", False),
        ("BatchNorm(4)", "batchnorm", False),
        ("nn.Flatten()", "flatten", True),
        ("Dense(3)", "dense", True),
        ("Dense(n, bias = false)", "dense", True),
        ("nn.Dropout(0.5)", "dropout", True),
        ("LSTM(3)", "lstm", True),
        ("Dense(units = 3)", "dense", True),
        ("dens(4)", "dense", True),
        ("nn.ReLU", "relu", True),
    ],
)
def test_a_layer_of_another_framework_with_arguments_by_place_is_left_to_the_author(stage: str, guess: str, safe: bool) -> None:
    (d,) = diagnostics("let n = 3\n" + model(f"output y = x -> {stage}"))
    assert d.fix and (d.fix.text, d.fix.safe) == (guess, safe)
    assert d.help.startswith(f"did you mean `{guess}`?") and ("another order" in d.help) is not safe


def test_a_layer_of_the_user_has_its_own_order() -> None:
    (d,) = diagnostics("layer block(x, a, b) = x -> dense(a) -> dense(b)\n" + model("output y = x -> Block(3, 4)"))
    assert d.fix and d.fix.safe


@pytest.mark.parametrize(
    ("report", "help_"),
    [
        ("loss cross_entropy", "`loss cross_entropy(logits, y)`"),
        ('loss "crossentropy"', "`loss cross_entropy(logits, y)`"),
        ('metric "accuracy"', "`metric accuracy(logits, y)`"),
        ("metric top_k", "`metric top_k(logits, y)`"),
        ('loss "what we lose"', "a loss is a formula of values of the model"),
    ],
)
def test_a_loss_or_metric_that_is_only_named_is_shown_its_arguments(report: str, help_: str) -> None:
    (d,) = diagnostics(model("target y: class(3)", "output z = x -> dense(3)", report))
    assert (d.code, d.span and d.span.text) == ("E106", report.partition(" ")[2]) and help_ in d.help


@pytest.mark.parametrize("report", ["loss cross_entropy", "loss nll", "metric accuracy"])
def test_a_class_before_what_says_it_is_put_behind_it(report: str) -> None:
    (d,) = diagnostics(model("target y: class(3)", "output z = x -> dense(3)", f"{report}(y, z)"))
    assert d.code == "E202" and d.help == f"write `{report.partition(' ')[2]}(z, y)`"


def test_a_number_with_commas_is_one() -> None:
    (d,) = diagnostics(model("output y = x -> dense(1,000,000, bias = false)"))
    assert d.fix and (d.code, d.fix.span.text, d.fix.text, d.fix.safe) == ("E104", "1,000,000", "1_000_000", True)


@pytest.mark.parametrize(
    ("stage", "help_"),
    [
        ("lstm(8, return_sequences = false)", "`(x -> lstm(8))[-1]`"),
        ("conv(8, 3)", "`x: [48, 1]` has its channels last, and [1, 48] has them first: `x -> transpose`"),
    ],
)
def test_a_sequence_as_others_lay_it_out_is_shown_how_it_lies_here(stage: str, help_: str) -> None:
    (d,) = diagnostics(f"model M {{\n  input x: [48, 1]\n  output y = x -> {stage}\n}}")
    assert help_ in d.help


def test_only_what_can_stand_in_a_formula_is_offered_there() -> None:
    (d,) = diagnostics(model("output y = adma(x)"))
    assert "adam" not in d.help
    (d,) = diagnostics("let way = adma(0.1)\n" + model("output x"))
    assert d.help == "did you mean `adam`?"


@pytest.mark.parametrize(
    ("line", "help_"), [("h = None", "nothing"), ("h = x * None", "nothing"), ("h = x -> dense(3, bias = None)", "true or false")]
)
def test_none_is_not_taken_for_a_truth(line: str, help_: str) -> None:
    (d,) = diagnostics(model(line, "output x"))
    assert d.code == "E101" and help_ in d.help and "false`" not in d.help and d.fix is None


OWN = """layer block(x, units) = x -> dense(units) -> relu
layer two(x, wide) {
  y = x -> block(wide)
  return y -> block(units = wide)
}
fn half(x, by) = x / by
fn again(x, by) {
  by = relu
  return x + by
}
"""


@pytest.mark.parametrize(
    ("line", "marked", "note"),
    [
        ("h = x -> block(-3)", "-3", "units"),
        ('h = x -> block(units = "24")', '"24"', "units"),
        ("h = x -> two(1.5)", "1.5", "units"),
        ('h = half(3, by = "a") * x', '"a"', "by"),
        ("h = half(3, 0) * x", "x / by", None),  # neither alone is wrong
        ("h = again(3, 2) * x", "by", None),  # it is another value there
    ],
)
def test_what_a_definition_of_the_user_is_given_wrong_is_marked_where_it_is_given(line: str, marked: str, note: str | None) -> None:
    (d,) = diagnostics(OWN + model(line, "output x"))
    assert d.span and (d.span.text, [(place.text, said) for place, said in d.notes]) == (
        marked,
        [(note, "it is used here")] if note else [],
    )
