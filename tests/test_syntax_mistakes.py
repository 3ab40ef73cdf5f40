"""What is said of a text that the grammar does not know, in the words of the language."""

from __future__ import annotations

import pytest
from mistakes import Mistake, check, diagnostics, model, training

from nnspec.compile import Compilation
from nnspec.diagnostics import Source
from nnspec.fixes import repaired
from nnspec.lsp.complete import SETTINGS as SETTINGS_OF_TRAININGS
from nnspec.syntax.words import SETTING_WORDS

MISTAKES = {
    "a misspelt statement": Mistake(
        model("outptu x"), "E001", 3, "outptu", "`outptu` does not start a statement", "did you mean `output`?"
    ),
    "a misspelt definition": Mistake("modle M {\n}", "E001", 1, "modle", "`modle` cannot stand here", "did you mean `model`?"),
    "an argument's name without =": Mistake(
        model("output y = x -> dropout(rate 0.5) -> dense(2)"), "E006", 3, "0.5", "a sign is missing before `0.5`",
        "an argument by its name is `rate = 0.5`; between two values stands `,`",
    ),
    "two values without a comma": Mistake(model("output y = dense(x 3)"), "E006", 3, "3", "`,` is missing before `3`", "write `,`"),
    "a line that goes on without an arrow": Mistake(
        model("y = x", "  relu -> dense(3)", "output y"), "E001", 4, "relu", "does not start a statement", "begin with `->`: `-> relu ...`"
    ),
    "a value without a name": Mistake(
        model("relu(x) -> dense(3)", "output x"), "E001", 3, "relu", "does not start", "a value needs a name, `h = relu ...`"
    ),
    "a missing value": Mistake(model("y = x ->", "output y"), "E001", 3, "->", "a value is missing after `->`"),
    "the power of Python": Mistake(model("output y = x ** 2"), "E004", 3, "**", "`**` is a sign of other languages", "x ^ 2"),
    "no colon": Mistake("model M {\n  input x [4]\n  output x\n}", "E006", 2, "[", "`:` is missing before `[`", "write `:`"),
    "branches that are not joined": Mistake(
        model("output y = x -> [dense(3), dense(2)]"), "E106", 3, "y", "an output is a tensor, not [[3], [2]]", "-> concat(axis = 0)"
    ),
    "branches in a function": Mistake(
        model("output y = x -> [dense(2), dense(2)] -> relu"), "E106", 3, "relu", "a list of branches", "-> concat"
    ),
    "a shared pipeline in braces": Mistake(
        model("share e = { dense(4) -> relu }", "output y = x -> e"), "E004", 3, "{", "without braces", "leave them out"
    ),
    "a branch in braces": Mistake(
        model("output y = x -> [identity, { tanh }] -> add"), "E004", 3, "{", "without braces", "leave them out"
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
    "a choice in a sum": Mistake(
        model("y = 1 + if x[0] > 0 then 1 else 0", "output y"), "E004", 3, "if", "`if` stands in parentheses", "`(if ...)`"
    ),
    "a choice of a condition in brackets": Mistake(
        model("y = 2 * if (x[0] > 0) then 1 else 0", "output y"), "E004", 3, "if", "`if` stands in parentheses", "`(if ...)`"
    ),
    "a loop in a product": Mistake(
        model("y = x * scan e in x with h = 0 { h = h + e }", "output y"), "E004", 3, "scan", "`scan` stands in parentheses", "`(scan ...)`"
    ),
    "a pipeline after a choice": Mistake(
        model("y = if rank(x) == 1 then x else x -> dense(3)", "output y"), "E001", 3, "->", "`->` cannot stand here", "else (x -> f)"
    ),
    "a pipeline in a choice": Mistake(
        "layer f(x) =\n  if rank(x) == 1 then x -> dense(3) else x\n" + model("output y = x -> f"),
        "E001", 2, "->", "`->` cannot stand here", "(if c then x else y) -> f",
    ),
    "a parameter without `~`": Mistake(
        model("param q: [4, 1] normal(0, 0.1)", "output y = x @ q"), "E006", 3, "normal", "`~` is missing before `normal`", "write `~`"
    ),
    "a state without `=`": Mistake(
        model("state q: [4] zeros", "output y = x * q"), "E006", 3, "zeros", "`=` is missing before `zeros`", "write `=`"
    ),
    "a value outside of all": Mistake("width = 16\n" + model("output y = x -> dense(width)"), "E001", 1, "width", "", "`let width = ...`"),
    "two `_` in a number": Mistake(model("output y = x * 1__0"), "E004", 3, "1__0", "`1__0` is no number", "a number is written"),
    "a number that ends in `_`": Mistake(model("output y = x * 1_"), "E004", 3, "1_", "`1_` is no number", "a number is written"),
    "a digit of another script": Mistake(model("output y = x * \u0663"), "E001", 3, "\u0663", "`\u0663` has no meaning in the language"),
    "a mark that no letter has": Mistake(
        model("c\u0303 = x * 2", "output x"), "E007", 3, "c\u0303", "cannot be a name", "write `c_tilde`"
    ),
    "a truth as a name": Mistake("let true = 3\n" + model("output x"), "E001", 1, "true", "`true` cannot stand here"),
    "a truth as an input": Mistake(model("input false: [4]", "output x"), "E001", 3, "false", "`false` cannot stand here"),
    "an open bracket": Mistake(model("output y = x -> dense(3"), "E002", 3, "(", "`(` is never closed"),
    "a line that begins a model, twice": Mistake(
        "model M {\n" + model("output y = x"), "E002", 1, "{", "`{` is never closed", "leave one of them out"
    ),
    "a model without the line that begins it": Mistake(
        "let n = 2\n\n" + model("output y = x", "loss mse(y, x)").partition("\n")[2], "E002", 3, "input", "`}` closes nothing"
    ),
    "a training without the line that begins it": Mistake(
        model("output y = x") + "\n  data digits\n  epochs 3\n}", "E002", 5, "data", "`}` closes nothing"
    ),
    "a stage without its arrow below others": Mistake(
        model("h = x", "  -> dense(3)", "  dense(4)", "output y = h @ [1, 2, 3, 4]"),
        "E001", 5, "dense", "`dense` does not start a statement", "to go on with the line above",
    ),
    "what a layer gives, without its word": Mistake(
        "layer mlp(x) {\n  h = x -> dense(4)\n  h -> relu\n}\n" + model("output y = x -> mlp"),
        "E001", 3, "h", "`h` does not start a statement", "`return h ...`",
    ),
    "a layer without the argument that it is for": Mistake(
        "layer twice(units) = z -> dense(units)\n" + model("output y = x -> twice(3)"), "E101", 1, "z", "there is no `z` here"
    ),
    "an open text": Mistake(model('output y = "abc'), "E001", 3, '"', "a text is not closed"),
    "a version of the future": Mistake("nnspec 2\n" + model("output x"), "E109", 1, "2", "reads version 1 of the language"),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(MISTAKES))
def test_a_mistake_is_named_where_it_stands(name: str) -> None:
    check(MISTAKES[name])


def test_several_mistakes_of_syntax_are_reported_in_one_run() -> None:
    found = diagnostics(model("a = x +", "b = * 3", "output a b"))
    assert [(d.code, d.span.line if d.span else 0) for d in found] == [("E001", 3), ("E001", 4), ("E006", 5)]


def test_a_very_long_sum_is_no_mistake() -> None:
    assert not diagnostics(model("output y = " + " + ".join(["x"] * 500)))


@pytest.mark.parametrize("formula", ["-" * 5000 + "x", "x" + " ^ 1" * 3000])
def test_a_formula_nested_without_end_is_one_error(formula: str) -> None:
    (d,) = diagnostics(model(f"output y = {formula}"))
    assert d.code == "E502"


SLIPS = {
    # the line as it was written: code, what is marked, what stands there after the fix (None where there is none)
    "h := x": ("E004", ":=", "h = x"),
    "h == x": ("E004", "==", "h = x"),
    "h = x => relu": ("E004", "=>", "h = x -> relu"),
    "h = x → relu": ("E004", "→", "h = x -> relu"),
    "h = x |> relu": ("E004", "|>", "h = x -> relu"),
    "h = x -> relu;": ("E004", ";", "h = x -> relu"),
    "h = x -> relu // hidden": ("E004", "//", "h = x -> relu # hidden"),
    "h = x -> dense(3, init = 'ones')": ("E004", "'ones'", 'h = x -> dense(3, init = "ones")'),
    "h = x -> dense(3, init = “ones”)": ("E004", "“ones”", 'h = x -> dense(3, init = "ones")'),
    "h = if 1 < 2 && 2 < 3 then x else x": ("E004", "&&", "h = if 1 < 2 and 2 < 3 then x else x"),
    "h = if !(1 < 2) then x else x": ("E004", "!", "h = if not (1 < 2) then x else x"),
    "h = x × 2": ("E004", "×", "h = x * 2"),
    "h = x > 0 ? x : 0": ("E004", "?", None),
    "h = x if x > 0 else 0": ("E004", "if x > 0 else 0", None),
    "h += x": ("E004", "h += ", None),
    "h = x * 1e−3": ("E004", "1e−3", "h = x * 1e-3"),
    "h = (1, 2)": ("E004", "(1, 2)", "h = [1, 2]"),
    "h = x -> (lambda a: a)": ("E005", "lambda a:", None),
    "if 1 < 2 then x else 0 * x": ("E001", "then", None),
    "h = x -> dense{3}": ("E004", "dense{3}", "h = x -> dense(3)"),
    "h = x * .5": ("E004", ".5", "h = x * 0.5"),
    "h = x * 1.": ("E004", "1.", "h = x * 1.0"),
    "h = x * 1e": ("E004", "1e", None),
    "for i in 3 { x }": ("E005", "for", None),
    "- dense: 3": ("E005", "  - dense: 3", None),
    "h = x -> conv(4 3)": ("E006", "3", "h = x -> conv(4, 3)"),
    "h = x -> dense(units: 3)": ("E006", ":", "h = x -> dense(units= 3)"),
    "h = 2 x": ("E006", "x", "h = 2 * x"),
    "h = sin(2 x)": ("E006", "x", None),
    "h = x -> conv(4, 3 pad = same)": ("E006", "pad", "h = x -> conv(4, 3, pad = same)"),
    "h = x dense(3)": ("E006", "dense", "h = x -> dense(3)"),
    "h: x -> dense(3)": ("E006", ":", "h= x -> dense(3)"),
    "h = 2x": ("E004", "2x", "h = 2 * x"),
    "h = |x|": ("E004", "|x|", "h = abs(x)"),
    "loss |x - 1|": ("E004", "|x - 1|", "loss abs(x - 1)"),
    "h = 2|x - 1|": ("E004", "|x - 1|", None),
    "loss ||x - 1||^2": ("E004", "||x - 1||^2", "loss sum((x - 1)^2)"),
    "loss || x ||²": ("E004", "|| x ||²", "loss sum(x^2)"),
    "h = ||x||_2^2 + 1": ("E004", "||x||_2^2", "h = sum(x^2) + 1"),
    "h = ‖x - 1‖": ("E004", "‖x - 1‖", "h = sqrt(sum((x - 1)^2))"),
    "h = ||x||_1": ("E004", "||x||_1", "h = sum(abs(x))"),
    "h = 0.1||x||^2": ("E004", "||x||", None),
    "h = if 1<2||2<3 then x else 0 * x": ("E004", "||", "h = if 1<2 or 2<3 then x else 0 * x"),
    "h = if 1 < 2 ∧ 2 < 3 then x else 0 * x": ("E004", "∧", "h = if 1 < 2 and 2 < 3 then x else 0 * x"),
    "h = if ¬(1 < 2) then x else 0 * x": ("E004", "¬", "h = if not (1 < 2) then x else 0 * x"),
    "h = x⊤": ("E004", "⊤", None),
    "h = ∇x": ("E004", "∇", None),
    "h = x ∈ x": ("E004", "∈", None),
    "h = √((x + 1) * x)": ("E004", "√", None),
    "h = 2√x": ("E004", "√x", "h = 2 sqrt(x)"),
    "h = x_{1} + x": ("E004", "x_{1}", "h = x_1 + x"),
    "param W_{hh}: [4] = 1": ("E004", "W_{hh}", "param W_hh: [4] = 1"),
    "h = x_{t-1}": ("E004", "x_{t-1}", None),
    "h = x^{2}": ("E004", "^{2}", "h = x^2"),
    "h = x^{1 + 1}": ("E004", "^{1 + 1}", "h = x^(1 + 1)"),
    "h = \\sigma(x)": ("E004", "\\sigma", "h = sigma(x)"),
    "h = x - > relu": ("E004", "- >", "h = x -> relu"),
    "h = -> relu": ("E004", "->", None),
    "h = x -> relu -- hidden": ("E004", "--", "h = x -> relu # hidden"),
    "h = sin(5.)": ("E004", "5.", "h = sin(5.0)"),
    "h = clip(x, 0., 1)": ("E004", "0.", "h = clip(x, 0.0, 1)"),
    "param W [4] = 1": ("E006", "[", "param W: [4] = 1"),
    "h = (x  tanh)": ("E006", "tanh", None),
    "h = x -> { tanh }  relu": ("E006", "relu", "h = x -> { tanh } ->  relu"),
    "h = x -> repeat(2) { dense(4) }  layernorm": ("E006", "layernorm", "h = x -> repeat(2) { dense(4) } ->  layernorm"),
    "h = x -> dense ... (3)": ("E004", "...", None),
    "param W: 2x1 = 0": ("E004", "param W: 2x1", "param W: [2, 1] = 0"),
    "param W: 2 × 3 x 4 = 0": ("E004", "param W: 2 × 3 x 4", "param W: [2, 3, 4] = 0"),
    "h = 𝐱 * 2": ("E101", "𝐱", "h = x * 2"),
    "h = ½ * x": ("E101", "½", None),
    "h = 0.5 (x - 1)^2": ("E106", "0.5", None),
    "h = 3 3": ("E001", "3", None),
    "h = 2 \\cdot x": ("E004", "\\cdot", "h = 2 * x"),
    "h = \\frac{x}{2}": ("E004", "\\frac{x}{2}", "h = ((x) / (2))"),
    "h = 2 * |x - 1| + x": ("E004", "|x - 1|", "h = 2 * abs(x - 1) + x"),
    "h = x ⊙ x": ("E004", "⊙", "h = x * x"),
    "h = x ÷ 2": ("E004", "÷", "h = x / 2"),
    "h = if x[0] <> 0 then x else x": ("E004", "<>", "h = if x[0] != 0 then x else x"),
    "h = x | relu": ("E004", "|", None),
    "h = x!": ("E004", "!", None),
    "h = x[::2]": ("E004", "::2", None),
    "h = (x + 1)²": ("E004", "²", None),
    "h = x -> dense 4": ("E004", "-> dense 4", "h = x -> dense(4)"),
    "h = √x": ("E004", "√x", "h = sqrt(x)"),
    "h = √(x + 1)": ("E004", "√(x + 1)", "h = sqrt(x + 1)"),
    "h = ∑ x": ("E004", "∑", None),
    "h = x'": ("E004", "'", None),
    "output: x": ("E004", "output: ", "output x"),
    "input: z [4]": ("E004", "input: z ", "input z: [4]"),
    "input z: 4": ("E004", "input z: 4", "input z: [4]"),
    "2h = x": ("E007", "2h", "h2 = x"),
    "my-h = x": ("E007", "my-h", "my_h = x"),
    "loss = x -> dense(3)": ("E007", "loss =", "loss x -> dense(3)"),
    "state = x -> dense(3)": ("E007", "state =", None),
    "h = if 0 < x[0] < 1 then x else 0 * x": ("E004", "0 < x[0] <", "h = if 0 < x[0] and x[0] < 1 then x else 0 * x"),
    "h = 0 < x < 1": ("E004", "0 < x <", "h = 0 < x and x < 1"),
    "h = 1 + 0 <= 2 * x < x": ("E004", "0 <= 2 * x <", "h = 1 + 0 <= 2 * x and 2 * x < x"),
    "h = if 0 < x < 1 then x else 0": ("E004", "0 < x <", "h = if 0 < x and x < 1 then x else 0"),
    "h = x -> repeat(3, dense(8) -> relu)": ("E004", "repeat(3,", None),
    "h = softmax（x，axis＝0）  # （x）": ("E001", "（", "h = softmax(x,axis=0)  # （x）"),
    "input z": ("E006", "z", None),
    "output softmax(x)": ("E001", "(", "output p = softmax(x)"),
    "output x -> softmax": ("E001", "->", "output p = x -> softmax"),
    "output h = x, x + 1": ("E001", "+", "output h = x, p = x + 1"),
    "share e = dense(3) as q -> relu": ("E001", "as", None),
    "h = x * 0,5": ("E004", "0,5", "h = x * 0.5"),
    "h = x * (0,5 + 1)": ("E004", "0,5", "h = x * (0.5 + 1)"),
    "h = x * 0,5 + 1,25": ("E004", "0,5", "h = x * 0.5 + 1,25"),
    "h = x + 1,5e-3": ("E004", "1,5e-3", "h = x + 1.5e-3"),
    "h = x + 1,000": ("E004", "1,000", "h = x + 1_000"),
    "h = x + 1,250": ("E004", "1,250", None),
    "h = x -> conv(4, (3,3))": ("E004", "(3,3)", "h = x -> conv(4, [3,3])"),
    "h = sgd(lr = 0,5)": ("E104", "0,5", "h = sgd(lr = 0.5)"),
    "h = x -> dropout(0,25)": ("E104", "0,25", "h = x -> dropout(0.25)"),
    "h = [0,05, 1]": ("E104", "0,05", "h = [0.05, 1]"),
    "h = x, 2": ("E001", ",", None),
    "h = 1,k = 2": ("E001", ",", "h = 1 k = 2"),
    "input z: [4], t: [2]": ("E004", ",", "input z: [4] input t: [2]"),
    "input z: class(3), t: [2]": ("E004", ",", "input z: class(3) input t: [2]"),
    "input z, t: [2]": ("E004", "input z,", None),
    "h = x -> dense(3),": ("E001", ",", "h = x -> dense(3)"),
}


@pytest.mark.parametrize("line", SLIPS)
def test_a_slip_is_called_by_its_name_and_mended(line: str) -> None:
    code, marked, mended = SLIPS[line]
    (d,) = diagnostics(model(line, "output x"))
    assert d.span and (d.code, d.span.line, d.span.text) == (code, 3, marked)
    assert d.help or d.label
    text = d.fix and d.span.source.text[: d.fix.span.start] + d.fix.text + d.span.source.text[d.fix.span.end :]
    assert (text and text.splitlines()[2].rstrip()) == (mended and f"  {mended}")


@pytest.mark.parametrize(
    ("spec", "line", "label"),
    [
        ("model M {\n  input x: [4]\n  output x\n\ntrain {\n  epochs 3\n  optimizer adam\n}", 4, "a `}` is missing here"),
        ("layer l(x) {\n  return x\nmodel M {\n  input x: [4]\n  output x\n}", 3, "a `}` is missing before this"),
        ("model M\n  input x: [4]\n  output x\n}", 1, "what ends below begins with `{`"),
        ("model M {\n  input x: [4]\n  if training\n    h = x\n  }\n  output x\n}", 3, "what ends below begins with `{`"),
        ("model M {\n  input x: [4]\n  if training {\n    h = x\n\n  output x\n}", 5, "a `}` is missing here"),
        ("model M {\n  input x: [4]\n  y = x -> repeat(2) { dense(4) -> relu\n  output y\n}", 3, "opened here, and ends with `}`"),
        ("model M {\n  input x: [4]\n  y = x -> repeat(2) dense(4) -> relu }\n  output y\n}", 3, "no `{` is open here"),
        ("model M {\n  input x: [4\n  output x\n}", 2, "opened here, and ends with `]`"),
        ("model M {\n  input x: [4]\n  output y = x -> dense(3\n}", 3, "the arguments of `dense` end with `)`"),
        ("model M {\n  input x: [4]\n  output y = x -> dense 3)\n}", 3, "no `(` is open here"),
    ],
)
def test_the_layout_tells_which_bracket_is_at_fault(spec: str, line: int, label: str) -> None:
    (d,) = diagnostics(spec)
    assert (d.code, d.span.line if d.span else 0, d.label) == ("E002", line, label)


@pytest.mark.parametrize(
    ("lines", "marked", "help_"),
    [
        (["param W: [4, 4] ~ he_normal", "y = W x", "output y"], "x", "a product is written `* x`, of matrices `@ x`"),
        (["param W: [4, 4] ~ he_normal", "output y = W x"], "x", "of matrices `@ x`"),
        (["param W: [4, 4] ~ he_normal", "output y = relu(W x)"], "x", "write `,` before it; a product is written `* x`"),
        (["y = abs x", "output y"], "x", "`abs(x)`"),
        (["y = x for i in x", "output y"], "for", "`repeat(n) { p }` repeats a stage"),
        (["input z: [?, 4]", "output x"], "[?, ", "leave the first size out"),
        (["target t: class", "output x"], "class", "`class(10)`"),
        (["target t: int", "output x"], "int", "one number is `int[]`"),
        (["target t: label", "h = x", "output h"], "label", "`class(10)`"),
    ],
)
def test_what_others_write_is_shown_as_it_is_written_here(lines: list[str], marked: str, help_: str) -> None:
    (d, *_) = diagnostics(model(*lines))
    assert d.span and (d.span.text, d.fix and d.fix.safe) == (marked, False if marked == "[?, " else None)
    assert help_ in d.help


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("h = x -> dense(4) -> relu + x", "h = (x -> dense(4) -> relu) + x"),
        ("h = x -> dense(4, bias = false)\n  -> relu * 2", "h = (x -> dense(4, bias = false)\n  -> relu) * 2"),
        ("loss x -> dense(1) - 3", "loss (x -> dense(1)) - 3"),
        ("output p softmax(x)", "output p = softmax(x)"),
        ("output p x -> softmax", "output p = x -> softmax"),
        ("h = x\noutput x h", "h = x\noutput x, h"),
        ("h = = x", "h = x"),
        ("h = x -> dense(0x10)", "h = x -> dense(16)"),
        ("h = x -> dense(0b11, bias = false)", "h = x -> dense(3, bias = false)"),
        ("h = x -> dense(1_000 bias = false)", "h = x -> dense(1_000, bias = false)"),
        ("h = max(1e3 x)", "h = max(1e3 x)"),
        ("input z -> [3]", "input z : [3]"),
    ],
)
def test_a_fix_that_is_offered_makes_what_was_meant(written: str, meant: str) -> None:
    done = repaired(Source("spec.nn", model(written, "output y = x")), lambda source: Compilation(source, {}).diagnostics)
    assert done.source.text.split() == model(meant, "output y = x").split()


