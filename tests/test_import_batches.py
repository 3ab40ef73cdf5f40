"""Models that were exported for a batch of one size, whose examples do not know of each other, as specs for any batch."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
import torch.nn.functional as F
from helpers import distance
from test_import import Token
from test_import_ops import floats, single
from torch import nn
from torch_models import Example, example, export, outputs

import nnspec
from nnspec.diagnostics import Fault
from nnspec.importing import import_model

CLOSE = 1e-5
BOTH = pytest.mark.parametrize("dynamo", [False, True])
FIXED = pytest.mark.parametrize("fixed", [False, True], ids=["of any batch", "of one batch"])


def taken(e: Example, folder: Path, dynamo: bool) -> nnspec.Net:
    """The spec of a model that is exported for the batch of its input alone."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        how: dict[str, Any] = {"external_data": False} if dynamo else {}
        names: dict[str, Any] = {"input_names": [e.name], "output_names": list(e.outputs)}
        torch.onnx.export(e.model, (e.input,), str(folder / "m.onnx"), dynamo=dynamo, verbose=False, **names, **how)
    assert import_model(folder / "m.onnx", folder / "m.nn").batches == (len(e.input),)
    return nnspec.load(folder / "m.nn")


def of_any_batch(e: Example, folder: Path, dynamo: bool) -> nnspec.Net:
    import_model(export(e, folder / "m.onnx", dynamo=dynamo), folder / "m.nn")
    return nnspec.load(folder / "m.nn")


def check_at_another_batch(e: Example, net: nnspec.Net) -> None:
    torch.manual_seed(1)
    x = torch.randn(5, *e.input.shape[1:]) if e.input.is_floating_point() else torch.randint(0, 30, (5, *e.input.shape[1:]))
    found = net(**{e.name: x.numpy()})
    for name, theirs in zip(e.outputs, outputs(e, x), strict=True):
        assert distance(found[name], theirs.numpy()) < CLOSE


@BOTH
@pytest.mark.parametrize("name", ["gpt", "encoder"])
def test_a_transformer_of_a_fixed_batch_takes_any(name: str, dynamo: bool, tmp_path: Path) -> None:
    e = example(name)
    check_at_another_batch(e, taken(e, tmp_path, dynamo))


@BOTH
def test_a_token_that_is_repeated_for_each_example_is_one_and_trained(dynamo: bool, tmp_path: Path) -> None:
    torch.manual_seed(0)
    e = Example(Token().eval(), torch.randn(2, 5, 4), "x", ("y",))
    nn.init.normal_(e.model.token)  # type: ignore[arg-type]
    net = taken(e, tmp_path, dynamo)
    assert 4 in [values.size for values in net.params.values()]
    check_at_another_batch(e, net)


