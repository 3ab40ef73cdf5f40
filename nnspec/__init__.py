"""nnspec: neural networks written as formulas, checked before they run, trained and deployed.

net = nnspec.load("digits")
net.fit()
net.export("digits.onnx")
"""

from nnspec.api import Net, from_onnx, load, loads, open
from nnspec.diagnostics import Diagnostic, SpecError
from nnspec.version import VERSION as __version__

__all__ = ["Diagnostic", "Net", "SpecError", "__version__", "from_onnx", "load", "loads", "open"]
