"""nnspec: neural networks written as formulas, checked before they run, trained and deployed.

net = nnspec.load("digits")
net.fit()
net.export("digits.onnx")
"""

from nnspec.api import from_onnx, load, loads, open
from nnspec.diagnostics import Diagnostic, SpecError
from nnspec.net import Net
from nnspec.version import VERSION as __version__

__all__ = ["Diagnostic", "Net", "SpecError", "__version__", "from_onnx", "load", "loads", "open"]


def load_ipython_extension(shell: object) -> None:
    """`%load_ext nnspec` in a notebook: then a cell that begins with `%%nnspec` is a spec, and its network is called `net`."""
    from nnspec import notebook

    notebook.load(shell)
