"""The matrix product of the BLAS that NumPy has loaded, where it can do more than NumPy asks of it: add to what is there.

Without such a library everything is computed by NumPy itself, in one operation more.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from nnspec.lazy import np

if TYPE_CHECKING:
    import ctypes

Call = Callable[[], Any]
TRIALS, MUCH_SLOWER = 5, 4.0
SMALL = 10**6
"""Multiplications up to which some of OpenBLAS's kernels take matrices as they lie; for more they lay them out anew first."""
_WITH_SMALL = ("SkylakeX", "Cooperlake", "SapphireRapids")
_ROW_MAJOR, _PLAIN, _TRANSPOSED = 101, 111, 112
_NUMBER = {"float32": ("s", "c_float"), "float64": ("d", "c_double")}
_LETTERS = "fd"


@cache
def _controller() -> Any:
    import numpy  # noqa: F401  # its BLAS has to be loaded to be found
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController().select(user_api="blas")


def libraries() -> str:
    """Which BLAS NumPy has loaded, in which version, and for which processor it computes."""
    found = _controller().info()
    own = [i for i in found if "numpy" in i["filepath"]] or found
    return ", ".join(f"{i['internal_api']} {i['version']} {i.get('architecture', '')}".strip() for i in own)


@cache
def _library() -> tuple[ctypes.CDLL, str, str, type] | None:
    """NumPy's OpenBLAS, what surrounds the names of its functions, and its whole numbers."""
    import ctypes  # as slow to import as all operations together

    for info in _controller().info():
        library = ctypes.CDLL(info["filepath"])
        for prefix, suffix, whole in (("scipy_", "64_", ctypes.c_int64), ("", "64_", ctypes.c_int64), ("", "", ctypes.c_int)):
            if "numpy" in info["filepath"] and hasattr(library, f"{prefix}cblas_sgemm{suffix}"):
                return library, prefix, suffix, whole
    return None


@cache
def _function(name: str, dtype: str) -> Any:
    """The library's `gemm`, `axpy` or `axpby` for numbers of a kind; None where there is no such function or number."""
    import ctypes

    found = _library() if dtype in _NUMBER else None
    if found is None:
        return None
    library, prefix, suffix, whole = found
    letter, number = _NUMBER[dtype][0], getattr(ctypes, _NUMBER[dtype][1])
    function = getattr(library, f"{prefix}cblas_{letter}{name}{suffix}", None)  # axpby is OpenBLAS's own
    if function is None:
        return None
    array = [ctypes.c_void_p, whole]
    function.argtypes = {
        "gemm": [*[ctypes.c_int] * 3, *[whole] * 3, number, *array, *array, number, *array],
        "axpy": [whole, number, *array, *array],
        "axpby": [whole, number, *array, number, *array],
    }[name]
    function.restype = None
    return function


_in_use = 0


def use_threads(number: int) -> None:
    """How many threads a product may use, until told otherwise."""
    global _in_use  # noqa: PLW0603  # it is the library's own, for the whole process
    if number != _in_use:
        _in_use = number
        for library in _controller().lib_controllers:
            library.set_num_threads(number)


def threads_help(number: int, side: int) -> bool:
    """Whether so many threads are not much slower now than one at multiplying matrices of this side, as they are on a busy machine."""
    a = np.ones((side, side), np.float32)
    call = product(a, a, np.empty_like(a))
    return _median_seconds(call, number) < MUCH_SLOWER * _median_seconds(call, 1)


