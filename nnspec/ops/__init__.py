"""The catalogue: one row an op, in the module of its kind."""

from nnspec.graph.op import OPS
from nnspec.ops import along, arrange, composite, error, image, index, linear, loop, planes, pointwise, pool, recurrent, reduce, source

__all__ = [
    "OPS",
    "along",
    "arrange",
    "composite",
    "error",
    "image",
    "index",
    "linear",
    "loop",
    "planes",
    "pointwise",
    "pool",
    "recurrent",
    "reduce",
    "source",
]
