"""Expressions to values: names looked up, calls expanded, tensor formulas added to the graph."""

from __future__ import annotations

from collections.abc import Sequence, Set
from itertools import islice
from math import inf
from typing import TYPE_CHECKING

from nnspec.diagnostics import Fault, Span, fault
from nnspec.elaborate import batch, lists
from nnspec.elaborate.applied import SPREAD, sample
from nnspec.elaborate.calls import PLAIN, Calls
from nnspec.elaborate.folding import folded, is_constant
from nnspec.elaborate.names import unknown, value_of
from nnspec.elaborate.pipelines import pipe
from nnspec.elaborate.scope import Scope
from nnspec.elaborate.statements import run_body
from nnspec.elaborate.values import Applied, Poisoned, Tensor, Unsized, Value, describe, is_dim, is_number
from nnspec.graph import Dim, Op, Size, Var
from nnspec.lazy import Module
from nnspec.ops import OPS
from nnspec.ops.operators import BINARY, UNARY
from nnspec.syntax import ast
from nnspec.syntax.commas import part_of_number

if TYPE_CHECKING:
    from nnspec.elaborate import scan
    from nnspec.elaborate.scan import OneStep
else:
    scan = Module("nnspec.elaborate.scan")

MAX_BITS = 63
TOO_LARGE = "this number is too large for the graph"
ABOUT_IS_EXPECTED = "it belongs to `expect`; how near values of a model are, a formula says as `abs(x - y) < 0.01`"
OF_SIZES = ("add", "sub", "mul", "neg")
"""What makes sizes of sizes."""
SIGNS = {op: sign for sign, op in BINARY.items()}


