"""One contender in a process of its own, which idles but when it is told to run.

    python -m tools.bench.worker MODULE HOW WORKLOAD FOLDER

A line on stdin is a number of steps; the answer on stdout is one JSON line. The first line, unasked, says that it is ready.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tools.bench import machine, problem
from tools.bench.workloads import WORKLOADS

WARMING = 3
WAKING = 0.1  # seconds


def main(module: str, how: str, workload: str, folder: str) -> None:
    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)  # whatever libraries print is no answer
        step = _made(module, how, workload, folder)
        _run(step, WARMING)
        _say(answers, openblas=machine.openblas_core())
        for line in sys.stdin:
            _wake(step)
            with machine.Stopwatch() as watch:
                _run(step, int(line))
            _say(answers, seconds=watch.seconds, foreign=watch.foreign, memory=machine.peak_memory())


def _made(module: str, how: str, name: str, folder: str) -> Callable[[], Any]:
    workload = WORKLOADS[name]
    peer = importlib.import_module(f"tools.bench.peers.{module}")
    make = peer.inference if workload.inference else peer.training
    step: Callable[[], Any] = make(problem.load(workload, Path(folder)), how)
    return step


def _wake(step: Callable[[], Any]) -> None:
    """Steps that do not count: threads that have slept run on one core at first, until the system notices that another is free."""
    started = time.perf_counter()
    while time.perf_counter() - started < WAKING:
        _run(step, 1)


def _run(step: Callable[[], Any], times: int) -> None:
    for _ in range(times):
        last = step()
    np.asarray(last)  # waits for what is computed meanwhile


def _say(to: Any, **answer: Any) -> None:
    print(json.dumps(answer), file=to, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
