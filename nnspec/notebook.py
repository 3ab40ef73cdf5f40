"""`%load_ext nnspec`, and then a cell that begins with `%%nnspec` is a spec."""

from __future__ import annotations

from functools import partial
from keyword import iskeyword
from typing import Any

from nnspec.api import loads
from nnspec.diagnostics import SpecError, as_spec_error, fault, render
from nnspec.net import Net

DEFAULT = "net"


def load(shell: Any) -> None:
    """Teach a shell of IPython the magic."""
    shell.register_magic_function(partial(run, shell), "cell", "nnspec")


class CellError(SpecError):
    """The mistakes of a cell, which IPython shows as they are everywhere, and no traceback; what runs cells in turn stops there."""

    def _render_traceback_(self) -> list[str]:
        return [render(self.diagnostics)]


def run(shell: Any, line: str, cell: str) -> Net:
    """The network of a cell, which gets the name that the line says; after a cell with mistakes the name stands for what it did."""
    try:
        name, settings = heading(line)
        shell.user_ns[name] = net = loads(cell, **settings)
    except SpecError as error:
        raise CellError(error.diagnostics) from None
    return net


@as_spec_error()
def heading(line: str) -> tuple[str, dict[str, Any]]:
    """The name and the settings of a first line: `small width=64` is `small`, with another value for the `let` called width; or E561.

    >>> from nnspec.notebook import heading
    >>> heading("small width=64")
    ('small', {'width': '64'})
    """
    words = line.split()
    names = [w for w in words if "=" not in w]
    if len(names) > 1 or not all(n.isidentifier() and not iskeyword(n) for n in names):
        raise fault("E561", f"`{' '.join(names)}` is not the name of one network", help="write `%%nnspec`, or `%%nnspec small width=64`")
    return (names or [DEFAULT])[0], dict(w.split("=", 1) for w in words if "=" in w)
