"""The seeded generator."""

from __future__ import annotations

from zlib import crc32

from nnspec.elaborate.primitives.table import Arguments, builtin
from nnspec.elaborate.values import Tensor, Value
from nnspec.graph import BATCH, Shape, Type
from nnspec.ops import OPS

SEED, STEP = "seed", "step"


@builtin("random(shape)")
def _random(a: Arguments) -> Value:
    """Uniform in [0, 1), of a given shape or like a tensor; decided by seed, step and the place in the spec."""
    like, graph, frame = a.bound["shape"], a.e.graph, a.scope.frame
    batched = isinstance(like, Tensor) and like.batched
    shape: Shape = like.shape if isinstance(like, Tensor) else like if isinstance(like, tuple) else (like,)
    frame.draws += 1
    again = f"@{frame.use}" if frame.use else ""
    stream = crc32(f"{frame.path}#{frame.draws}{again}".encode())
    attrs = {"stream": stream, "shape": (BATCH, *shape) if batched else shape, "dtype": graph.dtype}
    seed, step = (graph.source(OPS["input"], name, Type("int64")) for name in (SEED, STEP))
    return Tensor(graph.call(OPS["random"], seed, step, **attrs), batched, a.span)
