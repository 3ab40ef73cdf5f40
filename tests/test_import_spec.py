"""An imported spec as a person has it: how it reads, and training on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import run
from torch_models import example, export

import nnspec
from nnspec.importing import import_model

# ---- how it reads


def text(name: str, folder: Path) -> str:
    import_model(export(example(name), folder / f"{name}.onnx"), folder / f"{name}.nn")
    return (folder / f"{name}.nn").read_text()


def test_a_lenet_reads_as_in_a_lecture(tmp_path: Path) -> None:
    assert (
        text("lenet", tmp_path)
        == f"""\
# Lenet, imported from lenet.onnx, which pytorch {torch.__version__.partition("+")[0]} wrote.

model Lenet from "lenet.safetensors" {{
  input image: [1, 28, 28]

  output logits = image
    -> conv(6, 5, pad = same) as conv1 -> relu -> maxpool(2)
    -> conv(16, 5) as conv2 -> relu -> maxpool(2) -> flatten
    -> dense(120) as fc1 -> relu
    -> dense(84) as fc2 -> relu
    -> dense(10) as fc3
}}
"""
    )


def test_what_comes_again_is_a_layer(tmp_path: Path) -> None:
    _, _, body = text("resnet", tmp_path).partition("\n\n")
    assert (
        body
        == """\
# Comes as layer1.0, layer1.1, layer2.1.
layer residual_block(x, units) {
  y = x -> conv(units, 3, pad = same) as conv1 -> relu -> conv(units, 3, pad = same) as conv2
  return relu(y + x)
}

# Comes as layer2, layer3, layer4.
layer projection_block(x, units) {
  y = x -> conv(units, 3, stride = 2, pad = 1) -> relu -> conv(units, 3, pad = same)
  return (y + (x -> conv(units, 1, stride = 2))) -> relu -> residual_block(units)
}

