"""`%load_ext nnspec`, and then a cell that begins with `%%nnspec` is a spec."""

from __future__ import annotations

import sys
from functools import partial
from typing import Any

from nnspec.api import loads
from nnspec.diagnostics import SpecError, as_spec_error, fault, render
from nnspec.net import Net

DEFAULT = "net"


def load(shell: Any) -> None:
    """Teach a shell of IPython the magic."""
    shell.register_magic_function(partial(run, shell), "cell", "nnspec")


def run(shell: Any, line: str, cell: str) -> Net | None:
    """The network of a cell, which gets the name that the line says; its mistakes are shown, and no traceback."""
    try:
        name, net = read(line, cell)
    except SpecError as error:
        print(render(error.diagnostics), file=sys.stderr)
        return None
    shell.user_ns[name] = net
    return net


@as_spec_error()
def read(line: str, cell: str) -> tuple[str, Net]:
    """The name and the network of a cell: `%%nnspec small width=64` is `small`, with another value for the `let` called width.

    Raises SpecError with every mistake of the spec, or E561.

    >>> from nnspec.notebook import read
    >>> name, net = read("double factor=3", "let factor = 2  model Double { input x: []  output y = factor * x }")
    >>> name, float(net(x=[2.0])["y"][0])
    ('double', 6.0)
    """
    words = line.split()
    names = [w for w in words if "=" not in w]
    if len(names) > 1 or not all(n.isidentifier() for n in names):
        raise fault("E561", f"`{' '.join(names)}` is not the name of one network", help="write `%%nnspec`, or `%%nnspec small width=64`")
    settings: dict[str, Any] = dict(w.split("=", 1) for w in words if "=" in w)
    return (names or [DEFAULT])[0], loads(cell, **settings)
