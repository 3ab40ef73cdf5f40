"""nnspec: neural networks written as formulas, checked before they run, trained and deployed.

net = nnspec.load("digits")
net.fit()
net.export("digits.onnx")
"""

from importlib import import_module

TYPE_CHECKING = False  # `typing` itself takes a while to be imported
if TYPE_CHECKING:
    from nnspec.api import from_onnx, load, loads, open
    from nnspec.diagnostics import Diagnostic, SpecError
    from nnspec.net import Net
    from nnspec.train.loop import Progress
    from nnspec.version import VERSION as __version__

__all__ = ["Diagnostic", "Net", "Progress", "SpecError", "__version__", "from_onnx", "load", "loads", "open"]

_HOMES = {"Net": "net", "Progress": "train.loop", "Diagnostic": "diagnostics", "SpecError": "diagnostics"}


def __getattr__(name: str) -> object:
    """Imported when first used, so that a command can say what becomes of Ctrl-C before anything takes time."""
    if name == "__version__":
        return import_module("nnspec.version").VERSION
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"nnspec.{_HOMES.get(name, 'api')}"), name)


def __dir__() -> list[str]:
    return __all__


def load_ipython_extension(shell: object) -> None:
    """`%load_ext nnspec` in a notebook: then a cell that begins with `%%nnspec` is a spec, and its network is called `net`."""
    from nnspec import notebook

    notebook.load(shell)
