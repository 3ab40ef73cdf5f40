"""Expressions to values: names looked up, calls expanded, tensor formulas added to the graph."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from itertools import islice
from math import inf
from typing import Any

from nnspec.diagnostics import Diagnostic, Fault, Span, fault
from nnspec.elaborate import batch, lists
from nnspec.elaborate.arguments import bind, check_tensors
from nnspec.elaborate.library import CALLED_IN_FORMULAS, Definitions, nearest
from nnspec.elaborate.models import as_layer
from nnspec.elaborate.names import callee_of, unknown, value_of
from nnspec.elaborate.pipelines import pipe
from nnspec.elaborate.scan import scan
from nnspec.elaborate.statements import run_body
from nnspec.elaborate.values import (
    POISON,
    Applied,
    Builtin,
    Frame,
    Function,
    Owned,
    Poison,
    Poisoned,
    Row,
    Scope,
    Tensor,
    Unsized,
    Value,
    describe,
    is_dim,
    is_number,
)  # fmt: skip
from nnspec.graph import BATCH, Graph, Size
from nnspec.ops import OPS
from nnspec.ops.operators import BINARY, UNARY
from nnspec.syntax import ast

MAX_CALL_DEPTH = 64
MAX_NODES = 100_000
MAX_BITS = 63
SIGNS = {op: sign for sign, op in BINARY.items()}


class Elaborator:
    """Turns the formulas of one spec into one graph: for training, for fitting states to a whole data set, or for inference."""

    def __init__(self, graph: Graph, definitions: Definitions, *, training: bool, fitting: bool = False) -> None:
        self.graph, self.definitions, self.training, self.fitting = graph, definitions, training, fitting
        self.diagnostics: list[Diagnostic] = []
        self.calls: list[Function] = []
        self.always = {"training": training, "fitting": fitting} | ({"batch": BATCH} if training or fitting else {})
        self.fits = False
        self.frame = Frame()
        self.rows: list[Row] = []
        self.watched: Scope | None = None
        self.last_name = ""
        self.reporting = ""
        self.owned: dict[str, Owned] = {}
        self.updates: dict[str, str] = {}
        self.unsized: dict[str, Unsized] = {}

    # ---- expressions

    def evaluate(self, e: ast.Expr, scope: Scope) -> Value:
        with self.at(e.span):
            return self._evaluate(e, scope)

    def at(self, span: Span) -> AbstractContextManager[None]:
        """Nodes made inside come from this place; a place in the library leaves them with the user's line that called it."""
        keep = span.source.library and self.graph.context.span
        return self.graph.at() if keep else self.graph.at(span=span)

    def _evaluate(self, e: ast.Expr, scope: Scope) -> Value:
        match e:
            case ast.Number() | ast.String() | ast.Boolean():
                return e.value
            case ast.Name():
                return value_of(e, scope, self.definitions)
            case ast.List():
                return tuple(self.evaluate(i, scope) for i in e.items)
            case ast.Unary():
                return self.operation(OPS[UNARY[e.operator]], [e.operand], scope, e.span)
            case ast.Binary():
                return self.binary(e, scope)
            case ast.Conditional():
                return self.conditional(e, scope)
            case ast.Call():
                return self.call(e, scope)
            case ast.Pipe():
                return pipe(self, e, scope)
            case ast.Subscript():
                return self.subscript(e, scope)
            case ast.Attribute():
                return self.owned_value(e, scope)
            case ast.Scan():
                return scan(self, e, scope)
            case _:
                raise fault("E106", "this is not a value here", e.span)

    def binary(self, e: ast.Binary, scope: Scope) -> Value:
        """A chain of operators, from the left; as a loop, so that a long sum is no deep recursion."""
        chain: list[ast.Binary] = [e]
        while isinstance(chain[-1].left, ast.Binary):
            chain.append(chain[-1].left)
        value = self.evaluate(chain[-1].left, scope)
        for link in reversed(chain):
            with self.at(link.span):
                value = self._binary(link, value, self.evaluate(link.right, scope))
        return value

    def _binary(self, e: ast.Binary, left: Value, right: Value) -> Value:
        spans = (e.left.span, e.right.span)
        if e.operator == "~=":
            return about(left, right, e.right)
        if e.operator == "@":
            left, right = self.sized_for_product(left, right)
            x, y = (batch.lift(self.graph, v, self.graph.dtype, s) for v, s in zip((left, right), spans, strict=True))
            return batch.matmul(self.graph, x, y, spans, e.span)
        return self.apply(OPS[BINARY[e.operator]], [left, right], spans, e.span)

    @staticmethod
    def sized_for_product(left: Value, right: Value) -> tuple[Value, Value]:
        """A parameter with an open size beside `@`: its rows are as many as the other side's columns, or the other way round."""
        if isinstance(right, Unsized) and isinstance(left, Tensor) and left.shape:
            right = right.with_dims((left.shape[-1], *right.dims[-1:]))  # type: ignore[arg-type]  # with_dims says what is still open
        if isinstance(left, Unsized) and isinstance(right, Tensor) and len(right.shape) > 1:
            left = left.with_dims((right.shape[-2],))
        return left, right

    def operation(self, op: Any, operands: Sequence[ast.Expr], scope: Scope, span: Span) -> Value:
        values = [self.evaluate(o, scope) for o in operands]
        return self.apply(op, values, [o.span for o in operands], span)

    def apply(self, op: Any, values: list[Value], spans: Sequence[Span], span: Span) -> Value:
        """A pointwise op: on numbers at once, on tensors as a node."""
        tensor = next((v for v in values if isinstance(v, Tensor)), None)
        if tensor:
            values = [v.with_dims(tensor.shape) if isinstance(v, Unsized) else v for v in values]
        values = [self.draw(v, tensor) if isinstance(v, Applied) and v.function.kind == "init" else v for v in values]
        if tensor is None:
            return self.on_numbers(op, values, spans, span)
        return batch.pointwise(self.graph, op, values, spans, span)

    def on_numbers(self, op: Any, values: list[Value], spans: Sequence[Span], span: Span) -> Value:
        if op.name in ("equal", "not_equal"):
            return (values[0] == values[1]) == (op.name == "equal")
        if lists.are_numbers(values):
            return lists.elementwise(values, lambda row: self.on_numbers(op, row, spans, span), span)
        for value, at in zip(values, spans, strict=True):
            if not (is_number(value) or is_dim(value) or isinstance(value, bool)):
                raise fault("E106", f"`{SIGNS.get(op.name, op.name)}` takes numbers or tensors, not {describe(value)}", at)
        try:
            if any(isinstance(v, Size) for v in values):
                return self.on_sizes(op, values, span)
            return self.number(op, values, span)
        except (ArithmeticError, ValueError) as error:
            raise fault("E107", f"this has no value: {error}", span) from None

    def number(self, op: Any, values: list[Value], span: Span) -> Value:
        """The op on plain numbers; a quotient of whole numbers that is whole can be a size."""
        whole = all(isinstance(v, int) for v in values)
        if whole and op.name == "pow" and values[1] * abs(values[0]).bit_length() > 2 * MAX_BITS:
            raise fault("E107", "this power is too large to be a number of the graph", span)
        if whole and op.name == "div" and values[0] % values[1] == 0:
            return values[0] // values[1]
        result = op.on_numbers(*values)
        if isinstance(result, int) and result.bit_length() > MAX_BITS:
            raise fault("E107", "this number is too large for the graph", span)
        return result

    def on_sizes(self, op: Any, values: list[Value], span: Span) -> Value:
        """Sizes add, subtract and multiply as sizes; anything else makes a number of the graph."""
        if op.name in ("add", "sub", "mul", "neg") and all(is_dim(v) for v in values):
            return op.on_numbers(*values)
        return batch.pointwise(self.graph, op, values, [span] * len(values), span)

    def draw(self, applied: Applied, like: Tensor | None) -> Value:
        """A random value in a formula: drawn anew each step, shaped like the tensor it meets."""
        if like is None:
            raise fault("E106", f"`{applied.name}` needs a tensor beside it, whose shape it takes", applied.span)
        return self.sample(applied, {"shape": like}, self.frame)

    def of_shape(self, init: Function, sizes: list[tuple[ast.Argument, Value]], scope: Scope, span: Span) -> Tensor:
        """`zeros(3, 4)`: what an init without arguments of its own gives for a shape."""
        for argument, size in sizes:
            if argument.name or not is_dim(size):
                raise fault("E106", f"`{init.name}` takes sizes here, not {describe(size)}", argument.span)
        shape = tuple(size for _, size in sizes)
        drawn = self.sample(Applied(init, {}, span), {"shape": shape}, scope.frame)
        t = batch.lift(self.graph, drawn, self.graph.dtype, span)
        return t if t.shape == shape else Tensor(OPS["expand"](t.var, shape=shape), False, span)

    def sample(self, applied: Applied, known: dict[str, Value], frame: Frame) -> Value:
        """What an init draws, `known` being the names it may ask for; an init may be another with other arguments."""
        try:
            value = self.run_function(applied.function, {**applied.arguments, **known}, {}, frame, applied.span)
        except Fault as error:
            raise blame(error, {}, applied.span) from None
        if isinstance(value, Function) and value.kind == "init":
            value = Applied(value, bind(value, [], applied.span)[0], applied.span)
        return self.sample(value, known, frame) if isinstance(value, Applied) else value

    def conditional(self, e: ast.Conditional, scope: Scope) -> Value:
        condition = self.evaluate(e.condition, scope)
        if isinstance(condition, bool):
            return self.evaluate(e.then if condition else e.otherwise, scope)
        if not isinstance(condition, Tensor):
            raise fault("E106", f"a condition is true or false, not {describe(condition)}", e.condition.span)
        values = [condition, self.evaluate(e.then, scope), self.evaluate(e.otherwise, scope)]
        return self.apply(OPS["where"], values, (e.condition.span, e.then.span, e.otherwise.span), e.span)

    def owned_value(self, e: ast.Attribute, scope: Scope) -> Tensor:
        """`enc.dense.W`: a parameter by its path."""
        path = ast.dotted(e)
        name = scope.frame.join(path) if path else ""
        if name not in self.owned:
            raise unknown(path or e.name, e.span, scope, self.definitions, set(self.owned))
        return Tensor(self.graph.var(name), False, self.owned[name].span)

    def subscript(self, e: ast.Subscript, scope: Scope) -> Value:
        target = self.evaluate(e.target, scope)
        indices = [self.index(i, scope) for i in e.indices]
        if isinstance(target, tuple):
            return self.element(target, indices, e)
        t = batch.lift(self.graph, target, self.graph.dtype, e.target.span)
        if len(indices) > len(t.shape):
            raise fault("E205", f"{len(indices)} indices for a value of shape {describe(t)}", e.span)
        axis = 0
        for at, written in zip(indices, e.indices, strict=True):
            t, stays = batch.index(t, axis, at, written.span)
            axis += stays
        return t.at(e.span)

    def index(self, e: ast.Expr, scope: Scope) -> Value:
        if not isinstance(e, ast.Slice):
            return self.evaluate(e, scope)
        return slice(*(self.evaluate(b, scope) if b else None for b in (e.start, e.stop)))

    def element(self, items: tuple[Value, ...], indices: list[Value], e: ast.Subscript) -> Value:
        value: Value = items
        for at, written in zip(indices, e.indices, strict=True):
            try:
                value = value[at]
            except (TypeError, IndexError):
                raise fault("E205", f"there is no element {describe(at)} in {describe(value)}", written.span) from None
        return value

    # ---- pipelines and calls

    def marks(self) -> tuple[int, int, int]:
        """How much there is before a row of the layer table."""
        return len(self.graph), len(self.owned), len(self.rows)

    def record(self, name: str, span: Span, value: Value, marks: tuple[int, int, int], scope: Scope) -> None:
        """One row of the layer table: what was added since `marks` and is in no row yet, for formulas of the model itself."""
        if scope is self.watched and isinstance(value, Tensor):
            shown = {n for row in self.rows[marks[2] :] for n in (*row.nodes, *row.owned)}
            nodes, owned = islice(self.graph.nodes, marks[0], None), islice(self.owned, marks[1], None)
            self.rows.append(Row(name, span, value, tuple(n for n in nodes if n not in shown), tuple(n for n in owned if n not in shown)))

    def call(self, e: ast.Call, scope: Scope) -> Value:
        callee = callee_of(e.callee, scope, self.definitions)
        return self.invoke(callee, [(a, self.evaluate(a.value, scope)) for a in e.arguments], scope, e.span, None)

    def invoke(
        self, callee: Function | Builtin, arguments: list[tuple[ast.Argument, Value]], scope: Scope, span: Span, label: str | None
    ) -> Value:
        """Call with evaluated arguments. A mistake inside the library is reported where the user called it."""
        if isinstance(callee, Function) and callee.kind == "model":
            callee = as_layer(callee)
        if isinstance(callee, Function) and callee.kind == "init" and arguments and not callee.definition.parameters:
            return self.of_shape(callee, arguments, scope, span)
        bound, spans = bind(callee, arguments, span)
        try:
            result = self._invoke(callee, bound, spans, scope, span, label)
        except Fault as error:
            raise blame(error, spans, span) from None
        return result.at(span) if isinstance(result, Tensor) else result

    def _invoke(
        self, callee: Function | Builtin, bound: dict[str, Value], spans: dict[str, Span], scope: Scope, span: Span, label: str | None
    ) -> Value:
        if isinstance(callee, Builtin):
            return batch.attempt(spans, span, lambda: callee.run(self, bound, spans, span, scope))
        if callee.kind not in CALLED_IN_FORMULAS:
            return Applied(callee, bound, span)
        owns = callee.kind == "layer"
        frame = scope.frame.enter(scope.frame.child(callee.name, label), owns=True) if owns else scope.frame
        result = self.run_function(callee, bound, spans, frame, span)
        self.last_name = frame.path if owns else callee.name
        return result

    def run_function(self, f: Function, bound: dict[str, Value], spans: dict[str, Span], frame: Frame, span: Span) -> Value:
        """The value of a definition's body for bound arguments."""
        if len(self.calls) > MAX_CALL_DEPTH:
            raise fault("E502", f"calls are nested deeper than {MAX_CALL_DEPTH}: does `{f.name}` call itself without end?", span)
        if len(self.graph) > MAX_NODES:
            raise fault("E502", f"the spec expands to more than {MAX_NODES:,} operations", span)
        inner = Scope(f.scope, frame, dict(self.always))
        inner.spans.update(spans)
        self.calls.append(f)
        self.fits = self.fits or f.fits
        outer, self.frame = self.frame, frame
        try:
            with self.graph.at(scope=frame.path.replace(".", "/")):
                self._fill(f, bound, inner)
                check_tensors(self, f, inner, span)
                return run_body(self, f, inner, span)
        finally:
            self.calls.pop()
            self.frame = outer

    def _fill(self, f: Function, bound: dict[str, Value], inner: Scope) -> None:
        """Arguments by name; a default is evaluated in the definition, after the parameters before it."""
        extra = {k: v for k, v in bound.items() if k not in {p.name for p in f.definition.parameters}}
        inner.names.update(extra)
        for p in f.definition.parameters:
            if p.name in bound:
                inner.names[p.name] = bound[p.name]
            else:
                assert p.default is not None
                inner.names[p.name] = self.evaluate(p.default, inner)

    def as_kind(self, kind: str, e: ast.Expr, scope: Scope) -> Applied:
        """An init, optimizer or schedule: `adam` or `adam(lr = 1e-3)`, of that kind even where a layer has the same name."""
        callee, written = (e.callee, e.arguments) if isinstance(e, ast.Call) else (e, ())
        name = ast.dotted(callee)
        value = self.meant(kind, name, scope, e.span.source.library) if name else self.evaluate(callee, scope)
        if isinstance(value, Function) and (found := value if value.kind == kind else self.definitions.find(kind, value.name)):
            arguments = [(a, self.evaluate(a.value, scope)) for a in written]
            return Applied(found, bind(found, arguments, e.span)[0], e.span)
        if isinstance(value, Applied) and value.function.kind == kind:
            if callee is not e:
                raise fault("E104", f"`{name}` has its arguments already", e.span, help=f"write `{name}` alone")
            return value
        guess = nearest(value if isinstance(value, str) else name or "", self.definitions.names(kind))
        help_ = f"did you mean `{guess}`?" if guess else f"known are {', '.join(sorted(self.definitions.names(kind)))}"
        if value is None:
            raise fault("E101", f"there is no {kind} `{name}`", callee.span, help=help_)
        raise fault("E106", f"{describe(value)} is not {'a' if kind == 'schedule' else 'an'} {kind}", callee.span, help=help_)

    def meant(self, kind: str, name: str, scope: Scope, library: bool) -> Value:
        """What a name stands for where one of that kind is due: an argument, a `let` that is no plain value, or a definition."""
        try:
            value = scope.names[name] if name in scope.names else scope.find(name, lambda v: isinstance(v, Function | Applied | Poison))
        except KeyError:
            return self.definitions.find(kind, name, library) or self.definitions.meaning(name)
        if value is POISON:
            raise Poisoned
        return value

    @contextmanager
    def recovering(self, span: Span) -> Iterator[None]:
        """Takes the mistake of the statement at `span` and goes on with the next."""
        try:
            yield
        except Fault as error:
            self.diagnostics.append(error.diagnostic)
        except RecursionError:
            self.diagnostics.append(Diagnostic("E502", "this formula is nested too deeply", span))
        except Poisoned:
            pass


