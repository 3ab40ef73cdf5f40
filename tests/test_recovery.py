"""All mistakes of a file in one run, each once, and none that is only the consequence of another."""

from __future__ import annotations

import pytest
from mistakes import diagnostics, model


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


@pytest.mark.parametrize(
    ("pipeline", "unknown"),
    [
        ("x -> dence(8) -> rleu -> dropot(0.1)", "dence rleu dropot"),
        ("x -> dense(8) -> pool_max(2) -> dropot(0.1)", "dropot"),
        ("nosuch -> rleu -> repeat(2) { dence(8) -> relu }", "nosuch rleu dence"),
        ("x -> [dence(8), rleu -> tanhh] -> contact", "dence rleu tanhh contact"),
        ("x -> dence(8) as late -> late -> relu", "dence"),
    ],
)
def test_stages_after_a_mistake_are_looked_up(pipeline: str, unknown: str) -> None:
    found = diagnostics(f"model M {{ input x: [4]  output y = {pipeline} }}")
    assert [d.message.split("`")[1] for d in found if d.code == "E101"] == unknown.split()
    assert len(found) == max(len(unknown.split()), 1 + ("pool_max" in pipeline))


def test_arguments_behind_a_mistake_are_looked_up() -> None:
    text = "model M { input x: [4] target y: [2]\n output h = x -> desne(2)\n loss mse(h, yy)\n loss other = mae(hh, yyy) }"
    assert [d.span.text for d in diagnostics(text) if d.span] == ["desne", "yy", "hh", "yyy"]


@pytest.mark.parametrize(
    ("lines", "marked"),
    [
        (("output y = x -> dense(3, bais = true, inti = zeros)",), "bais inti"),
        (("output y = x + foo + bar",), "foo bar"),
        (("output y = x -> Dense(3, bais = true, init = zero)",), "Dense zero"),
        (("output y = concat(foo + 1, sum(bar, axs = 0), dense(x, baz))",), "foo bar axs baz"),
        (("h = x -> dense(3, bais = true)", "output y = h * foo -> rleu(bar)"), "bais foo rleu bar"),
        (("h = foo", "if h > 1 { output y = x -> rleu } else { output y = x -> dense(bar) }"), "foo rleu bar"),
        (("h = foo", "output y = scan e in h with s = bar { s = s + e + baz }"), "foo bar baz"),
        (("h = foo", "share enc = dense(bar) -> rleu", "output y = h -> enc"), "foo bar rleu"),
        (("param W: [4, foo] ~ nrmal(bar, 1)", "output y = x @ W"), "foo nrmal bar"),
        (("h = foo", "output y = x", "loss mse(h, bar)", "metric sum(h, axs = 1)"), "foo bar axs"),
    ],
)
def test_all_that_stands_for_nothing_is_said_in_one_run(lines: tuple[str, ...], marked: str) -> None:
    assert [d.span.text for d in diagnostics(model(*lines)) if d.span] == marked.split()


@pytest.mark.parametrize("call", ["h = x -> dense(8, bais = true)", "h = x -> relu )"])
@pytest.mark.parametrize(
    ("definition", "said"),
    [
        ("layer own(x) = x -> dens(3)\n", "dens"),
        ("layer own(x) {\n  h = x -> dense(3, inti = zeros)\n  return h + foo\n}\n", "inti foo"),
        ("layer own(x) {\n  m <- 0.9 * m + foo\n  return x\n}\n", "m foo"),
    ],
)
def test_a_definition_that_is_called_on_what_is_wrong_is_looked_at(definition: str, said: str, call: str) -> None:
    found = [d.span.text for d in diagnostics(definition + model(call, "output y = h -> own")) if d.span]
    assert found == [*said.split(), "bais" if "bais" in call else ")"]


