"""Models as diagrams: which call or formula of a spec made what, and where gradients flow."""

from nnspec.compile import Compilation
from nnspec.drawing.backward import with_backward
from nnspec.drawing.model import drawing_of
from nnspec.drawing.parts import parts_of
from nnspec.picture.diagram import Diagram


def drawn(spec: Compilation, depth: int = 1, *, backward: bool = False) -> Diagram:
    """A checked spec as a diagram: from inputs to outputs, or on to the losses and back; blocks are open down to `depth`."""
    model, root = parts_of(spec)
    drawing = drawing_of(model, root, depth, with_loss=backward)
    diagram = drawing.whole()
    return with_backward(diagram, model, drawing.loops) if backward else diagram
