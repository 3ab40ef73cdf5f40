"""Random specs: engines, PyTorch and finite differences agree on each. `python -m tools.fuzz` tries more of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers import ROOT

from nnspec.ops import OPS
from tools.fuzz.compare import differences, of_text
from tools.fuzz.generate import generate
from tools.fuzz.shrink import shrink

SPECS, AT_ONCE = 300, 10
FINDS = sorted((ROOT / "tests" / "finds").glob("*.nn"))


@pytest.mark.parametrize("first", range(0, SPECS, AT_ONCE))
def test_all_agree_on_random_specs(first: int) -> None:
    for seed in range(first, first + AT_ONCE):
        draft = generate(seed)
        assert not differences(draft), draft.text


@pytest.mark.parametrize("find", FINDS, ids=[f.stem for f in FINDS])
def test_all_agree_on_what_they_once_did_not(find: Path) -> None:
    assert not list(of_text(find.read_text("utf-8")))


def test_a_seed_gives_the_same_spec_whenever_it_is_asked_and_other_seeds_others() -> None:
    texts = [generate(seed).text for seed in range(50)]
    assert texts == [generate(seed).text for seed in range(50)] and len(set(texts)) == 50


def test_a_wrong_gradient_is_found_and_shrunk_to_the_line_that_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    draft = next(d for d in map(generate, range(1000)) if any(line.text == "tanh({0})" for line in d.lines) and len(d.lines) > 5)
    assert not differences(draft)
    right = OPS["tanh"]
    wrong = replace(right, kernel=lambda x, **_: np.tanh(1.01 * x))  # which enters itself in the catalogue
    OPS["tanh"] = right
    monkeypatch.setitem(OPS, "tanh", wrong)
    small = shrink(draft, lambda d: bool(differences(d)))
    assert differences(small) and "tanh" in small.text and len(small.lines) < len(draft.lines)
