"""The layout of a spec: what it is, that it changes nothing but white space, and that there is only one."""

from __future__ import annotations

import random
import re
import stat
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from helpers import ROOT, blocks

from nnspec.cli.main import cli
from nnspec.compile import Compilation
from nnspec.diagnostics import Source
from nnspec.syntax import ast
from nnspec.syntax.dump import dump
from nnspec.syntax.format import formatted
from nnspec.syntax.format.rows import LIMIT
from nnspec.syntax.lalr import tokens_of
from nnspec.syntax.parser import parse, parse_concrete

FILES = sorted([*(ROOT / "specs").glob("*.nn"), *(ROOT / "nnspec" / "std").glob("*.nn")])
PAGES = [ROOT / "README.md", ROOT / "grammar" / "README.md"]
BLOCKS = [block for page in PAGES for block in blocks(page, "nn")]
TEXTS = [*(p.read_text("utf-8") for p in FILES), *BLOCKS]
GAPS = (" ", " ", " ", "", "\n", "\n\n\n  ", "\t", " # a note\n", "\n# a note of its own\n")


def layout(text: str) -> str:
    result, diagnostics = formatted(Source("a.nn", text))
    assert not diagnostics
    return result


def meaning(text: str) -> str:
    """The tree without places in the text."""
    return re.sub(r"  # line \d+$", "", dump(parse(Source("a.nn", text))[0]), flags=re.M)


def documentation(text: str) -> list[str]:
    return [d.doc for d in parse(Source("a.nn", text))[0].definitions if isinstance(d, ast.Definition | ast.Let | ast.Train | ast.Test)]


def graph(text: str, folder: Path) -> str:
    """The graph without places in the text."""
    return re.sub(r"a\.nn:\d+:\d+", "", str(Compilation(Source("a.nn", text), {}, folder=folder).graph))


def tokens(text: str) -> list[str]:
    return list(map(str, tokens_of(parse_concrete(text)[0])))


def comments(text: str) -> list[str]:
    return sorted(c.rstrip() for c in parse_concrete(text)[1])


def mutated(text: str, seed: int) -> str:
    """The same tokens with other white space and more comments between them."""
    draw = random.Random(seed)
    tree, notes = parse_concrete(text)
    out, at = [], 0
    for token in sorted([*tokens_of(tree), *notes], key=lambda t: t.start_pos or 0):
        gap = text[at : token.start_pos]
        if draw.random() < 0.2:
            other = draw.choice(GAPS)
            gap = gap + other if "\n" in gap or not other else other
        out += [gap, str(token)]
        at = token.end_pos or 0
    return "".join([*out, text[at:]])


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_the_gallery_and_the_library_are_in_the_layout(path: Path) -> None:
    text = path.read_text("utf-8")
    assert layout(text) == text


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.parent.name)
def test_the_blocks_of_the_documentation_are_in_the_layout(page: Path) -> None:
    for block in blocks(page, "nn"):
        assert layout(block) == block


@pytest.mark.parametrize("seed", range(3))
def test_only_white_space_changes_and_the_layout_of_a_layout_is_itself(seed: int) -> None:
    for text in TEXTS:
        other = mutated(text, seed)
        result = layout(other)
        assert tokens(result) == tokens(other)
        assert comments(result) == comments(other)
        assert meaning(result) == meaning(other)
        assert documentation(result) == documentation(other)
        assert layout(result) == result
        assert not re.search(r"[ \t]\n|\n\n\n|\t", result)
        assert result.endswith("\n") and not result.startswith("\n")


@pytest.mark.parametrize("seed", range(1))
def test_spaces_of_the_author_do_not_matter(seed: int) -> None:
    draw = random.Random(seed)
    for text in TEXTS:
        lines = [re.split(r'("[^"]*"|#.*)', line, maxsplit=1) for line in text.split("\n")]
        other = "\n".join(re.sub(" +", lambda _: " " * draw.randint(1, 4), code) + "".join(rest) for code, *rest in lines)
        assert layout(other) == layout(text)


def test_the_graph_stays_the_same() -> None:
    for path in FILES[:12]:
        text = path.read_text("utf-8")
        if "\nmodel " in text:
            once, again = (graph(t, path.parent) for t in (text, layout(mutated(text, 1))))
            assert once == again


