"""`nnspec import`: models of torch as specs, with the outputs that torch computes."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from helpers import distance, run
from onnx import TensorProto, helper
from torch import nn
from torch_models import Example, example, export, outputs

import nnspec
from nnspec.diagnostics import Fault, SpecError
from nnspec.importing import Imported, import_model
from nnspec.interchange.to_spec.spec import named
from nnspec.run.ort import Session
from nnspec.train.data import Dataset

NAMES = (
    "mlp", "lenet", "resnet", "mobilenet", "lstm", "lstm_state", "gru", "gpt_block", "gpt", "gpt_any_length", "autoencoder", "encoder",
    "reaching_pools",
)  # fmt: skip
WITH_DYNAMO = ("lenet", "lstm", "gpt_any_length", "reaching_pools")
CLOSE = 1e-5


def taken(e: Example, folder: Path, **how: object) -> tuple[nnspec.Net, Imported]:
    done = import_model(export(e, folder / "model.onnx", **how), folder / "net.nn")  # type: ignore[arg-type]
    return nnspec.load(folder / "net.nn"), done


def check_against_torch(e: Example, net: nnspec.Net, folder: Path) -> None:
    """On other data than the proof's, as it is and exported again."""
    torch.manual_seed(1)
    x = torch.randn_like(e.input) if e.input.is_floating_point() else torch.randint(0, 30, e.input.shape)
    theirs = [t.numpy() for t in outputs(e, x)]
    assert list(net.outputs) == list(e.outputs)
    ours = net(**{e.name: x.numpy()})
    assert max(distance(ours[n], t) for n, t in zip(e.outputs, theirs, strict=True)) < CLOSE
    net.export(folder / "again.onnx")
    again = Session(folder / "again.onnx").run({e.name: x.numpy()})
    assert max(distance(again[n], t) for n, t in zip(e.outputs, theirs, strict=True)) < CLOSE


@pytest.mark.parametrize("name", NAMES)
def test_a_model_of_torch_becomes_a_spec_with_its_outputs(name: str, tmp_path: Path) -> None:
    e = example(name)
    net, done = taken(e, tmp_path)
    assert done.difference < CLOSE and done.batches == (1, 7)
    check_against_torch(e, net, tmp_path)


@pytest.mark.parametrize("name", WITH_DYNAMO)
def test_so_does_one_of_the_newer_exporter(name: str, tmp_path: Path) -> None:
    e = example(name)
    check_against_torch(e, taken(e, tmp_path, dynamo=True)[0], tmp_path)


def test_batch_normalisation_trains_as_eval_in_a_file_and_as_train_in_a_spec(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.BatchNorm1d(4), nn.Linear(4, 2)).eval()
    x, t = torch.randn(8, 3), torch.randn(8, 2)
    e, learning = Example(model, x, "x", ("out",)), {"target": "t: [2]", "loss": "mse(out, t)"}
    spec, done = taken(e, tmp_path)
    assert done.normalised and "in training `batchnorm` takes the mean and variance of each batch" in done.sentence
    text = (tmp_path / "net.nn").read_text().rstrip().removesuffix("}")
    (tmp_path / "learning.nn").write_text(f"{text}  target {learning['target']}  loss {learning['loss']}\n}}\n")
    for net, mode in ((nnspec.load(tmp_path / "model.onnx", **learning), "eval"), (nnspec.load(tmp_path / "learning.nn"), "train")):
        theirs = nn.functional.mse_loss(getattr(copy.deepcopy(model), mode)()(x), t)
        loss, _ = net.gradients(x=x.numpy(), t=t.numpy())
        assert distance(np.float32(loss), theirs.detach().numpy()) < CLOSE
    assert spec.states.keys() == {"batchnorm.mu", "batchnorm.var"}


@pytest.mark.parametrize("affine", [False, True])
def test_a_normalisation_of_each_example_is_trained_where_it_is_in_torch(affine: bool, tmp_path: Path) -> None:
    layers = nn.Sequential(nn.Conv2d(3, 6, 3), nn.InstanceNorm2d(6, affine=affine), nn.GroupNorm(3, 6)).eval()
    e = Example(layers, torch.randn(2, 3, 5, 6), "x", ("y",))
    net, _ = taken(e, tmp_path)
    check_against_torch(e, net, tmp_path)
    assert len(net.params) == len([*layers.parameters()])
    assert ("instancenorm(affine = false)" in (tmp_path / "net.nn").read_text()) is not affine


