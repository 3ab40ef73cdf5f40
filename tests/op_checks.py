"""What a row of the catalogue can be checked against, made from its examples: differences, onnxruntime, its prepared form."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from nnspec.array import Array
from nnspec.autodiff import gradients
from nnspec.deploy import distance
from nnspec.graph import Graph, Op, Type, Var
from nnspec.interchange.to_onnx import DEFAULT_OPSET, to_onnx
from nnspec.lazy import real
from nnspec.ops import OPS
from nnspec.run import reference
from nnspec.run.ort import Session
from nnspec.syntax import ast
from nnspec.syntax.parser import parse_expression

EPS, RTOL, ATOL = 1e-5, 1e-6, 1e-8
SAMPLES = 20
KINK_DISTANCE = 1e-3
CLOSE = {"float32": 1e-5, "float64": 1e-13}


@dataclass(frozen=True)
class Case:
    """One example of a row: values of the inputs, attributes, and what comes out, right to `tolerance`."""

    row: Op
    inputs: tuple[Any, ...]
    attrs: dict[str, Any]
    expected: Any
    tolerance: float = 0.0

    def arrays(self, dtype: str) -> dict[str, Array]:
        declared = self.row.declared(len(self.inputs))
        names = [f"{p.name}_{i}" if self.row.variadic else p.name for i, p in enumerate(declared)]
        return {n: _array(v, p.type.base, dtype) for n, p, v in zip(names, declared, self.inputs, strict=True)}

    def attributes(self, dtype: str) -> dict[str, Any]:
        """The attributes as for a model of this dtype."""
        return {k: dtype if v == "float32" else v for k, v in self.attrs.items()}

    def graph(self, feeds: dict[str, Array], dtype: str) -> tuple[Graph, Var]:
        graph = Graph(dtype=dtype)
        inputs = [graph.source(OPS["input"], n, Type(str(a.dtype), a.shape)) for n, a in feeds.items()]
        out = graph.call(self.row, *inputs, **self.attributes(dtype))
        graph.outputs["out"] = out.name
        return graph, out


def _array(value: Any, base: str, dtype: str) -> Array:
    array = np.asarray(value)
    return array if array.dtype == bool else array.astype("int64" if base == "int" else dtype)


def literal(e: Any) -> Any:
    """A value as examples write it; bare names are strings."""
    if isinstance(e, ast.List):
        return tuple(map(literal, e.items))
    if isinstance(e, ast.Unary):
        return -literal(e.operand)
    return e.id if isinstance(e, ast.Name) else e.value


def case(row: Op, example: str) -> Case:
    said = parse_expression(example)
    assert said.operator in ("==", "~=") and said.left.callee.id == row.name, example
    inputs = tuple(literal(a.value) for a in said.left.arguments if a.name is None)
    attrs = {a.name: literal(a.value) for a in said.left.arguments if a.name}
    digits = max((len(d) for d in re.findall(r"\.(\d+)", said.right.span.text)), default=0)
    return Case(row, inputs, attrs, literal(said.right), 0.5 * 10.0**-digits if said.operator == "~=" else 0.0)


def cases(row: Op) -> list[Case]:
    return [case(row, e) for e in row.examples]


def broadcast_case(row: Op) -> Case:
    shapes = ((2, 3), (3,), (2, 1))
    bases = [p.type.base for p in row.declared(len(row.inputs))]
    return Case(row, tuple(np.ones(s, bool if b == "bool" else float) for b, s in zip(bases, shapes, strict=False)), {}, None)


def drawn(c: Case, rng: np.random.Generator, dtype: str = "float64") -> dict[str, Array]:
    """Random floats from the domain; what chooses, and all without a gradient, is the example's own, scaled: it fits together."""
    low, high = c.row.domain
    scale = rng.uniform(0.5, 2.0)

    def draw(name: str, a: Array) -> Array:
        if a.dtype.kind != "f":
            return a
        keeps = name in c.row.choosing or not c.row.grad
        return np.asarray(a * scale if keeps else rng.uniform(low, high, a.shape), dtype)

    return {name: draw(name, a) for name, a in c.arrays(dtype).items()}


def slopes_of(c: Case, feeds: dict[str, Array]) -> list[str]:
    """The inputs that a row can be differentiated for."""
    return [n for n, a in feeds.items() if a.dtype.kind == "f" and n not in c.row.choosing]


# ---- gradients against differences


def differences(f: Callable[[], float], x: Array, step: float) -> Iterator[tuple[float, float]]:
    """For each element of x the slope of f to its right and to its left."""
    middle = f()
    for index in np.ndindex(x.shape):
        before = x[index]
        x[index] = before + step
        right = f()
        x[index] = before - step
        left = f()
        x[index] = before
        yield (right - middle) / step, (middle - left) / step


def check_gradient(graph: Graph, of: Var, wrt: list[str], feeds: dict[str, Array], smooth: bool) -> bool:
    """Asserts the gradient of the sum of a node; False when the point is too near to a kink to tell."""
    graph.outputs = {"value": of.name} | {w: g.name for w, g in zip(wrt, gradients(graph, of.name, wrt), strict=True)}
    found = reference.run(graph, feeds, wrt)

    def value() -> float:
        return float(np.sum(reference.run(graph, feeds, ["value"])["value"]))

    for w in wrt:
        slopes = differences(value, feeds[w], KINK_DISTANCE)
        if not smooth and not all(abs(right - left) <= 1e-6 * (1 + abs(left)) for right, left in slopes):
            return False
    for w in wrt:
        numeric = np.reshape([(right + left) / 2 for right, left in differences(value, feeds[w], EPS)], feeds[w].shape)
        np.testing.assert_allclose(found[w], numeric, RTOL, ATOL, err_msg=f"gradient of {w} at {feeds}")
    return True


