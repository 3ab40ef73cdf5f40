"""What the commands share: their options, how a spec is opened, how a diagnostic is shown."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nnspec.diagnostics import Diagnostic, Source, fault, render
from nnspec.limits import LIMITS, raise_for_good

if TYPE_CHECKING:
    from nnspec.compile import Compilation
    from nnspec.net import Net

STDIN = "-"
IMPORT = "`nnspec import {} -o F.nn` writes a spec"
"""The help for what takes a spec, and not the ONNX model that it got."""


def say(diagnostics: Iterable[Diagnostic]) -> None:
    color = sys.stderr.isatty() and "NO_COLOR" not in os.environ
    click.echo(render(diagnostics, color), err=True, color=color)


def hush() -> None:
    """Say nothing more: whoever read it has gone."""
    for stream in (sys.stdout, sys.stderr):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def settings_of(pairs: tuple[str, ...]) -> dict[str, Any]:
    """`width=64` pairs as a mapping."""
    for pair in pairs:
        if "=" not in pair:
            raise click.BadParameter(f"{pair!r} is not NAME=VALUE", param_hint="--set")
    return dict(p.split("=", 1) for p in pairs)


def sizes_from(pairs: tuple[str, ...]) -> dict[str, int]:
    """`T=64` pairs as a mapping."""
    sizes = {}
    for pair in pairs:
        name, _, number = pair.partition("=")
        if not number.isdecimal() or int(number) < 1:
            raise click.BadParameter(f"{pair!r} is not NAME=N with a whole number from 1", param_hint="--size")
        sizes[name] = int(number)
    return sizes


def _set_limits(_: click.Context, __: click.Parameter, pairs: tuple[str, ...]) -> None:
    amounts = dict(pair.partition("=")[::2] for pair in pairs)
    for name, amount in amounts.items():
        if not amount.isdecimal() or int(amount) < 1:
            raise click.BadParameter(f"{name}={amount} is not NAME=N with a whole number from 1", param_hint="--limit")
    raise_for_good({name: int(amount) for name, amount in amounts.items()})


def spec_files(names: Iterable[str]) -> list[str]:
    """Files as they are named; of a folder all .nn files in it, however deep, but for the copies that runs keep of theirs."""
    names = tuple(names)
    refuse_stdin_twice(*names)
    return [file for name in names for file in _files_in(name)]


def refuse_stdin_twice(*names: str) -> None:
    if names.count(STDIN) > 1:
        raise click.UsageError(f"{STDIN} is stdin, which is read once: it stands for one file")


def _files_in(name: str) -> list[str]:
    from nnspec.source import path_of

    if not name or not path_of(name).is_dir():
        return [name]
    found = sorted(path for path in Path(name).rglob("*.nn") if not _is_of_a_run(path) or path.parent == Path(name))
    if not found:
        raise fault("E501", f"there is no .nn file in the folder `{name}`")
    return [str(path) for path in found]


def _is_of_a_run(path: Path) -> bool:
    if path.name != "spec.nn":
        return False
    from nnspec.train.rundir import is_used

    return is_used(path.parent)


def trained(name: str, pairs: tuple[str, ...] = ()) -> Net:
    """A run as it was trained, or an ONNX model, to which settings belong."""
    from nnspec import api
    from nnspec.net import Net
    from nnspec.source import ONNX

    if Path(name).suffix == ONNX:
        return Net(compilation(name, pairs))
    if pairs:
        raise click.UsageError("--set belongs to an ONNX model; a run has its values already")
    return api.open(name)


def spec_source(name: str) -> Source:
    from nnspec.source import read_source, source_of

    return source_of("<stdin>", sys.stdin.buffer.read()) if name == STDIN else read_source(name)


def compilation(name: str, pairs: tuple[str, ...] = (), dtype: str | None = None) -> Compilation:
    """A spec, or an ONNX model, of which `--set` says what is to be learnt."""
    from nnspec.compile import Compilation
    from nnspec.source import ONNX, folder_of

    if Path(name).suffix == ONNX:
        from nnspec.imported import of_file

        return of_file(Path(name), settings_of(pairs), dtype)
    return Compilation(spec_source(name), settings_of(pairs), dtype or "float32", folder_of(name))


def written(output: str, suffix: str, *read: str | None) -> str:
    """A path that a command writes to: named for what it writes, and nothing that it reads."""
    path = Path(output)
    if path.suffix.lower() != suffix:
        raise fault("E504", f"what is written is {suffix}, not `{path.suffix or path.name}`", help=f"-o {path.with_suffix(suffix)}")
    refuse_input(output, *read)
    return output


def refuse_input(output: str, *read: str | None) -> None:
    """A Fault where a command would write over what it reads."""
    path = Path(output)
    if path.exists() and any(r and Path(r).exists() and path.samefile(r) for r in read):
        raise fault("E504", f"{output} is what is read, and would be lost", help="choose another name")


def options(*adders: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def add(command: Any) -> Any:
        for adder in reversed(adders):
            command = adder(command)
        return command

    return add


SET = click.option("--set", "pairs", multiple=True, metavar="NAME=VALUE", help="Override a `let`.")
SET_ONNX = click.option(
    "--set", "pairs", multiple=True, metavar="NAME=VALUE", help="Of an ONNX model: its `target`, `loss` and `metric`; a run has its own."
)
JSON = click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
DATA = click.option("--data", metavar="PATH", help="A file or folder to read instead of the spec's, or the folder of MNIST's files.")
SIZES = click.option("--size", "lengths", multiple=True, metavar="NAME=N", help="A size that is known only at run time.")
LIMIT = click.Option(
    ["--limit"],
    multiple=True,
    metavar="NAME=N",
    is_eager=True,
    expose_value=False,
    callback=_set_limits,
    help=f"Another limit for what is refused as too large: {', '.join(LIMITS)}.",
)
