"""Contenders in turns: each a process that idles while the others run, every round timed anew."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from tools.bench import machine
from tools.bench.contenders import Contender
from tools.bench.workloads import ROOT, Workload

FOREIGN_LIMIT = 0.08  # of all cores


@dataclass(frozen=True)
class Effort:
    """How many rounds, how long each contender runs in one, and how often that is repeated if other processes disturb it."""

    rounds: int = 7
    seconds: float = 0.4
    repeats: int = 3


@dataclass(frozen=True)
class Round:
    """Seconds of a step, the share of all cores that others took meanwhile, and the largest size of the process till then."""

    seconds: float
    foreign: float
    memory: int


@dataclass
class Figures:
    """What was measured of a contender, or the `problem` that kept it from running."""

    contender: Contender
    rounds: list[Round] = field(default_factory=list)
    openblas: str | None = None
    problem: str = ""

    @property
    def kept(self) -> list[float]:
        """Seconds of the rounds that were not disturbed; without any, of the one disturbed least."""
        calm = [r.seconds for r in self.rounds if r.foreign <= FOREIGN_LIMIT]
        return calm or [min(self.rounds, key=lambda r: r.foreign).seconds]

    @property
    def median(self) -> float:
        return statistics.median(self.kept)

    @property
    def least(self) -> float:
        return min(r.seconds for r in self.rounds)

    @property
    def disturbed(self) -> int:
        return sum(r.foreign > FOREIGN_LIMIT for r in self.rounds)

    @property
    def memory(self) -> int:
        return max(r.memory for r in self.rounds)


class Absent(Exception):
    """A contender that cannot run, and why."""


class Worker:
    """The process of one contender, as the one that asks it sees it."""

    def __init__(self, process: subprocess.Popen[str], errors: Any) -> None:
        self._process, self._errors = process, errors

    def answer(self) -> dict[str, Any]:
        assert self._process.stdout
        if line := self._process.stdout.readline():
            return dict(json.loads(line))
        self._process.wait()  # it may still be writing why
        self._errors.seek(0)
        raise Absent((self._errors.read().strip().splitlines() or ["it ended without a word"])[-1])

    def run(self, steps: int) -> dict[str, Any]:
        assert self._process.stdin
        self._process.stdin.write(f"{steps}\n")
        self._process.stdin.flush()
        return self.answer()


@contextmanager
def _started(contender: Contender, workload: Workload, folder: str) -> Iterator[Worker]:
    command = [sys.executable, "-m", "tools.bench.worker", contender.module, contender.how, workload.name, folder]
    with (
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(
            command, cwd=ROOT, env=contender.environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors
        ) as process,
    ):
        yield Worker(process, errors)


def race(workload: Workload, contenders: Sequence[Contender], effort: Effort) -> list[Figures]:
    """All contenders on one workload."""
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        command = [sys.executable, "-m", "tools.bench.problem", workload.name, folder]
        subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        runners = [_Runner(c, workload, folder, stack) for c in contenders]
        for _ in range(effort.rounds):
            for runner in runners:
                runner.round(effort)
    return [r.figures for r in runners]


class _Runner:
    """A contender in the race; once it has a problem it takes no further part."""

    def __init__(self, contender: Contender, workload: Workload, folder: str, stack: ExitStack) -> None:
        self.figures = Figures(contender)
        if contender.missing:
            self.figures.problem = f"{contender.needs} is not installed"
            return
        self._worker, self._steps = stack.enter_context(_started(contender, workload, folder)), 0
        try:
            self.figures.openblas = self._worker.answer()["openblas"]
        except Absent as problem:
            self.figures.problem = str(problem)

    def round(self, effort: Effort) -> None:
        if not self.figures.problem:
            try:
                self.figures.rounds.append(self._least_disturbed(effort))
            except Absent as problem:
                self.figures.problem = str(problem)

    def _least_disturbed(self, effort: Effort) -> Round:
        self._steps = self._steps or self._enough(effort.seconds)
        best = self._once()
        for _ in range(effort.repeats):
            if best.foreign > FOREIGN_LIMIT:
                machine.await_quiet(FOREIGN_LIMIT)
                best = min(best, self._once(), key=lambda r: r.foreign)
        return best

    def _once(self) -> Round:
        answer = self._worker.run(self._steps)
        return Round(answer["seconds"] / self._steps, answer["foreign"], answer["memory"])

    def _enough(self, seconds: float) -> int:
        """So many steps take about this long."""
        steps = 1
        while (took := self._worker.run(steps)["seconds"]) < seconds / 4:
            steps *= 4
        return max(1, round(steps * seconds / float(took)))