def first_order(c: Case, feeds: dict[str, Array], rng: np.random.Generator) -> tuple[Graph, Var, list[str]]:
    """out times random numbers, and the inputs it can be differentiated for."""
    graph, out = c.graph(feeds, "float64")
    wrt = slopes_of(c, feeds)
    feeds["cotangent"] = rng.normal(size=out.type.shape)  # type: ignore[arg-type]  # no run-time sizes here
    scaled = out * graph.source(OPS["input"], "cotangent", out.type)
    return graph, scaled, wrt


def second_order(c: Case, feeds: dict[str, Array], rng: np.random.Generator) -> tuple[Graph, Var, list[str]]:
    """The sum of all first gradients, each times random numbers."""
    graph, scaled, wrt = first_order(c, feeds, rng)
    total = graph.constant(0.0)
    for gradient in gradients(graph, scaled.name, wrt):
        weights = graph.constant(_nested(rng.normal(size=gradient.type.shape)))  # type: ignore[arg-type]  # no run-time sizes here
        total = total + OPS["sum"](gradient * weights, axes=tuple(range(gradient.type.rank)), keep=False)
    return graph, total, wrt


def _nested(a: Any) -> Any:
    return tuple(map(_nested, a)) if np.ndim(a) else float(a)


def check_gradients(c: Case, order: Any, samples: int) -> None:
    rng = np.random.default_rng(0)
    for _ in range(samples):
        for _ in range(100):
            feeds = drawn(c, rng)
            graph, of, wrt = order(c, feeds, rng)
            if check_gradient(graph, of, wrt, feeds, c.row.smooth):
                break
        else:
            pytest.fail(f"{c.row.name} is nowhere smooth")


def differentiable(row: Op) -> list[Case]:
    """The examples of a row with a float to differentiate for and a float that comes out."""
    return [c for c in cases(row) if _is_float_to_float(c)]


def _is_float_to_float(c: Case) -> bool:
    feeds = c.arrays("float64")
    return any(a.dtype.kind == "f" for a in feeds.values()) and c.graph(feeds, "float64")[1].type.is_float


# ---- engines against the kernel


def check_engine(c: Case, optimise: bool = True, opset: int = DEFAULT_OPSET, dtype: str = "float32") -> None:
    """onnxruntime agrees with the kernel, and where there is a gradient, with that."""
    feeds = drawn(c, np.random.default_rng(0), dtype)
    graph, out = c.graph(feeds, dtype)
    wrt = slopes_of(c, feeds) if c.row.grad and out.type.is_float else []
    graph.outputs |= {f"grad:{w}": g.name for w, g in zip(wrt, gradients(graph, out.name, wrt), strict=True)}
    expected = reference.run(graph, feeds)
    got = Session(to_onnx(graph, {}, opset=opset).SerializeToString(), optimise=optimise).run(feeds)
    for name, value in expected.items():
        assert got[name].dtype == value.dtype
        assert distance(got[name], value) <= CLOSE[dtype], f"{name} of {c.row.name}: {got[name]} instead of {value}, at {feeds}"


def prepared(row: Op, out: Array, inputs: list[Array], attrs: dict[str, Any]) -> Callable[[], Any]:
    if row.prepare:
        return row.prepare(out, *inputs, **attrs)
    return lambda: real(row.kernel)(*inputs, out=out, **attrs)


def check_prepared(c: Case, layout: Callable[[Array], Array]) -> None:
    """Twice into the same memory, with other numbers in the same buffers."""
    rng, attrs = np.random.default_rng(0), c.attributes("float32")
    first = drawn(c, rng, "float32")
    buffers = [layout(a) for a in first.values()]
    expected = np.asarray(c.row.kernel(*buffers, **attrs))
    out = np.empty_like(expected, order="C")
    out.fill(7)
    run = prepared(c.row, out, buffers, attrs)
    for values in (first, drawn(c, rng, "float32")):
        for buffer, value in zip(buffers, values.values(), strict=True):
            np.copyto(buffer, value)
        run()
        assert distance(out, np.asarray(c.row.kernel(*buffers, **attrs))) <= 1e-5, f"{c.row.name}: {out} at {values}"


def check_in_place(c: Case, name: str) -> None:
    """The output in the memory of one input, where their types are the same."""
    feeds, attrs = drawn(c, np.random.default_rng(0), "float32"), c.attributes("float32")
    value, out = np.asarray(c.row.kernel(*feeds.values(), **attrs)), feeds[name]
    if (out.shape, out.dtype) == (value.shape, value.dtype):
        expected = np.empty_like(value)
        prepared(c.row, expected, list(feeds.values()), attrs)()
        prepared(c.row, out, list(feeds.values()), attrs)()
        np.testing.assert_array_equal(out, expected)


def backwards(a: Array) -> Array:
    """The same numbers in the memory order of the transpose."""
    return np.array(a, order="F", ndmin=a.ndim)
