"""A network as the checks see it: its graphs in use and in training, and how their values hang together."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import cached_property

from nnspec.diagnostics import Span, uncommented
from nnspec.elaborate.library import Definitions
from nnspec.elaborate.model import Model
from nnspec.elaborate.training import Training
from nnspec.elaborate.values import Applied, Function, Owned, Saved, Tensor
from nnspec.graph import Graph, Node
from nnspec.graph.paths import behind, receivers
from nnspec.graph.types import bind, count, size_names
from nnspec.lazy import regex
from nnspec.record import dataclass
from nnspec.rewrite.rules import fits
from nnspec.syntax import ast
from nnspec.syntax.parser import parse_piece

_WORD = regex(r"(?<![\w.])[^\W\d]\w*")
AFFINE = frozenset(("add", "sub", "neg", "mul", "div", "reshape", "expand", "transpose", "flip", "cut", "pad", "mean", "sum", "avg_pool"))
PRODUCTS = ("matmul", "conv", "conv_input_grad")
RELUS: Mapping[str, tuple[str, ...]] = {
    "maximum": ("maximum(x, 0)",),
    "where": ("where(x > 0, x, 0)", "where(x >= 0, x, 0)", "where(x < 0, 0, x)", "where(x <= 0, 0, x)"),
    "mul": ("x * cast(x >= 0, dtype = d)",),
}
"""Forms of relu, by their operation, that are not rewritten to it: they give another gradient at 0, or 0 for what is no number."""


@dataclass(frozen=True)
class Product:
    """A product of data with weights, the linear part of a layer; `weight` is the parameter, where they are one."""

    node: Node
    data: str
    weight: str | None

    @property
    def span(self) -> Span | None:
        return self.node.span


class Wiring:
    """Questions about one graph: what depends on data, what reads what, which values are affine in which."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.data = graph.dependents(n.name for n in graph if n.op.name == "input")
        self.learnt = graph.dependents(n.name for n in graph if n.role == "param")
        self.public = set(graph.outputs.values())
        self.readers: dict[str, list[Node]] = defaultdict(list)
        self._by_operation: dict[str, list[tuple[int, Node]]] = defaultdict(list)
        for place, node in enumerate(graph):
            self._by_operation[node.op.name].append((place, node))
            for name in node.inputs if len(node.inputs) == 1 else dict.fromkeys(node.inputs):
                self.readers[name].append(node)

    def made_by(self, *operations: str) -> list[Node]:
        """The nodes of these operations, inputs before what uses them."""
        found = [at for name in operations for at in self._by_operation.get(name, ())]
        return [node for _, node in (sorted(found) if len(operations) > 1 else found)]

    def flat(self, starts: Iterable[str], ends: Iterable[str]) -> list[Node]:
        """Where a way from some values to others that their gradients do not come back along has none any more."""
        moved, needed, found = set(starts), self.graph.needed(ends), list[Node]()
        for node in self.graph:
            if node.name in needed and not moved.isdisjoint(node.inputs):
                if moved.isdisjoint(receivers(self.graph, node)):
                    found.append(node)
                else:
                    moved.add(node.name)
        return found

    @cached_property
    def products(self) -> dict[str, Product]:
        """The products of data with weights, by their node."""
        found = map(self._product, self.made_by(*PRODUCTS))
        return {p.node.name: p for p in found if p}

    def _product(self, node: Node) -> Product | None:
        data, weights = self.data_of(node), [i for i in node.inputs if i not in self.data]
        return Product(node, data[0], self.parameter(weights[0])) if len(data) == 1 and weights else None

    def is_learnt(self, product: Product) -> bool:
        """Whether its weights are parameters, or made of some, and not numbers that stay as they are."""
        return any(i in self.learnt for i in product.node.inputs if i not in self.data)

    def parameter(self, name: str) -> str | None:
        """The parameter that a value is, perhaps in another shape."""
        node = self.graph[name]
        while node.op.name in ("reshape", "transpose", "expand"):
            node = self.graph[node.inputs[0]]
        return node.name if node.role == "param" else None

    def data_of(self, node: Node) -> list[str]:
        """The inputs of a node that depend on data."""
        return [i for i in node.inputs if i in self.data]

    def before(self, name: str, ops: Collection[str]) -> str:
        """What a value was before such operations, one upon the other, each followed to its data."""
        while self.graph[name].op.name in ops and (data := self.data_of(self.graph[name])):
            name = data[0]
        return name

    def affine_in(self, node: Node) -> str | None:
        """The one value that a node moves and scales, without mixing it with other data."""
        data = self.data_of(node)
        is_affine = node.op.name in AFFINE and len(data) == 1 and not (node.op.name == "div" and node.inputs[0] != data[0])
        return data[0] if is_affine else None

    def origin(self, name: str) -> tuple[Product | None, list[str]]:
        """The product of which a value is an affine function, and the values on the way from it."""
        way: list[str] = []
        while name not in self.products:
            way.append(name)
            before = self.affine_in(self.graph[name])
            if before is None:
                return None, way
            name = before
        return self.products[name], [*way, name]

    def activation(self, node: Node) -> str:
        """The operation of a node, which is relu in whatever form it is written."""
        return "relu" if any(fits(form, self.graph, node.name) for form in RELUS.get(node.op.name, ())) else node.op.name

    def after(self, name: str) -> Iterator[Node]:
        """The first operations on a value that are not affine, and products."""
        waiting = [name]
        while waiting:
            value = waiting.pop()
            for reader in self.readers[value]:
                if reader.name not in self.products and (self.affine_in(reader) == value or reader.op.name == "max_pool"):
                    waiting.append(reader.name)
                else:
                    yield reader

    def size(self, name: str) -> int:
        """How many numbers a value has for one example, sizes known only at run time taken as 1."""
        shape = self.graph[name].type.shape
        return int(str(bind(count(shape), dict.fromkeys(size_names(shape), 1))))


