"""Specs with a mistake in them, for the tests of what is said about it."""

from __future__ import annotations

from dataclasses import dataclass

from nnspec.compile import Compilation
from nnspec.diagnostics import Diagnostic, Source, render

WELL = ("  epochs 3", "  optimizer adam")


@dataclass(frozen=True)
class Mistake:
    """A spec with one mistake: its code, the line and the text under the caret, a part of the message, and a part of the help."""

    spec: str
    code: str
    line: int
    caret: str
    message: str
    help: str = ""


def model(*lines: str) -> str:
    return "\n".join(("model M {", "  input x: [4]", *(f"  {line}" for line in lines), "}"))


def image(stages: str) -> str:
    return f"model M {{\n  input image: [1, 8, 8]\n  output y = image -> {stages}\n}}"


def training(*lines: str) -> str:
    return model("output y = x -> dense(1)", "loss mse(y, 0)") + "\n" + "\n".join(("train {", *lines, "}"))


def diagnostics(spec: str) -> tuple[Diagnostic, ...]:
    return Compilation(Source("spec.nn", spec), {}).diagnostics


def check(mistake: Mistake) -> None:
    """The one diagnostic names the thing, stands where it is, and offers what the mistake says."""
    found = diagnostics(mistake.spec)
    assert len(found) == 1, render(found)
    (d,) = found
    assert d.span
    assert (d.code, d.span.line, d.span.text) == (mistake.code, mistake.line, mistake.caret), render(found)
    assert mistake.message in d.message
    assert mistake.help in d.help
    assert bool(mistake.help) == bool(d.help), d.help
    assert not any(span.source.library for span, _ in d.notes)
    assert "std/" not in render(found)