@pytest.mark.parametrize("order", ["p, h, q", "h, p, q", "q, p, h"])
def test_outputs_stay_in_the_order_of_the_file(order: str, tmp_path: Path) -> None:
    formulas = "h = tanh(x -> dense(3))  p = softmax(h -> dense(2))  q = identity(x)"
    nnspec.loads(f"model Net {{ input x: [4]  {formulas}  output {order} }}").export(tmp_path / "model.onnx")
    import_model(tmp_path / "model.onnx", tmp_path / "net.nn")
    assert list(nnspec.load(tmp_path / "net.nn").outputs) == order.split(", ")
    nnspec.load(tmp_path / "net.nn").export(tmp_path / "again.onnx")
    assert run("diff", "--signature", "model.onnx", "again.onnx", cwd=tmp_path).stdout == "no difference\n"


def test_a_model_in_float64_is_read_in_single_and_said_to_be(tmp_path: Path) -> None:
    nnspec.load("iris").export(tmp_path / "model.onnx", double=True)
    done = import_model(tmp_path / "model.onnx", tmp_path / "net.nn")
    assert done.difference < CLOSE and "what has 64 bits there is float32 here" in done.sentence


@pytest.mark.parametrize("dynamo", [False, True])
def test_a_model_in_half_precision_is_read_in_single_and_said_to_be(dynamo: bool, tmp_path: Path) -> None:
    e = example("lenet")
    half = replace(e, model=e.model.half(), input=e.input.half())
    done = import_model(export(half, tmp_path / "model.onnx", dynamo=dynamo), tmp_path / "net.nn")
    assert done.difference < 5e-3 and "what has 16 bits there is float32 here" in done.sentence
    check_against_torch(replace(e, model=e.model.float()), nnspec.load(tmp_path / "net.nn"), tmp_path)
    given = nnspec.load(tmp_path / "model.onnx")
    assert {str(t.dtype) for t in (*given.inputs.values(), *given.outputs.values())} == {"float32"}


def test_a_model_on_8_bit_numbers_is_read_with_what_they_stand_for(tmp_path: Path) -> None:
    net = nnspec.load("digits")
    net.fit(epochs=1)
    net.export(tmp_path / "m.onnx", int8=net.dataset())
    done = import_model(tmp_path / "m.onnx", tmp_path / "m.nn")
    text = " ".join((tmp_path / "m.nn").read_text().split())
    assert "round" in text and "-> dense(" in text and done.difference < 1e-2 and "8 bits" in done.sentence
    test = {"image": net.dataset().test["image"][:50]}
    theirs = Session(tmp_path / "m.onnx", optimise=False).run(test)["probs"]
    for ours in (nnspec.load(tmp_path / "m.nn"), nnspec.load(tmp_path / "m.onnx")):
        assert distance(ours(**test)["probs"], theirs) < 1e-2


def test_what_8_bit_numbers_make_of_what_is_no_number_is_left_open(tmp_path: Path) -> None:
    net = nnspec.loads("model M { input x: [4]  z = log(x) -> dense(3)  output y = z, k = argmax(z)  loss sum(z^2) }")
    x = np.random.default_rng(0).uniform(0.1, 5, (90, 4)).astype(np.float32)
    net.export(tmp_path / "m.onnx", int8=Dataset({"x": x}, None, None))
    assert import_model(tmp_path / "m.onnx", tmp_path / "m.nn").difference < 1e-2
    model = onnx.load(tmp_path / "m.onnx")
    [log] = [n for n in model.graph.node if n.op_type == "Log"]
    log.input[0] = "below"
    model.graph.node.insert(0, helper.make_node("Neg", ["size"], ["below"]))
    model.graph.node.insert(0, helper.make_node("Abs", ["x"], ["size"]))
    onnx.save(model, tmp_path / "never.onnx")
    with pytest.raises(Fault, match="`y` is not finite for any input that was tried"):
        import_model(tmp_path / "never.onnx", tmp_path / "never.nn")


def test_batch_normalisation_that_the_exporter_leaves_is_a_layer(tmp_path: Path) -> None:
    e = example("resnet")
    net, _ = taken(e, tmp_path, training=torch.onnx.TrainingMode.PRESERVE, do_constant_folding=False)
    assert "bn1.mu" in net.states
    check_against_torch(e, net, tmp_path)


class Token(nn.Module):
    """A token in front of a sequence, which is all zeros before it is trained, and zeros that are not trained behind it."""

    def __init__(self) -> None:
        super().__init__()
        self.token, self.out = nn.Parameter(torch.zeros(1, 1, 4)), nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n = x.shape[0]
        return self.out(torch.cat([self.token.expand(n, -1, -1), x, torch.zeros(n, 2, 4)], 1))


