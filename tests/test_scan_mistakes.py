"""What a `scan` is told that cannot be meant, and rows by computed numbers, which many write one for."""

import numpy as np
import pytest

import nnspec
from nnspec.compile import Compilation
from nnspec.diagnostics import Source, SpecError

START = "model M { input x: [T, 2]  "


@pytest.mark.parametrize(
    ("text", "said"),
    {
        "h, g = scan e in x with h = zeros(2), h = ones(2) { h = h + e }  output h": r"E105\]: `h` is carried already",
        "output y = scan h in x with h = zeros(2) { h = 0.5 * h + 1 }": r"E105\]: `h` is the element that is walked",
        "h = scan e, f in x, x with h = zeros(2) { h = h + e * f }  output h": r"E004\]: a `scan` walks one sequence(?s:.*)concat",
        "h = x -> scan e in x with h = zeros(2) { h = h + e }  output h": r"E004\]: a `scan` is no stage(?s:.*)hs = scan e in x",
    }.items(),
)
def test_it_is_said(text: str, said: str) -> None:
    with pytest.raises(SpecError, match=said):
        nnspec.loads(START + text + " }")


@pytest.mark.parametrize(
    ("text", "warned"),
    {
        "output y = scan e in x with h = zeros(2) { k = h + e }": 1,
        "output y = scan e in x with h = zeros(2) { if training { h = e } else { h = h + e } }": 0,
        "a, b = scan e in x with h = zeros(2), k = 0 { h = h + e + k }  output a, b": 1,
        "output y = scan e in x with h = zeros(2) { s = scan f in e with k = 0 { g = f }  h = e + s }": 1,
    }.items(),
)
def test_what_no_step_gives_a_value_is_warned_of(text: str, warned: int) -> None:
    found = Compilation(Source("m.nn", START + text + " }"), {}).warnings
    assert [d.code for d in found].count("W137") == warned


@pytest.mark.parametrize("engine", ["reference", "numpy", "ort"])
@pytest.mark.parametrize("kind", ["", "int"])
@pytest.mark.parametrize("rows", ["T", "3"])
def test_rows_are_taken_from_each_example_by_numbers_of_its_own(rows: str, kind: str, engine: str) -> None:
    text = f"model M {{ input x: {kind}[{rows}, 2, 2]  input i: int[4]  output y = take(x, i), one = take(x, i[0]) }}"
    x, i = np.arange(24).reshape(2, 3, 2, 2) + 2**24 * (kind == "int"), np.array([[2, 0, 0, 1], [1, 1, 2, 0]])
    found = nnspec.loads(text, engine=engine)(x=x, i=i)
    assert np.array_equal(found["y"], np.stack([a[b] for a, b in zip(x, i, strict=True)]))
    assert np.array_equal(found["one"], found["y"][:, 0])


@pytest.mark.parametrize("engine", ["reference", "numpy", "ort"])
def test_gradients_go_back_to_the_rows_that_were_taken(engine: str) -> None:
    text = "model M { input x: [T, 2]  input i: int[3]  param w: [2] = 1  output y = take(w * x, i)  loss sum(y^2) }"
    x, i = np.random.default_rng(0).normal(size=(2, 4, 2)).astype(np.float32), np.array([[3, 0, 3], [1, 1, 2]])
    _, gradients = nnspec.loads(text, engine=engine).init(seed=0).gradients(x=x, i=i)
    assert np.allclose(gradients["w"], np.mean([2 * (a[b] ** 2).sum(0) for a, b in zip(x, i, strict=True)], axis=0), rtol=1e-5)