def test_a_pipeline_that_may_go_on_behind_a_sign_is_put_into_parentheses_by_the_author() -> None:
    (d,) = diagnostics(model("h = x -> relu + x -> tanh", "output h"))
    assert d.fix and (d.fix.text, d.fix.safe) == ("(x -> relu)", False) and "`(x -> relu) + ...`" in d.help
    (d,) = diagnostics("model M { input x: [4]  h = x -> relu + x  output h }")
    assert d.fix is None and "`(x -> relu) + ...`" in d.help


def test_a_let_gets_its_value_by_its_sign_whatever_stands_there() -> None:
    for sign in ("<-", "->", ":", "~"):
        (d,) = diagnostics(f"let a {sign} 3\n" + model("output y = x * a"))
        assert (d.message, d.fix and d.fix.text) == (f"`=` belongs here, not `{sign}`", "=")


def test_a_number_to_another_base_in_a_setting_is_one_mistake_where_it_stands() -> None:
    lines = "epochs 0x10", "batch 0b11", "optimizer adam(lr = 0.1)", "stop early(loss, patience = 0o7)", "seed 0 # 0x10"
    found = diagnostics(training(*lines))
    assert [(d.span and d.span.text, d.help) for d in found] == [("0x10", "write `16`"), ("0b11", "write `3`"), ("0o7", "write `7`")]
    done = repaired(Source("spec.nn", training(*lines)), lambda source: Compilation(source, {}).diagnostics)
    assert done.diagnostics == () and "epochs 16" in done.source.text and "# 0x10" in done.source.text


