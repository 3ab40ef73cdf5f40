"""Fields bound to ports by name, from the file of the spec or of the command line; arrays as ports take them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from data_cases import FLOWERS, SPEC, X_PLACE, Y_PLACE, inline, load, mistake, port, read_text, source, training

import nnspec
from nnspec.cli.main import cli
from nnspec.diagnostics import Fault
from nnspec.graph import Size, Type
from nnspec.train.check import check
from nnspec.train.data import read
from nnspec.train.sources import source_from_path

# ---- binding


def test_a_port_without_a_field_gets_a_suggestion(tmp_path: Path) -> None:
    found = mistake(lambda: read(source("digits"), {"imag": port(64)}, Path()))
    assert (found.code, found.span) == ("E307", SPEC)
    assert "did you mean `image`?" in found.help and "`digit`" in found.help
    found = mistake(lambda: read_text(tmp_path, FLOWERS, {"x": port(2)}, x=("length", "widht")))
    assert (found.code, found.span) == ("E307", X_PLACE) and "did you mean `width`?" in found.help


def test_a_file_on_the_command_line_needs_no_spec_to_be_right(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("a\n1\n", encoding="utf-8")
    found = mistake(lambda: read(source_from_path(str(tmp_path / "rows.csv")), {"x": port()}, Path()))
    assert found.code == "E307" and "call one `x`, or choose in a spec: `data csv(" in found.help


def test_data_for_a_port_that_the_model_lacks_is_refused_in_training_only() -> None:
    wide = inline(x=(1, 2), Y=(0, 1))
    assert read(wide, {"x": port()}, Path())["x"].tolist() == [1, 2]
    found = mistake(lambda: load(training(wide), {"x": port()}, {"y": port(classes=2)}, Path()))
    assert found.code == "E307" and "did you mean `y`?" in found.help


def test_data_on_the_command_line_replaces_the_file_and_keeps_the_columns(tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text("a,b\n1,2\n")
    np.savez(tmp_path / "new.npz", a=[3.0], b=[4.0])
    block = training(source("csv", "old.csv", x=("a", "b")))
    for name, expected in (("new.csv", [[1, 2]]), ("new.npz", [[3, 4]])):
        assert load(block, {"x": port(2)}, {}, Path("elsewhere"), str(tmp_path / name)).train["x"].tolist() == expected


def test_a_train_block_without_data_takes_it_from_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text("x\n1\n2\n")
    assert load(training(), {"x": port()}, {}, Path("elsewhere"), str(tmp_path / "new.csv")).train["x"].tolist() == [1, 2]
    assert mistake(lambda: load(training(), {"x": port()}, {}, Path())).code == "E302"


COMMANDS = [("predict", "r", "-o", "o.csv"), ("eval", "r"), ("train", "m.nn", "--run", "q")]


@pytest.fixture
def own_columns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run, `r`, of a spec that says which columns its input is made of, and the spec, m.nn."""
    monkeypatch.chdir(tmp_path)
    Path("m.csv").write_text("a,b,kind\n" + "".join(f"{i},{i % 7},{('ash', 'elm')[i % 2]}\n" for i in range(12)))
    text = PLANT.replace("[1]", "[2]").replace("{ epochs", '{ data csv("m.csv", size = [a, b])  epochs')
    Path("m.nn").write_text(text)
    nnspec.loads(text, engine="numpy").fit(run="r")


@pytest.mark.usefixtures("own_columns")
@pytest.mark.parametrize("command", COMMANDS)
def test_a_column_that_other_data_lack_is_missed_in_their_file_and_asked_for_in_the_spec(command: tuple[str, ...]) -> None:
    Path("new.csv").write_text("a,kind\n1,ash\n2,elm\n")
    done = CliRunner().invoke(cli, [*command, "--data", "new.csv"])
    found = as_diagnostic(done)
    assert found.message == "`csv` has no field `b` for `size`" and "`a`, `kind`" in found.help
    assert found.span and (found.span.source.name, found.span.text) == ("--data", "new.csv")
    assert [(place.text, said) for place, said in found.notes] == [("[a, b]", "it is asked for here")]


