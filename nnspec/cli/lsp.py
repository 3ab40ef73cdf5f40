"""`nnspec lsp`: the language server of editors."""

from __future__ import annotations

import gc
import sys

import click

from nnspec.diagnostics import fault

MANY_OBJECTS = 1_000_000
"""More than one answer makes."""


@click.command()
def lsp() -> None:
    """Serve an editor over stdin and stdout: mistakes while typing, shapes, completion, definitions, renaming, fixes, layout."""
    try:
        from nnspec.lsp.server import server
    except ModuleNotFoundError as error:
        raise fault("E560", f"the language server needs `{error.name}`", help="install it: pip install 'nnspec[lsp]'") from None
    _collect_seldom()
    ls = server()
    ls.start_io()
    sys.exit(ls.code)


def _collect_seldom() -> None:
    """What is loaded stays, and what an answer leaves behind goes once it is given (`Server.say_of`), not while somebody waits for it."""
    gc.set_threshold(MANY_OBJECTS)
    gc.freeze()