def _median_seconds(call: Call, threads: int) -> float:
    use_threads(threads)
    times = []
    for _ in range(TRIALS):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return sorted(times)[TRIALS // 2]


def product(a: Any, b: Any, out: Any) -> Call:
    """out = a @ b."""
    numbers = a.dtype == b.dtype == out.dtype and a.dtype.char in _LETTERS  # a name takes NumPy 3 µs
    if not numbers or {a.ndim, b.ndim} - {1, 2} or any(not m.size or not m.flags.forc for m in (a, b, out)):
        return partial(np.matmul, a, b, out)
    if not out.flags.c_contiguous:
        a, b, out = b.T, a.T, out.T
    # The method's way to BLAS is half a microsecond shorter.
    return _in_halves(partial(a.dot, b, out), a, b, out, 0.0)


def accumulated_product(a: Any, b: Any, out: Any, keep: float = 1.0) -> Call:
    """out = a @ b + keep * out."""
    return _in_halves(_by_blas(a, b, out, keep) or _in_two_steps(a, b, out, keep), a, b, out, keep)


def accumulated_products(a: Any, b: Any, out: Any, aside: Any) -> list[Call]:
    """out += a @ b, of stacks of matrices: small ones at once, aside, since every call may have to wait for those of other threads."""
    if a.shape[-2] * a.shape[-1] * b.shape[-1] > SMALL:
        return [accumulated_product(a[i], b[i], out[i]) for i in np.ndindex(out.shape[:-2])]
    return [partial(np.matmul, a, b, aside), partial(np.add, out, aside, out)]


def _in_halves(whole: Call, a: Any, b: Any, out: Any, keep: float) -> Call:
    """The whole of a product, or both halves where one thread computes it and they are small; other kernels and layouts gain nothing."""
    if {a.ndim, b.ndim, out.ndim} != {2} or not SMALL < a.size * b.shape[1] <= 2 * SMALL or not _has_small() or not b.flags.c_contiguous:
        return whole
    (m, k), n = a.shape, b.shape[1]
    if k == max(m, k, n):
        parts = [(a[:, : k // 2], b[: k // 2], out, keep), (a[:, k // 2 :], b[k // 2 :], out, 1.0)]
    elif m >= n:
        parts = [(a[: m // 2], b, out[: m // 2], keep), (a[m // 2 :], b, out[m // 2 :], keep)]
    else:
        parts = [(a, b[:, : n // 2], out[:, : n // 2], keep), (a, b[:, n // 2 :], out[:, n // 2 :], keep)]
    first, second = (_by_blas(*part) for part in parts)
    if first is None or second is None:
        return whole

    def run() -> None:
        if _in_use == 1:
            first()
            second()
        else:
            whole()

    return run


@cache
def _has_small() -> bool:
    """Whether NumPy's BLAS computes for a processor for which it has such kernels."""
    return any(name in libraries() for name in _WITH_SMALL)


def _by_blas(a: Any, b: Any, out: Any, keep: float) -> Call | None:
    """A call of the library; None without one, and for matrices that lie otherwise than it takes them."""
    function = _function("gemm", out.dtype.name) if out.ndim == 2 else None
    layouts = [_layout(m) for m in (a, b, out)] if function else []
    if function is None or None in layouts or layouts[2][0] == _TRANSPOSED or 0 in (*a.shape, *b.shape):  # type: ignore[index]
        return None
    (ta, lda), (tb, ldb), (_, ldc) = layouts  # type: ignore[misc]  # none is None
    (m, k), n, at = a.shape, b.shape[1], [matrix.ctypes.data for matrix in (a, b, out)]
    given = (_ROW_MAJOR, ta, tb, m, n, k, 1.0, at[0], lda, at[1], ldb, keep, at[2], ldc)
    call = partial(function, *(kind(value) for kind, value in zip(function.argtypes, given, strict=True)))
    call.arrays = a, b, out  # type: ignore[attr-defined]  # a pointer does not keep its memory
    return call


def subtracted(x: Any, y: Any, factor: Any) -> Call | None:
    """y -= factor * x, where the factor is an array of one number; None without a library, or where one of them has gaps."""
    function = _of_vectors("axpy", x, y)
    if function is None:
        return None
    size, one, at_x, at_y = _vectors(function, x, y)

    def run(keep: Any = (x, y)) -> None:
        function(size, -factor.item(), at_x, one, at_y, one)

    return run


def blended(x: Any, y: Any, factor: Any, keep: Any) -> Call | None:
    """y = factor * x + keep * y, where both factors are arrays of one number; None as above."""
    function = _of_vectors("axpby", x, y)
    if function is None:
        return None
    size, one, at_x, at_y = _vectors(function, x, y)

    def run(arrays: Any = (x, y)) -> None:
        function(size, factor.item(), at_x, one, keep.item(), at_y, one)

    return run


def _of_vectors(name: str, x: Any, y: Any) -> Any:
    """A function of the library for two arrays without gaps."""
    alike = x.dtype == y.dtype and x.flags.c_contiguous and y.flags.c_contiguous
    return _function(name, y.dtype.name) if alike else None


def _vectors(function: Any, x: Any, y: Any) -> tuple[Any, Any, Any, Any]:
    """What it is told of them: their size, the steps in both, and where they are."""
    whole, _, address, *_ = function.argtypes
    return whole(y.size), whole(1), address(x.ctypes.data), address(y.ctypes.data)


def _in_two_steps(a: Any, b: Any, out: Any, keep: float) -> Call:
    total = np.empty(out.shape, out.dtype)

    def run() -> None:
        np.matmul(a, b, total)
        np.multiply(out, keep, out)
        np.add(out, total, out)

    return run


def _layout(matrix: Any) -> tuple[int, int] | None:
    """Whether BLAS has to read it transposed, and the step between its rows; None where it cannot read it."""
    rows, columns = (s // matrix.itemsize for s in matrix.strides)
    m, n = matrix.shape
    if (columns == 1 or n == 1) and rows >= max(1, n):
        return _PLAIN, rows
    if (rows == 1 or m == 1) and columns >= max(1, m):
        return _TRANSPOSED, columns
    return None
