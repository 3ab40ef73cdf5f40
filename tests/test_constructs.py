"""Branches, repeat, share, models as layers, grad, imports, saved weights and open sizes: what they mean and what they refuse."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import distance
from safetensors.numpy import save_file

import nnspec
from nnspec.compile import Compilation
from nnspec.diagnostics import Source
from nnspec.gradcheck import gradcheck

RNG = np.random.default_rng(0)
X = RNG.normal(size=(3, 4))


def net(body: str, before: str = "", dtype: str = "float64") -> nnspec.Net:
    return nnspec.loads(f"{before}\nmodel M {{ input x: [4]  {body} }}", dtype=dtype).init(seed=0)


def refused(body: str, before: str = "") -> list[tuple[str, str]]:
    text = f"{before}\nmodel M {{ input x: [4]  {body} }}"
    return [(d.code, d.message) for d in Compilation(Source("m.nn", text), {}).diagnostics]


# ---- pipelines


def test_each_branch_gets_the_same_value() -> None:
    n = net("output y = x -> [dense(2), tanh, identity] -> concat")
    expected = np.concatenate([X @ n.params["dense.W"] + n.params["dense.b"], np.tanh(X), X], axis=1)
    np.testing.assert_allclose(n(x=X)["y"], expected)


def test_branches_are_added_and_stacked() -> None:
    n = net("output s = x -> [exp, sin, identity] -> add  output t = x -> [exp, sin] -> stack(axis = -1)")
    out = n(x=X)
    np.testing.assert_allclose(out["s"], np.exp(X) + np.sin(X) + X)
    np.testing.assert_allclose(out["t"], np.stack([np.exp(X), np.sin(X)], axis=-1))


def test_what_has_no_batch_is_joined_to_every_example() -> None:
    n = net("param p: [2] = [7, 8]  output y = concat(x, p)")
    np.testing.assert_allclose(n(x=X)["y"], np.concatenate([X, np.tile([7.0, 8.0], (3, 1))], axis=1))


@pytest.mark.parametrize(
    ("stage", "code", "words"),
    [
        ("[dense(2), dense(3)] -> stack", "E201", "they need the same shape"),
        ("[dense(2), relu] -> concat(axis = 1)", "E205", "there is no axis 1"),
        ("[dense(2), sum] -> concat", "E201", "the same number of axes"),
        ("dense(2) -> concat", "E106", "a list of branches"),
        ("[dense(2), 3]", "E106", "a stage of a pipeline"),
        ("repeat(-1) { relu }", "E106", "from 0"),
        ("repeat(1.5) { relu }", "E106", "whole number"),
    ],
)
def test_what_branches_and_repetitions_refuse(stage: str, code: str, words: str) -> None:
    ((found, message),) = refused(f"y = x -> {stage}  output z = x")
    assert found == code and words in message


def test_repeat_is_as_many_copies_each_with_its_own_parameters() -> None:
    repeated = net("output y = x -> repeat(3) { dense(4) -> tanh }")
    written = net("output y = x -> dense(4) -> tanh -> dense(4) -> tanh -> dense(4) -> tanh")
    assert list(repeated.params) == list(written.params) == ["dense.W", "dense.b", "dense_2.W", "dense_2.b", "dense_3.W", "dense_3.b"]
    np.testing.assert_array_equal(repeated(x=X)["y"], written(x=X)["y"])


def test_repeat_of_none_is_the_value_itself() -> None:
    assert list(net("output y = x -> repeat(0) { dense(4) } -> dense(1)").params) == ["dense.W", "dense.b"]


def test_an_inline_stage_has_one_name_for_all_of_it() -> None:
    n = net("output y = x -> { dense(3) -> relu -> dense(2) } as code -> dense(1)  expect shape(code) == [2]")
    assert [p for p in n.params if p.endswith("W")] == ["code.dense.W", "code.dense_2.W", "dense.W"]


# ---- stages with a name

NUMBERS = {"dense.W": np.arange(8.0).reshape(4, 2) / 8, "dense.b": np.array([0.5, -1.0])}


def test_a_stage_may_be_called_like_its_layer() -> None:
    n = net("output y = x -> dense(2) as dense -> relu -> dense(3)  output d = dense")
    assert list(n.params) == ["dense.W", "dense.b", "dense_2.W", "dense_2.b"]
    for name, value in NUMBERS.items():
        n.params[name] = value
    hidden = X @ NUMBERS["dense.W"] + NUMBERS["dense.b"]
    out = n(x=X)
    np.testing.assert_allclose(out["d"], hidden)
    np.testing.assert_allclose(out["y"], np.maximum(hidden, 0) @ n.params["dense_2.W"] + n.params["dense_2.b"])


@pytest.mark.parametrize(
    "body",
    [
        "output y = x -> softmax as softmax -> relu",
        "output y = x -> pair(2) as pair",
        "output y = x -> batchnorm as batchnorm -> dense(2)",
        "output y = x -> { dense(2) -> tanh } as dense -> dense(2)",
        "output y = x -> repeat(2) { dense(4) -> tanh } as dense -> dense(2)",
        "output y = x -> again(2)",
        "output y = x -> [dense(2), dense(2)] as dense -> add",
        "h = x -> dense(3)  output y = h -> tanh -> dense(3) as h -> relu",
        "y = x -> dense(3) as y -> relu  output y",
        "s = scan r in reshape(x, [2, 2]) with h = zeros(2) { h = r + h -> tanh as tanh }  output y = s",
    ],
)
def test_a_name_of_a_stage_that_stands_in_its_own_pipeline_takes_nothing_away(body: str) -> None:
    layers = "layer pair(x, n) = x -> dense(n) -> relu\nlayer again(x, n) = x -> dense(n) as x -> relu"
    other = re.sub(r" as \w+", " as another", body)
    n, same = net(body, layers), net(other, re.sub(r" as \w+", " as another", layers))
    assert len(n.params) == len(same.params) and list(n(x=X)) == ["y"]
    for name, value in zip(same.params, n.params.values(), strict=True):
        same.params[name] = value
    np.testing.assert_array_equal(n(x=X)["y"], same(x=X)["y"])


@pytest.mark.parametrize(
    ("body", "code", "words"),
    [
        ("target t: [2]  output y = x -> dense(2) as t  loss mse(y, t)", "E105", "`t` is a port of the model and cannot name a stage"),
        ("output y = x -> dense(4) as x", "E105", "`x` is a port of the model and cannot name a stage"),
        ("param W: [4] = 1  output y = x * W -> dense(2) as W", "E105", "`W` is a param and cannot name a stage"),
        (
            "target t: [4]  param t: [4] = 1  output y = x  loss mse(y, t)",
            "E105",
            "`t` is a port of the model and cannot be declared again",
        ),
        ("share x = dense(2)  output y = x + 1", "E105", "`x` is a port of the model and cannot be declared again"),
        ("output y = x -> dense(2) -> dense(2) as dense", "E105", "`dense.W` is declared twice"),
        ("output y = x -> add(code) -> dense(2) as code", "E101", "there is no `code` here"),
        ("input t: [t]  output y = x", "E105", "`t` is a size of its own shape"),
    ],
)
def test_a_name_that_is_taken_is_refused(body: str, code: str, words: str) -> None:
    assert refused(body) == [(code, words)]


def test_no_name_of_a_stage_makes_anything_vanish() -> None:
    spec = """layer block(v, n) = v -> dense(n) -> relu
    model M {
      input x: [4]  target t: class(3)
      h = x -> block(8) -> { dense(8) -> tanh } -> layernorm
      logits = h -> repeat(2) { identity -> block(8) } -> [dense(3), dense(3)] -> add
      output probs = logits -> softmax, h
      loss cross_entropy(logits, t)  metric accuracy(logits, t)
    }"""
    said = 0
    for stage in re.finditer(r"-> (?:\w+(?:\(\w\))?(?: \{[^}]*\})?|\{[^}]*\}|\[[^]]*\])", spec):
        for word in sorted({*re.findall(r"\b(?!layer|model|input|target|output|loss|metric|repeat)[a-z]\w*", spec)}):
            c = Compilation(Source("m.nn", f"{spec[: stage.end()]} as {word}{spec[stage.end() :]}"), {})
            said += bool(c.diagnostics)
            there = [*c.model.outputs, *c.model.losses, *c.model.metrics, len(c.model.parameters)]
            assert c.diagnostics or there == ["probs", "h", "cross_entropy", "accuracy", 14], (stage, word)
    assert said


def test_a_mistake_in_a_pipeline_is_said_once_though_its_stages_have_names() -> None:
    found = refused("h = x -> [dens(2), dense(3) -> relu] -> add -> dense(2) as code -> relu  output y = h + code")
    assert found == [("E101", "there is no `dens` here")]


def test_a_port_or_parameter_of_a_model_may_have_the_name_of_a_let() -> None:
    n = nnspec.loads("let x = 3  let units = 2  model M(units = units) { input x: [x]  output y = x -> dense(units) }").init(seed=0)
    assert n.params["dense.W"].shape == (3, 2)


# ---- share


def test_every_use_of_a_shared_pipeline_has_the_same_parameters() -> None:
    n = net("share enc = dense(3) -> tanh  output y = (x -> enc) - enc(2 * x)  output W = enc.dense.W")
    assert list(n.params) == ["enc.dense.W", "enc.dense.b"]
    w, b = n.params["enc.dense.W"], n.params["enc.dense.b"]
    np.testing.assert_allclose(n(x=X)["y"], np.tanh(X @ w + b) - np.tanh(2 * X @ w + b))
    np.testing.assert_array_equal(n(x=X)["W"], w)


def test_tied_weights_get_the_gradient_of_both_uses() -> None:
    spec = net("share enc = dense(3)  h = tanh(x -> enc)  output y = h @ transpose(enc.dense.W)  loss mse(y, x)").spec
    assert all(checked.passed for checked in gradcheck(spec))


def test_a_layer_that_starts_with_zeros_does_not_hide_what_is_behind_it_from_gradcheck() -> None:
    found = gradcheck(net("output z = x -> dense(3) -> tanh -> linear  loss mse(z, 1)").spec)
    assert all(checked.passed and checked.error > 0 for checked in found)  # rounding: 0 is what only a gradient of 0 gives


def test_a_shared_dropout_draws_anew_in_each_use() -> None:
    n = net("share drop = dropout(0.5)  both = (x -> drop) - (x -> drop)  output y = x  loss sum(abs(both))")
    assert n.gradients(x=X)[0] > 0.1


def test_a_state_sees_the_parameters_that_the_step_began_with() -> None:
    net = nnspec.loads(
        """
        model M { input x: []  param w: [] = 1  state ema: [] = 1  ema <- 0.5 * ema + 0.5 * w  output y = w * x  loss y }
        train { epochs 1  optimizer sgd(lr = 0.2) }
        """
    )
    net.step(x=[1.0])
    assert net.params["w"] == pytest.approx(0.8) and net.states["ema"] == 1
    net.step(x=[1.0])
    assert net.states["ema"] == pytest.approx(0.9)


def test_a_shared_state_goes_on_from_use_to_use() -> None:
    counting = "layer counting(x) { state n: [] = 0  if training { n <- n + 1 }  return x }"
    n = net("share c = counting  param w = 1.0  output y = (x -> c) + (x -> c)  loss w * mean(y)", counting)
    n.gradients(x=X)
    assert float(n.states["c.counting.n"]) == 2


def test_a_shared_pipeline_refuses_another_shape_and_more_arguments() -> None:
    assert [c for c, _ in refused("share e = dense(3)  y = (x -> e) + (x[:2] -> e)  output x")] == ["E202"]
    assert [c for c, _ in refused("share e = dense(3)  y = e(x, 3)  output x")] == ["E104"]
    assert [c for c, _ in refused("share e = dense(3)  y = e.dense.W  output x")] == ["E101"]


@pytest.mark.parametrize(
    ("stages", "halved"),
    [
        ("x -> dropout(0.5) as d -> dropout(0.5) as d -> dropout(0.5) as d", 3),
        ("x -> repeat(3) { identity -> dropout(0.5) as d }", 3),
        ("x -> repeat(3) { identity -> { dropout(0.5) -> identity } as d }", 3),
        ("x -> dropout(0.5) as dropout_2 -> dropout(0.5) -> dropout(0.5)", 3),
        ("x -> dropout(0.5) as dropout -> dropout(0.5) -> dropout(0.5)", 3),
        ("x -> keep -> dropout(0.5) as keep -> dropout(0.5) as keep", 3),
        ("x -> shared -> shared -> shared", 3),
        ("x -> outer -> outer", 4),
    ],
)
def test_layers_of_one_name_draw_apart(stages: str, halved: int) -> None:
    layers = "layer keep(x) = x -> dropout(0.5)\nlayer twice(x) { share inner = dropout(0.5)  return x -> inner -> inner }"
    body = f"share shared = dropout(0.5)  share outer = twice  output y = x  loss mean(({stages}) > 0)"
    n = nnspec.loads(f"{layers}\nmodel M {{ input x: [10_000]  {body} }}", dtype="float64").init(seed=0)
    assert abs(n.gradients(x=np.ones((1, 10_000)))[0] - 0.5**halved) < 0.015


# ---- models as layers


PART = "model Part(units = 3) { input a: [4]  target t: []  h = a -> dense(units)  gap = h - t  output y = tanh(h)  loss mse(gap, 0) }"


def test_a_model_is_a_layer_of_another() -> None:
    n = net("output z = concat(x -> Part(2), Part(2 * x))", PART)
    assert [p for p in n.params if p.endswith("W")] == ["Part.dense.W", "Part_2.dense.W"]
    assert n.spec.model.losses == [] and n.outputs["z"].shape[1:] == (5,)


def test_a_model_with_several_outputs_gives_a_list() -> None:
    n = net("a, b = Two(x)  output z = a - b", "model Two { input v: [4]  output p = 2 * v, q = v }")
    np.testing.assert_allclose(n(x=X)["z"], X)


def test_the_models_before_the_last_are_checked_too() -> None:
    assert [c for c, _ in refused("output x", "model Wrong { input v: [4]  output p = v @ v }")] == ["E203"]


def test_a_part_may_leave_its_parameters_open() -> None:
    assert refused("output y = x -> Open(3)", "model Open(units) { input v: [4]  output p = v -> dense(units) }") == []
    assert [c for c, _ in refused("output y = x -> Open", "model Open(units) { input v: [4]  output p = v -> dense(units) }")] == ["E103"]


# ---- derivatives in formulas


def test_derivatives_are_those_of_the_formulas() -> None:
    n = net("g = sum(sin(x) * x)  output d = grad(g, x)  output dd = grad(sum(grad(g, x)), x)  output none = grad(sum(x[:2]), x[3:])")
    out = n(x=X)
    np.testing.assert_allclose(out["d"], np.cos(X) * X + np.sin(X))
    np.testing.assert_allclose(out["dd"], 2 * np.cos(X) - np.sin(X) * X)
    np.testing.assert_array_equal(out["none"], np.zeros((3, 1)))


def test_a_derivative_does_not_overflow_where_its_formula_does_not() -> None:
    d = net("output d = grad(sum(sigmoid(x) + softplus(x) + log_softmax(x)), x)", dtype="float32")(x=1000 * X)["d"]
    assert np.isfinite(d).all()


def test_a_derivative_inside_a_loss_has_the_right_gradient_and_is_exported(tmp_path: Path) -> None:
    n = net("h = x -> dense(5) -> tanh -> dense(1)  output d = grad(sum(h), x)  loss mse(d, 1)")
    assert all(checked.passed for checked in gradcheck(n.spec))
    assert n.export(tmp_path / "m.onnx").difference < 1e-5


def test_a_derivative_through_a_loop() -> None:
    n = net("hs = scan v in x with h = 0.0 { h = tanh(0.5 * h + v) }  output d = grad(hs[-1], x)")
    step = 1e-6
    last = net("hs = scan v in x with h = 0.0 { h = tanh(0.5 * h + v) }  output y = hs[-1]")
    moved = [(last(x=X + step * e)["y"] - last(x=X - step * e)["y"]) / (2 * step) for e in np.eye(4)]
    assert distance(n(x=X)["d"], np.stack(moved, axis=1)) < 1e-8


@pytest.mark.parametrize(
    ("call", "code"), [("grad(x, x)", "E202"), ("grad(sum(x), 3)", "E106"), ("grad(sum(x @ W), W)", "E106"), ("grad(sum(x))", "E103")]
)
def test_what_a_derivative_refuses(call: str, code: str) -> None:
    assert [c for c, _ in refused(f"param W: [4, 2] ~ he_normal  y = {call}  output x")] == [code]


# ---- files


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        path = folder / f"{name.replace('__', '/')}.nn"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    return folder / "main.nn"


MAIN = "model M { input x: [4]  target y: [2]  output z = x -> block(2)  loss mse(z, y) }"
BLOCK = "let act = relu  layer block(x, units) = x -> dense(units) -> act"
TRAIN = "train { data { x = [[1, 2, 3, 4]], y = [[1, 2]] }  epochs 1  optimizer sgd(lr = 0.01) }"


def test_an_import_brings_definitions_and_lets_but_no_training(tmp_path: Path) -> None:
    spec = write(tmp_path, main=f'import "parts/blocks.nn" {MAIN}', parts__blocks=f'import "deeper.nn" {TRAIN}', parts__deeper=BLOCK)
    n = nnspec.load(spec, act="tanh")
    assert list(n.params) == ["block.dense.W", "block.dense.b"] and not n.spec.trainings
    np.testing.assert_allclose(n(x=X)["z"], np.tanh(X @ n.params["block.dense.W"] + n.params["block.dense.b"]), rtol=1e-6)


def test_a_file_imported_on_two_ways_is_read_once(tmp_path: Path) -> None:
    main = f'import "a.nn" import "b.nn" {MAIN}'
    nnspec.load(write(tmp_path, main=main, a='import "c.nn"', b='import "c.nn"', c=BLOCK))


def test_a_run_keeps_what_its_spec_imports(tmp_path: Path) -> None:
    spec = write(tmp_path, main=f'import "parts/blocks.nn" {MAIN} {TRAIN}', parts__blocks=BLOCK)
    n = nnspec.load(spec)
    n.fit()
    n.save(tmp_path / "run")
    expected = n(x=X)["z"].copy()
    (tmp_path / "parts" / "blocks.nn").unlink()
    np.testing.assert_array_equal(nnspec.open(tmp_path / "run")(x=X)["z"], expected)


@pytest.mark.parametrize(
    ("files", "code", "words"),
    [
        ({"main": 'import "none.nn"'}, "E501", "there is no file `none.nn`"),
        ({"main": 'import "../other.nn"'}, "E112", "not within the folder"),
        ({"main": 'import "/etc/passwd"'}, "E112", "not within the folder"),
        ({"main": 'import "a.nn"', "a": 'import "b.nn"', "b": 'import "a.nn"'}, "E112", "a.nn -> b.nn -> a.nn"),
        ({"main": 'import "main.nn"'}, "E112", "main.nn -> main.nn"),
        ({"main": 'import "a.nn"', "a": "layer l(x) = "}, "E001", ""),
        ({"main": 'import "a.nn" import "b.nn"', "a": BLOCK, "b": BLOCK}, "E105", "defined twice"),
    ],
)
def test_what_an_import_refuses(files: dict[str, str], code: str, words: str, tmp_path: Path) -> None:
    spec = write(tmp_path, **{**files, "main": files["main"] + " model M { input x: [4]  output x }"})
    with pytest.raises(nnspec.SpecError) as error:
        nnspec.load(spec)
    assert code in {d.code for d in error.value.diagnostics} and words in str(error.value)


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "outside.nn").write_text(BLOCK, "utf-8")
    (tmp_path / "spec").mkdir()
    (tmp_path / "spec" / "blocks.nn").symlink_to(tmp_path / "outside.nn")
    with pytest.raises(nnspec.SpecError, match="E112"):
        nnspec.load(write(tmp_path / "spec", main=f'import "blocks.nn" {MAIN}'))


# ---- saved weights


def saved_model(folder: Path, body: str, **tensors: Any) -> nnspec.Net:
    save_file({n.replace("__", "."): np.asarray(t, np.float32) for n, t in tensors.items()}, folder / "w.safetensors")
    return nnspec.load(write(folder, main=f"model M {{ input x: [4]  {body} }}"))


def test_weights_start_from_a_file(tmp_path: Path) -> None:
    w = np.arange(8).reshape(4, 2)
    body = (
        'param W: [4, 2] from "w.safetensors"  output y = x -> dense(2, bias = false, init = pretrained("w.safetensors"))  output z = x @ W'
    )
    n = saved_model(tmp_path, body, W=w, dense__W=w + 1, other=[1])
    np.testing.assert_array_equal(n.params["W"], w)
    np.testing.assert_array_equal(n.params["dense.W"], w + 1)


def test_the_only_tensor_of_a_file_needs_no_name(tmp_path: Path) -> None:
    n = saved_model(tmp_path, 'param W: [4, 2] from "w.safetensors"  output z = x @ W', anything=np.ones((4, 2)))
    np.testing.assert_array_equal(n.params["W"], np.ones((4, 2)))


@pytest.mark.parametrize(
    ("source", "code"), [('"w.safetensors"', "E208"), ('"none.safetensors"', "E501"), ('"../w.safetensors"', "E112"), ('"main.nn"', "E503")]
)
def test_what_saved_weights_refuse(source: str, code: str, tmp_path: Path) -> None:
    with pytest.raises(nnspec.SpecError) as error:
        saved_model(tmp_path, f"param W: [4, 2] from {source}  output z = x @ W", W=np.ones((2, 4)))
    assert [d.code for d in error.value.diagnostics] == [code]


def test_a_model_starts_from_a_file_and_what_is_not_in_it_starts_afresh(tmp_path: Path) -> None:
    w, mu = np.arange(8).reshape(4, 2), np.array([3.0, 4.0])
    save_file(
        {"dense.W": w.astype(np.float32), "batchnorm.mu": mu.astype(np.float32), "old.b": np.ones(3, np.float32)},
        tmp_path / "w.safetensors",
    )
    body = "x -> dense(2) -> batchnorm -> dense(3) as head"
    n = nnspec.load(write(tmp_path, main=f'model M from "w.safetensors" {{ input x: [4]  output y = {body} }}'))
    np.testing.assert_array_equal(n.params["dense.W"], w)
    np.testing.assert_array_equal(n.states["batchnorm.mu"], mu)
    drawn = nnspec.load(write(tmp_path, main=f"model M {{ input x: [4]  output y = {body} }}"))
    np.testing.assert_array_equal(n.params["head.W"], drawn.params["head.W"])


@pytest.mark.parametrize(
    "part",
    [
        'model Part from "w.safetensors" { input x: [4]  output y = x -> dense(2, bias = false) }',
        'layer Part(x) { param W: [4, 2] from "w.safetensors"  return x @ W }',
        'layer Part(x) = x -> dense(2, bias = false, init = pretrained("w.safetensors"))',
        'layer Part(x) = x -> dense(2, bias = false, init = pretrained("../parts/w.safetensors"))',
    ],
)
def test_weights_that_an_imported_file_names_lie_beside_it(part: str, tmp_path: Path) -> None:
    spec = write(tmp_path, parts__code=part, main='import "parts/code.nn"  model M { input x: [4]  output y = x -> Part }')
    for folder, value in ((tmp_path, 1), (tmp_path / "parts", 2)):
        name = "dense.W" if "dense" in part else "W"
        save_file({name: np.full((4, 2), value, np.float32)}, folder / "w.safetensors")
    (start,) = nnspec.load(spec).params.values()
    assert (start == 2).all()


def test_a_model_used_as_a_layer_starts_from_its_file(tmp_path: Path) -> None:
    w = np.arange(8, dtype=np.float32).reshape(4, 2)
    save_file({"dense.W": w}, tmp_path / "w.safetensors")
    inner = 'model Code(n = 2) from "w.safetensors" { input x: [4]  output c = x -> dense(n) }'
    n = nnspec.load(write(tmp_path, main=inner + " model M { input x: [4]  output y = x -> Code as first -> dense(4) -> Code }"))
    np.testing.assert_array_equal(n.params["first.dense.W"], w)
    np.testing.assert_array_equal(n.params["Code.dense.W"], w)
    assert n.params["dense.W"].shape == (2, 4)
    n.save(tmp_path / "run")
    (tmp_path / "w.safetensors").unlink()
    np.testing.assert_array_equal(nnspec.open(tmp_path / "run").params["first.dense.W"], w)


@pytest.mark.parametrize(
    ("file", "tensors", "code", "words"),
    [
        ("w", {"dense.W": (4, 3)}, "E208", "`dense.W` is [4, 2], and in w.safetensors it is [4, 3]"),
        ("w", {"dens.W": (4, 2)}, "E503", "nothing in w.safetensors has the name"),
        ("none", {"dense.W": (4, 2)}, "E501", "cannot read"),
        ("../w", {"dense.W": (4, 2)}, "E112", "not within the folder"),
    ],
)
def test_what_the_weights_of_a_model_are_not(file: str, tensors: dict[str, Any], code: str, words: str, tmp_path: Path) -> None:
    save_file({n: np.ones(s, np.float32) for n, s in tensors.items()}, tmp_path / "w.safetensors")
    spec = write(tmp_path, main=f'model M from "{file}.safetensors" {{ input x: [4]  output y = x -> dense(2) }}')
    with pytest.raises(nnspec.SpecError) as error:
        nnspec.load(spec)
    [diagnostic] = error.value.diagnostics
    assert diagnostic.code == code and words in diagnostic.message
    assert diagnostic.span and diagnostic.span.text == f'"{file}.safetensors"'


# ---- open sizes


def test_a_size_left_open_follows_from_the_first_use() -> None:
    params = "param W: [_, 3] ~ he_normal  param g: [_] = 1  param V: [2, _] ~ he_normal"
    n = net(f"{params}  h = (x * g) @ W  output z = h @ transpose(V @ W)")
    assert {name: p.shape for name, p in n.params.items()} == {"g": (4,), "W": (4, 3), "V": (2, 4)}


def test_a_kernel_s_channels_can_be_left_open() -> None:
    text = (
        "model M { input x: [6, 5, 5]  param W: [4, _, 3, 3] ~ he_normal  param V: [_, 2, 2, 2] ~ he_normal  y = convolve(x, W, groups = 2)"
    )
    n = nnspec.loads(text + "  output z = convolve_transpose(y, V) }")
    assert {name: p.shape for name, p in n.params.items()} == {"W": (4, 3, 3, 3), "V": (4, 2, 2, 2)}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("param W: [_, 3] ~ he_normal  output x", "nothing uses it"),
        ("param W: [_, _] ~ he_normal  output y = x @ W", "write it"),
        ("param W: [3, _] ~ he_normal  output y = exp(W)", "a size of which is not known yet"),
    ],
)
def test_an_open_size_that_no_use_decides_is_an_error(body: str, words: str) -> None:
    ((code, message),) = refused(body)
    assert code in ("E106", "E107") and words in message


def test_outputs_have_the_order_of_the_text() -> None:
    net = nnspec.loads("model M { input x: [2]  output p  output q = 2 * x  p = x + 1 }")
    assert list(net.outputs) == list(net(x=[[1, 2]])) == ["p", "q"]


@pytest.mark.parametrize("joined", ["concat(h, h)", "concat(h, b, h)", "h -> [identity, identity, relu] -> concat(axis = -1)",
                                    "pad_axis(h, 0, 0, 3) + pad_axis(h, 0, 3, 0)"])  # fmt: skip
def test_a_value_can_be_joined_to_itself(joined: str) -> None:
    text = f"model M {{ input x: [3]  h = x -> dense(3) -> tanh  b = 2 * h  z = {joined}  output z  loss mean(z^2) }}"
    x = np.random.default_rng(0).normal(size=(4, 3))
    plain, *others = (nnspec.loads(text, engine=e).init(seed=1) for e in ("reference", "numpy", "ort"))
    for net in others:
        assert distance(net(x=x)["z"], plain(x=x)["z"]) < 1e-6
        assert distance(net.gradients(x=x)[1]["dense.W"], plain.gradients(x=x)[1]["dense.W"]) < 1e-5
