"""Lists of plain numbers in formulas: computed element by element when the spec is compiled."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from nnspec.diagnostics import Span, fault
from nnspec.elaborate.values import Value
from nnspec.graph import Size


def are_numbers(values: Sequence[Value]) -> bool:
    """Whether all are numbers, truths or nested lists of them, and one is a list."""
    return any(isinstance(v, tuple) for v in values) and all(map(_is_numbers, values))


def with_sizes(values: Sequence[Value]) -> bool:
    """Whether all are numbers, sizes or nested lists of them, and a list is among them and a size that is known only at run time."""
    found = list(flat(tuple(values))) if any(isinstance(v, tuple) for v in values) else []
    return any(isinstance(v, Size) for v in found) and all(isinstance(v, int | float | Size) for v in found)


def is_list_beside_number(values: Sequence[Value]) -> bool:
    """Whether one is a list of numbers and one a number: two lists are compared as wholes."""
    return are_numbers(values) and not all(isinstance(v, tuple) for v in values)


def are_truths(value: Value) -> bool:
    """Whether this is a list of truths, or of such lists."""
    return isinstance(value, tuple) and bool(value) and all(isinstance(v, bool) or are_truths(v) for v in value)


def are_whole(value: Value) -> bool:
    """Whether this is a whole number, or a list of such."""
    numbers = list(flat(value))
    return bool(numbers) and all(isinstance(n, int) and not isinstance(n, bool) for n in numbers)


def expected(value: Value) -> Value:
    """What an `expect` makes of it: a list of truths holds where all of them do."""
    return all(flat(value)) if are_truths(value) else value


def _is_numbers(value: Value) -> bool:
    return all(map(_is_numbers, value)) if isinstance(value, tuple) else isinstance(value, int | float)


def flat(value: Value) -> Iterator[Value]:
    """The numbers in nested lists."""
    if isinstance(value, tuple):
        for item in value:
            yield from flat(item)
    else:
        yield value


def elementwise(values: Sequence[Value], operation: Callable[[list[Value]], Value], span: Span) -> Value:
    """The operation on each element; by NumPy's rule, a value with fewer axes is laid along the last ones."""
    depth = max(map(_depth, values))
    if depth == 0:
        return operation(list(values))
    deep = [_depth(v) == depth for v in values]
    lengths = sorted({len(v) for v, inside in zip(values, deep, strict=True) if inside} - {1}) or [1]
    if len(lengths) > 1:
        raise fault("E201", f"lists of {lengths[0]:,} and {lengths[1]:,} elements do not fit together", span)
    rows = ([v[i % len(v)] if inside else v for v, inside in zip(values, deep, strict=True)] for i in range(lengths[0]))
    return tuple(elementwise(row, operation, span) for row in rows)


def _depth(value: Value) -> int:
    return 1 + max(map(_depth, value), default=0) if isinstance(value, tuple) else 0
