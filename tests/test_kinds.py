"""Whole numbers and truths where floats are usual: every engine and every export computes with them what the definition does."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest

import nnspec
from nnspec.diagnostics import SpecError
from nnspec.elaborate.library import Definitions
from nnspec.elaborate.primitives import builtins
from nnspec.run.ort import Session

DATA = {
    "b": np.array([[[True, False, True], [False, False, True]], [[False, False, False], [True, True, True]]]),
    "k": np.array([[[3, -7, 2], [5, 0, 1]], [[-1, 9, 4], [2, 2, -6]]]),
    "x": np.array([[[0.5, -1, 2], [3, 0.25, 0]], [[1, 1.5, -2], [0, 2, -0.5]]], np.float32),
    "i": np.array([[0, 2], [1, 0]]),
}
IMAGE = "reshape(V, [1, 2, 3])"
ARGUMENTS = ("", ", axis = 0", ", 2", ", x", ", b", ", i", ", 1, 2", ", [3, 2]")
SIGNS = ["+", "-", "*", "/", "%", "^", "<", "<=", ">", ">=", "==", "!=", "@", "and", "or"]
OTHERS = ("b", "k", "x", "2", "true", "0.5", "transpose(k)")
FORMULAS = (
    *(f"V {sign} {other}" for sign in SIGNS for other in OTHERS if not (sign == "%" and other in "bk")),
    *(f"{other} {sign} V" for sign in SIGNS[:-3] if sign != "%" for other in OTHERS[:-1]),
    *("-V", "not V", "V^0", "V[0]", "V[:, 1:]", "if b then V else k", "if b then V else x", "if b then V else b", "grad(sum(x * V), x)"),
    *("cut_axis(V, 0, 0, 1)", "pad_axis(V, 0, 1, 2)", "clip(V, 0, 1)", "attention(V, V, V)", "concat(V, b)", "stack(V, x)", "add(V, k)"),
    *("cross_entropy(V[0], i[0])", "accuracy(V[0], i[0])", "take(V, i % 2)", "take([[1, 2], [3, 4], [5, 6]], i) * V[:, :2]"),
)


@cache
def formulas(kind: str) -> list[str]:
    """All that may be computed of a value by itself, with words of the library and signs."""
    names = sorted(Definitions().names("fn", "layer") | {*builtins()} - {"orthogonalise"})  # of few values there is not one way
    calls = [f"{name}({v}{more})" for name in names for v in ("V", IMAGE) for more in ARGUMENTS]
    return [f for f in (c.replace("V", kind) for c in (*calls, *FORMULAS)) if _is_right(f)]


def model(*outputs: str) -> str:
    """A model with these outputs, and all that is fed to it as others."""
    named = ", ".join([*(f"y{n} = {o}" for n, o in enumerate(outputs)), "b2 = b", "k2 = k", "x2 = x", "i2 = i"])
    return f"model M {{ input b: bool[2, 3]  input k: int[2, 3]  input x: [2, 3]  input i: int[2]  output {named} }}"


def _is_right(formula: str) -> bool:
    """Whether that is a formula, has a value and a form in ONNX, and is not drawn."""
    try:
        net = nnspec.loads(model(formula), engine="reference").init(seed=0)
        net(**DATA)
    except SpecError:
        return False
    return all(n.op.is_source or (n.op.onnx and n.op.name != "random") for n in net.spec.model.graph)


@cache
def _by_definition(kind: str) -> dict[str, np.ndarray]:
    net = nnspec.loads(model(*formulas(kind)), engine="reference").init(seed=0)
    return {**net(**DATA)}


@pytest.mark.parametrize("kind", ["b", "k"])
def test_all_that_can_be_said_of_them_has_a_value(kind: str) -> None:
    assert len(formulas(kind)) > 250
    types = nnspec.loads(model(*formulas(kind))).outputs
    assert {n: v.dtype.name for n, v in _by_definition(kind).items()} == {n: t.dtype for n, t in types.items()}


@pytest.mark.parametrize("engine", ["numpy", "ort", "onnx"])
@pytest.mark.parametrize("kind", ["b", "k"])
def test_engines_and_exports_agree_on_them(kind: str, engine: str, tmp_path: Path) -> None:
    net = nnspec.loads(model(*formulas(kind)), engine="numpy" if engine == "onnx" else engine).init(seed=0)
    if engine == "onnx":
        net.export(tmp_path / "m.onnx")
        found = Session(tmp_path / "m.onnx").run(DATA)
    else:
        found = net(**DATA)
    for name, expected in _by_definition(kind).items():
        formula = formulas(kind)[int(name[1:])] if name[0] == "y" else name
        assert found[name].dtype == expected.dtype, formula
        largest = np.abs(expected, where=np.isfinite(expected), out=np.ones(expected.shape)).max()
        np.testing.assert_allclose(np.asarray(found[name], float), np.asarray(expected, float), 1e-4, 1e-5 * largest, err_msg=formula)


STATES = {
    "argmax(batch_mean(x))": 1,
    "s > -1": 1,
    "s == 0": 1,
    "sum(positions(x))": 3,
    "batch_mean(sum(k))": 12,
    "batch_mean(argmax(k))": 2,
    "batch_var(sum(k))": 36,
    "max(batch_mean(k))": 6,
    "mean(batch_mean(k > 2))": 2 / 3,
    "true": 1,
}
STATEFUL = """
model M {
  input  x: [3]
  input  k: int[3]
  target y: []
  state  s: [] = 0
  if training { s <- FORMULA }
  output z = (x + k) -> linear
  loss   mse(z, y)
}
train { epochs 1  optimizer sgd(lr = 0.1) }
"""


@pytest.mark.parametrize("engine", ["reference", "numpy", "ort"])
@pytest.mark.parametrize("formula", STATES)
def test_a_state_gets_them_as_floats(formula: str, engine: str) -> None:
    net = nnspec.loads(STATEFUL.replace("FORMULA", formula), engine=engine).init(seed=0)
    net.step(x=[[1, 5, 3], [4, 5, 3]], k=[[1, 2, 3], [4, 5, 9]], y=[1, 2])
    assert net.states["s"].dtype == np.float32 and np.isclose(net.states["s"], STATES[formula])


OPTIMIZERS = {
    "state c = 0  c <- sign(g) > 0  w <- w - c": [0, 1, 0],
    "state c = 0  c <- c + (g > 0)  w <- w - c": [0, 1, 0],
    "w <- g > 0": [0, 1, 0],
    "w <- if w > 0 then true else g > 0": [1, 1, 1],
}


@pytest.mark.parametrize("engine", ["reference", "numpy", "ort"])
@pytest.mark.parametrize("formula", OPTIMIZERS)
def test_so_does_what_an_optimizer_updates(formula: str, engine: str) -> None:
    text = f"optimizer o(lr) {{ {formula} }} model M {{ input x: [3]  param w: [3] = [1, 2, 1]  output z = x * w  loss sum(z) }}"
    net = nnspec.loads(f"{text} train {{ epochs 1  optimizer o(lr = 1) }}", engine=engine).init(seed=0)
    net.step(x=[[-1, 2, 0]])
    expected = OPTIMIZERS[formula]
    assert net.params["w"].tolist() == ([1 - expected[0], 2 - expected[1], 1 - expected[2]] if "- c" in formula else expected)


@pytest.mark.parametrize("init", ["positions(random(shape))", "random(shape) >= 0", "true", "range(0, 3)"])
@pytest.mark.parametrize("engine", ["reference", "numpy", "ort"])
def test_and_a_parameter_that_is_drawn(init: str, engine: str) -> None:
    text = f"init i = {init}  model M {{ input x: [3]  param w: [3] ~ i  output y = x * w }}"
    net = nnspec.loads(text, engine=engine).init(seed=0)
    assert net.params["w"].dtype == np.float32 and net.params["w"].tolist() == ([0, 1, 2] if "0, 3" in init or "pos" in init else [1, 1, 1])


@pytest.mark.parametrize("engine", ["reference", "numpy", "ort"])
def test_a_whole_number_has_no_remainder_by_a_0_that_is_computed(engine: str) -> None:
    net = nnspec.loads("model M {\n  input k: int[2]\n  input n: int[2]\n  output r = k % n\n}", engine=engine)
    assert net(k=[[7, -7]], n=[[4, 4]])["r"].tolist() == [[3, 1]]
    with pytest.raises(SpecError, match=r"E205\]: a whole number is divided by 0(?s:.*)4:14(?s:.*)max\(k, 1\)"):
        net(k=[[7, 7]], n=[[1, 0]])


@pytest.mark.parametrize("formula", ["k % 0", "k % [2, 0]", "k % 0.0"])
def test_nor_by_a_0_that_is_written(formula: str) -> None:
    with pytest.raises(SpecError, match="this divides by zero"):
        nnspec.loads(f"model M {{ input k: int[2]  output r = {formula} }}")
