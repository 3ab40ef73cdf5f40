"""`nnspec diff`: what differs between two specs or runs in meaning."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nnspec.cli import failure
from nnspec.cli.options import JSON, compilation, refuse_stdin_twice, say
from nnspec.strict_json import dumps

if TYPE_CHECKING:
    from nnspec.train.compared import Side


@click.command()
@click.argument("before", metavar="A")
@click.argument("after", metavar="B")
@JSON
@click.option("--signature", is_flag=True, help="Inputs and outputs only; exit 1 if they differ, 2 if one cannot be read.")
@click.option("--exit-code", is_flag=True, help="Exit 1 if anything differs, 2 if one of the two cannot be read.")
def diff(before: str, after: str, as_json: bool, signature: bool, exit_code: bool) -> None:
    """Say how the model and the training of B differ from those of A, whatever their text; each is a spec, a run or an ONNX model.

    Of two runs also what they were trained on, how far their weights are apart, and what they reach.
    """
    from nnspec.difference import SIGNATURE, as_json_list, differences, text
    from nnspec.train.compared import trained_apart

    refuse_stdin_twice(before, after)
    asked = signature or exit_code
    with failure.trouble() if asked else nullcontext():
        a, b = side_of(before), side_of(after)
    found = differences(a.spec, b.spec)
    found = [c for c in found if c.part in SIGNATURE] if signature else [*found, *trained_apart(a, b)]
    click.echo(dumps(as_json_list(found), indent=2, ensure_ascii=False) if as_json else text(found))
    if found and asked:
        sys.exit(1)


def side_of(name: str) -> Side:
    """A run as it was trained, or what a spec or an ONNX model says."""
    from nnspec.train.compared import Side, side_of_run

    if not Path(name).is_dir():
        spec = compilation(name).checked()
        return Side(spec, spec.weights)
    side, doubts = side_of_run(Path(name))
    if doubts:
        say(doubts)
    return side