PAIRS = {
    "spaces": ("fn f ( x,y = 2 )=x^ 2+-y*( 3 - x )", "fn f(x, y = 2) = x^2 + -y * (3 - x)\n"),
    "an argument over several lines stands alone, also once it does": (
        "fn f(x) = concat((x -> reshape([4, 2]))[:, 0], (x -> pad_axis(axis = 0, before = 0, afte"
        "r = 1) -> reshape([4, 2, 8, 24]) -> reshape([4, 2, 8, 24]) -> reshape([4, 4]))[:, 0], axis = 1)",
        "fn f(x) = concat(\n"
        "  (x -> reshape([4, 2]))[:, 0],\n"
        "  (\n"
        "    x\n"
        "      -> pad_axis(axis = 0, before = 0, after = 1)\n"
        "      -> reshape([4, 2, 8, 24])\n"
        "      -> reshape([4, 2, 8, 24])\n"
        "      -> reshape([4, 4])\n"
        "  )[:, 0],\n"
        "  axis = 1\n"
        ")\n",
    ),
    "words of a paragraph stand in columns": (
        "model M { input x: [4]\n target y: class(3)\n output p = x -> f\n loss q = g(p,y)\n\n input z:[1] }",
        "model M {\n  input  x: [4]\n  target y: class(3)\n  output p = x -> f\n  loss   q = g(p, y)\n\n  input z: [1]\n}\n",
    ),
    "settings of a block stand in columns": (
        "train { data d\n batch 3\n\n validation 0.1 }",
        "train {\n  data       d\n  batch      3\n\n  validation 0.1\n}\n",
    ),
    "names of about one length stand in columns": (
        "fn f(x) { a = x\n abc = a\n a_very_long_name = abc\n return a }",
        "fn f(x) {\n  a   = x\n  abc = a\n  a_very_long_name = abc\n  return a\n}\n",
    ),
    "parameters stand in columns": (
        "layer f(x) { param W: [2, 2] ~ i\n state b: [2] = 0\n return x }",
        "layer f(x) {\n  param W: [2, 2] ~ i\n  state b: [2]    = 0\n  return x\n}\n",
    ),
    "a long pipeline breaks before every arrow": (
        f"model M {{ a = {' -> '.join(['a_stage_of_the_pipeline'] * 6)} }}",
        "model M {\n  a = " + "\n    -> ".join(["a_stage_of_the_pipeline"] * 6) + "\n}\n",
    ),
    "breaks of the author before arrows stay": (
        "model M { a = b\n-> c -> d\n   -> e }",
        "model M {\n  a = b\n    -> c -> d\n    -> e\n}\n",
    ),
    "a broken list has a line for each item": (
        "layer f(x) = x -> [ g,\n h -> k ] -> concat",
        "layer f(x) = x -> [\n  g,\n  h -> k\n] -> concat\n",
    ),
    "a list too long for its line stands below its arrow": (
        f"layer f(x) = x -> [{', '.join(['g -> h'] * 20)}] -> concat",
        "layer f(x) = x\n  -> [\n" + ",\n".join(["    g -> h"] * 20) + "\n  ]\n  -> concat\n",
    ),
    "comments stay with what they are about": (
        "# doc\nfn f(x) = x # why\n\n\n# last\n",
        "# doc\nfn f(x) = x # why\n\n# last\n",
    ),
    "comments behind lines stand in a column": (
        "let a = 1 # one\nlet bb = 20 # two",
        "let a  = 1  # one\nlet bb = 20 # two\n",
    ),
    "comments between items stay": (
        "let a = [1, # one\n 2]",
        "let a = [\n  1, # one\n  2\n]\n",
    ),
    "comments where no line ends go above": (
        "fn f(x) { y = x ^ # why\n 2 return y }",
        "fn f(x) {\n  # why\n  y = x^2\n  return y\n}\n",
    ),
    "comments that go above a definition are not its documentation": (
        "# head\n\n# doc\nfn f(x) = x ^ # why\n 2\nfn # no doc\n g(x) = x",
        "# head\n\n# why\n\n# doc\nfn f(x) = x^2\n\n# no doc\n\nfn g(x) = x\n",
    ),
    "comments go to the side of a sign where the line can end": (
        "fn f(x, # x\n y # y\n , z) # z\n = x * # times\n y + z # all\nlayer g(x) # g\n { return x }",
        "fn f(\n  x, # x\n  y, # y\n  z\n) = # z\n  x # times\n    * y + z # all\n\nlayer g(x) { # g\n  return x\n}\n",
    ),
    "empty braces": ("train {\n\n}", "train {}\n"),
    "braces with a comment": ("train { # none\n}", "train { # none\n}\n"),
    "else": ("fn f(x) { if x {y = 1}\nelse if z { y = 2 }\n\nelse { y = 3 } return y }",
             "fn f(x) {\n  if x {\n    y = 1\n  } else if z {\n    y = 2\n  } else {\n    y = 3\n  }\n  return y\n}\n"),
    "the version": ("nnspec 1 let a = 1", "nnspec 1\nlet a = 1\n"),
    "a file of comments": ("# nothing\n\n\n# yet", "# nothing\n\n# yet\n"),
}  # fmt: skip


