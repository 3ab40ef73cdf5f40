"""Specs that are broken: each gives its code on its line; and whatever single mistake is made at random is pointed at."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest
from helpers import ROOT
from mutations import KINDS, Mutant, mutants

from nnspec.compile import Compilation
from nnspec.diagnostics import Diagnostic, Source, render

BROKEN = Path(__file__).parent / "broken"
CASE = re.compile(r"^#### (E\d{3}) at (\d+): (.*)\n", re.M)
SPECS = ROOT / "specs"
EACH, AT_LEAST = 2, 0.95
LARGE = "googlenet"


def found_in(text: str, folder: Path = SPECS) -> tuple[Diagnostic, ...]:
    return Compilation(Source("broken.nn", text), {}, folder=folder).diagnostics


def place(d: Diagnostic) -> tuple[str, int]:
    return d.code, d.span.line if d.span else 0


def written() -> dict[str, tuple[str, int, str]]:
    """Code, line and text of each spec that was written broken, by title."""
    cases = {}
    for path in sorted(BROKEN.glob("*.nn")):
        _, *parts = CASE.split(path.read_text("utf-8"))
        cases |= {title: (code, int(line), text) for code, line, title, text in zip(*[iter(parts)] * 4, strict=True)}
    return cases


def edits() -> list[str]:
    """`spec | what stands there | what is written instead | code`, and after `@` the line that is marked, if it is another."""
    return (BROKEN / "edits.txt").read_text("utf-8").splitlines()


WRITTEN = written()


def test_the_collection_is_large_and_covers_every_code_that_a_spec_alone_can_give() -> None:
    assert len(WRITTEN) + len(edits()) >= 150 and len(edits()) >= 75
    pages = {p.stem for p in (ROOT / "nnspec" / "errors").glob("E[012]*.md")}
    assert {code for code, _, _ in WRITTEN.values()} >= pages - {"E003"}


@pytest.mark.parametrize("title", WRITTEN)
def test_a_broken_spec_gives_its_code_on_its_line(title: str) -> None:
    code, line, text = WRITTEN[title]
    found = found_in(text)
    assert [place(d) for d in found] == [(code, line)], render(found)


@pytest.mark.parametrize("title", WRITTEN)
def test_what_is_found_first_is_part_of_all_that_is_found(title: str) -> None:
    spec = Compilation(Source("broken.nn", WRITTEN[title][2]), {}, folder=SPECS)
    first = [place(d) for d in spec.first_diagnostics]
    assert [place(d) for d in spec.diagnostics if place(d) in first] == first


@pytest.mark.parametrize("edit", edits())
def test_a_spec_of_the_gallery_with_one_edit_gives_its_code_on_its_line(edit: str) -> None:
    name, old, new, expected = (part.strip() for part in edit.split(" | "))
    code, _, marked = expected.partition(" @ ")
    text = (SPECS / f"{name}.nn").read_text("utf-8")
    assert text.count(old) == 1
    edited = text.replace(old, new)
    found = found_in(edited)
    assert found, edited
    line = found[0].span.line if found[0].span else 0
    at = [line.strip() for line in edited.splitlines()].index(marked) + 1 if marked else text.count("\n", 0, text.index(old)) + 1
    assert (found[0].code, line) == (code, at), render(found)


def points_at(mutant: Mutant, found: tuple[Diagnostic, ...]) -> bool:
    """Whether a label of the first diagnostic is on the line that was changed."""
    first = found[0]
    spans = [first.span, *(span for span, _ in first.notes)]
    return mutant.line in {span.line for span in spans if span}


def test_nearly_every_mistake_made_at_random_is_pointed_at_and_none_breaks_the_checker() -> None:
    seen, hit, missed = Counter[str](), Counter[str](), list[str]()
    for path in sorted(SPECS.glob("*.nn")):
        for mutant in mutants(path.read_text("utf-8"), path.stem, EACH) if path.stem != LARGE else ():
            found = found_in(mutant.text)
            if found:  # a changed size may well be right
                seen[mutant.kind] += 1
                hit[mutant.kind] += points_at(mutant, found)
                missed += [] if points_at(mutant, found) else [f"{path.stem}:{mutant.line}: {mutant.change}\n{render(found[:1])}"]
    assert set(seen) == set(KINDS)
    assert hit.total() >= AT_LEAST * seen.total(), "\n\n".join(missed)
    assert seen.total() > 200
