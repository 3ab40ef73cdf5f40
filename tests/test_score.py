"""Predictions streamed from one parquet file into another."""

from __future__ import annotations

import csv
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import nnspec
from nnspec.cli.main import cli
from nnspec.diagnostics import Fault
from nnspec.train import score
from nnspec.train.predictions import Classes, columns
from nnspec.train.predictions import write as write_predictions

SPEC = """
model Plant {
  input  x: [2]
  target kind: class(3)
  z = x -> dense(4) -> tanh -> dense(3)
  output probs = softmax(z), best = max(z)
  loss cross_entropy(z, kind)
}
train {
  data csv("plants.csv", x = [long, wide * 2], kind = kind)
  epochs 1
  optimizer adam
}
"""
ROWS = 50

parquet = pytest.importorskip("pyarrow.parquet")
pyarrow = pytest.importorskip("pyarrow")


@pytest.fixture
def table() -> dict[str, Any]:
    long, wide = np.random.default_rng(3).normal(size=(2, ROWS))
    return {"long": long, "day": ["Monday"] * ROWS, "wide": wide}


@pytest.fixture
def net(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> nnspec.Net:
    """A saved run, in the folder where the test works; files are read nine rows at a time, and computed in batches of four."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(score, "READ_ROWS", 9)
    monkeypatch.setattr(score, "LARGEST_VALUE", 16)
    net = nnspec.loads(SPEC).init(seed=5)
    net.save("run")
    return net


def write(path: str, table: dict[str, Any]) -> None:
    parquet.write_table(pyarrow.table(table), path, row_group_size=20)


def predict(output: str) -> tuple[int, str]:
    done = CliRunner().invoke(cli, ["predict", "run", "--data", "in.parquet", "-o", output])
    return done.exit_code, str(done.exception) if done.exception else done.output


def test_every_row_gets_its_outputs_in_the_order_of_the_file(net: nnspec.Net, table: dict[str, Any]) -> None:
    write("in.parquet", table)
    assert predict("out.parquet") == (0, f"{ROWS} predictions in out.parquet\n")
    expected = net.predict({"x": np.stack([table["long"], 2 * table["wide"]], axis=1)})
    found = parquet.read_table("out.parquet")
    assert found.column_names == ["probs_0", "probs_1", "probs_2", "best"]
    probs = np.stack([found[f"probs_{i}"].to_numpy() for i in range(3)], axis=1)
    assert np.allclose(probs, expected["probs"], atol=1e-6) and np.allclose(found["best"], expected["best"], atol=1e-6)


def test_a_run_in_float64_predicts_in_float64(net: nnspec.Net, table: dict[str, Any]) -> None:
    net = nnspec.loads(SPEC, dtype="float64").init(seed=5)
    net.save("double")
    write("in.parquet", table)
    CliRunner().invoke(cli, ["predict", "double", "--data", "in.parquet", "-o", "out.parquet"], catch_exceptions=False)
    expected = net.predict({"x": np.stack([table["long"], 2 * table["wide"]], axis=1)})
    np.testing.assert_allclose(parquet.read_table("out.parquet")["probs_0"], expected["probs"][:, 0], rtol=1e-12)


def test_a_table_in_memory_is_written_as_the_same_parquet(net: nnspec.Net, table: dict[str, Any]) -> None:
    write("in.parquet", table)
    predict("streamed.parquet")
    Path("in.csv").write_text("long,wide\n" + "\n".join(f"{a},{b}" for a, b in zip(table["long"], table["wide"], strict=True)) + "\n")
    assert CliRunner().invoke(cli, ["predict", "run", "--data", "in.csv", "-o", "read.parquet"]).exit_code == 0
    one, two = (parquet.read_table(name) for name in ("streamed.parquet", "read.parquet"))
    assert one.schema == two.schema
    assert all(np.allclose(a, b, atol=1e-6) for a, b in zip(one.columns, two.columns, strict=True))


@pytest.mark.parametrize(("column", "row", "value", "said"), [
    ("wide", 33, None, "row 34, column `wide`: the cell is empty"),
    ("long", 41, float("inf"), "row 42, column 1: inf is not a finite number"),
])  # fmt: skip
def test_a_bad_row_is_named_by_its_place_in_the_file_and_what_was_written_stays(
    net: nnspec.Net, table: dict[str, Any], column: str, row: int, value: float | None, said: str
) -> None:
    write("in.parquet", table)
    predict("out.parquet")
    before = Path("out.parquet").read_bytes()
    cells = list(table[column])
    cells[row] = value
    write("in.parquet", {**table, column: cells})
    code, text = predict("out.parquet")
    assert code == 1 and said in text
    assert Path("out.parquet").read_bytes() == before and not list(Path().glob(".tmp*"))


@pytest.mark.parametrize(("columns", "said"), [
    (("long",), "has no field `wide`"), (("long", "day"), "has no field `wide`"),
])  # fmt: skip
def test_a_column_that_is_not_there_is_missed(net: nnspec.Net, table: dict[str, Any], columns: tuple[str, ...], said: str) -> None:
    write("in.parquet", {name: table[name] for name in columns})
    code, text = predict("out.parquet")
    assert code == 1 and said in text and not Path("out.parquet").exists()


def test_no_rows_are_said(net: nnspec.Net, table: dict[str, Any]) -> None:
    write("in.parquet", {name: values[:0] for name, values in table.items()})
    code, text = predict("out.parquet")
    assert code == 1 and "in.parquet has no rows" in text


def test_no_more_than_two_stretches_a_thread_are_in_memory() -> None:
    taken, released = 0, threading.Semaphore(0)

    def items() -> Any:
        nonlocal taken
        for taken in range(1, 21):
            released.release()
            yield taken

    results = score.in_order(lambda n: n * n, items(), threads=3)
    assert next(results) == 1 and taken == 6
    assert list(results) == [n * n for n in range(2, 21)]


def test_a_model_that_draws_is_predicted_in_memory_each_example_by_its_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    net = nnspec.loads("model Noisy { input x: []  output y = x + normal(0, 1) }")
    net.save("run")
    write("in.parquet", {"x": np.zeros(600)})
    assert predict("out.parquet")[0] == 0
    drawn = parquet.read_table("out.parquet")["y"].to_numpy()
    assert len(set(drawn.tolist())) == 600 and np.array_equal(drawn, net.predict(np.zeros(600)))


def test_labels_that_look_like_numbers_are_labels_in_every_kind_of_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    net = nnspec.loads("model Price { input size: class(3)  output y = take([10, 20, 30], size) }")
    net.labels = {"size": ["1", "2", "XL"]}
    net.save("run")
    write("in.parquet", {"size": np.array([1, 2])})
    Path("in.csv").write_text("size\n1\n2\n")
    for data in ("in.csv", "in.parquet"):
        assert CliRunner().invoke(cli, ["predict", "run", "--data", data, "-o", "out.parquet"]).exit_code == 0
        assert parquet.read_table("out.parquet")["y"].to_pylist() == [10, 20]


def test_numbers_for_classes_are_called_by_the_names_of_these(net: nnspec.Net, table: dict[str, Any]) -> None:
    net.labels = {"kind": ["ash", "best", "elm, wych"]}
    net.save("named")
    write("in.parquet", table)
    Path("in.csv").write_text("long,wide\n1,2\n")
    for data, output in (("in.parquet", "out.parquet"), ("in.csv", "out.csv"), ("in.parquet", "out.npz")):
        assert CliRunner().invoke(cli, ["predict", "named", "--data", data, "-o", output]).exit_code == 0
    header, row = csv.reader(Path("out.csv").read_text().splitlines())
    found = parquet.read_table("out.parquet").to_pydict()
    assert header == [*found] == ["probs_ash", "probs_best", "probs_elm, wych", "best", "kind"]
    said = [net.labels["kind"][i] for i in np.argmax(np.stack([found[name] for name in header[:3]], axis=1), axis=1)]
    assert found["kind"] == said == np.load("out.npz")["kind"].tolist()
    assert row[4] == net.labels["kind"][int(np.argmax([*map(float, row[:3])]))]


@pytest.mark.parametrize(("outputs", "classes", "names"), [
    ({"p": 2, "q": 3}, {"p": Classes("y", ["a", "b"])}, ["p_a", "p_b", "q_0", "q_1", "q_2", "y"]),
    ({"p": 2, "p_a": None}, {"p": Classes("y", ["a", "b"])}, ["p_0", "p_1", "p_a", "y"]),  # two columns would have one name
    ({"p": 2}, {"p": Classes("y", ["same", "same"])}, ["p_0", "p_1", "y"]),
    ({"p": 2}, {"p": Classes("p_a", ["a", "b"])}, ["p_a", "p_b"]),
])  # fmt: skip
def test_no_two_columns_have_one_name(outputs: dict[str, int | None], classes: dict[str, Classes], names: list[str]) -> None:
    arrays = {name: np.zeros((4, width) if width else 4) for name, width in outputs.items()}
    assert list(columns(arrays, classes)) == names


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_outputs_that_would_have_one_column_are_named(tmp_path: Path, suffix: str) -> None:
    outputs = {"p": np.zeros((4, 2)), "p_0": np.zeros(4), "q": np.zeros(4)}
    with pytest.raises(Fault) as caught:
        write_predictions(tmp_path / f"p.{suffix}", outputs)
    assert caught.value.diagnostic.message == "the outputs `p` and `p_0` would both have a column `p_0`"
    write_predictions(tmp_path / "p.npz", outputs)
    assert [*np.load(tmp_path / "p.npz")] == ["p", "p_0", "q"]


def test_what_is_no_number_says_no_class() -> None:
    probs = np.array([[0.1, 0.9], [np.nan, 0.5]])
    assert columns({"p": probs}, {"p": Classes("y", ["a", "b"])})["y"].tolist() == ["b", ""]
