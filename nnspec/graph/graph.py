"""The graph: single-output nodes in an order that is always topological, mirrored into NetworkX on demand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Set
from dataclasses import field, replace
from itertools import islice
from types import EllipsisType
from typing import TYPE_CHECKING, Any

from nnspec import limits
from nnspec.diagnostics import Fault, Span, fault
from nnspec.graph.node import Attributes, Context, Made, Node, kinds_of
from nnspec.graph.op import OPS, Op
from nnspec.graph.types import MAX_DIMENSION, Type, show, size_names
from nnspec.graph.var import Var
from nnspec.record import dataclass

if TYPE_CHECKING:
    import networkx

    from nnspec.graph.origin import Origin, SizeOf


def _key(node: Node) -> tuple[Any, ...]:
    """By which a node is known that is no source."""
    return node.op, node.inputs, node.attrs, node.kinds, node.type.dtype, None


class _Within:
    """Another context for as long as it is entered; every formula enters one, so it is made of as little as can be."""

    __slots__ = ("before", "context", "graph")

    def __init__(self, graph: Graph, context: Context) -> None:
        self.graph, self.context, self.before = graph, context, graph.context

    def __enter__(self) -> None:
        self.graph.context = self.context

    def __exit__(self, *error: object) -> None:
        self.graph.context = self.before


@dataclass
class Graph:
    """Nodes by name, and the public names of the outputs. Only `add` and `copy_node` enter nodes; equal ones are made once.

    `written` says of inputs and parameters what their dimensions, from the last on, were written as; a `log` gets a `Made` for each `add`.
    """

    name: str = "graph"
    dtype: str = "float32"
    nodes: dict[str, Node] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)
    context: Context = field(default_factory=Context)
    written: dict[str, tuple[Origin | SizeOf | None, ...]] = field(default_factory=dict, repr=False)
    _known: dict[tuple[Any, ...], str] = field(default_factory=dict, repr=False)
    most: int | None = field(default=None, repr=False)
    log: list[object] | None = field(default=None, repr=False)
    _last_number: dict[str, int] = field(default_factory=dict, repr=False)
    _mirror: Any = field(default=None, repr=False)

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes.values())

    def __getitem__(self, name: str) -> Node:
        return self.nodes[name]

    def __len__(self) -> int:
        return len(self.nodes)

    def at(self, *, role: str | None = None, span: Span | EllipsisType | None = ..., scope: str | None = None) -> _Within:
        """Nodes added inside take these."""
        now = self.context
        changed = Context(role or now.role, now.span if isinstance(span, EllipsisType) else span, now.scope if scope is None else scope)
        return _Within(self, changed)

    def add(self, op: Op, inputs: tuple[str, ...], attrs: Mapping[str, Any], type: Type, name: str | None = None) -> str:
        """A node for the operation; the one that is there already, if an equal one is."""
        frozen = tuple(sorted(attrs.items()))
        return self.place(op, inputs, frozen, kinds_of(frozen), type, name)

    def place(self, op: Op, inputs: tuple[str, ...], attrs: Attributes, kinds: tuple[Any, ...], type: Type, name: str | None) -> str:
        """The same for attributes in order, and the kinds of their values."""
        source = op.is_source
        key = (op, inputs, attrs, kinds, type.dtype, name if source else None)
        made = self._known.get(key)
        if made is None:
            nodes, context = self.nodes, self.context
            if self.most is not None and (len(nodes) >= self.most or type.longest > MAX_DIMENSION):
                raise self._too_much(self.most, type)
            wish = name or f"{context.scope}/{op.name}"  # no name of a user has a slash
            made = self._known[key] = self.fresh(wish) if wish in nodes else wish
            nodes[made] = Node(op, inputs, attrs, type, made, context.span, op.name if source else context.role, kinds)
        if self.log is not None:
            self.log.append(Made(op, inputs, attrs, kinds, type, name, self.context, made))
        return made

    def _too_much(self, most: int, type: Type) -> Fault:
        """More nodes than there may be, or longer axes."""
        if len(self.nodes) >= most:
            return limits.exceeded("nodes", f"the spec expands to more than {most:,} operations", self.context.span)
        return fault("E204", f"an axis has at most {MAX_DIMENSION:,} elements, and this is {show(type.shape)}", self.context.span)

    def call(self, op: Op, *inputs: Any, **attrs: Any) -> Var:
        """The value of an op on variables and numbers."""
        names = tuple([v.name if isinstance(v, Var) else self._lifted(v, inputs) for v in inputs])
        type = op.type(tuple([self.nodes[n].type for n in names]), attrs)
        return Var(self, self.add(op, names, attrs, type))

    def _lifted(self, number: Any, beside: tuple[Any, ...]) -> str:
        """A number as a constant of the kind of the first variable beside it that is no truth."""
        like = next((v.type.dtype for v in beside if isinstance(v, Var) and v.type.dtype != "bool"), self.dtype)
        return self.constant(number, like).name

    def apart(self, name: str, before: int) -> str:
        """A node that no other made alike is taken for: this one, or another like it where it is one of the first so many."""
        node = self.nodes[name]
        if node.op.is_source or node.is_apart:
            return name
        self.depends_on_all()
        if name in islice(self.nodes, before):
            name = self.fresh(f"{self.context.scope}/{node.op.name}")
            return self.place(node.op, node.inputs, node.attrs, (*node.kinds, name), node.type, name)
        self.nodes[name] = own = replace(node, kinds=(*node.kinds, name))
        self._known.pop(_key(node), None)
        self._known[_key(own)] = name
        self._mirror = None
        return name

    def source(self, op: Op, name: str, type: Type) -> Var:
        """An input, parameter or state of that name."""
        return Var(self, self.add(op, (), {}, type, name))

    def constant(self, value: Any, dtype: str | None = None) -> Var:
        """A number, or nested tuples of numbers."""
        return self.call(OPS["const"], value=value, dtype=dtype or self.dtype)

    def var(self, name: str) -> Var:
        return Var(self, name)

    def needed(self, outputs: Iterable[str], known: Container[str] = ()) -> set[str]:
        """The names of all nodes that these depend on, and their own; not of those behind what is known."""
        wanted = set(outputs)
        for name, node in reversed(self.nodes.items()):
            if name in wanted and name not in known:
                wanted.update(node.inputs)
        return wanted

    def readers(self) -> Counter[str]:
        """How often each value is read by nodes, and given away as an output."""
        return Counter([*(i for node in self for i in node.inputs), *self.outputs.values()])

    def forget(self) -> None:
        """From here on nodes are made anew, even where equal ones are there; but for sources."""
        self._known = {key: name for key, name in self._known.items() if self.nodes[name].op.is_source}

    def depends_on_all(self) -> None:
        """Says in the log that what is done now hangs on more than the types of what it is done with."""
        if self.log is not None:
            self.log.append(None)

    def only(self, outputs: Mapping[str, str], name: str | None = None) -> Graph:
        """The part that computes these outputs, as a graph of its own."""
        return self.rebuilt(Graph.copy_node, outputs, name)

    def rebuilt(
        self, rule: Callable[[Graph, Node, tuple[str, ...]], str], outputs: Mapping[str, str] | None = None, name: str | None = None
    ) -> Graph:
        """A new graph made by `rule(new graph, node, moved inputs)` from every node that the outputs need, in order."""
        outputs = self.outputs if outputs is None else outputs
        wanted = self._measured(self.needed(outputs.values()))
        new, moved = Graph(name or self.name, self.dtype), dict[str, str]()
        for node in self:
            if node.name in wanted:
                context = new.context
                if context.span is not node.span or context.role != node.role:
                    new.context = Context(node.role, node.span)
                moved[node.name] = rule(new, node, tuple([moved[i] for i in node.inputs]))
        new.context = Context()
        new.outputs = {public: moved[n] for public, n in outputs.items()}
        return new.swept()

    def swept(self) -> Graph:
        """Without the nodes no output needs."""
        if unneeded := self.nodes.keys() - self._measured(self.needed(self.outputs.values())):
            self.discard(unneeded)
        return self

    def _measured(self, wanted: set[str]) -> set[str]:
        """And sources whose values nothing reads, but which tell a length that these ask for and none of them has."""
        sources = [n for n in self if n.op.is_source]
        unread = {n.name: sizes for n in sources if n.name not in wanted and (sizes := size_names(n.type.shape))}
        if not unread:
            return wanted
        known = set().union(*(size_names(n.type.shape) for n in sources if n.name in wanted))
        spare = {name: sizes for name, sizes in unread.items() if not sizes <= known}
        asked = size_names(tuple((n.type.shape, *n.attributes.values()) for n in self if n.name in wanted)) if spare else set()
        for name, sizes in spare.items():
            if sizes & asked - known:
                wanted, known = wanted | {name}, known | sizes
        return wanted

    def copy_node(self, node: Node, inputs: tuple[str, ...]) -> str:
        """A node of another graph, on inputs here; the very same one, where nothing of it is another here."""
        context, op, name = self.context, node.op, node.name
        same = inputs == node.inputs and context.span is node.span and (context.role == node.role or op.is_source)
        if not same or name in self.nodes or self.most is not None or self.log is not None:
            return self.place(op, inputs, node.attrs, node.kinds, node.type, name)
        made = self._known.setdefault((op, inputs, node.attrs, node.kinds, node.type.dtype, name if op.is_source else None), name)
        if made is name:
            self.nodes[name] = node
        return made

    def insert(self, other: Graph, outputs: Iterable[str], known: Mapping[str, str]) -> dict[str, str]:
        """Copies what these nodes of another graph need, but for the nodes in `known`, for which ours stand; gives all names here."""
        self.depends_on_all()
        moved, wanted = dict(known), other.needed(outputs, known)
        for node in other:
            if node.name in wanted and node.name not in known:
                with self.at(span=node.span or self.context.span):
                    moved[node.name] = self.copy_node(node, tuple(moved[i] for i in node.inputs))
        return moved

    def dependents(self, names: Iterable[str]) -> set[str]:
        """The names of all nodes that depend on these, and their own."""
        found = set(names)
        for node in self:
            if not found.isdisjoint(node.inputs):
                found.add(node.name)
        return found

    def discard(self, names: Set[str]) -> None:
        """Takes nodes out that nothing else depends on."""
        self.depends_on_all()
        self.nodes = {n: node for n, node in self.nodes.items() if n not in names}
        self._known = {k: n for k, n in self._known.items() if n not in names}
        self._mirror = None

    @property
    def nx(self) -> networkx.MultiDiGraph[str]:
        """The NetworkX graph: each node carries its `Node` as `node`; an edge's key is the position of the input."""
        import networkx

        if self._mirror is None:
            self._mirror = networkx.MultiDiGraph(name=self.name)
        for node in list(self.nodes.values())[len(self._mirror) :]:
            self._mirror.add_node(node.name, node=node)
            for position, source in enumerate(node.inputs):
                self._mirror.add_edge(source, node.name, key=position)
        return self._mirror

    def __str__(self) -> str:
        from nnspec.graph.text import to_text

        return to_text(self)

    def _repr_svg_(self) -> str | None:
        """The picture that a notebook shows; of a graph too large for one, none."""
        from nnspec.graph.picture import MOST, as_diagram
        from nnspec.picture.svg import svg

        return svg(as_diagram(self), self.name) if len(self) <= MOST else None

    def fresh(self, wish: str) -> str:
        """The wish, with a number if a node has that name."""
        name = wish
        while name in self.nodes:
            self._last_number[wish] = self._last_number.get(wish, 1) + 1
            name = f"{wish}_{self._last_number[wish]}"
        return name


def outputs_of(graph: Graph, *kinds: str) -> dict[str, str]:
    """The outputs whose public names start with these kinds."""
    return {public: n for public, n in graph.outputs.items() if public.split(":")[0] in kinds}
