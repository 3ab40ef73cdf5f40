"""An ONNX model on the command line, where a spec or a run may stand."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from helpers import run
from torch_models import example, export, outputs

import nnspec
from nnspec.cli.export import export as written_again
from nnspec.diagnostics import Fault
from nnspec.interchange.from_onnx.table import RULES
from nnspec.ops import pointwise as p
from nnspec.train.cells import Cells
from nnspec.train.predictions import write
from nnspec.train.sources import TABLES

LEARNING = ("--set", "target=y: class(3)", "--set", "loss=-pick(log_p, y)", "--set", "metric=accuracy(log_p, y)")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`mlp.onnx` as torch writes it, nine examples for it in `d.npz`, and `resnet.onnx`."""
    folder = tmp_path_factory.mktemp("models")
    export(example("mlp"), folder / "mlp.onnx")
    export(example("resnet"), folder / "resnet.onnx", dynamo=True)
    x = np.random.default_rng(0).normal(size=(9, 20)).astype(np.float32)
    np.savez(folder / "d.npz", x=x, y=np.arange(9) % 3)
    (folder / "other.csv").write_text("a,b\n1,2\n")
    (folder / "short.csv").write_text("x_0,b\n1,2\n")
    return folder


def theirs(folder: Path) -> np.ndarray:
    [log_p] = outputs(example("mlp"), torch.from_numpy(np.load(folder / "d.npz")["x"]))
    return log_p.numpy()


def test_check_shows_its_nodes_with_what_they_own(folder: Path) -> None:
    done = run("check", "mlp.onnx", cwd=folder)
    assert done.returncode == 0 and not done.stderr  # torch's first weights are no doubt
    assert "Gemm(x, fc1.weight, fc1.bias" in done.stdout and "579" in done.stdout


def test_predict_gives_the_outputs_of_torch(folder: Path, tmp_path: Path) -> None:
    done = run("predict", "mlp.onnx", "--data", "d.npz", "-o", str(tmp_path / "p.csv"), cwd=folder)
    assert done.stdout.startswith("9 predictions"), done.stderr
    rows = list(csv.reader((tmp_path / "p.csv").open()))
    assert rows[0] == ["log_p_0", "log_p_1", "log_p_2"]
    np.testing.assert_allclose(np.array(rows[1:], float), theirs(folder), atol=1e-5)


@pytest.mark.parametrize("suffix", ["csv", "parquet", "npy"])
def test_predict_takes_a_table_with_columns_named_as_in_predictions_or_one_array(folder: Path, tmp_path: Path, suffix: str) -> None:
    x, rows = np.load(folder / "d.npz")["x"], tmp_path / f"rows.{suffix}"
    if suffix == "npy":
        np.save(rows, x)
    else:
        write(rows, {"other": x[:, 0], "x": x})
    out = tmp_path / ("p.parquet" if suffix == "parquet" else "p.csv")
    done = run("predict", "mlp.onnx", "--data", str(rows), "-o", str(out), cwd=folder)
    assert done.stdout.startswith("9 predictions"), done.stderr
    columns = {name: read() for name, read in TABLES[out.suffix[1:]](out, None, Cells()).items()}
    np.testing.assert_allclose(np.stack([columns[f"log_p_{i}"] for i in range(3)], axis=1), theirs(folder), atol=1e-5)


def test_eval_computes_the_loss_and_metric_that_are_set(folder: Path) -> None:
    done = run("eval", "mlp.onnx", "--data", "d.npz", "--json", *LEARNING, cwd=folder)
    found, log_p, y = json.loads(done.stdout), theirs(folder), np.arange(9) % 3
    assert found["loss"] == pytest.approx(-log_p[np.arange(9), y].mean(), abs=1e-5)
    assert found["accuracy"] == pytest.approx((log_p.argmax(1) == y).mean())


