"""The graph and what it is made of."""

from nnspec.graph.graph import Graph, outputs_of
from nnspec.graph.node import Node
from nnspec.graph.op import Absent, Op
from nnspec.graph.shapes import Mismatch
from nnspec.graph.types import BATCH, Dim, Shape, Size, Type
from nnspec.graph.var import Var

__all__ = ["BATCH", "Absent", "Dim", "Graph", "Mismatch", "Node", "Op", "Shape", "Size", "Type", "Var", "outputs_of"]
