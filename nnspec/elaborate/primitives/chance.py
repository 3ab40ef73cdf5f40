"""Where first values come from: the seeded generator, and what turns its numbers into initial weights; or a file."""

from __future__ import annotations

from nnspec.diagnostics import fault
from nnspec.elaborate import batch
from nnspec.elaborate.primitives.shapes import dims
from nnspec.elaborate.primitives.table import Arguments, builtin
from nnspec.elaborate.scope import Drawn
from nnspec.elaborate.values import Saved, Tensor, Value, describe
from nnspec.graph import BATCH, Type
from nnspec.ops import OPS

SEED, STEP = "seed", "step"


@builtin("saved(file)")
def _saved(a: Arguments) -> Value:
    file = a.bound["file"]
    if not isinstance(file, str):
        raise fault("E106", f'a file is a text such as "weights.safetensors", not {describe(file)}', a.at("file"))
    return Saved(file, a.at("file"))


@builtin("random(shape)")
def _random(a: Arguments) -> Value:
    """Uniform in [0, 1), of a given shape or like a tensor; decided by seed, step and the place in the spec."""
    like, graph, frame = a.bound["shape"], a.e.graph, a.scope.frame
    batched = isinstance(like, Tensor) and like.batched
    shape = like.shape if isinstance(like, Tensor) else dims(a)
    frame.draws += 1
    drawn = Drawn(frame.path, frame.draws, frame.use)
    a.e.note(drawn)
    attrs = {"stream": drawn.stream, "shape": (BATCH, *shape) if batched else shape, "dtype": graph.dtype}
    seed, step = (graph.source(OPS["input"], name, Type("int64")) for name in (SEED, STEP))
    return Tensor(graph.call(OPS["random"], seed, step, **attrs), batched, a.span)


@builtin("orthogonalise(x)")
def _orthogonalise(a: Arguments) -> Value:
    x = batch.as_dtype(a.tensor("x"), a.e.graph.dtype)
    if len(x.shape) != 2:
        raise fault("E202", f"a matrix can be made orthogonal, not {describe(x)}", a.at("x"), help="`reshape` makes a matrix of a kernel")
    return Tensor(OPS["orthogonal"](x.var), x.batched, a.span)