def test_a_model_is_put_on_8_bit_numbers_that_are_calibrated_on_a_file(folder: Path, tmp_path: Path) -> None:
    done = run("export", "mlp.onnx", "--quantize", "int8", "--data", "d.npz", "-o", str(tmp_path / "q.onnx"), *LEARNING, cwd=folder)
    model = onnx.load(tmp_path / "q.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "q.onnx")
    [log_p] = session.run(None, {"x": np.load(folder / "d.npz")["x"]})
    assert "QuantizeLinear" in {n.op_type for n in model.graph.node} and model.producer_name == "nnspec"
    right, before = (np.mean(p.argmax(1) == np.arange(9) % 3) for p in (log_p, theirs(folder)))
    assert f"accuracy {before:.4g} before and {right:.4g} after it was quantized" in done.stdout, done.stderr


def test_an_export_holds_what_is_read_against_the_file(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RULES, "Relu", lambda c, x: p.abs(x))
    with pytest.raises(Fault, match=r"what is read of .* and onnxruntime differ by") as refused:
        written_again.main([str(folder / "mlp.onnx"), "-o", str(tmp_path / "again.onnx")], standalone_mode=False)
    assert refused.value.diagnostic.code == "E532" and not list(tmp_path.iterdir())


def test_graph_draws_a_box_for_each_node_and_the_way_back(folder: Path) -> None:
    done = run("graph", "resnet.onnx", "-o", "mermaid", cwd=folder)
    nodes = len(onnx.load(folder / "resnet.onnx").graph.node)
    assert done.stdout.count("Conv<br>") == 20 and done.stdout.count("-->") >= nodes, done.stderr
    back = run("graph", "mlp.onnx", "--backward", "-o", "svg", *LEARNING, cwd=folder)
    assert back.stdout.count("∂weight") == 3, back.stderr


def test_diff_tells_weights_apart_and_compares_with_a_spec(folder: Path, tmp_path: Path) -> None:
    model = onnx.load(folder / "mlp.onnx")
    [bias] = [t for t in model.graph.initializer if t.name == "fc1.bias"]
    bias.CopyFrom(onnx.numpy_helper.from_array(np.zeros(16, np.float32), "fc1.bias"))
    onnx.save(model, tmp_path / "zero.onnx")
    assert run("diff", "mlp.onnx", "mlp.onnx", cwd=folder).stdout == "no difference\n"
    found = json.loads(run("diff", "mlp.onnx", str(tmp_path / "zero.onnx"), "--json", cwd=folder).stdout)
    assert [(c["part"], c["name"]) for c in found] == [("weights", "fc1.bias")]
    spec = tmp_path / "same.nn"
    assert run("import", "mlp.onnx", "-o", str(spec), cwd=folder).returncode == 0
    assert run("diff", "mlp.onnx", str(spec), "--signature", cwd=folder).stdout == "no difference\n"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("train", "mlp.onnx", *LEARNING), "E525", "`nnspec import mlp.onnx -o F.nn` writes a spec"),
        (("derive", "mlp.onnx", "fc1.weight", *LEARNING), "E525", "no formulas to derive"),
        (("check", "--fix", "mlp.onnx"), "E525", "no text to mend"),
        (("predict", "mlp.onnx", "-o", "p.csv"), "E302", "--data FILE"),
        (("predict", "mlp.onnx", "--data", "mlp.onnx", "-o", "p.csv"), "E302", "is not a .csv"),
        (("predict", "mlp.onnx", "--data", ".", "-o", "p.csv"), "E302", "what lies in a folder a spec says"),
        (("predict", "mlp.onnx", "--data", "other.csv", "-o", "p.csv"), "E307", "call columns `x_0` to `x_19`, or choose in a spec: "),
        (("predict", "mlp.onnx", "--data", "short.csv", "-o", "p.csv"), "E307", "no field `x_1` for `x`"),
        (("eval", "mlp.onnx", "--data", "d.npz"), "E110", "neither a loss nor a metric"),
        (("export", "mlp.onnx", "--quantize", "int8", "-o", "q.onnx"), "E110", "neither a loss nor a metric"),
        (("export", "mlp.onnx", "--quantize", "int8", "-o", "q.onnx", *LEARNING), "E302", "give `--data FILE`"),
        (("export", "mlp.onnx", "--preprocess", "data", "-o", "q.onnx"), "E110", "no train block"),
        (("check", "mlp.onnx", "--set", "constants=3"), "E106", "no JSON object: 3"),
        (("check", "mlp.onnx", "--set", "los=y"), "E102", "did you mean `loss`?"),
        (("check", "nowhere.onnx"), "E501", "nowhere.onnx"),
    ],
)
def test_what_an_onnx_model_cannot_do_is_said(folder: Path, arguments: tuple[str, ...], code: str, words: str) -> None:
    done = run(*arguments, cwd=folder)
    assert done.returncode == 1 and f"error[{code}]" in done.stderr and words in done.stderr
    assert "Traceback" not in done.stderr and not (folder / "p.csv").exists()


# ---- names of classes that an exported model brings

PETS = """
model Pets {
  input  kind: class(3)
  input  tall: []
  target home: class(2)
  logits = concat(kind -> embedding(3, 4), stack(tall), axis = 0) -> dense(2)
  output probs = softmax(logits)
  loss   cross_entropy(logits, home)
}
train { epochs 5  batch 4  optimizer adam(lr = 0.1) }
"""
KINDS, TALL, HOMES = ["owl", "cat", "dog", "cat"], [20.0, 30.0, 60.0, 25.0], ["tree", "house", "house", "house"]
JUDGED = ("--set", "target=home: class(2)", "--set", "metric=accuracy(probs, home)")