@pytest.mark.parametrize(
    ("block", "marked", "help_"),
    [
        ("model:\n  - dense: 3\n  - relu", "model:", "`model Net {"),
        ("model: # a comment\n  layers:\n    - dense: 3", "model:", "`model Net {"),
        ("model M:\n  input x: [3]\n  output y = x", "model M:", "`model M { ... }`"),
        ("layer f(x, n):\n  return x -> dense(n)", "layer f(x, n):", "`layer f(x, n) { ... }`"),
        ("train:\n  epochs: 3\n  optimizer: adam", "train:", "`train { ... }`"),
    ],
)
def test_a_block_by_its_indent_is_one_mistake_that_shows_the_braces(block: str, marked: str, help_: str) -> None:
    (d, *others) = diagnostics(f"{block}\n" + ("" if block.startswith("model") else model("output x")))
    assert d.span and (d.code, d.span.text) == ("E004", marked) and help_ in d.help and not others


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("h = x * 0,5 + 1,25", "h = x * 0.5 + 1.25"),
        ("h = x * 1,2,3", "h = x * 1,2,3"),
        ("input t: [2], u: class(3), v: [4]", "input t: [2]\ninput u: class(3)\ninput v: [4]"),
        ("h = 1,k = 2", "h = 1\nk = 2"),
    ],
)
def test_no_fix_of_a_comma_makes_another_number_or_drops_an_input(written: str, meant: str) -> None:
    spec = model(*written.splitlines(), "output y = 0.5 * x")
    done = repaired(Source("spec.nn", spec), lambda source: Compilation(source, {}).diagnostics)
    assert done.source.text.split() == model(*meant.splitlines(), "output y = 0.5 * x").split()