@pytest.mark.parametrize(
    "lines",
    [
        ("h = foo", "k = x -> dense(2) as late -> dense(3)", "output y = k + dense_2.b", "loss sum(late.W)", "expect params(late) == 10"),
        ("h = foo", "g = grad(sum(x^2), x)", "output y = scan e in x with s = 0 { s = s + e * T }", "expect depends(y, g)"),
        ("h = foo", "output y = x -> conv(3, 3, pad = same) -> dropout(if training then 0.1 else 0)", "loss sum(y) / batch"),
    ],
)
def test_what_is_known_is_not_missed_beside_a_mistake(lines: tuple[str, ...]) -> None:
    assert [d.message for d in diagnostics(model(*lines).replace("x: [4]", "x: [T, 4, 4]")) if d.code in ("E101", "E102")] == [
        "there is no `foo` here"
    ]


def test_a_wrong_let_stays_silent_where_it_is_used() -> None:
    found = diagnostics("let n = m\n" + model("output y = x -> dense(n)"))
    assert [(d.code, d.span.text if d.span else "") for d in found] == [("E101", "m")]


def test_a_mistake_in_a_formula_is_not_counted_as_a_broken_expectation_too() -> None:
    (d,) = diagnostics(model("h = x -> dens(3)", "output y = x -> dense(2)", "expect params == 25"))
    assert d.code == "E101"


LET, CALLED = "let n = m\n", "model G {\n  input z: [4]]\n  output g = z -> dense(2)\n}\n"


@pytest.mark.parametrize(
    "spec",
    [
        model("h = x -> dense(8", "output y = x -> dense(2)", "expect params == 25"),
        model("h = x -> dense(8) )", "output y = h -> dense(2)", "expect params == 58"),
        model("output y = x -> dense(2) )", "loss mse(y, 0)", "expect flops > 0", "expect receptive_field(x) == 3"),
        "fn f(x) = = x\n" + model("h = f(x) -> dense(8)", "output y = x -> dense(2)", "expect params == 50"),
        "layer l(x) {\n  y = x -> dense(8))\n  return y\n}\n" + model("h = x -> l", "output y = x", "expect params == 40"),
        LET + model("h = x -> dense(n)", "output y = x -> dense(2)", "expect params == 25"),
        LET + model("if n > 2 { output y = x -> dense(2) } else { output y = x }"),
        LET + model("param W: [_, 3] ~ normal", "h = n * (x @ W)", "output y = x"),
        CALLED + model("output y = G(x)", "expect params == 10"),
        CALLED.replace("input z: [4]]", "input z: [4] [") + model("share g = G", "output y = x -> g", "expect params == 10"),
    ],
)
def test_nothing_is_expected_of_a_model_of_which_a_statement_is_lost(spec: str) -> None:
    (d,) = diagnostics(spec)
    assert d.code != "E207" and d.span


def test_an_expectation_of_a_model_that_lost_nothing_holds_beside_mistakes_elsewhere() -> None:
    whole = model("output y = x -> dense(2)", "expect params == 25")
    trained = whole + "\ntrain {\n  epochs 3\n  optimizer sgd(0.1\n}"
    other = whole.replace("model M", "model Other") + "\n" + model("output y = x -> dense(2) )")
    unused = "fn f(x) = = x\n" + whole
    assert [[d.code for d in diagnostics(spec)] for spec in (trained, other, unused)] == [
        ["E207", "E002"],
        ["E207", "E002"],
        ["E001", "E207"],
    ]


@pytest.mark.parametrize(
    "lines",
    [
        ("h = x -> dense(8) )", "output y = x -> dense(2)", "loss mean(dense_2.W)"),
        ("h = x -> dense(8) )", "output y = x -> dense(2)", "loss mean(x @ dense.W @ ones(shape = [8, 3]))"),
        ("h = x -> dense(8, bais = true)", "output y = x", "loss mean(dense.W)"),
        ("share enc = dense(3)", "h = x -> enc )", "output y = x", "loss mean(enc.dense.W)"),
        ("h = x -> dense(8) as one )", "output y = x", "loss mean(one.W)"),
    ],
)
def test_a_parameter_of_a_layer_that_is_lost_is_not_missed(lines: tuple[str, ...]) -> None:
    assert [d.span.line for d in diagnostics(model(*lines)) if d.span] == [4 if lines[0].startswith("share") else 3]


