"""The scripts beside the package do what they say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers import ROOT, tool

import nnspec

ALPHABET = """
model Next {
  input  text: class(3)[T]
  target next: class(3)[T]
  logits = one_hot(text) -> dense(3)
  output logits
  loss   cross_entropy(logits, next)
}
train { data text("abc.txt", window = 8)  batch 4  epochs 20  optimizer adam(lr = 0.1)  seed 1 }
"""


def test_a_trained_model_of_characters_writes_on(tmp_path: Path) -> None:
    (tmp_path / "abc.txt").write_text("abc" * 100)
    (tmp_path / "next.nn").write_text(ALPHABET)
    net = nnspec.load(tmp_path / "next.nn")
    net.fit()
    net.save(tmp_path / "run")
    sample = tool("sample")["sample"]
    assert sample(nnspec.open(tmp_path / "run"), "ab", 7, temperature=0.1) == "cabcabc"
    assert sample(net, "ab", 60, temperature=50) != "cab" * 20


def test_the_series_of_the_gallery_is_the_equation_that_its_script_computes() -> None:
    series = tool("mackey_glass")["series"]()
    written = np.loadtxt(ROOT / "specs/data/mackey_glass.csv", delimiter=",", skiprows=1)
    np.testing.assert_allclose(written[:40, 1], series[12_000 : 12_000 + 40 * 60 : 60], atol=2e-6)


WRONG = {
    "tools.sample": (["nofile", "A"], 1, "error[E503]: nofile is not a run directory"),
    "tools.mackey_glass": (["more"], 2, "unrecognized arguments: more"),
    "tools.bench.scoring": (["many"], 2, "argument ROWS: invalid int value: 'many'"),
    "tools.parse_tables": (["more"], 2, "unrecognized arguments: more"),
    "tools.textmate": (["more"], 2, "unrecognized arguments: more"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_script_says_how_it_is_used_and_what_is_wrong(name: str) -> None:
    arguments, code, said = WRONG[name]
    for given, expected, part in ((arguments, code, said), (["--help"], 0, "usage: ")):
        done = subprocess.run([sys.executable, "-m", name, *given], cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == expected and part in done.stderr + done.stdout and "Traceback" not in done.stderr