@pytest.mark.parametrize(
    ("setting", "better"),
    [
        ("optimizer sgd 0.1", "optimizer sgd(0.1)"),
        ("penalty l2 1e-4", "penalty l2(1e-4)"),
        ("clip norm 5", "clip norm(5)"),
        ("stop early 3", "stop early(val.loss, patience = 3)"),
    ],
)
def test_arguments_of_a_setting_without_brackets_are_put_into_some(setting: str, better: str) -> None:
    (d,) = diagnostics(training("epochs 3", *([] if "optimizer" in setting else ["optimizer adam"]), setting))
    assert (d.code, d.span and d.span.text) == ("E004", setting) and better in d.help


@pytest.mark.parametrize(
    ("setting", "better"),
    [
        ("optimizer sgd(lr = 0,5)", "0.5"),
        ("optimizer sgd(0,05)", "0.05"),
        ("validation 0,2", "0.2"),
        ("batch 1,000", "1_000"),
        ("penalty l2(0,01)", "0.01"),
        ("clip norm(0,5)", "0.5"),
    ],
)
def test_a_decimal_comma_in_a_setting_is_named(setting: str, better: str) -> None:
    (d,) = diagnostics(training("  epochs 3", *([] if "optimizer" in setting else ["  optimizer adam"]), f"  {setting}"))
    assert (d.code, d.fix and (d.fix.text, d.fix.safe)) == ("E104", (better, True)) and "is not one number" in d.message


