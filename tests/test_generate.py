"""A model of characters that was trained on a text writes on."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
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


def test_no_character_acts_on_the_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "abc.txt").write_text("a\x1b\n" * 100)
    (tmp_path / "next.nn").write_text(EVERYWHERE.replace("OUTPUT", "logits"))
    trained = nnspec.load("next.nn")
    trained.fit(run="run")
    done = CliRunner().invoke(cli, ["generate", "run", "a", "--length", "3", "--temperature", "0"])
    assert done.stdout == "a\\u001b\na\n"
