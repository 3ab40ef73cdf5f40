"""Training, validation and test parts, and the error pages E302 and those after it, which are run."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data_cases import IMAGE_PORTS, X_PLACE, inline, load, mistake, port, source, training
from helpers import ROOT

from nnspec.compile import Compilation
from nnspec.diagnostics import Fault, Source
from nnspec.train.data import Dataset

# ---- splits

TEN = inline(x=tuple(range(10)))


def split(**settings: Any) -> list[Any]:
    data: Dataset = load(training(TEN, **settings), {"x": port()}, {}, Path())
    return [part and part["x"].tolist() for part in (data.train, data.validation, data.test)]


def test_without_fractions_everything_is_trained_on_in_order() -> None:
    assert split() == [list(range(10)), None, None]


def test_fractions_cut_the_examples_without_overlap() -> None:
    train, validation, test = split(validation=0.2, test=0.3)
    assert train and validation and test
    assert (len(train), len(validation), len(test)) == (5, 2, 3)
    assert sorted(train + validation + test) == list(range(10))


def test_a_split_depends_on_the_seed_only() -> None:
    assert split(validation=0.5) == split(validation=0.5)
    assert split(validation=0.5) != split(validation=0.5, seed=1)


def test_asking_for_a_test_part_does_not_move_the_validation_part() -> None:
    assert split(validation=0.2)[1] == split(validation=0.2, test=0.3)[1]


def test_a_part_can_be_a_source_of_its_own() -> None:
    assert split(validation=inline(x=(20, 21)), test=inline(x=(30,))) == [list(range(10)), [20, 21], [30]]


def test_a_source_named_for_the_test_gives_what_it_holds_out() -> None:
    own, named = (load(training(source("digits"), test=t), *IMAGE_PORTS, Path()).test for t in (None, source("digits")))
    assert own and named and np.array_equal(own["image"], named["image"])


@pytest.mark.parametrize("settings", [{"validation": 0.01}, {"test": 0.01}, {"validation": 0.5, "test": 0.5}, {"validation": 0.99}])
def test_a_part_without_examples_is_refused(settings: dict[str, float]) -> None:
    places = dict.fromkeys(settings, X_PLACE)
    found = mistake(lambda: split(**settings, spans=places))
    assert (found.code, found.span) == ("E308", X_PLACE)
    said = {0.01: "is one of them", 0.5: "less than 1", 0.99: "too few examples for these fractions, which come to 10 of 10"}
    assert said[next(iter(settings.values()))] in found.help


def test_the_help_for_a_part_without_examples_gives_it_one() -> None:
    found = mistake(lambda: split(validation=0.01))
    assert found.help == "validation 0.1 is one of them"
    assert len(split(validation=0.1)[1]) == 1


# ---- the pages of the errors

PAGES = [ROOT / "nnspec" / "errors" / f"E{number}.md" for number in range(302, 312)]


def page_examples(page: Path) -> list[tuple[str, str | None]]:
    """Each spec of an error page, with the `data.csv` that follows it, if one does."""
    blocks = re.findall(r"```nn\n(.*?)```(?:\s*```csv\n(.*?)```)?", page.read_text(), re.DOTALL)
    return [(spec, csv or None) for spec, csv in blocks]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_the_wrong_example_of_an_error_page_gives_its_code_and_the_right_one_none(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    codes = []
    for i, (spec, csv) in enumerate(page_examples(page)):
        folder = tmp_path / str(i)
        folder.mkdir()
        if csv:
            (folder / "data.csv").write_text(csv)
        codes.append(code_of(spec, folder))
    assert codes == [page.stem, None]


def code_of(spec: str, folder: Path) -> str | None:
    compilation = Compilation(Source("page.nn", spec), {})
    if compilation.diagnostics:
        return compilation.diagnostics[0].code
    try:
        load(compilation.trainings[0], compilation.model.inputs, compilation.model.targets, folder)
    except Fault as caught:
        return caught.diagnostic.code
    return None
