"""Elements and rows by their number."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

from nnspec.graph import Absent, Mismatch, Op, Shape, Type, Var
from nnspec.graph.op import nowhere
from nnspec.graph.types import Dim, count, show
from nnspec.lazy import np, real
from nnspec.ops.arrange import expand, reshape
from nnspec.ops.pointwise import cast, equal, where


def _check(i: Any, have: int, what: str) -> None:
    """Absent where a number is below 0 or as large as there are elements."""
    if i.size and _unsigned(i).max() >= have:
        raise Absent(f"there is no {what} {i.min() if i.min() < 0 else i.max()}: there are {have}, numbered from 0")


def _unsigned(i: Any) -> Any:
    """Those below 0 are larger than all others here, so that one comparison finds both."""
    return i.view(f"u{i.itemsize}")


def _places(i: Any, n: int, what: str) -> tuple[Any, Callable[[], Any]]:
    """Where the chosen elements of rows of n lie in their memory, and what computes it after a look at the numbers."""
    first, at, numbers, seen, largest = np.arange(i.size) * n, np.empty(i.size, np.int64), i.reshape(-1), _unsigned(i), np.maximum.reduce

    def run() -> None:
        if seen.size and largest(seen, None) >= n:
            _check(i, n, what)
        np.add(first, numbers, at)

    return at, run


def _one_hot(i: Any, size: int, dtype: str) -> Any:
    _check(i, size, "class")
    return np.equal(i[..., None], np.arange(size)).astype(dtype)


def _one_hot_into(out: Any, i: Any, size: int, dtype: str) -> Callable[[], Any]:
    flat, one, (at, find) = out.reshape(-1), np.ones(1, dtype), _places(i, size, "class")

    def run() -> None:
        find()
        flat.fill(0)
        flat.put(at, one)

    return run


def _onnx_one_hot(o: Any, i: str, size: int, dtype: str) -> str:
    one = o.type(i).rank == 0  # onnxruntime has no OneHot of a single number
    hot = o.node("OneHot", o.unsqueeze(i, 0) if one else i, o.constant(size, "int64"), o.constant((0, 1), dtype), axis=-1)
    return str(o.squeeze(hot, 0) if one else hot)


one_hot = Op(
    "one_hot(i: int[*s], size, dtype) -> [*r]",
    "1 at position i along a new last axis, and 0 elsewhere.",
    kernel=_one_hot,
    onnx=_onnx_one_hot,
    examples=(
        "one_hot([2, 0], size = 3, dtype = float32) == [[0, 0, 1], [1, 0, 0]]",
        "one_hot(2, size = 3, dtype = float32) == [0, 0, 1]",
    ),
    shape=lambda i, size, dtype: (*i.shape, size),
    prepare=_one_hot_into,
    why="its input is not a float",
    meets=nowhere,
)


def _pick(x: Any, i: Any) -> Any:
    _check(i, x.shape[-1], "element")
    return np.take_along_axis(x, i[..., None], -1)[..., 0]


def _picked_shape(x: Type, i: Type) -> Shape:
    """Other axes than the last do not broadcast."""
    if x.shape[:-1] != i.shape:
        raise Mismatch(f"{show(i.shape)} numbers choose from rows laid out as {show(x.shape[:-1])}", "i")
    return i.shape


def _pick_into(out: Any, x: Any, i: Any) -> Callable[[], Any]:
    flat, into, (at, find) = x.reshape(-1), out.reshape(-1), _places(i, x.shape[-1], "element")

    def run() -> None:
        find()
        flat.take(at, 0, into, "clip")

    return run


def _pick_grad(g: Var, out: Var, x: Var, i: Var) -> tuple[Var | None, ...]:
    chosen = one_hot(i, size=x.type.shape[-1], dtype=g.type.dtype)
    return (chosen * reshape(g, shape=(*g.type.shape, 1)), None)


pick = Op(
    "pick(x: [*s, n], i: int[*s]) -> [*s]",
    "The element at position i along the last axis.",
    kernel=_pick,
    grad=_pick_grad,
    onnx=lambda o, x, i: o.squeeze(o.node("GatherElements", x, o.unsqueeze(i, -1), axis=-1), -1),
    examples=("pick([[1, 2, 3], [4, 5, 6]], [2, 0]) == [3, 4]",),
    shape=_picked_shape,
    prepare=_pick_into,
    meets=lambda x, i: [(x.rank - 1,), ()],
)

# ---- rows


def _take(x: Any, i: Any) -> Any:
    _check(i, len(x), "row")
    return np.take(x, i, 0)


def _take_into(out: Any, x: Any, i: Any) -> Callable[[], Any]:
    def run() -> None:
        _check(i, len(x), "row")
        x.take(i, 0, out, "clip")  # checking as it goes, NumPy takes three times as long

    return run


def _put_rows(g: Any, i: Any, size: int) -> Any:
    out = np.zeros((size, *g.shape[i.ndim :]), g.dtype)
    np.add.at(out, i, g)
    return out


def _put_rows_into(out: Any, g: Any, i: Any, size: int) -> Callable[[], Any]:
    """Numbers are added one by one at their place in memory: NumPy is five times as fast at that as at adding rows."""
    width = prod(out.shape[1:])
    flat, numbers, column = out.reshape(-1), g.reshape(-1), np.arange(width)
    first, at = np.empty((i.size, 1), np.int64), np.empty((i.size, width), np.int64)

    def run() -> None:
        np.multiply(i.reshape(-1, 1), width, first)
        np.add(first, column, at)
        flat.fill(0)
        np.add.at(flat, at.reshape(-1), numbers)

    return run


def _onnx_put_rows(o: Any, g: str, i: str, size: Dim) -> str:
    row = o.type(g).shape[o.type(i).rank :]
    zeros = o.node("Expand", o.zero(g), o.shape((size, *row)))
    return str(o.node("ScatterND", zeros, o.unsqueeze(i, -1), g, reduction="add"))


take: Op = Op(
    "take(x: [n, *s], i: int[*r]) -> [*t]",
    "The rows of x of these numbers, laid out as the numbers are; a row taken twice gets both gradients.",
    kernel=_take,
    grad=lambda g, out, x, i: (put_rows(g, i, size=x.type.shape[0]), None),
    onnx=lambda o, x, i: o.node("Gather", x, i, axis=0),
    examples=(
        "take([[1, 2], [3, 4], [5, 6]], [2, 0, 2]) == [[5, 6], [1, 2], [5, 6]]",
        "take([[1, 2], [3, 4]], [[1, 1], [0, 1]]) == [[[3, 4], [3, 4]], [[1, 2], [3, 4]]]",
        "take([7, 8, 9], 1) == 8",
    ),
    shape=lambda x, i: (*i.shape, *x.shape[1:]),
    prepare=_take_into,
    meets=lambda x, i: [(0,), ()],
)
put_rows: Op = Op(
    "put_rows(g: [*t], i: int[*r], size) -> [size, *s]",
    "`size` rows of zeros with the rows of g added to those of these numbers: the gradient of take.",
    kernel=_put_rows,
    grad=lambda gg, out, g, i, size: (take(gg, i), None),
    onnx=_onnx_put_rows,
    examples=(
        "put_rows([[1, 2], [3, 4], [5, 6]], [2, 0, 2], size = 4) == [[3, 4], [0, 0], [6, 8], [0, 0]]",
        "put_rows([[1, 2], [3, 4]], [[1, 1], [1, 0]], size = 2) == [4, 6]",
        "put_rows([5, 6], 1, size = 2) == [[0, 0], [5, 6]]",
    ),
    shape=lambda g, i, size: (size, *g.shape[i.rank :]),
    prepare=_put_rows_into,
    flops=lambda out, g, i, size: count(g.shape),
    meets=lambda g, i, size: [range(i.rank), range(i.rank)],
    adds_up=True,
)


# ---- the largest


def _top(x: Any, size: int) -> Any:
    """Sorted from behind, as a stable sort keeps equal ones in order: the last of the reversed is the first."""
    order = x.shape[-1] - 1 - np.flip(np.argsort(np.flip(x, -1), -1, kind="stable"), -1)
    return np.ascontiguousarray(order[..., :size])


def _top_shape(x: Type, size: int) -> Shape:
    if isinstance(x.shape[-1], int) and size > x.shape[-1]:
        raise Mismatch(f"the {size} largest of {x.shape[-1]} are wanted", "x")
    return (*x.shape[:-1], size)


top = Op(
    "top(x: [*s, n], size) -> int[*r]",
    "The positions of the `size` largest elements along the last axis, the largest first; of equal ones the first.",
    kernel=_top,
    onnx=lambda o, x, size: o.nodes("TopK", 2, x, o.ints((size,)), axis=-1)[1],
    examples=("top([[3, 9, 9, 4], [1, 0, 2, 3]], size = 3) == [[1, 2, 3], [3, 2, 0]]",),
    shape=_top_shape,
    dtype="int64",
    why="its output is not a float",
    meets=lambda x, size: [(x.rank - 1,)],
)

# ---- rows written

_WRITE: dict[str, Any] = {"add": np.add, "mul": np.multiply, "max": np.maximum, "min": np.minimum}


def _scatter(x: Any, i: Any, v: Any, how: str) -> Any:
    _check(i, len(x), "row")
    out = np.array(x)
    if how == "set":
        out[i] = v
    else:
        real(_WRITE[how].at)(out, i, v)
    return out


def _scatter_grad(g: Var, out: Var, x: Var, i: Var, v: Var, how: str) -> tuple[Var | None, ...]:
    """A factor gets the product of the others; the largest and smallest go to all that are equal to them."""
    if how == "set":
        return scatter(g, i, v * 0.0, how="set"), None, take(g, i)
    if how == "add":
        return g, None, take(g, i)
    dtype = g.type.dtype
    if how == "mul":
        one, zero = (expand(x.graph.constant(n, dtype), shape=x.type.shape) for n in (1.0, 0.0))
        missing = equal(v, 0.0)
        rest, mine = where(missing, 1.0, v), cast(missing, dtype=dtype)
        alone = equal(take(scatter(zero, i, mine, how="add"), i), mine)
        others = take(g * scatter(x, i, rest, how="mul"), i) / rest
        return g * scatter(one, i, v, how="mul"), None, where(alone, others, 0.0)
    return g * cast(equal(x, out), dtype=dtype), None, take(g, i) * cast(equal(v, take(out, i)), dtype=dtype)


scatter: Op = Op(
    "scatter(x: [n, *s], i: int[*r], v: [*t], how) -> [n, *s]",
    "x with the rows of these numbers set to those of v, or with v added to them, multiplied, or kept where larger (max) or smaller (min)."
    " Rows are set once each: of two that are meant for the same place either may win.",
    kernel=_scatter,
    grad=_scatter_grad,
    onnx=lambda o, x, i, v, how: o.node("ScatterND", x, o.unsqueeze(i, -1), v, **({"reduction": how} if how != "set" else {})),
    examples=(
        "scatter([[1, 2], [3, 4], [5, 6]], [2, 0], [[7, 8], [9, 9]], how = set) == [[9, 9], [3, 4], [7, 8]]",
        "scatter([1, 2, 3], [2, 2], [10, 20], how = add) == [1, 2, 33]",
        "scatter([1, 2, 3], [2, 1], [10, 20], how = mul) == [1, 40, 30]",
        "scatter([1, 2, 3], [2, 2, 0], [10, 20, 0], how = max) == [1, 2, 20]",
        "scatter([1, 2, 3], [2, 2, 0], [10, 20, 0], how = min) == [0, 2, 3]",
    ),
    smooth=False,
    domain=(0.5, 2.0),
    meets=lambda x, i, v, how: [(0,), range(i.rank), range(i.rank)],
)
