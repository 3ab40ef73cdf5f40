"""What would mend shapes that do not fit, as help and fix of a diagnostic: `flatten`, a step of a sequence, another size."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from nnspec.diagnostics import Fix, Span
from nnspec.elaborate.values import Tensor, Value
from nnspec.graph import Dim, Graph, Node, Shape, Var
from nnspec.graph.loop import is_stand_in
from nnspec.graph.origin import origin
from nnspec.graph.types import count, show
from nnspec.lazy import regex
from nnspec.syntax.words import is_name

SIGNAL_RANK, IMAGE_RANK = 3, 4
"""Of signals and images in a batch; volumes have more."""
_TRANSPOSED = regex(r"transpose\(([^()]*)\)")
_PATH = regex(r"[^\W\d][\w.]*")
_THREE_NUMBERS = regex(r"\b(conv|conv_transpose)\(\s*(\d+)\s*,\s*(\d+)\s*,\s*(\d+)(?=\s*[,)])")
CHANNELS = (1, 3, 4)
"""Of images that are grey, in colours, or transparent, too."""
LARGE_KERNEL = 8
"""A kernel this large is rare, where there are no more units than channels."""
ODD_STRIDES = (3, 5, 7)
"""Rare as strides of windows that overlap, and usual as kernels."""


RIGHT_BY_A_THRESHOLD = "of a probability `metric accuracy = (p > 0.5) == y` is the share that is right, of a logit `(z > 0) == y`"
"""What is said where the position of the largest of one number is asked for."""


def as_many_as_logits(given: Mapping[str, Value]) -> str:
    """What is said where a class is due for each row of logits, and there is a number for each logit."""
    shapes = [v.shape for v in (given.get("logits"), given.get("y")) if isinstance(v, Tensor)]
    if len(shapes) != 2 or shapes[0] != shapes[1]:
        return ""
    return "of labels that do not exclude each other `(z > 0) == y` is the share that is right; of one-hot rows take `argmax(y)`"


def of_one_number(x: Var) -> str:
    """What is said where an axis of a single number is asked for: a sum of e to its power is that of a softmax."""
    if x.node.op.name == "exp":
        return "softmax shares 1 among two numbers or more; of one `sigmoid` makes a probability, and `bce_logits` a loss"
    return "one number has no axes"


def fewer_axes(graph: Graph, name: str) -> dict[str, Any]:
    """For a value that should be a row, by how it was made: `flatten` before a layer on an image, or the last step of a sequence."""
    needed = graph.needed([name])
    made = [(node, node.span) for node in graph if node.name in needed and node.span and not node.span.source.library]
    if layer := next((span for node, span in made if _weighs_rows_of_an_image(graph, node)), None):
        return {"help": f"`-> flatten` before `{layer.one_line}` makes one row of an image", "fix": _flattened_before(layer)}
    if loop := next((span for node, span in reversed(made) if node.op.name == "scan"), None):
        return {"help": f"`(x -> {loop.one_line})[-1]` is the last step of a sequence, and goes on as one row"}
    return {}


def without_batch(graph: Graph, name: str) -> dict[str, Any]:
    """For a value that should be a row, and whose first size is that of an input: it may have been meant for the batch."""
    needed, value = graph.needed([name]), graph[name]
    inputs = (n for n in graph if n.name in needed and n.role == "input" and n.type.rank > 2 and n.type.shape[1] == value.type.shape[1])
    if (port := next(inputs, None)) is None:
        return {}
    first, *others = port.type.shape[1:]
    return {"help": f"a shape is that of one example: if {first} counts the batch, write `{port.name}: {show(tuple(others))}`"}


def _weighs_rows_of_an_image(graph: Graph, node: Node) -> bool:
    """Whether it is the product of a dense layer, over the last axis of an image alone."""
    return node.op.name == "matmul" and graph[node.inputs[0]].type.rank >= IMAGE_RANK and graph[node.inputs[1]].role == "param"


def _flattened_before(stage: Span) -> Fix | None:
    """`flatten` before a stage that a pipeline comes to."""
    before = stage.source.text[: stage.start]
    return Fix(Span(stage.source, stage.start, stage.start), "flatten -> ") if re.search(r"->\s*\Z", before) else None


def channels_last(graph: Graph) -> str:
    """What is said of an input that has the channels of its images last, as other frameworks do; nothing where there is none."""
    images = (n for n in graph if n.role == "input" and n.type.rank in (SIGNAL_RANK, IMAGE_RANK))
    odd = next((n for n in images if n.type.shape[-1] in CHANNELS and n.type.shape[1] not in CHANNELS), None)
    if odd is None:
        return ""
    *sizes, channels = odd.type.shape[1:]
    first = f"`{odd.name}: {show(odd.type.shape[1:])}` has its channels last, and {show((channels, *sizes))} has them first"
    return f"{first}: `{odd.name} -> transpose`" if len(sizes) == 1 else first


def channels_before_units(call: str) -> re.Match[str] | None:
    """The numbers of `conv(6, 16, 5)`, which elsewhere are channels, units and kernel, and here units, kernel and stride."""
    numbers = _THREE_NUMBERS.search(call)
    kernel, stride = (int(numbers[3]), int(numbers[4])) if numbers else (0, 0)
    return numbers if kernel >= LARGE_KERNEL > stride or (kernel > stride and stride in ODD_STRIDES) else None


def without_channels(numbers: re.Match[str]) -> tuple[str, str]:
    """The beginning of the call that may be meant, and what is said of it."""
    layer, _, units, kernel = numbers.groups()
    better = f"{layer}({units}, {kernel}"
    return better, f"how many channels come in is known: {units} units and a kernel of {kernel} are `{better})`"


def laid_out_alike(a: Shape, b: Shape) -> dict[str, Any]:
    """For two values with equally many numbers, of which one is a row."""
    row, other = sorted((a, b), key=len)
    if len(row) != 1 or len(other) < 2 or count(row) != count(other):
        return {}
    return {"help": f"both have {row[0]} numbers: `-> flatten` makes one row of {show(other)}, `reshape(x, {show(other)})` goes back"}


def as_matrix_product(x: Shape, y: Shape, left: Span, right: Span) -> dict[str, Any]:
    """For two sides of `*` that have a matrix product."""
    between = left.source.text[left.end : right.start]
    if between.strip("() ") != "*" or not x or len(y) < 2 or x[-1] != y[-2]:
        return {}
    at = left.end + between.index("*")
    help_ = "`*` multiplies element by element; a product of matrices, or of a vector and a matrix, is written `@`"
    return {"help": help_, "fix": Fix(Span(left.source, at, at + 1), "@", safe=False)}


def of_product(x: Tensor, y: Tensor, spans: Sequence[Span]) -> dict[str, Any]:
    """For two sides that have no matrix product: all numbers of the left in one row, one side turned, or a parameter of another size."""
    return _flattened(x, y, spans) or _turned(x, y, spans) or _other_size(y, -2, x.shape[-1]) or _other_size(x, -1, y.shape[-2])


def of_column(x: Shape, y: Shape, left: str, right: str) -> str:
    """What is said of a vector on the right, which a lecture writes as a column."""
    if len(y) != 1 or not x:
        return ""
    if len(x) == 1:
        return f"the product of two vectors is a sum: `sum({left} * {right})`" if x == y else ""
    if y[0] == x[-1]:
        turned = inner[1] if (inner := _TRANSPOSED.fullmatch(left)) else f"transpose({left})"
        return f"a vector is a row: write `{right} @ {turned}`"
    return f"a vector is a row: did you mean `{right} @ {left}`?" if y[0] == x[-2] else ""


def _turned(x: Tensor, y: Tensor, spans: Sequence[Span]) -> dict[str, Any]:
    """Where they fit once one is turned; the weight of what a loop carries is rather of another size."""
    left, right = x.shape[-2:-1] == y.shape[-2:-1], x.shape[-1] == y.shape[-1] and not is_stand_in(x.var)
    side, sides = int(right), [s.one_line for s in spans]
    if not (left or right) or not _PATH.fullmatch(sides[side]):
        return {}
    sides[side] = turned = f"transpose({sides[side]})"
    return {"help": f"did you mean `{' @ '.join(sides)}`?", "fix": Fix(spans[side], turned, safe=False)}


def _flattened(x: Tensor, y: Tensor, spans: Sequence[Span]) -> dict[str, Any]:
    if len(x.shape) < 2 or count(x.shape) != y.shape[-2] or not is_name(spans[0].text):
        return {}
    row = f"flatten({spans[0].text})"
    return {"help": f"did you mean `{row}`, all its numbers in one row?", "fix": Fix(spans[0], row)}


def _other_size(t: Tensor, axis: int, size: Dim) -> dict[str, Any]:
    """Where a parameter of the user is declared with a number: it could be another; not where it follows the size of something else."""
    node, place = t.var.node, t.var.node.span
    found = origin(t.var.graph, t.var.name, axis) if node.op.name == "param" and place and place.text.startswith("param") else None
    written = found.written if found else None
    if not place or not written or not place.covers(written) or not written.text.isdigit() or not isinstance(size, int):
        return {}
    text = written.source.text
    declared = f"{text[place.start : written.start]}{size}{text[written.end : text.index(']', written.end) + 1]}"
    return {"help": f"did you mean `{declared}`?", "fix": Fix(written, str(size), safe=False)}


def as_many(graph: Graph, name: str, axis: int, size: int) -> dict[str, Any]:
    """For a value with another size than `size` along an axis, where a call such as `dense(5)` says it: the same call with that size."""
    found = origin(graph, name, axis)
    call = re.match(r"(\w+\(\s*)\d+(?=\s*[,)])", found.span.text) if found and not found.span.source.library else None
    if found is None or call is None:
        return {}
    first = found.span.part(len(call[1]), call.end())
    better = f"{call[1]}{size}{found.span.text[call.end() :]}"
    return {"help": f"did you mean `{better}`?", "fix": Fix(first, str(size), safe=False)}
