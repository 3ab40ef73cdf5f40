"""What a command says that could not do what was asked, to a person and to a program; and folders of specs, some of them wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

from nnspec.cli.main import cli, main

RIGHT = """model M {
  input  x: [2]
  output y = x -> dense(1)
}
"""
WRONG = RIGHT.replace("dense(1)", "dence(1)")
TESTED = RIGHT + 'test "a sum" of M {\n  given x = [1, 2]\n  expect sum(x) == 3\n}\n'
OF_SPECS = {
    "bench": (), "check": (), "compile": (), "derive": ("dense.W",), "diff": ("wrong.nn",), "export": ("-o", "m.onnx"), "gradcheck": (),
    "test": (), "trace": (), "train": (),
}  # fmt: skip
"""Commands that take a spec and have --json, with what else they need."""
OF_OTHERS = {"doc": ("dence",), "eval": ("nowhere",), "import": ("nothing.onnx", "-o", "new.nn")}
NEEDS_FULL = pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no device that is always full")

Nnspec = Callable[..., tuple[int, str, str]]


@pytest.fixture
def nnspec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Nnspec:
    """Runs a command in a folder of its own: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    Path("wrong.nn").write_text(WRONG, "utf-8")

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["nnspec", *arguments])
        code = 0
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
        return code, *capsys.readouterr()

    return run


def codes(text: str) -> list[Any]:
    """Those of a JSON document, which `check` writes as a list."""
    document = json.loads(text)
    return [d["code"] for d in (document if isinstance(document, list) else document["diagnostics"])]


def test_every_command_with_json_is_tried_with_a_mistake() -> None:
    context = click.Context(cli)
    commands = {name: cli.get_command(context, name) for name in cli.list_commands(context)}
    with_json = {name for name, command in commands.items() if command and any(p.name == "as_json" for p in command.params)}
    assert with_json == {*OF_SPECS, *OF_OTHERS}


@pytest.mark.parametrize(("command", "more"), OF_SPECS.items())
def test_a_wrong_spec_is_json_with_the_same_exit_code(command: str, more: tuple[str, ...], nnspec: Nnspec) -> None:
    code, out, said = nnspec(command, "wrong.nn", *more)
    assert (code, out) == (1, "") and "E101" in said
    code, out, said = nnspec(command, "wrong.nn", *more, "--json")
    assert (code, codes(out), said) == (1, ["E101"], "")


@pytest.mark.parametrize(("command", "more"), OF_OTHERS.items())
def test_another_mistake_is_json_with_the_same_exit_code(command: str, more: tuple[str, ...], nnspec: Nnspec) -> None:
    code, _, said = nnspec(command, *more)
    as_json = nnspec(command, *more, "--json")
    assert code == as_json[0] == 1
    assert all(f"[{c}]" in said for c in codes(as_json[1])) and as_json[2] == ""


def test_a_mistake_of_usage_is_json_without_a_code(nnspec: Nnspec) -> None:
    assert nnspec("train", "wrong.nn", "--epoch", "three", "--json")[:2] == (
        2,
        nnspec("train", "--json", "wrong.nn", "--epoch", "three")[1],
    )
    (found,) = json.loads(nnspec("train", "--json")[1])["diagnostics"]
    assert (found["code"], found["level"], found["file"]) == (None, "error", None)
    assert "Missing argument" in found["message"]
    assert codes(nnspec("train", "wrong.nn", "--json", "--no-such-option")[1]) == [None]


def test_a_diagnostic_in_json_says_its_place_and_its_fix(nnspec: Nnspec) -> None:
    (found,) = json.loads(nnspec("train", "wrong.nn", "--json")[1])["diagnostics"]
    assert (found["file"], found["line"], found["column"], found["fix"]) == ("wrong.nn", 3, 19, "dense")


def folder(**files: str) -> str:
    for name, text in files.items():
        path = Path("specs", *name.split("__")).with_suffix(".nn")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    return "specs"


def test_check_takes_a_folder_with_all_specs_in_it(nnspec: Nnspec) -> None:
    code, out, said = nnspec("check", folder(a=RIGHT, deep__er__b=RIGHT))
    assert (code, said) == (0, "")
    assert [line for line in out.splitlines() if line.endswith(":")] == ["specs/a.nn:", "specs/deep/er/b.nn:"]
    code, out, said = nnspec("check", folder(a=RIGHT, deep__er__b=WRONG))
    assert code == 1 and "specs/deep/er/b.nn:3:19" in said and "specs/a.nn:" in out


def test_a_mistake_of_an_imported_file_has_the_path_by_which_the_spec_was_named(nnspec: Nnspec) -> None:
    folder(main='import "parts/a.nn"\nmodel M { input x: [4]  output y = f(x) }', parts__a="fn f(x) = sigmiod(x)\n")
    for path in ("specs/main.nn", str(Path("specs/main.nn").absolute())):
        code, out, _ = nnspec("check", "--json", path)
        (found,) = json.loads(out)
        assert code == 1 and found["file"] == str(Path(path).parent / "parts/a.nn")


