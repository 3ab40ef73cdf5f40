"""`test` blocks: what is given, the steps taken, and the conditions that must then hold, as outputs of the model's own graph."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from nnspec.diagnostics import Diagnostic, Fault, Span, fault, meant
from nnspec.elaborate import batch
from nnspec.elaborate.applied import as_kind
from nnspec.elaborate.expand import Elaborator, half_digit
from nnspec.elaborate.library import Definitions
from nnspec.elaborate.lists import flat
from nnspec.elaborate.model import Model
from nnspec.elaborate.primitives import Arguments, make_builtin
from nnspec.elaborate.primitives.derivatives import derivative
from nnspec.elaborate.scope import Scope
from nnspec.elaborate.update import check_optimizer, learning_rate
from nnspec.elaborate.values import Applied, Poisoned, Tensor, Value, describe
from nnspec.graph import Op, Shape, Size, Type
from nnspec.graph.types import bind, show, size_names
from nnspec.ops import OPS
from nnspec.ops.source import value_shape
from nnspec.record import dataclass
from nnspec.syntax import ast

COMPARISONS = ("<", "<=", ">", ">=", "==", "!=", "~=")


@dataclass(frozen=True)
class Given:
    """Values by name, as nested tuples: one example of a port, or a parameter or state of the model itself."""

    values: dict[str, Value]


@dataclass(frozen=True)
class Steps:
    count: int
    optimizer: Applied
    rate: float


@dataclass(frozen=True)
class Condition:
    """One condition: what must be true, and the two sides if it is a comparison."""

    written: ast.Expr
    holds: Tensor
    sides: tuple[Tensor, ...]


@dataclass(frozen=True)
class Test:
    title: str
    block: ast.Test
    actions: tuple[Given | Steps | Condition, ...]


@dataclass(frozen=True)
class Tests:
    """All tests of a spec; `model` is an elaboration of their own, whose graph has what they ask for as outputs."""

    model: Model
    tests: tuple[Test, ...]


def elaborate_tests(blocks: Iterable[ast.Test], model: Model, definitions: Definitions) -> tuple[Tests, list[Diagnostic]]:
    """The tests of a model that is right, with everything that is wrong with them."""
    tests, diagnostics = [], []
    for block in blocks:
        reader = _Reader(model, definitions)
        tests.append(Test(block.title, block, reader.read(block)))
        diagnostics += reader.e.diagnostics
    return Tests(model, tuple(tests)), diagnostics


class _Reader:
    """Reads one test block, statement by statement."""

    def __init__(self, model: Model, definitions: Definitions) -> None:
        self.model, self.definitions = model, definitions
        self.e = _Asker(model, definitions)
        self.file = Scope(model.scope.parent)
        self.scope = Scope(model.scope, model.scope.frame, self._names())
        self.ports = model.ports
        self.examples: dict[str, Shape] = {}
        self.missed: set[str] = set()

    def _names(self) -> dict[str, Value]:
        """What a condition knows besides the formulas of the model: losses and metrics, states as they are stored, and `grad`."""
        graph, taken = self.model.graph, self.model.scope.names
        reports = {public.split(":")[-1]: n for public, n in graph.outputs.items() if public.split(":")[0] in ("loss", "metric")}
        named = {n: Tensor(graph.var(node), False) for n, node in reports.items() if n not in taken}
        own = {n: t for n, t in self.e.stored.items() if n in taken}
        return {**named, **own, "grad": make_builtin("grad(u, x)", _gradient)}

    def read(self, block: ast.Test) -> tuple[Given | Steps | Condition, ...]:
        actions: list[Given | Steps | Condition] = []
        with self.e.recovering(block.span):
            for s in block.statements:
                with self.e.recovering(s.span):
                    actions += self.statement(s)
        return tuple(actions)

    def statement(self, s: ast.Statement) -> Iterable[Given | Steps | Condition]:
        match s:
            case ast.Given():
                return [self.given(s)]
            case ast.Steps():
                return [self.steps(s)]
            case ast.Expect():
                return [self.condition(part) for part in _parts(s.condition)]
            case _:
                raise fault("E108", "a test has `given`, `steps` and `expect` only", s.span)

    # ---- given

    def given(self, s: ast.Given) -> Given:
        """What is given; where that is wrong, nothing is said to be missing."""
        try:
            values = {}
            for a in s.values:
                assert a.name
                values[a.name] = self.value(a.name, a)
            self.check_sizes(s)
        except (Fault, Poisoned):
            self.missed |= self.ports.keys()
            raise
        return Given(values)

    def value(self, name: str, a: ast.Argument) -> Value:
        type = self.type_of(name, a)
        value = batch.numbers(self.e.constant(a.value, self.file), a.value.span)
        shape = value_shape(value)
        if not (len(shape) == len(type.shape) and all(map(_fits, shape, type.shape))):
            help_ = "a test gives one example, without a batch" if len(shape) > len(type.shape) else ""
            raise fault("E208", f"`{name}` is {show(type.shape)} and is given {show(shape)}", a.value.span, help=help_)
        for number in flat(value):
            _check_element(name, type, number, a)
        self.examples |= {name: shape} if name in self.ports else {}
        return value

    def type_of(self, name: str, a: ast.Argument) -> Type:
        """The type of one example, or of a parameter or state."""
        if name in self.ports:
            port = self.ports[name]
            return Type(port.dtype, port.shape[1:], port.classes)
        if name in self.model.owned:
            return self.model.owned[name].type
        known = [*self.ports, *(n for n in self.model.owned if "." not in n)]
        message = f"the model has no input, target, parameter or state `{name}` to give"
        raise fault("E101", message, a.name_span, **meant(name, known, a.name_span, f"it has {', '.join(known)}"))

    def check_sizes(self, s: ast.Given) -> None:
        """A size known at run time is the same wherever it recurs."""
        found: dict[str, tuple[int, str]] = {}
        for name, shape in self.examples.items():
            for dim, length in zip(self.ports[name].shape[1:], shape, strict=True):
                first, where = found.setdefault(str(dim), (int(str(length)), name))
                if isinstance(dim, Size) and first != length:
                    raise fault("E208", f"`{dim}` is {first} in `{where}` and {length} in `{name}`", s.span)
        self.e.sizes = {name: length for name, (length, _) in found.items()}

    # ---- steps

    def steps(self, s: ast.Steps) -> Steps:
        count = self.e.evaluate(s.count, self.file)
        if not isinstance(count, int) or isinstance(count, bool) or count < 1:
            raise fault("E106", f"expected a whole number of steps from 1, got {describe(count)}", s.count.span)
        optimizer = as_kind(self.e, "optimizer", s.optimizer, self.file)
        rate = learning_rate(optimizer, self.e)
        check_optimizer(self.definitions, optimizer)
        self.model.needs_loss("there are no steps to take", s.span)
        self.check_given(self.model.graph.outputs["loss"], "a step", s)
        return Steps(count, optimizer, rate)

    # ---- conditions

    def condition(self, written: ast.Expr) -> Condition:
        holds = self.asked(written)
        if holds.dtype != "bool":
            raise fault("E106", f"an expectation is true or false, not {describe(holds)}", written.span)
        self.check_given(holds.var.name, f"`{written.span.text}`", written)
        compared = isinstance(written, ast.Binary) and written.operator in COMPARISONS
        sides = tuple(self.asked(e) for e in (written.left, written.right)) if isinstance(written, ast.Binary) and compared else ()
        if any(t.var.type.rank > holds.var.type.rank for t in sides):
            sides = ()  # lists that were compared when the spec was compiled
        self.model.graph.outputs |= {t.var.name: t.var.name for t in (holds, *sides)}
        return Condition(written, holds, sides)

    def asked(self, e: ast.Expr) -> Tensor:
        tensor = batch.lift(self.model.graph, self.e.sized(self.e.evaluate(e, self.scope), e.span), self.model.graph.dtype, e.span)
        if self.e.owned:
            raise fault("E108", "a test asks about the model, and makes no layers of its own", e.span)
        return tensor

    def check_given(self, node: str, what: str, place: ast.Tree) -> None:
        """Every input and target that a value needs is given; which is not is said once."""
        missing = sorted(self.model.graph.needed([node]) & set(self.ports) - set(self.examples))
        if missing and self.missed.issuperset(missing):
            raise Poisoned
        if missing:
            self.missed |= {*missing}
            names, are = " and ".join(f"`{n}`" for n in missing), "is" if len(missing) == 1 else "are"
            help_ = f"write `given {', '.join(f'{n} = ..' for n in missing)}`"
            raise fault("E103", f"{what} needs {names}, which {are} not given", place.span, help=help_)


class _Asker(Elaborator):
    """Evaluates conditions over a model: `stored` are its parameters and states by public name, `sizes` those of the example."""

    def __init__(self, model: Model, definitions: Definitions) -> None:
        super().__init__(model.graph, definitions, training=False)
        self.stored = {n: Tensor(model.graph.var(n), False) for n in model.owned}
        self.sizes: dict[str, int] = {}

    def _evaluate(self, e: ast.Expr, scope: Scope) -> Value:
        if isinstance(e, ast.Attribute) and ast.dotted(e) in self.stored:
            return self.stored[ast.dotted(e) or ""]
        return super()._evaluate(e, scope)

    def paths(self) -> dict[str, Span | None]:
        return {name: self.graph[name].span for name in self.stored}

    def apply(self, op: Op, values: list[Value], spans: Sequence[Span], span: Span) -> Value:
        """Lists are tensors: there is a network to compute with them."""
        if op.name in ("equal", "not_equal"):
            return super().apply(op, values, spans, span)
        lifted = (batch.lift(self.graph, v, self.graph.dtype, s) if isinstance(v, tuple) else v for v, s in zip(values, spans, strict=True))
        return super().apply(op, list(lifted), spans, span)

    def operate(self, e: ast.Binary, left: Value, right: Value) -> Value:
        if e.operator in COMPARISONS:
            left, right = self.sized(left, e.left.span), self.sized(right, e.right.span)
        if e.operator != "~=":
            return super().operate(e, left, right)
        margin = _margin(e.right)
        t = batch.lift(self.graph, left, self.graph.dtype, e.left.span)
        if isinstance(right, tuple) and value_shape(batch.numbers(right, e.right.span)) != t.shape:
            raise fault("E201", f"{show(t.shape)} is compared with a list of another shape", e.span)
        t = batch.as_dtype(t, self.graph.dtype)
        spans = (e.left.span, e.right.span)
        distance = self.apply(OPS["abs"], [self.apply(OPS["sub"], [t, right], spans, e.span)], [e.span], e.span)
        return self.apply(OPS["less_equal"], [distance, margin], [e.span, e.right.span], e.span)

    def sized(self, value: Value, span: Span) -> Value:
        """With the sizes of the example that is given instead of open ones."""
        unknown = size_names(value.shape if isinstance(value, Tensor) else value) - set(self.sizes)
        if isinstance(value, Tensor):
            return value if unknown else self.whole(value, span)
        if unknown:
            raise fault("E103", f"`{span.text}` is {describe(value)}, and no example that is given says how much that is", span)
        return bind(value, self.sizes)

    def whole(self, t: Tensor, span: Span) -> Tensor:
        """All of each axis, as long as it is in the example that is given."""
        for axis, size in enumerate(t.shape):
            if isinstance(size, Size):
                t, _ = batch.index(t, axis, slice(0, size.bind(self.sizes)), span)
        return t


def _gradient(a: Arguments) -> Value:
    u, x = (a.bound[n] for n in ("u", "x"))
    for name, t in (("u", u), ("x", x)):
        if not isinstance(t, Tensor) or not t.var.type.is_float:
            raise fault("E106", f"a gradient is of a value of the model with respect to another, not {describe(t)}", a.at(name))
    return derivative(a, u, x)


def _parts(e: ast.Expr) -> tuple[ast.Expr, ...]:
    """The conditions that `and` joins."""
    return (*_parts(e.left), *_parts(e.right)) if isinstance(e, ast.Binary) and e.operator == "and" else (e,)


def _margin(written: ast.Expr) -> Value:
    """How far a value may be from a number as it is written; for a list, from each of its numbers."""
    match written:
        case ast.List():
            return tuple(map(_margin, written.items))
        case ast.Number() | ast.Unary(operator="-", operand=ast.Number()):
            return half_digit(written)
    raise fault("E106", "`~=` compares with the digits written, so its right side is a number or a list of numbers", written.span)


def _fits(length: object, dim: object) -> bool:
    return isinstance(dim, Size) or length == dim


def _check_element(name: str, type: Type, number: float, a: ast.Argument) -> None:
    if type.classes and not (number.is_integer() and 0 <= number < type.classes):
        raise fault("E305", f"`{name}` is a class from 0 to {type.classes - 1}, not {describe(number)}", a.value.span)
    if type.dtype == "bool" and number not in (0, 1):
        raise fault("E106", f"`{name}` is true or false, not {describe(number)}", a.value.span)
    if not type.is_float and not number.is_integer():
        raise fault("E106", f"`{name}` holds whole numbers, not {describe(number)}", a.value.span)
