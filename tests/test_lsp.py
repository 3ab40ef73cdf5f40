"""The language server: the answers of its core, and a client that speaks with it as an editor does."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest
import pytest_lsp
from helpers import GALLERY, ROOT
from lsprotocol import types as lsp
from pytest_lsp import ClientServerConfig, LanguageClient

from nnspec import gallery
from nnspec.compile import Compilation
from nnspec.diagnostics import Fault, Source, Span
from nnspec.elaborate.training import Training
from nnspec.lsp.complete import SETTINGS, completions
from nnspec.lsp.document import Document
from nnspec.lsp.explain import defined_at, hover
from nnspec.lsp.outline import Entry, folds, outline
from nnspec.lsp.project import documents
from nnspec.lsp.rename import renamed as rename
from nnspec.lsp.server import Server, position

SPEC = """\
let width = 16

# Twice as wide.
layer wide(x: [n], units, act = relu) -> [2 * units] = x -> dense(2 * units) -> act

model Net {
  input  image: [1, 2, 2]
  target digit: class(10)

  code   = image -> flatten -> wide(width, act = tanh) as first
  logits = code -> dense(10)

  output probs = softmax(logits)
  loss   fit = cross_entropy(logits, digit)
}

train {
  data      digits(image = image * 2)
  epochs    1
  optimizer adam(lr = 1e-3)
  minimize  fit
  freeze    first
}

