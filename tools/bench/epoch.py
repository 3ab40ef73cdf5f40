"""The gallery's mnist_mlp for one epoch, as a user starts it: seconds from the start of a process to its exit, and its peak memory."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from tools.bench import machine
from tools.bench.contenders import Column, Contender
from tools.bench.rounds import Absent, Effort, Figures, Round
from tools.bench.workloads import ROOT

TORCH = Path(__file__).parent / "peers" / "torch_mnist.py"


def epochs(contenders: Sequence[Contender], effort: Effort, data: str) -> list[Figures]:
    """Every contender in every round, each time from the start."""
    found = [Figures(c, problem=f"{c.needs} is not installed" if c.missing else "") for c in contenders]
    for _ in range(effort.rounds):
        for figures in (f for f in found if not f.problem):
            figures.measure(partial(_once, figures.contender, data), effort)
    return found


def _once(contender: Contender, data: str) -> Round:
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile("w+") as errors:
        with machine.Stopwatch() as watch:
            process = subprocess.Popen(
                _command(contender, data, folder), cwd=ROOT, env=contender.environment, stdout=subprocess.DEVNULL, stderr=errors
            )
            _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            errors.seek(0)
            raise Absent(errors.read().strip().splitlines()[-1])
    foreign = watch.foreign - (usage.ru_utime + usage.ru_stime) / (watch.seconds * machine.CORES)
    return Round(watch.seconds, foreign, machine.RSS_UNIT * usage.ru_maxrss)


def _command(contender: Contender, data: str, folder: str) -> list[str]:
    if contender.column not in (Column.OURS, Column.PINNED):
        return [sys.executable, str(TORCH), data]
    engine = ["--engine", contender.how] if contender.how else []
    return [sys.executable, "-m", "nnspec", "train", "mnist_mlp", "--epochs", "1", "--data", data, "--run", f"{folder}/run", *engine]
