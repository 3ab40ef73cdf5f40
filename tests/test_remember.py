"""What is done again for a call like one before it is what its evaluation would have done, down to names, places and messages."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest
from helpers import GALLERY, ROOT
from mutations import mutants
from test_house import blocks

from nnspec import gallery
from nnspec.compile import Compilation
from nnspec.diagnostics import Fault, Source
from nnspec.elaborate.calls import Calls
from nnspec.elaborate.expand import Elaborator
from nnspec.elaborate.model import Model
from nnspec.elaborate.remember import Remembering, of_library
from nnspec.elaborate.values import Applied, Owned
from nnspec.limits import limited

REFERENCE = blocks(ROOT / "grammar" / "README.md", "nn")
EACH = 3
"""Mutants of each kind of a spec."""
SEEN = 3
"""A pipeline is followed when it comes for the third time."""


def everything(text: str, kept: dict[Any, Any] | None = None) -> list[object]:
    """All that elaboration makes of a spec, and says of it."""
    spec = Compilation(Source("net.nn", text), {}, folder=ROOT / "specs", kept=kept)
    return [*_models(spec), spec.definitions.budget.spent, spec.diagnostics, spec.warnings]


def _models(spec: Compilation) -> list[object]:
    try:
        phases = (spec.inference_model, spec.training_model, spec.fitting_model)
        return [_made(phase[0]) for phase in phases if phase]
    except Fault as error:
        return [error.diagnostic]


def _made(m: Model) -> object:
    nodes = [(n.name, n.op.name, n.inputs, repr(n.attrs), n.type, n.role, n.span) for n in m.graph]
    rows = [(r.name, r.span, r.value.var.name, r.value.origin, r.nodes, r.owned) for r in m.rows]
    return nodes, list(m.graph.outputs.items()), list(m.graph.written.items()), list(map(_owned, m.owned.values())), rows


def _owned(o: Owned) -> object:
    start = (o.start.name, o.start.arguments, o.start.span) if isinstance(o.start, Applied) else o.start
    return o.name, o.kind, o.type, repr(start), o.span, o.weights


def evaluated(text: str, monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The same with every call evaluated."""
    with monkeypatch.context() as patch:
        patch.setattr(Remembering, "expand", Calls.expand)
        patch.setattr(Remembering, "formula", Elaborator.formula)
        return everything(text)


@pytest.mark.parametrize("name", GALLERY)
def test_a_spec_of_the_gallery_means_the_same_and_so_do_its_mistakes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text = gallery.read(name).text
    for spec in (*[text] * SEEN, *(m.text for m in mutants(text, name, EACH))):
        assert everything(spec) == evaluated(spec, monkeypatch)