@pytest.mark.usefixtures("own_columns")
@pytest.mark.parametrize("command", COMMANDS)
def test_a_gap_of_other_data_is_closed_by_what_the_spec_says(command: tuple[str, ...]) -> None:
    Path("new.csv").write_text("a,b,kind\n1,2,ash\n,3,elm\n")
    found = as_diagnostic(CliRunner().invoke(cli, [*command, "--data", "new.csv"]))
    assert found.code == "E306" and "in the data block of the spec, `missing = drop`" in found.help and ".csv" not in found.help


@pytest.mark.parametrize(
    ("data", "code", "marked", "help_"),
    [
        ("x = [[1, 2], [-1, 1e39], [3, 4]], t = [0, 1, 2]", "E306", "1e39", "its largest number is 3.4e+38"),
        ("x = [[1, 2], [-1e39, 1], [3, 4]], t = [0, 1, 2]", "E306", "-1e39", "its largest number is 3.4e+38"),
        ("x = [[1, 2], [3, 4], [5, 6]], t = [0, 1, 7]", "E305", "7", ""),
        ("x = [[1, 2], [3, 4]], t = [0.5, 1]", "E305", "0.5", "whole"),
        ("x = [[1, 2], [3, 4], [1e39, 5], [6, 7]], t = [0, 1, 2, 0] ", "E306", "1e39", ""),
    ],
)
def test_a_number_of_the_spec_that_does_not_fit_is_marked_itself(data: str, code: str, marked: str, help_: str) -> None:
    model = "model M { input x: [2]  target t: class(3)  output z = x -> dense(3)  loss cross_entropy(z, t) }"
    net = nnspec.loads(f"{model} train {{ data {{ {data} }} epochs 1 validation 0.4 optimizer adam }}")
    with pytest.raises(nnspec.SpecError) as raised:
        net.fit()
    (found,) = raised.value.diagnostics
    assert (found.code, found.span and found.span.text) == (code, marked) and help_ in found.help and "fill in" not in found.help


@pytest.mark.usefixtures("own_columns")
def test_predictions_without_data_say_that_they_are_of_examples_held_out() -> None:
    table = np.genfromtxt("m.csv", delimiter=",", skip_header=1, usecols=(0, 1))
    run = nnspec.open("r")
    held_out = [[*row] in run.dataset().test["size"].tolist() for row in table]
    for arguments, rows, said in (([], held_out, "held out for testing"), (["--data", "m.csv"], [True] * 12, "")):
        done = CliRunner().invoke(cli, ["predict", "r", "-o", "o.npz", *arguments], catch_exceptions=False)
        assert said in done.stderr and bool(said) == bool(done.stderr)
        np.testing.assert_allclose(np.load("o.npz")["probs"], run.predict({"size": table[rows]})["probs"], rtol=1e-5)


def as_diagnostic(done: Result) -> nnspec.Diagnostic:
    assert isinstance(done.exception, Fault | nnspec.SpecError)
    return done.exception.diagnostic if isinstance(done.exception, Fault) else done.exception.diagnostics[0]


def test_a_path_is_a_source_by_its_suffix() -> None:
    assert [source_from_path(p).name for p in ("a.csv", "b/c.NPZ")] == ["csv", "npz"]
    found = mistake(lambda: source_from_path("a.txt"))
    assert found.code == "E302" and found.span and found.span.source.name == "--data" and found.span.text == "a.txt"


PLANT = """
model Plant {
  input  size: [1]
  target kind: class(2)
  z = size -> dense(2)
  output probs = softmax(z)
  loss   cross_entropy(z, kind)
}
train { epochs 1  test 0.25  optimizer adam }
"""


def test_a_run_remembers_the_data_it_was_trained_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "plants.csv").write_text("size,kind\n1,ash\n2,elm\n3,ash\n4,elm\n")
    monkeypatch.chdir(tmp_path)
    nnspec.loads(PLANT).fit(path="plants.csv", run="run")
    for command in ("eval run", "predict run -o p.csv", "export run --quantize int8 -o m.onnx", "templates run"):
        done = CliRunner().invoke(cli, command.split())
        assert done.exit_code == 0, done.exception
    assert Path("p.csv").read_text().startswith("probs_ash,probs_elm,kind\n")
    monkeypatch.chdir(tmp_path.parent)
    again = nnspec.open(tmp_path / "run")
    again.fit()
    again.save(tmp_path / "longer")
    assert nnspec.open(tmp_path / "longer").data_path == str(tmp_path / "plants.csv")
    again.fit({"size": [[1.0], [2.0], [3.0], [4.0]], "kind": [0, 1, 0, 1]})
    assert again.data_path is None
    (tmp_path / "plants.csv").unlink()
    with pytest.raises(nnspec.SpecError, match=r"plants\.csv does not exist"):
        nnspec.open(tmp_path / "run").dataset()


