"""Export: the model computes what the definition says, under the names of the spec, and is written whole or not at all."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

import nnspec
from nnspec.compile import Compilation
from nnspec.deploy import Proof, export
from nnspec.deploy import proof as proof_module
from nnspec.diagnostics import Fault, Source
from nnspec.graph import BATCH, Graph, Size, Type
from nnspec.interchange import lowering
from nnspec.interchange.prove import check
from nnspec.interchange.to_onnx import OPSETS, to_onnx
from nnspec.ops import OPS
from nnspec.run import reference
from nnspec.run.ort import Session

SPECS = sorted((Path(__file__).parent.parent / "specs").glob("*.nn"))
MAZUR = next(s for s in SPECS if s.stem == "mazur")
IMAGES = """
model Images {
  input image: [2, 9, 8]
  target digit: class(4)
  h      = image -> conv(3, kernel = 3, stride = 2, pad = same) -> batchnorm -> relu -> maxpool(2) -> dropout(0.5) -> flatten
  logits = h -> dense(4)
  output probs = softmax(logits), best = argmax(logits)
  loss cross_entropy(logits, digit)
}
train {
  epochs 1
  optimizer adam(lr = 0.01)
}
"""


def compiled(text: str, dtype: str = "float32") -> Compilation:
    return Compilation(Source("spec.nn", text), {}, dtype).checked()


def weights_of(c: Compilation) -> dict[str, Any]:
    started = reference.run(c.initial, {"seed": 0, "step": 0})
    return {name.split(":")[-1]: value for name, value in started.items()}


def proved(text: str, path: Path, **more: Any) -> Proof:
    c = compiled(text)
    return export(c.deployed, weights_of(c), path, **{"metadata": {}, **more})


def written(text: str) -> onnx.ModelProto:
    c = compiled(text)
    return to_onnx(c.deployed, weights_of(c))


def names(values: Any) -> list[str]:
    return [v.name for v in values]


def shape(value: onnx.ValueInfoProto) -> list[int | str]:
    return [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]


@pytest.mark.parametrize("opset", [17, 21, 26])
@pytest.mark.parametrize("text", [MAZUR.read_text("utf-8"), IMAGES], ids=["mazur", "images"])
def test_an_exported_model_computes_what_the_definition_says(text: str, opset: int, tmp_path: Path) -> None:
    proof = proved(text, tmp_path / "m.onnx", opset=opset)
    model = onnx.load(proof.path)
    assert proof.difference < 1e-6
    assert (proof.opset, proof.ir) == (opset, {17: 8, 21: 10, 26: 13}[opset]) == (model.opset_import[0].version, model.ir_version)
    assert proof.size == proof.path.stat().st_size


@pytest.mark.parametrize("spec", SPECS, ids=lambda s: s.stem)
def test_every_spec_of_the_gallery_exports(spec: Path, tmp_path: Path) -> None:
    assert proved(spec.read_text("utf-8"), tmp_path / "m.onnx").difference < 1e-5


def test_a_training_step_exports_too(tmp_path: Path) -> None:
    c = compiled(IMAGES.replace("adam", "sgd"))
    proof = export(c.step, weights_of(c), tmp_path / "step.onnx", metadata={})
    assert proof.difference < 1e-4


def test_whole_numbers_go_in_and_out(tmp_path: Path) -> None:
    text = "model M { input i: class(5)\n input x: [5]\n output score = pick(x, i), hit = if argmax(x) == i then 1 else 0 }"
    proof = proved(text, tmp_path / "m.onnx")
    assert proof.difference == 0
    assert [i.type.tensor_type.elem_type for i in onnx.load(proof.path).graph.input] == [onnx.TensorProto.INT64, onnx.TensorProto.FLOAT]


def test_inputs_outputs_and_parameters_keep_their_names() -> None:
    model = written(IMAGES)
    assert names(model.graph.input) == ["image"]
    assert names(model.graph.output) == ["probs", "best"]
    assert {"dense.W", "dense.b", "batchnorm.mu", "conv.W"} <= set(names(model.graph.initializer))
    assert shape(model.graph.input[0]) == ["batch", 2, 9, 8]
    assert shape(model.graph.output[0]) == ["batch", 4]


def test_every_node_has_a_name_of_its_own_and_the_place_it_comes_from() -> None:
    model = written(IMAGES)
    assert len(set(names(model.graph.node))) == len(model.graph.node)
    assert not [n for n in names(model.graph.node) if n.startswith("/") or "%" in n]
    assert all(re.fullmatch(r"[\w./]+:\d+:\d+", n.doc_string) for n in model.graph.node)
    assert next(n for n in model.graph.node if n.op_type == "ArgMax").doc_string == "spec.nn:7:42"


def test_metadata_is_carried() -> None:
    c = compiled(MAZUR.read_text("utf-8"))
    model = to_onnx(c.deployed, weights_of(c), metadata={"seed": "3"})
    assert {p.key: p.value for p in model.metadata_props} == {"seed": "3"}
    assert model.producer_name == "nnspec"


# ---- outputs that are not a value of their own


def run_small(graph: Graph, **feeds: Any) -> dict[str, Any]:
    model = to_onnx(graph, {"W": np.asarray([5, 6], np.float32)})
    check(model)
    return Session(model.SerializeToString()).run({k: np.asarray(v, np.float32) for k, v in feeds.items()})


def small(**outputs: str) -> Graph:
    """An input x, a parameter W, their sum at `/add`; outputs as given."""
    graph = Graph()
    x = graph.source(OPS["input"], "x", Type("float32", (BATCH, 2)))
    w = graph.source(OPS["param"], "W", Type("float32", (2,)))
    graph.outputs = {"output:sum": (x + w).name, **{f"output:{k}": v for k, v in outputs.items()}}
    return graph


def test_an_output_may_be_an_input_or_a_parameter_under_its_own_name() -> None:
    got = run_small(small(x="x", W="W"), x=[[1, 2]])
    assert {k: v.tolist() for k, v in got.items()} == {"sum": [[6, 8]], "x": [[1, 2]], "W": [5, 6]}


def test_an_output_may_be_an_input_or_a_parameter_under_another_name() -> None:
    got = run_small(small(a="x", b="W"), x=[[1, 2]])
    assert {k: v.tolist() for k, v in got.items()} == {"sum": [[6, 8]], "a": [[1, 2]], "b": [5, 6]}


def test_one_value_may_be_two_outputs() -> None:
    got = run_small(small(again="/add"), x=[[1, 2]])
    assert {k: v.tolist() for k, v in got.items()} == {"sum": [[6, 8]], "again": [[6, 8]]}


def test_an_output_with_the_name_of_another_input_keeps_its_prefix() -> None:
    got = run_small(small(x="/add", W="x"), x=[[1, 2]])
    assert {k: v.tolist() for k, v in got.items()} == {"sum": [[6, 8]], "output:x": [[6, 8]], "output:W": [[1, 2]]}


def test_a_node_with_the_name_of_an_input_gets_another() -> None:
    graph = Graph()
    add = graph.source(OPS["input"], "add", Type("float32", (2,)))
    graph.outputs = {"output:y": OPS["exp"](add + add).name}
    assert run_small(graph, add=[0, 0])["y"].tolist() == [1, 1]


# ---- sizes known only at run time


def test_shapes_may_hold_any_arithmetic_of_sizes(tmp_path: Path) -> None:
    graph, length = Graph(), Size.named("T")
    x = graph.source(OPS["input"], "x", Type("float32", (BATCH, length, 2)))
    flat = OPS["reshape"](x, shape=(BATCH * length, 2))
    late = OPS["pad"](OPS["cut"](x, axis=1, start=1, stop=length), axis=1, before=0, after=length + -1)
    count = graph.add(OPS["size_of"], (), {"size": 2 * BATCH * length + 1, "dtype": "float32"}, Type("float32"))
    graph.outputs = {"output:flat": flat.name, "output:late": late.name, "output:count": count}
    graph.outputs["output:wide"] = OPS["expand"](OPS["reshape"](x, shape=(1, BATCH, length, 2)), shape=(3, BATCH, length, 2)).name
    proof = export(graph, {}, tmp_path / "m.onnx", metadata={})
    assert proof.difference == 0
    outputs = {o.name: shape(o) for o in onnx.load(proof.path).graph.output}
    assert shape(onnx.load(proof.path).graph.input[0]) == ["batch", "T", 2]
    assert outputs["flat"] == ["T*batch", 2] and outputs["wide"] == [3, "batch", "T", 2]


# ---- when it fails


def test_a_failing_export_leaves_the_file_that_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(b"before")
    monkeypatch.setattr(proof_module, "LARGEST_DIFFERENCE", -1.0)
    monkeypatch.setattr(proof_module, "LARGEST_OF_ROUGH", -1.0)
    with pytest.raises(Fault, match="differ by"):
        proved(IMAGES, path)
    assert [p.name for p in tmp_path.iterdir()] == ["m.onnx"]
    assert path.read_bytes() == b"before"


def test_a_wrong_lowering_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    c = compiled(IMAGES)
    monkeypatch.setitem(OPS["softmax"].__dict__, "onnx", lambda o, x, axes: o.node("Softmax", x, axis=0))
    assert code_of(lambda: export(c.deployed, weights_of(c), tmp_path / "m.onnx", metadata={})) == "E505"
    assert not list(tmp_path.iterdir())


def code_of(action: Any) -> str:
    with pytest.raises(Fault) as error:
        action()
    return error.value.diagnostic.code


@pytest.mark.parametrize("opset", [OPSETS[0] - 1, OPSETS[-1] + 1])
def test_an_opset_out_of_range_is_refused(opset: int, tmp_path: Path) -> None:
    assert code_of(lambda: proved(IMAGES, tmp_path / "m.onnx", opset=opset)) == "E505"


def test_what_is_right_to_float32_only_is_refused_in_float64(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    c = compiled("model M { input x: [4]  output y = x -> dense(3) -> gelu }", "float64")
    assert export(c.deployed, weights_of(c), tmp_path / "m.onnx").difference < 1e-15
    rounded = {"erf": lambda o, x: o.cast(o.node("Erf", o.cast(x, "float32")), "float64")}
    monkeypatch.setattr(lowering, "OWN", {"float64": {**lowering.OWN["float64"], **rounded}})
    assert code_of(lambda: export(c.deployed, weights_of(c), tmp_path / "m.onnx")) == "E505"


def chaotic(layers: int) -> Compilation:
    """A network of which every layer makes what rounding does larger, several times over."""
    stages = f"repeat({layers}) {{ dense(64, init = normal(0, 1)) -> tanh }} -> dense(3)"
    return compiled(f"model M {{ input x: [64]  output y = x -> {stages} }}")


@pytest.mark.parametrize("layers", [4, 14])
def test_what_float32_cannot_hold_to_more_is_written_as_near_to_float64_as_it_comes(layers: int, tmp_path: Path) -> None:
    c = chaotic(layers)
    weights = {n: v.astype(c.dtype) for n, v in weights_of(c).items()}
    proof, x = export(c.deployed, weights, tmp_path / "m.onnx"), np.random.default_rng(1).normal(size=(5, 64)).astype("float32")
    assert (proof.difference > 1e-4) == (layers == 14)
    h = torch.tensor(x, dtype=torch.float64)
    for name, w in weights.items():
        if name.endswith(".W"):
            z = h @ torch.tensor(w, dtype=torch.float64) + torch.tensor(weights[name[:-1] + "b"], dtype=torch.float64)
            h = torch.tanh(z)
    assert np.abs(Session(tmp_path / "m.onnx").run({"x": x})["y"] - z.numpy()).max() < 0.1 * np.abs(z.numpy()).max()


@pytest.mark.parametrize(("layers", "by"), [(1, 1e-3), (14, 0.2)])
def test_a_model_that_is_farther_off_than_rounding_goes_is_refused(layers: int, by: float, tmp_path: Path) -> None:
    c = chaotic(layers)
    weights = {n: v.astype(c.dtype) for n, v in weights_of(c).items()}
    last = [n for n in weights if n.endswith(".W")][-1]
    content = to_onnx(c.deployed, {**weights, last: weights[last] * np.float32(1 + by)}).SerializeToString()
    feeds = {**weights, "x": np.random.default_rng(1).normal(size=(5, 64)).astype("float32")}
    assert code_of(lambda: proof_module.proved(c.deployed, content, [feeds])) == "E505"


def test_a_missing_or_misshapen_weight_is_refused(tmp_path: Path) -> None:
    c = compiled(MAZUR.read_text("utf-8"))
    assert code_of(lambda: to_onnx(c.deployed, {})) == "E505"
    assert code_of(lambda: to_onnx(c.deployed, {**weights_of(c), "W1": np.zeros(4)})) == "E505"


@pytest.mark.parametrize("place", ["no/such/folder/m.onnx", "file/m.onnx", "folder"])
def test_a_path_that_cannot_be_written_is_named(place: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    assert code_of(lambda: proved(IMAGES, tmp_path / place)) == "E504"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder"]


@pytest.mark.parametrize("name", ["regression_1d", "digits", "char_lstm"])
def test_a_file_holds_no_constant_that_nothing_reads(name: str, tmp_path: Path) -> None:
    """onnxruntime would say so whenever it opens the file."""
    files = [file for file in nnspec.load(name).export_training(tmp_path).files if file.endswith(".onnx")]
    assert len(files) > 3
    for file in (tmp_path / name for name in files):
        graph = onnx.load(file).graph
        read = {*_read(graph.node), *(o.name for o in graph.output)}
        assert not {i.name for i in graph.initializer} - read, file.name


def _read(nodes: Iterable[onnx.NodeProto]) -> Iterator[str]:
    for node in nodes:
        yield from node.input
        yield from (name for a in node.attribute for name in _read(a.g.node))
