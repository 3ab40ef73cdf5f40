"""A model of characters that was trained on a text writes on."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import warnings
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import CliRunner

import nnspec
from nnspec.cli.main import cli
from nnspec.generation import generated

EVERYWHERE = """
model Next {
  input  text: class(3)[T]
  target next: class(3)[T]
  logits = one_hot(text) -> dense(3)
  output OUTPUT
  loss   cross_entropy(logits, next)
}
train { data text("abc.txt", window = 8)  batch 4  epochs 20  optimizer adam(lr = 0.1)  seed 1 }
"""
LAST = """
model Next {
  input  text: class(3)[2]
  target last: class(3)
  logits = one_hot(text) -> flatten -> dense(3)
  output OUTPUT
  loss   cross_entropy(logits, last)
}
train { data text("abc.txt", window = 2)  batch 4  epochs 20  optimizer adam(lr = 0.1)  seed 1 }
"""
NO_WRITERS = {
    "no text": "model M { input x: [2]  output z = x -> dense(2) }",
    "two inputs": "model M { input text: class(3)[T]  input x: [2]  output z = one_hot(text)[-1] -> dense(3) }",
    "other outputs": "model M { input text: class(3)[T]  output z = one_hot(text)[-1] -> dense(2) }",
    "words": "model M { input text: class(2)[T]  output z = one_hot(text)[-1] -> dense(2) }",
}


def net(folder: Path, spec: str, output: str = "logits") -> nnspec.Net:
    """Trained on abcabc..."""
    (folder / "abc.txt").write_text("abc" * 100)
    (folder / "next.nn").write_text(spec.replace("OUTPUT", output))
    trained = nnspec.load(folder / "next.nn")
    trained.fit()
    return trained


def text(trained: nnspec.Net, start: str, length: int, **how: Any) -> str:
    return "".join(islice(generated(trained, start, **how), length))


@pytest.mark.parametrize("output", ["logits", "p = softmax(logits)", "p = log_softmax(logits)"])
@pytest.mark.parametrize("spec", [EVERYWHERE, LAST], ids=["everywhere", "last"])
def test_what_was_learnt_is_written_on(tmp_path: Path, spec: str, output: str) -> None:
    trained = net(tmp_path, spec, output)
    assert text(trained, "ab", 30, temperature=0) == "cab" * 10
    assert text(trained, "abcab", 7, temperature=0.1) == "cabcabc"
    assert len(text(trained, "", 7)) == 7
    assert text(trained, "ab", 60, temperature=50) != "cab" * 20
    drawn = [text(trained, "ab", 60, temperature=2, seed=seed) for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_characters_are_drawn_as_often_as_the_network_expects_them() -> None:
    trained = nnspec.loads("model M { input text: class(3)[T]  z = 0 * one_hot(text) + log([0.2, 0.3, 0.5])  output z }")
    trained.labels = {"text": ["a", "b", "c"]}
    for temperature in (1.0, 0.5):
        found = Counter(text(trained, "a", 2_000, temperature=temperature))
        expected = np.array([0.2, 0.3, 0.5]) ** (1 / temperature)
        assert np.allclose([found[c] / 2_000 for c in "abc"], expected / expected.sum(), atol=0.04)


@pytest.mark.parametrize("name", NO_WRITERS)
def test_a_network_that_is_no_model_of_characters_is_refused(name: str) -> None:
    other = nnspec.loads(NO_WRITERS[name])
    other.labels = {"text": ["one", "two"] if name == "words" else ["a", "b", "c"]}
    with pytest.raises(nnspec.diagnostics.Fault, match="no model of characters"):
        generated(other, "a")


@pytest.mark.parametrize("model", ["run", "m.onnx"])
def test_the_command_writes_after_what_it_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str) -> None:
    monkeypatch.chdir(tmp_path)
    trained = net(tmp_path, EVERYWHERE)
    trained.save("run") if model == "run" else trained.export("m.onnx")
    done = CliRunner().invoke(cli, ["generate", model, "ab", "--length", "4", "--temperature", "0"])
    assert (done.exit_code, done.stdout) == (0, "abcabc\n")
    refused = CliRunner().invoke(cli, ["generate", model, "abx"])
    assert refused.exit_code == 1 and "'x' is not in the text that was trained on" in str(refused.exception)
    for arguments in (["--length", "0"], ["--temperature", "-1"], ["--seed", "-1"]):
        assert CliRunner().invoke(cli, ["generate", model, "a", *arguments]).exit_code == 2


def test_no_character_acts_on_the_terminal_and_a_file_gets_each_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "abc.txt").write_text("a\x1b\n" * 100)
    (tmp_path / "next.nn").write_text(EVERYWHERE.replace("OUTPUT", "logits"))
    trained = nnspec.load("next.nn")
    trained.fit(run="run")
    arguments = ["generate", "run", "a", "--length", "3", "--temperature", "0"]
    assert CliRunner().invoke(cli, arguments).stdout == "a\x1b\na\n"
    main, terminal = pty.openpty()
    subprocess.run([sys.executable, "-m", "nnspec", *arguments], stdout=terminal, check=True)
    assert os.read(main, 100).decode().split() == ["a\\u001b", "a"]


@pytest.mark.parametrize("gives", ["p", "q", "log(p)", "2 + log(p)"])
def test_probabilities_are_told_from_their_logarithms_by_their_values(gives: str) -> None:
    p = "p = 0 * one_hot(text) + [0.2, 0, 0.8]  g = sigmoid(sum(0.0 * text))  q = g * p + (1 - g) * p"
    trained = nnspec.loads(f"model M {{ input text: class(3)[T]  {p}  z = {gives}  output z }}")
    trained.labels = {"text": ["a", "b", "c"]}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for temperature in (1.0, 2.0):
            found = Counter(text(trained, "a", 1_000, temperature=temperature))
            expected = np.array([0.2, 0, 0.8]) ** (1 / temperature)
            assert np.allclose([found[c] / 1_000 for c in "abc"], expected / expected.sum(), atol=0.05)
        assert text(trained, "a", 100, temperature=1e-320) == "c" * 100 == text(trained, "a", 100, temperature=0)
    for temperature in (float("nan"), float("inf"), -1.0):
        with pytest.raises(nnspec.diagnostics.Fault, match="a temperature is a number from 0, not"):
            text(trained, "a", 1, temperature=temperature)


HIDDEN = "h = one_hot(text) -> dense(3)\n  logits = -h\n  output OUTPUT"


@pytest.mark.parametrize("model", ["spec", "m.onnx"])
@pytest.mark.parametrize("outputs", ["h, logits", "h, p = softmax(logits)", "logits, h"])
def test_the_output_is_taken_that_the_loss_compares_with_what_comes_next(tmp_path: Path, outputs: str, model: str) -> None:
    spec = EVERYWHERE.replace("logits = one_hot(text) -> dense(3)", HIDDEN).replace("  output OUTPUT\n  loss", "  loss")
    trained = net(tmp_path, spec, outputs)
    trained.export(tmp_path / "m.onnx")
    assert text(trained if model == "spec" else nnspec.load(tmp_path / model), "a", 6, temperature=0) == "bcabca"


AS_IT_IS = {
    "last": "z = (text -> embedding(3, 8) -> gru(8))[-1] -> dense(3)",
    "both directions": "z = text -> embedding(3, 8) -> bidirectional(gru, 8) -> dense(3)",
    "by the length": "z = reshape(positions(text), [shape(text)[0], 1]) / shape(text)[0] + (text -> embedding(3, 8) -> gru(8)) -> dense(3)",
    "forwards": "z = text -> embedding(3, 8) -> gru(8) -> dense(3)",
}


@pytest.mark.parametrize("name", AS_IT_IS)
def test_a_short_beginning_is_read_as_it_is(name: str) -> None:
    writer = nnspec.loads(f"model M {{ input text: class(3)[T]  {AS_IT_IS[name]}  output z }}")
    for seed in range(5):
        writer.init(seed).labels = {"text": ["\n", "a", "b"]}
        numbers = [1]
        for _ in range(12):
            numbers.append(int(np.argmax(writer(text=[numbers])["z"].reshape(-1, 3)[-1])))
        assert text(writer, "a", 12, temperature=0) == "".join("\nab"[n] for n in numbers[1:])


def test_a_beginning_shorter_than_the_network_takes_is_filled_up_in_front() -> None:
    spec = "model M { input text: class(3)[T]  z = (one_hot(text) -> transpose -> conv(3, 4) -> transpose)[-1]  output z }"
    writer = nnspec.loads(spec)
    for seed in range(5):
        writer.init(seed).labels = {"text": ["\n", "a", "b"]}
        numbers = [0, 0, 0, 1]
        for _ in range(12):
            numbers.append(int(np.argmax(writer(text=[numbers])["z"])))
        assert text(writer, "a", 12, temperature=0) == "".join("\nab"[n] for n in numbers[4:])


PLACES = "logits = one_hot(text) -> learned_positional(8) -> dense(3)"


def test_an_exported_model_knows_how_far_it_looks_back(tmp_path: Path) -> None:
    trained = net(tmp_path, EVERYWHERE.replace("logits = one_hot(text) -> dense(3)", PLACES))
    trained.export(tmp_path / "m.onnx")
    exported = nnspec.load(tmp_path / "m.onnx")
    assert text(exported, "ab", 30, temperature=2) == text(trained, "ab", 30, temperature=2)
    unknown = nnspec.loads(f"model M {{ input text: class(3)[T]  {PLACES}  output logits }}")
    unknown.labels = {"text": ["a", "b", "c"]}
    assert len(text(unknown, "ab", 30)) == 30


@pytest.mark.parametrize("wrong", ["[]", '{"text": {}}', '{"text": {"output": "z", "window": 0}}', '{"text": {"output": 1}}'])
def test_metadata_that_say_nothing_of_what_comes_next_are_refused(tmp_path: Path, wrong: str) -> None:
    trained = net(tmp_path, EVERYWHERE)
    trained.export(tmp_path / "m.onnx")
    model = onnx.load(tmp_path / "m.onnx")
    next(p for p in model.metadata_props if p.key == "continuations").value = wrong
    onnx.save(model, tmp_path / "m.onnx")
    with pytest.raises(nnspec.SpecError, match="E520"):
        nnspec.load(tmp_path / "m.onnx")