@pytest.mark.parametrize("share", ["validation 20%", "test 20%"])
@pytest.mark.parametrize("after", ["batch 4", "optimizer sgd(lr = 1)", "stop early(val.loss, patience = 3)", ""])
def test_a_share_in_percent_is_named_whatever_follows(share: str, after: str) -> None:
    (d, *_) = diagnostics(training("  epochs 3", f"  {share}", f"  {after}"))
    assert d.span and (d.code, d.span.text) == ("E004", "20%") and "0.1" in d.help


def test_what_an_optimizer_changes_is_shown_its_arrow() -> None:
    (d,) = diagnostics("optimizer mine(lr) {\n  w -= lr * g\n}\n" + model("output x"))
    assert "`w <- w - ...`" in d.help


@pytest.mark.parametrize("setting", ["optimizer == adam", "optimizer := adam", "optimizer: adam", "optimizer => adam", "optimizer <- adam"])
def test_a_setting_has_no_sign_of_any_kind(setting: str) -> None:
    done = repaired(Source("spec.nn", training("  epochs 3", f"  {setting}")), lambda source: Compilation(source, {}).diagnostics)
    assert done.source.text.split() == training("  epochs 3", "  optimizer adam").split()


def test_the_arguments_of_an_optimizer_in_braces_are_put_in_brackets() -> None:
    done = repaired(
        Source("spec.nn", training("  epochs 3", "  optimizer adam{ lr = 1e-3 }")), lambda source: Compilation(source, {}).diagnostics
    )
    assert done.source.text == training("  epochs 3", "  optimizer adam(lr = 1e-3)")


