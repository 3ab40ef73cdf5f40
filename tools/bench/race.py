"""Contenders in turns: each a process that idles while the others run, every round timed anew."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

from tools.bench.contenders import Contender
from tools.bench.rounds import Absent, Effort, Figures, Round
from tools.bench.workloads import ROOT, Workload


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
        with suppress(BrokenPipeError):  # then there is no answer, which says why
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
            self.figures.measure(lambda: self._once(effort.seconds), effort)

    def _once(self, seconds: float) -> Round:
        self._steps = self._steps or self._enough(seconds)
        answer = self._worker.run(self._steps)
        return Round(answer["seconds"] / self._steps, answer["foreign"], answer["memory"])

    def _enough(self, seconds: float) -> int:
        """So many steps take about this long."""
        steps = 1
        while (took := self._worker.run(steps)["seconds"]) < seconds / 4:
            steps *= 4
        return max(1, round(steps * seconds / float(took)))
