"""`nnspec diff`: what differs between two specs or runs in meaning."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from nnspec import api
from nnspec.cli.options import JSON, compilation
from nnspec.compile import Compilation


@click.command()
@click.argument("before", metavar="A")
@click.argument("after", metavar="B")
@JSON
@click.option("--signature", is_flag=True, help="Inputs and outputs only; exit 1 if they differ.")
@click.option("--exit-code", is_flag=True, help="Exit 1 if anything differs.")
def diff(before: str, after: str, as_json: bool, signature: bool, exit_code: bool) -> None:
    """Say how the model and the training of B differ from those of A, whatever their text; each is a spec, a run or an ONNX model."""
    from nnspec.difference import SIGNATURE, as_json_list, differences, text

    found = differences(*(spec_of(name) for name in (before, after)))
    if signature:
        found = [c for c in found if c.part in SIGNATURE]
    click.echo(json.dumps(as_json_list(found), indent=2, ensure_ascii=False) if as_json else text(found))
    if found and (signature or exit_code):
        sys.exit(1)


def spec_of(name: str) -> Compilation:
    return api.open(name).spec if Path(name).is_dir() else compilation(name).checked()