@pytest.mark.parametrize("key", ["layers:", "layers:  # all"])
def test_a_list_under_a_key_is_no_value(key: str) -> None:
    (d,) = diagnostics(model(key, "  - dense(8)", "  - relu", "output x"))
    assert d.span and (d.code, d.span.line, d.message) == ("E005", 3, "the language has no lists of this kind")
    assert "`x -> dense(8) -> relu`" in d.help


@pytest.mark.parametrize(
    ("spec", "place", "better"),
    [
        (training("  epochs 3", "  optimizer adam(lr == 1e-3)"), "lr", "lr = 1e-3"),
        (model("output y = x -> dense(3, bias == false)"), "bias", "bias = false"),
        (model("param W: [4, 3] ~ normal(0, std == 0.1)", "output y = x @ W"), "std", "std = 0.1"),
    ],
)
def test_an_argument_that_is_asked_to_be_equal_gets_its_value(spec: str, place: str, better: str) -> None:
    (d,) = diagnostics(spec)
    assert d.span and d.fix and (d.code, d.span.text, d.fix.text) == ("E101", place, better) and better in d.help
    assert not diagnostics(spec[: d.fix.span.start] + d.fix.text + spec[d.fix.span.end :])


def test_the_fences_of_markdown_are_taken_out() -> None:
    spec = model("output x")
    done = repaired(Source("spec.nn", f"```nn\n{spec}\n```\n"), lambda source: Compilation(source, {}).diagnostics)
    assert done.source.text.strip() == spec and not done.diagnostics


@pytest.mark.parametrize(("name", "better"), [("My Net", "My_Net"), ("my-net", "my_net")])
@pytest.mark.parametrize("spec", ["model {} {{\n  input x: [4]\n  output x\n}}", "layer {}(x) {{\n  return x\n}}"])
def test_a_name_of_two_words_is_one_mistake(spec: str, name: str, better: str) -> None:
    d = diagnostics(spec.format(name))[0]
    assert d.span and d.fix and (d.code, d.span.text, d.fix.text) == ("E007", name, better)


@pytest.mark.parametrize(
    ("type_", "said"), [("float", "a type has a shape"), ("Tensor", "`Tensor` is no type"), ("str", "`str` is no type")]
)
def test_a_word_for_a_type_of_an_argument_is_pointed_at(type_: str, said: str) -> None:
    d = diagnostics(f"fn f(x: {type_}) = x\n" + model("output y = f(x)"))[0]
    assert d.span and (d.code, d.span.text, d.message) == ("E004", type_, said)


