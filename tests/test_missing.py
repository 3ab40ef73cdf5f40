"""Missing values of tables: rows that are left out, and means of the training part that stand for others, wherever the data lie."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import CliRunner

import nnspec
from nnspec.cli.main import cli
from nnspec.diagnostics import Diagnostic, Fault, SpecError
from nnspec.limits import limited
from nnspec.run.stored import Stored
from nnspec.train import files
from nnspec.train.parquet import read_parquet
from nnspec.train.tables import read_csv

SPEC = """
model Plant {
  input  x: [3]
  target kind: class(2)
  target size: []
  h = x -> standardize -> dense(4) -> tanh
  output probs = h -> dense(2) -> softmax
  loss   nll(log(probs), kind)
  loss   fit = mse((h -> dense(1))[0], size)
}
train { data SOURCE  validation 0.2  test 0.2  batch 8  epochs 2  seed 3  optimizer adam(lr = 0.01) }
"""
ROWS = 200
TABLE = "x = [a, b * 10, c], kind = kind, size = size"


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, np.ndarray]:
    """Columns with gaps, as NaN or empty text, in files of four kinds; the folder is where the test works."""
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(files, "MOST_ROWS", 23)
    rng = np.random.default_rng(0)
    columns = {n: rng.normal(5, 2, ROWS) for n in ("a", "b", "size")} | {"c": rng.integers(0, 9, ROWS).astype(float)}
    for name, share in (("a", 0.1), ("b", 0.05), ("c", 0.1), ("size", 0.02)):
        columns[name][rng.random(ROWS) < share] = np.nan
    columns["kind"] = np.where(rng.random(ROWS) < 0.03, "", np.where(rng.random(ROWS) < 0.5, "ash", "elm")).astype(object)
    write(columns, "t")
    whole = np.isnan(columns["c"])
    c = pyarrow.array(np.nan_to_num(columns["c"]).astype(int), mask=whole)
    kind = pyarrow.array(columns["kind"], mask=columns["kind"] == "")
    parquet.write_table(pyarrow.table({**columns, "c": c, "kind": kind}), "t.parquet", row_group_size=70)
    np.savez("t.npz", **{n: v.astype(str) if n == "kind" else v for n, v in columns.items()})
    Path("t").mkdir()
    for name, values in columns.items():
        np.save(f"t/{name}.npy", values.astype(str) if name == "kind" else values)
    return columns


def write(columns: dict[str, Any], name: str) -> None:
    """A csv file, in which an empty cell or `nan` is a gap."""
    rows = zip(*columns.values(), strict=True)
    cells = ("" if str(v) == "nan" and i % 2 else str(v) for i, row in enumerate(rows) for v in row)
    lines = [",".join(row) for row in zip(*[cells] * len(columns), strict=True)]
    Path(f"{name}.csv").write_text("\n".join([",".join(columns), *lines]) + "\n")


KINDS = {"csv": "t.csv", "parquet": "t.parquet", "npz": "t.npz", "npy": "t/"}


def net(kind: str, how: str, text: str = SPEC) -> nnspec.Net:
    return nnspec.loads(text.replace("SOURCE", f'{kind}("{KINDS[kind]}", {TABLE}, missing = {how})'), engine="numpy", threads=1)


def stacked(data: Any, name: str) -> np.ndarray:
    return np.concatenate([np.asarray(part[name]) for part in (data.train, data.validation, data.test)])


@pytest.mark.parametrize("kind", KINDS)
def test_rows_without_some_value_are_left_out(table: dict[str, np.ndarray], kind: str) -> None:
    data = net(kind, "drop").dataset()
    whole = ~np.any([np.isnan(table[n]) for n in ("a", "b", "c", "size")], axis=0) & (table["kind"] != "")
    assert 80 < whole.sum() < 180
    sizes = [len(part["kind"]) for part in (data.train, data.validation or {}, data.test or {})]
    assert sizes == [whole.sum() - 2 * round(0.2 * whole.sum()), *[round(0.2 * whole.sum())] * 2]
    assert np.allclose(np.sort(stacked(data, "size")), np.sort(table["size"][whole].astype("float32")))


@pytest.mark.parametrize("kind", KINDS)
def test_gaps_in_inputs_get_the_mean_of_the_training_part_and_rows_without_a_target_are_left_out(
    table: dict[str, np.ndarray], kind: str
) -> None:
    impute = pytest.importorskip("sklearn.impute")
    ours = net(kind, "mean")
    data = ours.dataset()
    kept = ~np.isnan(table["size"]) & (table["kind"] != "")
    place = {float(s): i for i, s in enumerate(table["size"].astype("float32")) if kept[i]}
    x = np.stack([table["a"], table["b"], table["c"]], axis=1)
    rows = {n: [place[float(s)] for s in part["size"]] for n, part in (("train", data.train), ("test", data.test or {}))}
    theirs = impute.SimpleImputer().fit(x[rows["train"]])
    assert sum(map(len, rows.values())) + len((data.validation or {})["size"]) == kept.sum()
    for name, part in (("train", data.train), ("test", data.test or {})):
        np.testing.assert_allclose(part["x"], theirs.transform(x[rows[name]]) * [1, 10, 1], rtol=1e-6)
    assert [data.means[n] for n in "abc"] == pytest.approx(theirs.statistics_.tolist(), rel=1e-12)
    assert data.labels == {"kind": ["ash", "elm"]}


@pytest.mark.parametrize("how", ["drop", "mean"])
@pytest.mark.parametrize("kind", ["parquet", "npy"])
def test_from_the_disk_it_is_the_same_to_the_last_bit(table: dict[str, np.ndarray], kind: str, how: str) -> None:
    here, there = net(kind, how), net(kind, how)
    epochs = [e.metrics for e in here.fit().epochs]
    with limited(data=2000):
        assert isinstance(there.dataset().train["x"], Stored)
        assert [e.metrics for e in there.fit().epochs] == epochs
    assert (there.means, there.labels) == (here.means, here.labels) and bool(there.means) == (how == "mean")
    assert all(np.array_equal(v, there.params[n]) for n, v in here.params.items())


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_run_fills_other_tables_with_the_means_it_was_trained_with(table: dict[str, np.ndarray], suffix: str) -> None:
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    trained = net("csv", "mean")
    trained.fit(run="run")
    new = {"a": [1.0, np.nan, 3.0], "b": [np.nan, 0.5, 0.25], "c": [1.0, 2.0, np.nan]}
    write(new, "new")
    parquet.write_table(pyarrow.table({n: pyarrow.array(v, from_pandas=True) for n, v in new.items()}), "new.parquet")
    done = CliRunner().invoke(cli, ["predict", "run", "--data", f"new.{suffix}", "-o", f"p.{suffix}"])
    assert done.exit_code == 0, done.exception
    means = trained.means
    x = [[1, 10 * means["b"], 1], [means["a"], 5, 2], [3, 2.5, means["c"]]]
    expected = trained.predict({"x": x})["probs"]
    found = {"csv": read_csv, "parquet": read_parquet}[suffix](Path(f"p.{suffix}"), None)
    np.testing.assert_allclose(np.stack([found[n]() for n in ("probs_ash", "probs_elm")], axis=1), expected, atol=1e-6)


def test_the_means_are_kept_with_the_run_and_in_what_is_exported(table: dict[str, np.ndarray]) -> None:
    trained = net("csv", "mean")
    trained.fit(run="run")
    again = nnspec.open("run")
    assert again.means == dict(trained.means) and set(again.means) == {"a", "b", "c"}
    again.export("m.onnx")
    kept = {p.key: p.value for p in onnx.load("m.onnx").metadata_props}
    assert json.loads(kept["means"]) == again.means
    test = trained.dataset().test
    assert test and CliRunner().invoke(cli, ["eval", "run"]).exit_code == 0
    assert again.evaluate(again.dataset().test or {}) == trained.evaluate(test)
    trained.fit(run="run", resume=True, epochs=3)


def mistake(act: Any) -> Diagnostic:
    with pytest.raises(SpecError) as caught:
        act()
    return caught.value.diagnostics[0]


def test_no_row_that_is_asked_about_is_left_out(table: dict[str, np.ndarray]) -> None:
    net("csv", "drop").fit(run="run")
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    new = {"a": [1.0, np.nan], "b": [1.0, 2.0], "c": [3.0, 3.0]}
    write(new, "new")
    parquet.write_table(pyarrow.table(new), "new.parquet")
    for kind in ("csv", "parquet"):
        done = CliRunner().invoke(cli, ["predict", "run", "--data", f"new.{kind}", "-o", f"p.{kind}"])
        assert done.exit_code == 1 and f"new.{kind}, row 2, column `a`: a value is missing" in str(done.exception)
    assert CliRunner().invoke(cli, ["eval", "run", "--data", "t.csv"]).exit_code == 0


def test_a_row_is_called_by_its_number_in_the_file_whatever_was_left_out_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    np.save("t.npy", np.array([[np.nan, 0], [1, 0], [np.nan, 1], [1, 7], [1, 1]]))
    text = "model M { input x: []  target y: class(2)  z = stack(x, x)  output z  loss cross_entropy(z, y) }"
    text += 'train { data npy("t.npy", x = array[0], y = array[1], missing = drop)  epochs 1  optimizer sgd(lr = 1) }'
    for limit in (1 << 30, 60):
        with limited(data=limit):
            assert "row 4: 7, and class(2) takes 0 to 1" in mistake(nnspec.loads(text).dataset).message


def test_the_command_says_how_many_rows_are_left_out(table: dict[str, np.ndarray]) -> None:
    Path("net.nn").write_text(SPEC.replace("SOURCE", f'csv("t.csv", {TABLE}, missing = drop)'))
    done = CliRunner().invoke(cli, ["train", "net.nn", "--run", "run"])
    assert done.exit_code == 0 and "of 200 rows have no value for some column, and are left out" in done.output


SMALL = "model M { input x: [2]  output y = x  loss sum(y) } train { data SOURCE  validation 0.5  epochs 1  optimizer sgd(lr = 1) }"


@pytest.mark.parametrize(("content", "how", "code", "said"), [
    ("a,b\n1,\n,2\n", "drop", "E308", "every row is without some value"),
    ("a,b\n1,\n2,\n3,\n4,\n", "mean", "E306", "no example that is trained on has a value of `b`"),
    ("a,b\n1,inf\n2,\n", "mean", "E306", "row 1 (line 2), column `b`: `inf` is not a finite number"),
    ("a,b\n1,n/a\n2,3\n", "mean", "E309", "`n/a` is not a number"),
    ("a,b\n1,x\n2,\n3,y\n", "mean", "E309", "`b` holds text: `x` in row 1"),
])  # fmt: skip
def test_what_cannot_be_filled_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, how: str, code: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("t.csv").write_text(content)
    found = mistake(nnspec.loads(SMALL.replace("SOURCE", f'csv("t.csv", x = [a, b], missing = {how})')).dataset)
    assert (found.code, said in found.message) == (code, True), found


@pytest.mark.parametrize(("argument", "code", "help_"), [
    ("missing = dorp", "E106", "did you mean `drop`?"),
    ("missing = median", "E106", "write `missing = drop`"),
    ("missing = dropna", "E106", "did you mean `drop`?"),
    ("missing = 0", "E106", "write `missing = drop`"),
    ('missing = "mean"', "E106", "did you mean `mean`?"),
    ("drop", "E104", ""),
    ("mising = drop", "E307", "did you mean `missing`?"),
])  # fmt: skip
def test_what_is_meant_is_offered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, argument: str, code: str, help_: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path("t.csv").write_text("a,b\n1,2\n")
    found = mistake(lambda: nnspec.loads(SMALL.replace("SOURCE", f'csv("t.csv", x = [a, b], {argument})')).dataset())
    assert found.code == code and help_ in found.help


def test_a_series_has_no_gaps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("t.csv").write_text("t,v\n1,1\n2,\n3,2\n4,3\n")
    model = "model M { input x: [1, 1]  target y: [1]  z = x[0]  output z  loss mse(z, y) }"
    text = f'{model} train {{ data series("t.csv", v, window = 1)  epochs 1  optimizer sgd(lr = 1) }}'
    found = mistake(nnspec.loads(text).dataset)
    assert found.code == "E306" and "t.csv, row 2, column `v`: the cell is empty" in found.message and "missing" not in found.help


def test_validation_data_of_another_file_get_the_means_of_the_training_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("t.csv").write_text("a,b\n1,2\n3,4\n")
    Path("v.csv").write_text("a,b\n,7\n5,\n")
    source = 'csv("t.csv", x = [a, b], missing = mean)'
    text = SMALL.replace("SOURCE", source).replace("validation 0.5", f"validation {source.replace('t.csv', 'v.csv')}")
    data = nnspec.loads(text).dataset()
    assert data.validation and data.validation["x"].tolist() == [[2, 7], [5, 3]]


@pytest.mark.parametrize("part", ["validation", "test"])
@pytest.mark.parametrize("own", ["", ", missing = drop"])
def test_means_stand_in_data_that_say_so_whatever_the_training_data_say(table: dict[str, np.ndarray], part: str, own: str) -> None:
    impute = pytest.importorskip("sklearn.impute")
    whole = ~np.isnan(table["a"]) & ~np.isnan(table["b"])
    trained = np.stack([table["a"], table["b"]], axis=1)[whole]
    write({n: table[n][whole if not own else slice(None)] for n in "ab"}, "train")
    source = f'csv("train.csv", x = [a, b]{own})'
    text = SMALL.replace("SOURCE", source).replace("validation 0.5", f'{part} csv("t.csv", x = [a, b], missing = mean)')
    data, notes = nnspec.loads(text).dataset(), list[str]()
    expected = impute.SimpleImputer().fit(trained).transform(np.stack([table["a"], table["b"]], axis=1))
    np.testing.assert_allclose(getattr(data, part)["x"], expected, rtol=1e-6)
    by_arrays = nnspec.loads(text).dataset(data={"x": trained})
    assert np.array_equal(getattr(by_arrays, part)["x"], getattr(data, part)["x"])
    dropped = nnspec.loads(text.replace("missing = mean", "missing = drop")).datasets(note=notes.append)[0]
    assert len(getattr(dropped, part)["x"]) == whole.sum() and f"t.csv: {(~whole).sum()} of 200 rows" in notes[-1]


def test_a_gap_of_a_column_that_is_not_trained_on_has_no_mean(table: dict[str, np.ndarray]) -> None:
    source = 'csv("u.csv", x = [u, v])  validation csv("t.csv", x = [a, b], missing = mean)'
    Path("u.csv").write_text("u,v\n1,2\n")
    found = mistake(nnspec.loads(SMALL.replace("SOURCE", source).replace("  validation 0.5", "")).dataset)
    row = int(np.argmax(np.isnan(table["a"]))) + 1
    assert found.code == "E306" and f"t.csv, row {row}, column `a`: a value is missing, and what is trained on has no `a`" in found.message


def test_the_command_says_how_many_rows_are_not_judged(table: dict[str, np.ndarray]) -> None:
    net("csv", "drop").fit(run="run")
    judged = CliRunner().invoke(cli, ["eval", "run", "--data", "t.csv"])
    assert judged.exit_code == 0 and "of 200 rows have no value for some column, and are left out" in judged.stderr


@pytest.mark.parametrize("kind", ["parquet", "npy"])
def test_examples_of_a_table_that_is_not_in_memory_are_of_the_first_stretch_that_has_some(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(files, "MOST_ROWS", 20)
    x = np.where(np.arange(100) < 50, np.nan, np.arange(100.0))
    parquet.write_table(pyarrow.table({"a": x, "y": np.zeros(100)}), "t.parquet", row_group_size=20)
    Path("t").mkdir()
    np.save("t/a.npy", x)
    np.save("t/y.npy", np.zeros(100))
    text = f"""
        model M {{ input a: []  target y: []  output p = 2 * a  loss mse(p, y) }}
        train {{ data {kind}("{KINDS[kind]}", missing = drop)  epochs 1  optimizer sgd(0.1) }}
        """
    with limited(data=100):
        assert nnspec.loads(text).sample().inputs["a"][0] == 50


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_table_without_a_row_has_no_examples(suffix: str, table: dict[str, np.ndarray]) -> None:
    import pyarrow
    from pyarrow import parquet

    Path("none.csv").write_text("a,b,c,kind,size\n")
    parquet.write_table(pyarrow.table({n: pyarrow.array([], "string" if n == "kind" else "float64") for n in table}), "none.parquet")
    for missing in ("", ", missing = drop", ", missing = mean"):
        for file in ("none", "t"):
            Path(f"{file}.nn").write_text(SPEC.replace("SOURCE", f'{suffix}("{file}.{suffix}", {TABLE}{missing})'))
        no_examples("train", "none.nn")
    assert CliRunner().invoke(cli, ["train", "t.nn", "--run", "r"]).exit_code == 0
    for command in ("eval r", "predict r -o out.csv", "predict r -o out.parquet"):
        no_examples(*command.split(), "--data", f"none.{suffix}")


def no_examples(*command: str) -> None:
    refused = CliRunner().invoke(cli, command).exception
    words = "has no rows" if "out.parquet" in command and ".parquet" in command[-1] else "there are no examples for"
    assert isinstance(refused, SpecError | Fault) and words in str(refused), refused


# ---- arrays


def test_a_nan_from_python_gets_what_a_missing_cell_gets(table: dict[str, np.ndarray]) -> None:
    trained = net("csv", "mean")
    trained.fit(run="run")
    nan, means, again = np.nan, trained.means, nnspec.open("run")
    x = np.array([[nan, 5, 2], [1, nan, 2], [1, 5, nan], [nan, nan, nan], [1, 5, 2]])
    full = np.where(np.isnan(x), [means["a"], 10 * means["b"], means["c"]], x)
    for filled in (trained, again):
        assert np.array_equal(filled.predict({"x": x})["probs"], trained.predict({"x": full})["probs"])
        assert np.array_equal(filled(x=x)["probs"], trained(x=full)["probs"])
    targets = {"kind": ["ash", "elm", "ash", "elm", "ash"], "size": np.ones(5)}
    assert again.evaluate({"x": x, **targets}) == trained.evaluate({"x": full, **targets})
    assert mistake(lambda: again.evaluate({"x": x, **targets, "size": np.full(5, nan)})).code == "E306"
    assert mistake(lambda: net("csv", "drop").predict({"x": x})).code == "E306"


def test_arrays_with_gaps_are_trained_on_as_their_table_is(table: dict[str, np.ndarray]) -> None:
    plain = SPEC.replace("SOURCE", f'npz("whole.npz", {TABLE.replace("b * 10", "b")}, missing = mean)')
    kept = ~np.isnan(table["size"]) & (table["kind"] != "")
    rows = {n: v[kept] for n, v in table.items()}
    np.savez("whole.npz", **{n: v.astype(str) if n == "kind" else v for n, v in rows.items()})
    by_file, by_array = (nnspec.loads(plain, engine="numpy", threads=1) for _ in range(2))
    arrays = {"x": np.stack([rows[n] for n in "abc"], axis=1), "kind": rows["kind"].astype(str), "size": rows["size"]}
    assert [e.metrics for e in by_array.fit(arrays).epochs] == [e.metrics for e in by_file.fit().epochs]
    assert by_array.means == pytest.approx(dict(by_file.means), rel=1e-12)
    computed = nnspec.loads(plain.replace("c]", "c * 2]"))
    assert mistake(lambda: computed.fit(arrays)).code == "E306"  # the mean of `c` cannot be told from what is made of it


def test_what_is_missing_in_objects_of_python_is_said_with_its_row_or_filled(table: dict[str, np.ndarray]) -> None:
    pd = pytest.importorskip("pandas")
    trained = net("csv", "mean")
    trained.fit()
    x, targets = np.array([[1.0, np.nan, 2], [3, 4, 5]]), {"kind": ["ash", "elm"], "size": [1.0, 2.0]}
    expected = trained.evaluate({"x": x, **targets})
    for nothing in (None, pd.NA, np.nan):
        objects = np.array([[1.0, nothing, 2], [3, 4, 5]], object)
        assert trained.evaluate({"x": objects, **targets}) == expected
        without = {"x": x, **targets, "kind": np.array(["ash", nothing], object)}
        found = mistake(partial(trained.evaluate, without))
        assert (found.code, found.message) == ("E306", "`kind`, row 2: a value is missing")
    frame = pd.DataFrame(x, columns=["a", "b", "c"]).convert_dtypes()
    assert trained.evaluate({"x": frame, **targets}) == expected
    mixed = mistake(lambda: trained.evaluate({"x": x, **targets, "kind": np.array(["ash", 1], object)}))
    assert mixed.code == "E309" and "neither all numbers nor all texts" in mixed.message


def test_a_network_drawn_anew_knows_nothing_of_the_data_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("one.csv").write_text("a,y\n1,ash\n3,elm\n,elm\n")
    Path("two.csv").write_text("a,y\n100,oak\n300,yew\n,yew\n")
    text = "model M { input x: [1]  target y: class(2)  l = x -> standardize -> dense(2)  output l  loss cross_entropy(l, y) }"
    text += 'train { data csv("one.csv", x = [a], missing = mean)  epochs 1  optimizer adam }'
    used, fresh = nnspec.loads(text), nnspec.loads(text)
    used.fit()
    used.init(seed=0).fit(path="two.csv")
    fresh.fit(path="two.csv")
    assert used.means == fresh.means == {"a": 200} and used.labels == fresh.labels == {"y": ["oak", "yew"]}
    assert all(np.array_equal(v, used.states[n]) for n, v in fresh.states.items())
    assert all(np.array_equal(v, used.params[n]) for n, v in fresh.params.items())