def test_the_spec_that_a_run_keeps_is_none_of_a_folder(nnspec: Nnspec) -> None:
    specs = folder(a=RIGHT, runs__a_1__spec=WRONG)
    assert nnspec("check", specs)[0] == 1
    Path(specs, "runs", "a_1", "metrics.jsonl").touch()
    assert nnspec("check", specs)[0] == 0
    assert nnspec("check", f"{specs}/runs/a_1")[0] == 1


def test_a_command_of_near_spelling_is_offered(nnspec: Nnspec) -> None:
    code, _, said = nnspec("tran", "digits")
    assert code == 2 and "did you mean `train`?" in said
    code, _, said = nnspec("frobnicate")
    assert code == 2 and "frobnicate" in said


def test_a_file_of_a_folder_that_only_defines_what_others_import_needs_no_model(nnspec: Nnspec) -> None:
    specs = folder(parts="fn twice(x) = 2 * x\n", a='import "parts.nn"\n' + RIGHT.replace("dense(1)", "twice"))
    assert nnspec("check", specs)[0] == nnspec("test", specs)[0] == 0
    assert nnspec("check", f"{specs}/parts.nn")[0] == 1
    assert nnspec("check", folder(parts="fn twice(x) = 2 *\n"))[0] == 1
    assert nnspec("test", specs)[0] == 1


def test_test_takes_a_folder_and_its_exit_code_is_the_worst(nnspec: Nnspec) -> None:
    assert nnspec("test", folder(a=TESTED, b=RIGHT)) == (0, "specs/a.nn:\nok      a sum\nspecs/b.nn has no tests\n", "")
    failing = TESTED.replace("== 3", "== 4")
    code, out, _ = nnspec("test", folder(a=failing, z=TESTED))
    assert code == 1 and "FAILED  a sum" in out and "ok      a sum" in out
    code, out, said = nnspec("test", folder(a=WRONG, z=TESTED))
    assert code == 1 and "E101" in said and "ok      a sum" in out


def test_test_in_json_has_what_is_wrong_beside_the_outcomes(nnspec: Nnspec) -> None:
    code, out, said = nnspec("test", folder(a=WRONG, z=TESTED), "--json")
    document = json.loads(out)
    assert (code, said, codes(out)) == (1, "", ["E101"])
    assert [(t["file"], t["passed"]) for t in document["tests"]] == [("specs/z.nn", True)]


@pytest.mark.parametrize("command", ["check", "test", "fmt"])
def test_a_folder_without_specs_is_a_mistake(command: str, nnspec: Nnspec) -> None:
    Path("empty").mkdir()
    code, _, said = nnspec(command, "empty")
    assert code == 1 and "E501" in said and "no .nn file in the folder `empty`" in said


@pytest.mark.parametrize(
    ("content", "said", "help_"),
    [
        (RIGHT.encode("utf-16"), "byte 0 is no UTF-8", "save it as UTF-8, for this is UTF-16"),
        (RIGHT.encode("utf-16-le"), "byte 1 is zero", "save it as UTF-8, for this is UTF-16"),
        (b"# Schicht f\xfcr\n", "byte 11 is no UTF-8", "save it as UTF-8\n"),
        (bytes(range(256)), "byte 128 is no UTF-8", "for more"),
        (b"PK\x03\x04" + bytes(100), "byte 4 is zero", "for more"),
        (b" \n\t\n", "is empty", "`model Name { ... }`"),
    ],
)
def test_what_is_no_spec_says_what_it_is(content: bytes, said: str, help_: str, nnspec: Nnspec) -> None:
    Path("odd.nn").write_bytes(content)
    code, out, text = nnspec("compile", "odd.nn")
    assert (code, out) == (1, "") and "E503" in text and said in text and help_ in text
    assert ("= help" in text) == (help_ != "for more")


@pytest.mark.parametrize("line_end", ["\r\n", "\r", "\n"])
def test_lines_may_end_as_on_any_system(line_end: str, nnspec: Nnspec) -> None:
    Path("right.nn").write_bytes(f"# A comment.\n{RIGHT}".replace("\n", line_end).encode())
    Path("wrong.nn").write_bytes(WRONG.replace("\n", line_end).encode())
    assert nnspec("check", "right.nn")[0] == 0
    code, _, said = nnspec("check", "wrong.nn")
    assert code == 1 and "wrong.nn:3:19" in said


@pytest.mark.parametrize(
    ("name", "said", "help_"),
    [
        ("right.n", "there is no file `right.n`", "did you mean `right.nn`?"),
        ("specs/nett.nn", "there is no file `specs/nett.nn`", "did you mean `specs/net.nn`?"),
        ("lennet", "there is no file `lennet`", "did you mean `lenet`?"),
        ("qqqqqqqq", "there is no file `qqqqqqqq`", "`nnspec new --list` says which specs the gallery has"),
        ("", "the name of the spec is empty", ""),
        ("/dev/null", "`/dev/null` is no plain file", "`-` stands for stdin"),
    ],
)
def test_a_file_that_is_not_there_is_said_with_what_was_meant(name: str, said: str, help_: str, nnspec: Nnspec) -> None:
    Path("right.nn").write_text(RIGHT, "utf-8")
    folder(net=RIGHT)
    for command in ("check", "compile"):
        code, _, text = nnspec(command, name)
        assert code == 1 and "E501" in text and said in text and help_ in text