@pytest.mark.parametrize("sign", [":", " =", " :"])
def test_a_sign_before_the_braces_of_a_definition_is_left_out(sign: str) -> None:
    right = training("  epochs 3", "  optimizer adam")
    for wrong in (right.replace("train {", f"train{sign} {{"), right.replace("model M {", f"model M{sign} {{")):
        assert repaired(Source("spec.nn", wrong), lambda source: Compilation(source, {}).diagnostics).source.text == right


SETTINGS = {
    "on lines of their own": "train {\n  data xor,\n  batch 2, # small\n  epochs 3,\n  optimizer sgd(lr = 0.1),\n}",
    "on one line": "train { data xor, batch 2, epochs 3, optimizer sgd(lr = 0.1) }",
    "with a source of values": "train { data { x = [[1, 2, 3, 4]] }, epochs 3, optimizer sgd(lr = 0.1) }",
}


@pytest.mark.parametrize("train", SETTINGS.values(), ids=SETTINGS)
def test_commas_between_settings_are_named_and_taken_out(train: str) -> None:
    spec = model("output y = x -> dense(1)", "loss mse(y, 0)") + f"\n{train}"
    first = diagnostics(spec)[0]
    assert (first.code, first.span and first.span.text) == ("E001", ",")
    assert "ends without `,`" in first.message and first.help.startswith("leave it out")
    done = repaired(Source("spec.nn", spec), lambda source: Compilation(source, {}).diagnostics)
    assert [d.message for d in done.diagnostics] == [] and {f.text for f in done.applied} == {""}


@pytest.mark.parametrize(
    ("spec", "line", "sign", "help_"),
    [
        ("model M {\n  input x\n  target y: []\n  output z = sum(x)\n}", 2, ":", "`[4]` is a row of four numbers"),
        ("model M {\n  input x }", 2, ":", "a type follows"),
        ("let n\nmodel M { input x: [2] output y = x }", 1, "=", "a value follows"),
        (model("output x") + '\ntest "t" of M {\n  given x = [1, 2, 3, 4]\n  steps 3\n  expect x == x\n}', 7, "with", "`steps 3 with sgd"),
    ],
)
def test_what_a_statement_lacks_at_its_end_is_missing_there_and_not_before_the_next(spec: str, line: int, sign: str, help_: str) -> None:
    (d, *_) = diagnostics(spec)
    assert (d.code, d.span and d.span.line) == ("E006", line)
    assert d.message == f"`{sign}` is missing where this statement ends" and help_ in d.help and not d.fix


def test_a_comma_that_makes_the_next_setting_a_value_is_named() -> None:
    (d, *_) = diagnostics(training("epochs 3,", "optimizer sgd(0.1)"))
    assert (d.code, d.message) == ("E104", "`epochs` takes one value") and d.help.startswith("leave the comma out")


def test_the_words_of_settings_are_those_that_a_training_knows() -> None:
    assert {*SETTING_WORDS} == {*SETTINGS_OF_TRAININGS}


@pytest.mark.parametrize("line", ["v = 0.9 * v + g", "w = w - lr * g"])
def test_a_state_or_the_parameter_of_an_optimizer_is_not_assigned_with_equals(line: str) -> None:
    optimizer = f"optimizer own(lr) {{\n  state v = 0\n  {line}\n  w <- w - lr * v\n}}\n"
    (d,) = diagnostics(optimizer + training("epochs 3", "optimizer own(0.1)"))
    assert d.span and (d.code, d.span.line, d.help) == ("E105", 3, f"write `{line[0]} <- ...`")


def test_an_init_alone_is_shown_how_it_is_drawn() -> None:
    (d,) = diagnostics(model("output y = normal(0, 1) -> dense(2)"))
    assert d.code == "E106" and "0 * x + normal(0, 1)" in d.help


def test_a_comma_after_an_output_is_named_where_it_stands() -> None:
    (d,) = diagnostics(model("output y = x -> dense(1),", "loss mse(y, 0)"))
    assert d.span and (d.code, d.span.line, d.message, d.fix and d.fix.text) == ("E001", 3, "a statement ends without `,`", "")


def test_settings_in_round_brackets_are_shown_their_braces() -> None:
    found = diagnostics("train(data = xor, epochs = 3)\n" + model("output x"))
    assert "train { data" in found[0].help


def test_a_parameter_of_a_model_with_a_shape_is_shown_the_input() -> None:
    (d,) = diagnostics("model M(x: [4]) {\n  output y = 2 * x\n}")
    assert d.code == "E103" and d.help == "what an example has is declared in the braces: `input x: [4]`"


def test_a_loss_in_a_training_is_sent_to_the_model() -> None:
    (d,) = diagnostics(training("  epochs 3", "  optimizer adam", "  loss mse"))
    assert (d.code, d.message) == ("E001", "`loss` stands in a model, not among the settings of a training")


def test_a_text_whose_brackets_match_may_be_laid_out_in_any_way() -> None:
    assert not diagnostics("model M {\ninput x: [4]\n    if training { h = x\n}\n output y = x -> [ relu,\n tanh ] -> concat }")