test "it runs" of Net {
  given image = [[[0, 0], [0, 0]]], digit = 1
  expect logits == 0
}
"""


def document(text: str) -> Document:
    return Document(Source("net.nn", text), Path())


def at(text: str, piece: str, nth: int = 0) -> int:
    """The offset of the second letter of the nth such piece."""
    start = -1
    for _ in range(nth + 1):
        start = text.index(piece, start + 1)
    return start + 1


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


def renamed(text: str, piece: str, nth: int, new: str) -> str:
    (spans,) = rename(document(text), at(text, piece, nth), new).values()
    return replaced(text, spans, new)


def replaced(text: str, spans: list[Span], new: str) -> str:
    for span in sorted(spans, key=lambda s: -s.start):
        text = text[: span.start] + new + text[span.end :]
    return text


@pytest.mark.parametrize(
    ("piece", "nth", "count"),
    [("image", 0, 4), ("width", 0, 2), ("wide(", 0, 2), ("act", 0, 3), ("first", 0, 2), ("fit", 0, 2), ("logits", 0, 4)],
)
def test_renaming_changes_every_place_and_leaves_the_spec_right(piece: str, nth: int, count: int) -> None:
    word = piece.strip("( ")
    text = renamed(SPEC, piece, nth, "other")
    assert text.count("other") == count and document(text).mistakes == []
    assert renamed(text, "other", 0, word) == SPEC


def test_a_stage_called_like_its_layer_is_renamed_without_the_layer() -> None:
    layer = "layer mix(x, n) = x -> relu -> dense(n)\n"
    body = " h = x -> dense(8) as dense -> mix(n = 2) as mix\n output y = mix + (dense -> relu -> dense(2) -> mix(2))\n"
    text = f"{layer}model M {{\n input x: [4]\n{body}}}\n"
    changed = renamed(text, "dense ->", 0, "other")
    assert changed == text.replace("as dense", "as other").replace("(dense", "(other") and document(changed).mistakes == []
    assert renamed(text, "mix(x", 0, "other") == text.replace("mix(", "other(")


@pytest.mark.parametrize("new", ["b₁", "β₁", "ŷ", "вес"])
def test_what_the_language_calls_a_name_can_be_one(new: str) -> None:
    text = renamed(SPEC, "logits", 0, new)
    assert text.count(new) == 4 and document(text).mistakes == []


@pytest.mark.parametrize(
    ("piece", "new", "message"),
    [
        ("logits", "code", "something else"),
        ("logits", "loss", "cannot be a name"),
        ("softmax", "soft", "not defined in this file"),
        ("code", "9a", "cannot be a name"),
    ],
)
def test_a_name_that_would_change_the_meaning_is_refused(piece: str, new: str, message: str) -> None:
    with pytest.raises(Fault, match=message):
        renamed(SPEC, piece, 0, new)


@pytest.mark.parametrize("name", ["h", "a", "n", "e"])
def test_a_mistake_elsewhere_is_none_of_the_name(name: str) -> None:
    """Whatever letters and words its message has."""
    text = f"model M {{\n  input x: [3]\n  {name} = x + 1\n  z = {name} -> dens(2)\n  q = {name}[7]\n  output z\n}}\n"
    assert len(document(text).mistakes) == 2 and document(renamed(text, f"{name} =", 0, "there")).mistakes


BLOCKS = """\
let width = 4
fn twice(x) = 2 * relu(x)
layer block(x, units = width) = x -> dense(units) -> twice
"""
FILES = {
    "parts/blocks.nn": BLOCKS,
    "parts/more.nn": 'import "blocks.nn"\nlayer deep(x) = x -> block(units = 3) -> block\n',
    "net.nn": 'import "parts/more.nn"\nmodel Net {\n  input signal: [width]\n  output y = signal -> block -> deep -> twice\n}\n',
    "other.nn": "fn block(x) = x\nmodel Net {\n  input x: [2]\n  output y = x -> block\n}\n",
}


def written(folder: Path, files: dict[str, str]) -> list[Document]:
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, "utf-8")
    return list(documents(folder, {}, ""))


def renamed_in(folder: Path, name: str, piece: str, new: str, nth: int = 0, files: dict[str, str] = FILES) -> dict[str, str]:
    """The files that change, as they are then."""
    found = written(folder, files)
    (start,) = (d for d in found if d.path == (folder / name).resolve())
    places = rename(start, at(start.source.text, piece, nth), new, found)
    return {d.path.relative_to(folder.resolve()).as_posix(): replaced(d.source.text, spans, new) for d, spans in places.items()}


@pytest.mark.parametrize(
    ("name", "piece", "nth", "changed"),
    [
        ("net.nn", "block", 0, {"parts/blocks.nn", "parts/more.nn", "net.nn"}),
        ("parts/blocks.nn", "block", 0, {"parts/blocks.nn", "parts/more.nn", "net.nn"}),
        ("parts/more.nn", "deep", 0, {"parts/more.nn", "net.nn"}),
        ("net.nn", "width", 0, {"parts/blocks.nn", "net.nn"}),
        ("net.nn", "twice", 0, {"parts/blocks.nn", "net.nn"}),
        ("other.nn", "block", 0, {"other.nn"}),
    ],
)
def test_a_definition_is_renamed_in_all_files_that_import_it(tmp_path: Path, name: str, piece: str, nth: int, changed: set[str]) -> None:
    after = renamed_in(tmp_path, name, piece, "another", nth)
    assert set(after) == changed
    files = {**FILES, **after}
    for d in written(tmp_path, files):
        assert not [m for m in d.mistakes if m.code != "E110"], d.source.name
    assert renamed_in(tmp_path, name, "another", piece, files=files) == {n: FILES[n] for n in changed}


@pytest.mark.parametrize(
    ("name", "piece", "new", "message"),
    [
        ("parts/blocks.nn", "block", "deep", "defined twice"),  # in a file that imports it
        ("parts/blocks.nn", "units", "rows", "has no argument `units`"),  # by which a call in another file names it
        ("net.nn", "twice", "signal", "something else in net.nn"),
        ("parts/blocks.nn", "dense", "dens", "nor in one that it imports"),
    ],
)
def test_a_name_that_would_break_another_file_is_refused(tmp_path: Path, name: str, piece: str, new: str, message: str) -> None:
    with pytest.raises(Fault, match=message):
        renamed_in(tmp_path, name, piece, new)


def test_a_file_that_is_open_is_imported_as_it_is_there(tmp_path: Path) -> None:
    written(tmp_path, FILES)
    opened = {(tmp_path / "parts/blocks.nn").resolve(): BLOCKS.replace("let width = 4", "let width = 5")}
    net = Document(Source("net.nn", FILES["net.nn"]), tmp_path, opened)
    assert net.compilation.model.inputs["signal"].example == (5,)


def labels(text: str) -> list[str]:
    """What is offered at the mark."""
    return [c.label for c in completions(document(text.replace("§", "")), text.index("§"))]


def test_layers_are_offered_after_an_arrow_and_inits_after_a_tilde() -> None:
    found = labels(SPEC.replace("code -> dense(10)", "code -> de§"))
    assert {"dense", "wide", "relu"} <= set(found) and "adam" not in found and "image" not in found
    assert {"he_normal", "zeros"} <= set(labels("layer f(x) {\n  param W: [2] ~ §\n  return x\n}")) - set(found)


def test_arguments_that_are_not_written_yet_are_offered_first() -> None:
    assert labels(SPEC.replace("wide(width, act = tanh)", "wide(act = tanh, §)"))[:2] == ["units", "wide"]
    assert labels(SPEC.replace("dense(10)", "dense(10, §)"))[:2] == ["bias", "init"]
    assert labels(SPEC.replace("code -> dense(10)", "dense(§)"))[:4] == ["x", "units", "bias", "init"]
    assert labels(SPEC.replace("code -> dense(10)", "dense(max(code, 0), §)"))[:3] == ["units", "bias", "init"]


def test_settings_are_offered_in_a_train_block_and_words_in_a_model() -> None:
    assert labels(SPEC.replace("  minimize  fit", "  §")) == list(SETTINGS)
    assert "output" in labels(SPEC.replace("  output probs", "  §\n  output probs")) and "model" in labels(SPEC + "\n§")
    assert labels(SPEC.replace("adam(lr = 1e-3)", "§")) == sorted(labels(SPEC.replace("adam(lr = 1e-3)", "§")))
    assert {"data", "freeze", "start"} <= set(SETTINGS) and "spans" not in SETTINGS and "span" in Training.__dataclass_fields__


MODEL = "model M {\n  input  x: [4]\n  target y: class(3)\n  h = x -> dense(8)\n  §"
TRAINED = MODEL.replace("§", "output z = h -> dense(3)\n  loss ce = cross_entropy(z, y)\n}\n")
TRAINING = f"{TRAINED}train {{\n  data iris  epochs 1\n  §\n}}\n"
TESTING = f'{TRAINED}test "a" of M {{\n  §\n}}\n'
SCANNED = "model M {\n  input s: [T, 2]\n  hs = scan v in s with c = zeros(3) {\n    c = §\n  }\n}\n"


@pytest.mark.parametrize(
    ("text", "offered"),
    [
        (MODEL.replace("§", "z = §\n}"), {"x", "h", "dense"}),
        (MODEL.replace("§", "z = h + §\n  output h\n}"), {"x", "h", "exp"}),
        (MODEL.replace("§", "loss §\n}"), {"h", "cross_entropy"}),
        (MODEL.replace("§", "q = dense.§\n}"), {"W", "b"}),
        (MODEL.replace("§", "z = x -> [§]\n  output z\n}"), {"h", "dense"}),
        (SCANNED, {"v", "c", "s"}),
        (SCANNED.replace("§", "c + v §"), {"v", "c", "s"}),
        ("layer f(x: [*s, n], units) {\n  y = §\n  return y\n}\n", {"x", "n", "units"}),
        ("optimizer a(rate) {\n  state v = 0\n  w <- w - §\n}\n", {"g", "lr", "v", "w", "t", "rate"}),
        ("schedule a(k) = lr * §\n", {"epoch", "step", "lr", "k"}),
        ("init a(k) = normal(0, §)\n", {"fan_in", "k", "std"}),
    ],
)
def test_the_names_of_the_model_are_offered_where_a_value_is_due(text: str, offered: set[str]) -> None:
    found = labels(text)
    assert offered <= set(found) and "_" not in found


def test_an_argument_is_offered_what_its_default_is_one_of() -> None:
    layer = "init mine = normal(0, 1)\nlayer f(x, start = he_normal) = x -> dense(3, init = start, bias = true)\n"
    inits = set(labels("layer f(x) {\n  param W: [2] ~ §\n  return x\n}"))
    own = labels(layer + MODEL.replace("§", "z = h -> f(start = §)\n  output z\n}"))
    assert own[0] == "mine" and set(own) == {"mine", *inits} and "he_normal" in inits
    assert labels(layer.replace("= start", "= §"))[:2] == ["mine", "x"] and "start" in labels(layer.replace("= start", "= §"))
    assert labels(MODEL.replace("§", "z = h -> dense(3, init = §)\n  output z\n}")) == sorted(inits)
    assert set(labels(MODEL.replace("§", "z = s -> conv(3, 3, pad = §)\n  output z\n}"))) == {"same", "valid"}
    assert "relu" in labels(SPEC.replace("act = tanh", "act = §"))


@pytest.mark.parametrize(
    ("written", "offered"),
    [
        ("train { §", SETTINGS),
        ("train { epochs 3 §", SETTINGS),
        ("train { opt§", SETTINGS),
        ("train { optimizer adam(lr = 1e-3) §", SETTINGS),
        ("train { epochs 3 data iris seed 1 st§ }", SETTINGS),
        ("train { start §", ["from"]),
        ("train { penalty l2(1e-4), §", ["l1", "l2"]),
    ],
)
def test_settings_are_offered_wherever_one_may_begin(written: str, offered: Sequence[str]) -> None:
    assert labels(TRAINED + written) == list(offered)


def test_what_an_expectation_asks_is_offered() -> None:
    for written in ("expect §", "expect params < 100 and §", "expect re§"):
        assert {"params", "flops", "memory", "receptive_field", "depends", "shape", "h"} <= set(
            labels(MODEL.replace("§", f"{written}\n}}"))
        )
    found = labels(TESTING.replace("§", "given x = [1, 2, 3, 4]\n  expect §"))
    assert {"loss", "z"} <= set(found) and "flops" not in found
    assert "flops" not in labels("fn f(x, k) {\n  expect §\n  return k * x\n}")
    assert "flops" not in labels(MODEL.replace("§", "expect params < 9\n  z = §\n  output z\n}"))


@pytest.mark.parametrize(
    ("written", "offered"),
    [
        ("data §", {"iris", "csv"}),
        ("validation csv(§)", {"x", "y", "missing"}),
        ("stop §", {"early", "plateau", "converged"}),
        ("stop early(§)", {"metric", "patience", "best", "loss", "val.loss"}),
        ("stop early(val.§)", {"loss"}),
        ("freeze §", {"dense", "dense.W", "dense.b", "dense_2", "dense_2.W", "dense_2.b"}),
        ("update dense_2.§", {"W", "b"}),
        ("minimize §", {"ce"}),
        ("penalty §", {"l1", "l2"}),
        ("clip §", {"norm", "value"}),
        ("augment §", {"x"}),
        ("augment x -> §", {"noise", "shift"}),
        ("batch 3  optimizer §", {"adam", "sgd"}),
        ("batch §", set()),
    ],
)
def test_a_setting_is_offered_what_it_takes(written: str, offered: set[str]) -> None:
    found = set(labels(TRAINING.replace("§", written)))
    assert offered <= found and len(found) < 20


def test_a_test_is_offered_the_ports_of_its_model_and_optimizers() -> None:
    assert labels(TESTING.replace("§", "given §")) == labels(TESTING.replace("§", "given x = [1, 2, 3, 4], §")) == ["x", "y"]
    assert "adam" in labels(TESTING.replace("§", "steps 3 with §")) and "dense" not in labels(TESTING.replace("§", "steps 3 with §"))
    assert {"x", "h"} <= set(labels(MODEL.replace("§", "output §\n}"))) and "dense" not in labels(MODEL.replace("§", "output §\n}"))


@pytest.mark.parametrize("text", ['import "§"\n', MODEL.replace("§", "z = x # of §\n}"), 'let a = "de§"\n'])
def test_nothing_is_offered_in_comments_and_texts(text: str) -> None:
    assert labels(text) == []


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


def test_a_mistake_is_told_as_soon_as_it_is_there_or_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    right = "model M { input x: [4, 4, 4]  output y = x -> flatten -> dense(2) -> dense(2) }"
    texts = {
        right.replace("dense(2)", "dens(2)"): [["E101", "E101"]],
        right: [[], ["W101"]],
        right.replace("flatten", "flatten -> tanh"): [["W101"]],
        right.replace("x -> flatten", "x -> odd") + " layer odd(x) = if training then x + zeros(3) else x": [["E201"]],
    }
    server, told = Server(), list[list[str]]()
    monkeypatch.setattr(server, "text_document_publish_diagnostics", lambda p: told.append([d.code for d in p.diagnostics]))
    for text, expected in texts.items():
        monkeypatch.setattr(server, "read", lambda _, text=text: document(text))
        told.clear()
        server.say("net.nn")
        assert told == expected


@pytest.mark.parametrize("name", GALLERY)
def test_a_version_is_told_what_a_fresh_look_at_it_finds(name: str) -> None:
    text, random = gallery.read(name).text, Random(name)
    now = Document(Source("net.nn", text), ROOT / "specs")
    for _ in range(EDITS):
        text = random.choice(EDITED)(text, random)
        now, fresh = now.edited(text, {}), Document(Source("net.nn", text), ROOT / "specs")
        assert (now.first_mistakes, now.mistakes) == (fresh.first_mistakes, fresh.mistakes), text


def _at_a_line(edit: Callable[[str], str]) -> Callable[[str, Random], str]:
    def edited(text: str, random: Random) -> str:
        lines = text.split("\n")
        at = random.randrange(len(lines))
        return "\n".join([*lines[:at], edit(lines[at]), *lines[at + 1 :]])

    return edited


EDITS = 25
EDITED = [
    _at_a_line(lambda line: f"{line}  # mine"),
    _at_a_line(lambda line: f"{line}\n\n   # nnspec: allow W101, W109"),
    _at_a_line(lambda line: f"\n# said\n{line}   "),
    _at_a_line(lambda line: f"# {line}"),
    _at_a_line(lambda line: line.lstrip("# ")),
    _at_a_line(lambda line: f"  {line}"),
    _at_a_line(lambda line: line.replace("relu", "rellu").replace("(", "( ", 1)),
    _at_a_line(lambda line: line.replace("rellu", "relu").partition("#")[0]),
    lambda text, random: text[: (at := random.randrange(len(text)))] + random.choice('#"\n 0') + text[at:],
]


def test_a_comment_is_no_other_spec(monkeypatch: pytest.MonkeyPatch) -> None:
    now = Document(Source("net.nn", "model M { input x: [4]\n output y = x -> dense(2) }"), ROOT)
    assert now.is_right
    monkeypatch.setattr(Compilation, "diagnostics", property(lambda _: pytest.fail("this was checked before")))
    assert now.edited(now.source.text.replace("\n", "  # two\n"), {}).mistakes == []


# ---- as an editor


@pytest_lsp.fixture(config=ClientServerConfig(server_command=[sys.executable, "-m", "nnspec", "lsp"], server_env={"PYTHONPATH": str(ROOT)}))
async def client(lsp_client: LanguageClient) -> Any:
    await lsp_client.initialize_session(lsp.InitializeParams(capabilities=lsp.ClientCapabilities(), workspace_folders=[]))
    yield
    await lsp_client.shutdown_session()


async def until(client: LanguageClient, uri: str, *codes: str) -> None:
    """Until the mistakes of a file that the server has told last are these; it may tell of several files at once."""
    async with asyncio.timeout(60):
        while uri not in client.diagnostics or [d.code for d in client.diagnostics[uri]] != list(codes):
            await asyncio.sleep(0.01)


@pytest.mark.asyncio
async def test_a_session(client: LanguageClient, tmp_path: Path) -> None:
    uri = (tmp_path / "net.nn").as_uri()
    text = SPEC.replace("act = tanh", "atc = tanh")
    client.text_document_did_open(lsp.DidOpenTextDocumentParams(lsp.TextDocumentItem(uri, "nnspec", 1, text)))
    await until(client, uri, "E102")
    (mistake,) = client.diagnostics[uri]
    assert mistake.range.start.line == 9

    document = lsp.TextDocumentIdentifier(uri)
    (action,) = await client.text_document_code_action_async(
        lsp.CodeActionParams(document, mistake.range, lsp.CodeActionContext(client.diagnostics[uri]))
    )
    (edit,) = action.edit.changes[uri]
    assert edit.new_text == "act" and edit.range == mistake.range

    change = lsp.TextDocumentContentChangePartial(edit.range, edit.new_text)
    client.text_document_did_change(lsp.DidChangeTextDocumentParams(lsp.VersionedTextDocumentIdentifier(2, uri), [change]))
    await until(client, uri)

    place = lsp.Position(9, 3)
    shown = await client.text_document_hover_async(lsp.HoverParams(document, place))
    assert "code: [32]" in shown.contents.value
    offered = await client.text_document_completion_async(lsp.CompletionParams(document, lsp.Position(10, 19)))
    assert "dense" in [c.label for c in offered]
    edits = await client.text_document_rename_async(lsp.RenameParams(document, place, "hidden"))
    assert len(edits.changes[uri]) == 2
    where = await client.text_document_definition_async(lsp.DefinitionParams(document, lsp.Position(10, 21)))
    assert where.uri.endswith("nnspec/std/layers.nn")
    symbols = await client.text_document_document_symbol_async(lsp.DocumentSymbolParams(document))
    assert [s.name for s in symbols] == ["width", "wide", "Net", "train", "it runs"]
    assert [s.name for s in symbols[2].children] == ["image", "digit", "code", "logits", "probs", "fit"]
    folds = await client.text_document_folding_range_async(lsp.FoldingRangeParams(document))
    assert (5, 14) in [(f.start_line, f.end_line) for f in folds]
    assert not await client.text_document_formatting_async(lsp.DocumentFormattingParams(document, lsp.FormattingOptions(2, True)))


@pytest.mark.asyncio
async def test_a_session_over_two_files(client: LanguageClient, tmp_path: Path) -> None:
    """A file that imports another follows what is typed there, and is renamed with it."""
    written(tmp_path, FILES)
    net, blocks = ((tmp_path / name).as_uri() for name in ("net.nn", "parts/blocks.nn"))
    for uri, text in ((net, FILES["net.nn"]), (blocks, BLOCKS)):
        client.text_document_did_open(lsp.DidOpenTextDocumentParams(lsp.TextDocumentItem(uri, "nnspec", 1, text)))
    await until(client, net)

    place = lsp.Range(lsp.Position(2, 6), lsp.Position(2, 11))
    for version, old, new in ((2, place, "blok"), (3, lsp.Range(place.start, lsp.Position(2, 10)), "block")):
        change = lsp.TextDocumentContentChangePartial(old, new)
        client.text_document_did_change(lsp.DidChangeTextDocumentParams(lsp.VersionedTextDocumentIdentifier(version, blocks), [change]))
        await until(client, net, *(["E101"] if new == "blok" else []))

    edits = await client.text_document_rename_async(lsp.RenameParams(lsp.TextDocumentIdentifier(blocks), place.start, "unit"))
    assert {uri.rpartition("/")[2]: len(found) for uri, found in edits.changes.items()} == {"blocks.nn": 1, "more.nn": 2, "net.nn": 1}


def ended(*messages: dict[str, Any]) -> tuple[int, str, str]:
    """What the server ends with after these messages, all it has said to them, and what besides."""
    bodies = [json.dumps({"jsonrpc": "2.0", **m}) for m in messages]
    said = "".join(f"Content-Length: {len(body)}\r\n\r\n{body}" for body in bodies)
    done = subprocess.run([sys.executable, "-m", "nnspec", "lsp"], input=said, capture_output=True, text=True, cwd=ROOT, check=False)
    return done.returncode, done.stdout, done.stderr


INITIALIZE = {"id": 1, "method": "initialize", "params": {"processId": None, "rootUri": None, "capabilities": {}}}
HOVER = {
    "id": 2,
    "method": "textDocument/hover",
    "params": {"textDocument": {"uri": "file:///nosuch/net.nn"}, "position": {"line": 0, "character": 0}},
}
SHUTDOWN, EXIT = {"id": 3, "method": "shutdown"}, {"method": "exit"}


def test_the_exit_code_says_whether_a_shutdown_was_asked_for() -> None:
    assert ended(INITIALIZE, SHUTDOWN, EXIT)[0] == 0
    assert ended(INITIALIZE, EXIT)[0] == 1


@pytest.mark.parametrize(
    ("before", "code", "message"),
    [((INITIALIZE,), -32602, "is not open, and cannot be read: No such file or directory"), ((), -32002, "`initialize` comes first")],
)
def test_what_cannot_be_answered_is_told_without_a_traceback(before: tuple[dict[str, Any], ...], code: int, message: str) -> None:
    _, out, beside = ended(*before, HOVER, EXIT)
    assert f'"code":{code}' in out.replace(" ", "") and message in out and "Traceback" not in out + beside


def test_a_refused_name_is_an_answer_and_no_failure() -> None:
    uri = "file:///nosuch/net.nn"
    opened = {"method": "textDocument/didOpen", "params": {"textDocument": {"uri": uri, "languageId": "nn", "version": 1, "text": SPEC}}}
    rename = {"textDocument": {"uri": uri}, "position": {"line": 0, "character": 5}, "newName": "1a"}
    _, out, beside = ended(INITIALIZE, opened, {"id": 2, "method": "textDocument/rename", "params": rename}, SHUTDOWN, EXIT)
    assert "`1a` cannot be a name" in out and beside == ""
