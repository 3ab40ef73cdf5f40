"""The pages of codes: their examples, and what these give."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from helpers import ROOT, run

from nnspec.compile import Compilation
from nnspec.diagnostics import Source

FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)
FOR_MORE = re.compile(r"^ *= for more: .*\n?", re.M)
MEASURED = re.compile(r"(\d+\.\d) %")


def pages(kind: str) -> list[Path]:
    """Those of codes that begin so."""
    return sorted((ROOT / "nnspec" / "errors").glob(f"{kind}*.md"))


def used(kind: str) -> set[str]:
    """The codes that begin so of all that the package gives."""
    return {c for p in (ROOT / "nnspec").rglob("*.py") for c in re.findall(rf'"({kind}\d+)"', p.read_text("utf-8")) if len(c) == 4}


@dataclass(frozen=True)
class Example:
    """The blocks of one half of a page, by language."""

    blocks: tuple[tuple[str, str], ...]

    def get(self, language: str) -> str | None:
        return next((text for kind, text in self.blocks if kind == language), None)


def halves(page: Path) -> tuple[Example, Example]:
    text = page.read_text("utf-8")
    wrong, right = text.split("\nWrong:\n", 1)[1].split("\nRight:\n", 1)
    return Example(tuple(FENCE.findall(wrong))), Example(tuple(FENCE.findall(right)))


def codes(spec: str) -> list[str]:
    return [d.code for d in Compilation(Source("page.nn", spec), {}).diagnostics]


def run_console(text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the `$ nnspec ...` lines of a block; the outcome of the last."""
    commands = [line.removeprefix("$ nnspec ").split() for line in text.splitlines() if line.startswith("$ ")]
    assert commands
    return [run(*command, cwd=folder) for command in commands][-1]


def run_script(text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", text]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False)


def output_of(text: str) -> str:
    return "".join(line for line in text.splitlines(keepends=True) if not line.startswith("$ "))


def without_numbers(text: str) -> str:
    return re.sub(r"\d+(\.\d+)?", "0", FOR_MORE.sub("", text)).strip()