class Elaborator(Calls):
    """Turns the formulas of one spec into one graph: for training, for fitting states to a whole data set, or for inference."""

    run_body = run_body

    def formula(self, e: ast.Expr, scope: Scope) -> Value:
        """The value that a statement gives a name."""
        return self.evaluate(e, scope)

    def constant(self, e: ast.Expr, scope: Scope) -> Value:
        """The value of a formula; computed from numbers alone it is numbers, and leaves nothing in the graph."""
        nodes = len(self.graph)
        computed = self.evaluate(e, scope)
        value = folded(computed)
        if value is not computed and is_constant(value):
            self.graph.discard({*islice(self.graph.nodes, nodes, None)})
        return value

    def evaluate(self, e: ast.Expr, scope: Scope) -> Value:
        match e:
            case ast.Name():
                return value_of(e, scope, self.definitions)
            case ast.Number():
                if e.value == inf:
                    raise fault("E107", TOO_LARGE, e.span)
                if mistake := part_of_number("E104", e.span):
                    raise Fault(mistake)
                return e.value
            case ast.String() | ast.Boolean():
                return e.value
        with self.at(e.span):
            return self._evaluate(e, scope)

    def _evaluate(self, e: ast.Expr, scope: Scope) -> Value:
        match e:
            case ast.Call():
                return self.call(e, scope)
            case ast.Binary():
                return self.binary(e, scope)
            case ast.List():
                return tuple(self.evaluate(i, scope) for i in e.items)
            case ast.Unary():
                return self.apply(OPS[UNARY[e.operator]], [self.evaluate(e.operand, scope)], [e.operand.span], e.span)
            case ast.Conditional():
                return self.conditional(e, scope)
            case ast.Pipe():
                return pipe(self, e, scope)
            case ast.Subscript():
                return self.subscript(e, scope)
            case ast.Attribute():
                return self.owned_value(e, scope)
            case ast.Scan():
                return scan.scan(self, e, scope)
            case _:
                raise fault("E106", "this is not a value here", e.span)

    def repeat(self, step: OneStep, length: Dim, drawn: Set[str]) -> list[Var]:
        """The sequences that a `scan` yields."""
        return step.closed(length, drawn)

    def binary(self, e: ast.Binary, scope: Scope) -> Value:
        """A chain of operators, from the left; as a loop, so that a long sum is no deep recursion."""
        chain: list[ast.Binary] = [e]
        while isinstance(chain[-1].left, ast.Binary):
            chain.append(chain[-1].left)
        value = self.evaluate(chain[-1].left, scope)
        for link in reversed(chain):
            with self.at(link.span):
                value = self.operate(link, value, self.evaluate(link.right, scope))
        return value

    def operate(self, e: ast.Binary, left: Value, right: Value) -> Value:
        """What an operator makes of the values of its sides."""
        spans = (e.left.span, e.right.span)
        if e.operator == "~=":
            return about(folded(left), folded(right), e)
        if e.operator == "@":
            left, right = self.sized_for_product(left, right)
            x, y = (batch.lift(self.graph, v, self.graph.dtype, s) for v, s in zip((left, right), spans, strict=True))
            return batch.matmul(self.graph, x, y, spans, e.span)
        return self.apply(OPS[BINARY[e.operator]], [left, right], spans, e.span)

    @staticmethod
    def sized_for_product(left: Value, right: Value) -> tuple[Value, Value]:
        """A parameter with an open size beside `@`: its rows are as many as the other side's columns, or the other way round."""
        if isinstance(right, Unsized) and isinstance(left, Tensor) and left.shape:
            right = right.with_dims((left.shape[-1], *right.dims[-1:]))
        if isinstance(left, Unsized) and isinstance(right, Tensor) and len(right.shape) > 1:
            left = left.with_dims((right.shape[-2],))
        return left, right

    def apply(self, op: Op, values: list[Value], spans: Sequence[Span], span: Span) -> Value:
        """A pointwise op: on numbers at once, on tensors as a node."""
        tensor = None
        for value, at in zip(values, spans, strict=True):
            if isinstance(value, Tensor):
                tensor = tensor or value
            elif isinstance(value, tuple) and any(isinstance(v, Tensor) for v in value):
                raise fault("E106", "this is a list of branches, not one value", at, help="join them: `-> concat`, `-> add` or `-> stack`")
        values = [v if type(v) in PLAIN or isinstance(v, Tensor) else self._beside(v, tensor) for v in values]
        if tensor is None:
            return self.on_numbers(op, values, spans, span)
        return batch.pointwise(self.graph, op, values, spans, span)

    def _beside(self, value: Value, tensor: Tensor | None) -> Value:
        """What waits for the shape of the tensor that it meets: a parameter with an open size, or an init."""
        if isinstance(value, Unsized) and tensor:
            return value.with_dims(tensor.shape)
        return self.draw(value, tensor) if isinstance(value, Applied) and value.function.kind == "init" else value

    def on_numbers(self, op: Op, values: list[Value], spans: Sequence[Span], span: Span) -> Value:
        if op.name in ("equal", "not_equal") and not lists.is_list_beside_number(values):
            return (values[0] == values[1]) == (op.name == "equal")
        if lists.are_numbers(values):
            return lists.elementwise(values, lambda row: self.on_numbers(op, row, spans, span), span)
        if lists.with_sizes(values):
            if op.name in OF_SIZES and all(map(is_dim, lists.flat(tuple(values)))):
                return lists.elementwise(values, lambda row: self.on_numbers(op, row, spans, span), span)
            return batch.pointwise(self.graph, op, values, spans, span)
        for value, at in zip(values, spans, strict=True):
            if type(value) not in PLAIN and not is_dim(value):
                if at.source.library:  # whose signs the user has not written
                    raise fault("E106", f"expected a number, got {describe(value)}", at)
                raise fault("E106", f"`{SIGNS.get(op.name, op.name)}` takes numbers or tensors, not {describe(value)}", at)
        try:
            if any(isinstance(v, Size) for v in values):
                return self.on_sizes(op, values, span)
            return self.number(op, values, span)
        except ZeroDivisionError:
            raise fault("E107", "this divides by zero", span) from None
        except OverflowError:
            raise fault("E107", TOO_LARGE, span) from None
        except (ArithmeticError, ValueError):
            message = f"`{SIGNS.get(op.name, op.name)}` has no value for {' and '.join(map(describe, values))}"
            raise fault("E107", message, span) from None

    def number(self, op: Op, values: list[Value], span: Span) -> Value:
        """The op on plain numbers; a quotient of whole numbers that is whole can be a size."""
        whole = all(isinstance(v, int) for v in values)
        if whole and op.name == "pow" and values[1] * abs(values[0]).bit_length() > 2 * MAX_BITS:
            raise fault("E107", "this power is too large to be a number of the graph", span)
        if whole and op.name == "div" and values[0] % values[1] == 0:
            return values[0] // values[1]
        result = op.on_numbers(*values)
        if isinstance(result, int) and result.bit_length() > MAX_BITS:
            raise fault("E107", TOO_LARGE, span)
        if isinstance(result, complex):  # a root of a number below 0
            raise ValueError
        return result

    def on_sizes(self, op: Op, values: list[Value], span: Span) -> Value:
        """Sizes add, subtract and multiply as sizes; anything else makes a number of the graph."""
        if op.name in OF_SIZES and all(is_dim(v) for v in values):
            return op.on_numbers(*values)
        return batch.pointwise(self.graph, op, values, [span] * len(values), span)

    def draw(self, applied: Applied, like: Tensor | None) -> Value:
        """A random value in a formula: drawn anew each step, shaped like the tensor it meets."""
        if like is None:
            in_init = bool(self.calls) and self.calls[-1].kind == "init"
            help_ = SPREAD if in_init else f"write `(0 * x + {applied.span.text})`, x being a tensor of the shape that it is to have"
            raise fault("E106", f"`{applied.name}` needs a tensor beside it, whose shape it takes", applied.span, help=help_)
        return sample(self, applied, {"shape": like}, self.frame)

    def conditional(self, e: ast.Conditional, scope: Scope) -> Value:
        condition = self.evaluate(e.condition, scope)
        if isinstance(condition, bool):
            return self.evaluate(e.then if condition else e.otherwise, scope)
        if not isinstance(condition, Tensor) and not lists.are_truths(condition):
            raise fault("E106", f"a condition is true or false, not {describe(condition)}", e.condition.span)
        values = [condition, self.evaluate(e.then, scope), self.evaluate(e.otherwise, scope)]
        return self.apply(OPS["where"], values, (e.condition.span, e.then.span, e.otherwise.span), e.span)

    def paths(self) -> dict[str, Span | None]:
        """The public names of what has been declared so far, and the user's lines that made it."""
        return {name: self.graph[name].span for name in self.owned}

    def owned_value(self, e: ast.Attribute, scope: Scope) -> Tensor:
        """`enc.dense.W`: a parameter by its path."""
        self.graph.depends_on_all()
        path = ast.dotted(e)
        name, head = scope.frame.join(path) if path else "", path.split(".")[0] if path else ""
        if not self.complete and (name not in self.owned or head not in scope.all_names()):
            raise Poisoned  # the layer may be in a statement that is lost, and layers are counted: `dense_2`
        if name not in self.owned:
            if head in self.unused:
                help_ = "write this after its first use, which makes its parameters"
                raise fault("E101", f"`{head}` has no parameters yet", e.span, help=help_)
            raise unknown(path or e.name, e.span, scope, self.definitions, self.paths())
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
            _known_number(at, written, e.target)
            t, stays = batch.index(t, axis, at, written.span)
            axis += stays
        return t.at(e.span)

    def index(self, e: ast.Expr, scope: Scope) -> Value:
        if not isinstance(e, ast.Slice):
            return self.evaluate(e, scope)
        return slice(*(self.evaluate(b, scope) if b else None for b in (e.start, e.stop)))

    def element(self, value: Value, indices: list[Value], e: ast.Subscript) -> Value:
        """What the last of the indices, as many as are left, mean in a list; of each of several rows, after a slice."""
        if not indices:
            return value
        at, written = indices[0], e.indices[-len(indices)]
        _known_number(at, written, e.target)
        if isinstance(at, slice) and any(isinstance(bound, Size) for bound in (at.start, at.stop)):
            help_ = "a parameter or an input can be cut by it"
            raise fault(
                "E205",
                f"numbers that are written out are not cut by `{written.span.text}`, which shows at run time",
                written.span,
                help=help_,
            )
        try:
            found = value[at]
        except (TypeError, IndexError):
            raise fault("E205", f"there is no element {describe(at)} in {describe(value)}", written.span) from None
        if isinstance(at, slice):
            return tuple(self.element(row, indices[1:], e) for row in found)
        return self.element(found, indices[1:], e)


def _known_number(at: Value, written: ast.Expr, target: ast.Expr) -> None:
    """An index is no value of the model."""
    if isinstance(at, Tensor):
        of, number = batch.short(target.span) or "x", batch.short(written.span) or "i"
        help_ = f"`take({of}, {number})` takes rows by numbers that are computed, `pick({of}, {number})` an element of the last axis"
        raise fault("E205", f"an index is known when the spec is compiled, and this is {describe(at)}", written.span, help=help_)


def about(left: Value, right: Value, written: ast.Binary) -> bool:
    """`~=`: equal to the digits written."""
    for value in (left, right):
        if not is_number(value):
            help_ = ABOUT_IS_EXPECTED if isinstance(value, Tensor) else ""
            raise fault("E106", f"`~=` compares numbers, not {describe(value)}", written.right.span, help=help_)
    return bool(abs(left - right) <= half_digit(written.right))


def half_digit(written: ast.Expr) -> float:
    """Half a unit of the last digit written, and a little for the rounding of both sides."""
    text = written.span.text.strip("() ").replace("_", "").lower()
    mantissa, _, exponent = text.partition("e")
    decimals = len(mantissa.partition(".")[2]) - int(exponent or 0)
    return float(f"0.5000001e{-decimals}")