# ---- checks


@pytest.mark.parametrize(("values", "ports", "code", "part"), [
    ({"x": ((1, 2), (3, 4))}, {"x": port(3)}, "E303", "`x` is declared [3], and an example of its data is [2]"),
    ({"x": ((1, 2), (3,))}, {"x": port(2)}, "E303", "do not all have the same shape"),
    ({"x": 3}, {"x": port()}, "E303", "single value"),
    ({"x": np.zeros((2, 3, 4))}, {"x": port(4, 3)}, "E303", "[4, 3]"),
    ({"x": ((1, 2),), "y": ((1,),)}, {"x": port(Size.named("T")), "y": port(Size.named("T"))}, "E303", "[T] with T = 2"),
    ({"x": (0, 1, 2)}, {"x": port(classes=2)}, "E305", "row 3: 2, and class(2) takes 0 to 1"),
    ({"x": (0, -1)}, {"x": port(classes=2)}, "E305", "row 2: -1"),
    ({"x": (0, 0.5)}, {"x": port(classes=2)}, "E305", "row 2: 0.5"),
    ({"x": ((1, 2), (3, 4.5))}, {"x": port(2, dtype="int64")}, "E305", "row 2, column 2: 4.5"),
    ({"x": (1e300, 0.0)}, {"x": port(dtype="int64")}, "E305", "row 1"),
    ({"x": (True, 2)}, {"x": port(dtype="bool")}, "E305", "row 2: 2"),
    ({"x": (0.0, np.nan)}, {"x": port(classes=2)}, "E306", "row 2: nan"),
    ({"x": ((1, 2), (3, np.inf))}, {"x": port(2)}, "E306", "row 2, column 2: inf"),
    ({"x": (1, 1e39)}, {"x": port()}, "E306", "does not fit into float32"),
    ({"x": np.full((1, 2, 2), np.nan)}, {"x": port(2, 2)}, "E306", "row 1, at [1, 1]"),
    ({"x": (1, None)}, {"x": port()}, "E306", "row 2"),
    ({"x": (1, 2)}, {"y": port()}, "E307", "`y`"),
    ({"x": (1, 2), "y": (1,)}, {"x": port(), "y": port()}, "E308", "`y` has 1 examples, and `x` has 2"),
    ({"x": ()}, {"x": port(2)}, "E308", "no examples"),
    ({"x": (1, "a")}, {"x": port()}, "E309", "neither"),
    ({"x": ("a", "b")}, {"x": port()}, "E309", "text: `a`"),
    ({"x": (1j, 2)}, {"x": port()}, "E309", "complex"),
    ({"x": object()}, {"x": port()}, "E309", "neither"),
    ({"x": {"a": 1}}, {"x": port()}, "E309", "neither"),
])  # fmt: skip
def test_data_that_does_not_fit_is_refused(values: dict[str, Any], ports: dict[str, Type], code: str, part: str) -> None:
    found = mistake(lambda: check(values, ports, SPEC, "float32"))
    assert (found.code, found.span) == (code, SPEC)
    assert (found.help == "the number of a class is whole") == ("0.5" in part)
    assert part in found.message


def test_the_mistake_is_shown_at_the_field_that_has_it() -> None:
    found = mistake(lambda: read(inline(x=(1, 2), y=(0, 2)), {"x": port(), "y": port(classes=2)}, Path()))
    assert (found.code, found.span) == ("E305", Y_PLACE)


def test_a_class_in_one_hot_is_shown_how_it_becomes_a_number() -> None:
    found = mistake(lambda: check({"y": [[1, 0], [0, 1]]}, {"y": port(classes=2)}, None, "float32"))
    assert found.code == "E303" and "`y.argmax(axis=-1)`" in found.help


