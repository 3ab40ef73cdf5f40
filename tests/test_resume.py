"""A training that is interrupted goes on to the same bits, wherever it was, and says first what is not as it was."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from shutil import copytree
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from helpers import Stopping

import nnspec
from nnspec.compile import Compilation
from nnspec.diagnostics import Source
from nnspec.run.engine import Engine
from nnspec.train import loop, run
from nnspec.train.commit import newest
from nnspec.train.interrupt import Interrupted
from nnspec.train.loop import History, Progress

RICH = """
model Rich {
  input  image: [1, 6, 6]
  target y: class(3)
  h = image -> conv(3, 3) -> batchnorm -> relu -> dropout(0.25) -> flatten -> dense(8) -> tanh
  logits = h -> dense(3)
  output logits
  loss   cross_entropy(logits, y)
  metric confusion(logits, y)
}
train warm {
  batch 7  epochs 2  optimizer adam(lr = 0.02)  schedule cosine(warmup = 3)  seed 3
  augment image -> shift(1) -> rotate(20) -> noise(0.1)
}
train tune {
  batch 6  epochs 3  optimizer momentum(lr = 0.05)  schedule on_plateau(factor = 0.5, patience = 1)
  stop early(val.loss, patience = 2)
  augment image -> flip
}
train settle {
  batch 6  steps 9  optimizer nesterov(lr = 0.01)  stop plateau(loss, patience = 9)
}
"""


def images(examples: int, seed: int) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    return {"image": rng.random((examples, 1, 6, 6)), "y": rng.integers(0, 3, examples)}


DATA, VALIDATION = images(21, 0), images(8, 1)


@cache
def compiled() -> Compilation:
    return Compilation(Source("rich.nn", RICH), {})


def rich(engine: str) -> nnspec.Net:
    """A network of its own each time, that was compiled once."""
    return nnspec.Net(compiled(), engine, threads=2)


def trained(net: nnspec.Net, folder: Path, **more: Any) -> History:
    return net.fit(DATA, validation=VALIDATION, run=folder, **more)


def log_of(folder: Path) -> list[dict[str, Any]]:
    """What metrics.jsonl says, but for the time it took."""
    epochs = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{n: v for n, v in epoch.items() if n != "seconds"} for epoch in epochs]


def state_of(folder: Path) -> dict[str, Any]:
    found = newest(folder)
    said = {n: v for n, v in found.manifest["training"].items() if n != "seconds"}
    return {"step": found.step, "said": said, **{n: a.tobytes() for n, a in found.arrays.items()}}


@cache
def expected(engine: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The end of a run that nothing interrupted: its last checkpoint and its log."""
    with TemporaryDirectory() as folder:
        trained(rich(engine), Path(folder))
        return state_of(Path(folder)), log_of(Path(folder))


@pytest.mark.parametrize("engine", ["numpy", "ort"])
def test_a_training_goes_on_to_the_same_bits_from_every_step(engine: str, tmp_path: Path) -> None:
    """Shuffling, augmentation, dropout, running averages, schedules, three stages, stopping early, metrics that are tables.

    What lies in the run directory is copied after every step, as if the machine had stopped there.
    """
    state, log = expected(engine)
    copies: list[Path] = []

    def copy(*_: object) -> None:
        copies.append(Path(copytree(tmp_path / "run", tmp_path / f"after-{len(copies)}")))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "EVERY", 0.0)
        patch.setattr(run, "PATIENCE", 0.0)
        trained(rich(engine), tmp_path / "run", progress=Progress(on_batch=copy))
    assert len(copies) == state["step"] >= 25
    for step, folder in enumerate(copies):
        assert newest(folder).step == step
        trained(rich(engine), folder, resume=True)
        assert state_of(folder) == state, f"after step {step}"
        assert log_of(folder) == log, f"after step {step}"


@pytest.fixture
def heeded() -> Iterator[None]:
    """A hangup ends the process, even where the tests were started by `nohup`."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("heeded")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_ends_the_step_saves_and_can_be_gone_on_from(number: int, tmp_path: Path) -> None:
    state, log = expected("numpy")
    before = signal.getsignal(number)
    for steps in (1, 8, 14):
        with pytest.raises(Interrupted) as caught:
            trained(rich("numpy"), tmp_path / "run", resume=(tmp_path / "run").exists(), progress=Stopping(steps, number))
        assert (caught.value.number, caught.value.run) == (number, tmp_path / "run")
        assert signal.getsignal(number) == before
    assert newest(tmp_path / "run").step == 1 + 8 + 14
    trained(rich("numpy"), tmp_path / "run", resume=True)
    assert state_of(tmp_path / "run") == state
    assert log_of(tmp_path / "run") == log


GAME = """
model Game {
  input x: [3]
  target y: [1]
  seen = x -> standardize -> dense(4) as seer -> tanh
  output z = seen -> dense(1) as guess
  loss near = mse(z, y)
  loss small = mean(seen^2)
}
train { batch 4  epochs 3  optimizer adam(lr = 0.1)  minimize near  minimize small  update seer }
train { start from "other"  batch 4  epochs 3  optimizer adam(lr = 0.1)  minimize near  minimize small  update seer }
"""


def game(folder: Path) -> nnspec.Net:
    (folder / "game.nn").write_text(GAME)
    return nnspec.load(folder / "game.nn", engine="numpy", threads=1)


def test_losses_by_name_fitted_states_and_what_another_run_gave_are_as_they_were(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    data = {"x": 3 + rng.standard_normal((10, 3)), "y": rng.random((10, 1))}
    game(tmp_path).init(9).save(tmp_path / "other")
    game(tmp_path).fit(data, run=tmp_path / "whole")
    for steps in (2, 9, 14):
        run = tmp_path / f"after-{steps}"
        with pytest.raises(Interrupted):
            game(tmp_path).fit(data, run=run, progress=Stopping(steps))
        if steps > 9:  # the second block has begun, so what it started from is not asked for again
            (tmp_path / "other").rename(tmp_path / "gone")
        game(tmp_path).fit(data, run=run, resume=True)
        assert (state_of(run), log_of(run)) == (state_of(tmp_path / "whole"), log_of(tmp_path / "whole"))


def test_a_run_goes_on_with_the_engine_it_chose(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def chosen(engine: Engine, *_: object) -> bool:
        engine.use("ort")
        engine.choice = "ort: by chance"
        return True

    spec = RICH[: RICH.index("train tune")]
    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        patch.setattr(loop, "choose", chosen)
        trained(nnspec.loads(spec), tmp_path / "run", progress=Stopping(2))
    net = nnspec.loads(spec)
    trained(net, tmp_path / "run", resume=True)
    assert (net.engine.name, net.engine.choice) == ("ort", "ort: by chance")