model Resnet from "resnet.safetensors" {
  input image: [3, 32, 32]

  output logits = image
    -> conv(4, 7, stride = 2, pad = 3) as conv1 -> relu -> maxpool(3, stride = 2, pad = 1)
    -> repeat(2) { residual_block(4) }
    -> projection_block(8) as layer2
    -> projection_block(16) as layer3
    -> projection_block(32) as layer4 -> global_avgpool
    -> dense(10) as fc
}
"""
    )


def test_a_block_may_be_made_of_blocks(tmp_path: Path) -> None:
    body = text("mobilenet", tmp_path)
    assert "-> bottleneck(units, hidden, stride = stride) -> repeat(2) { residual_block(units, hidden_2) }" in body
    assert "layer residual_block(x, units, hidden) = x + (x -> bottleneck(units, hidden))" in body


@pytest.mark.parametrize("name", ["gpt", "gpt_any_length"])
def test_a_gpt_is_blocks_of_a_transformer(name: str, tmp_path: Path) -> None:
    body = " ".join(text(name, tmp_path).split())
    assert "-> learned_positional(16) -> repeat(2) { transformer_block(4, causal = true) } -> layernorm as ln_f" in body
    assert body.endswith("-> dense(50, bias = false) as lm_head }")
    assert f"input text: class(50)[{16 if name == 'gpt' else 'T'}]" in body


def test_a_gpt_of_our_own_comes_back_as_it_was(tmp_path: Path) -> None:
    nnspec.load("gpt", width=16, depth=2).export(tmp_path / "gpt.onnx")
    import_model(tmp_path / "gpt.onnx", tmp_path / "gpt.nn")
    body = " ".join((tmp_path / "gpt.nn").read_text().split())
    assert "-> learned_positional(64) -> repeat(2) { transformer_block(4, causal = true) } -> layernorm" in body
    assert "text -> embedding(65, 16) as tied_embedding" in body and "output logits = h @ transpose(tied_embedding.W)" in body
    assert "input text: class(65)[T]" in body


def test_attention_that_torch_spells_out_is_one_layer(tmp_path: Path) -> None:
    assert "y = (x + (x -> multihead_attention(4) as self_attn)) -> layernorm as norm1" in " ".join(text("encoder", tmp_path).split())


def test_a_recurrent_net_of_two_directions_is_two_words(tmp_path: Path) -> None:
    assert "(words -> embedding(30, 12) -> repeat(2) { bidirectional(lstm, 10) })[-1] -> dense(4) as head" in text("lstm", tmp_path)


def test_an_output_in_the_middle_has_its_name(tmp_path: Path) -> None:
    body = text("autoencoder", tmp_path)
    assert "output code = image\n    -> conv(8, 3, stride = 2, pad = 1) as encoder_0" in body
    assert "output recon = code\n    -> conv_transpose(8, 3, stride = 2, pad = 1, output_pad = 1) as decoder_0" in body


# ---- training on


TRAINING = """
train {
  batch     16
  epochs    40
  optimizer adam(lr = 0.02)
  freeze    conv1, conv2, fc1, fc2
}
"""


def shapes(examples: int) -> dict[str, np.ndarray]:
    """Images of bars that lie or stand, and of squares."""
    rng = np.random.default_rng(0)
    kind = rng.integers(0, 3, examples)
    image = rng.normal(0, 0.1, (examples, 1, 28, 28))
    for i, k in enumerate(kind):
        row, column = rng.integers(4, 12, 2)
        image[i, 0, row : row + (4, 14, 12)[k], column : column + (14, 4, 12)[k]] += 1
    return {"image": image.astype(np.float32), "kind": kind}


def test_an_imported_model_gets_a_new_head_and_learns_with_it_while_the_rest_stays(tmp_path: Path) -> None:
    spec = text("lenet", tmp_path)
    spec = spec.replace("output logits = image", "target kind: class(3)\n  features = image").replace("-> dense(10) as fc3", "")
    head = "  output logits = features -> dense(3) as head\n  loss cross_entropy(logits, kind)\n  metric accuracy(logits, kind)\n}"
    (tmp_path / "bars.nn").write_text(spec.rstrip().removesuffix("}") + head + TRAINING)
    old, net, data = nnspec.load(tmp_path / "lenet.nn"), nnspec.load(tmp_path / "bars.nn"), shapes(96)
    before = net.evaluate(data)["accuracy"]
    net.fit(data)
    assert before < 0.6 and net.evaluate(data)["accuracy"] > 0.8
    assert set(old.params) - set(net.params) == {"fc3.W", "fc3.b"}
    for name in set(old.params) & set(net.params):
        np.testing.assert_array_equal(net.params[name], old.params[name])


def test_a_training_of_another_spec_starts_from_imported_weights(tmp_path: Path) -> None:
    text("lenet", tmp_path)
    body = "image -> conv(6, 5, pad = same) as conv1 -> relu -> maxpool(2) as seen -> flatten -> dense(3) as head"
    ports = "input image: [1, 28, 28]  target kind: class(3)"
    train = 'train { start from "lenet.safetensors"  steps 1  optimizer sgd(0.1)  freeze conv1 }'
    (tmp_path / "small.nn").write_text(f"model Small {{ {ports}  output z = {body}  loss cross_entropy(z, kind) }} {train}")
    net = nnspec.load(tmp_path / "small.nn")
    net.fit(shapes(16))
    np.testing.assert_array_equal(net.params["conv1.W"], nnspec.load(tmp_path / "lenet.nn").params["conv1.W"])


FINE_TUNING = """
train {
  batch     16
  epochs    4
  optimizer adam(lr = 0.02)
  update    head
}

train all {
  epochs    10
  optimizer adam(lr = 0.005)
  freeze    conv1, layer2
}
"""


def test_an_imported_resnet_is_tuned_to_other_classes_from_its_head_on(tmp_path: Path) -> None:
    spec = (
        text("resnet", tmp_path)
        .replace("output logits = image", "target kind: class(3)\n  features = image")
        .replace("-> dense(10) as fc", "")
    )
    head = "  output logits = features -> dense(3) as head\n  loss cross_entropy(logits, kind)\n  metric accuracy(logits, kind)\n}"
    (tmp_path / "bars.nn").write_text(spec.rstrip().removesuffix("}") + head + FINE_TUNING)
    data = shapes(96)
    data["image"] = np.repeat(np.pad(data["image"], ((0, 0), (0, 0), (2, 2), (2, 2))), 3, axis=1)
    np.savez(tmp_path / "bars.npz", **data)
    done = run("train", "bars.nn", "--data", "bars.npz", "--run", "tuned", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    old, new = nnspec.load(tmp_path / "resnet.nn"), nnspec.open(tmp_path / "tuned")
    assert new.evaluate(data)["loss"] < 0.5 * nnspec.load(tmp_path / "bars.nn").evaluate(data)["loss"]
    assert set(old.params) - set(new.params) == {"fc.W", "fc.b"} and set(new.params) - set(old.params) == {"head.W", "head.b"}
    stayed = {n for n in set(old.params) & set(new.params) if np.array_equal(new.params[n], old.params[n])}
    assert {"conv1.W", "layer2.conv.W"} <= stayed and "layer4.conv.W" not in stayed
    again = import_model(tmp_path / "tuned" / "model.onnx", tmp_path / "again.nn")
    assert again.difference < 1e-5
