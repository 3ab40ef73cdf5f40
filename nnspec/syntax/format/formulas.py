"""How formulas and types are laid out: where a space stands, and where a long one breaks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace

from nnspec.syntax.format.concrete import Between, Branch, Part, is_kind, parts
from nnspec.syntax.format.document import Doc, Fill, Line, Nest, forced, group
from nnspec.syntax.lalr import Token, Tree

ATOMS = ("number", "string", "boolean", "name")
ITEMS = ("arguments", "parameters")
POSTFIX = ("call", "subscript", "attribute")


class Formulas(ABC):
    """Lays out formulas. `between` has the comments, which are taken from it at the places where a line can break."""

    def __init__(self, between: Between) -> None:
        self.between = between
        self.depth = 0

    @abstractmethod
    def block(self, braces: Sequence[Part]) -> Doc:
        """Statements in braces, each on a line of its own."""

    def formula(self, part: Part) -> Doc:
        if isinstance(part, Token):
            return str(part)
        rules: dict[str, Callable[[Branch], Doc]] = {
            "pipe": self.pipe, "binary": self.binary, "unary": self.unary, "conditional": self.conditional, "scan": self.scan,
            "repeat": self.repeat, "block": self.bracketed, "stage": self.stage, "call": self.postfix, "group": self.bracketed,
            "list": self.bracketed, "record": self.bracketed, "type": self.type, "subscript": self.postfix, "slice": self.joined,
            "attribute": self.postfix, "star": self.joined, "named": self.named, "argument": self.named, "carried": self.named,
            "parameter": self.named, "number": self.joined, "string": self.joined, "boolean": self.joined, "name": self.joined,
        }  # fmt: skip
        return rules[str(part.data)](part)

    # ---- what does not break

    def joined(self, tree: Branch) -> Doc:
        return tuple(self.formula(p) for p in parts(tree))

    def unary(self, tree: Branch) -> Doc:
        signs: list[str] = []
        part: Part = tree
        while is_kind(part, "unary"):
            sign, part = parts(part)
            signs.append("not " if sign == "not" else str(sign))
        return "".join(signs), self.formula(part)

    def type(self, tree: Branch) -> Doc:
        return tuple(self._spaced(p) for p in parts(tree))

    def postfix(self, tree: Branch) -> Doc:
        """What is called, indexed or looked into, any number of times."""
        out: list[Doc] = []
        part: Part = tree
        while is_kind(part, *POSTFIX):
            kind = part
            part, *rest = parts(part)
            out.append(self.brackets(rest) if is_kind(kind, "call") else tuple(map(self._spaced, rest)))
        return self.formula(part), *reversed(out)

    def _spaced(self, part: Part) -> Doc:
        return ", " if part == "," else self.formula(part)

    def named(self, tree: Branch) -> Doc:
        """`name = value`, `value`, or `name: type = value`."""
        written = {"=": " = ", ":": ": "}
        return tuple(written[p] if isinstance(p, Token) and p in written else self.formula(p) for p in parts(tree))

    # ---- brackets

    def bracketed(self, tree: Branch) -> Doc:
        return self.brackets(parts(tree))

    def brackets(self, written: Sequence[Part]) -> Doc:
        """Items between brackets, on one line or indented by themselves: as many to a line as fit, or one if they are no plain values."""
        opener, *items, closer = [p for w in written for p in (parts(w) if is_kind(w, *ITEMS) else [w])]
        if not items:
            return f"{opener}{closer}"
        space = " " if opener == "{" else ""
        enter = self.between.line(opener, items[0], flat=space, keep=True)
        docs: list[Doc] = []
        places: list[Line] = []
        for before, item in zip([opener, *items], items, strict=False):
            if item == ",":
                docs[-1] = docs[-1], ","
            else:
                places += [self.between.line(before, item, keep=opener != "(")] if docs else []
                docs.append(self.formula(item))
        leave = self.between.line(items[-1], closer, flat=space)
        filled = opener == "(" or all(_is_atom(i) for i in items if i != ",")
        several = [forced(doc) for doc in docs]  # which stand alone, as they did when they were first laid over several lines
        places = [replace(p, hard=p.hard or any(several[i : i + 2])) for i, p in enumerate(places)]
        listed = Fill(tuple(docs), tuple(places)) if filled else (docs[0], *zip(places, docs[1:], strict=True))
        return group(str(opener), Nest((enter, listed)), leave, str(closer))

    # ---- what breaks before words and signs

    def conditional(self, tree: Branch) -> Doc:
        written: list[Doc] = []
        part: Part = tree
        while is_kind(part, "conditional"):
            if_, condition, then, value, else_, part = parts(part)
            at_then = self.between.line(condition, then, keep=True, deeper=True)
            at_else = self.between.line(value, else_, keep=True, deeper=True)
            written += [f"{if_} ", self.formula(condition), at_then, "then ", Nest(self.formula(value)), at_else, "else "]
        return group(*written, Nest(self.formula(part)))

    def binary(self, tree: Branch) -> Doc:
        """A chain of operators that bind alike, which breaks where it must."""
        left, sign, right = parts(tree)
        if sign == "^":
            return self.formula(left), "^", self.formula(right)
        chain: list[tuple[Part, Part, Part]] = [(left, sign, right)]
        while isinstance(left, Tree) and is_kind(left, "binary") and _level(parts(left)[1]) == _level(sign):
            left, inner, right = parts(left)
            chain.append((left, inner, right))
        items: list[Doc] = [self.formula(left)]
        places = []
        for before, operator, operand in reversed(chain):
            places.append(self.between.line(before, operator, keep=True, deeper=True))
            items.append((f"{operator} ", self.formula(operand)))
        return Fill(tuple(items), tuple(places))

    def pipe(self, tree: Branch) -> Doc:
        """Breaks before the arrows where the author did, and before all of a line that is too long."""
        head, *rest = parts(tree)
        lines: list[tuple[Line | None, list[Part]]] = [(None, [head])]
        for before, arrow, stage in zip([head, *rest[1::2]], rest[::2], rest[1::2], strict=False):
            place = self.between.line(before, arrow, keep=True, deeper=True)
            if place.forced:
                lines.append((place, [stage]))
            else:
                lines[-1][1].append(stage)
        return tuple(self._stages(place, stages) for place, stages in lines)

    def _stages(self, place: Line | None, stages: list[Part]) -> Doc:
        """The stages that the author wrote on a line, the first behind `place` or else the head of the pipeline."""
        docs = list(map(self.formula, stages))
        stays = any(map(forced, docs))
        steps = [(" -> ", doc) if stays else (Line(), "-> ", doc) if place else (Line(deeper=True), Nest(("-> ", doc))) for doc in docs[1:]]
        line = group(docs[0], *steps)
        return (place, Nest(("-> ", line))) if place else line

    def stage(self, tree: Branch) -> Doc:
        """A stage with the name it may have."""
        body, *label = parts(tree)
        return (self.formula(body), f" as {label[-1]}") if label else self.formula(body)

    # ---- words and braces

    def repeat(self, tree: Branch) -> Doc:
        word, opener, count, closer, block = parts(tree)
        return f"{word}", self.brackets([opener, count, closer]), " ", self.formula(block)

    def scan(self, tree: Branch) -> Doc:
        scan, item, in_, sequence, with_, *rest = parts(tree)
        opens = next(i for i, p in enumerate(rest) if p == "{")
        carried = tuple(", " if p == "," else self.formula(p) for p in rest[:opens])
        return f"{scan} {item} {in_} ", self.formula(sequence), f" {with_} ", carried, " ", self.block(rest[opens:])


def _is_atom(part: Part) -> bool:
    return is_kind(part, *ATOMS) or (is_kind(part, "unary") and is_kind(parts(part)[-1], *ATOMS))


def _level(sign: Part) -> str:
    """What the operators that bind alike have in common."""
    return {"+": "sum", "-": "sum", "*": "product", "/": "product", "@": "product", "%": "product"}.get(str(sign), str(sign))
