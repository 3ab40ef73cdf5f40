"""How a command ends that could not do what was asked: what is said, to a person or as one JSON document, and the exit code."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

import click

from nnspec.cli.options import hush, say
from nnspec.diagnostics import Diagnostic, Fault, SpecError, printable
from nnspec.memory import guard_imports, is_exhausted, roomy

WRONG, TROUBLE, RESOURCES, INTERRUPTED = 1, 2, 3, 130
"""Exit codes; for arguments that are wrong click says 2, too."""
OUT_OF_RESOURCES = ("E540", "E580")
OUT_OF_MEMORY = "out of memory"


@roomy
def run(command: Callable[[], object]) -> None:
    """A command, with no traceback for anything a user can cause."""
    try:
        guard_imports()
        command()
    except (SpecError, Fault) as error:
        found = diagnostics_of(error)
        _end(exit_code(found), lambda: found, lambda: say(found))
    except click.ClickException as error:
        message = error.format_message()
        _end(error.exit_code, lambda: [Diagnostic("", message)], error.show)
    except (KeyboardInterrupt, click.Abort):
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        hush()
        sys.exit(0)
    except OSError as error:
        _out_of_resources(printable(f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}"))
    except Exception as error:  # of whatever library it was that found no memory
        if not is_exhausted(error):
            raise
        _out_of_resources(OUT_OF_MEMORY)


@contextmanager
def trouble() -> Iterator[None]:
    """What is wrong inside ends the command with 2: for one whose answer may be 1."""
    try:
        yield
    except (SpecError, Fault) as error:
        found = diagnostics_of(error)
        _end(max(exit_code(found), TROUBLE), lambda: found, lambda: say(found))


def diagnostics_of(error: Exception) -> tuple[Diagnostic, ...]:
    """What was wrong, or that there was no more memory; any other exception is raised again."""
    if isinstance(error, SpecError):
        return error.diagnostics
    if isinstance(error, Fault):
        return (error.diagnostic,)
    if is_exhausted(error):  # in whatever library it was
        return (Diagnostic("E580", OUT_OF_MEMORY),)
    raise error


def exit_code(found: Sequence[Diagnostic]) -> int:
    """Of mistakes, or 0 where there is none."""
    errors = [d for d in found if d.level == "error"]
    return max((RESOURCES if d.code in OUT_OF_RESOURCES else WRONG for d in errors), default=0)


def document(found: Sequence[Diagnostic]) -> dict[str, Any]:
    """The JSON document of mistakes; what is wrong with the command line has no code."""
    return {"diagnostics": [d.as_json() | {"code": d.code or None} for d in found]}


def _out_of_resources(message: str) -> NoReturn:
    _end(RESOURCES, lambda: [Diagnostic("", message)], lambda: click.echo(f"error: {message}", err=True))


def _end(code: int, found: Callable[[], Sequence[Diagnostic]], show: Callable[[], None]) -> NoReturn:
    """Where JSON was asked for, also by words that are not understood, that is what is written, if it can be."""
    asked = "--json" in sys.argv[1:]
    if not any(_done(way) for way in ([lambda: _write(found())] if asked else []) + [show]):
        hush()
    sys.exit(code)


def _write(found: Sequence[Diagnostic]) -> None:
    from nnspec.strict_json import dumps

    click.echo(dumps(document(found), indent=2))


def _done(way: Callable[[], None]) -> bool:
    """Whether there was somewhere to write to."""
    try:
        way()
    except OSError:
        return False
    return True