@pytest.mark.parametrize("written,expected", PAIRS.values(), ids=PAIRS.keys())
def test_layouts(written: str, expected: str) -> None:
    assert layout(written) == expected == layout(expected)


def test_no_line_of_code_is_too_long_where_it_can_break() -> None:
    text = f"fn f(x) = g({', '.join(f'argument_{i} = {i}' for i in range(40))}) + {' + '.join(f'x_{i}' for i in range(80))}"
    assert max(map(len, layout(text).split("\n"))) <= LIMIT


def test_long_and_deep_formulas_are_laid_out() -> None:
    chains = ("1 + " * 3000 + "1", "-" * 2000 + "1", "if c then 1 else " * 900 + "2", "x" + "[0]" * 900, "x" + " -> f" * 900)
    for text in (*chains, "(" * 150 + "1" + ")" * 150):
        once = layout(f"let a = {text}")
        assert layout(once) == once


def test_what_is_nested_too_deep_is_left_alone_with_a_word() -> None:
    text = f"let a = {'f(x = ' * 199}1{')' * 199}"
    result, (mistake,) = formatted(Source("a.nn", text))
    assert result == text and mistake.code == "E003"


# ---- the command


def run(*arguments: str, stdin: str = "") -> tuple[int, str, str]:
    done = CliRunner().invoke(cli, ["fmt", *arguments], input=stdin)
    return done.exit_code, done.stdout, done.stderr


def test_a_file_is_rewritten_in_its_place_and_keeps_its_rights(tmp_path: Path) -> None:
    file = tmp_path / "a.nn"
    file.write_bytes(b"\xef\xbb\xbflet a=1\r\n")
    file.chmod(0o640)
    assert run(str(file)) == (0, "", f"{file} is laid out anew\n")
    assert file.read_bytes() == b"let a = 1\n" and stat.S_IMODE(file.stat().st_mode) == 0o640
    assert run(str(file)) == (0, "", "")


def test_check_names_the_files_that_would_change_and_leaves_them(tmp_path: Path) -> None:
    (tmp_path / "right.nn").write_text("let a = 1\n")
    (tmp_path / "wrong.nn").write_text("let a=1\n")
    assert run("--check", str(tmp_path)) == (1, f"{tmp_path}/wrong.nn\n", "")
    assert run("--check", str(tmp_path / "right.nn")) == (0, "", "")
    assert (tmp_path / "wrong.nn").read_text() == "let a=1\n"


def test_diff_shows_what_would_change(tmp_path: Path) -> None:
    file = tmp_path / "a.nn"
    file.write_text("let a=1\n")
    assert run("--diff", str(file)) == (1, f"--- {file}\n+++ {file}\n@@ -1 +1 @@\n-let a=1\n+let a = 1\n", "")


def test_stdin_goes_to_stdout() -> None:
    assert run("-", stdin="let a=1") == (0, "let a = 1\n", "")


def test_a_file_with_a_mistake_is_left_alone_and_the_others_are_not(tmp_path: Path) -> None:
    (tmp_path / "wrong.nn").write_text("let a = = 1\n")
    (tmp_path / "b.nn").write_text("let b=1\n")
    code, out, err = run(str(tmp_path))
    assert (code, out) == (1, "") and "error[E00" in err
    assert (tmp_path / "wrong.nn").read_text() == "let a = = 1\n" and (tmp_path / "b.nn").read_text() == "let b = 1\n"


def test_the_gallery_is_not_rewritten() -> None:
    code, _, err = run("digits")
    assert code == 1 and "E501" in err


def test_a_call_of_thousands_of_arguments_is_laid_out_in_a_second_or_so() -> None:
    text = f"model M {{ input x: [4]  output h = concat({', '.join(f'x * {i}' for i in range(8000))}) }}"
    before = time.process_time()
    found = layout(text)
    assert time.process_time() - before < 5 and found.count("x * ") == 8000
