"""Random specs: engines, PyTorch and finite differences agree on each. `python -m tools.fuzz` tries more of them."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers import ROOT

import nnspec
from nnspec.ops import OPS
from tools.fuzz.compare import BY_DIFFERENCES, differences, of_text
from tools.fuzz.generate import generate
from tools.fuzz.results import from_the_start, random_batch
from tools.fuzz.shrink import shrink
from tools.fuzz.slopes import error_of_gradients

SPECS, AT_ONCE = 300, 10
FINDS = sorted((ROOT / "tests" / "finds").glob("*.nn"))


@pytest.mark.parametrize("first", range(0, SPECS, AT_ONCE))
def test_all_agree_on_random_specs(first: int) -> None:
    for seed in range(first, first + AT_ONCE):
        draft = generate(seed)
        assert not differences(draft), draft.text


@pytest.mark.parametrize("find", FINDS, ids=[f.stem for f in FINDS])
def test_all_agree_on_what_they_once_did_not(find: Path) -> None:
    text = find.read_text("utf-8")
    assert not list(of_text(text, _seed(text)))


def _seed(text: str) -> int:
    """Of the batch on which they did not agree, where it mattered which."""
    named = re.search(r"# .* seed (\d+)", text)
    return int(named[1]) if named else 0


def test_a_loss_of_logits_is_not_drawn_for_probabilities() -> None:
    assert not differences(generate(5000412))


def test_pytorch_clamps_the_logarithm_of_a_probability_where_the_library_does() -> None:
    assert not differences(generate(9017350))


@pytest.mark.parametrize("find", ["beside_a_corner", "nearly_no_variance", "saturated_cross_entropy"])
def test_a_gradient_a_thousandth_off_is_seen_even_where_the_loss_is_hard_to_differentiate(find: str) -> None:
    text = (ROOT / "tests" / "finds" / f"{find}.nn").read_text("utf-8")
    net = from_the_start(nnspec.loads(text, dtype="float64", engine="reference"))
    batch = random_batch(net.spec, _seed(text))
    _, gradients = net.gradients(**batch)
    off = {n: 1.001 * g for n, g in gradients.items()}
    right, wrong = (error_of_gradients(net, batch, g, _seed(text)) for g in (gradients, off))
    assert right < BY_DIFFERENCES < 1e-4 < wrong


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