def test_a_wrong_parameter_of_a_pipeline_that_is_there_is_said_beside_a_statement_that_is_lost() -> None:
    lines = "share enc = dense(3)", "output y = x -> enc", "h = y -> relu )", "loss mean(y @ enc.dense.W)"
    assert [d.code for d in diagnostics(model(*lines))] == ["E002", "E203"]


def found_in(spec: str) -> list[tuple[str, int]]:
    return [(d.code, d.span.line if d.span else 0) for d in diagnostics(spec)]


def test_names_and_shapes_are_checked_beside_mistakes_of_syntax() -> None:
    spec = (
        "let n = 3 +\n"
        "layer block(x, k {\n  return x -> dense(k)\n}\n"
        "model M {\n  input x: [4]\n  h := x -> dense(8)\n  g = x -> rellu\n  k = h -> block(3)\n  z = g @ h\n"
        "  q = x -> dense(5, bais = 3)\n}\n"
        "train { optimzer adam  epochs 3 }\n"
    )
    assert found_in(spec) == [("E001", 1), ("E002", 2), ("E004", 7), ("E101", 8), ("E102", 11), ("E111", 13)]


@pytest.mark.parametrize(
    "spec",
    [
        model("h = x -> -> relu as g", "y = h + g", "output y"),  # what the statement would have named is not missed
        model("param W: [4, 2] ~ ~ ones", "output y = x @ W"),
        model("output x x -> relu"),  # nor is the output, if it may be what cannot be read
        "fn f(x) = = 2 * x\n" + model("output y = f(x)"),
        "layer l(x) {\n  y = = x\n  return y\n}\n" + model("output y = x -> l"),
        "let n = = 3\n" + model("output y = x -> dense(n)"),
        "optimizer o(lr) {\n  w <- <- w\n}\n" + model("output x", "loss sum(x)") + "\ntrain {\n  epochs 3\n  optimizer o(lr = 1)\n}",
        model("output x", "loss sum(x)") + "\ntrain {\n  epochs 3\n  optimizer = adam\n}",
    ],
)
def test_what_cannot_be_read_has_no_consequences(spec: str) -> None:
    assert len(diagnostics(spec)) == 1


def test_a_misspelt_definition_is_one_mistake_and_shows_where_it_stands() -> None:
    (d,) = diagnostics(model("hiden = x -> dense(4)", "a = hidden + 1", "b = hidden * 2", "output a, b"))
    assert (d.code, d.help, [(span.line, text) for span, text in d.notes]) == (
        "E101",
        "did you mean `hiden`?",
        [(3, "`hiden` is made here")],
    )


@pytest.mark.parametrize("sign", ["==", ":=", ":", "<-"])
def test_lines_of_another_language_are_each_a_mistake_also_one_after_the_other(sign: str) -> None:
    lines = f"a {sign} x -> dense(3)", f"b {sign} a -> relu", f"c {sign} b -> dense(2)", "output c", "d = relu(b) == a", "output d"
    found = diagnostics(model(*lines))
    assert [d.span.line for d in found if d.span] == [3, 4, 5]
    assert all("`=`" in (d.help or "") and d.fix and d.fix.text == "=" for d in found)


def test_a_condition_over_two_lines_is_one_statement_after_a_mistake() -> None:
    assert len(diagnostics(model("a = x -> dense(3", "b = (sum(a) == 3) and", "  sum(x) == 4", "output b"))) == 1


def marked(spec: str) -> list[tuple[str, str]]:
    return [(d.code, d.span.text if d.span else "") for d in diagnostics(spec)]


def test_the_mistakes_of_a_train_block_are_all_said_at_once() -> None:
    lines = "data { x = [[1, 2, 3, 4]], q = [1], r = [2] }", "epochs 1", "optimizer adam(lr = 1e-3, beta_1 = 0.9)"
    against_model = "schedule cosine(warmup = -1)", "stop early(val.los, patience = 3)", "freeze conv1, dense, conv2", "minimize msee, ms"
    spec = model("output y = x -> dense(1)", "loss mse(y, 0)") + "\n" + "\n".join(("train {", *lines, *against_model, "}"))
    words = ["[1]", "[2]", "beta_1", "val.los", "conv1", "conv2", "msee", "ms"]
    assert [text for code, text in marked(spec) if code != "E207"] == words
    assert [code for code, _ in marked(spec)] == ["E307", "E307", "E102", "E207", "E402", "E101", "E101", "E101", "E101"]