@pytest.mark.parametrize("dynamo", [False, True])
def test_a_token_of_zeros_stays_what_is_trained(dynamo: bool, tmp_path: Path) -> None:
    torch.manual_seed(0)
    e = Example(Token().eval(), torch.randn(2, 5, 4), "x", ("y",))
    net, _ = taken(e, tmp_path, dynamo=dynamo)
    assert net.params["token"].shape == (1, 1, 4) and net(x=e.input.numpy())["y"].shape == (2, 8, 3)
    check_against_torch(e, net, tmp_path)


class Residuals(nn.Module):
    """Blocks of two kinds, several of each, that are both called after what they are."""

    def __init__(self) -> None:
        super().__init__()
        self.short = nn.ModuleList(nn.Sequential(nn.Linear(6, 6), nn.Tanh(), nn.Linear(6, 6)) for _ in range(4))
        deep = (nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 6), nn.Sigmoid(), nn.Linear(6, 6))
        self.deep = nn.ModuleList(nn.Sequential(*map(copy.deepcopy, deep)) for _ in range(4))
        for p in self.parameters():
            nn.init.normal_(p)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for inner in (*self.short, *self.deep):
            x = torch.tanh(inner(x)) + x
        return x


def test_the_second_kind_of_a_block_has_a_name_that_no_use_of_the_first_has(tmp_path: Path) -> None:
    torch.manual_seed(0)
    e = Example(Residuals().eval(), torch.randn(2, 6), "x", ("y",))
    net, _ = taken(e, tmp_path)
    text = (tmp_path / "net.nn").read_text()
    assert "layer residual_block(x)" in text and "layer residual_block_b(x)" in text
    check_against_torch(e, net, tmp_path)


def test_the_command_says_how_near_it_is_and_leaves_a_spec_that_checks(tmp_path: Path) -> None:
    export(example("mlp"), tmp_path / "small_mlp.onnx")
    done = run("import", "small_mlp.onnx", "-o", "small_mlp.nn", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "small_mlp.nn and small_mlp.safetensors: 579 numbers in 6 arrays; equal to small_mlp.onnx" in done.stdout
    checked = run("check", "small_mlp.nn", cwd=tmp_path)
    assert checked.returncode == 0 and "SmallMlp" in checked.stdout
    as_json = json.loads(run("import", "small_mlp.onnx", "-o", "again.nn", "--json", cwd=tmp_path).stdout)
    assert (as_json["weights"], as_json["arrays"], as_json["numbers"]) == ("again.safetensors", 6, 579)
    for name, code in (("small_mlp.txt", "E504"), ("nowhere/small_mlp.nn", "E504")):
        refused = run("import", "small_mlp.onnx", "-o", name, cwd=tmp_path)
        assert refused.returncode == 1 and f"error[{code}]" in refused.stderr


@pytest.mark.parametrize("pads", [(0, 0, 0, 0), (1, 1, 1, 1)])
def test_zeros_before_a_max_pool_are_what_onnx_says_though_onnxruntime_optimises_them_away(pads: tuple[int, ...], tmp_path: Path) -> None:
    zeros, pool = helper.make_node("Pad", ["x", "around"], ["z"]), {"kernel_shape": [3, 3], "pads": pads}
    nodes, size = (zeros, helper.make_node("MaxPool", ["z"], ["y"], **pool)), 4 + 2 * pads[0]
    m = model(*nodes, x=["batch", 1, 4, 4], y=["batch", 1, size, size], around=np.array([0, 0, 1, 1, 0, 0, 1, 1]))
    onnx.save(m, tmp_path / "m.onnx")
    import_model(tmp_path / "m.onnx", tmp_path / "m.nn")
    net, x = nnspec.load(tmp_path / "m.nn"), -1 - np.random.default_rng(0).random((2, 1, 4, 4), np.float32)
    expected = torch.nn.functional.max_pool2d(torch.nn.functional.pad(torch.tensor(x), (1, 1, 1, 1)), 3, 1, pads[0]).numpy()
    np.testing.assert_array_equal(net(x=x)["y"], expected)
    net.export(tmp_path / "again.onnx")
    np.testing.assert_array_equal(Session(tmp_path / "again.onnx").run({"x": x})["y"], expected)


# ---- what is refused


def model(*nodes: onnx.NodeProto, x: list[object], y: list[object], **arrays: np.ndarray) -> onnx.ModelProto:
    ports = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in (("x", x), ("y", y))]
    initializers = [onnx.numpy_helper.from_array(a, n) for n, a in arrays.items()]
    graph = helper.make_graph(nodes, "g", ports[:1], ports[1:], initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)


