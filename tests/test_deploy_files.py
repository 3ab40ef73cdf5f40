"""What lies beside an exported model, or in it for a reader: large weights, the card, and the names of classes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from bright import CODES, bright, trained, values_of
from click.testing import CliRunner
from onnx import numpy_helper

import nnspec
from nnspec.cli.export import export
from nnspec.cli.main import cli
from nnspec.deploy import proof as proof_module
from nnspec.diagnostics import SpecError
from nnspec.interchange import external

YES_OR_NO = """
model M { input x: [1]  target k: class(2)  output y = x -> dense(2)  loss cross_entropy(y, k) }
train { epochs 2  optimizer sgd(lr = 0.1) }
"""


@pytest.fixture
def net() -> nnspec.Net:
    return trained()


# ---- beyond what one file can hold


def test_large_weights_lie_in_a_file_of_their_own(net: nnspec.Net, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = bright(3)["image"]
    before = net.export(tmp_path / "m.onnx")
    expected = values_of(before.path, image)["probs"]
    monkeypatch.setattr(external, "LARGEST_FILE", 500)
    monkeypatch.setattr(external, "SMALLEST", 100)
    proof = net.export(tmp_path / "m.onnx")
    (data,) = tmp_path.glob("m-*.data")
    assert {p.name for p in tmp_path.iterdir()} == {"m.onnx", "m.md", data.name} and data.name in proof.remarks[0]
    assert proof.size < before.size and data.stat().st_size > 700
    onnx.checker.check_model(str(proof.path), full_check=True)
    np.testing.assert_array_equal(values_of(proof.path, image)["probs"], expected)
    weights = {t.name: numpy_helper.to_array(t) for t in onnx.load(proof.path).graph.initializer}
    np.testing.assert_array_equal(weights["dense_2.W"], net.params["dense_2.W"])


def test_large_weights_that_are_not_proved_leave_nothing_behind(net: nnspec.Net, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(external, "LARGEST_FILE", 500)
    monkeypatch.setattr(proof_module, "LARGEST_DIFFERENCE", -1.0)
    monkeypatch.setattr(proof_module, "LARGEST_OF_ROUGH", -1.0)
    with pytest.raises(SpecError, match="differ by"):
        net.export(tmp_path / "m.onnx")
    assert not list(tmp_path.iterdir())


def test_a_replaced_model_takes_its_large_weights_with_it(net: nnspec.Net, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(external, "LARGEST_FILE", 500)
    monkeypatch.setattr(external, "SMALLEST", 100)
    again = nnspec.loads(CODES, engine="numpy", threads=1)
    net.export(tmp_path / "m.onnx")
    (first,) = tmp_path.glob("*.data")
    (tmp_path / "m-202611211609.data").write_text("not of a model")
    again.export(tmp_path / "m.onnx")
    (second,) = set(tmp_path.glob("*.data")) - {tmp_path / "m-202611211609.data"}
    assert first != second and values_of(tmp_path / "m.onnx", bright(2)["image"])
    (tmp_path / "copy.onnx").write_bytes((tmp_path / "m.onnx").read_bytes())
    monkeypatch.undo()
    net.export(tmp_path / "m.onnx")
    assert second.exists() and values_of(tmp_path / "copy.onnx", bright(2)["image"])
    net.export(tmp_path / "copy.onnx")
    assert [p.name for p in tmp_path.glob("*.data")] == ["m-202611211609.data"]


def test_large_weights_of_a_model_that_cannot_be_written_are_taken_back(
    net: nnspec.Net, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(external, "LARGEST_FILE", 500)
    (tmp_path / "m.onnx").mkdir()
    with pytest.raises(SpecError) as error:
        net.export(tmp_path / "m.onnx")
    assert [d.code for d in error.value.diagnostics] == ["E504"] and [p.name for p in tmp_path.iterdir()] == ["m.onnx"]


def test_large_weights_in_half_precision_are_refused(net: nnspec.Net, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(external, "LARGEST_FILE", 500)
    with pytest.raises(SpecError, match="half precision"):
        net.export(tmp_path / "m.onnx", half=True)


# ---- the card


@pytest.mark.parametrize(
    ("name", "options"), [("digits", {"pixels": ["image"]}), ("char_lstm", {}), ("gan", {}), ("autoencoder", {"outputs": ["code"]})]
)
def test_the_code_on_a_card_runs(name: str, options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net = nnspec.load(name, engine="numpy", threads=1)
    net.export(tmp_path / "m.onnx", **options)
    (code,) = re.findall(r"```python\n(.*?)```", (tmp_path / "m.md").read_text(), re.S)
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "card", "exec"), {})


def test_a_card_says_what_the_model_is_and_what_it_reaches(tmp_path: Path) -> None:
    net = nnspec.loads(f"# Says yes or no.\n\n{YES_OR_NO}")
    net.fit({"x": [[0.0], [1.0]], "k": np.asarray(["no | <never>", "yes"])})
    proof = net.export(tmp_path / "m.onnx", measured={"held out": {"accuracy": 0.75, "loss": 0.5}})
    card = (tmp_path / "m.md").read_text()
    assert card.startswith("# M\n") and "Says yes or no." in card and "| parameters | 4 |" in card and "| trained | 2 steps |" in card
    assert f"{proof.size:,} bytes" in card and "| held out | accuracy | 0.75 |" in card and "optimizer sgd(lr = 0.1)" in card
    assert "`k`: 0 no \\| &lt;never>, 1 yes" in card


def test_a_file_that_is_no_card_is_left_alone(net: nnspec.Net, tmp_path: Path) -> None:
    (tmp_path / "m.md").write_text("my notes")
    net.export(tmp_path / "m.onnx")
    assert (tmp_path / "m.md").read_text() == "my notes"
    net.export(tmp_path / "n.onnx", opset=18)
    net.export(tmp_path / "n.onnx")
    assert "opset 21" in (tmp_path / "n.md").read_text()


def test_the_card_of_a_run_has_the_metrics_of_its_last_epoch(tmp_path: Path) -> None:
    net = nnspec.load("xor", engine="numpy", threads=1)
    net.save(tmp_path / "run")
    line = {"epoch": 9, "step": 9, "lr": 0.1, "loss": 0.25, "seconds": 1.0}
    (tmp_path / "run" / "metrics.jsonl").write_text(f"{json.dumps(line)}\n{{torn")
    said = CliRunner().invoke(export, [str(tmp_path / "run"), "-o", str(tmp_path / "m.onnx")])
    assert said.exit_code == 0 and "| epoch 9 | loss | 0.25 |" in (tmp_path / "m.md").read_text()


def test_the_card_of_a_run_has_what_its_weights_reach_on_what_was_held_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    trained = CliRunner().invoke(cli, ["train", "iris", "--epochs", "2", "--run", "run", "--json"])
    reached = json.loads(trained.stdout)["test"]["accuracy"]
    assert CliRunner().invoke(export, ["run", "-o", "m.onnx"]).exit_code == 0
    assert f"| held out | accuracy | {reached:.4g} |" in Path("m.md").read_text()
    net = nnspec.open("run")
    net.step(**net.dataset().train)
    net.save("run")
    assert CliRunner().invoke(export, ["run", "-o", "m.onnx"]).exit_code == 0
    assert "| held out |" not in Path("m.md").read_text(), "these are no figures of the weights there"


# ---- the metadata


def test_classes_are_named_in_the_metadata(tmp_path: Path) -> None:
    net = nnspec.loads(YES_OR_NO)
    net.fit({"x": [[0.0], [1.0]], "k": np.asarray(["no", "yes"])})
    net.export(tmp_path / "m.onnx")
    about = {p.key: p.value for p in onnx.load(tmp_path / "m.onnx").metadata_props}
    assert json.loads(about["labels"]) == {"k": ["no", "yes"]}
