"""`nnspec COMMAND`: results to stdout, diagnostics and progress to stderr.

Exit codes: 0 fine, 1 the spec or data is wrong, 2 usage, 3 out of resources, 128 + N stopped by signal N (Ctrl-C: 130).
Where 1 is an answer, as that of `diff --signature`, a spec or data that is wrong is 2.
"""

from __future__ import annotations

import gc
import warnings
from importlib import import_module

import click

from nnspec.cli import failure
from nnspec.cli.options import LIMIT
from nnspec.diagnostics import suggest
from nnspec.version import VERSION

COMMANDS = {
    "bench": "bench.bench",
    "check": "check.check",
    "compile": "compiling.compile_",
    "derive": "derive.derive",
    "diff": "diff.diff",
    "doc": "library.doc",
    "eval": "train.eval_",
    "explain": "check.explain",
    "export": "export.export",
    "fmt": "fmt.fmt",
    "generate": "generate.generate",
    "gradcheck": "gradcheck.gradcheck",
    "graph": "graph.graph",
    "import": "importing.import_",
    "lsp": "lsp.lsp",
    "new": "library.new",
    "predict": "predict.predict",
    "templates": "templates.templates",
    "test": "library.test",
    "trace": "trace.trace",
    "train": "train.train",
}
"""Where each command is, in this folder."""


class Commands(click.Group):
    """Imports of the commands only the one that is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name in COMMANDS and name not in self.commands:
            module, _, attribute = COMMANDS[name].partition(".")
            command: click.Command = getattr(import_module(f"nnspec.cli.{module}"), attribute)
            gc.enable()  # which was waiting for what is imported
            command.params.append(LIMIT)
            self.add_command(command, name)
        return super().get_command(ctx, name)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        near = suggest(args[0], COMMANDS) if args[0] not in COMMANDS and not args[0].startswith("-") else None
        if near:
            ctx.fail(f"there is no command `{args[0]}`: did you mean `{near}`?")
        return super().resolve_command(ctx, args)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, prog_name="nnspec")
def cli() -> None:
    """Neural networks written as formulas: checked before they run, trained, and deployed.

    F is a .nn file, a name of the gallery such as `digits`, - for stdin, or an ONNX model M.onnx, of which `--set target=..`, `loss`,
    `metric`, `train` and `constants` say what is to be learnt. A run holds a spec, so for `train` and `derive` `nnspec import` writes one.
    """


def main() -> None:
    """The console script."""
    warnings.formatwarning = lambda message, *_, **__: f"{message}\n"
    failure.run(lambda: cli(standalone_mode=False))
