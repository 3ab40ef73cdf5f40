"""Ctrl-C and its like while training: noted when they come, and acted upon where nothing is half done."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(KeyboardInterrupt):
    """A training was asked to stop by a signal, and has been saved; `run` is where."""

    def __init__(self, number: int, run: Path) -> None:
        self.number, self.run = number, run
        super().__init__(f"stopped by {signal.Signals(number).name}; saved in {run}")


class Interrupts:
    """While it is entered, the first signal is noted in `number`; another one acts as it did before."""

    def __init__(self) -> None:
        self.number = 0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():  # no other can
            for number in SIGNALS:
                if signal.getsignal(number) != signal.SIG_IGN:  # as nohup has it
                    self._before[number] = signal.signal(number, self._noted)
        return self

    def __exit__(self, *_: object) -> None:
        self._give_back()

    def note(self, number: int) -> None:
        self.number = self.number or number

    def _noted(self, number: int, _frame: object) -> None:
        self.note(number)
        self._give_back()

    def _give_back(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler or signal.SIG_DFL)
        self._before.clear()
