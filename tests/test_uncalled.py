"""Definitions that nothing calls."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers import ROOT

from nnspec.compile import Compilation
from nnspec.compile.mistakes import in_uncalled
from nnspec.diagnostics import Source
from nnspec.elaborate import uncalled
from nnspec.source import source_of

MODEL = "model M { input x: [3]  output y = x -> dense(2) }\n"


def unknown(text: str) -> list[str]:
    return [d.message for d in Compilation(Source("m.nn", text), {}).diagnostics]


@pytest.mark.parametrize(
    ("definition", "names"),
    [
        ("layer wide(x: [n]) = x -> dence(2 * n)", ["dence"]),
        ("fn odd(x) = tanh(x) + y", ["y"]),
        ("layer odd(x) = x -> nn.relu", ["nn"]),
        ("fn odd(x) = even(x)\nfn even(x) = odf(x)", ["odf"]),
        ("layer both(x) { h = x -> dense(k)  if training { h = drop(h) }  return h }", ["k", "drop"]),
        ("optimizer mine(lr) { state m = 0  m <- m + grd  w <- w - lr * m }", ["grd"]),
        ("schedule late = lrr * 0.5^(epoch / epochs) * stale + rate * step / steps", ["lrr"]),
        ("init own(s) = s * normal(0, 1 / fan) * fan_in / fan_out + shape[0]", ["fan"]),
        ("layer loop(x: [T, n]) = scan x_t in x with h = zeros([n]) { h = hh + x_t }", ["hh"]),
    ],
)
def test_a_name_that_stands_for_nothing_is_told_of_though_nothing_calls_where_it_is(definition: str, names: list[str]) -> None:
    told = [f"there is no `{name}` here" for name in names]
    assert unknown(f"{definition}\n{MODEL}") == told
    assert [d.message for d in Compilation(Source("m.nn", definition), {}).mistakes_of_library] == told


@pytest.mark.parametrize(
    ("definition", "said"),
    [
        ("fn odd(x) { param w: [3] = 1  return x * w }", "a param belongs to a layer or a model; a fn is a pure formula"),
        ("fn odd(x) { y = x * 2 }", "`odd` returns nothing"),
        ("layer odd(x) { y = x -> dense(3) }", "`odd` returns nothing"),
        ("layer odd(x, n) = x -> dense(n, bais = false)", "`dense` has no argument `bais`"),
        ("fn odd(x) = sum(x, axs = 1)", "`sum` has no argument `axs`"),
        ("fn odd(x) = even(x, of = 1)\nfn even(x, by) = x * by", "`even` has no argument `of`"),
    ],
)
def test_what_no_call_could_mend_is_told_of_though_there_is_none(definition: str, said: str) -> None:
    assert unknown(f"{definition}\n{MODEL}") == [said]
    assert [d.message for d in Compilation(Source("m.nn", definition), {}).mistakes_of_library] == [said]


@pytest.mark.parametrize(
    "definition",
    [
        "layer odd(x, even) = x -> even(by = 2)",
        "let even = relu\nlayer odd(x) = x -> even",
        "fn odd(x, n) { if n > 1 { return x } else { return 2 * x } }",
        "optimizer own { state m = 0  lookahead w - lr * m  m <- m * t + g  w <- w - lr * m }",
        "layer wide(x: [n], act = relu) { param W: [n, 2 * n] ~ he_normal\n return act(x @ W) }",
        "layer both(x) { h = x -> dense(4) as first  if training { h = h + first.b }  return h * batch }",
        "layer mean_of(x: [T, n]) = scan x_t in x with h = zeros([n]) { h = h + x_t / T }",
        "layer two(x) { h = x -> dense(4) -> dense(4)  return h @ dense_2.W + dense.b }",
        "let k = 3\nfn f(x) = k * g(x)\nfn g(x, y = k) = -(x + y)",
        "# fn odd(x) = y\nfn odd(x) = x",
    ],
)
def test_names_that_stand_for_something_are_not_told_of(definition: str) -> None:
    assert not unknown(f"{definition}\n{MODEL}")


FILES = sorted([*(ROOT / "nnspec" / "std").glob("*.nn"), *(ROOT / "specs").rglob("*.nn")])


@pytest.mark.parametrize("file", FILES, ids=[f.stem for f in FILES])
def test_all_names_in_the_bodies_of_library_and_gallery_are_known(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uncalled, "_uncalled", lambda spec: [d for d in spec.definitions if getattr(d, "kind", "") in uncalled.KNOWN])
    spec = Compilation(source_of(file.name, file.read_bytes()), {}, folder=file.parent)
    assert not list(in_uncalled(spec))