def test_labels_that_start_at_1_get_the_advice() -> None:
    assert "subtract 1" in mistake(lambda: check({"y": [1, 2, 3]}, {"y": port(classes=3)}, None, "float32")).help


def test_arrays_come_out_as_the_engine_takes_them() -> None:
    values = {"x": np.asfortranarray(np.ones((3, 2))), "y": [0.0, 1.0, 2.0], "z": [1, 0, 1], "n": np.array([1, 2, 3], dtype=np.uint64)}
    ports = {"x": port(2), "y": port(classes=3), "z": port(dtype="bool"), "n": port(dtype="int64")}
    fields = check(values, ports, None, "float32")
    assert [fields[n].dtype.name for n in ports] == ["float32", "int64", "bool", "int64"]
    assert all(a.flags.c_contiguous for a in fields.values())


def test_an_example_of_another_rank_is_reshaped_row_by_row() -> None:
    flat = np.arange(24.0).reshape(2, 12)
    assert np.array_equal(check({"x": flat}, {"x": port(1, 3, 4)}, None, "float32")["x"], flat.reshape(2, 1, 3, 4))
    assert check({"x": flat.reshape(2, 3, 4)}, {"x": port(12)}, None, "float32")["x"].tolist() == flat.tolist()


def test_a_named_size_takes_any_length() -> None:
    T = Size.named("T")
    fields = check({"x": np.zeros((2, 5)), "y": np.zeros((2, 7))}, {"x": port(T - 2), "y": port(T)}, None, "float32")
    assert fields["x"].shape == (2, 5)
    assert mistake(lambda: check({"x": np.zeros((2, 5, 1))}, {"x": port(T)}, None, "float32")).code == "E303"


def test_columns_called_by_their_places_are_an_input_and_make_a_model_of_raw_fields(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("x_0,x_1,x_2,x_3,y\n1,2,3,4,0\n5,6,7,8,1\n")
    ports = {"x": port(2, 2), "y": port()}
    fields = read(source("csv", "t.csv"), ports, tmp_path)
    assert fields["x"].tolist() == [[[1, 2], [3, 4]], [[5, 6], [7, 8]]]
    data = load(training(source("csv", "t.csv")), {"x": port(2, 2)}, {"y": port()}, tmp_path)
    assert data.train["x"].shape == (2, 2, 2)
    (tmp_path / "t.csv").write_text("x,x_0,y\n1,2,0\n")
    assert read(source("csv", "t.csv"), {"x": port(1)}, tmp_path)["x"].tolist() == [[1]]


CHARACTERS = """
let characters = 4
model Next {
  input  text: class(characters)[T]
  target last: class(DECLARED)
  output z = one_hot(text)[-1] -> dense(DECLARED)
  loss   cross_entropy(z, last)
}
train { data text("none.txt", window = 3)  epochs 1  optimizer adam }
"""


@pytest.mark.parametrize(
    ("declared", "characters", "port", "said"),
    [
        ("characters", 4, "text", "`characters` says how many there are: `--set characters=3`"),
        ("4", 3, "last", "declare it class(3)"),
    ],
)
def test_another_text_takes_as_many_classes_as_it_has_characters(
    declared: str, characters: int, port: str, said: str, tmp_path: Path
) -> None:
    (tmp_path / "t.txt").write_text("abc" * 40)
    with pytest.raises(nnspec.SpecError, match=rf"`{port}` is class\(4\)") as error:
        nnspec.loads(CHARACTERS.replace("DECLARED", declared), characters=characters).dataset(str(tmp_path / "t.txt"))
    assert error.value.diagnostics[0].help == said
    assert nnspec.loads(CHARACTERS.replace("DECLARED", "characters"), characters=3).dataset(str(tmp_path / "t.txt")).labels["last"]


def test_a_character_that_nothing_ends_with_is_called_by_itself(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("ab" * 50 + "?\nab" + "ab" * 50)
    net = nnspec.loads(CHARACTERS.replace("DECLARED", "characters"))
    (warning,) = net.fit(path=str(tmp_path / "t.txt"), progress=nnspec.Progress(on_warning=lambda _: None)).warnings
    assert (warning.code, warning.help) == ("W115", "missing: `\\u000a`, `?`; see how the data are cut")
