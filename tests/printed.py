"""Reads the formulas of a derivation as a person does: of one example, and `batch_sum` and its like of all of them."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from helpers import distance
from printed_windows import WINDOWS

from nnspec.array import Array
from nnspec.compile import Compilation
from nnspec.derivation.chain import Chain
from nnspec.derivation.numbers import backward, forward
from nnspec.derivation.signs import Plain, Term
from nnspec.derivation.step import LOSS, Step
from nnspec.derivation.values import values_of
from nnspec.run import reference


class _Choice(Plain):
    """The signs of the language, a choice as a call: Python has no `if` that begins with the condition."""

    def choice(self, condition: Term, then: Term, otherwise: Term) -> Term:
        return self.call("where", [condition, then, otherwise])


class Unread(Exception):
    """A formula with a call whose printed arguments do not say all of it."""


@dataclass
class Reader:
    """`values` have a row for each example where they are in `batched`, and one value for all where not."""

    values: Mapping[str, Array]
    batched: frozenset[str]
    examples: int
    sizes: Mapping[str, int]
    names: dict[str, str] = field(default_factory=dict)

    def read(self, formula: str, example: int | None) -> Array:
        """The value of a formula for one example; without one, of what all have in common."""
        if "for t =" in formula or "Σ" in formula:
            raise Unread("all steps of a loop")
        return np.asarray(self._of(ast.parse(self._python(formula), mode="eval").body, example))

    def _python(self, formula: str) -> str:
        for name in sorted(self.values, key=len, reverse=True):
            mark = self.names.setdefault(name, f"value{len(self.names)}_")
            formula = re.sub(rf"(?<![\w∂/.\u0302]){re.escape(name)}(?!(?!ᵀ)[\w.\u0302])", mark, formula)
        while (end := formula.find("ᵀ")) >= 0:
            start = _start(formula, end)
            formula = f"{formula[:start]}transposed({formula[start:end]}){formula[end + 1 :]}"
        return formula.replace("^", "**").replace("= true", "= True")

    def _of(self, node: ast.expr, example: int | None) -> Any:
        match node:
            case ast.Constant(value):
                return np.asarray(float(value))
            case ast.List(elements):
                return np.asarray([self._of(e, example) for e in elements])
            case ast.Name(mark):
                return self._named(mark, example)
            case ast.UnaryOp(ast.USub(), x):
                return -self._of(x, example)
            case ast.BinOp(left, op, right):
                return _infix(type(op).__name__, self._of(left, example), self._of(right, example))
            case ast.Compare(left, [op], [right]):
                return _infix(type(op).__name__, self._of(left, example), self._of(right, example))
            case ast.Subscript(x, place):
                return self._of(x, example)[self._place(place)]
            case ast.Call(ast.Name(function), arguments, keywords):
                more = {k.arg or "": k.value.id if isinstance(k.value, ast.Name) else ast.literal_eval(k.value) for k in keywords}
                return self._called(function, arguments, more, example)
        raise Unread(ast.unparse(node))

    def _named(self, mark: str, example: int | None) -> Array:
        if mark in self.sizes:
            return np.asarray(float(self.sizes[mark]))
        name = next((n for n, m in self.names.items() if m == mark), None)
        if name is None:
            raise Unread(mark)
        if name not in self.batched:
            return self.values[name]
        assert example is not None, f"`{name}` has a value for each example, and what reads it has one for all"
        return np.asarray(self.values[name][example])

    def _place(self, node: ast.expr) -> Any:
        match node:
            case ast.Tuple(parts):
                return tuple(map(self._place, parts))
            case ast.Slice(start, stop):
                return slice(*(self._place(end) if end else None for end in (start, stop)))
        return int(self._of(node, None))

    def _called(self, function: str, arguments: list[ast.expr], more: dict[str, Any], example: int | None) -> Any:
        if over := re.fullmatch("batch_(sum|mean|max|min)", function):
            rows = np.stack([self._of(arguments[0], i) for i in range(self.examples)])
            return getattr(np, over[1])(rows, axis=0)
        if (function == "reshape" and len(arguments) < 2) or function not in CALLS:
            raise Unread(function)
        return CALLS[function](*(self._of(a, example) for a in arguments), **more)


def _start(text: str, end: int) -> int:
    """Where what ends at a place begins: a name, or parentheses."""
    if text[end - 1] != ")":
        return end - len(re.findall(r"\w+(?:\[[^]]*\])*$", text[:end])[0])
    depth, at = 0, end
    while True:
        at -= 1
        depth += (text[at] == ")") - (text[at] == "(")
        if not depth:
            return at


INFIX: dict[str, Callable[..., Any]] = {
    "Add": np.add, "Sub": np.subtract, "Mult": np.multiply, "Div": np.divide, "Pow": np.power, "Mod": np.mod,
    "Gt": np.greater, "Lt": np.less, "GtE": np.greater_equal, "LtE": np.less_equal, "Eq": np.equal, "NotEq": np.not_equal,
}  # fmt: skip


def _infix(sign: str, x: Array, y: Array) -> Array:
    if sign == "MatMult":
        return x @ (y[None] if y.ndim == 1 and x.shape[-1] == 1 else y)
    return np.asarray(INFIX[sign](x, y))


def _over(reduce: Callable[..., Any]) -> Callable[..., Any]:
    def of(x: Array, axis: Any = None, keep: bool = False) -> Any:
        return reduce(x, axis=tuple(axis) if isinstance(axis, list) else axis, keepdims=keep)

    return of


def _most(reduce: Callable[..., Any], pointwise: Callable[..., Any]) -> Callable[..., Any]:
    """`max` and its like: of the elements of one value, or of two values."""
    return lambda x, *other, **more: pointwise(x, *other) if other else _over(reduce)(x, **more)


def _where(condition: Array, then: Array, otherwise: Array) -> Array:
    shape = np.broadcast_shapes(condition.shape, then.shape, otherwise.shape)
    return np.where(condition, np.broadcast_to(then, shape), np.broadcast_to(otherwise, shape))


def _softmax(x: Array, axis: int = -1) -> Array:
    e = np.exp(x - x.max(axis, keepdims=True))
    return np.asarray(e / e.sum(axis, keepdims=True))


def _transposed(x: Array) -> Array:
    """A vector is a row."""
    return x[:, None] if x.ndim == 1 else x.swapaxes(-1, -2)


def _padded(x: Array, axis: Array, before: Array, after: Array) -> Array:
    ends = [(0, 0)] * x.ndim
    ends[int(axis)] = (int(before), int(after))
    return np.pad(x, ends)


CALLS: dict[str, Callable[..., Any]] = WINDOWS | {
    "sum": _over(np.sum), "mean": _over(np.mean), "max": _most(np.max, np.maximum), "min": _most(np.min, np.minimum),
    "tanh": np.tanh, "sqrt": np.sqrt, "exp": np.exp, "log": np.log, "abs": np.abs, "sign": np.sign, "sin": np.sin, "cos": np.cos,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)), "relu": lambda x: np.maximum(x, 0), "softplus": lambda x: np.logaddexp(0, x),
    "softmax": _softmax, "log_softmax": lambda x, axis=-1: np.log(_softmax(x, axis)), "where": _where, "range": np.arange,
    "cumsum": lambda x, axis=-1: np.cumsum(x, axis), "reverse": lambda x, axis=0: np.flip(x, axis),
    "concat": lambda *xs, axis=0: np.concatenate(xs, axis),
    "stack": lambda *xs, axis=0: np.stack(xs, axis),
    "pad_axis": _padded, "squeeze": np.squeeze, "flatten": np.ravel, "reshape": lambda x, shape: x.reshape(shape.astype(int)),
    "expand": lambda x, shape: np.broadcast_to(x, shape.astype(int)),
    "transpose": lambda x, axes: x.transpose(axes.astype(int)), "transposed": _transposed,
}  # fmt: skip


def read_all(spec: Compilation, fields: Mapping[str, Array], weights: Mapping[str, Array]) -> tuple[int, list[str]]:
    """Each formula of all values and derivatives, read and held against its value: how many, and the calls of those left out."""
    values = values_of(spec)
    known = forward(values, {**weights, **fields, "seed": 0, "step": 0})
    found = backward(values, known)
    examples, several = len(next(iter(fields.values()))), known[LOSS].size
    of_each = {n for n, t in values.sources.items() if t.has_batch} | {s.name for s in values.steps if s.type.has_batch}
    shared = {n for n in known if n not in of_each | values.pooled}
    partials = {f"∂{LOSS}/∂{n}": g / several if n in shared else g for n, g in found.items()}
    sizes = {**reference.sizes_of(values.model.ports, fields), "batch": examples}
    batched = frozenset(of_each | {f"∂{LOSS}/∂{n}" for n in of_each})
    reader, chain, left_out = Reader({**known, **partials}, batched, examples, sizes), Chain(values, "", _Choice()), []
    loops = [s for s in values.steps if not isinstance(s, Step)]
    other = {s.name for s in values.steps if isinstance(s, Step) and s.drawn} | {
        n for s in loops for n in (s.name, *s.own, *(c.start.name for c in s.carried))
    }
    rows = [(n, e.right, known[n]) for n, e in chain.formulas() if n not in other]
    derived = [*chain.derivatives(), *((n, chain.derivative(n)) for n in values.sources if n in found)]
    rows += [(f"∂{LOSS}/∂{n}", right, partials[f"∂{LOSS}/∂{n}"]) for n, right in derived if n in found and n not in other]
    for name, formula, expected in rows:
        try:
            _holds(reader, name, formula, expected, mean=name.startswith("∂") and name.partition("∂L/∂")[2] in shared and several > 1)
        except Unread as unread:
            left_out.append(str(unread))
        except Exception as error:
            error.add_note(f"{name} = {formula}")
            raise
    return len(rows) - len(left_out), left_out


def _holds(reader: Reader, name: str, formula: str, expected: Array, *, mean: bool) -> None:
    shape = expected.shape[1:] if name in reader.batched else expected.shape
    examples = range(reader.examples) if name in reader.batched or mean else [None]
    rows = [reader.read(formula, i) for i in examples]
    assert name.startswith("∂") or all(row.shape == shape for row in rows), f"{name} = {formula}: {rows[0].shape} and not {shape}"
    read = np.stack([np.broadcast_to(row, shape) for row in rows])
    read = read.mean(axis=0) if mean else read if name in reader.batched else read[0]
    assert distance(read, expected) < 1e-9, f"{name} = {formula}: {read} and not {expected}"
