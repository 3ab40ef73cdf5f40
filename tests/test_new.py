"""`nnspec new`: a spec begun from the gallery is right as it stands, and nothing is written over."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from helpers import GALLERY, ROOT

from nnspec.cli.main import cli
from nnspec.compile import Compilation
from nnspec.diagnostics import Fault, Source
from nnspec.files import unwritable
from nnspec.gallery import header, names, read, renamed, start


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, [*arguments])


@pytest.mark.parametrize("name", GALLERY)
def test_every_spec_of_the_gallery_begins_one_that_is_right(name: str) -> None:
    assert run("new", "my_net", "--from", name).exit_code == 0
    spec = Compilation(Source("my_net.nn", Path("my_net.nn").read_text("utf-8")), {})
    assert not spec.diagnostics
    assert spec.model.name == "MyNet"
    assert run("check", "my_net.nn").exit_code == run("test", "my_net.nn").exit_code == 0


def test_the_data_of_a_spec_comes_with_it_and_nothing_is_written_over() -> None:
    assert run("new", "net", "--from", "rnn_series").exit_code == 0
    data = Path("data/mackey_glass.csv")
    assert data.read_bytes() == (ROOT / "specs" / data).read_bytes()
    data.write_text("time,x\n1,2\n")
    assert run("new", "other", "--from", "rnn_series").exit_code == 0
    assert data.read_text() == "time,x\n1,2\n"


def test_a_name_of_the_gallery_begins_with_that_spec() -> None:
    for name in ("mazur", "iris.nn"):
        assert f"from `{name.removesuffix('.nn')}` of the gallery" in run("new", name).output
    assert Path("mazur.nn").read_text("utf-8") == (ROOT / "specs" / "mazur.nn").read_text("utf-8")


def test_only_the_name_of_the_model_differs() -> None:
    text = (ROOT / "specs" / "mazur.nn").read_text("utf-8")
    run("new", "two.nn", "--from", "mazur")
    expected = text.replace("model Mazur", "model Two").replace('numbers" of Mazur', 'numbers" of Two')
    assert Path("two.nn").read_text("utf-8") == expected
    assert expected.count("Two {") == 2


@pytest.mark.parametrize(
    ("stem", "name"),
    [("my_net", "MyNet"), ("two words", "TwoWords"), ("a-b", "AB"), ("сеть", "Сеть"), ("2nd", None), ("_", None)],
)
def test_a_model_is_called_after_its_file_where_that_is_a_name(stem: str, name: str | None) -> None:
    source = read("digits")
    assert renamed(source, stem) == source.text.replace("model Digits", f"model {name or 'Digits'}")


def test_of_several_models_the_last_is_called_after_the_file() -> None:
    text = 'model A { input x: [] output x }\nmodel B { input x: [] output x }\ntest "a" of A { given x = 1 expect x == 1 }'
    assert renamed(Source("two.nn", text), "net") == text.replace("model B", "model Net")
    assert renamed(Source("two.nn", text), "a") == text


def test_without_from_it_is_the_first_network_to_train() -> None:
    done = run("new", "net")
    assert Path("net.nn").read_text("utf-8") == renamed(read("digits"), "net")
    assert done.output.splitlines() == [
        "net.nn, from `digits` of the gallery:",
        *(f"  {line}" for line in header(read("digits"))),
        "Go on with:",
        "  nnspec check net.nn",
        "  nnspec train net.nn",
    ]


def test_a_spec_with_tests_says_so_and_a_path_is_quoted() -> None:
    Path("my specs").mkdir()
    assert run("new", "my specs/a.nn", "--from", "mazur").output.splitlines()[-1] == "  nnspec test 'my specs/a.nn'"
    assert Path("my specs/a.nn").is_file()


def test_a_file_that_is_there_is_left_as_it_is() -> None:
    Path("net.nn").write_text("mine")
    with pytest.raises(Fault) as caught:
        start("net", read("digits"))
    assert caught.value.diagnostic.code == "E504"
    assert Path("net.nn").read_text() == "mine"
    assert run("new", "net").exit_code == 1


def test_a_folder_that_is_not_there_is_one_clear_error() -> None:
    with pytest.raises(Fault) as caught:
        start("missing/net", read("digits"))
    assert caught.value.diagnostic.code == "E504"


def test_an_unknown_spec_of_the_gallery_says_what_was_meant_and_writes_nothing() -> None:
    with pytest.raises(Fault) as caught:
        read("lennet")
    assert (caught.value.diagnostic.code, caught.value.diagnostic.help) == ("E501", "did you mean `lenet`?")
    assert run("new", "net", "--from", "lennet").exit_code == 1
    assert not Path("net.nn").exists()


@pytest.mark.parametrize("arguments", [[], ["--list"], ["net", "--list"]])
def test_the_list_has_a_line_for_every_spec(arguments: list[str]) -> None:
    lines = run("new", *arguments).output.splitlines()
    assert [line.split()[0] for line in lines if line.startswith("  ")] == names()
    assert lines[:2] == ["First steps", f"  {'xor':<21}  why a hidden layer is needed, proved by a test"]
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize("name", ["", ".nn", "folder/.nn"])
def test_a_name_without_letters_is_a_mistake_of_usage(name: str) -> None:
    assert run("new", name).exit_code == 2


@pytest.mark.parametrize(("origin", "most"), [("mazur", 0), ("mazur", 100), ("rnn_series", 4096)])
def test_where_there_is_no_room_nothing_is_left(origin: str, most: int) -> None:
    limited = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({most}, {most})); from nnspec.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-B", "-c", limited, "new", "net", "--from", origin], capture_output=True, text=True, check=False
    )
    assert done.returncode == 3 and "cannot be written: File too large" in done.stderr
    assert not [path for path in Path().rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("number", "help_"), [(errno.EACCES, "have the right"), (errno.EROFS, "write elsewhere"), (errno.ENOSPC, "make room")]
)
def test_what_helps_where_a_file_cannot_be_written_hangs_on_why(number: int, help_: str) -> None:
    found = unwritable(Path("net.nn"), OSError(number, os.strerror(number))).diagnostic
    assert found.code == "E540" and help_ in found.help and ("room" in found.help) == (number == errno.ENOSPC)
