"""A graph as a formula of one example, as a person would write it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from functools import cached_property

from nnspec.derivation import windows
from nnspec.derivation.axes import Axes, from_first
from nnspec.derivation.calls import Calls
from nnspec.derivation.signs import PRODUCT, Piece, Signs, Term
from nnspec.derivation.sums import REDUCTIONS, is_over_the_batch, sums_of
from nnspec.graph import BATCH, Graph, Node, Shape
from nnspec.graph.types import BATCH_NAME, broadcast, count
from nnspec.ops.operators import BINARY
from nnspec.record import dataclass

INFIX = {op: sign for sign, op in BINARY.items()}
PRODUCTS = ("mul", "neg", "div", "gate")
MOST_NODES = 40
ONE = Term("1")
"""The derivative of the loss by itself."""


@dataclass(frozen=True)
class Formula:
    """Writes nodes of a graph; those in `names` as their names, axes as those of one example.

    A sum over the examples is written, but for those that are `left_out`: what is written is one example's share then. What is written of
    a node has the shape of it, or one that broadcasts to it by the rule of the language; only operations on elements take the latter.
    """

    graph: Graph
    names: Mapping[str, Term]
    signs: Signs
    left_out: Set[str] = frozenset()

    def of(self, name: str) -> Term:
        """The formula of a node, whatever it is called itself."""
        return self.written(self.graph[name])

    def term(self, name: str) -> Term:
        if name not in self.terms:
            self.terms[name] = self.named(name) if name in self.names else self.written(self.graph[name])
        return self.terms[name]

    @cached_property
    def axes(self) -> Axes:
        return Axes(self.graph, self.names)

    @cached_property
    def calls(self) -> Calls:
        return Calls(self.signs)

    @cached_property
    def terms(self) -> dict[str, Term]:
        """What has been written so far."""
        return {}

    def named(self, name: str) -> Term:
        term = self.names[name]
        return term if term == ONE else replace(term, shape=self.axes.shape(name))

    def exact(self, name: str) -> Term:
        """A term in the shape of its node."""
        return self.fitted(self.term(name), name)

    def fitted(self, term: Term, name: str) -> Term:
        """What is written of a node, in the shape of that."""
        fits = term.shape == self.axes.shape(name) or name in self.names
        kept = None if fits else self.kept(self.graph[name])
        return kept or self.calls.shaped(term, self.axes.shape(name))

    def shaped(self, name: str, shape: Shape) -> Term:
        """A term in another shape than its node, with as many elements."""
        term = self.term(name)
        return self.calls.shaped(term if count(term.shape) == count(shape) else self.exact(name), shape)

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
        return self.calls.of("batch_sum", inside.shape, inside)

    def of_one_example(self, node: Node) -> Term:
        if node.op.name in PRODUCTS:
            return self.product(*self.factors(node))
        if unchanged := self.unchanged(node):
            return self.term(unchanged)
        if node.op.name in REDUCTIONS:
            return self.reduced(node)
        if node.op.name == "matmul":
            return self.multiplied(node)
        if node.op.name in windows.OPERATIONS:
            return windows.Windows(self.graph, node, self.calls).call(self.shaped)
        if node.op.pointwise:
            terms = [self.term(i) for i in node.inputs]
            return replace(self.of_elements(node, terms), shape=common(terms))
        return replace(self.arranged(node), shape=self.axes.shape(node.name))

    def product(self, number: float, above: list[Term], below: list[Term]) -> Term:
        return replace(self.signs.product(number, above, below), shape=common([*above, *below]))

    def of_elements(self, node: Node, terms: list[Term]) -> Term:
        """The formula of an operation on single elements."""
        signs = self.signs
        match node.op.name:
            case "add":
                return signs.sum([(1, t) for t in terms])
            case "sub":
                return signs.sum([(1, terms[0]), (-1, terms[1])])
            case "pow":
                return signs.power(*terms)
            case "square":
                return signs.power(terms[0], signs.number(2))
            case "exp" if self.graph[node.inputs[0]].op.name == "log_softmax":
                inner = self.graph[node.inputs[0]]
                return signs.call("softmax", [self.exact(inner.inputs[0]), *self.along(inner)])
            case "where":
                return signs.choice(*terms)
            case "maximum" | "minimum":
                return signs.call(node.op.name[:3], terms)
            case "mod":
                return signs.infix(INFIX["mod"], terms[0], terms[1], PRODUCT)
            case other if other in INFIX:
                return signs.infix(INFIX[other], terms[0], terms[1])
        return signs.call(node.op.name, [*terms, *self.along(node)])

    def multiplied(self, node: Node) -> Term:
        """A product of matrices: a vector is a row, and with ᵀ a column."""
        left, right = (self.as_row(i) for i in node.inputs)
        shape = self.axes.shape(node.name)
        row = len(left.shape) < len(self.axes.shape(node.inputs[0]))
        if not self.axes.is_transposed(self.graph[node.inputs[0]]):
            right = self.exact(node.inputs[1])
        return replace(self.signs.matmul(left, right), shape=(*shape[:-2], shape[-1]) if row else shape)

    def as_row(self, name: str) -> Term:
        """A matrix of one row may be written as that."""
        term, shape = self.term(name), self.axes.shape(name)
        return term if len(shape) == 2 and (1, *term.shape) == shape else self.fitted(term, name)

    def arranged(self, node: Node) -> Term:
        """The formula of an operation that moves elements, or of any that is written as it is called."""
        signs, first = self.signs, node.inputs[0] if node.inputs else ""
        match node.op.name:
            case "const" | "size_of" | "iota":
                return self.known(node)
            case "random":
                return signs.call("random", [*map(self.exact, node.inputs), signs.number(node.attributes["stream"])])
            case "one_hot":
                return replace(signs.call("one_hot", [self.exact(first)]), adds_to_one=True)
            case "cumsum" if node.attributes["reverse"]:
                turned = signs.call("reverse", [self.exact(first), *self.along(node, 0)])
                return signs.call("reverse", [signs.call("cumsum", [turned, *self.along(node)]), *self.along(node, 0)])
            case "transpose" if self.axes.is_transposed(node):
                return signs.transposed(self.as_row(first))
            case "cut":
                return signs.indexed(self.exact(first), self.axes.slice(node))
            case "pad":
                return self.padded(node, self.exact(first))
            case "reshape":
                return self.taken(node) or self.kept(node) or self.shaped(first, self.axes.shape(node.name))
            case "transpose":
                axes = [a - (BATCH in node.type.shape[:1]) for a in node.attributes["axes"] if node.type.shape[a] != BATCH]
                return signs.call("transpose", [self.exact(first), Term(str(axes))])
            case "flip":
                return signs.call("reverse", [self.exact(first), *self.along(node, 0)])
            case "concat" if self.axes.stacks(node):
                return signs.call("stack", [*(self.without(i, node) for i in node.inputs), *self.along(node, 0)])
            case "concat":
                return signs.call("concat", [*map(self.exact, node.inputs), *self.along(node, 0)])
            case other:
                return signs.call(other, [*map(self.exact, node.inputs), *self.along(node)])

    def along(self, node: Node, usual: int = -1) -> list[Term]:
        """The axis of one example that an operation goes along, where it is not the usual one."""
        axis = node.attributes.get("axis")
        shape = self.graph[node.inputs[0]].type.shape if node.inputs else ()
        axes = [a - (BATCH in shape[:1]) for a in node.attributes.get("axes", () if axis is None else (axis,))]
        return [self.calls.axis(axes)] if axes and axes != [usual % (len(shape) - (BATCH in shape[:1]))] else []

    def without(self, name: str, node: Node) -> Term:
        """What is put side by side along an axis, before it got that."""
        x = self.graph[name]
        inner = self.graph[x.inputs[0]] if x.op.name == "expand" else x
        axis, shape = node.attributes["axis"] - node.type.leads_with_batch, self.axes.shape(name)
        return self.calls.shaped(self.term(inner.inputs[0]), shape[:axis] + shape[axis + 1 :])

    def known(self, node: Node) -> Term:
        """A value that is made of nothing else: numbers, a size, or positions."""
        match node.op.name:
            case "const":
                return self.signs.constant(node.attributes["value"])
            case "size_of":
                return replace(self.calls.size(node.attributes["size"]), is_size=True)
        return self.signs.call("range", [self.signs.number(0), self.calls.size(node.attributes["length"])])

    def factors(self, node: Node) -> tuple[float, list[Term], list[Term]]:
        """A product taken apart: a number, what is multiplied, and what it is divided by."""
        if node.name in self.names:
            return 1.0, [self.named(node.name)] if self.names[node.name] != ONE else [], []
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
                over = self.term(node.inputs[1])
                open_ = self.signs.infix(">", over, self.signs.number(0))
                return number, [*above, replace(open_, shape=over.shape)], below
            case "expand" | "reshape" if unchanged := self.unchanged(node):
                return self.factors_of(unchanged)
            case "sum" | "reshape" if (total := self.axes.keeps(node) or node).op.name == "sum":
                return self.factors_of_sum(total, keep=total is not node)
            case "reshape" if (number := (inner := self.factors_of(node.inputs[0]))[0]) != 1:
                x = self.fitted(self.product(1.0, *inner[1:]), node.inputs[0])
                return number, [self.calls.shaped(x, self.axes.shape(node.name))], []
        return 1.0, [self.written(node)], []

    def factors_of_sum(self, node: Node, *, keep: bool) -> tuple[float, list[Term], list[Term]]:
        """A sum of products by a number, as that number by the sum of the rest."""
        operand, _ = self.axes.operand(node)
        number, above, below = self.factors_of(operand)
        of_classes = node.attributes["axes"] == (self.graph[node.inputs[0]].type.rank - 1,)
        if of_classes and all(t.is_size for t in below) and [t.adds_to_one for t in above] == [True]:
            return number, [], below
        x = self.term(operand) if number == 1 else self.product(1.0, above, below)
        return number, [self.reduction(node, x, keep=keep)], []

    def factors_of(self, name: str) -> tuple[float, list[Term], list[Term]]:
        return self.factors(self.graph[name])

    def padded(self, node: Node, x: Term) -> Term:
        """What comes back through a cut: a piece between zeros."""
        axis, before, after = (node.attributes[a] for a in ("axis", "before", "after"))
        if before == after == 0:
            return x
        place = (axis - node.type.has_batch, before, node.type.shape[axis] - after, node.type.shape[axis])
        numbers = (self.calls.size(d) for d in (place[0], before, after))
        return replace(self.signs.call("pad_axis", [x, *numbers]), piece=Piece(x, *place))

    def unchanged(self, node: Node) -> str:
        """The value that a node is but for its shape or type, or turned twice, if it is one."""
        match node.op.name:
            case "expand" | "cast":
                return node.inputs[0]
            case "cut" if node.type.shape == self.graph[node.inputs[0]].type.shape:
                return node.inputs[0]
            case "reshape" if self.broadcasts_alike(node):
                return node.inputs[0]
            case "transpose" if self.axes.is_transposed(node):
                x = self.graph[node.inputs[0]]
                return x.inputs[0] if self.axes.is_transposed(x) else ""
        return ""

    def broadcasts_alike(self, node: Node) -> bool:
        """Whether what is reshaped goes together with other shapes as it would without: axes of length 1 in front change nothing."""
        written, before, after = self.term(node.inputs[0]).shape, self.axes.shape(node.inputs[0]), self.axes.shape(node.name)
        return len(written) <= len(after) and ({*written} <= {1} or from_first(before) == from_first(after))

    def taken(self, node: Node) -> Term | None:
        """A reshape that leaves out the axis of one element which is cut there: that element."""
        x = self.graph[node.inputs[0]]
        if x.op.name != "cut" or x.name in self.names:
            return None
        axis, shape = x.attributes["axis"] - x.type.has_batch, self.axes.shape(x.name)
        if shape[axis] != 1 or shape[:axis] + shape[axis + 1 :] != self.axes.shape(node.name):
            return None
        return self.signs.indexed(self.exact(x.inputs[0]), self.axes.place(x))

    def kept(self, node: Node) -> Term | None:
        """A reduction with its axes, where a node has them."""
        reduction = self.axes.keeps(node)
        return self.reduced(reduction, keep=True) if reduction else None

    def reduced(self, node: Node, *, keep: bool = False) -> Term:
        """A reduction of what it reads."""
        number, above, below = self.factors_of(self.axes.operand(node)[0]) if node.op.name == "sum" else (1.0, [], [])
        if number < 0:
            inside = self.reduction(node, self.product(-number, above, below), keep=keep)
            return replace(self.signs.sum([(-1, inside)]), shape=inside.shape)
        return self.reduction(node, self.term(self.axes.operand(node)[0]), keep=keep)

    def reduction(self, node: Node, x: Term, *, keep: bool = False) -> Term:
        """A reduction of a term over axes of one example, and over the examples."""
        operand, axes = self.axes.operand(node)
        shape, over = self.axes.shape(operand), self.axes.over(node)
        leads = over == [*range(len(over))]  # what is left has its axes where it would have them beside those of length 1
        keep = keep or (node.attributes["keep"] and not leads)
        rest = tuple(1 if a in over else d for a, d in enumerate(shape) if keep or a not in over)
        if over:
            x = self.calls.of(node.op.name, rest, self.fitted(x, operand), *self.calls.ways(over, shape, keep=keep))
        over_all = BATCH in (self.graph[operand].type.shape[a] for a in axes) and node.name not in self.left_out
        return self.calls.of(f"batch_{node.op.name}", x.shape, x) if over_all else x


def common(terms: Sequence[Term]) -> Shape:
    """The shape that terms have together."""
    shape = broadcast(*(t.shape for t in terms))
    assert shape is not None, [t.text for t in terms]
    return shape


def is_long(graph: Graph, output: str) -> bool:
    """Whether a formula would be too long to read, or is a loop."""
    needed = graph.needed([output])
    return len(needed) > MOST_NODES or any(graph[n].op.name == "scan" for n in needed)