@pytest.mark.parametrize(
    ("node", "code", "words"),
    [
        (helper.make_node("Det", ["x"], ["y"], name="volume"), "E530", "Det `volume`: the operator Det has no form"),
        (helper.make_node("ReduceSum", ["x", "first"], ["y"], name="total"), "E531", "ReduceSum `total`: examples of a batch would meet"),
        (helper.make_node("Upsilon", ["x"], ["y"], domain="com.example"), "E530", "the operator Upsilon of the domain com.example"),
    ],
)
def test_what_cannot_be_said_is_named_with_its_node(node: onnx.NodeProto, code: str, words: str, tmp_path: Path) -> None:
    m = model(node, x=["batch", 3, 3], y=["batch"] if node.op_type == "Det" else [1, 3, 3], first=np.array([0]))
    m.opset_import.append(helper.make_opsetid("com.example", 1))
    onnx.save(m, tmp_path / "m.onnx")
    with pytest.raises(Fault) as error:
        import_model(tmp_path / "m.onnx", tmp_path / "m.nn")
    assert error.value.diagnostic.code == code and words in error.value.diagnostic.message
    assert [p.name for p in tmp_path.iterdir()] == ["m.onnx"]


TRIANGLE = """<ir_version: 10, opset_import: ["": 21]>
m (float[batch, T, 3] x) => (float[batch, T, T] y)
<int64[1] first = {1}, int64[1] second = {2}, float one = {1}> {
  t = Shape<start = 1, end = 2>(x)  shape = Concat<axis = 0>(t, t)  ones = Expand(one, shape)  lower = Trilu<upper = 0>(ones)
  turned = Transpose<perm = [0, 2, 1]>(x)  scores = MatMul(x, turned)  y = Mul(scores, lower)
}"""


def test_a_known_value_of_an_open_shape_is_refused_in_the_terms_of_the_model(tmp_path: Path) -> None:
    onnx.save(onnx.parser.parse_model(TRIANGLE), tmp_path / "m.onnx")
    with pytest.raises(Fault) as error:
        import_model(tmp_path / "m.onnx", tmp_path / "m.nn")
    assert error.value.diagnostic.message == "Trilu `lower`: what it computes is known but for its shape, which shows only at run time"
    assert "nnspec.load(" in error.value.diagnostic.help
    assert nnspec.load(tmp_path / "m.onnx")(x=np.ones((1, 2, 3)))["y"].tolist() == [[[3, 0], [3, 3]]]


def test_what_cannot_be_loaded_either_is_not_said_to_be(tmp_path: Path) -> None:
    m = model(helper.make_node("Upsilon", ["x"], ["y"], domain="com.example"), x=["batch", 3], y=["batch", 3])
    m.opset_import.append(helper.make_opsetid("com.example", 1))
    onnx.save(m, tmp_path / "m.onnx")
    with pytest.raises(Fault, match="Upsilon") as error:
        import_model(tmp_path / "m.onnx", tmp_path / "m.nn")
    assert "nnspec.load(" not in error.value.diagnostic.help


WRITTEN_DOWN = """<ir_version: 10, opset_import: ["": 21]>
m (float[batch, T, 4] x) => (float[batch, 28] y) <int64[2] shape = {SHAPE}> { y = Reshape(x, shape) }"""


@pytest.mark.parametrize("shape", ["-1, 28", "0, 28"])
def test_a_length_that_the_exporter_wrote_down_is_said_to_be_one(shape: str, tmp_path: Path) -> None:
    onnx.save(onnx.parser.parse_model(WRITTEN_DOWN.replace("SHAPE", shape)), tmp_path / "m.onnx")
    with pytest.raises(Fault) as error:
        import_model(tmp_path / "m.onnx", tmp_path / "m.nn")
    assert "`T` is open in [batch, T, 4], and a number in [" in error.value.diagnostic.message
    with pytest.raises(SpecError, match="the length of its example"):
        nnspec.load(tmp_path / "m.onnx")


@pytest.mark.parametrize("x", ["7, batch, 2", "T, batch, 2", "7, 3, 2"])
def test_steps_in_the_place_of_the_batch_are_said_to_be(x: str, tmp_path: Path) -> None:
    m = onnx.parser.parse_model(f"""<ir_version: 9, opset_import: ["": 20]>
    m (float[{x}] x) => (float[a, b, c, d] y) {{ y = LSTM<hidden_size = 1>(x, w, r) }}""")
    m.graph.initializer.extend(onnx.numpy_helper.from_array(np.ones((1, 4, n), np.float32), k) for k, n in (("w", 2), ("r", 1)))
    onnx.save(m, tmp_path / "m.onnx")
    with pytest.raises(Fault) as error:
        import_model(tmp_path / "m.onnx", tmp_path / "m.nn")
    assert error.value.diagnostic.code == "E531" and "`batch_first=True`" in error.value.diagnostic.help
    if x.startswith("T"):
        with pytest.raises(SpecError, match="batch_first"):
            nnspec.load(tmp_path / "m.onnx")


