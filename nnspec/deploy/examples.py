"""What the data of an exported training have to be, asked by a model of its own: the same questions and words in every runtime."""

from __future__ import annotations

from dataclasses import replace

from nnspec.compile import Compilation
from nnspec.deploy.schedule import EXAMPLES
from nnspec.graph import Graph, Size, Type, Var
from nnspec.ops import OPS

QUESTIONS = "examples.onnx"
ROWS, AS_MANY, CLASSES = "data:rows:", "data:as_many", "data:classes:"


def questions(spec: Compilation) -> Graph:
    """From all of the data to how many examples there are, and whether each field is as it has to be.

    A field has a size of its own for its rows, as those of another may be more.
    """
    graph = Graph("examples", spec.dtype)
    fields = {n: graph.source(OPS["input"], n, _alone(n, t)) for n, t in spec.model.ports.items()}
    rows = {n: graph.call(OPS["size_of"], size=x.type.shape[0], dtype="int64") for n, x in fields.items()}
    first = next(iter(rows.values()))
    as_many = OPS["greater"](first, 0)
    for number in rows.values():
        as_many = OPS["logical_and"](as_many, OPS["equal"](number, first))
    answers = {
        EXAMPLES: OPS["cast"](first, dtype="float64"),
        AS_MANY: as_many,
        **{f"{ROWS}{n}": number for n, number in rows.items()},
        **{f"{CLASSES}{n}": _within(x, x.type.classes) for n, x in fields.items() if x.type.classes},
    }
    graph.outputs = {n: answer.name for n, answer in answers.items()}
    return graph  # with all fields as inputs, though of some nothing but the size is read


def must_hold(spec: Compilation) -> dict[str, str]:
    """The answers that have to be yes, and what to say where one is no; numbers are named as `%` of Python takes them."""
    fields = spec.model.ports
    rows = ", ".join(f"%({ROWS}{n})d of {n}" for n in fields)
    classes = {f"{CLASSES}{n}": f"{n} has classes other than 0 to {t.classes - 1}" for n, t in fields.items() if t.classes}
    return {AS_MANY: f"there have to be examples, as many of each field: {rows}", **classes}


def _alone(name: str, type: Type) -> Type:
    return replace(type, shape=(Size.named(f"{name}.rows"), *type.shape[1:]))


def _within(x: Var, classes: int) -> Var:
    """Whether all are numbers of a class; of no examples it is so, which a smallest number would not say."""
    strange = OPS["logical_or"](OPS["less"](x, 0), OPS["greater_equal"](x, classes))
    return OPS["equal"](OPS["sum"](OPS["cast"](strange, dtype="int64"), axes=tuple(range(x.type.rank)), keep=False), 0)
