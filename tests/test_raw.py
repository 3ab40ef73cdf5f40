"""Exported models that take what the data have: formulas of a data block, bytes and statistics inside the graph."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import CliRunner

import nnspec
from nnspec.cli.export import export
from nnspec.cli.predict import predict
from nnspec.diagnostics import SpecError
from nnspec.run.ort import Session
from nnspec.train.cells import Cells
from nnspec.train.sources import TABLES

TABLE = "a,b,kind,y\n" + "\n".join(f"{i + 1},{i * 0.3 - 2:.2f},{i % 3},{i * 0.5}" for i in range(60))
MADE = 'csv("t.csv", x = [log(a), b / scale, one_hot(kind, 3)])'


def trained(
    folder: Path, data: str = MADE, port: str = "x: [5]", first: str = "standardize", more: str = "", table: str = TABLE
) -> nnspec.Net:
    """A net that has learnt from a table what a data block makes of its columns."""
    (folder / "t.csv").write_text(table)
    (folder / "net.nn").write_text(
        f"let scale = 10  {more}  model M {{ input {port}  target y: []\n"
        f"  output out = ({port.partition(':')[0]} -> {first} -> dense(1))[0]  loss mse(out, y) }}\n"
        f"train {{ data {data}  epochs 2  optimizer sgd(lr = 0.1) }}"
    )
    net = nnspec.load(folder / "net.nn", engine="numpy", threads=1)
    net.fit()
    return net


def columns(**values: Any) -> dict[str, Any]:
    kinds = {"kind": np.int64}
    return {n: np.asarray(v, kinds.get(n, np.float32)) for n, v in values.items()}


def about(path: Path) -> dict[str, str]:
    return {p.key: p.value for p in onnx.load(path).metadata_props}


def test_formulas_of_the_data_block_are_done_in_the_model(tmp_path: Path) -> None:
    net = trained(tmp_path)
    net.export(tmp_path / "plain.onnx")
    net.export(tmp_path / "raw.onnx", raw=net.sample())
    raw = columns(a=[2.5, 700, 1], b=[-30, 0.25, 8], kind=[2, 0, 1])
    x = np.column_stack([np.log(raw["a"]), raw["b"] / 10, np.eye(3)[raw["kind"]]]).astype(np.float32)
    plain, got = Session(tmp_path / "plain.onnx").run({"x": x}), Session(tmp_path / "raw.onnx").run(raw)
    np.testing.assert_allclose(got["out"], plain["out"], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("pixels", [(), ("a",)])
def test_formulas_of_the_data_block_in_float64(pixels: tuple[str, ...], tmp_path: Path) -> None:
    net = trained(tmp_path)
    assert net.export(tmp_path / "raw.onnx", raw=net.sample(), pixels=pixels, double=True).difference < 1e-13
    given = {i.name: i.type for i in onnx.load(tmp_path / "raw.onnx").graph.input}
    assert given["b"].tensor_type.elem_type == onnx.TensorProto.DOUBLE


def test_statistics_in_the_model_are_those_of_the_training_data(tmp_path: Path) -> None:
    """Raw values to the model are standardized ones to one that has the same weights and no `standardize`."""
    net, plain = trained(tmp_path), trained(tmp_path, first="identity")
    for name, weights in net.params.items():
        plain.params[name] = weights
    net.export(tmp_path / "raw.onnx", raw=net.sample(), standardized=True)
    plain.export(tmp_path / "plain.onnx")
    scaler = pytest.importorskip("sklearn.preprocessing").StandardScaler()
    table = np.genfromtxt(tmp_path / "t.csv", delimiter=",", names=True)
    seen = np.column_stack([np.log(table["a"]), table["b"] / 10, np.eye(3)[table["kind"].astype(int)]])
    given = columns(**{n: table[n] for n in ("a", "b", "kind")})
    got = Session(tmp_path / "raw.onnx").run(given)["out"]
    expected = Session(tmp_path / "plain.onnx").run({"x": scaler.fit_transform(seen).astype(np.float32)})["out"]
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)


def test_bytes_then_formulas_then_statistics(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (50, 1, 3, 3))
    np.savez(tmp_path / "d.npz", image=pixels / 255, y=np.arange(50.0))
    net = trained(tmp_path, 'npz("d.npz", image = (image - 0.5) / 0.25)', "image: [1, 3, 3]", "flatten -> standardize")
    net.export(tmp_path / "m.onnx", raw=net.sample(), pixels=["image"], standardized=True)
    got = Session(tmp_path / "m.onnx").run({"image": pixels.astype(np.uint8)})["out"]
    np.testing.assert_allclose(got, net(image=(pixels / 255 - 0.5) / 0.25)["out"], rtol=1e-5, atol=1e-5)
    steps = [
        "image: whole numbers from 0 to 255, divided by 255",
        "image = (image - 0.5) / 0.25",
        "standardize: mu and sigma of the training data",
    ]
    assert json.loads(about(tmp_path / "m.onnx")["preprocessing"]) == steps
    card = (tmp_path / "m.md").read_text()
    assert all(f"{number}. {step}\n" in card for number, step in enumerate(steps, 1))


def test_a_field_whose_examples_were_all_whole_takes_others_too(tmp_path: Path) -> None:
    net = trained(tmp_path, 'csv("t.csv", x = [a / 2, kind == 1])', "x: [2]")
    net.export(tmp_path / "m.onnx", raw=net.sample())
    entering = {i.name: i.type.tensor_type.elem_type for i in onnx.load(tmp_path / "m.onnx").graph.input}
    assert entering == {"a": onnx.TensorProto.FLOAT, "kind": onnx.TensorProto.FLOAT}
    got = Session(tmp_path / "m.onnx").run({"a": np.float32([2.5]), "kind": np.float32([1])})["out"]
    np.testing.assert_allclose(got, net(x=[[1.25, 1]])["out"], rtol=1e-5)


def test_a_field_may_be_an_amount_and_a_class(tmp_path: Path) -> None:
    net = trained(tmp_path, 'csv("t.csv", x = [one_hot(kind, 3), kind / 2])', "x: [4]")
    net.export(tmp_path / "m.onnx", raw=net.sample())
    got = Session(tmp_path / "m.onnx").run({"kind": np.asarray([2, 1])})["out"]
    np.testing.assert_allclose(got, net(x=[[0, 0, 1, 1], [0, 1, 0, 0.5]])["out"], rtol=1e-5)


def test_a_column_of_another_name_is_an_input_by_its_own(tmp_path: Path) -> None:
    net = trained(tmp_path, 'csv("t.csv", x = a)', "x: [1]")
    net.export(tmp_path / "m.onnx", raw=net.sample())
    got = Session(tmp_path / "m.onnx").run({"a": np.float32([2, 3])})["out"]
    np.testing.assert_allclose(got, net(x=[[2], [3]])["out"], rtol=1e-5)


def test_classes_keep_the_name_of_their_column(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    table = "age,city,y\n" + "\n".join(f"{20 + i},{('Bern', 'Basel', 'Zug')[i % 3]},{i}" for i in range(30))
    spec = "input a: []  input town: class(3)"
    (tmp_path / "t.csv").write_text(table)
    (tmp_path / "net.nn").write_text(
        f"model M {{ {spec}  target y: []\n  output out = (one_hot(town, 3) -> dense(1))[0] + a  loss mse(out, y) }}\n"
        'train { data csv("t.csv", a = log(age), town = city)  epochs 1  optimizer sgd(lr = 0.01) }'
    )
    net = nnspec.load(tmp_path / "net.nn", engine="numpy", threads=1)
    net.fit()
    net.export(tmp_path / "m.onnx", raw=net.sample())
    got = Session(tmp_path / "m.onnx").run({"age": np.float32([20, 30]), "city": np.asarray([1, 2])})["out"]
    np.testing.assert_allclose(got, net(a=np.log([20, 30]), town=[1, 2])["out"], rtol=1e-5)
    assert json.loads(about(tmp_path / "m.onnx")["labels"]) == {"city": ["Basel", "Bern", "Zug"]}
    card = (tmp_path / "m.md").read_text()
    assert "`city`: 0 Basel, 1 Bern, 2 Zug" in card
    assert 'session.run(None, {"age": np.array([20.], np.float32), "city": np.array([1], np.int64)})' in card
    monkeypatch.chdir(tmp_path)
    exec(card.split("```python\n")[1].split("```")[0], {})  # the code of the card
    shown = float(capsys.readouterr().out.strip("[]\n").split("(")[-1].split(",")[0].strip("[])"))
    assert shown == pytest.approx(float(net(a=np.log([20]), town=[1])["out"][0]), rel=1e-5)


def test_fields_that_are_inputs_already_are_nothing_to_prepare(tmp_path: Path) -> None:
    net = trained(tmp_path, 'csv("t.csv", y = y)', "a: [1]", "identity")
    with pytest.raises(SpecError, match="the data block makes nothing of its fields") as error:
        net.export(tmp_path / "m.onnx", raw=net.sample())
    assert [d.code for d in error.value.diagnostics] == ["E590"]


def test_a_field_with_the_name_of_a_parameter_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(TABLE)
    (tmp_path / "net.nn").write_text(
        "model M { input x: []  target y: []  param b: [] = 1  output out = b * x  loss mse(out, y) }\n"
        'train { data csv("t.csv", x = b / 10)  epochs 1  optimizer sgd(lr = 0.1) }'
    )
    net = nnspec.load(tmp_path / "net.nn")
    with pytest.raises(SpecError, match="made of the field `b`, and the model has something else of that name") as error:
        net.export(tmp_path / "m.onnx", raw=net.sample())
    assert [d.code for d in error.value.diagnostics] == ["E590"] and not list(tmp_path.glob("m.*"))


def test_statistics_that_were_never_learnt_are_refused(tmp_path: Path) -> None:
    said = CliRunner().invoke(export, ["iris", "--preprocess", "standardize", "-o", str(tmp_path / "m.onnx")])
    assert isinstance(said.exception, SpecError) and "has learnt no mean and deviation yet" in str(said.exception)
    assert not list(tmp_path.iterdir())


def test_steps_by_hand_learn_no_statistics(tmp_path: Path) -> None:
    net = nnspec.load("iris", engine="numpy", threads=1)
    net.step(**{n: v[:8] for n, v in net.dataset().train.items()})
    assert "preprocessing" not in about(net.export(tmp_path / "m.onnx").path)
    with pytest.raises(SpecError, match="has learnt no mean and deviation yet"):
        net.export(tmp_path / "m.onnx", standardized=True)


def test_the_command_says_what_a_run_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained(tmp_path).save(tmp_path / "run")
    monkeypatch.chdir(tmp_path)
    options = ["--preprocess", "data", "--preprocess", "standardize"]
    said = CliRunner().invoke(export, ["run", *options, "-o", "m.onnx"])
    assert said.exit_code == 0, said.output
    assert json.loads(about(Path("m.onnx"))["preprocessing"])[0] == "x = [log(a), b / scale, one_hot(kind, 3)]"
    nnspec.open("run").export_training("step")
    manifest = json.loads(Path("step/step.json").read_text())
    assert manifest["preprocessing"] == ["standardize: mu and sigma of the training data"]


OWN_NAMES = "x,out,dense,y\n" + "\n".join(f"{i + 1},{i * 0.3 - 2:.2f},{i % 3},{i * 0.5}" for i in range(60))


@pytest.mark.parametrize(("data", "port", "table"), [
    (MADE, "x: [5]", TABLE),
    ('csv("t.csv", x = [log(x), out / scale, dense])', "x: [3]", OWN_NAMES),  # columns called as an input, an output and a value
    ('csv("t.csv", x = [a, b, c], missing = mean)', "x: [3]", "a,b,c,y\n" + "\n".join(f"{i},{i % 7 or ''},{i % 5},{i}" for i in range(60))),
])  # fmt: skip
def test_eight_bit_numbers_behind_a_data_block_are_those_calibrated_on_what_it_makes(
    data: str, port: str, table: str, tmp_path: Path
) -> None:
    net = trained(tmp_path, data, port, "standardize -> dense(4) -> relu", table=table)
    plain = net.export(tmp_path / "plain.onnx", int8=net.dataset())
    both = net.export(tmp_path / "raw.onnx", int8=net.dataset(), raw=net.sample())
    sample, session = net.sample(), Session(tmp_path / "raw.onnx")
    [expected] = Session(tmp_path / "plain.onnx").run(dict(sample.inputs)).values()
    [got] = session.run({n: np.asarray(v, np.int64 if n == "kind" else np.float32) for n, v in sample.fields.items()}).values()
    np.testing.assert_allclose(got, expected, atol=1e-5)
    assert both.remarks == plain.remarks and "after it was quantized" in both.remarks[0] and both.difference < 0.1
    operators = [n.op_type for n in onnx.load(tmp_path / "raw.onnx").graph.node]
    assert operators.count("QuantizeLinear") == [n.op_type for n in onnx.load(tmp_path / "plain.onnx").graph.node].count("QuantizeLinear")
    assert [*session.outputs] == (["output:out"] if "out" in sample.fields else ["out"])


def test_what_the_data_block_makes_may_be_an_output_of_a_network_on_eight_bit_numbers(tmp_path: Path) -> None:
    trained(tmp_path)
    spec = tmp_path / "net.nn"
    spec.write_text(spec.read_text().replace("output out", "output x  output out"))
    net = nnspec.load(spec)
    net.export(tmp_path / "m.onnx", raw=net.sample(), int8=net.dataset())
    got = Session(tmp_path / "m.onnx").run(columns(a=[2.5], b=[30], kind=[1]))
    assert {*got} == {"x", "out"}
    np.testing.assert_allclose(got["x"], [[np.log(2.5), 3, 0, 1, 0]], rtol=1e-6)


def test_a_network_that_draws_is_quantized_behind_its_data_block_too(tmp_path: Path) -> None:
    net = trained(tmp_path, first="standardize -> noisy", more="fn noisy(x) = x + normal(0, 0.1)")
    assert net.export(tmp_path / "m.onnx", raw=net.sample(), int8=net.dataset()).difference < 0.1


def test_bytes_and_fields_are_prepared_together_before_eight_bit_numbers(tmp_path: Path) -> None:
    net = trained(tmp_path, 'csv("t.csv", x = [a, b])', "x: [2]", table="a,b,y\n" + "\n".join(f"{i / 255},{i},{i}" for i in range(60)))
    net.export(tmp_path / "m.onnx", raw=net.sample(), int8=net.dataset(), pixels=["a"])
    kinds = {i.name: i.type.tensor_type.elem_type for i in onnx.load(tmp_path / "m.onnx").graph.input}
    assert kinds == {"a": onnx.TensorProto.UINT8, "b": onnx.TensorProto.FLOAT}
    got = Session(tmp_path / "m.onnx").run({"a": np.array([30], np.uint8), "b": np.array([30], np.float32)})["out"]
    np.testing.assert_allclose(got, net(x=[[30 / 255, 30]])["out"], rtol=0.05)


def test_a_network_that_draws_takes_fields_too(tmp_path: Path) -> None:
    net = trained(tmp_path, first="standardize -> noisy", more="fn noisy(x) = x + normal(0, 0.1)")
    assert net.export(tmp_path / "m.onnx", raw=net.sample()).difference < 1e-5


@pytest.mark.parametrize("wish", ["raw", "x=data", "=bits"])
def test_other_ways_to_prepare_are_refused(wish: str, tmp_path: Path) -> None:
    assert CliRunner().invoke(export, ["iris", "--preprocess", wish, "-o", str(tmp_path / "m.onnx")]).exit_code == 2


GAPS = "a,b,c,y\n" + "\n".join(f"{'' if i % 7 == 3 else i + 1},{'' if i % 5 == 1 else i * 0.3 - 2:.6},{i},{i * 0.5}" for i in range(60))


@pytest.mark.parametrize("made", ["x = [log(a), b / 10, c]", "x = [a, b, c]"])
def test_missing_values_get_the_mean_of_the_training_data_in_the_model(tmp_path: Path, made: str) -> None:
    imputer = pytest.importorskip("sklearn.impute").SimpleImputer()
    net = trained(tmp_path, f'csv("t.csv", {made}, missing = mean)', "x: [3]", table=GAPS)
    net.export(tmp_path / "plain.onnx")
    net.export(tmp_path / "raw.onnx", raw=net.sample())
    means = [net.means[n] for n in "abc"]
    raw = np.array([[np.nan, 2, 3], [4, np.nan, 6], [7, 8, 9]], np.float32)
    imputer.fit(np.array([means, means]))
    a, b, c = imputer.transform(raw).T
    x = np.column_stack([np.log(a), b / 10, c] if "log" in made else [a, b, c]).astype(np.float32)
    got = Session(tmp_path / "raw.onnx").run(dict(zip("abc", raw.T.copy(), strict=True)))["out"]
    np.testing.assert_allclose(got, Session(tmp_path / "plain.onnx").run({"x": x})["out"], rtol=1e-5)
    said = json.loads(about(tmp_path / "raw.onnx")["preprocessing"])
    assert f"a: {means[0]:.6g} where it is missing" in said and made in said


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_model_that_brings_means_predicts_rows_with_gaps_as_its_run_does(
    suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = trained(tmp_path, 'csv("t.csv", x = [log(a), "b c"], missing = mean)', "x: [2]", table=GAPS.replace("a,b,c", "a,b c,d"))
    net.save(tmp_path / "run")
    net.export(tmp_path / "raw.onnx", raw=net.sample())
    monkeypatch.chdir(tmp_path)
    if suffix == "parquet":
        read_csv = pytest.importorskip("pyarrow.csv").read_csv
        pytest.importorskip("pyarrow.parquet").write_table(read_csv("t.csv"), "t.parquet")
    for source in ("run", "raw.onnx"):
        said = CliRunner().invoke(predict, [source, "--data", f"t.{suffix}", "-o", f"{Path(source).stem}.{suffix}"])
        assert said.output == f"60 predictions in {Path(source).stem}.{suffix}\n"
    ours, theirs = (TABLES[suffix](Path(f"{name}.{suffix}"), None, Cells())["out"]() for name in ("run", "raw"))
    np.testing.assert_allclose(theirs, ours, rtol=1e-5)
    assert json.loads(about(Path("raw.onnx"))["preprocessing"])[-2] == 'x = [log(a), "b c"]'


@pytest.mark.parametrize("written", ["[1]", '{"a": "many"}', '{"a": [1, [2]]}', '{"a": NaN}', '{"a": null}'])
def test_means_that_are_no_numbers_are_refused(tmp_path: Path, written: str) -> None:
    trained(tmp_path).export(tmp_path / "m.onnx")
    model = onnx.load(tmp_path / "m.onnx")
    onnx.helper.set_model_props(model, {"nnspec_version": "0.1.0", "means": written})
    with pytest.raises(SpecError, match="`means` in the metadata of the model are not numbers"):
        nnspec.from_onnx(model)


def test_a_plain_column_with_gaps_is_a_field_that_may_lack_values(tmp_path: Path) -> None:
    net = trained(tmp_path, 'csv("t.csv", x = a, missing = mean)', "x: [1]", table=GAPS)
    net.export(tmp_path / "raw.onnx", raw=net.sample())
    got = Session(tmp_path / "raw.onnx").run({"a": np.array([np.nan, 2], np.float32)})["out"]
    np.testing.assert_allclose(got, net(x=[[net.means["a"]], [2]])["out"], rtol=1e-5)