def test_an_optimizer_and_a_schedule_are_checked_beside_mistakes_of_the_model_and_of_other_blocks() -> None:
    spec = model("output y = x -> dens(1)", "loss mse(y, 0)") + "\ntrain a {\n  epocs 3\n  optimizer adam(beta1 = 2)\n}"
    spec += "\ntrain b {\n  epochs 3\n  optimizer sgd(lr = 0.1)\n  schedule cosine(warmup = -1)\n  freeze nothing\n}"
    assert found_in(spec) == [("E101", 3), ("E111", 7), ("E207", 8), ("E207", 13)]


def test_what_an_optimizer_needs_of_what_cannot_be_read_is_not_missed() -> None:
    spec = "fn f(x) = = x\noptimizer o(lr) {\n  w <- w - f(lr) * g\n}\n" + model("output x", "loss sum(x)")
    assert marked(spec + "\ntrain {\n  epochs 3\n  optimizer o(lr = 1)\n}") == [("E001", "=")]


def test_a_sign_that_stands_twice_is_one_mistake_and_loses_nothing() -> None:
    (d,) = diagnostics(model("h = x -> -> relu", "output h"))
    assert (d.code, d.help, d.fix and d.fix.text) == ("E001", "it stands here twice: leave one out", "")
    assert marked(model("h = = x -> dense(3)", "output y = h -> dens(3)")) == [("E001", "="), ("E101", "dens")]


@pytest.mark.parametrize(
    ("spec", "code"),
    [
        (model("z x -> dense(3) -> relu", "output y = softmax(z)", "loss sum(z * y)"), "E001"),
        (
            model("digit target: class(3)", "z = x -> dense(3)", "output z", "loss cross_entropy(z, digit)", "metric accuracy(z, digit)"),
            "E001",
        ),
        (model("prm W: [4, 2] ~ normal", "output y = x @ W"), "E001"),
        (model("input : z [4]", "output y = x + z"), "E004"),
        (model("= z x -> relu", "output y = x + z"), "E001"),
        ("let = n 3\n" + model("output y = x -> dense(n)"), "E001"),
        (model("h… = x -> dense(3)", "output y = h"), "E001"),
        (model("h, n scan e in x with s = 0, k = 0 { s = s + e  k = k + 1 }", "output y = h * n"), "E001"),
        (model("if sum(x) > 0 { y = 2 * x  z = x } else { y = x }", "w = y + 1", "output w, z"), "E107"),
        (
            model("if wrong { param W: [4] ~ ones  y = x -> dense(2) as e } else { output y = x }", "loss sum(y * W)", "metric sum(e)"),
            "E101",
        ),
    ],
)
def test_a_name_that_is_lost_with_its_statement_is_not_missed(spec: str, code: str) -> None:
    assert [c for c, _ in marked(spec)] == [code]


def test_lines_side_by_side_that_do_not_begin_as_statements_are_each_a_mistake() -> None:
    assert found_in(model("inptu z: [3]", "prm V: [4, 3] ~ normal", "otput h = x @ V", "output y = h + z")) == [
        ("E001", 3),
        ("E001", 4),
        ("E001", 5),
    ]


def test_what_a_test_does_not_give_is_said_once_and_not_where_what_it_gives_is_wrong() -> None:
    spec = model("target t: [1]", "output y = x -> dense(1)", "loss mse(y, t)")
    asks = "  expect loss ~= 3\n  expect 2 * loss ~= 3\n  expect y ~= [3]\n  steps 1 with sgd(lr = 1)\n"
    assert marked(f'{spec}\ntest "nothing" of M {{\n{asks}}}') == [("E103", "loss ~= 3")]
    wrong = "  given x = [[1, 2]]\n  given t = [1]\n", "  given z = 1, t = [1]\n", "  given x = [wrong]\n"
    assert [len(marked(f'{spec}\ntest "wrong" of M {{\n{given}{asks}}}')) for given in wrong] == [1, 1, 1]
