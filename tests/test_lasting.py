"""What earlier versions of a spec did is what the next one would do: where a text reads the same, and where it does not."""

from __future__ import annotations

from typing import Any

import pytest
from helpers import GALLERY
from mutations import mutants
from test_remember import EACH, REFERENCE, SPECS, evaluated, everything

from nnspec import gallery
from nnspec.compile import Compilation
from nnspec.diagnostics import Source
from nnspec.elaborate.calls import Calls

OWN = {
    "values": """
        let n = 3
        let act = relu
        fn half(x) = x / 2 + n
        layer inner(x, units) = x -> dense(units, init = own_init) -> act -> half
        init own_init() = normal(0, 1) / n
        layer outer(x: [m], f) { param W: [m, n] ~ he_normal
          return x @ W -> inner(m) -> f }
        model M { input x: [4]  output y = x -> outer(half) -> outer(tanh) -> dropout(0.5), z = x -> inner(2) }
        test "as many" of M { given x = [1, 2, 3, 4]
          expect shape(y) == [3] }
    """,
    "phases": """
        layer counted(x: [n]) { state seen: [n] = 0
          if training { seen <- seen + batch_mean(x) }
          return if training then x + seen else x }
        layer twice(x) = x -> counted -> dropout(0.2) -> counted
        model M { input x: [2]  output y = x -> twice -> twice -> counted }
    """,
    "slopes": """
        fn square(x) = sum(x ^ 2)
        fn slope(y, x) = grad(y, x)
        layer steep(x) = slope(square(x), x) -> dense(2)
        model M { input x: [2]  output y = steep(x) + slope(square(x), x) }
    """,
    "mistakes inside": """
        layer wrong(x, units) = x -> dense(units) -> reshape(2, 3)
        layer around(x) = x -> wrong(6) -> flatten -> wrong(5)
        model M { input x: [4]  output y = x -> around, z = x -> wrong(6) }
    """,
}


def versions(text: str, name: str) -> list[str]:
    """A text as it is written: moved, with mistakes in it, and as it was."""
    below = "\n# at the end\nlet new_here = 1\n"
    return [text, f"# above\n\n{text}", *(m.text for m in mutants(text, name, EACH)), f"# again\n{text}{below}", text]


def check(text: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: dict[Any, Any] = {}
    for version in versions(text, name):
        assert everything(version, kept) == evaluated(version, monkeypatch)


@pytest.mark.parametrize("name", GALLERY)
def test_versions_of_the_gallery(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    check(gallery.read(name).text, name, monkeypatch)


@pytest.mark.parametrize(("name", "text"), (SPECS | OWN).items(), ids=list(SPECS | OWN))
def test_versions_of_definitions(name: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    check(text, name, monkeypatch)


@pytest.mark.parametrize("text", REFERENCE, ids=range(len(REFERENCE)))
def test_versions_of_the_reference(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    check(text, "block", monkeypatch)


def ran(text: str, kept: dict[Any, Any], monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The definitions of a spec whose bodies were evaluated."""
    run = set[str]()
    plain = Calls.run_function
    with monkeypatch.context() as patch:
        patch.setattr(Calls, "run_function", lambda e, f, *call: (f.of_library or run.add(f.name), plain(e, f, *call))[1])
        Compilation(Source("net.nn", text), {}, kept=kept).inference_model  # noqa: B018
    return run


@pytest.mark.parametrize(
    ("before", "after", "again"),
    [
        ("model M", "# a comment\n model M", set()),
        ("test ", "let another = 1\n test ", set()),
        ("x / 2", "x / 3", {"half", "inner", "outer"}),
        ("let n = 3", "let n = 2", {"half", "inner", "outer"}),
        ("let act = relu", "let act = tanh", {"inner", "outer"}),
        ("x @ W ->", "2 * x @ W ->", {"outer"}),
        ("test ", "fn dense(x, units) = 2 * x\n test ", {"dense", "half", "inner", "outer"}),
        ("input x: [4]", "input x: [5]", {"half", "inner", "outer"}),
    ],
)
def test_only_what_reads_another_way_is_evaluated(before: str, after: str, again: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    text, kept = OWN["values"].replace(", init = own_init", ""), dict[Any, Any]()
    assert before in text
    assert ran(text, kept, monkeypatch) == {"half", "inner", "outer"}
    assert ran(text.replace(before, after), kept, monkeypatch) == again
    assert ran(text, kept, monkeypatch) == set()
