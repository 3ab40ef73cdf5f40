"""Every code has a page, and every page is true: its wrong example gives exactly that code, its right one nothing."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from error_pages import codes, halves, output_of, pages, run_console, run_script, used, without_numbers

import nnspec
from nnspec.diagnostics import SpecError
from nnspec.elaborate.sources import SOURCES
from nnspec.lsp.complete import SETTINGS

PAGES = pages("E")
CODE = re.compile(r"\[(E\d{3})\]")
NEEDS_MISSING_PACKAGE = "E304"
TRAINED = ("E302", "E303", "E305", "E306", "E308", "E309", "E310", "E311", "E401", "E402", "E411", "E412")


def codes_of_training(spec: str, folder: Path) -> list[str]:
    (folder / "net.nn").write_text(spec, "utf-8")
    try:
        nnspec.load(folder / "net.nn").fit()
    except SpecError as error:
        return [d.code for d in error.diagnostics]
    return []


def ids(page: Path) -> str:
    return page.stem


def test_every_code_of_the_source_has_a_page_and_every_page_is_used() -> None:
    assert used("E") == {p.stem for p in PAGES}


@pytest.mark.parametrize("page", pages(""), ids=ids)
def test_a_page_has_its_parts(page: Path) -> None:
    lines = page.read_text("utf-8").splitlines()
    assert re.fullmatch(rf"# {page.stem}: [^A-Z].*[^.]", lines[0]) and lines[2].endswith(".")
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


def test_a_page_that_lists_what_there_is_lists_all() -> None:
    listed = {"E111": SETTINGS, "E301": SOURCES}
    for code, names in listed.items():
        (page,) = pages(code)
        said = re.findall(r"`(\w+)", page.read_text("utf-8").split("\n")[2])
        assert {*names} <= {*said}, code
