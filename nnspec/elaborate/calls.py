"""Calls: a definition or primitive with its arguments, run in a frame of its own."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Sequence, Set
from contextlib import AbstractContextManager, contextmanager, nullcontext
from copy import copy
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import Any

from nnspec import limits
from nnspec.diagnostics import Diagnostic, Fault, Span, fault
from nnspec.elaborate import batch
from nnspec.elaborate.applied import of_shape
from nnspec.elaborate.arguments import bind, check_tensors, compared, swapped, wanted_by
from nnspec.elaborate.blame import blame, called, given_so
from nnspec.elaborate.derived import DERIVATIVE
from nnspec.elaborate.library import CALLED_IN_FORMULAS, Definitions
from nnspec.elaborate.names import callee_of, value_of
from nnspec.elaborate.scope import Frame, Scope
from nnspec.elaborate.submodels import as_layer
from nnspec.elaborate.values import Applied, Builtin, Function, Owned, Poisoned, Row, Tensor, Unsized, Value
from nnspec.elaborate.within import Derivative
from nnspec.graph import BATCH, Graph
from nnspec.record import dataclass
from nnspec.syntax import ast

PLAIN = (bool, int, float)
FRAMES = 40
"""Of Python, for a call in a formula of the language."""
UNCHANGED = nullcontext()


@dataclass
class Seen:
    """Of the definitions that were run: whether one asks for fitting, or for anything of the phase; how deep in calls the deepest was.

    `least` is the most that one of them could not help expanding to, in all its copies.
    """

    fits: bool = False
    asks: bool = False
    depth: int = 0
    least: int = 0

    def add(self, other: Seen, deeper: int = 0, copies: int = 1) -> None:
        """Have seen what another has, inside so many more calls, and so many times."""
        self.fits, self.asks = self.fits or other.fits, self.asks or other.asks
        self.depth, self.least = max(self.depth, other.depth + deeper), max(self.least, other.least * copies)


class Calls(ABC):
    """What elaborating one spec knows so far: its graph, what its layers own, and how deep in calls it is."""

    def __init__(self, graph: Graph, definitions: Definitions, *, training: bool, fitting: bool = False) -> None:
        self.graph, self.definitions, self.training, self.fitting = graph, definitions, training, fitting
        self.diagnostics: list[Diagnostic] = []
        self.complete = True
        self.calls: list[Function] = []
        self.always = {"training": training, "fitting": fitting} | ({"batch": BATCH} if training or fitting else {})
        self.seen = Seen()
        self.frame = Frame()
        self.file = Scope()
        self.rows: list[Row] = []
        self.watched: Scope | None = None
        self.ports: dict[str, Span] = {}
        self.last_name = ""
        self.reporting = ""
        self.owned: dict[str, Owned] = {}
        self.updates: dict[str, str] = {}
        self.unsized: dict[str, Unsized] = {}
        self.unused: set[str] = set()
        self.derivatives: list[Derivative] = []
        self.budget = definitions.budget
        self._numbers: dict[tuple[Any, ...], tuple[Value, Seen]] = {}
        graph.most = limits.most("nodes")

    def note(self, step: object) -> None:
        """Write into the log of the graph what was done beside adding nodes, if there is one."""
        if self.graph.log is not None:
            self.graph.log.append(step)

    @property
    def in_use(self) -> bool:
        """Whether the graph is neither for training nor for fitting; who asks makes another graph for each."""
        self.seen.asks = True
        return not (self.training or self.fitting)

    @abstractmethod
    def evaluate(self, e: ast.Expr, scope: Scope) -> Value:
        """The value of an expression."""

    @abstractmethod
    def run_body(self, f: Function, scope: Scope) -> Value:
        """The value of a definition whose arguments are in the scope."""

    def at(self, span: Span) -> AbstractContextManager[None]:
        """Nodes made inside come from this place; a place in the library leaves them with the user's line that called it."""
        return UNCHANGED if span.source.library and self.graph.context.span else self.graph.at(span=span)

    @contextmanager
    def recovering(self, span: Span) -> Iterator[None]:
        """Takes the mistake of the statement at `span` and goes on with the next; what is elaborated is not `complete` then."""
        try:
            yield
        except Fault as error:
            self.diagnostics.append(error.diagnostic)
        except RecursionError:
            self.diagnostics.append(Diagnostic("E502", "this formula is nested too deeply", span))
        except Poisoned:
            pass
        else:
            return
        self.complete = False

    def owns(self, scope: Scope) -> bool:
        """Whether parameters and states belong to the definition that is run there; a fn has none, whoever calls it."""
        return scope.frame.owns and not (self.calls and self.calls[-1].kind == "fn")

    def marks(self) -> tuple[int, int, int]:
        """How much there is before a row of the layer table."""
        return len(self.graph), len(self.owned), len(self.rows)

    def undoing(self, scope: Scope) -> Callable[[], None]:
        """What undoes all that is done from here on in that scope; what was spent for it is spent."""
        changing: list[tuple[object, str]] = [
            (self, name) for name in ("owned", "unsized", "unused", "derivatives", "last_name", "diagnostics", "complete")
        ]
        changing += [(scope.frame, name) for name in ("counts", "taken", "draws")]
        changing += [(outer, name) for outer in scope.chain() for name in ("names", "spans")]
        before, nodes = [copy(getattr(*part)) for part in changing], len(self.graph)

        def undo() -> None:
            self.graph.discard({*islice(self.graph.nodes, nodes, None)})
            for part, value in zip(changing, before, strict=True):
                setattr(*part, copy(value))

        return undo

    def named(self, name: str, value: Value, before: int) -> Value:
        """A value as that of a name, when the graph had so many nodes before: apart from others where a formula differentiates by it."""
        if name not in self.definitions.derived_by or not isinstance(value, Tensor):
            return value
        return replace(value, var=self.graph.var(self.graph.apart(value.var.name, before)))

    def record(self, name: str, span: Span, value: Value, marks: tuple[int, int, int], scope: Scope | None) -> None:
        """One row of the layer table: what was added since `marks` and is in no row yet, for formulas of the model itself."""
        if scope is self.watched and isinstance(value, Tensor):
            shown = {n for row in self.rows[marks[2] :] for n in (*row.nodes, *row.owned)}
            nodes, owned = _since(self.graph.nodes, marks[0], shown), _since(self.owned, marks[1], shown)
            self.rows.append(row := Row(name, span, value, nodes, owned))
            self.note(row)

    def callee(self, e: ast.Call, scope: Scope) -> Function | Builtin:
        """What a call calls."""
        return callee_of(e.callee, scope, self.definitions)

    def call(self, e: ast.Call, scope: Scope) -> Value:
        callee = self.callee(e, scope)
        with self.budget.derived() if isinstance(callee, Builtin) and callee.name == DERIVATIVE else UNCHANGED:
            arguments = self.evaluated(callee, e.arguments, e.arguments, scope)
        return self.invoke(callee, arguments, scope, e.span, None)

    def evaluated(
        self, callee: Function | Builtin, arguments: Sequence[ast.Argument], written: Sequence[ast.Argument], scope: Scope
    ) -> list[tuple[ast.Argument, Value]]:
        """The values of some arguments of a call; `written` are all of them."""
        values: list[tuple[ast.Argument, Value]] = []
        for a in arguments:
            try:
                values.append((a, self._argument(callee, written, a, scope)))
            except (Fault, Poisoned) as error:
                raise compared(callee, a, error) from None
        return values

    def _argument(self, callee: Function | Builtin, written: Sequence[ast.Argument], a: ast.Argument, scope: Scope) -> Value:
        """Of a word that stands for nothing, where one of a few is due, these are offered."""
        if isinstance(a.value, ast.Name):
            return value_of(a.value, scope, self.definitions, partial(wanted_by, callee, written, a))
        return self.evaluate(a.value, scope)

    def invoke(
        self, callee: Function | Builtin, arguments: list[tuple[ast.Argument, Value]], scope: Scope, span: Span, label: str | None
    ) -> Value:
        """Call with evaluated arguments. A mistake inside the library is reported where the user called it."""
        if isinstance(callee, Function) and callee.kind == "model":
            callee = as_layer(callee)
        if isinstance(callee, Function) and len(arguments) > len(callee.names):
            callee = self.definitions.find("init", callee.name) or callee  # `identity(6, 6)` is no function of a value
        if isinstance(callee, Function) and callee.kind == "init" and arguments and not callee.definition.parameters:
            return of_shape(self, callee, arguments, scope, span)
        bound, spans = bind(callee, arguments, span)
        try:
            result = self._invoke(callee, bound, spans, scope, span, label)
        except Fault as error:
            raise swapped(callee, bound, spans, span) or called(given_so(blame(error, spans, span), callee, spans), callee, span) from None
        return result.at(span) if isinstance(result, Tensor) else result

    def _invoke(
        self, callee: Function | Builtin, bound: dict[str, Value], spans: dict[str, Span], scope: Scope, span: Span, label: str | None
    ) -> Value:
        if isinstance(callee, Builtin):
            result = batch.attempt(self.graph, spans, span, lambda: callee.run(self, bound, spans, span, scope))
            self.last_name = self.last_name if callee.kind == "shared pipeline" else callee.name
            return result
        if callee.kind not in CALLED_IN_FORMULAS:
            return Applied(callee, bound, span, spans)
        if callee.kind == "fn" and all(type(v) in PLAIN for v in bound.values()):
            return self._of_numbers(callee, bound, spans, scope.frame, span)
        owns = callee.kind == "layer"
        frame = scope.frame.of_definition(callee.definition, scope.frame.child(callee.name, label)) if owns else scope.frame
        result = self.expand(callee, bound, spans, frame, span)
        self.last_name = frame.path if owns else callee.name
        return result

    def _of_numbers(self, f: Function, bound: dict[str, Value], spans: dict[str, Span], frame: Frame, span: Span) -> Value:
        """A function of numbers, computed once for the same ones: recursion in two is not recursion in 2^n."""
        key = (f.name, id(f.definition.span.source), *((n, type(v), v) for n, v in bound.items()))
        if key in self._numbers:
            value, seen = self._numbers[key]
            self.seen.add(seen, len(self.calls), self.budget.copies)
            return value
        with self.seeing() as seen, self.budget.once():
            value = self.run_function(f, bound, spans, frame, span)
        if type(value) in PLAIN or isinstance(value, tuple):
            self._numbers[key] = value, seen
        return value

    @contextmanager
    def seeing(self) -> Iterator[Seen]:
        """What is seen inside, as deep and as often as it would be in a call of the model's own."""
        outer, self.seen = self.seen, Seen()
        inner = self.seen
        try:
            yield inner
        finally:
            self.seen = outer
            outer.add(inner)
            inner.depth, inner.least = inner.depth - len(self.calls), inner.least // self.budget.copies

    def expand(self, f: Function, bound: dict[str, Value], spans: dict[str, Span], frame: Frame, span: Span) -> Value:
        """The value of a call in a formula."""
        return self.run_function(f, bound, spans, frame, span)

    def run_function(self, f: Function, bound: dict[str, Value], spans: dict[str, Span], frame: Frame, span: Span) -> Value:
        """The value of a definition's body for bound arguments."""
        if len(self.calls) > limits.most("calls"):
            [(most, _)] = Counter(c.name for c in self.calls).most_common(1)
            message = f"calls are nested deeper than {limits.most('calls')}: does `{most}` call itself without end?"
            raise fault("E502", message, span)  # more calls would hardly help
        self.budget.enter(f, span)
        inner = Scope(f.scope, frame, dict(self.always))
        inner.spans.update(spans)
        self.seen.add(Seen(f.fits, f.asks, 0, self.budget.least(f)), len(self.calls), self.budget.copies)
        self.calls.append(f)
        outer, self.frame = self.frame, frame
        room = sys.getrecursionlimit()
        sys.setrecursionlimit(room + FRAMES)  # so that formulas may be as deep in a call as outside of it
        try:
            with self.graph.at(scope=frame.path.replace(".", "/")):
                self._fill(f, bound, inner)
                check_tensors(self, f, inner, span)
                return self.run_body(f, inner)
        finally:
            self.calls.pop()
            self.frame = outer
            sys.setrecursionlimit(room)

    def _fill(self, f: Function, bound: dict[str, Value], inner: Scope) -> None:
        """Arguments by name; a default is evaluated in the definition, after the parameters before it."""
        inner.names.update((name, value) for name, value in bound.items() if name not in f.names)
        for p in f.definition.parameters:
            if p.name in bound:
                inner.names[p.name] = bound[p.name]
            else:
                assert p.default is not None
                inner.names[p.name] = self.evaluate(p.default, inner)


def _since(names: dict[str, Any], mark: int, shown: Set[str]) -> tuple[str, ...]:
    """The names that have been entered since there were so many, but for those that are shown."""
    last = list(islice(reversed(names), max(0, len(names) - mark)))[::-1]
    return tuple([n for n in last if n not in shown] if shown else last)
