"""Texts that are nearly specs get diagnostics, never an exception, and soon. `python -m tools.property` tries more of them."""

from __future__ import annotations

import pytest

from nnspec.compile import Compilation
from tools.property import KINDS, trial

TEXTS, AT_ONCE = 700, 350


@pytest.mark.parametrize("number", range(TEXTS // AT_ONCE))
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_wrong_with_a_text_is_said_by_diagnostics(kind: str, number: int) -> None:
    find = trial(kind, AT_ONCE, number)
    assert not find, find


def test_a_crash_is_found_and_shrunk_to_what_brings_it_about(monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(c: Compilation) -> list[object]:
        assert "scan" not in c.source.text
        return []

    monkeypatch.setattr(Compilation, "diagnostics", property(crash))
    find = trial("words", 500, 0)
    assert "text='scan'" in find
