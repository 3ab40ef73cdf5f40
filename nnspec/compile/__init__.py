"""One spec on its way from text to a training step, and what is wrong with it."""

from nnspec.compile.compilation import Compilation

__all__ = ["Compilation"]
