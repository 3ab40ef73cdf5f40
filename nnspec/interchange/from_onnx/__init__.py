"""Models of other tools as graphs of ours: the inverse of `lowering`, operator by operator."""

from nnspec.interchange.from_onnx.model import Imported, import_graph

__all__ = ["Imported", "import_graph"]
