"""A graph as a formula of one example, as a person would write it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from nnspec.derivation.signs import PRODUCT, SUM, Piece, Signs, Term
from nnspec.graph import BATCH, Dim, Graph, Node
from nnspec.graph.types import count
from nnspec.ops.operators import BINARY
from nnspec.record import dataclass

INFIX = {op: sign for sign, op in BINARY.items()}
PRODUCTS = ("mul", "neg", "div", "gate")
REDUCTIONS = ("sum", "mean", "max", "min", "logsumexp")
MOST_NODES = 40
ONE = Term("1")
"""The derivative of the loss by itself."""


@dataclass(frozen=True)
class Formula:
    """Writes nodes of a graph; those in `names` as their names, axes as those of one example.

    What examples share gets a sum over them, which is not written: `of_example` says that there is none in between.
    """

    graph: Graph
    names: Mapping[str, Term]
    signs: Signs
    of_example: bool = True

    def of(self, name: str) -> Term:
        """The formula of a node, whatever it is called itself."""
        return self.written(self.graph[name])

    def term(self, name: str) -> Term:
        return self.names.get(name) or self.written(self.graph[name])

    def written(self, node: Node) -> Term:
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
            case "transpose" if self.swaps_last(node):
                return signs.transposed(terms[0])
            case "cut":
                return signs.indexed(terms[0], self.slice(node))
            case "pad":
                return self.padded(node, terms[0])
            case "exp" if self.graph[node.inputs[0]].op.name == "log_softmax":
                return signs.call("softmax", [self.term(self.graph[node.inputs[0]].inputs[0])])
            case "one_hot":
                return replace(signs.call("one_hot", terms), adds_to_one=True)
            case "where":
                return signs.choice(*terms)
            case "sum" if (taken := self.factors_of(node.inputs[0]))[0] < 0:
                return signs.sum([(-1, self.reduced(node, signs.product(-taken[0], *taken[1:])))])
            case "reshape" if self.is_column(node):
                shape = node.type.shape[node.type.has_batch :]
                return signs.call("reshape", [terms[0], Term(f"[{', '.join(self.size(d).text for d in shape)}]")])
            case other if other in REDUCTIONS:
                return self.reduced(node, terms[0])
            case "maximum" | "minimum":
                return signs.call(node.op.name[:3], terms)
            case "mod":
                return signs.infix(INFIX["mod"], terms[0], terms[1], PRODUCT)
            case other if other in INFIX:
                return signs.infix(INFIX[other], terms[0], terms[1])
            case other:
                return signs.call(other, terms)

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
            case "expand" | "reshape" if node.op.name == "expand" or self.says_nothing(node):
                return self.factors_of(node.inputs[0])
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
        """Whether numbers that hang on nothing are laid along another axis than the last."""
        moved = node.op.name == "reshape" and node.type.shape[-1:] == (1,) != self.graph[node.inputs[0]].type.shape[-1:]
        return moved and not any(self.graph[n].op.is_source for n in self.graph.needed([node.name]))

    def reduced(self, node: Node, x: Term) -> Term:
        """A reduction over axes of one example; gradients of what all examples share are sums over them, of which one is shown."""
        shape = self.graph[node.inputs[0]].type.shape
        batched = BATCH in shape[:1]
        axes = [a - batched for a in node.attributes["axes"] if not (batched and a == 0)]
        if batched and 0 in node.attributes["axes"] and not axes:
            return x if node.op.name == "sum" and self.of_example else self.signs.call(f"batch_{node.op.name}", [x])
        whole = len(axes) == len(shape) - batched
        arguments = [x] if whole else [x, self.axis(axes)]
        if node.attributes["keep"] and not whole and axes != [*range(len(axes))]:  # or the other axes would move up to others
            arguments.append(Term(f"{self.signs.name('keep').text} = {self.signs.name('true').text}", SUM))
        return self.signs.call(node.op.name, arguments)

    def axis(self, axes: Sequence[int]) -> Term:
        text = str(axes[0]) if len(axes) == 1 else f"[{', '.join(map(str, axes))}]"
        return Term(f"{self.signs.name('axis').text} = {text}", SUM)


def _is_written(place: Dim, node: Node) -> bool:
    """Whether the indices that a node was made of have it so."""
    indices = node.span.text.rpartition("[")[2] if node.span else ""
    return str(place) in indices.rstrip("] ").replace(" ", "").split(",")


def is_long(graph: Graph, output: str) -> bool:
    """Whether a formula would be too long to read, or is a loop."""
    needed = graph.needed([output])
    return len(needed) > MOST_NODES or any(graph[n].op.name == "scan" for n in needed)
