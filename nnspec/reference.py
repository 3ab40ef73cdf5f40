"""The language reference as data: what its tables and lists say of a primitive, a setting of a training, a source, an augmentation."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import NamedTuple

from nnspec import resources

_BETWEEN_CELLS = re.compile(r"(?<!\\)\|")
_CODE = re.compile(r"`([^`]*)`")


class Said(NamedTuple):
    """How something is written, what it means, and what the last column of its table says."""

    written: str
    meaning: str
    more: str = ""


def primitives() -> Mapping[str, tuple[str, str]]:
    """Meaning and shape of each primitive; of those with two forms, both."""
    found: dict[str, tuple[str, str]] = {}
    for names, meaning, shape in (row for row in _rows("Primitives") if len(row) == 3):
        for name in re.findall(r"`(\w+)", names):
            earlier = found.get(name)
            found[name] = (f"{earlier[0]}; or {meaning}", f"{earlier[1]}; or {shape}") if earlier else (meaning, shape)
    return found


def settings() -> Iterator[Said]:
    """The settings of a train block, with what holds without them."""
    return (Said(_plain(written), meaning, without) for written, meaning, without in (r for r in _rows("Training") if len(r) == 3))


def augmentations() -> Iterator[Said]:
    """The stages of an `augment` line."""
    return (Said(_plain(written), meaning) for written, meaning in (row for row in _rows("Training") if len(row) == 2))


def source(name: str) -> Said:
    """How a source of data is called, the paragraph about it, and in few words the part of that which names it."""
    lists = _section("Training").split("\nSources:\n")[1].split("\nAugmentations,")[0]
    paragraphs = (" ".join(p.split()) for p in re.split(r"^- ", lists, flags=re.M))
    call = re.compile(rf"`({name}\b[^`]*)`")
    about = next((p for p in paragraphs if call.search(p)), "")
    part = next((p for p in re.split(r"(?<=[.;:]) (?=`)|(?<=\.) (?=[A-Z])", about) if call.search(p)), "")
    written = call.search(part)
    return Said(written[1] if written else name, about, _plain(re.sub(r"\([^()`]*\)", "", part)).rstrip(";:"))


def word(name: str) -> Said:
    """How a word of the language is written, what is said of it, and the sentence that it is written in."""
    found = [(m[1], said, m.start()) for said in _said() for m in _CODE.finditer(said) if re.search(rf"\b{name}\b", m[1])]
    begins = re.compile(rf"(?:\w+ = )?{name}\b")
    written, said, _ = min(found, key=lambda at: (not begins.match(at[0]), at[2]))
    sentence = next((s for s in re.split(r"(?<=[.;]) (?=[A-Z`])", said) if f"`{written}`" in s), said)
    return Said(written, said, _plain(sentence).rstrip(".;"))


@cache
def _said() -> tuple[str, ...]:
    """The items and paragraphs of the reference in their order, each a line, but for the layout and the list of words; then operators."""
    text = (resources.folder("grammar") / "README.md").read_text("utf-8")
    meaning = re.sub(r"^```.*?^```$|^\*\*Layout.*?(?=^## )", "", text.partition("\n## Lexis\n")[2], flags=re.M | re.S)
    parts = re.split(r"\n\n|\n(?=- )", meaning)
    said = (" ".join(p.removeprefix("- ").split()) for p in parts if not p.startswith(("|", "- The reserved words")))
    return (*said, *(f"{operator}: {meaning}" for operator, meaning in _rows("Formulas and operators")))


def _rows(section: str) -> Iterator[list[str]]:
    """The rows of all tables of a section, but for their headings."""
    for line in re.findall(r"^\|( `.*)\|$", _section(section), re.M):
        yield [cell.strip().replace("\\|", "|") for cell in _BETWEEN_CELLS.split(line)]


def _plain(cell: str) -> str:
    return _CODE.sub(r"\1", cell)


@cache
def _section(title: str) -> str:
    text = (resources.folder("grammar") / "README.md").read_text("utf-8")
    return text.split(f"\n## {title}\n")[1].split("\n## ")[0]
