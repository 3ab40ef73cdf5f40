"""`nnspec lsp`: the language server of editors."""

from __future__ import annotations

import click

from nnspec.diagnostics import fault


@click.command()
def lsp() -> None:
    """Serve an editor over stdin and stdout: mistakes while typing, shapes, completion, definitions, renaming, fixes, layout."""
    try:
        from nnspec.lsp.server import server
    except ModuleNotFoundError as error:
        raise fault("E560", f"the language server needs `{error.name}`", help="install it: pip install 'nnspec[lsp]'") from None
    server().start_io()