def test_dropout_in_training_is_refused_as_it_is_by_load(tmp_path: Path) -> None:
    node = helper.make_node("Dropout", ["x", "rate", "on"], ["y"])
    onnx.save(model(node, x=["batch", 3], y=["batch", 3], rate=np.float32(0.5), on=np.array(True)), tmp_path / "m.onnx")
    for take in (lambda: import_model(tmp_path / "m.onnx", tmp_path / "m.nn"), lambda: nnspec.load(tmp_path / "m.onnx")):
        with pytest.raises((Fault, SpecError), match="dropout in training draws from a generator that the file does not say"):
            take()


def test_inputs_and_outputs_that_get_another_name_are_said(tmp_path: Path) -> None:
    m = model(helper.make_node("Relu", ["x"], ["y"]), x=["batch", 3], y=["batch", 3])
    m.graph.node[0].input[0] = m.graph.input[0].name = "model/x:0"
    m.graph.node[0].output[0] = m.graph.output[0].name = "39"
    onnx.save(m, tmp_path / "m.onnx")
    done = run("import", "m.onnx", "-o", "m.nn", cwd=tmp_path)
    assert "; `model/x:0` is called `model_x_0`; `39` is called `y`" in done.stdout, done.stderr


def test_a_model_that_is_not_proved_equal_leaves_no_files(tmp_path: Path) -> None:
    nodes = [helper.make_node("Exp", ["x"], ["e"]), helper.make_node("Mul", ["e", "much"], ["m"]), helper.make_node("Sin", ["m"], ["y"])]
    onnx.save(model(*nodes, x=["batch", 2], y=["batch", 2], much=np.float32(1e9)), tmp_path / "m.onnx")
    with pytest.raises(Fault, match="differ by") as error:
        import_model(tmp_path / "m.onnx", tmp_path / "m.nn")
    assert error.value.diagnostic.code == "E532"
    assert [p.name for p in tmp_path.iterdir()] == ["m.onnx"]


def test_a_spec_that_would_be_wrong_is_quoted_and_not_pointed_at() -> None:
    with pytest.raises(Fault) as error:
        named("model M {\n  input x: [3]\n  output y = x -> dense(2) as a -> dense(2) as a\n}\n", ())
    said = error.value.diagnostic
    assert said.code == "E530" and said.message.endswith("`a.W` is declared twice, in `dense(2)`")
    assert said.span is None and not said.notes


class Pooled(nn.Module):
    """The mean of a sequence by weights of its steps, which are a row or a column beside it."""

    def __init__(self, column: bool) -> None:
        super().__init__()
        self.score, self.column = nn.Linear(4, 1), column

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        a = torch.softmax(self.score(x).squeeze(2), 1)
        return (x.transpose(1, 2) @ a.unsqueeze(2)).squeeze(2) if self.column else (a.unsqueeze(1) @ x).squeeze(1)


@pytest.mark.parametrize("column", [False, True])
def test_a_row_or_column_of_each_example_meets_its_matrix(column: bool, tmp_path: Path) -> None:
    torch.manual_seed(0)
    e = Example(Pooled(column).eval(), torch.randn(2, 5, 4), "x", ("y",))
    check_against_torch(e, taken(e, tmp_path)[0], tmp_path)


@pytest.mark.parametrize("length", ["T", "8"])
def test_a_vector_times_a_matrix_comes_back(length: str, tmp_path: Path) -> None:
    spec = f"""model M {{
      input  x: [{length}, 4]
      a = softmax(squeeze(x -> dense(1), axis = 1))
      b = mean(x, axis = 0) @ transpose(x)
      output y = (a @ x) -> dense(3)
      output z = b
    }}"""
    net = nnspec.loads(spec)
    net.export(tmp_path / "m.onnx")
    import_model(tmp_path / "m.onnx", tmp_path / "m.nn")
    again, x = nnspec.load(tmp_path / "m.nn"), np.random.default_rng(0).normal(size=(3, 8, 4)).astype(np.float32)
    assert all(distance(again(x=x)[n], net(x=x)[n]) < CLOSE for n in ("y", "z"))
