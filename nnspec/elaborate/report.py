"""What can be counted without running: parameters, operations, memory, receptive fields; and the layer table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property, lru_cache
from math import prod

from nnspec.elaborate.sight import WINDOWS, Axes, sights
from nnspec.elaborate.values import Owned, Row
from nnspec.graph import Dim, Graph, Shape, Size, Type
from nnspec.graph.shapes import REMEMBERED
from nnspec.graph.types import BATCH_NAME, ITEM_BYTES, count, show
from nnspec.record import dataclass

OPEN_SIZE = 100


class Facts:
    """Figures of one elaborated model, for one example."""

    def __init__(self, graph: Graph, owned: Mapping[str, Owned]) -> None:
        self.graph, self.owned = graph, owned
        self._work: dict[str, Dim] = {}
        self._types: dict[str, Type] = {}

    def parameters(self, names: Iterable[str] | None = None) -> int:
        wanted = self.owned if names is None else names
        return sum(prod(self.owned[n].type.numbers) for n in wanted if self.owned[n].kind == "param")

    def flops(self, outputs: Iterable[str]) -> Dim:
        needed = self.graph.needed(outputs)
        return self.flops_of(n for n in self.graph.nodes if n in needed)

    def flops_of(self, names: Iterable[str]) -> Dim:
        return one_example(_sum(map(self._flops, names)))

    def _flops(self, name: str) -> Dim:
        if name not in self._work:
            node = self.graph[name]
            self._work[name] = node.op.work(self._type(name), tuple(map(self._type, node.inputs)), node.attributes)
        return self._work[name]

    def _type(self, name: str) -> Type:
        if name not in self._types:
            self._types[name] = _of_example(self.graph[name].type)
        return self._types[name]

    def memory(self, outputs: Iterable[str]) -> Dim:
        """Bytes of all values of one example that training keeps."""
        needed = self.graph.needed(outputs)
        return one_example(
            _sum(count(self._type(n.name).shape) * ITEM_BYTES[n.type.dtype] for n in self.graph if n.name in needed and n.role != "param")
        )

    def receptive_field(self, name: str) -> tuple[int, ...] | None:
        """Height and width in pixels of what one position of an image sees; None where there are no positions."""
        shape = self.graph[name].type.shape
        seen = (_field(axes, shape, self.graph[image].type.shape[2:]) for image, axes in self._sights.get(name, {}).items())
        widest = max(filter(None, seen), default=None)
        # [T, n] may be a signal or rows of any kind, until a window moves over it.
        is_image = widest and (len(widest) == 2 or name in self._windowed)
        return widest if is_image else None

    @cached_property
    def computed(self) -> set[str]:
        """What hangs on an input, but for the inputs themselves."""
        return self.graph.dependents(self._inputs) - self._inputs

    @cached_property
    def _inputs(self) -> set[str]:
        return {n.name for n in self.graph if n.role == "input"}

    @cached_property
    def _sights(self) -> dict[str, dict[str, Axes]]:
        return sights(self.graph)

    @cached_property
    def _windowed(self) -> set[str]:
        """What is made by windows that move over something."""
        return self.graph.dependents(n.name for n in self.graph if n.op.name in WINDOWS)


def _field(axes: Axes, shape: Shape, image: Shape) -> tuple[int, ...] | None:
    """How much of each axis of an image a position sees; None where there are no positions, or that is known only at run time."""
    pairs = [
        (axis.seen.widest(axis.length or shape[axis.at]) if axis.seen and axis.at is not None else n)
        for axis, n in zip(axes, image, strict=True)
    ]
    numbers = tuple(n for n in pairs if isinstance(n, int))
    return numbers if len(numbers) == len(axes) and any(axis.at is not None for axis in axes) else None


@lru_cache(maxsize=REMEMBERED)
def _of_example(type: Type) -> Type:
    """What the value of one example is, which takes less to count with than that of a batch."""
    return Type(type.dtype, tuple(map(one_example, type.shape)))


def one_example(size: Dim) -> Dim:
    """A count with the batch taken as 1; other run-time sizes stay."""
    return size.replaced(BATCH_NAME, 1) if isinstance(size, Size) else size


def _sum(sizes: Iterable[Dim]) -> Dim:
    total: Dim = 0
    for size in sizes:
        total = total + size
    return total


@lru_cache(maxsize=REMEMBERED)
def size_of(type: Type) -> Dim:
    """The bytes of a value of one example."""
    return one_example(count(type.shape) * ITEM_BYTES[type.dtype])


@lru_cache(maxsize=REMEMBERED)
def comparable(type: Type) -> int:
    """The bytes of a value, sizes that are known only at run time taken for a hundred."""
    size = size_of(type)
    return size.bind(dict.fromkeys(size.names, OPEN_SIZE)) if isinstance(size, Size) else size


@dataclass(frozen=True)
class TableRow:
    """One stage of a model; `activation` is the bytes of its value, if there is one for each example; `widest` the largest value within.

    What a loop yields counts sequence by sequence.
    """

    name: str
    formula: str
    shape: str
    parameters: int
    flops: Dim
    activation: Dim
    widest: Type
    field: tuple[int, ...] | None


def table(facts: Facts, rows: Iterable[Row]) -> list[TableRow]:
    """The layer table: what each stage of the model is, gives, owns and costs for one example, or for the one set of inputs it takes."""
    graph = facts.graph
    inputs = [n for n in graph if n.role == "input"]
    single = bool(inputs) and not any(n.type.has_batch for n in inputs)
    return [
        TableRow(
            row.name,
            row.span.one_line,
            show(row.value.shape),
            facts.parameters(row.owned),
            facts.flops_of(row.nodes),
            size_of(row.value.var.type) if single or row.value.batched else 0,
            max(
                (graph[n].type for n in (*row.nodes, row.value.var.name) if n in facts.computed and graph[n].op.name != "scan"),
                key=comparable,
                default=row.value.var.type,
            ),
            facts.receptive_field(row.value.var.name),
        )
        for row in rows
    ]