@pytest.mark.parametrize("text", REFERENCE, ids=range(len(REFERENCE)))
def test_a_spec_of_the_reference_means_the_same(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = evaluated(text, monkeypatch)
    assert [everything(text) for _ in range(SEEN)] == [plain] * SEEN


SPECS = {
    "names of what a function calls in place": """
        fn twice(x) = x -> dense(2) -> dense(2)
        layer two(x) = twice(twice(x))
        model M { input x: [2]  output y = x -> two -> twice -> two }
    """,
    "a label that is there already": """
        fn named(x) = x -> { dense(2) } as code
        layer l(x) = named(x)
        model M { input x: [2]  output y = x -> l -> l -> named -> named }
    """,
    "one value for two arguments": """
        fn both(a, b) = exp(a) * exp(b) + exp(a)
        model M { input x: [2], output y = both(x, x) }
    """,
    "values that are equal and not alike": """
        fn plus(a, b) = a + b
        model M { input x: int[2]  output y = plus(x, 1), z = plus(x, 1.0), w = plus(x, true), v = 1 / plus(0 * x, -0.0) }
    """,
    "a state in training only": """
        layer count(x: [n]) { state seen: [n] = 0
          if training { seen <- seen + batch_mean(x) }
          return x + seen }
        model M { input x: [2]  output y = x -> count -> count -> count }
    """,
    "a function of numbers that asks if the model is in training": """
        fn scale(n) = if training then n else 1
        layer moved(x) = x + scale(3)
        model M { input x: [2]  output y = x * scale(3) -> moved }
    """,
    "draws that differ": """
        layer noisy(x) = x + normal(0, 1) -> dropout(0.5)
        model M { input x: [2]  output y = x -> noisy -> noisy -> noisy }
    """,
    "draws of a layer that a function calls by a name of its own": """
        fn noisy(x) = x -> dropout(0.5) as noise
        layer twice(x) = noisy(x) -> noisy
        model M { input x: [2]  output y = x -> twice -> twice -> noisy -> noisy }
    """,
    "draws in what is called inside": """
        fn noise(x) = x + normal(0, 1)
        layer both(x) = noise(x) -> dropout(0.5) -> noise -> gaussian_noise(0.1)
        layer deep(x) = x -> both -> both as last -> noise
        fn around(x) = x -> deep -> both
        model M { input x: [2]  share again = { deep -> dense(2) }
          output y = x -> deep -> noise -> deep -> again -> around -> again -> around -> dropout(0.5) }
    """,
    "a loop": """
        layer sums(x: [T, n]) { hs = scan s in x with h = zeros(n) { h = tanh(h + s -> dense(n)) }
          return hs }
        model M { input x: [T, 3]  output y = x -> sums -> sums -> lstm(3) -> lstm(3) }
    """,
    "a derivative of another formula": """
        fn slope(y, x) = grad(y, x)
        model M { input x: [2]  output y = slope(sum(x^2), x), z = slope(sum(x^3), x), w = slope(sum(x), x) }
    """,
    "shared and tied weights": """
        layer tied(x: [n]) { share enc = dense(3)
          h = x -> enc -> tanh
          return h @ transpose(enc.W) }
        model M { input x: [4]  output y = x -> tied -> tied }
    """,
    "a size left to its first use": """
        layer open(x) { param W: [_, 3] ~ he_normal
          return x @ W }
        model M { input x: [4]  output y = x -> open -> open -> open }
    """,
    "two results": """
        fn split(x, y) = [x[0:2], y]
        model M { input x: [4]  a, b = split(x, x)  c, d = split(b, a)  output e = a + c, f = b + 1, g = d }
    """,
    "definitions as arguments": """
        fn half(x) = x / 2
        layer with_act(x, act) = x -> dense(2) -> act
        model M { input x: [2]  output y = x -> with_act(half) -> with_act(relu) -> with_act(half) -> with_act(tanh) }
    """,
    "a model as a layer": """
        model Part { input x: [2]  output y = x -> dense(2) -> relu }
        model M { input x: [2]  output z = Part(Part(x)) }
    """,
    "a name of the caller's in a function": """
        fn f(x) { W = 2 * x
          return W }
        layer l(x: [n]) { param W: [n] = 1
          return f(x) * W }
        model M { input x: [2]  output y = f(x) -> l -> l }
    """,
    "sizes that do not fit, and where they come from": """
        let width = 3
        layer l(x: [n], units) = x -> dense(units) -> dense(width)
        model M { input x: [2]  a = x -> l(4)  b = x -> l(5) -> l(width)  c = x -> dense(7)  d = x -> dense(8)
          output y = a + c, z = b + d, w = dense_3.W @ dense_4.W }
    """,
    "an argument out of range the second time": """
        model M { input x: [4]  output y = x -> dropout(0.5) -> dropout(1.5) -> dropout(0.5), z = x -> dense(3) -> dense(0) }
    """,
}


@pytest.mark.parametrize("text", SPECS.values(), ids=list(SPECS))
def test_calls_that_look_alike_are_told_apart(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = evaluated(text, monkeypatch)
    assert [everything(text) for _ in range(SEEN)] == [plain] * SEEN


LINES = {
    "layers of two kinds, and dropout": "h -> dense(4) -> relu -> dropout(0.1) -> dense(4) -> layernorm",
    "a size by its name": "h -> dense(n) -> dense(4, bias = false)",
    "an init of its own": "h -> dense(4, init = he_normal)",
    "a call": "tanh(dense(h, 4))",
    "a pipeline in a call": "relu(h -> dense(4))",
    "a call as the start": "relu(h) -> dense(4)",
    "a sum": "h + (h -> dense(4))",
    "its own layer": "h -> own(4) -> own(4)",
    "its own function, which makes a layer": "h -> around -> dense(4)",
    "a value twice": "both(h, h) -> dense(4)",
    "draws of the model": "noise(h) -> dropout(0.5) -> noise",
    "statistics": "h -> dense(4) -> batchnorm -> relu",
    "branches": "h -> [dense(4), dropout(0.2)] -> add",
    "a repetition": "h -> repeat(2) { dense(4) -> relu }",
    "a shared pipeline": "h -> enc -> enc",
    "a slip": "h -> dense(4) -> rellu",
    "a shape that does not fit": "h -> dense(4) -> reshape(3)",
    "a definition as an argument": "h -> acted(relu)",
    "another model": "h -> Part -> relu",
    "what is known of the phase": "if training then h else 2 * h",
}
DEFINED = """
    let n = 4
    layer own(x, units) { param b: [units] = 0
      return x -> dense(units) -> dropout(0.1) + b }
    layer acted(x, f) = x -> dense(4) -> f
    fn around(x) = x -> dense(4) -> tanh
    fn both(a, b) = a * b
    fn noise(x) = x + normal(0, 1)
    model Part { input x: [4]  output y = x -> dense(4) }
"""


@pytest.mark.parametrize("line", LINES.values(), ids=list(LINES))
def test_a_line_means_the_same_wherever_it_comes_again(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for between in (
        "",
        "dense = h",
        "dense_3 = h -> dense(4) as dense_4",
        "n = 2 * h",
        "h = h -> dense(5)",
        "relu(h)",
        "param enc: [4] = 1",
    ):
        lines = "\n".join([f"h = {line}"] * 4 + [between] + [f"h{i} = {line}" for i in range(4)])
        text = f"{DEFINED} model M {{ input x: [4]  share enc = dense(4)\n h = x\n {lines}\n output h, h2, h3 }}"
        assert everything(text) == evaluated(text, monkeypatch)


def test_a_pipeline_that_was_seen_before_is_not_evaluated(monkeypatch: pytest.MonkeyPatch) -> None:
    def spec(units: int) -> Compilation:
        return Compilation(Source("net.nn", f"model M {{ input x: [3]  h = x -> dense({units}) -> relu  output y = h + 1 }}"), {})

    of_library().clear()
    for _ in range(SEEN - 1):
        assert not spec(5).diagnostics
    evaluated = list[str]()
    plain = Elaborator.evaluate
    monkeypatch.setattr(Elaborator, "evaluate", lambda e, tree, scope: (evaluated.append(tree.span.text), plain(e, tree, scope))[1])
    assert not spec(5).diagnostics and "x -> dense(5) -> relu" not in evaluated
    assert not spec(6).diagnostics and "x -> dense(6) -> relu" in evaluated


def test_limits_hold_for_what_is_done_again(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "model M { input x: [4]  output y = x -> repeat(30) { dense(4) -> batchnorm -> gelu } }"
    for limit in ("nodes", "statements"):
        for most in range(20, 500, 60):
            with limited(**{limit: most}):
                assert everything(text)[-2:] == evaluated(text, monkeypatch)[-2:]


def test_a_call_of_the_library_is_evaluated_twice_for_all_specs(monkeypatch: pytest.MonkeyPatch) -> None:
    def text(stages: str) -> str:
        return f"model M {{ input x: [5, 8, 8]  output y = x -> {stages} }}"

    of_library().clear()
    for _ in range(2):
        everything(text("conv(5, 3, pad = same) -> batchnorm"))
    run = list[str]()
    plain = Calls.run_function
    monkeypatch.setattr(Calls, "run_function", lambda e, f, *call: (run.append(f.name), plain(e, f, *call))[1])
    Compilation(Source("other.nn", text("conv(5, 3, pad = same) -> batchnorm -> conv(5, 3, pad = same)")), {}).inference_model  # noqa: B018
    assert not run


def test_what_is_remembered_of_the_library_holds_no_spec() -> None:
    of_library().clear()
    text = gallery.read("gpt").text + "\n"
    for _ in range(SEEN):
        source = Source("net.nn", text)
        assert not Compilation(source, {}, folder=ROOT / "specs").diagnostics and of_library()
    held = weakref.ref(source)
    del source
    gc.collect()
    assert held() is None