@pytest.fixture(scope="module")
def pets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run and its model, `pets.onnx`, trained on texts for classes, and tables of the last two examples."""
    folder = tmp_path_factory.mktemp("pets")
    net = nnspec.loads(PETS, engine="numpy")
    net.fit({"kind": KINDS, "tall": TALL, "home": HOMES})
    net.save(folder / "run")
    net.export(folder / "pets.onnx")
    (folder / "some.csv").write_text("home,kind,tall\nhouse,dog,60\nhouse,cat,25\n")
    (folder / "new.csv").write_text("home,kind,tall\nhouse,emu,60\nsea,cat,25\n")
    return folder


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
@pytest.mark.parametrize("model", ["run", "pets.onnx"])
def test_texts_of_a_table_are_the_classes_of_the_training_and_name_the_columns(pets: Path, tmp_path: Path, model: str, suffix: str) -> None:
    data, out = tmp_path / f"some.{suffix}", tmp_path / f"out.{suffix}"
    if suffix == "parquet":
        parquet, arrow = pytest.importorskip("pyarrow.parquet"), pytest.importorskip("pyarrow")
        parquet.write_table(arrow.table({"kind": KINDS[2:], "tall": TALL[2:]}), data)
    else:
        data = pets / "some.csv"
    assert (done := run("predict", model, "--data", str(data), "-o", str(out), cwd=pets)).returncode == 0, done.stderr
    found = {name: read() for name, read in TABLES[suffix](out, None, Cells()).items()}
    session = onnxruntime.InferenceSession(pets / "pets.onnx")
    [expected] = session.run(None, {"kind": np.array([1, 0]), "tall": np.float32(TALL[2:])})
    assert list(found) == ["probs_house", "probs_tree", "home"]
    assert list(found.pop("home")) == [("house", "tree")[i] for i in expected.argmax(1)]
    np.testing.assert_allclose(np.stack([*found.values()], axis=1), expected, atol=1e-6)


def test_eval_numbers_the_texts_of_a_target_as_the_training_did(pets: Path) -> None:
    found = json.loads(run("eval", "pets.onnx", "--data", "some.csv", "--json", *JUDGED, cwd=pets).stdout)
    net = nnspec.load(pets / "pets.onnx", target="home: class(2)", metric="accuracy(probs, home)")
    guesses = net(kind=["dog", "cat"], tall=TALL[2:])["probs"].argmax(1)
    assert found["accuracy"] == np.mean(guesses == 0) and net.labels == {"kind": ["cat", "dog", "owl"], "home": ["house", "tree"]}


@pytest.mark.parametrize(("command", "said"), [
    (("predict", "-o", "p.csv"), "column `kind`: `kind`, row 1: `emu` is not a label of the training data"),
    (("eval", *JUDGED), "is not a label of the training data"),
])  # fmt: skip
def test_a_text_that_is_no_class_of_the_model_is_named_with_its_row(pets: Path, command: tuple[str, ...], said: str) -> None:
    done = run(command[0], "pets.onnx", "--data", "new.csv", *command[1:], cwd=pets)
    assert done.returncode == 1 and "error[E305]" in done.stderr and said in done.stderr and "`cat`, `dog`, `owl`" in done.stderr


@pytest.mark.parametrize("written", ["{", '["house"]', '{"home": "house"}', '{"home": []}', '{"home": ["a", "a"]}', "[" * 100_000])
def test_names_of_classes_that_are_none_are_refused(pets: Path, tmp_path: Path, written: str) -> None:
    model = onnx.load(pets / "pets.onnx")
    onnx.helper.set_model_props(model, {"nnspec_version": "0.1.0", "labels": written})
    with pytest.raises(nnspec.SpecError, match="`labels` in the metadata"):
        nnspec.from_onnx(model)
    onnx.helper.set_model_props(model, {"labels": written})  # of another tool, which may mean anything by it
    assert nnspec.from_onnx(model).labels == {}


def test_a_model_that_is_cut_or_written_again_keeps_the_names_that_it_needs(pets: Path, tmp_path: Path) -> None:
    net = nnspec.loads(PETS.replace("output", "h = stack(tall) -> dense(3)  output h, "))
    net.labels = {"kind": ["cat", "dog", "owl"], "home": ["house", "tree"]}
    net.export(tmp_path / "h.onnx", outputs=["h"])
    assert nnspec.load(tmp_path / "h.onnx").labels == {"home": ["house", "tree"]}
    nnspec.load(pets / "pets.onnx").export(tmp_path / "again.onnx")
    assert nnspec.load(tmp_path / "again.onnx").labels == net.labels
    assert "`home`: 0 house, 1 tree" in (tmp_path / "again.md").read_text()


def test_constants_are_given_as_json(tmp_path: Path) -> None:
    text = '<ir_version: 10, opset_import: ["": 21]> m (float[batch, 2] x, int64[1] axis) => (float[batch, n] y) { y = ReduceSum(x, axis) }'
    onnx.save(onnx.parser.parse_model(text), tmp_path / "m.onnx")
    assert "E523" in run("compile", "m.onnx", cwd=tmp_path).stderr
    assert run("compile", "m.onnx", "--set", 'constants={"axis": [1]}', cwd=tmp_path).returncode == 0


STANDARDIZED = """
model Scaled {
  input  x: [3]
  target y: class(2)
  output z = x -> standardize -> dense(2)
  loss   cross_entropy(z, y)
}
train { data { x = [[1, 2, 3], [2, 3, 5], [5, 5, 9], [0, 1, 7]], y = [0, 1, 0, 1] }  epochs 2  optimizer sgd(lr = 0.1) }
"""


def test_what_was_learnt_to_standardize_by_is_no_parameter_of_an_exported_model(tmp_path: Path) -> None:
    net = nnspec.loads(STANDARDIZED)
    net.fit()
    net.export(tmp_path / "scaled.onnx")
    again = nnspec.load(tmp_path / "scaled.onnx", target="y: class(2)", loss="cross_entropy(z, y)", train="epochs 1  optimizer sgd(lr = 1)")
    assert list(again.params) == list(net.params) == ["dense.W", "dense.b"]
    before = {name: value.copy() for name, value in again.states.items()}
    again.fit({"x": [[1, 2, 3]], "y": [0]})
    assert len(before) == 2 and all(np.array_equal(again.states[name], value) for name, value in before.items())
    done = run("import", "scaled.onnx", "-o", "again.nn", cwd=tmp_path)
    assert done.returncode == 0 and list(nnspec.load(tmp_path / "again.nn").params) == ["dense.W", "dense.b"]


def test_values_of_a_model_of_a_fixed_batch_have_their_bytes(tmp_path: Path) -> None:
    weight = onnx.numpy_helper.from_array(np.eye(2, 3, dtype=np.float32), "w")
    ports = [onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, [4, size]) for n, size in (("x", 2), ("z", 3))]
    nodes = [onnx.helper.make_node("MatMul", ["x", "w"], ["h"]), onnx.helper.make_node("Relu", ["h"], ["z"])]
    onnx.save(onnx.helper.make_model(onnx.helper.make_graph(nodes, "four", ports[:1], ports[1:], [weight])), tmp_path / "four.onnx")
    rows = [line.split() for line in run("check", "four.onnx", cwd=tmp_path).stdout.splitlines()]
    assert [row[-1] for row in rows if row[0] in ("h", "z", "four")] == ["48", "48", "96"]


@pytest.mark.parametrize("as_json", [False, True])
def test_a_training_says_its_results_also_where_no_model_is_written(as_json: bool, tmp_path: Path) -> None:
    (tmp_path / "net.nn").write_text("""
