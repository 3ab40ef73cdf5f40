"""Products of matrices, and Einstein's sums."""

from __future__ import annotations

import numpy as np

from nnspec.graph import Var
from nnspec.graph.types import count
from nnspec.interchange.from_onnx.call import Call, Rule
from nnspec.interchange.from_onnx.moves import rows, squeezed, unsqueezed
from nnspec.ops.arrange import reshape, transpose
from nnspec.ops.linear import matmul
from nnspec.ops.reduce import sum as sum_over


def _matmul(c: Call, x: Var, y: Var) -> Var:
    """A vector on the left is a row, one on the right a column, and the result has no axis for it."""
    row, column = x.type.rank == 1, y.type.rank == 1
    out = matmul(unsqueezed(x, [0]) if row else x, unsqueezed(y, [1]) if column else y)
    rank = out.type.rank
    return squeezed(out, [rank - 2] * row + [rank - 1] * column) if row or column else out


def _gemm(c: Call, x: Var, y: Var, z: Var | None = None) -> Var:
    out = matmul(x.mT if c.attr("transA", 0) else x, y.mT if c.attr("transB", 0) else y)
    alpha, beta = c.attr("alpha", 1.0), c.attr("beta", 1.0)
    out = out if alpha == 1 else alpha * out
    return out if z is None or beta == 0 else out + (z if beta == 1 else beta * z)


# ---- Einstein's sums: every operand with its axes by letter, joined from the left

Lettered = tuple[Var, str]


def _einsum(c: Call, *xs: Var) -> Var:
    terms, wanted = _letters(c, xs)
    operands = [_diagonal(c, x, t) for x, t in zip(xs, terms, strict=True)]
    total: Lettered | None = None
    for position, (x, t) in enumerate(operands):
        before, after = ("".join(o for _, o in part) for part in (operands[:position], operands[position + 1 :]))
        operand = _summed(x, t, before + after + wanted)
        total = _joined(total, operand, after + wanted) if total else operand
    assert total
    x, t = _summed(*total, wanted)
    return transpose(x, axes=tuple(t.index(a) for a in wanted)) if t != wanted else x


DOTS = "0123456789"
"""The letters of the axes that `...` stands for."""


def _letters(c: Call, xs: tuple[Var, ...]) -> tuple[list[str], str]:
    """A letter for each axis of each operand, and those of the result: without an arrow all that stand once, in their order."""
    equation = c.attr("equation", "").replace(" ", "")
    given, arrow, result = equation.partition("->")
    terms = given.split(",")
    if len(terms) != len(xs):
        raise c.fault("E524", f"`{equation}` is for {len(terms)} inputs, and there are {len(xs)}")
    dots = max((x.type.rank - len(t.replace("...", "")) for x, t in zip(xs, terms, strict=True) if "..." in t), default=0)
    once = sorted(a for a in set(given) if given.count(a) == 1 and a.isalpha())
    wanted = result.replace("...", DOTS[:dots]) if arrow else DOTS[:dots] + "".join(once)
    return [_written_out(t, x.type.rank, dots) for x, t in zip(xs, terms, strict=True)], wanted


def _written_out(term: str, rank: int, dots: int) -> str:
    own = rank - len(term.replace("...", ""))
    return term.replace("...", DOTS[dots - own : dots]) if "..." in term else term


def _diagonal(c: Call, x: Var, term: str) -> Lettered:
    """Where a letter stands twice, the elements whose places along both axes are the same."""
    twice = next((a for a in term if term.count(a) > 1), None)
    if twice is None:
        return x, term
    first = term.index(twice)
    second = term.index(twice, first + 1)
    order = [i for i in range(len(term)) if i not in (first, second)] + [first, second]
    turned = transpose(x, axes=tuple(order))
    (n,) = c.fixed(turned.type.shape[-1:])
    merged = reshape(turned, shape=(*turned.type.shape[:-2], n * n))
    rest = "".join(term[i] for i in order[:-2]) + twice
    return _diagonal(c, rows(merged, np.arange(n) * (n + 1), merged.type.rank - 1), rest)


def _summed(x: Var, term: str, later: str) -> Lettered:
    """Without the letters that nothing reads any more."""
    axes = tuple(i for i, a in enumerate(term) if a not in later)
    return (sum_over(x, axes=axes, keep=False) if axes else x), "".join(a for a in term if a in later)


def _joined(left: Lettered, right: Lettered, later: str) -> Lettered:
    """Two operands as one: a product of matrices over the letters that only they have, for each of those that they share and keep."""
    (x, a), (y, b) = left, right
    each = [i for i in a if i in b and i in later]
    over = [i for i in a if i in b and i not in later]
    own, others = [i for i in a if i not in b], [i for i in b if i not in a]
    out = matmul(_laid(x, a, [each, own, over]), _laid(y, b, [each, over, others]))
    sizes = {**dict(zip(a, x.type.shape, strict=True)), **dict(zip(b, y.type.shape, strict=True))}
    shape = (*out.type.shape[: len(each)], *(sizes[i] for i in (*own, *others)))
    return reshape(out, shape=shape), "".join([*each, *own, *others])


def _laid(x: Var, term: str, groups: list[list[str]]) -> Var:
    """The axes of the first group as they are, those of every other as one axis."""
    order = [term.index(i) for group in groups for i in group]
    turned = transpose(x, axes=tuple(order)) if order != sorted(order) else x
    sizes = [[x.type.shape[term.index(i)] for i in group] for group in groups]
    return reshape(turned, shape=(*sizes[0], *(count(s) for s in sizes[1:])))


RULES: dict[str, Rule] = {"MatMul": _matmul, "Gemm": _gemm, "Einsum": _einsum}
