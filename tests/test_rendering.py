"""How a diagnostic is laid out: carets under what they mean, whatever the letters, and nothing that acts on a terminal."""

from __future__ import annotations

import pytest
from mistakes import diagnostics, model

from nnspec.diagnostics import columns, render


@pytest.mark.parametrize("hostile", ["\x1b[31mred", "\u202egnp", "\x07", "\u2066", "\x9b31m"])
@pytest.mark.parametrize(
    "spec", ["model M {{\n  input x: [4]\n  output y = x -> rellu # {0}\n}}", 'let a = "{0}" + 1\n', "model M {{ {0} }}", "{0}"]
)
def test_escape_characters_never_reach_the_terminal_raw(hostile: str, spec: str) -> None:
    found = diagnostics(spec.format(hostile) + ("" if "model" in spec else "\nmodel M { input x: [4] output x }"))
    assert found
    text = render(found)
    assert not set(text) & set("\x1b\u202e\x07\u2066\x9b")


@pytest.mark.parametrize("name", ["x", "漢字", "é", "η", "ＷＩＤＥ"])
def test_the_caret_stands_under_the_mistake_whatever_the_width_of_the_letters(name: str) -> None:
    spec = f"model M {{\n  input {name}: [4]\n  output y = {name} + {name} -> rellu\n}}"
    (d,) = diagnostics(spec)
    lines = render([d]).splitlines()
    shown = next(line for line in lines if "rellu" in line and "|" in line)
    caret = lines[lines.index(shown) + 1]
    assert columns(shown[: shown.index("rellu")]) == columns(caret[: caret.index("^")])
    assert caret.count("^") == len("rellu")


def test_a_combining_mark_takes_no_column() -> None:
    (d,) = diagnostics('let a = ["e\u0301", rellu]\n' + model("output x"))
    *_, shown, caret, _ = render([d]).splitlines()
    assert columns(shown[: shown.index("rellu")]) == columns(caret[: caret.index("^")]) == caret.index("^")


def test_a_wide_name_is_underlined_over_its_whole_width() -> None:
    (d,) = diagnostics(model("output y = 漢字"))
    assert "^^^^" in render([d])
    assert "^^^^^" not in render([d])