model M {
  input  x: [2]
  target y: [1]
  output z = sin(1e9 * exp(x -> dense(1)))
  loss   mse(z, y)
}
train {
  data      { x = [[1, 2], [2, 1]], y = [[2], [4]] }
  epochs    2
  optimizer sgd(lr = 1e-30)
}
""")
    done = run("train", "net.nn", "--run", "r", *["--json"] * as_json, cwd=tmp_path)
    assert done.returncode == 1 and "error[E505]: r/model.onnx is not written: onnxruntime and the definition differ by" in done.stderr
    assert "net.nn:5:14" in done.stderr and "`nnspec export r -o model.onnx` tries again" in done.stderr
    if as_json:
        said = json.loads(done.stdout)
        assert said["final"]["loss"] > 0 and said["onnx"] is None and [d["code"] for d in said["diagnostics"]] == ["E505"]
    else:
        assert "training: loss" in done.stdout and done.stdout.rstrip().endswith("run directory: r")
    assert run("eval", "r", cwd=tmp_path).returncode == 0 and not (tmp_path / "r" / "model.onnx").exists()


def test_a_spec_without_a_measure_is_told_what_a_spec_writes(tmp_path: Path) -> None:
    (tmp_path / "m.nn").write_text("model M { input x: [4]  output y = x -> dense(3) }")
    done = run("export", "m.nn", "--quantize", "int8", "-o", "m.onnx", cwd=tmp_path)
    assert done.returncode == 1 and "error[E110]" in done.stderr and "`metric accuracy(" in done.stderr and "--set" not in done.stderr
