"""Calls in turn, without NumPy's warnings of overflow and the like: what is not finite is looked for where it matters.

Where many operations come one after the other, as in a loop or a deep network, gradients that vanish get too small to be normal numbers:
there these are zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import copy_context
from functools import partial

import numpy as np

from nnspec.blas import Call
from nnspec.graph import Graph
from nnspec.ops.columns import in_turn
from nnspec.ops.loop import scan
from nnspec.run.normal import without_small

DEEP = 128
"""Operations; in fewer a few microseconds more are felt, and numbers of usual size do not get that small."""


def quietly(calls: Sequence[Call], graph: Graph) -> Call:
    """All calls of a graph, in a context of their own: to enter one costs a tenth of a microsecond, `np.errstate` most of one."""
    context = copy_context()
    context.run(np.seterr, all="ignore")
    call = partial(context.run, in_turn(calls))
    return without_small(call) if len(graph) >= DEEP or any(n.op is scan for n in graph) else call