def about(left: Value, right: Value, written: ast.Expr) -> bool:
    """`~=`: equal to the digits written."""
    for value in (left, right):
        if not is_number(value):
            raise fault("E106", f"`~=` compares numbers, not {describe(value)}", written.span)
    return bool(abs(left - right) <= half_digit(written))


def half_digit(written: ast.Expr) -> float:
    """Half a unit of the last digit written, and a little for the rounding of both sides."""
    text = written.span.text.strip("() ").replace("_", "").lower()
    mantissa, _, exponent = text.partition("e")
    decimals = len(mantissa.partition(".")[2]) - int(exponent or 0)
    margin = float(f"0.5000001e{-decimals}")
    if margin == inf:
        raise fault("E106", "this number is too large to compare with", written.span)
    return margin


def blame(error: Fault, arguments: Mapping[str, Span], call: Span) -> Fault:
    """A mistake found inside a library definition, moved to the argument it speaks of, or else to the call."""
    d = error.diagnostic
    if d.span and (not d.span.source.library or (d.span.source is call.source and call.start <= d.span.start and d.span.end <= call.end)):
        return error
    word = "kernel" if d.code == "E206" else d.span.text if d.span else ""
    notes = tuple(n for n in d.notes if not n[0].source.library)
    return Fault(replace(d, span=arguments.get(word, call), notes=notes))