@dataclass(frozen=True, eq=False)
class Network:
    """`training` is the training graph after stability and algebra, so that an activation is one node, whoever wrote its formula.

    `saved` are the parameters and states that start from files, `files` what is in those that a whole model starts from.
    `nearly` says of a path in the spec that leads nowhere what is there by nearly that name.
    """

    model: Model
    training: Graph
    trainings: Sequence[Training]
    definitions: Definitions
    saved: Collection[str]
    files: Mapping[Saved, Collection[str]]
    nearly: Callable[[str], str | None]

    @cached_property
    def in_use(self) -> Wiring:
        return Wiring(self.model.graph)

    @cached_property
    def in_training(self) -> Wiring:
        return Wiring(self.training)

    @cached_property
    def needed(self) -> set[str]:
        """What outputs, losses, metrics and states read, in use or in training."""
        return self.model.graph.needed(self.model.graph.outputs.values()) | self.training.needed(self.training.outputs.values())

    def made_of(self, given: str) -> set[str]:
        """What is computed in training from a target or input."""
        if given not in self._made_of:
            self._made_of[given] = self.training.dependents([given])
        return self._made_of[given]

    @cached_property
    def _made_of(self) -> dict[str, set[str]]:
        return {}

    @cached_property
    def names(self) -> Mapping[str, list[str]]:
        """What the model calls each value."""
        found: defaultdict[str, list[str]] = defaultdict(list)
        for name, value in self.model.scope.names.items():
            if isinstance(value, Tensor):
                found[value.var.name].append(name)
        return found

    @cached_property
    def words(self) -> Counter[str]:
        """How often each word stands in the model's file, outside of comments and not as a part of another thing."""
        return Counter(_WORD.findall(uncommented(self.model.span.source.text)))

    def start(self, product: Product) -> Owned | None:
        """The parameter of a product, with how it starts."""
        return self.model.owned[product.weight] if product.weight else None

    @cached_property
    def reached(self) -> Mapping[str, set[str]]:
        """The parameters that the gradient of each loss comes back to."""
        return {n: behind(self.training, [self.loss_of(n).name]) & self.model.parameters.keys() for n in self.model.losses}

    def loss_of(self, name: str) -> Node:
        return self.training[self.training.outputs[f"loss:{name}"]]


def call_at(span: Span | None) -> ast.Call | None:
    """The call that a place is, if it is one; its own spans are counted from there."""
    expression = parse_piece(span.text) if span else None
    return expression if isinstance(expression, ast.Call) else None


def library_call(span: Span | None, definitions: Definitions) -> tuple[ast.Call, Function] | None:
    """The call that a place is, and the function of the library that it calls, if so it is."""
    call = call_at(span)
    found = definitions.find("fn", ast.dotted(call.callee) or "") if call else None
    return (call, found) if call and found and found.of_library else None


def loss_calls(model: Model, definitions: Definitions) -> Iterator[tuple[Span, ast.Call, Function]]:
    """Where losses and metrics call functions of the library, in the model's own lines."""
    for span in dict.fromkeys(n.span for n in model.graph if n.role == "loss" and n.span and model.span.covers(n.span)):
        if called := library_call(span, definitions):
            yield span, *called


def layer_of(parameter: str) -> str:
    """The layer a parameter belongs to, by its path; the parameter itself where it is the model's own."""
    return parameter.rpartition(".")[0] or parameter


def name_of(product: Product) -> str:
    """What a person calls a product: its layer, or what is written there."""
    if product.weight:
        return layer_of(product.weight)
    return product.span.one_line if product.span else product.node.name


def from_library(start: object, *names: str) -> bool:
    """Whether a parameter starts by one of these inits of the library."""
    return isinstance(start, Applied) and start.name in names and start.function.of_library
