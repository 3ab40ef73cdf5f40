"""A layout with the places where its lines may break, and the text that it becomes in a width (Wadler, A prettier printer, 2003)."""

from __future__ import annotations

from collections.abc import Iterator

from nnspec.diagnostics import columns
from nnspec.record import dataclass

INDENT = 2


@dataclass(frozen=True)
class Line:
    """A place to break: `flat` where the line goes on; `after` is the comment that ends the line, `own` are those between the two."""

    flat: str = " "
    hard: bool = False
    deeper: bool = False
    after: str = ""
    own: tuple[str, ...] = ()

    @property
    def forced(self) -> bool:
        return self.hard or bool(self.after or self.own)


@dataclass(frozen=True)
class Group:
    """On one line if it fits; else all its places break."""

    content: Doc
    forced: bool


@dataclass(frozen=True)
class Nest:
    """Its further lines stand deeper."""

    content: Doc


@dataclass(frozen=True)
class Fill:
    """Items and the places between them, of which those break where the next item does not fit."""

    items: tuple[Doc, ...]
    places: tuple[Line, ...]
    start: int = 0


@dataclass(frozen=True)
class Hug:
    """Goes on on the same line if it fits there or nowhere, and on the next if only that has the room."""

    place: Line
    content: Doc


Doc = str | Line | Group | Nest | Fill | Hug | tuple["Doc", ...]
Command = tuple[int, bool, Doc]
"""Indentation, whether it is flat, what to write."""


def group(*content: Doc) -> Group:
    return Group(content, forced(content))


def forced(doc: Doc) -> bool:
    """Whether a line break in it is certain."""
    match doc:
        case Line() | Group():
            return doc.forced
        case Nest():
            return forced(doc.content)
        case Hug():
            return doc.place.forced or forced(doc.content)
        case Fill():
            return any(map(forced, doc.places)) or any(map(forced, doc.items))
        case tuple():
            return any(map(forced, doc))
    return False


def flat(doc: Doc) -> str:
    """The document on one line."""
    return "".join(piece for piece in _pieces(doc, []) if isinstance(piece, str))


def render(doc: Doc, width: int, indent: int = 0, column: int | None = None) -> str:
    """The text of a document that begins at a column, its further lines indented."""
    out: list[str] = []
    at = indent if column is None else column
    todo: list[Command] = [(indent, False, doc)]
    while todo:
        inner, is_flat, doc = todo.pop()
        match doc:
            case str():
                out.append(doc)
                at += columns(doc)
            case Line() if is_flat and not doc.forced:
                out.append(doc.flat)
                at += len(doc.flat)
            case Line():
                at = inner + INDENT * doc.deeper
                out.append(_broken(doc, at))
            case Group():
                goes_on = is_flat or (not doc.forced and _fits(doc.content, todo, width - at))
                todo.append((inner, goes_on, doc.content))
            case Nest():
                todo.append((inner + (0 if is_flat else INDENT), is_flat, doc.content))
            case Hug():
                breaks = doc.place.forced or not (is_flat or forced(doc.content) or _hugs(doc, todo, width, at, inner))
                inner += INDENT * breaks
                todo += [(inner, is_flat, doc.content), (inner, not breaks, doc.place)]
            case Fill():
                todo += reversed(list(_filled(doc, todo, inner, is_flat, width - at)))
            case tuple():
                todo += [(inner, is_flat, part) for part in reversed(doc)]
    return "".join(out)


def _broken(line: Line, indent: int) -> str:
    above = "".join(f"\n{' ' * indent}{text}" if text else "\n" for text in line.own)
    return (f" {line.after}" if line.after else "") + above + "\n" + " " * indent


def _hugs(doc: Hug, rest: list[Command], width: int, at: int, indent: int) -> bool:
    """Whether the content stays on the line of what stands before it."""
    whole = (doc.place.flat, doc.content)
    return _fits(whole, rest, width - at) or not _fits(doc.content, rest, width - indent - INDENT)


def _filled(doc: Fill, rest: list[Command], indent: int, is_flat: bool, room: int) -> Iterator[Command]:
    """The first item, and the others behind a place that breaks if the second does not fit after it."""
    first, *second = doc.items[doc.start : doc.start + 2]
    yield indent, is_flat, first
    if second:
        place = doc.places[doc.start]
        after = rest if doc.start + 2 == len(doc.items) else []
        yield indent, not place.forced and (is_flat or _fits((first, place.flat, *second), after, room)), place
        yield indent, is_flat, Fill(doc.items, doc.places, doc.start + 1)


def _fits(doc: Doc, rest: list[Command], room: int) -> bool:
    """Whether a document on one line, and what follows up to the next place to break, takes no more than so many columns."""
    for piece in _pieces(doc, rest):
        if isinstance(piece, Line):
            return True
        room -= columns(piece)
        if room < 0:
            return False
    return True


def _pieces(doc: Doc, rest: list[Command]) -> Iterator[str | Line]:
    """The texts of a document on one line, and then of what follows, up to where a line may end."""
    todo, following = [(True, doc)], len(rest)
    while todo or following:
        if not todo:
            following -= 1
            todo.append(rest[following][1:])
        is_flat, doc = todo.pop()
        match doc:
            case str():
                yield doc
            case Line():
                yield doc.flat if is_flat and not doc.forced else doc
            case Group():
                todo.append((is_flat and not doc.forced, doc.content))
            case Nest():
                todo.append((is_flat, doc.content))
            case Hug():
                todo += [(is_flat, doc.content), (not doc.place.forced, doc.place)]
            case Fill():
                if doc.start < len(doc.places):
                    todo += [(is_flat, Fill(doc.items, doc.places, doc.start + 1)), (is_flat, doc.places[doc.start])]
                todo.append((is_flat, doc.items[doc.start]))
            case tuple():
                todo += [(is_flat, part) for part in reversed(doc)]
