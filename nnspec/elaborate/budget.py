"""How much a spec expands to, counted while it does, and foreseen where it can be: a bomb is refused before it goes off."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from nnspec import limits
from nnspec.diagnostics import Fault, Span
from nnspec.elaborate.values import Function, Poisoned, Value
from nnspec.syntax import ast

_LONG_ENOUGH = 300
"""Operations, to say from their derivative how long the next will be."""
_NO_PART_OF_A_LAYER = (ast.Port, ast.Report, ast.Expect)


class Budget:
    """Every statement of a definition, every stage and every call counts one; those for numbers, which are computed `aside`, count once."""

    def __init__(self, meaning: Callable[[str, bool], Value | None]) -> None:
        self.most, self.spent, self.aside, self.copies, self.derivatives = limits.most("statements"), 0, 0, 1, 0
        self._meaning, self._told = meaning, False
        self._least: dict[tuple[int, int], int] = {}

    def spend(self, span: Span) -> None:
        self.spent += 1
        if self.spent + self.aside > self.most:
            raise self._exceeded(span)

    def enter(self, f: Function, span: Span) -> None:
        """Count a call, unless what it cannot help expanding to is too much already."""
        self.spend(span)
        if self.spent + self.least(f) * self.copies > self.most:
            raise self._exceeded(span)

    @contextmanager
    def repeated(self, times: int) -> Iterator[None]:
        """Inside, everything is so many times as much."""
        before = self.copies
        self.copies *= times
        try:
            yield
        finally:
            self.copies = before

    @contextmanager
    def once(self) -> Iterator[None]:
        """Inside is computed what will be known when it is asked for again."""
        before = self.spent
        yield
        self.aside, self.spent = self.aside + self.spent - before, before

    def foresee(self, since: int, span: Span) -> None:
        """What was spent since then is spent by every copy."""
        if since + (self.spent - since) * self.copies > self.most:
            raise self._exceeded(span)

    def foresee_all(self, models: Iterable[Function]) -> None:
        """Models that expand to too much together are refused before the first of them does."""
        total = self.spent
        for model in models:
            total += self.least(model)
            if total > self.most:
                raise self._exceeded(model.definition.name.span)

    @contextmanager
    def derived(self) -> Iterator[None]:
        """Inside, what is computed will be differentiated once more."""
        self.derivatives += 1
        try:
            yield
        finally:
            self.derivatives -= 1

    def foresee_derivatives(self, before: int, after: int, span: Span) -> None:
        """A derivative has made so many operations of so many; each that waits for it will do the same with those of the one before."""
        most = limits.most("nodes")
        if self.derivatives and before >= _LONG_ENOUGH and after * (after / before) ** self.derivatives > most:
            message = f"this derivative, differentiated {self.derivatives} times more, expands to more than {most:,} operations"
            raise limits.exceeded("nodes", message, span)

    def _exceeded(self, span: Span) -> Fault | Poisoned:
        """Said once; what comes after it follows from it."""
        if self._told:
            return Poisoned()
        self._told = True
        return limits.exceeded("statements", f"the spec expands to more than {self.most:,} statements", span)

    def least(self, f: Function) -> int:
        """What a definition expands to whatever its arguments are: without the branches of an `if`, and its calls of itself."""
        key = id(f.definition.span.source), f.definition.span.start
        if key not in self._least:
            self._least[key] = 1
            self._least[key] = sum(1 + self._of(s, f) for s in f.definition.body if not isinstance(s, _NO_PART_OF_A_LAYER))
        return self._least[key]

    def _of(self, statement: ast.Statement, f: Function) -> int:
        """The calls and stages within a statement; a loop, as a long sum is a deep tree."""
        found, left = 0, list[object]([statement])
        while left:
            match left.pop():
                case ast.If() | ast.Conditional():
                    found += 1
                case ast.Call(callee=ast.Name(id=name), arguments=inner):
                    found += self._called(name, f)
                    left += inner
                case ast.Stage(body=ast.Name(id=name)):
                    found += self._called(name, f)
                case tuple() as several:
                    left += several
                case ast.Tree() as tree:
                    left += tree.pieces
        return found

    def _called(self, name: str, f: Function) -> int:
        """A name that the definition itself has is a parameter or a value of its own."""
        known = any(p.name == name for p in f.definition.parameters)
        meant = None if known else self._meaning(name, f.of_library)
        return 1 + (self.least(meant) if isinstance(meant, Function) else 0)
