"""Kills what saves, and looks whether what was saved is whole: `python tools/crash.py [--kills 1000] [--trainings 100] [--seed 0]`.

A loop that does nothing but save is killed at random moments, and so are trainings of `nnspec train`, which are then gone on with. Nothing
may be unreadable, nothing that was said to be saved may be lost, and the trainings have to end with the bits of one that was left alone.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

import nnspec
from nnspec.diagnostics import Fault
from nnspec.train.commit import commit, committed, newest, prune
from nnspec.train.lock import locked

LONGEST = 5  # times what a save takes, until a kill
EPOCHS = 3  # for every kill: longer than it takes until then
NUMBERS = 20_000
SPEC = """
model Spiral {
  input  x: [2]
  target y: class(2)
  logits = x -> dense(16) -> tanh -> dropout(0.1) -> dense(2)
  output probs = softmax(logits)
  loss   cross_entropy(logits, y)
}
train {
  data spirals(n = 100)  validation 0.2  batch 4  epochs EPOCHS  checkpoint 2
  optimizer adam(lr = 0.01)  schedule cosine  stop early(val.loss, patience = 1000)
}
"""


def saved_at(step: int) -> dict[str, np.ndarray]:
    return {"weights": np.full(NUMBERS, step, np.float32), "velocity": np.full(NUMBERS, -step, np.float32)}


def save_without_end(folder: Path, said: int) -> None:
    """A writer, who says every step that it has saved."""
    with locked(folder):
        first = newest(folder).step + 1 if committed(folder) else 0
        for step in count(first):
            commit(folder, step, saved_at(step), {})
            prune(folder)
            os.write(said, b"%d\n" % step)


def killed_while_saving(folder: Path, seconds: float) -> int:
    """Let a writer save for so long, and kill it; the last step that it said."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        save_without_end(folder, writing)
        os._exit(1)
    os.close(writing)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    with os.fdopen(reading, "rb") as said:
        steps = said.read().split(b"\n")[:-1]
    return int(steps[-1]) if steps else -1


def saving(kills: int, chance: random.Random) -> str:
    """Kill writers, one after the other, into the same folder."""
    with tempfile.TemporaryDirectory() as name:
        folder, last, seconds = Path(name), -1, 0.0
        for number in range(kills):
            seconds = _seconds_of_a_save() if number % 50 == 0 else seconds
            last = max(last, killed_while_saving(folder, chance.uniform(0, LONGEST * seconds)))
            problem = _problem(folder, last)
            if problem:
                sys.exit(f"kill {number + 1}: {problem}")
        commits = newest(folder).step + 1
    return f"{kills} kills over {commits:,} saves: nothing unreadable, nothing lost"


def _seconds_of_a_save() -> float:
    """On this disk, as busy as it is."""
    with tempfile.TemporaryDirectory() as name:
        started = time.perf_counter()
        for step in range(10):
            commit(Path(name), step, saved_at(step), {})
            prune(Path(name))
        return (time.perf_counter() - started) / 10


def _problem(folder: Path, said: int) -> str:
    """What is wrong with what a killed writer has left."""
    if not committed(folder):
        return f"step {said} was saved, and nothing is there" if said >= 0 else ""
    try:
        found = newest(folder)
    except Fault as error:
        return str(error)
    if found.skipped:
        return "; ".join(d.message for d in found.skipped)
    expected = saved_at(found.step)
    if any(not np.array_equal(array, expected[n]) for n, array in found.arrays.items()):
        return f"step {found.step} does not hold what was saved"
    return f"step {said} was saved, and the newest is {found.step}" if found.step < said else ""


def training(kills: int, chance: random.Random) -> str:
    """Kill a training again and again, and go on with it each time."""
    with tempfile.TemporaryDirectory() as name:
        folder, seconds = Path(name), _seconds_of_a_save()
        (folder / "net.nn").write_text(SPEC.replace("EPOCHS", str(EPOCHS * (kills + 1))))
        whole = nnspec.load(folder / "net.nn", engine="numpy", threads=1)
        epochs = [e.as_json() for e in whole.fit().epochs]
        for number in range(kills):
            _kill_training(folder, chance.uniform(0, LONGEST * seconds), number)
        if code := _train(folder, again=True).wait():
            sys.exit(f"after {kills} kills the training ended with {code}")
        ended = newest(folder / "run")
        for array_name, array in whole.engine.all_arrays().items():
            if array.tobytes() != ended.arrays[array_name].tobytes():
                sys.exit(f"after {kills} kills `{array_name}` is not what it is without them")
        log = [json.loads(line) for line in (folder / "run" / "metrics.jsonl").read_text().splitlines()]
        if [_untimed(e) for e in log] != [_untimed(e) for e in epochs]:
            sys.exit(f"after {kills} kills the log is not what it is without them")
    return f"{kills} kills of a training of {len(epochs)} epochs: it ends with the same bits and the same log"


def _untimed(epoch: dict[str, Any]) -> dict[str, Any]:
    return {n: v for n, v in epoch.items() if n != "seconds"}


def _train(folder: Path, again: bool) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "nnspec", "train", "net.nn", "--run", "run", "--engine", "numpy", "--threads", "1"]
    return subprocess.Popen([*command, *(["--resume"] if again else [])], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _kill_training(folder: Path, seconds: float, number: int) -> None:
    """Let it save once more, and a moment later kill it."""
    before = committed(folder / "run")[-1:]
    process = _train(folder, again=bool(before))
    while committed(folder / "run")[-1:] == before:
        if process.poll() is not None:
            sys.exit(f"the training ended with {process.returncode} before kill {number + 1}")
        time.sleep(0.001)
    time.sleep(seconds)
    process.kill()
    process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=1000, help="of the loop that saves")
    parser.add_argument("--trainings", type=int, default=100, help="kills of a training")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    chance = random.Random(given.seed)
    print(saving(given.kills, chance), flush=True)
    if given.trainings:
        print(training(given.trainings, chance), flush=True)


if __name__ == "__main__":
    main()
