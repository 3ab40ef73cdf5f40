"""A model as boxes: its calls, its formulas, and the operations between them, in blocks within blocks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field, replace
from functools import cached_property
from itertools import count

from nnspec.diagnostics import Span
from nnspec.drawing.body import Body
from nnspec.drawing.parts import Part
from nnspec.elaborate.model import Model
from nnspec.elaborate.primitives import SEED, STEP
from nnspec.graph import Graph, Node, outputs_of
from nnspec.graph.types import count as elements
from nnspec.graph.types import show
from nnspec.ops.operators import BINARY, UNARY
from nnspec.picture.diagram import Box, Diagram, Edge
from nnspec.record import dataclass

PLACING = {"cut", "reshape"}
"""What `h[-1]` becomes."""
SIGNS = {op: sign for table in (UNARY, BINARY) for sign, op in table.items()}


def drawing_of(model: Model, root: Part, depth: int, *, with_loss: bool) -> Drawing:
    """The work on a model from its inputs to its outputs, or on to its losses; blocks are open down to `depth`."""
    ends = outputs_of(model.graph, "output", "loss") if with_loss else outputs_of(model.graph, "output")
    ends.pop("loss", None)  # their sum
    return Drawing(model.graph, names_of(model), root, ends, depth)


def names_of(model: Model) -> dict[Span, str]:
    """What the spec calls the formulas of the model itself, by their places."""
    return {row.span: row.name for row in model.rows}


@dataclass(eq=False)
class Item:
    """What becomes one box: a part, some equal ones in a row, or a node by itself."""

    parts: list[Part]
    nodes: frozenset[str]
    name: str = ""


@dataclass
class Drawing:
    """The work on the diagram of a graph, that of a model or of one step of a loop; `ends` are its public outputs that the picture ends in.

    `named` is what the spec calls formulas, by their places. `folds` says whether blocks that are one after the other the same stand
    there once. `loops` are the bodies of those boxes that are loops, by name.
    """

    graph: Graph
    named: Mapping[Span, str]
    root: Part
    ends: dict[str, str]
    depth: int
    folds: bool = True
    numbers: Iterator[int] = field(default_factory=count)
    loops: dict[str, Body] = field(default_factory=dict)

    @cached_property
    def drawn(self) -> set[str]:
        """The nodes that count: needed for the ends, and made of something that comes from outside."""
        sources = [n.name for n in self.graph if (n.op.is_source or n.op.name == "random") and n.name not in (SEED, STEP)]
        return self.graph.needed(self.ends.values()) & self.graph.dependents(sources)

    @cached_property
    def place(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(self.graph.nodes)}

    @cached_property
    def readers(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for name in self.in_order(self.drawn):
            for source in dict.fromkeys(self.graph[name].inputs):
                found.setdefault(source, []).append(name)
        return found

    @cached_property
    def paths(self) -> dict[str, list[str]]:
        """The public names of the layers around each node."""
        found: dict[str, list[str]] = {}
        for part in self.root.within():
            for name in part.all_nodes() if part.path else ():
                found.setdefault(name, []).append(part.path)
        return found

    def in_order(self, names: Iterable[str]) -> list[str]:
        return sorted(names, key=self.place.__getitem__)

    def fresh(self) -> str:
        return f"b{next(self.numbers)}"

    def whole(self) -> Diagram:
        boxes = [self.box(item, 1) for item in self.items(self.root)]
        for public, node in self.ends.items():
            kind, _, name = public.partition(":")
            boxes.append(Box(self.fresh(), name, kind, takes=(node,)))
        return self.joined(boxes)

    def joined(self, boxes: list[Box], outer: Drawing | None = None) -> Diagram:
        """Boxes with the edges between what gives a value, perhaps one of the drawing around, and what takes it."""
        maker = {value: b.name for b in boxes for value in b.gives}
        drawing = {v: self if v in self.graph.nodes or not outer else outer for v in maker}
        edges = (Edge(maker[v], b.name, v, drawing[v].shape(v)) for b in boxes for v in b.takes if v in maker)
        return Diagram(tuple(boxes), tuple(edges))

    def shape(self, value: str) -> str:
        return show(self.graph[value].type.example)

    # ---- what becomes a box

    def items(self, part: Part) -> list[Item]:
        """The boxes of a part: its calls, its formulas without layers, and the operations between them."""
        found = self.bare(part)
        for child in part.parts:
            name, inner = self.named.get(child.written, ""), self.simplest(child)
            nodes = self.drawn.intersection(inner.all_nodes())
            if inner.kind == "formula" and inner.has_layers:
                found += self.items(inner)
            elif nodes:
                found.append(Item([inner], frozenset(nodes), name))
        return self.repeated(sorted(found, key=self.begins))

    def bare(self, part: Part) -> list[Item]:
        """The operations of a part itself: those that take an element of what a layer gives as one, any others by themselves."""
        nodes = [n for n in part.nodes if n in self.drawn]
        if part.has_layers and len(nodes) > 1 and {self.graph[n].op.name for n in nodes} <= PLACING:
            return [Item([Part(_index(part.title), "formula", part.written, nodes=nodes)], frozenset(nodes))]
        return [Item([], frozenset([n])) for n in nodes]

    def begins(self, item: Item) -> int:
        """The place of the first thing that it computes; arrays may stand anywhere before."""
        computed = [n for n in item.nodes if self.graph[n].inputs]
        return min(map(self.place.__getitem__, computed or item.nodes))

    def simplest(self, part: Part) -> Part:
        """A formula that is nothing but a call, as that call."""
        filled = [p for p in part.parts if not self.drawn.isdisjoint(p.all_nodes())]
        alone = part.kind == "formula" and len(filled) == 1 and self.drawn.isdisjoint(part.nodes)
        return self.simplest(filled[0]) if alone else part

    def repeated(self, items: list[Item]) -> list[Item]:
        """Blocks that are one after the other the same, as one."""
        kept: list[Item] = []
        for item in items:
            if self.folds and kept and self.goes_on(kept[-1], item):
                kept[-1] = Item(kept[-1].parts + item.parts, kept[-1].nodes | item.nodes)
            else:
                kept.append(item)
        return kept

    def goes_on(self, before: Item, item: Item) -> bool:
        """Whether an item does once more what the one before it does, with nothing but its result."""
        if not (before.parts and item.parts and is_block(item.parts[0])):
            return False
        same = before.parts[0].written == item.parts[0].written and before.parts[0].title == item.parts[0].title
        given, taken = self.given(before), self.taken(item)
        return same and given == taken and len(taken) == 1 and self.graph[taken[0]].type == self.graph[self.given(item)[0]].type

    def taken(self, item: Item) -> tuple[str, ...]:
        """The values of other boxes that an item reads; weights that it shares with an earlier use of itself do not count."""
        own = tuple(f"{p.path}." for p in item.parts if p.path)
        sources = {s for n in item.nodes for s in self.graph[n].inputs} - item.nodes
        return tuple(self.in_order(s for s in sources & self.drawn if not (own and s.startswith(own))))

    def given(self, item: Item) -> tuple[str, ...]:
        """The values of an item that others read, or that the picture ends in."""
        ends = set(self.ends.values())
        return tuple(n for n in self.in_order(item.nodes) if n in ends or any(self.leaves(item, n, r) for r in self.readers.get(n, ())))

    def leaves(self, item: Item, value: str, reader: str) -> bool:
        """Whether a reader of a value is another box, and no further use of the layer whose weight it is."""
        again = item.parts and any(value.startswith(f"{path}.") for path in self.paths.get(reader, ()))
        return reader not in item.nodes and not again

    # ---- boxes

    def box(self, item: Item, level: int) -> Box:
        takes, gives = self.taken(item), self.given(item)
        if not item.parts:
            return replace(self.node_box(self.graph[next(iter(item.nodes))]), takes=takes, gives=gives, nodes=item.nodes)
        part = item.parts[0]
        if part.body:
            return self.loop(item, part.body, level)
        plain = replace(self.part_box(item, part), takes=takes, gives=gives, nodes=item.nodes)
        first = Item([part], item.nodes.intersection(part.all_nodes()))
        inner = self.items(part)
        if len(inner) < 2:
            return plain
        return replace(plain, inner=self.inside(first, inner, level + 1), is_open=level <= self.depth and is_block(part))

    def inside(self, item: Item, inner: list[Item], level: int) -> Diagram:
        """The diagram of a block, with a port for every value that comes in or goes out."""
        ins = [Box(self.fresh(), "", "port", gives=(v,)) for v in self.taken(item)]
        outs = [Box(self.fresh(), "", "port", takes=(v,)) for v in self.given(item)]
        joined = self.joined([*ins, *(self.box(i, level) for i in inner), *outs])
        return replace(joined, inputs=tuple(b.name for b in ins), outputs=tuple(b.name for b in outs))

    def loop(self, item: Item, body: Body, level: int) -> Box:
        """A loop with one step of it inside: the element, the carried values as they were, and their way back there from what they are."""
        takes, gives = self.taken(item), self.given(item)
        step = Drawing(body.graph, body.written, body.part, dict(body.graph.outputs), self.depth, self.folds, self.numbers, self.loops)
        carried = {name: self.source(name, "state", body.starts[name], node, takes) for name, node in body.before.items()}
        first = [self.source(body.item, "input", body.walked, body.element, takes), *carried.values()]
        ins = [Box(self.fresh(), "", "port", gives=(v,)) for v in takes]
        steps = [step.box(i, level) for i in step.items(body.part) if not i.nodes <= {n for b in first for n in b.nodes}]
        made = {v for b in (*ins, *first, *steps) for v in b.gives}
        steps += [Box(self.fresh(), n, "forward", (), (v,), "a constant") for n, v in body.graph.outputs.items() if v not in made]
        sent = {node: body.graph.outputs[name] for name, node in body.yielded.items()}
        outs = [Box(self.fresh(), "", "port", takes=(sent[v],) if v in sent else self.behind(v, takes)) for v in gives]
        inside = step.joined([*ins, *first, *steps, *outs], self)
        maker = {value: b.name for b in inside.boxes for value in b.gives}
        again = tuple(Edge(maker[v], carried[name].name, v, step.shape(v)) for name, v in body.graph.outputs.items())
        inner = replace(inside, inputs=tuple(b.name for b in ins), outputs=tuple(b.name for b in outs), again=again)
        box = Box(self.fresh(), f"scan {body.item}", "forward", takes, gives, f"carries {', '.join(carried)}", inner, nodes=item.nodes)
        self.loops[box.name] = body
        return replace(box, is_open=0 < self.depth >= level - 1)

    def source(self, title: str, role: str, behind: str, node: str, takes: tuple[str, ...]) -> Box:
        """What a step begins with; `behind` is the value outside that it comes from."""
        note = "of the step before" if role == "state" else ""
        return Box(self.fresh(), title, role, self.behind(behind, takes), (node,), note, nodes=frozenset([node]))

    def behind(self, value: str, takes: tuple[str, ...]) -> tuple[str, ...]:
        """Those of some values that another is computed from."""
        needed = self.graph.needed([value])
        return tuple(v for v in takes if v in needed)

    def node_box(self, node: Node) -> Box:
        if node.op.is_source:
            weights = (node.name,) if node.role == "param" else ()
            return Box(self.fresh(), node.name.rsplit(".", 1)[-1], node.role, weights=weights)
        sign = SIGNS.get(node.op.name, node.op.name)
        numbers = [self.graph[i].constant for i in node.inputs]
        left, right = (f"{v:g}" if isinstance(v, int | float) else "" for v in (*numbers, None, None)[:2])
        return Box(self.fresh(), f"{left} {sign} {right}".strip(), "loss" if node.role == "loss" else "forward")

    def part_box(self, item: Item, part: Part) -> Box:
        weights = tuple(n for n in self.in_order(item.nodes) if self.graph[n].role == "param")
        shares = bool(part.path) and any(s.startswith(f"{part.path}.") for n in item.nodes for s in self.graph[n].inputs)
        role = "weights" if weights or shares else "loss" if all(self.graph[n].role == "loss" for n in item.nodes) else "forward"
        owned = (
            f"{sum(int(str(elements(self.graph[n].type.shape))) for n in weights):,} weights"
            if weights
            else "shared weights"
            if shares
            else ""
        )
        if part.kind == "formula":
            title, names = item.name or part.title, [part.title] if item.name else []
        else:
            times = f"{len(item.parts)} × " if len(item.parts) > 1 else ""
            own_name = part.path.rsplit(".", 1)[-1] if weights else ""
            title, names = times + part.title, [n for n in (own_name, item.name) if n != part.title.partition("(")[0]]
        note = " · ".join(filter(None, [*dict.fromkeys(names), owned]))
        return Box(self.fresh(), title, role, note=note, weights=weights)


def _index(formula: str) -> str:
    """What stands in the last brackets of a formula, with them."""
    depth = 0
    for at in range(len(formula) - 1, -1, -1):
        depth += (formula[at] == "]") - (formula[at] == "[")
        if depth == 0:
            return formula[at:]
    return formula


def is_block(part: Part) -> bool:
    """Whether there is more than one layer in it, or a loop."""
    return layers(part) > 1 or any(p.body for p in (part, *part.within()))


def layers(part: Part) -> int:
    """How many layers without layers inside there are."""
    inside = sum(map(layers, part.parts))
    return inside or int(part.is_layer)
