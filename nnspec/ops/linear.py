"""The matrix product, and orthogonal matrices."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from nnspec.blas import accumulated_product, product
from nnspec.graph import Graph, Op, Shape, Type, Var
from nnspec.graph.loop import Loop
from nnspec.graph.op import OPS
from nnspec.graph.types import Dim, count
from nnspec.lazy import np
from nnspec.ops.arrange import reshape
from nnspec.ops.columns import in_turn


def _rows(x: Var) -> Var:
    """All leading axes as one."""
    return reshape(x, shape=(count(x.type.shape[:-1]), x.type.shape[-1]))


def _matmul_grad(g: Var, out: Var, x: Var, y: Var) -> tuple[Var, Var]:
    if y.type.rank == 2 and x.type.rank > 2:
        # One product over all rows, instead of one an example and a sum of them.
        return reshape(_rows(g) @ y.mT, shape=x.type.shape), _rows(x).mT @ _rows(g)
    return g @ y.mT, x.mT @ g


def _matmul_into(out: Any, x: Any, y: Any) -> Callable[[], Any]:
    if y.ndim == 2 and x.ndim > 2 and x.flags.c_contiguous and out.flags.c_contiguous:
        return product(x.reshape(-1, x.shape[-1]), y, out.reshape(-1, y.shape[-1]))
    if y.ndim == 2 and x.ndim > 2 and out.mT.flags.c_contiguous and not y.flags.f_contiguous:
        return _with_columns(out, x, y)
    return product(x, y, out)


def _with_columns(out: Any, x: Any, y: Any) -> Callable[[], Any]:
    """Many products with one matrix, into columns: it is laid out once in the order that BLAS takes for them."""
    ordered = np.empty_like(y, order="F")
    turn = turned_into(ordered, y)

    def run() -> None:
        turn()
        np.matmul(x, ordered, out)

    return run


STRIP = 16


def turned_into(out: Any, x: Any) -> Callable[[], Any]:
    """A copy of a matrix into memory where rows are columns, strip by strip: as a whole it would use a line of cache for every number."""
    strips = [(out[i : i + STRIP], x[i : i + STRIP]) for i in range(0, len(x), STRIP)]

    def run() -> None:
        for to, of in strips:
            np.copyto(to, of)

    return run


def _matmul_flops(out: Type, x: Type, y: Type) -> Dim:
    return 2 * count(out.shape) * x.shape[-1]


matmul = Op(
    "matmul(x: [*s, m, k], y: [*s, k, n]) -> [*s, m, n]",
    "Matrix product over the last two axes; leading axes broadcast.",
    kernel=np.matmul,
    grad=_matmul_grad,
    onnx="MatMul",
    examples=("matmul([[1, 2]], [[3], [4]]) == [[11]]", "matmul([[[1, 2]], [[0, 1]]], [[3], [4]]) == [[[11]], [[4]]]"),
    prepare=_matmul_into,
    strided=True,
    flops=_matmul_flops,
    meets=lambda x, y: [(x.rank - 1,), (y.rank - 2,)],
    adds_up=True,
)


def _gemm_into(out: Any, x: Any, y: Any, c: Any, keep: float) -> Callable[[], Any]:
    add = accumulated_product(x, y, out, keep)
    if out.ctypes.data == c.ctypes.data:
        return add
    return in_turn([partial(np.copyto, out, c), add])


gemm: Op = Op(
    "gemm(x: [m, k], y: [k, n], c: [m, n], keep) -> [m, n]",
    "x @ y + keep * c, in one pass over c.",
    kernel=lambda x, y, c, keep: x @ y + x.dtype.type(keep) * c,
    grad=lambda g, out, x, y, c, keep: (g @ y.mT, x.mT @ g, g * keep),
    onnx=lambda o, x, y, c, keep: o.node("Gemm", x, y, c, beta=float(keep)),
    examples=("gemm([[1, 2]], [[3], [4]], [[10]], keep = 0.5) == [[16]]",),
    prepare=_gemm_into,
    strided=True,
    onto="c",
    meets=lambda x, y, c, keep: [(1,), (0,), ()],
    flops=lambda out, x, y, c, keep: 2 * count(out.shape) * (x.shape[-1] + 1),
)


def _orthogonal(x: Any) -> Any:
    tall = x.shape[-2] >= x.shape[-1]
    q, r = np.linalg.qr(x if tall else x.mT)
    q = q * np.where(np.diagonal(r, axis1=-2, axis2=-1) < 0, -1, 1).astype(x.dtype)[..., None, :]
    return q if tall else q.mT


def _onnx_orthogonal(o: Any, x: str) -> str:
    """Gram and Schmidt's way, in float64 and twice over, which is as exact as reflections (Giraud et al. 2005); ONNX has no QR."""
    *before, m, n = o.type(x).shape
    tall, rank = m >= n, len(before) + 2
    length, width = (m, n) if tall else (n, m)
    first = [rank - 1, *range(rank - 1)] if tall else [rank - 2, *range(rank - 2), rank - 1]
    columns = o.unsqueeze(o.cast(o.node("Transpose", x, perm=first), "float64"), -1)
    places = o.constant(np.eye(width).reshape(width, 1, width), "float64")
    none = o.node("Expand", o.constant(0, "float64"), o.shape((*before, length, width)))
    q = o.scan((none, columns, places), Loop(_one_column((*before, length), width)), 1, 2, width, False)
    turned = q if tall else o.node("Transpose", q, perm=[*range(rank - 2), rank - 1, rank - 2])
    return str(o.cast(turned, o.type(x).dtype))


def _one_column(column: Shape, width: int) -> Graph:
    """A step of it: a column goes to its place among those before it, freed of what lies along them."""
    graph = Graph("column", "float64")
    shapes = {"carry:0": (*column, width), "item:0": (*column, 1), "item:1": (1, width)}
    q, a, place = (graph.source(OPS["input"], name, Type("float64", shape)) for name, shape in shapes.items())
    for _ in range(2):
        a = a - q @ (q.mT @ a)
    length = OPS["sqrt"](OPS["sum"](OPS["square"](a), axes=(len(column) - 1,), keep=True))
    graph.outputs["carry:0"] = (q + a / length * place).name
    return graph


orthogonal = Op(
    "orthogonal(x: [*s, m, n]) -> [*s, m, n]",
    "Orthonormal columns that span those of x, or rows where x is wide: Q of x = QR with a positive diagonal of R, which makes it unique.",
    kernel=_orthogonal,
    onnx=_onnx_orthogonal,
    examples=(
        "orthogonal([[3, 1], [4, 2]]) ~= [[0.6, -0.8], [0.8, 0.6]]",
        "orthogonal([[-3], [4], [0]]) ~= [[-0.6], [0.8], [0.0]]",
        "orthogonal([[-3, 4, 0]]) ~= [[-0.6, 0.8, 0.0]]",
    ),
    why="it is for initial weights, which have no gradient",
)