def test_a_link_by_which_no_file_is_reached_is_said_to_be_one(nnspec: Nnspec) -> None:
    for link, target in (("a.nn", "b.nn"), ("b.nn", "a.nn"), ("c.nn", "gone.nn")):
        Path(link).symlink_to(target)
        code, _, text = nnspec("check", link)
        assert code == 1 and f"error[E501]: `{link}` is a link to `{target}`, by which no file is reached" in text and "mean" not in text


@pytest.mark.parametrize("command", ["check", "diff", "fmt", "test"])
def test_stdin_stands_for_one_file(command: str, nnspec: Nnspec) -> None:
    code, _, text = nnspec(command, "-", "-")
    assert code == 2 and "- is stdin, which is read once: it stands for one file" in text


def test_an_answer_has_one_form(nnspec: Nnspec) -> None:
    for form in ("github", "sarif"):
        code, text, _ = nnspec("check", "wrong.nn", "--json", "--output-format", form)
        assert code == 2 and f"--json and --output-format {form} are two forms of one answer" in text
    assert nnspec("check", "wrong.nn", "--json", "--output-format", "json")[0] == 1


def test_a_spec_where_a_run_is_due_is_shown_its_last_run(nnspec: Nnspec) -> None:
    assert "help: it is a spec: `nnspec train xor` makes a run of it" in nnspec("eval", "xor")[2]
    Path("no_run.csv").write_text("a,b", "utf-8")
    assert "it is what `nnspec train` prints at its end" in nnspec("eval", "no_run.csv")[2]
    for _ in range(2):
        assert nnspec("train", "xor", "--epochs", "1")[0] == 0
    assert "help: did you mean `runs/xor-2`, a run of this spec?" in nnspec("eval", "xor")[2]


@pytest.mark.parametrize("suffix", ["csv", "npy", "npz", "parquet"])
def test_a_file_of_the_command_line_that_is_not_there_is_pointed_at_there(nnspec: Nnspec, suffix: str) -> None:
    model = "model M { input x: []  target y: []  output p = 2 * x  loss mse(p, y) }"
    Path("m.nn").write_text(f'{model}\ntrain {{ epochs 1  optimizer sgd(0.1)  data {suffix}("t.{suffix}") }}\n', "utf-8")
    for given, place, line in (((), "m.nn:2:44", "2 | train {"), (("--data", f"no.{suffix}"), "--data:1:1", f"1 | no.{suffix}")):
        code, _, said = nnspec("train", "m.nn", *given)
        assert code == 1 and "error[E302]" in said
        assert f"--> {place}\n" in said and line in said


@pytest.mark.parametrize("command", [("graph", "-o", "m.svg"), ("derive", "w")])
def test_a_formula_too_deep_for_a_command_is_a_mistake_and_no_failure(nnspec: Nnspec, command: tuple[str, ...]) -> None:
    for depth in (100, 370, 900):
        Path("m.nn").write_text(f"model M {{ input x: []  param w: [] = 1  output z = {'-' * depth}(w * x)  loss mse(z, x) }}\n", "utf-8")
        code, _, said = nnspec(command[0], "m.nn", *command[1:])
        assert code == 0 or said.startswith(("error[E502]", "error[E003]")), (depth, said)


@NEEDS_FULL
@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("doc", "relu", "--json"), 3, "error: No space left on device\n"),
        (("doc", "relu"), 3, "error: No space left on device\n"),
        (("eval", "nowhere", "--json"), 1, "error[E503]: nowhere is not a run directory\n"),
        (("doc", "--jsn", "--json"), 2, "Error: No such option '--jsn'."),
    ],
)
def test_what_cannot_be_written_to_a_full_stdout_is_said_on_stderr(arguments: tuple[str, ...], code: int, said: str) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([sys.executable, "-m", "nnspec", *arguments], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, "Traceback" in done.stderr) == (code, False) and said in done.stderr


@NEEDS_FULL
def test_where_neither_can_be_written_the_exit_code_says_it() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([sys.executable, "-m", "nnspec", "doc", "relu"], stdout=full, stderr=full, check=False)
    assert done.returncode == 3


def test_a_command_works_with_its_error_stream_and_its_input_closed(tmp_path: Path) -> None:
    run = tmp_path / "run"
    command = f"{sys.executable} -m nnspec train xor --epochs 2 --run {run} --engine numpy <&- 2>&-"
    assert subprocess.run(["sh", "-c", command], check=False).returncode == 0 and (run / "model.onnx").exists()
    ended = subprocess.run(["sh", "-c", f"{sys.executable} -m nnspec check - <&-"], check=False, capture_output=True, text=True)
    assert ended.returncode == 1 and ended.stderr.startswith("error[") and "Traceback" not in ended.stderr