class Masked(nn.Module):
    """Attention whose mask torch is given: it guards the softmax against rows of which all is hidden."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(8, 24)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = (part.reshape(x.shape[0], 6, 2, 4).transpose(1, 2) for part in self.qkv(x).split(8, -1))
        found = F.scaled_dot_product_attention(q, k, v, attn_mask=torch.tril(torch.ones(6, 6, dtype=torch.bool)))
        return found.transpose(1, 2).reshape(x.shape[0], 6, 8)


def test_attention_is_seen_through_its_guard(tmp_path: Path) -> None:
    torch.manual_seed(0)
    e = Example(Masked().eval(), torch.randn(2, 6, 8), "x", ("y",))
    net = taken(e, tmp_path, dynamo=True)
    assert any(n.op_type == "IsNaN" for n in onnx.load(tmp_path / "m.onnx").graph.node)
    assert "causal = true" in (tmp_path / "m.nn").read_text()
    check_at_another_batch(e, net)


def test_rows_that_are_alike_are_one(tmp_path: Path) -> None:
    row = floats(4, 5)
    import_model(single("Mul", tmp_path, [3, 4, 5], {"c": np.stack([row] * 3)}), tmp_path / "m.nn")
    assert np.array_equal(nnspec.load(tmp_path / "m.nn").params["c"], row)


def test_rows_that_differ_are_refused_with_a_way_out(tmp_path: Path) -> None:
    with pytest.raises(Fault) as error:
        import_model(single("Mul", tmp_path, [3, 4, 5], {"c": floats(3, 4, 5)}), tmp_path / "m.nn")
    said = error.value.diagnostic
    assert said.code == "E531" and "export the model with a batch of any size" in said.help


def test_numbers_for_as_many_as_there_are_examples_are_refused_by_that_size(tmp_path: Path) -> None:
    m = onnx.parser.parse_model("""<ir_version: 10, opset_import: ["": 21]>
      m (float[N] x) => (float[N] y) <int64 zero = {0}, int64 one = {1}> {
        shape = Shape (x)
        n = Gather (shape, zero)
        r = Range (zero, n, one)
        f = CastLike (r, x)
        y = Add (x, f)
      }""")
    onnx.save(m, tmp_path / "m.onnx")
    with pytest.raises(Fault, match="it runs to `batch`, how many examples there are"):
        import_model(tmp_path / "m.onnx", tmp_path / "m.nn")


class Places(nn.Module):
    """Positions that leave out what is padded, as in RoBERTa: counted by the data, and each of the one kind that there is."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.positions, self.kinds = nn.Embedding(30, 4), nn.Embedding(12, 4), nn.Embedding(2, 4)
        self.register_buffer("kind", torch.zeros(1, 12, dtype=torch.long), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        there = x.ne(1).int()
        places = (torch.cumsum(there, 1).type_as(there) * there).long() + 1
        kinds = torch.gather(self.kind.expand(x.shape[0], -1), 1, places)
        return self.words(x) + self.positions(places) + self.kinds(kinds)


@BOTH
@FIXED
def test_positions_that_the_data_counts_are_class_numbers(fixed: bool, dynamo: bool, tmp_path: Path) -> None:
    torch.manual_seed(0)
    e = Example(Places().eval(), torch.randint(0, 3, (2, 9)), "x", ("y",))
    net = taken(e, tmp_path, dynamo) if fixed else of_any_batch(e, tmp_path, dynamo)
    assert "-> round -> embedding(12, 4)" in (tmp_path / "m.nn").read_text()
    check_at_another_batch(e, net)


# ---- what each example takes of itself, by its number


class Chosen(nn.Module):
    """Rows of each example, as the masks of Hugging Face's transformers take theirs: by the number of the example and that of the row."""

    def __init__(self, rows: list[int]) -> None:
        super().__init__()
        self.register_buffer("rows", torch.tensor([rows]), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[torch.arange(x.shape[0])[:, None], self.rows] * 2


@BOTH
@FIXED
@pytest.mark.parametrize(("rows", "text"), [([3, 1, 4], "take(x, [3, 1, 4]) * 2"), ([0, 1, 2, 3, 4], "x * 2")])
def test_rows_of_each_example_are_taken_of_one(rows: list[int], text: str, fixed: bool, dynamo: bool, tmp_path: Path) -> None:
    e = Example(Chosen(rows).eval(), torch.randn(2, 5, 4), "x", ("y",))
    net = taken(e, tmp_path, dynamo) if fixed else of_any_batch(e, tmp_path, dynamo)
    assert f"output y = {text}" in (tmp_path / "m.nn").read_text()
    check_at_another_batch(e, net)


def test_a_table_that_all_examples_share_is_taken_from_without_them(tmp_path: Path) -> None:
    """As the newer exporter writes which tokens of a text belong together."""
    m = onnx.parser.parse_model("""<ir_version: 10, opset_import: ["": 21]>
      m (float[N, 3] x) => (float[N, 3] y)
      <int64 zero = {0}, int64 one = {1}, int64[2] column = {-1, 1}, int64[1] last = {-1}, int64[1] three = {3},
       int64[1, 3] j = {2, 0, 1}, float[1, 3] table = {0.5, 1.5, 2.5}> {
        shape = Shape (x)
        n = Gather (shape, zero)
        r = Range (zero, n, one)
        column_of = Reshape (r, column)
        first = Shape <start = 0, end = 1> (x)
        wide = Concat <axis = 0> (first, three)
        rows = Expand (column_of, wide)
        columns = Expand (j, wide)
        a = Unsqueeze (rows, last)
        b = Unsqueeze (columns, last)
        i = Concat <axis = -1> (a, b)
        all = Expand (table, wide)
        t = GatherND (all, i)
        y = Mul (x, t)
      }""")
    onnx.save(m, tmp_path / "m.onnx")
    import_model(tmp_path / "m.onnx", tmp_path / "m.nn")
    assert nnspec.load(tmp_path / "m.nn")(x=np.ones((4, 3)))["y"].tolist() == [[2.5, 0.5, 1.5]] * 4


def test_an_element_is_found_by_a_number_of_the_example_itself(tmp_path: Path) -> None:
    m = onnx.parser.parse_model("""<ir_version: 10, opset_import: ["": 21]>
      m (float[N, 4] x, float[N, 4, 2] v) => (float[N, 1, 2] y) <int64[1] last = {-1}> {
        k = ArgMax <axis = 1, keepdims = 1> (x)
        i = Unsqueeze (k, last)
        y = GatherND <batch_dims = 1> (v, i)
      }""")
    onnx.save(m, tmp_path / "m.onnx")
    import_model(tmp_path / "m.onnx", tmp_path / "m.nn")
    found = nnspec.load(tmp_path / "m.nn")(x=np.eye(4)[[2, 0]], v=np.arange(16).reshape(2, 4, 2))["y"]
    assert found.tolist() == [[[4, 5]], [[8, 9]]]


class Windows(nn.Module):
    """Attention within windows of an image, which lie together with the batch, each pair of places with a bias, as in Swin."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.bias = nn.Linear(4, 12), nn.Parameter(torch.randn(1, 2, 9, 9))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n = x.shape[0]
        windows = x.view(n, 2, 3, 2, 3, 4).permute(0, 1, 3, 2, 4, 5).reshape(n * 4, 9, 4)
        qkv = self.qkv(windows).reshape(n * 4, 9, 3, 2, 2).permute(2, 0, 3, 1, 4)
        p = torch.softmax(qkv[0] @ qkv[1].transpose(-2, -1) + self.bias, -1)
        found = (p @ qkv[2]).transpose(1, 2).reshape(n, 2, 2, 3, 3, 4)
        return found.permute(0, 1, 3, 2, 4, 5).reshape(n, 6, 6, 4)


@BOTH
@FIXED
def test_attention_within_windows_is_that_of_one_example(fixed: bool, dynamo: bool, tmp_path: Path) -> None:
    torch.manual_seed(0)
    e = Example(Windows().eval(), torch.randn(2, 6, 6, 4), "x", ("y",))
    check_at_another_batch(e, taken(e, tmp_path, dynamo) if fixed else of_any_batch(e, tmp_path, dynamo))


MASKED = """<ir_version: 9, opset_import: ["": 20]>
m (float[batch, T, 4] x, bool[batch, T] hidden) => (float[batch, T, 4] y)
<float lowest = {-inf}, float zero = {0}, int64[1] one = {1}> {
  turned = Transpose<perm = [0, 2, 1]>(x)  fits = MatMul(x, turned)  each = Unsqueeze(hidden, one)
  mask = Where(each, lowest, zero)  seen = Add(fits, mask)  p = Softmax(seen)  PROBABILITIES  y = MatMul(q, x)
}"""


@pytest.mark.parametrize(("probabilities", "empty"), [("q = Identity(p)", None), ("none = IsNaN(p)  q = Where(none, zero, p)", 0)])
def test_what_is_masked_is_not_seen_and_what_is_masked_altogether_is_what_its_guard_says(
    probabilities: str, empty: float | None, tmp_path: Path
) -> None:
    """Without a guard it is no number in the file, and nothing that a spec would be compared with."""
    onnx.save(onnx.parser.parse_model(MASKED.replace("PROBABILITIES", probabilities)), tmp_path / "m.onnx")
    import_model(tmp_path / "m.onnx", tmp_path / "m.nn")
    x, hidden = np.random.default_rng(0).normal(size=(3, 5, 4)).astype(np.float32), np.zeros((3, 5), bool)
    hidden[0, 2:], hidden[2] = True, True
    y = nnspec.load(tmp_path / "m.nn")(x=x, hidden=hidden)["y"]
    for i, seen in ((0, x[0, :2]), (1, x[1])):
        p = torch.softmax(torch.tensor(x[i] @ seen.T), dim=-1).numpy()
        np.testing.assert_allclose(y[i], p @ seen, rtol=1e-4, atol=1e-5)
    assert np.isfinite(y).all() and (empty is None or (y[2] == empty).all())


COUNTED = """<ir_version: 9, opset_import: ["": 20]>
m (int64[batch, T] ids) => (float[batch, T, 3] y)
<int64[1] zero = {0}, int64[1] one = {1}, int64[1, 8] table = {0, 1, 2, 3, 4, 5, 6, 7}> {
  shape = Shape(ids)  length = Slice(shape, one, one2)  at = Slice(table, zero, length, one, one)
  words = Gather(embedding, ids)  places = Gather(positions, at)  y = Add(words, places)
}"""


def test_a_table_of_numbers_that_is_cut_to_the_length_of_the_data_counts_its_steps(tmp_path: Path) -> None:
    """As the positions of BERT."""
    model = onnx.parser.parse_model(COUNTED)
    words, places = (np.random.default_rng(i).normal(size=(8, 3)).astype(np.float32) for i in range(2))
    arrays = {"embedding": words, "positions": places, "one2": np.array([2])}
    model.graph.initializer.extend(onnx.numpy_helper.from_array(a, n) for n, a in arrays.items())
    onnx.save(model, tmp_path / "m.onnx")
    import_model(tmp_path / "m.onnx", tmp_path / "m.nn")
    assert "ids -> embedding(8, 3) -> learned_positional(8)" in (tmp_path / "m.nn").read_text()
    ids = np.array([[3, 1, 7], [0, 0, 2]])
    np.testing.assert_allclose(nnspec.load(tmp_path / "m.nn")(ids=ids)["y"], words[ids] + places[:3], rtol=1e-6)


class Strided(nn.Module):
    """A pooled image seen by strides, as torch's newer exporter writes it in ConvNeXt."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        pooled = x.mean((2, 3), keepdim=True)
        return pooled.as_strided((x.shape[0], 20, 1, 1), (20, 1, 20, 20)).flatten(1)


@FIXED
def test_strides_over_a_whole_example_are_the_example(fixed: bool, tmp_path: Path) -> None:
    e = Example(Strided().eval(), torch.randn(2, 20, 3, 3), "x", ("y",))
    check_at_another_batch(e, taken(e, tmp_path, dynamo=True) if fixed else of_any_batch(e, tmp_path, dynamo=True))
    assert "take" not in (tmp_path / "m.nn").read_text()
