"""What the language server says of a spec: hover, definitions, outline and folds."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from editing import SPEC, at, document
from lsprotocol import types as lsp

from nnspec.diagnostics import Source
from nnspec.lsp.complete import completions
from nnspec.lsp.explain import defined_at, hover
from nnspec.lsp.outline import Entry, folds, outline
from nnspec.lsp.server import position


def test_the_example_is_right() -> None:
    assert document(SPEC).mistakes == []


@pytest.mark.parametrize(
    ("piece", "nth", "parts"),
    [
        ("code ", 0, ["code: [32] = image -> flatten -> wide(width, act = tanh) as first"]),
        ("logits, digit", 0, ["logits: [10] = code -> dense(10)"]),
        ("digit", 1, ["digit: class(10)"]),
        ("dense(10)", 0, ["dense(10) gives [10]", "A fully connected layer, y = x W + b.", "param W: [n, units] ~ init"]),
        ("wide(width", 0, ["gives [32]", "Twice as wide.", "layer wide(x: [n], units"]),
        ("adam(", 0, ["Adaptive moments with bias correction"]),
        ("tanh", 0, ["tanh"]),
        ("width,", 0, ["let width = 16"]),
    ],
)
def test_hover_says_shape_and_meaning(piece: str, nth: int, parts: list[str]) -> None:
    text = hover(document(SPEC), at(SPEC, piece, nth))
    assert text and all(part in text for part in parts), text


INSIDE = """\
layer twice(x, n) {
  param W: [_, n] ~ he_normal
  h = x @ W
  return relu(h)
}

model M {
  input  s: [T, 3]
  target y: [2]
  h  = s -> twice(4) -> twice(5)
  hs = scan e in h with h = zeros(2), k = 0 {
    z = 2 * h + e[0]
    h = z
    k = k + 1
  }
  output q = hs[0][-1]
  loss mse(q, y)
}

train {
  epochs 3
  stop   early(loss, patience = 1)
  data   { s = [[[1, 2, 3]]], y = [[1, 2]] }  # the epochs
}
"""


@pytest.mark.parametrize(
    ("piece", "shown"),
    [
        ("W:", "W: [3, 4] or [4, 5]"),
        ("W\n", "W: [3, 4] or [4, 5]"),
        ("n)", "n: 4 or 5"),
        ("h = x", "h: [T, 4] or [T, 5] = x @ W"),
        ("e in", "e: [5]"),
        ("e[0]", "e: [5]"),
        ("z =", "z: [2]"),
        ("h = z\n", "h: [2]"),
        ("h = zeros", "h: [2]"),
        ("h with", "h: [T, 5] = s -> twice(4) -> twice(5)"),
        ("epochs 3", "epochs 10"),
        ("stop", "stop early(val.loss, patience = 3)"),
        ("data", "data SOURCE"),
        ("scan", "hs = scan x_t in x with h = h0"),
        ("loss mse", "any axes of `e` are averaged"),
        ("param", "is trained and starts drawn from an init"),
    ],
)
def test_hover_says_what_is_inside_and_what_words_mean(piece: str, shown: str) -> None:
    text = hover(document(INSIDE), INSIDE.index(piece))
    assert text and shown in text, text


def test_hover_says_nothing_of_words_in_comments_and_texts() -> None:
    text = INSIDE + 'test "train the loss" of M { expect loss == 0 }\n'
    for piece in ("epochs\n", "train the"):
        assert hover(document(text), text.index(piece)) is None


def test_hover_says_nothing_where_no_name_is() -> None:
    assert hover(document(SPEC), SPEC.index("{")) is None


@pytest.mark.parametrize(
    ("piece", "nth", "place"),
    [
        ("width,", 0, "1:5"),
        ("wide(width", 0, "4:7"),
        ("act = tanh", 0, "4:27"),
        ("first", 1, "10:59"),
        ("fit", 1, "14:10"),
        ("logits ==", 0, "11:3"),
    ],
)
def test_a_name_is_defined_where_it_was_first_written(piece: str, nth: int, place: str) -> None:
    assert str(defined_at(document(SPEC), at(SPEC, piece, nth))) == f"net.nn:{place}"


def test_what_the_library_defines_is_in_its_file() -> None:
    span = defined_at(document(SPEC), at(SPEC, "softmax"))
    assert span and span.source.name == "std/activations.nn" and span.text == "softmax"


TWO_KINDS = SPEC.replace("  minimize  fit", "  schedule  cosine").replace("fit = cross_entropy(logits, digit)", "cosine(logits, logits)")


@pytest.mark.parametrize(
    ("piece", "nth", "place", "said"), [("cosine", 0, "std/losses.nn", "angle"), ("cosine", 1, "std/schedules.nn", "warmup")]
)
def test_of_two_things_of_the_library_it_is_the_kind_that_is_due(piece: str, nth: int, place: str, said: str) -> None:
    span, text = defined_at(document(TWO_KINDS), at(TWO_KINDS, piece, nth)), hover(document(TWO_KINDS), at(TWO_KINDS, piece, nth))
    assert span and span.source.name == place
    assert text and said in text


def test_every_prefix_of_a_spec_is_answered() -> None:
    """Nobody has a right spec while typing."""
    for end in range(0, len(SPEC), 7):
        half = document(SPEC[:end])
        assert half.mistakes is not None
        completions(half, end)
        hover(half, max(0, end - 2))


def names(entries: Sequence[Entry]) -> list[str]:
    return [f"{e.kind} {e.name}: {e.detail}" for e in entries]


def test_a_file_of_definitions_needs_no_model() -> None:
    assert not document("# Twice as wide.\nlayer wide(x: [n]) = x -> dense(2 * n)\n").mistakes
    assert not document("").mistakes
    assert [d.code for d in document("layer wide(x) = 2 * x\nlayer wide(x) = 3 * x\n").mistakes] == ["E105"]
    assert "E110" in {d.code for d in document("train { epochs 1 }\n").mistakes}


def test_the_outline_has_every_definition_with_what_it_names() -> None:
    entries = outline(document(SPEC).compilation.parsed[0])
    assert names(entries) == ["let width: 16", "layer wide: (x, units, act)", "model Net: ", "train train: ", "test it runs: of Net"]
    assert names(entries[2].children) == [
        "input image: [1, 2, 2]", "target digit: class(10)", "value code: image -> flatten -> wide(width, act = tanh) as first",
        "value logits: code -> dense(10)", "output probs: softmax(logits)", "loss fit: cross_entropy(logits, digit)",
    ]  # fmt: skip
    assert names(entries[3].children)[1:3] == ["setting epochs: 1", "setting optimizer: adam(lr = 1e-3)"]
    for e in (*entries, *(child for entry in entries for child in entry.children)):
        assert e.span.covers(e.place) and (e.place.text == e.name or e.place == e.span), e


def test_what_fills_several_lines_folds() -> None:
    assert [SPEC.splitlines()[first - 1] for first, _ in folds(document(SPEC).compilation.parsed[0])] == [
        "model Net {", "train {", 'test "it runs" of Net {',
    ]  # fmt: skip
    text = "model M {\n  input x: [2]\n  if true {\n    y = x\n  }\n  output y\n}\n"
    assert list(folds(document(text).compilation.parsed[0])) == [(1, 7), (3, 5)]


def test_columns_are_counted_in_utf_16() -> None:
    assert position(Source("a", "a\n😀ŷ = 1"), 4) == lsp.Position(1, 3)
