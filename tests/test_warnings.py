"""Every warning on specs that must have it and specs that must not, its page, and the comment that says it is meant."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from error_pages import MEASURED, codes, halves, pages, used
from helpers import GALLERY, ROOT, blocks, run
from safetensors.numpy import save_file
from std_models import library
from unwarned import MUST_NOT
from warned import MUST, TRAINED
from warned_specs import image, model, vector

import nnspec
from nnspec.compile import Compilation
from nnspec.diagnostics import Diagnostic, Source
from nnspec.elaborate.library import public
from nnspec.gallery import read
from nnspec.lint.order import EITHER_WAY
from nnspec.source import folder_of

PAGES = pages("W1")


def warnings(spec: str) -> tuple[Diagnostic, ...]:
    compilation = Compilation(Source("spec.nn", spec), {})
    assert not compilation.diagnostics
    return compilation.warnings


def found(spec: str) -> list[str]:
    return [d.code for d in warnings(spec)]


def fixed(spec: str, warning: Diagnostic) -> str:
    assert warning.fix
    return spec[: warning.fix.span.start] + warning.fix.text + spec[warning.fix.span.end :]


@pytest.mark.parametrize(("code", "name"), [(c, n) for c, specs in MUST.items() for n in specs])
def test_it_warns(code: str, name: str) -> None:
    assert set(found(MUST[code][name])) == {code}


def test_the_convolution_that_sees_most_is_named_beside_a_shortcut() -> None:
    block = "layer block(x) = (x -> conv(1, 3, pad = same) -> relu -> conv(1, 5, pad = same)) + (x -> conv(1, 1))\n"
    (w,) = warnings(block + image("block -> global_avgpool -> dense(10)"))
    assert w.code == "W105" and [span.text for span, _ in w.notes] == ["conv(1, 5, pad = same)"]


def test_a_product_over_several_lines_is_quoted_on_one() -> None:
    spec = model(
        "input x: [8]", "param A: [8, 8] ~ he_normal", "param B: [8, 4] ~ he_normal", "output z = (x  # data\n    @ (2 * A)) @ (2 * B)"
    )
    (w,) = warnings(spec)
    assert w.code == "W101" and "between `(x @ (2 * A))` and" in w.message


def test_a_loss_without_a_name_is_called_by_none() -> None:
    spec = vector("dense(4)", "loss 0.3 * mse(z, y)") + "\ntrain { epochs 1  optimizer adam  minimize mse }"
    (w,) = warnings(spec)
    assert w.message == "no train block minimises this loss" and "loss a = ..." in w.help


@pytest.mark.parametrize(("units", "squeezed"), [(1, True), (3, False)])
def test_an_axis_is_squeezed_only_where_its_length_is_one(units: int, squeezed: bool) -> None:
    spec = model("input x: [8]", "target y: []", f"output z = x -> dense({units})", "loss mse(z, y)")
    (d,) = Compilation(Source("spec.nn", spec), {}).warnings
    assert (d.code, "squeeze" in d.help, f"declare `target y: [{units}]`" in d.help) == ("W117", squeezed, True)


@pytest.mark.parametrize(
    ("loss", "of_each"),
    [
        ("mse(z, 2 * y)", "`(z - (2 * y))^2`"),
        ("mae(y = y, y_hat = z)", "`abs(z - y)`"),
        ("bce_logits(z, y)", "`softplus(z) - y * z`"),
        ("huber(z, y)", "`nnspec doc huber` has the formula"),
    ],
)
def test_a_mask_of_a_mean_shows_the_formula_of_each_number(loss: str, of_each: str) -> None:
    (w,) = warnings(model("input x: [4]", "input m: [4]", "target y: [4]", "output z = 2 * x", f"loss sum({loss} * m)"))
    assert w.code == "W141" and w.span and w.span.text == f"{loss} * m" and of_each in w.help


def test_every_step_against_one_target_is_cured_by_the_last_step() -> None:
    spec = model("input x: [T, 3]", "target y: []", "output z = x -> lstm(8) -> dense(1) -> squeeze", "loss mse(z, y)")
    (w,) = warnings(spec)
    assert w.code == "W117" and "`(x -> lstm(8))[-1]` is the last step of a sequence" in w.help
    assert not warnings(spec.replace("x -> lstm(8) ->", "(x -> lstm(8))[-1] ->"))


@pytest.mark.parametrize("name", MUST_NOT)
def test_it_does_not_warn(name: str) -> None:
    assert found(MUST_NOT[name]) == []


@pytest.mark.parametrize("name", GALLERY)
def test_no_spec_of_the_gallery_has_a_warning(name: str) -> None:
    assert Compilation(read(name), {}, folder=folder_of(name)).warnings == ()


@pytest.mark.parametrize("path", ["README.md", "grammar/README.md"])
def test_no_network_that_is_shown_has_a_warning(path: str) -> None:
    for text in blocks(ROOT / path, "nn"):
        spec = Compilation(Source(path, text), {})
        assert [d.code for model in spec.models for d in spec.of(model.name.id).warnings if not model.parameters] == []


def test_every_warning_has_a_page_and_every_page_is_used() -> None:
    assert used("W1") == {p.stem for p in PAGES} == {*MUST, *TRAINED}


@pytest.mark.parametrize("page", [p for p in PAGES if p.stem not in TRAINED], ids=lambda p: p.stem)
def test_the_examples_of_a_page_have_exactly_its_warning_and_none(page: Path) -> None:
    wrong, right = (half.get("nn") or "" for half in halves(page))
    assert (set(found(wrong)), found(right)) == ({page.stem}, [])


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("page", [p for p in PAGES if MEASURED.search(p.read_text("utf-8"))], ids=lambda p: p.stem)
def test_a_page_that_measures_says_what_a_reader_will_measure(page: Path) -> None:
    """Of the held-out part; on another machine a few examples may fall otherwise."""
    said = [float(n) for n in MEASURED.findall(page.read_text("utf-8"))]
    for percent, half in zip(said, halves(page), strict=True):
        net = nnspec.loads(half.get("nn") or "", threads=1)
        net.fit()
        test = net.dataset().test
        assert test
        assert 100 * net.evaluate(test)["accuracy"] == pytest.approx(percent, abs=3)


def of_weights(body: str, folder: Path, **arrays: Any) -> list[str]:
    """What is said of a model that starts from a file of these arrays."""
    save_file({n: np.asarray(a, np.float32) for n, a in arrays.items()}, folder / "w.safetensors")
    spec = Compilation(Source("net.nn", f'model M from "w.safetensors" {{ input x: [2]  {body}  loss mse(y, x) }}'), {}, folder=folder)
    assert not spec.diagnostics
    return [f"{d.code} {d.message}" for d in spec.warnings]


def test_a_bias_counts_that_was_saved_with_the_mean_of_what_has_it(tmp_path: Path) -> None:
    layer = {"dense.W": np.eye(2), "dense.b": [1, 2]}
    norm = {"batchnorm.gamma": [1, 1], "batchnorm.beta": [0, 0], "batchnorm.mu": [1, 2], "batchnorm.var": [1, 1]}
    plain, without = "output y = x -> dense(2) -> batchnorm", "output y = x -> dense(2, bias = false) -> batchnorm"
    assert of_weights(plain, tmp_path, **layer, **norm) == []
    [said] = of_weights(without, tmp_path, **layer, **norm)
    assert said == "W547 the model has no parameter for `dense.b` of w.safetensors, and has one for `dense.W`"
    assert [s[:4] for s in of_weights(plain, tmp_path, **norm)] == ["W106"]  # the layer starts afresh


def test_arrays_of_other_layers_may_be_left_in_a_file(tmp_path: Path) -> None:
    body = "output y = x -> dense(2) as body -> relu -> dense(2) as head"
    own = {"body.W": np.eye(2), "body.b": [1, 2]}
    assert of_weights(body, tmp_path, **own, **{"old.W": np.eye(2), "old.b": [0, 0], "step": [3]}) == []
    assert of_weights(body, tmp_path, **own, **{"body.gain": [3], "body.scale": [3]})[0].startswith(
        "W547 the model has no parameter for `body.gain` and 1"
    )


@pytest.mark.parametrize(
    ("wish", "meant"),
    [
        ('data csv("irsi.csv")', "iris.csv"),
        ('data csv("data/irsi.csv")', None),  # no such folder
        ('data csv("sub/trian.csv")', "sub/train.csv"),
        ('data csv("sub/test.csv")', None),
        ('data csv("iris.npz")', None),
        ('data csv("nope.csv")', None),
        ('data csv("iris.csv")', None),
        ('data iris  validation npz("sub/trains.npz")', "sub/train.npz"),
        ('data images("pet/")', "pets"),
        ('data iris  start from "runs/mlp-2"', "runs/mlp-1"),
        ('data iris  start from "runs/gpt-2"', None),
        ("data csv(place)", "iris.csv"),
    ],
)
def test_a_path_that_leads_nowhere_is_told_what_lies_beside_it(tmp_path: Path, wish: str, meant: str | None) -> None:
    for name in ("iris.csv", "sub/train.csv", "sub/train.npz", "pets/cat/1.png", "runs/mlp-1/run.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    model = 'let place = "iirs.csv" model M { input x: [4]  target y: [4]  output z = x -> dense(4)  loss mse(z, y) }'
    spec = Compilation(Source("net.nn", f"{model} train {{ {wish}  epochs 1  optimizer adam }}"), {}, folder=tmp_path)
    assert not spec.diagnostics
    assert [(d.code, d.help) for d in spec.warnings] == ([("W548", f"did you mean `{meant}`?")] if meant else [])
    for d in spec.warnings:
        if "place" not in wish:
            assert d.fix and meant and spec.source.text[d.fix.span.start : d.fix.span.end] in wish and d.fix.text == meant


FIXES = {
    "an activation is put between": (vector("dense(16) -> dense(4)"), "dense(16) -> relu -> dense(4)"),
    "the bias is left out": (image("conv(8, 3) -> batchnorm -> relu -> flatten -> dense(10)"), "conv(8, 3, bias = false)"),
    "as many logits as classes": (MUST["W120"]["of the library"], "dense(3)"),
    "a row of the image": (
        model("input x: [1, 8, 8]", "target y: [4]", "output z = x -> dense(9) -> relu -> dense(4)", "loss mse(z, y)"),
        "x -> flatten -> dense(9)",
    ),
    "the logarithm of probabilities": (MUST["W123"]["of the library"], "nll(log(p), y)"),
    "sigmoid of one number": (MUST["W124"]["a stage"], "dense(1) -> sigmoid"),
    "units without the channels": (image("conv(1, 8, 3, pad = same) -> relu -> flatten -> dense(10)"), "conv(8, 3, pad = same)"),
    "the other way round": (MUST["W131"]["the other way round"], "grad(u, x)"),
    "what is said before what is true": (MUST["W134"]["a logit second"], "0.5 * mean(bce_logits(z, y))"),
    "what is said under its name": (MUST["W134"]["by their names"], "auc(y = y, scores = z)"),
    "a draw for each example": (MUST["W140"]["a mask"], "h * (random(h) < 0.5)"),
    "the product of a vector and a matrix": (MUST["W142"]["before a product"].replace("(h @ V)[0]", "h @ V"), "tanh(x @ W)"),
    "logits of both signs": (MUST["W143"]["of classes"], "x -> flatten -> dense(10)\n"),
    "the minus of a likelihood": (MUST["W144"]["the mean of picked logarithms"], "mean(-log(pick(p, y)))"),
    "so many times the mean": (MUST["W141"]["of labels"], "mean(x^2) / (size(y) * multilabel_bce(z, y))"),
    "a sum over every step": (MUST["W141"]["of every step"], "loss size(z) * mse(z, 2 * y)"),
    "the init of the other": (vector("dense(16, init = xavier_uniform) -> relu -> dense(4)"), "init = he_uniform"),
}


@pytest.mark.parametrize("name", FIXES)
def test_what_a_fix_leaves_has_no_warning(name: str) -> None:
    spec, better = FIXES[name]
    repaired = fixed(spec, warnings(spec)[0])
    assert better in repaired and found(repaired) == []


def judging() -> list[str]:
    """The losses and metrics of the library that take what is said and what is true."""
    named = library("losses", "fn") | library("metrics", "fn")
    return sorted(name for name in named if public()["fn", name].names[1:2] == ("y",))


@pytest.mark.parametrize("name", judging())
def test_only_what_is_the_same_either_way_is_not_asked_in_which_order_it_gets_its_arguments(name: str) -> None:
    rng = np.random.default_rng(0)
    data = {"z": rng.normal(size=(50, 4)), "y": rng.normal(size=(50, 4))}
    found = []
    for order in ("z, y", "y, z"):
        lines = ("input z: [4]", "target y: [4]", "output o = 1 * z", "loss mse(o, y)", f"metric m = {name}({order})")
        try:
            found.append(nnspec.loads(model(*lines), dtype="float64").evaluate(data)["m"])
        except nnspec.SpecError:  # it takes classes
            found.append(np.nan)
    assert (name in EITHER_WAY) == np.allclose(*found, rtol=1e-9)


def test_a_sum_in_the_place_of_a_mean_is_the_sum() -> None:
    spec = MUST["W141"]["of logits"]
    x, y = np.random.default_rng(0).normal(size=(2, 6, 8))
    nets = [nnspec.loads(text, dtype="float64").init(1) for text in (spec, fixed(spec, warnings(spec)[0]))]
    z = np.asarray(nets[0].predict({"x": x})["z"])
    each = torch.nn.functional.binary_cross_entropy_with_logits(torch.tensor(z), torch.tensor(y[:, :4]), reduction="none").numpy()
    means = [net.evaluate({"x": x, "y": y[:, :4]})["more"] for net in nets]
    assert means == pytest.approx([2 * each.mean(axis=1).mean(), 2 * each.sum(axis=1).mean()])


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_code_beside_a_mean_in_the_place_of_a_sum_is_empty() -> None:
    """By the figures of the page."""
    nets = [nnspec.loads(half.get("nn") or "", threads=1) for half in halves(next(p for p in PAGES if p.stem == "W141"))]
    for net in nets:
        net.fit()
    empty, full = (net.evaluate(net.dataset().train)["KL"] for net in nets)
    assert empty < 0.05 and full == pytest.approx(1.7, abs=0.3)


PROBABILITIES = {
    "cross_entropy(p, y)": "cross_entropy(z, y)",
    "cross_entropy(p, y, smoothing = 0.1)": "cross_entropy(z, y, smoothing = 0.1)",
    "cross_entropy(softmax(z), y)": "cross_entropy(z, y)",
    "cross_entropy(q, y)": "nll(log(q), y)",
    "cross_entropy(q, y, smoothing = 0.1)": None,
}


@pytest.mark.parametrize("loss", PROBABILITIES)
def test_a_loss_of_the_library_that_is_given_probabilities_is_an_error_with_the_fix(loss: str) -> None:
    spec = model("input x: [8]", "target y: class(3)", "z = x -> dense(3)", "output p = softmax(z)",
                 "q = x -> dense(3) -> softmax", f"loss {loss}", "metric mean(q)")  # fmt: skip
    (wrong,) = Compilation(Source("spec.nn", spec), {}).diagnostics
    assert wrong.code == "E410" and (wrong.fix.text if wrong.fix else None) == PROBABILITIES[loss]
    if wrong.fix:
        assert codes(fixed(spec, wrong)) == [] and {*found(fixed(spec, wrong))} <= {"W110"}  # of what the loss then reads no more


SQUASHED = {
    "bce_logits(p, y)": "bce(p, y)",
    "multilabel_bce(p, y)": "bce(p, y)",
    "bce_logits(p[0], y[0])": "bce(p[0], y[0])",
    "mean(bce_logits(p, y))": "bce(p, y)",
}


@pytest.mark.parametrize("loss", SQUASHED)
@pytest.mark.parametrize(("stages", "shape"), [("dense(1) -> sigmoid", "[1]"), ("dense(6) -> softmax -> reshape([2, 3])", "[2, 3]")])
def test_a_loss_of_logits_that_is_given_what_was_squashed_is_an_error_with_the_fix(loss: str, stages: str, shape: str) -> None:
    spec = model("input x: [8]", f"target y: {shape}", f"output p = x -> {stages}", f"loss {loss}")
    (wrong,) = Compilation(Source("spec.nn", spec), {}).diagnostics
    assert wrong.code == "E410" and wrong.fix and wrong.fix.text == SQUASHED[loss]
    assert wrong.message.endswith("the sigmoid of them again") == ("sigmoid" in stages)
    assert codes(fixed(spec, wrong)) == [] and found(fixed(spec, wrong)) == []


def test_logits_do_not_take_the_place_of_a_view_of_their_probabilities() -> None:
    spec = model("input x: [8]", "target y: [2]", "z = x -> dense(2)", "output p = sigmoid(z)", "loss bce_logits(p[0], y[0])")
    (wrong,) = Compilation(Source("spec.nn", spec), {}).diagnostics
    assert wrong.fix and wrong.fix.text == "bce(p[0], y[0])"


def test_e_to_the_logarithm_of_a_softmax_is_a_softmax() -> None:
    spec = model("input x: [8]", "target y: class(3)", "output p = x -> dense(3) -> log_softmax -> exp", "loss cross_entropy(p, y)")
    (wrong,) = Compilation(Source("spec.nn", spec), {}).diagnostics
    assert wrong.code == "E410" and "takes the softmax of them again" in wrong.message
    assert wrong.fix and codes(fixed(spec, wrong)) == []


def test_the_divergence_of_what_is_said_from_what_is_true_is_that_of_torch() -> None:
    spec = MUST["W134"]["a divergence from the model"]
    (warning,) = warnings(spec)
    assert warning.fix and warning.fix.text == "kl(y, p)" and warning.message.endswith("and gets `p` first")
    net, x, y = nnspec.loads(fixed(spec, warning), dtype="float64"), np.eye(8)[:2], np.array([[0.2, 0.3, 0.5], [0.6, 0.3, 0.1]])
    said, true = torch.tensor(net(x=x)["p"]), torch.tensor(y)
    expected = torch.nn.functional.kl_div(said.log(), true, reduction="batchmean").item()
    assert net.gradients(x=x, y=y)[0] == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("squeezed", ["", " -> squeeze"])
def test_a_double_sigmoid_of_a_target_without_axes_is_found_with_and_without_squeeze(squeezed: str) -> None:
    spec = model("input x: [8]", "target y: []", f"output p = x -> dense(1) -> sigmoid{squeezed}", "loss bce_logits(p, y)")
    assert codes(spec) == ["E410"]


@pytest.mark.parametrize("metric", ["f1", "precision", "recall"])
@pytest.mark.parametrize(("stages", "y"), [("dense(1) -> squeeze", "class(2)"), ("dense(1)", "[1]"), ("dense(4)", "class(2)[4]")])
def test_a_metric_of_logits_that_is_given_probabilities_is_an_error_with_the_fix(metric: str, stages: str, y: str) -> None:
    lines = ("input x: [8]", f"target y: {y}", f"z = x -> {stages}", "output p = sigmoid(z)", "loss multilabel_bce(z, y)")
    spec = model(*lines, "positive = p > 0", f"metric judged = {metric}(p, y)", "metric passed = mean(positive)")
    (wrong,) = Compilation(Source("spec.nn", spec), {}).diagnostics
    assert wrong.code == "E410" and wrong.fix and wrong.fix.text == f"{metric}(z, y)"
    assert codes(fixed(spec, wrong)) == [] and found(fixed(spec, wrong)) == []


@pytest.mark.parametrize("squash", ["softmax", "sigmoid"])
def test_a_perplexity_of_probabilities_is_an_error_with_the_fix(squash: str) -> None:
    lines = ("input x: [8]", "target y: class(3)", "z = x -> dense(3)", "output p = softmax(z)", "loss cross_entropy(z, y)")
    spec = model(*lines, f"metric perplexity({squash}(z), y)")
    (wrong,) = Compilation(Source("spec.nn", spec), {}).diagnostics
    assert wrong.code == "E410" and wrong.fix and wrong.fix.text == "perplexity(z, y)"
    assert codes(fixed(spec, wrong)) == [] and found(fixed(spec, wrong)) == []


def test_a_metric_of_logits_without_a_name_is_told_when_a_probability_is_one_of_a_yes() -> None:
    spec = model("input x: [8]", "target y: class(2)", "output p = x -> logistic", "loss bce(p, y)", "metric f1(p, y)")
    (wrong,) = Compilation(Source("spec.nn", spec), {}).diagnostics
    assert (wrong.code, wrong.fix) == ("E410", None) and "`p > 0.5`" in wrong.help
    assert codes(spec.replace("f1(p", "f1(p > 0.5")) == []


TOP = "layer top(x) = x -> dense(3) -> sigmoid"
OF_EACH_CLASS = {
    "a stage": (["z = x -> dense(3) -> sigmoid", "output p = softmax(z)"], "z = x -> dense(3)\n", True),
    "a stage of an output": (["output z = x -> dense(3) -> sigmoid"], "output z = x -> dense(3)\n", False),
    "a stage that is read as it is": (["z = x -> dense(3) -> sigmoid", "output p = 2 * z"], "z = x -> dense(3)\n", False),
    "logits with a name": (["h = x -> dense(3)", "output z = sigmoid(h)"], "cross_entropy(h, y", True),
    "a formula": (["output z = sigmoid(x -> dense(3))"], None, None),
    "a layer that is called twice": (["z = top(x)", "w = top(x)", "output p = softmax(z), w"], None, None),
}


@pytest.mark.parametrize("case", OF_EACH_CLASS)
@pytest.mark.parametrize("more", ["", ", smoothing = 0.1"])
def test_cross_entropy_of_sigmoids_is_told_to_leave_them_out(case: str, more: str) -> None:
    lines, expected, safe = OF_EACH_CLASS[case]
    spec = f"{TOP}\n" + model("input x: [8]", "target y: class(3)", *lines, f"loss cross_entropy(z, y{more})")
    (wrong,) = Compilation(Source("spec.nn", spec), {}).diagnostics
    assert wrong.code == "E410" and "a sigmoid, from 0 to 1" in wrong.message
    assert (wrong.fix and wrong.fix.safe) == safe
    if wrong.fix and expected:
        assert expected in fixed(spec, wrong) and codes(fixed(spec, wrong)) == []


def test_the_loss_of_probabilities_is_that_of_the_logits_to_the_last_digits() -> None:
    lines = ("input x: [8]", "target y: class(3)", "z = x -> dense(3)", "output p = softmax(z)")
    nets = [nnspec.loads(model(*lines, f"loss {loss}"), dtype="float64").init(1) for loss in ("nll(log(p), y)", "cross_entropy(z, y)")]
    x, y = [[100.0 * i for i in range(8)]], [0]
    first, second = (net.gradients(x=x, y=y)[0] for net in nets)
    assert first == pytest.approx(second, rel=1e-12) and first > 100


DEEP = "# nnspec: allow W101, as the point is that it is one\n  "


@pytest.mark.parametrize(
    ("place", "silent"),
    [
        ("output z = x -> dense(16) -> dense(4) # nnspec: allow W101", True),
        ("output z = x -> dense(16) -> dense(4) # nnspec: allow W104, W101: it is the point", True),
        (f"{DEEP}output z = x -> dense(16) -> dense(4)", True),
        ("output z = x -> dense(16) -> dense(4) # nnspec: allow W104", False),
        ("output z = x -> dense(16) -> dense(4)\n  # nnspec: allow W101", False),
        ("# nnspec: allow W101: of the whole statement\n  output z = x\n    -> dense(16)\n    -> dense(4)", True),
    ],
)
def test_a_comment_on_its_line_or_above_it_says_that_it_is_meant(place: str, silent: bool) -> None:
    assert found(model("input x: [8]", "target y: [4]", place, "loss mse(z, y)")) == ([] if silent else ["W101"])


def test_of_many_warnings_of_one_kind_three_are_shown_and_the_lines_of_the_others(tmp_path: Path) -> None:
    def check(layers: int, *options: str) -> str:
        stages = "".join("\n    -> conv(4, 3, pad = same) -> batchnorm -> relu" for _ in range(layers))
        (tmp_path / "net.nn").write_text(f"model M {{\n  input x: [4, 8, 8]\n  output y = x{stages}\n}}\n", "utf-8")
        done = run("check", "net.nn", *options, cwd=tmp_path)
        return done.stdout if options and options[0] == "--json" else done.stderr

    assert check(4).count("warning[W106]: the bias") == 4 and "more of these" not in check(4)
    assert check(6).count("warning[W106]: the bias") == 3
    assert "warning[W106]: 3 more of these in net.nn, lines 7, 8, 9\n  = help: `--all` shows each" in check(6)
    assert "lines 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, ..., 33" in check(30)
    assert check(6, "--all").count("warning[W106]: the bias") == len(json.loads(check(6, "--json"))) == 6


def test_a_warning_leaves_the_exit_code_and_deny_does_not(tmp_path: Path) -> None:
    (tmp_path / "net.nn").write_text(MUST["W101"]["dense after dense"], "utf-8")
    done = run("check", "net.nn", cwd=tmp_path)
    assert done.returncode == 0 and "warning[W101]" in done.stderr and "dense_2" in done.stdout
    denied = run("check", "net.nn", "--deny", "warnings", "--json", cwd=tmp_path)
    (listed,) = json.loads(denied.stdout)
    assert (denied.returncode, listed["code"], listed["level"], listed["fix"]) == (1, "W101", "warning", " -> relu")


def test_python_is_warned_of_a_spec_where_it_is_loaded(tmp_path: Path) -> None:
    doubtful = MUST["W101"]["dense after dense"]
    (tmp_path / "m.nn").write_text(doubtful)
    with pytest.warns(UserWarning, match="W101") as found:
        nnspec.loads(doubtful)
        nnspec.load(tmp_path / "m.nn")
    assert [w.filename for w in found] == [__file__] * 2


@pytest.mark.filterwarnings("error")
def test_python_is_not_warned_of_what_a_comment_says_is_meant() -> None:
    (line,) = (x for x in MUST["W101"]["dense after dense"].splitlines() if "dense" in x)
    nnspec.loads(MUST["W101"]["dense after dense"].replace(line, f"{line}  # nnspec: allow W101, for a test"))
