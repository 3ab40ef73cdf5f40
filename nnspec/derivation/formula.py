"""A graph as a formula of one example, as a person would write it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from functools import cached_property

from nnspec.derivation.signs import PRODUCT, SUM, Piece, Signs, Term
from nnspec.derivation.sums import REDUCTIONS, is_over_the_batch, sums_of
from nnspec.graph import BATCH, Dim, Graph, Node, Shape
from nnspec.graph.types import BATCH_NAME, broadcast, count
from nnspec.ops.operators import BINARY
from nnspec.ops.reduce import kept
from nnspec.record import dataclass

INFIX = {op: sign for sign, op in BINARY.items()}
PRODUCTS = ("mul", "neg", "div", "gate")
MOST_NODES = 40
ONE = Term("1")
"""The derivative of the loss by itself."""


@dataclass(frozen=True)
class Formula:
    """Writes nodes of a graph; those in `names` as their names, axes as those of one example.

    A sum over the examples is written, but for those that are `left_out`: what is written is one example's share then.
    """

    graph: Graph
    names: Mapping[str, Term]
    signs: Signs
    left_out: Set[str] = frozenset()

    def of(self, name: str) -> Term:
        """The formula of a node, whatever it is called itself."""
        return self.written(self.graph[name])

    def term(self, name: str) -> Term:
        return self.names.get(name) or self.written(self.graph[name])

    def share(self, name: str) -> Term:
        """What the shares of all examples add up to a value."""
        if sums := sums_of(self.graph, name):
            return replace(self, left_out=sums).term(name)
        return self.signs.product(1.0, [self.term(name)], [self.signs.name(BATCH_NAME)])

    def written(self, node: Node) -> Term:
        """The formula of a node, with the sum over the examples where it has one in it, as the product of two matrices may."""
        inside = self.of_one_example(node)
        if node.op.name in REDUCTIONS or node.name in self.left_out or not is_over_the_batch(self.graph, node):
            return inside
        return self.signs.call("batch_sum", [inside])

    def of_one_example(self, node: Node) -> Term:
        signs = self.signs
        if node.op.name in PRODUCTS:
            return signs.product(*self.factors(node))
        if unchanged := self.unchanged(node):
            return self.term(unchanged)
        terms = [self.term(i) for i in node.inputs]
        match node.op.name:
            case "const" | "size_of" | "iota":
                return self.known(node)
            case "random":
                return signs.call("random", [*terms, signs.number(node.attributes["stream"])])
            case "add":
                return signs.sum([(1, t) for t in terms])
            case "sub":
                return signs.sum([(1, terms[0]), (-1, terms[1])])
            case "matmul":
                return signs.matmul(*terms)
            case "pow":
                return signs.power(*terms)
            case "square":
                return signs.power(terms[0], signs.number(2))
            case "exp" if self.graph[node.inputs[0]].op.name == "log_softmax":
                inner = self.graph[node.inputs[0]]
                return signs.call("softmax", [self.term(inner.inputs[0]), *self.along(inner)])
            case "one_hot":
                return replace(signs.call("one_hot", terms), adds_to_one=True)
            case "where":
                return signs.choice(*terms)
            case "sum" if (taken := self.factors_of(node.inputs[0]))[0] < 0:
                return signs.sum([(-1, self.reduced(node, signs.product(-taken[0], *taken[1:])))])
            case other if other in REDUCTIONS:
                return self.reduced(node, terms[0])
            case "maximum" | "minimum":
                return signs.call(node.op.name[:3], terms)
            case "mod":
                return signs.infix(INFIX["mod"], terms[0], terms[1], PRODUCT)
            case other if other in INFIX:
                return signs.infix(INFIX[other], terms[0], terms[1])
            case "cumsum" if node.attributes["reverse"]:
                turned = signs.call("reverse", [terms[0], *self.along(node, 0)])
                return signs.call("reverse", [signs.call("cumsum", [turned, *self.along(node)]), *self.along(node, 0)])
            case _:
                return self.arranged(node, terms)

    def arranged(self, node: Node, terms: list[Term]) -> Term:
        """The formula of an operation that moves elements, or of any that is written as it is called."""
        signs = self.signs
        match node.op.name:
            case "transpose" if self.swaps_last(node):
                return signs.transposed(terms[0])
            case "cut":
                return signs.indexed(terms[0], self.slice(node))
            case "pad":
                return self.padded(node, terms[0])
            case "reshape":
                x = self.graph[node.inputs[0]]
                whole = terms[0] if self.shape_of(x) == x.type.shape else signs.call("expand", [terms[0], self.shape(x)])
                return signs.call("reshape", [whole, self.shape(node)])
            case "transpose":
                axes = [a - (BATCH in node.type.shape[:1]) for a in node.attributes["axes"] if node.type.shape[a] != BATCH]
                return signs.call("transpose", [terms[0], Term(str(axes))])
            case "flip":
                return signs.call("reverse", [terms[0], *self.along(node, 0)])
            case "concat":
                return signs.call("stack" if self.stacks(node) else "concat", [*terms, *self.along(node, 0)])
            case other:
                return signs.call(other, [*terms, *self.along(node)])

    def shape(self, node: Node) -> Term:
        return Term(f"[{', '.join(self.size(d).text for d in _of_example(node.type.shape))}]")

    def shape_of(self, node: Node) -> Shape | None:
        """The shape that a formula seems to have: it does not show along which axes a value is repeated."""
        if node.name in self.names or not (node.op.pointwise or node.op.name == "expand"):
            return node.type.shape
        shapes = [self.shape_of(self.graph[i]) for i in node.inputs]
        return broadcast(*filter(None, shapes))

    def along(self, node: Node, usual: int = -1) -> list[Term]:
        """The axis of one example that an operation goes along, where it is not the usual one."""
        axis = node.attributes.get("axis")
        shape = self.graph[node.inputs[0]].type.shape if node.inputs else ()
        axes = [a - (BATCH in shape[:1]) for a in node.attributes.get("axes", () if axis is None else (axis,))]
        return [self.axis(axes)] if axes and axes != [usual % len(_of_example(shape))] else []

    def stacks(self, node: Node) -> bool:
        """Whether what is laid one after another has got the axis for that."""
        axis = node.attributes["axis"] - (BATCH in node.type.shape[:1])
        return all(self.has_got(self.graph[i], axis) for i in node.inputs)

    def has_got(self, x: Node, axis: int) -> bool:
        x = self.graph[x.inputs[0]] if x.op.name == "expand" else x
        shape = _of_example(x.type.shape)
        return x.op.name == "reshape" and _of_example(self.graph[x.inputs[0]].type.shape) == shape[:axis] + shape[axis + 1 :]

    def known(self, node: Node) -> Term:
        """A value that is made of nothing else: numbers, a size, or positions."""
        match node.op.name:
            case "const":
                return self.signs.constant(node.attributes["value"])
            case "size_of":
                return replace(self.size(node.attributes["size"]), is_size=True)
        return self.signs.call("range", [self.signs.number(0), self.size(node.attributes["length"])])

    def factors(self, node: Node) -> tuple[float, list[Term], list[Term]]:
        """A product taken apart: a number, what is multiplied, and what it is divided by."""
        if node.name in self.names:
            return 1.0, [self.names[node.name]] if self.names[node.name] != ONE else [], []
        match node.op.name:
            case "const" if isinstance(node.attributes["value"], int | float):
                return float(node.attributes["value"]), [], []
            case "neg":
                number, above, below = self.factors_of(node.inputs[0])
                return -number, above, below
            case "mul":
                (n0, a0, b0), (n1, a1, b1) = map(self.factors_of, node.inputs)
                return n0 * n1, a0 + a1, b0 + b1
            case "div":
                (n0, a0, b0), (n1, a1, b1) = map(self.factors_of, node.inputs)
                return n0 / n1 if n1 else n0, a0 + b1, b0 + a1
            case "gate":  # what comes back through a relu
                number, above, below = self.factors_of(node.inputs[0])
                open_ = self.signs.infix(">", self.term(node.inputs[1]), self.signs.number(0))
                return number, [*above, open_], below
            case "expand" | "reshape" if unchanged := self.unchanged(node):
                return self.factors_of(unchanged)
            case "sum":
                number, above, below = self.factors_of(node.inputs[0])
                of_classes = node.attributes["axes"] == (self.graph[node.inputs[0]].type.rank - 1,)
                if of_classes and all(t.is_size for t in below) and [t.adds_to_one for t in above] == [True]:
                    return number, [], below
                if number != 1:
                    return number, [self.reduced(node, self.signs.product(1.0, above, below))], []
        return 1.0, [self.written(node)], []

    def factors_of(self, name: str) -> tuple[float, list[Term], list[Term]]:
        return self.factors(self.graph[name])

    def size(self, size: Dim) -> Term:
        """A size that may be known only at run time."""
        if isinstance(size, int):
            return self.signs.number(size)
        parts = [(factor, [self.signs.name(n) for n in names]) for names, factor in size.terms]
        return self.signs.sum([(1 if factor > 0 else -1, self.signs.product(abs(factor), names, [])) for factor, names in parts])

    def slice(self, node: Node) -> str:
        """What a cut takes of an example: a range, or one place, which is -1 at the end, unless its number is written."""
        axis, start, stop = (node.attributes[a] for a in ("axis", "start", "stop"))
        x = self.graph[node.inputs[0]].type
        at_end = stop == x.shape[axis]
        one = str(-1 if at_end and start != 0 and not _is_written(start, node) else start)
        part = f"{'' if start == 0 else start}:{'' if at_end else stop}"
        return ", ".join([*[":"] * (axis - x.has_batch), one if stop - start == 1 else part])

    def padded(self, node: Node, x: Term) -> Term:
        """What comes back through a cut: a piece between zeros."""
        axis, before, after = (node.attributes[a] for a in ("axis", "before", "after"))
        if before == after == 0:
            return x
        place = (axis - node.type.has_batch, before, node.type.shape[axis] - after, node.type.shape[axis])
        return replace(self.signs.call("pad", [x, Term(str(before)), Term(str(after))]), piece=Piece(x, *place))

    def unchanged(self, node: Node) -> str:
        """The value that a node is but for its shape or type, or turned twice, if it is one."""
        match node.op.name:
            case "expand" | "cast":
                return node.inputs[0]
            case "cut" if node.type.shape == self.graph[node.inputs[0]].type.shape and node.role == "backward":
                return node.inputs[0]
            case "reshape" if self.says_nothing(node) and not self.is_column(node):
                return node.inputs[0]
            case "transpose" if self.swaps_last(node):
                x = self.graph[node.inputs[0]]
                return x.inputs[0] if x.op.name == "transpose" and x.name not in self.names and self.swaps_last(x) else ""
        return ""

    def swaps_last(self, node: Node) -> bool:
        axes = node.attributes["axes"]
        return len(axes) > 1 and axes == (*range(len(axes) - 2), len(axes) - 1, len(axes) - 2)

    def says_nothing(self, node: Node) -> bool:
        """A reshape that adds or takes away axes of length 1, or lays the examples of a batch one after the other."""
        before, after = self.graph[node.inputs[0]].type.shape, node.type.shape
        if [d for d in before if d != 1] == [d for d in after if d != 1]:
            return True
        longer, shorter = (before, after) if len(before) > len(after) else (after, before)
        merged = len(longer) - len(shorter) + 1
        return BATCH in longer[:merged] and longer[merged:] == shorter[1:] and count(longer[:merged]) == shorter[0]

    def is_column(self, node: Node) -> bool:
        """Whether numbers are laid along another axis than the last, as nothing beside them shows: they are known, or span a table."""
        if node.type.shape[-1:] != (1,) or self.graph[node.inputs[0]].type.shape[-1:] == (1,) or len(_of_example(node.type.shape)) < 2:
            return False
        tables = [r for r in self.graph if node.name in r.inputs and r.op.pointwise]
        spans = node.type.rank > 1 + node.type.has_batch and any(
            all(self.graph[i].type.shape != r.type.shape for i in r.inputs) for r in tables
        )
        return spans or not any(self.graph[n].op.is_source for n in self.graph.needed([node.name]))

    def reduced(self, node: Node, x: Term) -> Term:
        """A reduction over axes of one example, and over the examples."""
        shape, axes = self.axes_of(node)
        batched = BATCH in shape[:1]
        if of_example := [a - batched for a in axes if shape[a] != BATCH]:
            x = self.over_axes(node, x, of_example, whole=len(of_example) == len(shape) - batched)
        over_all = BATCH in (shape[a] for a in axes) and node.name not in self.left_out
        return self.signs.call(f"batch_{node.op.name}", [x]) if over_all else x

    def axes_of(self, node: Node) -> tuple[Shape, list[int]]:
        """The axes of a reduction and the shape that has them, before its examples were laid one after the other."""
        x, axes = self.graph[node.inputs[0]], node.attributes["axes"]
        if x.op.name != "reshape" or BATCH in x.type.shape[:1] or not x.type.has_batch or not self.says_nothing(x):
            return x.type.shape, [*axes]
        shape = self.graph[x.inputs[0]].type.shape
        more = len(shape) - x.type.rank
        return shape, [*(range(more + 1) if 0 in axes else ()), *(a + more for a in axes if a)]

    def over_axes(self, node: Node, x: Term, axes: list[int], *, whole: bool) -> Term:
        arguments = [x] if whole else [x, self.axis(axes)]
        keeps = node.attributes["keep"] or node.name in self.kept
        if keeps and not whole and axes != [*range(len(axes))]:  # or the other axes would move up to others
            arguments.append(Term(f"{self.signs.name('keep').text} = {self.signs.name('true').text}", SUM))
        return self.signs.call(node.op.name, arguments)

    @cached_property
    def kept(self) -> frozenset[str]:
        """The reductions whose axes are put back as axes of length 1."""
        found = ((self.graph[n.inputs[0]], n.type.shape) for n in self.graph if n.op.name == "reshape")
        reductions = ((n, shape) for n, shape in found if n.op.name in REDUCTIONS)
        return frozenset(n.name for n, shape in reductions if kept(self.graph[n.inputs[0]].type, n.attributes["axes"]) == shape)

    def axis(self, axes: Sequence[int]) -> Term:
        text = str(axes[0]) if len(axes) == 1 else f"[{', '.join(map(str, axes))}]"
        return Term(f"{self.signs.name('axis').text} = {text}", SUM)


def _of_example(shape: Shape) -> Shape:
    return tuple(d for d in shape if d != BATCH)


def _is_written(place: Dim, node: Node) -> bool:
    """Whether the indices that a node was made of have it so."""
    indices = node.span.text.rpartition("[")[2] if node.span else ""
    return str(place) in indices.rstrip("] ").replace(" ", "").split(",")


def is_long(graph: Graph, output: str) -> bool:
    """Whether a formula would be too long to read, or is a loop."""
    needed = graph.needed([output])
    return len(needed) > MOST_NODES or any(graph[n].op.name == "scan" for n in needed)
