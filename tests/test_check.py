"""`nnspec check` for programs, and the fixes that it writes; `nnspec explain`."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from error_pages import codes, halves
from error_pages import pages as pages_of
from helpers import ROOT, run
from mistakes import model

from nnspec import formats, pages
from nnspec.compile import Compilation
from nnspec.diagnostics import Diagnostic, Fix, Source, Span
from nnspec.fixes import repaired

WRONG = """model M {
  input x: [4]
  param W: [9, 3] ~ he_normal
  h := x -> dense(8)
  g = x -> dense(8) -> rellu;
  output y = g @ W
}
train {
  epochs = 10
  optimizer: Adam(learning_rate = 0.1)
}
"""
RIGHT = """model M {
  input x: [4]
  param W: [9, 3] ~ he_normal
  h = x -> dense(8)
  g = x -> dense(8) -> relu
  output y = g @ W
}
train {
  epochs  10
  optimizer adam(lr = 0.1)
}
"""
PRODUCT = model("param W: [9, 3] ~ he_normal", "output y = x @ W")


def found_in(text: str) -> tuple[Diagnostic, ...]:
    return Compilation(Source("net.nn", text), {}).diagnostics


def after_fixes(text: str) -> str:
    return repaired(Source("net.nn", text), lambda source: Compilation(source, {}).diagnostics).source.text


# ---- fixes


def test_fixes_are_written_into_the_file_and_said(tmp_path: Path) -> None:
    path = tmp_path / "net.nn"
    path.write_text(WRONG, "utf-8")
    path.chmod(0o640)
    done = run("check", "--fix", "net.nn", cwd=tmp_path)
    assert path.read_text("utf-8") == RIGHT
    assert path.stat().st_mode & 0o777 == 0o640
    said = [line for line in done.stderr.splitlines() if line.startswith("mended")]
    assert said[0] == "mended net.nn:4:5: `:=` -> `=`" and len(said) == 7
    assert "error[E203]" in done.stderr and done.returncode == 1  # which of two sizes is meant is for a person to say
    assert list(tmp_path.iterdir()) == [path]


def test_a_mistake_of_a_file_that_others_import_is_said_once(tmp_path: Path) -> None:
    (tmp_path / "blocks.nn").write_text("layer block(x, n) = x -> dense(n) -> relu6x\n", "utf-8")
    for name in ("a", "b"):
        (tmp_path / f"{name}.nn").write_text('import "blocks.nn"\nmodel M { input x: [4]  output y = x -> block(4) }\n', "utf-8")
    done = run("check", "--json", ".", cwd=tmp_path)
    (found,) = json.loads(done.stdout)
    assert (found["code"], found["file"], done.returncode) == ("E101", "blocks.nn", 1)
    assert json.loads(run("check", "--json", "b.nn", cwd=tmp_path).stdout) == [found]


def test_a_file_without_safe_fixes_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "net.nn"
    path.write_text(PRODUCT, "utf-8")
    before = path.stat()
    assert run("check", "--fix", "net.nn", cwd=tmp_path).returncode == 1
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_line_ends_and_byte_order_mark_stay(tmp_path: Path) -> None:
    path = tmp_path / "net.nn"
    path.write_bytes(b"\xef\xbb\xbf" + model("output y = x -> rellu").replace("\n", "\r\n").encode())
    assert run("check", "--fix", "net.nn", cwd=tmp_path).returncode == 0
    assert path.read_bytes() == b"\xef\xbb\xbf" + model("output y = x -> relu").replace("\n", "\r\n").encode()


@pytest.mark.parametrize("name", ["-", "digits"])
def test_only_files_of_the_user_are_mended(name: str, tmp_path: Path) -> None:
    done = run("check", "--fix", name, cwd=tmp_path, stdin=WRONG)
    assert done.returncode == 1 and "no file" in done.stderr


@pytest.mark.parametrize(
    "text",
    [
        model("output y = x -> dense(rellu)"),  # relu is no size either
        model("output y = 1 + x.relu()"),  # a pipeline cannot stand there
        PRODUCT,
        model("output x") + '\ntest "a" { given x = [1, 2, 3, 4] expect x == x }',
        "schedule s(k) { return lr * k }\n" + model("output x"),
        model("output y = soft max(x, axis = 0)"),  # `soft -> max(x)` has no `soft`
        model("h = x => dense(2) |> dense(", "output h"),  # the second could be mended, the third not
    ],
)
def test_a_fix_that_does_not_help_is_not_taken(text: str) -> None:
    assert after_fixes(text) == text


@pytest.mark.parametrize(
    ("written", "right"),
    [
        (["param W_{1}: [4, 2] ~ he_normal", "output h = x @ W_{1}"], ["param W_1: [4, 2] ~ he_normal", "output h = x @ W_1"]),
        (["h = if 1<2&&2<3||3<4 then x else 0 * x", "output h"], ["h = if 1<2 and 2<3 or 3<4 then x else 0 * x", "output h"]),
        (["h = 2√x", "output h"], ["h = 2 * sqrt(x)", "output h"]),
        (["output h = x", "loss ||h - 1||^2 + ‖h‖²"], ["output h = x", "loss sum((h - 1)^2) + sum(h^2)"]),
    ],
)
def test_signs_of_mathematics_become_what_they_mean(written: list[str], right: list[str]) -> None:
    assert after_fixes(model(*written)) == model(*right) and found_in(model(*right)) == ()


def test_a_fix_whose_mistake_shows_only_behind_another_is_not_taken() -> None:
    def check(source: Source) -> list[Diagnostic]:
        signs = [Span(source, m.start(), m.end()) for m in re.finditer(r"\|\||;", source.text)]
        words = [Span(source, m.start(), m.end()) for m in re.finditer(r"or\w+", source.text)] if not signs else []
        found = [Diagnostic("E004", f"the sign {span.text}", span, fix=Fix(span, "or" if span.text == "||" else "")) for span in signs]
        return found + [Diagnostic("E101", f"there is no `{span.text}`", span) for span in words]

    assert repaired(Source("net.nn", "loss ||z  ;"), check).source.text == "loss ||z  "


def test_decay_rates_in_one_list_become_an_argument_each() -> None:
    net = model("output y = x -> dense(1)", "loss mse(y, 0)")
    written = f"{net}\ntrain {{ epochs 3 optimizer adam(0.1, betas = (0.8, 0.9)) }}"
    assert "adam(0.1, beta1 = 0.8, beta2 = 0.9)" in after_fixes(written)
    (d,) = found_in(f"{net}\nlet b = [0.8, 0.9]\ntrain {{ epochs 3 optimizer adam(betas = b) }}")
    assert "beta1 = .., beta2 = .." in d.help and d.fix is None


@pytest.mark.parametrize("setting", ["batch=32", "batch =32", "batch= 32", "batch:32"])
def test_a_setting_stays_apart_from_its_value(setting: str) -> None:
    net = model("output y = x -> dense(1)", "loss mse(y, 0)")
    mended = after_fixes(f"{net}\ntrain {{ epochs 3 {setting} optimizer adam }}")
    assert "batch32" not in mended and found_in(mended) == found_in(f"{net}\ntrain {{ epochs 3 optimizer adam }}") == ()


def test_what_shows_behind_a_fix_is_mended_with_it() -> None:
    assert after_fixes(model("h = x => dense(2) => relu;", "output h")) == model("h = x -> dense(2) -> relu", "output h")


@pytest.mark.parametrize(
    ("written", "right"),
    [("fn f(x) = { return x + 1 }", "fn f(x) { return x + 1 }"), ("fn f(x, a = 1) => x + a", "fn f(x, a = 1) = x + a")],
)
def test_a_function_has_its_sign_and_no_other(written: str, right: str) -> None:
    assert after_fixes(f"{written}\n{model('output y = f(x)')}") == f"{right}\n{model('output y = f(x)')}"


@pytest.mark.parametrize("page", [p for kind in ("E0", "E1", "E2") for p in pages_of(kind)], ids=lambda p: p.stem)
def test_no_fix_makes_an_example_worse(page: Path) -> None:
    text = halves(page)[0].get("nn") or ""
    mended = after_fixes(text)
    assert mended == text or len(codes(mended)) < len(codes(text))


def test_what_is_only_a_guess_is_left_and_said(tmp_path: Path) -> None:
    (tmp_path / "net.nn").write_text(model("output y = x -> LayerNorm(4)"), "utf-8")
    done = run("check", "--fix", "net.nn", cwd=tmp_path)
    assert "left net.nn:3:19: `LayerNorm` -> `layernorm` is a guess" in done.stderr and "mended" not in done.stderr
    (found,) = json.loads(run("check", "--json", "net.nn", cwd=tmp_path).stdout)
    assert found["fix"] == "layernorm" and found["fix_safe"] is False


# ---- for programs


def test_json_has_the_fix_and_where_it_goes() -> None:
    (d,) = found_in(model("output y = x -> rellu"))
    assert d.as_json() | {"message": "", "help": ""} == {
        "code": "E101", "level": "error", "message": "", "file": "net.nn", "line": 3, "column": 19, "end_line": 3, "end_column": 24,
        "label": None, "notes": [], "help": "", "fix": "relu",
        "fix_at": {"line": 3, "column": 19, "end_line": 3, "end_column": 24}, "fix_safe": True,
    }  # fmt: skip


def test_github_gets_a_line_for_each_mistake(tmp_path: Path) -> None:
    (tmp_path / "net.nn").write_text(WRONG, "utf-8")
    done = run("check", "net.nn", "--output-format", "github", cwd=tmp_path)
    lines = done.stdout.splitlines()
    assert len(lines) == len(found_in(WRONG)) and not done.stderr and done.returncode == 1
    assert lines[0] == (
        "::error file=net.nn,line=4,endLine=4,title=E004%3A a sign of another language,col=5,endColumn=6"
        "::`:=` is a sign of other languages%0Ahelp: a name gets its value by `=`"
    )


def test_what_acts_in_a_log_is_written_out_for_github() -> None:
    hostile = Diagnostic("E101", "100 %\n::set-env\x1b[31m\r", None)
    assert formats.github([hostile]).endswith("::100 %25%0A::set-env\\u001b[31m%0D")


# What the schema of SARIF 2.1.0 requires of each object that is used here.
REQUIRED = {
    "log": ("version", "runs"), "run": ("tool",), "tool": ("driver",), "driver": ("name",), "rule": ("id",), "result": ("message",),
    "fix": ("artifactChanges",), "change": ("artifactLocation", "replacements"), "replacement": ("deletedRegion",),
}  # fmt: skip


def has(kind: str, value: dict[str, Any]) -> dict[str, Any]:
    assert set(REQUIRED[kind]) <= set(value), kind
    return value


def test_sarif_is_laid_out_as_its_schema_says(tmp_path: Path) -> None:
    (tmp_path / "net.nn").write_text(PRODUCT, "utf-8")
    done = run("check", "net.nn", "--output-format", "sarif", cwd=tmp_path)
    log = has("log", json.loads(done.stdout))
    assert log["version"] == "2.1.0" and log["$schema"].endswith("sarif-2.1.0.json") and done.returncode == 1
    (checked,) = (has("run", r) for r in log["runs"])
    driver = has("driver", has("tool", checked["tool"])["driver"])
    (result,) = (has("result", r) for r in checked["results"])
    assert has("rule", driver["rules"][result["ruleIndex"]])["id"] == result["ruleId"] == "E203"
    assert result["level"] in ("error", "warning", "note", "none") and result["message"]["text"]
    region = result["locations"][0]["physicalLocation"]["region"]
    assert region == {"startLine": 4, "startColumn": 14, "endLine": 4, "endColumn": 19}
    assert [place["message"]["text"] for place in result["relatedLocations"]] == ["x gets 4 here", "W gets 9 here"]
    (fix,) = (has("fix", f) for f in result["fixes"])
    (replacement,) = (has("replacement", r) for c in fix["artifactChanges"] for r in has("change", c)["replacements"])
    assert replacement == {
        "deletedRegion": {"startLine": 3, "startColumn": 13, "endLine": 3, "endColumn": 14},
        "insertedContent": {"text": "4"},
    }


def test_a_spec_without_mistakes_is_an_empty_log(tmp_path: Path) -> None:
    done = run("check", "mazur", "--output-format", "sarif", cwd=tmp_path)
    assert json.loads(done.stdout)["runs"][0]["results"] == [] and done.returncode == 0


# ---- explain, and colour


@pytest.mark.parametrize("code", ["E203", "e203"])
def test_a_code_is_explained_by_its_page(code: str, tmp_path: Path) -> None:
    assert run("explain", code, cwd=tmp_path).stdout == (ROOT / "nnspec" / "errors" / "E203.md").read_text("utf-8")


def test_a_code_that_is_none_is_a_mistake_of_usage(tmp_path: Path) -> None:
    done = run("explain", "E999", cwd=tmp_path)
    assert done.returncode == 2 and "there is no code 'E999'" in done.stderr


def test_every_page_has_a_title_and_a_meaning() -> None:
    for code in pages.codes():
        assert pages.title(code) and pages.meaning(code).endswith((".", ":"))


@pytest.mark.parametrize(("no_color", "colored"), [(None, True), ("1", False)])
def test_colour_is_for_terminals_and_never_with_no_color(no_color: str | None, colored: bool, tmp_path: Path) -> None:
    (tmp_path / "net.nn").write_text(PRODUCT, "utf-8")
    env = {
        **{k: v for k, v in os.environ.items() if k != "NO_COLOR"},
        "PYTHONPATH": str(ROOT),
        **({"NO_COLOR": no_color} if no_color else {}),
    }
    terminal, stderr = pty.openpty()
    subprocess.run([sys.executable, "-m", "nnspec", "check", "net.nn"], cwd=tmp_path, env=env, stderr=stderr, check=False)
    os.close(stderr)
    text = os.read(terminal, 10_000).decode()
    assert "E203" in text and ("\x1b[" in text) == colored
    assert "\x1b[" not in run("check", "net.nn", cwd=tmp_path).stderr
