"""How definitions and statements are laid out: a row each, blocks indented, comments where they were."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise, takewhile

from nnspec.record import dataclass
from nnspec.syntax.format.concrete import Branch, Part, first, is_kind, last, parts
from nnspec.syntax.format.document import INDENT, Doc, Hug, Line, Nest, flat, forced
from nnspec.syntax.format.formulas import Formulas
from nnspec.syntax.format.rows import LIMIT, Row, aligned
from nnspec.syntax.lalr import Tree


@dataclass(frozen=True)
class Written:
    """A line as it will stand: what is above it, what it says, the comment behind it."""

    above: tuple[str, ...]
    doc: Doc
    after: str = ""


class Statements(Formulas):
    """Lays out a whole file."""

    def spec(self, tree: Branch, end: int) -> Doc:
        """The definitions, a blank line around those of several lines; `end` is where the text ends."""
        lines = [*_lines(_apart([self.row(d) for d in parts(tree)])), *self._comments(end)]
        if not lines:
            return ""
        first_comments = [Line(hard=True) if not text else (text, Line(hard=True)) for text in _without_first_blank(lines[0].above)]
        return *first_comments, lines[0].doc, *_below(lines[0].after, lines[1:]), Line(hard=True, after=lines[-1].after)

    def block(self, braces: Sequence[Part]) -> Doc:
        """Statements between braces, each on a line of its own."""
        opener, *inner, closer = braces
        self.depth += 1
        rows = [self.row(s) for i in inner for s in (parts(i) if is_kind(i, "statements") else [i])]
        self.depth -= 1
        lines = [*_lines(rows), *self._comments(first(closer).start_pos)]
        note = self.between.after.pop(first(opener).start_pos, "")
        if not lines and not note:
            return "{}"
        if lines:
            lines[0] = replace(lines[0], above=_without_first_blank(lines[0].above))
        return "{", Nest(tuple(_below(note, lines))), Line(hard=True, after=lines[-1].after if lines else note), "}"

    def _comments(self, place: int) -> list[Written]:
        """The comments before a closing brace or the end."""
        lines = self.between.above.pop(place, [])
        while lines and not lines[-1]:
            lines.pop()
        return [Written(tuple(lines[:-1]), lines[-1])] if lines else []

    # ---- rows

    def row(self, part: Part) -> Row:
        start, end = first(part).start_pos, last(part).start_pos
        above = self.between.above.pop(start, [])
        after = self.between.after.pop(end, "")
        shape, cells, rest = self.cells(part)
        left = self.between.left_in(part)
        above = above + left if self.depth else _apart_from_documentation(left, above)
        return Row(shape, cells, rest, tuple(above), after, LIMIT - INDENT * self.depth)

    def cells(self, part: Part) -> tuple[str, tuple[str, ...], Doc]:
        """The shape, the cells and the rest of a statement or definition."""
        tree, kind = (part, str(part.data)) if isinstance(part, Tree) else (Tree("", [part]), "")
        match kind:
            case "let":
                word, name, eq, value = parts(tree)
                return kind, (f"{word} {name}",), self._value(eq, value)
            case "assign" | "update":
                *names, sign, value = parts(tree)
                return kind, ("".join(", " if n == "," else str(n) for n in names),), self._value(sign, value)
            case "share":
                word, name, eq, value = parts(tree)
                return "share named", (str(word), str(name)), self._value(eq, value)
            case "input" | "target":
                word, name, _, type_ = parts(tree)
                return kind, (str(word),), (f"{name}: ", self.formula(type_))
            case "param" | "state":
                return self._parameter(tree)
            case "loss" | "metric" | "expect" | "return" | "lookahead":
                return self._report(tree)
            case "output":
                return self._output(tree)
            case "setting":
                return self._setting(tree)
        return "", (), self._rest(kind, tree)

    def _value(self, sign: Part, value: Part) -> Doc:
        return str(sign), Hug(self.between.line(sign, value, keep=True), self.formula(value))

    def _parameter(self, tree: Branch) -> tuple[str, tuple[str, ...], Doc]:
        word, name, *rest = parts(tree)
        colon, type_ = rest[:2] if rest and rest[0] == ":" else (None, None)
        source = [p for s in rest[2 if colon else 0 :] for p in (parts(s) if is_kind(s, "param_source") else [s])]
        given = self.formula(type_) if type_ else ""
        start = self._value(*source) if source else ""
        if not type_ or not source or forced(given):
            return "param", (str(word),), (f"{name}{colon or ''}", " " if type_ else "", given, " " if source else "", start)
        return "param typed", (str(word), f"{name}:", flat(given)), start

    def _report(self, tree: Branch) -> tuple[str, tuple[str, ...], Doc]:
        word, *rest = parts(tree)
        if len(rest) == 1:
            return str(word), (str(word),), self.formula(rest[0])
        name, eq, value = rest
        return f"{word} named", (str(word), str(name)), self._value(eq, value)

    def _output(self, tree: Branch) -> tuple[str, tuple[str, ...], Doc]:
        word, *items = parts(tree)
        values = [parts(i) for i in items if isinstance(i, Tree)]
        if len(values) == 1 and len(values[0]) > 1:
            name, eq, value = values[0]
            return "output named", (str(word), str(name)), self._value(eq, value)
        return "output", (str(word),), tuple(", " if i == "," else self._output_item(i) for i in items)

    def _output_item(self, part: Part) -> Doc:
        assert isinstance(part, Tree)
        name, *value = parts(part)
        return (f"{name} ", self._value(*value)) if value else str(name)

    def _setting(self, tree: Branch) -> tuple[str, tuple[str, ...], Doc]:
        name, *values = parts(tree)
        rest: list[Doc] = [", " if v == "," else f"{v} " if v == "from" else self.formula(v) for v in values]
        return "setting", (str(first(name)),), tuple(rest)

    # ---- what is no row of cells

    def _rest(self, kind: str, tree: Branch) -> Doc:
        match kind:
            case "if":
                return self._if(tree)
            case "given" | "steps" | "header" | "import":
                return self._words(parts(tree))
            case _:
                return self._definition(tree)

    def _words(self, written: Sequence[Part]) -> Doc:
        out: list[Doc] = []
        for part in written:
            out += [", "] if part == "," else [" " if out and out[-1] != ", " else "", self.formula(part)]
        return tuple(out)

    def _if(self, tree: Branch) -> Doc:
        out: list[Doc] = []
        rest: list[Part] = [tree]
        while rest:
            part = rest.pop()
            if is_kind(part, "body"):
                out.append(self.block(parts(part)))
                break
            if_, condition, body, *otherwise = parts(part)
            out += [f"{if_} ", self.formula(condition), " ", self.block(parts(body))]
            if otherwise:
                out.append(" else ")
                rest.append(otherwise[1])
        return tuple(out)

    def _definition(self, tree: Branch) -> Doc:
        """A word, a name, perhaps parameters and a type, and then a formula or a block."""
        written = parts(tree)
        out: list[Doc] = [str(written[0])]
        at = 1
        while at < len(written):
            part = written[at]
            if part == "(":
                end = next(i for i in range(at, len(written)) if written[i] == ")")
                out.append(self.brackets(written[at : end + 1]))
                at = end
            elif part == "{":
                return *out, " ", self.block(written[at:])
            elif part == "=":
                return *out, " ", self._value(part, written[at + 1])
            elif isinstance(part, Tree) and is_kind(part, "body"):
                return *out, " ", self.block(parts(part))
            else:
                out += [" ", self.formula(part)]
            at += 1
        return tuple(out)


def _lines(rows: list[Row]) -> list[Written]:
    return [Written(row.above, row.doc, row.after) for row in aligned(rows)]


def _below(note: str, lines: Sequence[Written]) -> Iterator[Doc]:
    """Lines, each after what stands above it; `note` is the comment behind what they follow."""
    for line in lines:
        yield Line(hard=True, after=note, own=line.above)
        yield line.doc
        note = line.after


def _apart(rows: list[Row]) -> list[Row]:
    """A blank line around what takes several lines; none before all."""
    out = rows[:1]
    for before, row in pairwise(rows):
        close = row.above[:1] != ("",) and not (before.on_one_line and row.on_one_line)
        out.append(replace(row, above=("", *row.above)) if close else row)
    return out


def _apart_from_documentation(left: list[str], above: list[str]) -> list[str]:
    """Comments above a definition, and with a blank line between them and those right above it."""
    if not left:
        return above
    documentation = list(takewhile(bool, reversed(above)))[::-1]
    others = above[: len(above) - len(documentation)]
    return [*(others or [""]), *left, "", *documentation]


def _without_first_blank(lines: tuple[str, ...]) -> tuple[str, ...]:
    return lines[1:] if lines[:1] == ("",) else lines
