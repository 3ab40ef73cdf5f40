"""Names in layers and functions that no model calls."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers import ROOT

from nnspec.compile import Compilation
from nnspec.compile.mistakes import unknown_in
from nnspec.elaborate import uncalled
from nnspec.source import Source, source_of

MODEL = "model M { input x: [3]  output y = x -> dense(2) }\n"


def unknown(text: str) -> list[str]:
    return [d.message for d in Compilation(Source("m.nn", text), {}).diagnostics]


@pytest.mark.parametrize(
    ("definition", "names"),
    [
        ("layer wide(x: [n]) = x -> dence(2 * n)", ["dence"]),
        ("fn odd(x) = tanh(x) + y", ["y"]),
        ("fn odd(x) = even(x)\nfn even(x) = odf(x)", ["odf"]),
        ("layer both(x) { h = x -> dense(k)  if training { h = drop(h) }  return h }", ["k", "drop"]),
        ("layer loop(x: [T, n]) = scan x_t in x with h = zeros([n]) { h = hh + x_t }", ["hh"]),
    ],
)
def test_a_name_that_stands_for_nothing_is_told_of_though_nothing_calls_where_it_is(definition: str, names: list[str]) -> None:
    told = [f"there is no `{name}` here" for name in names]
    assert unknown(f"{definition}\n{MODEL}") == told
    assert [d.message for d in Compilation(Source("m.nn", definition), {}).mistakes_of_library] == told


@pytest.mark.parametrize(
    "definition",
    [
        "layer wide(x: [n], act = relu) { param W: [n, 2 * n] ~ he_normal\n return act(x @ W) }",
        "layer both(x) { h = x -> dense(4) as first  if training { h = h + first.b }  return h * batch }",
        "layer mean_of(x: [T, n]) = scan x_t in x with h = zeros([n]) { h = h + x_t / T }",
        "let k = 3\nfn f(x) = k * g(x)\nfn g(x, y = k) = -(x + y)",
        "# fn odd(x) = y\nfn odd(x) = x",
    ],
)
def test_names_that_stand_for_something_are_not_told_of(definition: str) -> None:
    assert not unknown(f"{definition}\n{MODEL}")


FILES = sorted([*(ROOT / "nnspec" / "std").glob("*.nn"), *(ROOT / "specs").rglob("*.nn")])


@pytest.mark.parametrize("file", FILES, ids=[f.stem for f in FILES])
def test_all_names_in_the_bodies_of_library_and_gallery_are_known(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uncalled, "_uncalled", lambda spec: [*spec.all("layer"), *spec.all("fn")])
    spec = Compilation(source_of(file.name, file.read_bytes()), {}, folder=file.parent)
    assert not list(unknown_in(spec))