@pytest.mark.parametrize(
    "place", ["model M { input x: [4]  %s  output x }", "layer f(x) { %s  return x }", "optimizer o(lr) { %s  w <- w - lr * g }"]
)
@pytest.mark.parametrize(
    ("statement", "block"), [("given x = 3", "test"), ("steps 3", "test"), ("epochs 3", "train"), ("data iris", "train")]
)
def test_a_statement_of_another_block_is_told_where_it_stands(place: str, statement: str, block: str) -> None:
    (d, *_) = diagnostics(f"{place % statement}\n" + ("" if place.startswith("model") else model("output x")))
    word = statement.split(maxsplit=1)[0]
    assert d.span and d.span.text == word and f"stands in a `{block}`" in d.message and f"`{block} " in d.help and d.fix is None


def test_a_sign_is_not_taken_out_of_a_setting_that_there_is_not() -> None:
    lines = "epochs 3", "x = 3", "optimizer adam"
    found = {d.code: d for d in diagnostics(training(*lines))}
    assert found.keys() == {"E008", "E111"} and found["E008"].fix and not found["E008"].fix.safe
    (d,) = diagnostics(training("epochs = 3", "optimizer adam"))
    assert d.fix and d.fix.safe


CONFLICT = """model M {
  input x: [4]
<<<<<<< HEAD
  h = x -> dense(3)
||||||| base
  h = x -> dense(2)
=======
  h = x -> dense((4
  k = 2
>>>>>>> branch
  output y = h -> rellu, z = k * x
}
"""


def test_a_merge_conflict_is_one_mistake_and_its_first_side_is_read() -> None:
    conflict, misspelt = diagnostics(CONFLICT)
    assert conflict.span and (conflict.message, conflict.span.line) == ("a merge conflict is not resolved", 3)
    assert [span.line for span, _ in conflict.notes] == [10]
    assert misspelt.span and (misspelt.code, misspelt.span.text) == ("E101", "rellu")


def test_lines_of_signs_that_are_no_conflict_are_mistakes_as_before() -> None:
    (d, *_) = diagnostics(model("=======", "output x"))
    assert "conflict" not in d.message


COMMENTS = [
    "# ends with a comma,\n# more.\nlet a = 2",
    "# one of,",
    "# keep 10%",
    "# is 3x",
    "# input x: int",
    "# a value = {",
    "# one or",
    "# not closed: (\n# nor 'this",
    "# how to train",
    "# f(x",
]


@pytest.mark.parametrize("comment", COMMENTS)
def test_what_stands_in_a_comment_is_no_mistake(comment: str) -> None:
    (d,) = diagnostics(f"{comment}\nle n = 1\n{model('output x')}")
    assert d.span and (d.code, d.span.text, d.help) == ("E001", "le", "did you mean `let`?")


def test_a_comma_that_is_missing_before_a_comment_stands_in_front_of_it() -> None:
    (d,) = diagnostics(spec := "let n = [3 # three\n  4]\n" + model("output x"))
    assert d.fix and d.fix.span.start == spec.index(" # three")


def test_a_comma_that_is_missing_among_arguments_is_not_one_too_many_before_a_word_of_statements() -> None:
    (d,) = diagnostics(model("output y = x -> dense(3, init zeros)"))
    assert d.span and (d.code, d.span.text) == ("E006", "zeros")


PHASED = "model M {\n  input x: [4]\n  h = x -> dense(3)\n  output y = h -> dense(2) -> dense(2)\n  loss a = sum(y)\n  loss b = sum(h)\n}\n"


@pytest.mark.parametrize("after", ["", "seed 1", "# done", "optimizer sgd(lr = 0.1)"])
@pytest.mark.parametrize(
    ("setting", "fixed"),
    [
        ("freeze dense dense_2", "freeze dense, dense_2"),
        ("update dense dense_2 dense", "update dense, dense_2, dense"),
        ("update dense, dense_2 dense # b c", "update dense, dense_2, dense # b c"),
        ("freeze dense.W dense_2.W dense.b dense_2.b", "freeze dense.W, dense_2.W, dense.b, dense_2.b"),
        ('update "dense*" dense_2', 'update "dense*", dense_2'),
        ("minimize a b", "minimize a, b"),
        ("minimize a b\n  update dense dense_2", "minimize a, b\n  update dense, dense_2"),
        ("minimize a b  update dense dense_2  minimize a", "minimize a, b  update dense, dense_2  minimize a"),
    ],
)
def test_a_comma_that_is_missing_in_a_setting_is_found_there(setting: str, fixed: str, after: str) -> None:
    first = "" if after.startswith("optimizer") else "  optimizer sgd(lr = 0.1)\n"
    spec = f"{PHASED}train {{\n  epochs 3\n{first}  {setting}\n  {after}\n}}"
    found = diagnostics(spec)
    assert {d.code for d in found} == {"E006"} and len(found) == fixed.count(",") - setting.count(",")
    done = repaired(Source("spec.nn", spec), lambda source: Compilation(source, {}).diagnostics)
    assert done.source.text == spec.replace(setting, fixed)


@pytest.mark.parametrize("setting", ["update dense sede 1", "freeze dense optimzer adam(lr = 1)", "update dense lr 0.1"])
def test_a_setting_that_is_none_is_no_value_of_the_one_before_it(setting: str) -> None:
    (d,) = diagnostics(f"{PHASED}train {{\n  epochs 3\n  optimizer sgd(lr = 0.1)\n  {setting}\n}}")
    assert d.span and (d.code, d.span.text) == ("E111", setting.split()[2])
