"""What a training holds out, and that whoever judges what was trained holds out the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

import nnspec
from nnspec.cli.main import cli

POINTS = """
model Line {
  input  x: [2]
  target y: class(2)
  z = x -> dense(2)
  output z
  loss   cross_entropy(z, y)
  metric accuracy(z, y)
}
train { data moons(n = 100)  validation 0.2  test 0.3  batch 10  epochs 4  optimizer sgd(lr = 0.1) }
"""


@pytest.fixture
def seeded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, float]]:
    """What a training by a seed and a length of the command line says of itself."""
    monkeypatch.chdir(tmp_path)
    Path("line.nn").write_text(POINTS)
    done = CliRunner().invoke(cli, ["train", "line.nn", "--run", "run", "--seed", "2", "--epochs", "3", "--engine", "numpy", "--json"])
    assert done.exit_code == 0
    return dict(json.loads(done.stdout))


def test_a_run_is_judged_on_what_its_own_seed_held_out(seeded: dict[str, dict[str, float]]) -> None:
    net, other = nnspec.open("run"), nnspec.load("line.nn").dataset()
    own = net.dataset()
    assert own.test and other.test and own.test["x"].tolist() != other.test["x"].tolist()
    assert net.evaluate(own.test) == pytest.approx(seeded["test"])
    judged = CliRunner().invoke(cli, ["eval", "run", "--json"])
    assert {n: v for n, v in json.loads(judged.stdout).items() if n != "part"} == pytest.approx(seeded["test"])


def test_a_run_that_is_opened_goes_on_as_it_was_begun(seeded: dict[str, dict[str, float]]) -> None:
    assert len(nnspec.open("run").fit(run="run", resume=True).epochs) == 3
