"""ONNX's own tests of its operators, through import, the definition and the numpy engine; `conformance.toml` says which, and why not."""

from __future__ import annotations

import tomllib
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import onnx
from helpers import ROOT
from onnx import numpy_helper
from onnx.backend.test.case.test_case import TestCase

from nnspec.array import Array
from nnspec.diagnostics import Fault
from nnspec.interchange.from_onnx import Imported, import_graph
from nnspec.run import reference
from nnspec.run.program import Program

ELEMENTS = {onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE, onnx.TensorProto.INT64, onnx.TensorProto.BOOL}
CLOSE = {"float32": 1e-5, "float64": 1e-7}
TABLE = tomllib.loads((ROOT / "tests" / "conformance.toml").read_text("utf-8"))
FAMILY = {op: family for family, ops in TABLE["families"].items() for op in ops}
EXPANDED = "_expanded"


@dataclass(frozen=True)
class Case:
    """One of ONNX's cases; an expanded one says an operator by others. `operator` is the one that it is about."""

    given: TestCase
    operator: str

    @property
    def name(self) -> str:
        return str(self.given.name)

    @property
    def expanded(self) -> bool:
        return EXPANDED in self.name

    @property
    def reason(self) -> str:
        """Why it is left out; nothing where it is not."""
        excluded = TABLE["excluded"]
        return excluded["cases"].get(self.name.split(EXPANDED)[0]) or excluded["operators"].get(self.operator, "")


@cache
def cases() -> list[Case]:
    """All whose inputs and outputs are of the kinds that are computed with."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from onnx.backend.test.loader import load_model_tests

        found = load_model_tests(kind="node")
    operators = {c.name: c.model.graph.node[0].op_type for c in found if EXPANDED not in c.name}
    return [Case(c, operators.get(c.name.split(EXPANDED)[0], "")) for c in found if _elements(c.model.graph) <= ELEMENTS]


def _elements(graph: onnx.GraphProto) -> set[Any]:
    ports = [*graph.input, *graph.output]
    return {p.type.tensor_type.elem_type if p.type.WhichOneof("value") == "tensor_type" else None for p in ports}


def family(name: str) -> list[Case]:
    return [c for c in cases() if FAMILY.get(c.operator) == name and not c.reason]


def failures(chosen: Iterable[Case]) -> list[str]:
    """What is wrong with each case that does not pass."""
    return [f"{c.name}: {message}" for c in chosen if (message := failure(c))]


def failure(case: Case) -> str:
    """What is wrong with a case; nothing where all is right."""
    for inputs, outputs in case.given.data_sets:
        values = _fed(case, inputs)
        try:
            imported = imported_with(case.given.model, values)
        except Fault as error:
            return f"{error.diagnostic.code} {error.diagnostic.message}"
        feeds = {name: values[name] for name in imported.inputs}
        for engine in (defined, computed):
            got = engine(imported, feeds)
            for port, expected in zip(case.given.model.graph.output, outputs, strict=True):
                if message := _difference(case, got[f"output:{port.name}"], _array(expected)):
                    return f"{engine.__name__} {port.name}: {message}"
    return ""


def _fed(case: Case, inputs: Iterable[Any]) -> dict[str, Array]:
    return {p.name: _array(v) for p, v in zip(case.given.model.graph.input, inputs, strict=False)}


def case_inputs(case: Case) -> dict[str, Array]:
    """What a case is fed, by name."""
    return _fed(case, case.given.data_sets[0][0])


def _array(value: Any) -> Array:
    return np.asarray(numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else value)


def imported_with(model: onnx.ModelProto, values: Mapping[str, Array], dtype: str | None = None) -> Imported:
    """The graph of a case, with as few of its inputs as constants as it takes: none, or those without floats, or all but the first, or all.

    In a network shapes and axes are constants of the file; in these cases they are inputs.
    """
    floats, first = {n for n, v in values.items() if v.dtype.kind == "f"}, next(iter(values), "")
    for fed in (set(values), floats, {first}):
        try:
            return import_graph(model, dtype=dtype, constants={n: v for n, v in values.items() if n not in fed})
        except Fault as error:
            if error.diagnostic.code != "E523":
                raise
    return import_graph(model, dtype=dtype, constants=values)


def defined(imported: Imported, feeds: Mapping[str, Array]) -> dict[str, Array]:
    """By the definition."""
    return reference.run(imported.graph, {**imported.weights, **feeds}, sizes=reference.sizes_of(imported.inputs, feeds))


def computed(imported: Imported, feeds: Mapping[str, Array]) -> dict[str, Array]:
    """By the numpy engine."""
    memory = {n: np.array(v) for n, v in {**imported.weights, **feeds}.items() if n in imported.graph.nodes}
    program = Program(imported.graph, reference.sizes_of(imported.inputs, feeds), memory)
    with np.errstate(all="ignore"):
        program.run()
    return {public: np.array(program.output(public)) for public in imported.graph.outputs}


def _difference(case: Case, got: Array, expected: Array) -> str:
    """ONNX's own tolerance, and 1e-5 (float32) or 1e-7 (float64) of the largest number beside it."""
    if (got.dtype, got.shape) != (expected.dtype, expected.shape):
        return f"{got.dtype}{list(got.shape)} instead of {expected.dtype}{list(expected.shape)}"
    if expected.dtype.kind != "f":
        return "" if np.array_equal(got, expected) else f"{np.sum(got != expected)} elements differ"
    if not np.allclose(got, expected, case.given.rtol, case.given.atol, equal_nan=True):
        return f"differs from what ONNX expects, by up to {_scaled(got, expected):.1e} of the largest"
    scaled = _scaled(got, expected)
    return f"differs by {scaled:.1e} of the largest" if scaled > CLOSE[str(expected.dtype)] and case.name not in TABLE["loose"] else ""


def _scaled(got: Array, expected: Array) -> float:
    finite = np.isfinite(expected) & np.isfinite(got)
    largest = np.abs(expected[finite]).max(initial=1e-30)
    return float(np.abs(got[finite] - expected[finite]).max(initial=0.0) / largest)


def summary() -> str:
    """The table of the README: how many cases of each family are run, all of which pass."""
    direct, expanded = (Counter(FAMILY[c.operator] for c in cases() if not c.reason and c.expanded == e) for e in (False, True))
    constants = Counter(FAMILY[c.operator] for c in cases() if not c.reason and not c.expanded and takes_constants(c))
    rows = [(name, direct[name], constants[name], expanded[name]) for name in TABLE["families"]]
    rows.append(("**all**", direct.total(), constants.total(), expanded.total()))
    lines = [f"| {name} | {' | '.join(str(n or '') for n in numbers)} |" for name, *numbers in rows]
    return "\n".join(["| family | cases | given constants | expanded |", "|---|---|---|---|", *lines])


def takes_constants(case: Case) -> bool:
    """Whether some inputs of a case have to be given as constants."""
    values = case_inputs(case)
    return len(imported_with(case.given.model, values).inputs) < len(values)
