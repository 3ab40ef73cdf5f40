"""Models that need sequences of some length: exported, imported and checked at lengths that fit them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import nnspec
from nnspec.diagnostics import SpecError
from nnspec.gradcheck import gradcheck
from nnspec.importing import import_model
from nnspec.run import recent
from nnspec.run.ort import Session

MODEL = "model M {{ input x: [2, T]  {more}  output y = {formula} }}"
X = np.random.default_rng(0).normal(size=(3, 2, 40)).astype(np.float32)

FITS = {
    "x -> conv(3, 9) -> mean(axis = 1)": "T 9 and 10",
    "x -> conv(8, 3) -> relu -> conv(8, 3, dilation = 3) -> mean(axis = 1)": "T 9 and 10",
    "x[:, -10:]": "T 10 and 11",
    "x[:, 5:20]": "T 20 and 21",
    "x[:, :T - 70]": "T 96 and 128",
    "transpose(x) -> learned_positional(4) -> dense(1)": "T 3 and 4",
    "transpose(x) -> learned_positional(1) -> dense(1)": "T 1",
    "x -> conv_transpose(2, 3, pad = 4) -> mean(axis = 1)": "T 7 and 8",
    "mean(x, axis = 1)": "T 3 and 5",
}


def exported(formula: str, path: Path, more: str = "") -> tuple[nnspec.Net, str]:
    net = nnspec.loads(MODEL.format(formula=formula, more=more)).init(0)
    return net, net.export(path).compared


@pytest.mark.parametrize("formula", FITS)
def test_a_model_is_compared_at_lengths_at_which_all_of_it_has_a_value(formula: str, tmp_path: Path) -> None:
    assert exported(formula, tmp_path / "m.onnx")[1] == f"at batch 1 and 7, {FITS[formula]}"


def test_what_is_exported_computes_what_torch_does_at_other_lengths(tmp_path: Path) -> None:
    net, _ = exported("x -> conv(3, 9)", tmp_path / "m.onnx")
    kernel, bias = (torch.tensor(net.params[f"conv.{n}"].copy()) for n in ("W", "b"))
    expected = torch.nn.functional.conv1d(torch.tensor(X), kernel, bias).numpy()
    np.testing.assert_allclose(Session(tmp_path / "m.onnx").run({"x": X})["y"], expected, rtol=1e-5, atol=1e-5)


def test_of_several_sizes_those_are_found_that_fit_each_other_and_each_is_another(tmp_path: Path) -> None:
    _, compared = exported("x[:, :T - S] * 2", tmp_path / "m.onnx", "input s: [S]")
    assert compared == "at batch 1 and 7, S 2 and 3, T 3 and 5"


def test_where_no_length_fits_the_place_is_said(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="E205") as refused:
        exported("(x[:, 1:] * 2) -> conv(2, 30000)", tmp_path / "m.onnx")
    (d,) = refused.value.diagnostics
    assert d.span and d.span.text == "conv(2, 30000)" and "no length of `T` was found" in d.message


TRAINED = """
model Tcn {
  input  x: [1, T]
  target y: [1]
  h = x -> conv(8, 3) -> relu -> conv(8, 3, dilation = 3) -> relu
  output z = h[:, -1] -> dense(1)
  loss   mse(z, y)
}
train { epochs 2  optimizer sgd(lr = 0.01) }
"""


def test_a_training_of_such_a_model_is_exported_and_its_gradients_are_checked(tmp_path: Path) -> None:
    net = nnspec.loads(TRAINED)
    net.fit({"x": np.ones((4, 1, 20)), "y": np.zeros((4, 1))})
    proof = net.export_training(tmp_path / "step")
    assert proof.difference < 1e-4 and proof.compared == "at batch 1 and 7, T 9 and 10"
    assert all(checked.passed for checked in gradcheck(net.spec))


def test_such_a_model_is_imported(tmp_path: Path) -> None:
    net, _ = exported("x -> conv(3, 9)", tmp_path / "m.onnx")
    import_model(tmp_path / "m.onnx", tmp_path / "m.nn")
    np.testing.assert_allclose(nnspec.load(tmp_path / "m.nn")(x=X)["y"], net(x=X)["y"], rtol=1e-5, atol=1e-6)


def test_a_wrong_number_of_a_row_has_its_place_also_in_a_loop(tmp_path: Path) -> None:
    spec = """
    model M {
      input x: [T]
      param E: [3] = [1, 10, 100]
      hs, ks = scan e in x with h = 0.0, k = 5 { h = h + take(E, round(k))  k = k + e }
      output hs
    }"""
    with pytest.raises(SpecError, match="E205") as refused:
        nnspec.loads(spec).export(tmp_path / "m.onnx")
    assert refused.value.diagnostics[0].span


SEQUENCES = "model M { input x: [T, 3]  z = (x -> gru(4))[-1] -> dense(1)  output z  loss sum(z^2) }  train { epochs 1  optimizer adam }"


@pytest.mark.parametrize("engine", ["numpy", "ort"])
@pytest.mark.parametrize("threads", [1, 2])
def test_of_many_lengths_the_last_are_kept_and_nothing_else_changes(engine: str, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    lengths, found = [1, 2, 3, 1, 4, 1, 5, 6, 2, 1, 7], []
    for most in (3, 100):
        monkeypatch.setattr(recent, "MOST", most)
        net = nnspec.loads(SEQUENCES, engine=engine, threads=threads).init(0)
        for length in lengths:
            net.step(x=X[0, 0, :24].repeat(length).reshape(8, length, 3))
        assert len(net.engine._programs) == min(most, len(set(lengths)))
        found.append({name: array.copy() for name, array in net.params.items()})
    for name, array in found[0].items():
        np.testing.assert_array_equal(array, found[1][name])


def test_what_was_read_last_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recent, "MOST", 2)
    kept = recent.Recent[str, int]()
    kept["a"], kept["b"] = 1, 2
    assert kept["a"] == 1
    kept["c"] = 3
    assert list(kept) == ["a", "c"]
    monkeypatch.setattr(recent, "MOST", 100)
    monkeypatch.setattr(recent, "free", lambda: 0)
    for number in range(20):
        kept[str(number)] = number
    assert len(kept) == recent.FEW
