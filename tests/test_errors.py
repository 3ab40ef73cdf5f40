"""Every code has a page, and every page is true: its wrong example gives exactly that code, its right one nothing."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from helpers import ROOT

import nnspec
from nnspec.compile import Compilation
from nnspec.diagnostics import Source, SpecError

PAGES = sorted((ROOT / "nnspec" / "errors").glob("E*.md"))
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)
CODE = re.compile(r"\[(E\d{3})\]")
FOR_MORE = re.compile(r"^ *= for more: .*\n?", re.M)
NEEDS_MISSING_PACKAGE = "E304"
TRAINED = ("E302", "E303", "E305", "E306", "E307", "E308", "E309", "E310", "E311", "E401", "E402", "E411", "E412")


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


def codes_of_training(spec: str, folder: Path) -> list[str]:
    (folder / "net.nn").write_text(spec, "utf-8")
    try:
        nnspec.load(folder / "net.nn").fit()
    except SpecError as error:
        return [d.code for d in error.diagnostics]
    return []


def run_console(text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the `$ nnspec ...` lines of a block; the outcome of the last."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1"}
    commands = [line.removeprefix("$ nnspec ").split() for line in text.splitlines() if line.startswith("$ ")]
    assert commands
    for command in commands:
        done = subprocess.run(
            [sys.executable, "-m", "nnspec", *command],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    return done


def run_script(text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", text]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False)


def output_of(text: str) -> str:
    return "".join(line for line in text.splitlines(keepends=True) if not line.startswith("$ "))


def without_numbers(text: str) -> str:
    return re.sub(r"\d+(\.\d+)?", "0", FOR_MORE.sub("", text)).strip()


def ids(page: Path) -> str:
    return page.stem


def test_every_code_of_the_source_has_a_page_and_every_page_is_used() -> None:
    sources = list((ROOT / "nnspec").rglob("*.py"))
    used = {c for p in sources for c in re.findall(r'"(E\d{3})"', p.read_text("utf-8"))}
    assert used == {p.stem for p in PAGES}


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_a_page_has_its_parts(page: Path) -> None:
    lines = page.read_text("utf-8").splitlines()
    assert re.fullmatch(rf"# {page.stem}: [^A-Z].*[^.]", lines[0])
    assert lines[2].endswith((".", ":"))
    assert [line for line in lines if line in ("Wrong:", "Right:")] == ["Wrong:", "Right:"]


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_the_wrong_example_gives_exactly_its_code(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong, right = halves(page)
    spec, console, csv = wrong.get("nn"), wrong.get("console"), wrong.get("csv") or right.get("csv")
    if csv:
        (tmp_path / "data.csv").write_text(csv, "utf-8")
    if page.stem == NEEDS_MISSING_PACKAGE:
        monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    if console:
        if spec:
            (tmp_path / "net.nn").write_text(spec, "utf-8")
        done = run_console(console, tmp_path)
        assert done.returncode == 1
        assert without_numbers(done.stderr) == without_numbers(output_of(console))
        assert CODE.findall(done.stderr) == [page.stem]
    elif script := wrong.get("python"):
        assert CODE.findall(run_script(script, tmp_path).stderr) == [page.stem]
    elif page.stem in (*TRAINED, NEEDS_MISSING_PACKAGE):
        assert spec
        assert codes(spec) == []
        assert codes_of_training(spec, tmp_path) == [page.stem]
    else:
        assert spec
        assert codes(spec) == [page.stem]


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_the_right_example_gives_nothing(page: Path, tmp_path: Path) -> None:
    _, right = halves(page)
    spec, console, csv = right.get("nn"), right.get("console"), right.get("csv")
    if csv:
        (tmp_path / "data.csv").write_text(csv, "utf-8")
    if console:
        done = run_console(console, tmp_path)
        assert (done.returncode, CODE.findall(done.stderr)) == (0, [])
        return
    if script := right.get("python"):
        outcome = run_script(script, tmp_path)
        assert (outcome.returncode, outcome.stderr) == (0, "")
        return
    assert spec
    assert codes(spec) == []
    if page.stem in TRAINED:
        assert codes_of_training(spec, tmp_path) == []
