"""How a diagnostic is laid out: carets under what they mean, whatever the letters, and nothing that acts on a terminal."""

from __future__ import annotations

from pathlib import Path

import pytest
from mistakes import diagnostics, model

from nnspec.compile import Compilation
from nnspec.diagnostics import Source, Span, columns, render, uncommented


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
    *_, shown, caret, _, _ = render([d]).splitlines()
    assert columns(shown[: shown.index("rellu")]) == columns(caret[: caret.index("^")]) == caret.index("^")


def test_a_wide_name_is_underlined_over_its_whole_width() -> None:
    (d,) = diagnostics(model("output y = 漢字"))
    assert "^^^^" in render([d])
    assert "^^^^^" not in render([d])


def test_the_whole_of_a_diagnostic() -> None:
    spec = "\n".join(
        ("model M {", "  input x: [4]", "  param W2: [65, 10] ~ he_normal", "  h1 = x -> dense(64)", "  output h2 = relu(h1 @ W2)", "}")
    )
    assert (
        render(diagnostics(spec))
        == """\
error[E203]: `h1` and `W2` have no matrix product
 --> spec.nn:5:20
  |
5 |   output h2 = relu(h1 @ W2)
  |                    ^^^^^^^ h1 is [64], W2 is [65, 10]: 64 and 65 differ
  |
4 |   h1 = x -> dense(64)
  |             --------- h1 gets 64 here
  |
3 |   param W2: [65, 10] ~ he_normal
  |              -- W2 gets 65 here
  = help: did you mean `param W2: [64, 10]`?
  = for more: nnspec explain E203"""
    )


def test_each_code_says_once_where_more_is_said() -> None:
    text = render(diagnostics(model("a = x -> rellu", "b = x -> sofmax", "output a, b")))
    assert text.count("error[E101]") == 2 and text.count("for more: nnspec explain E101") == 1


def test_a_tab_takes_the_column_that_it_is_shown_in() -> None:
    (d,) = diagnostics("model M {\n\tinput x: [4]\n\toutput y = x\t->\trellu\n}")
    *_, shown, caret, _, _ = render([d]).splitlines()
    assert shown.index("rellu") == caret.index("^") and "\t" not in shown


@pytest.mark.parametrize("before", [0, 30, 400])
def test_of_a_very_long_line_the_part_around_the_mistake_is_shown(before: int) -> None:
    (d,) = diagnostics(model(f"output y = {'x + ' * before}rellu{' + x' * 400}"))
    *_, shown, caret, _, _ = render([d]).splitlines()
    assert shown.index("rellu") == caret.index("^") and caret.count("^") == len("rellu")
    assert len(shown) < 180 and shown.endswith("...")
    assert ("| ..." in shown) == (before > 0)


def test_a_mark_ends_with_the_part_of_the_line_that_is_shown() -> None:
    (d,) = diagnostics(model(f"output y = [1, 2] + [{', '.join(['1'] * 300)}]"))
    assert max(map(len, render([d]).splitlines()[:5])) < 260


def test_labels_in_several_files_name_theirs(tmp_path: Path) -> None:
    (tmp_path / "blocks.nn").write_text("layer block(x: [3]) = x -> dense(2)\n", "utf-8")
    spec = 'import "blocks.nn"\n' + model("output y = x -> block")
    text = render(Compilation(Source("net.nn", spec), {}, folder=tmp_path).diagnostics)
    assert " --> net.nn:4:19" in text and " --> blocks.nn:1:16" in text


def test_a_sign_of_comments_in_a_string_begins_none() -> None:
    text = 'x = csv("#1.csv", a) # of f\n  + g'
    assert uncommented(text) == 'x = csv("#1.csv", a)       \n  + g'
    assert Span(Source("m.nn", text), 0, len(text)).one_line == 'x = csv("#1.csv", a) + g'
