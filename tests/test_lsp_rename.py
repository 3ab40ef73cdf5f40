"""Renaming, in a file and in all that import it."""

from __future__ import annotations

from pathlib import Path

import pytest
from editing import BLOCKS, FILES, SPEC, at, document, replaced, written

from nnspec.diagnostics import Fault, Source
from nnspec.lsp.document import Document
from nnspec.lsp.rename import renamed as rename


def renamed(text: str, piece: str, nth: int, new: str) -> str:
    (spans,) = rename(document(text), at(text, piece, nth), new).values()
    return replaced(text, spans, new)


@pytest.mark.parametrize(
    ("piece", "nth", "count"),
    [("image", 0, 4), ("width", 0, 2), ("wide(", 0, 2), ("act", 0, 3), ("first", 0, 2), ("fit", 0, 2), ("logits", 0, 4)],
)
def test_renaming_changes_every_place_and_leaves_the_spec_right(piece: str, nth: int, count: int) -> None:
    word = piece.strip("( ")
    text = renamed(SPEC, piece, nth, "other")
    assert text.count("other") == count and document(text).mistakes == []
    assert renamed(text, "other", 0, word) == SPEC


def test_a_train_block_is_renamed_at_its_name_and_not_to_that_of_another() -> None:
    blocks = SPEC.replace("train {", "train begin {") + "train fine {\n  epochs 1\n  optimizer sgd(0.1)\n}\n"
    assert renamed(blocks, "fine", 0, "end") == blocks.replace("fine", "end")
    with pytest.raises(Fault, match="two train blocks called `begin`"):
        renamed(blocks, "fine", 0, "begin")


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
