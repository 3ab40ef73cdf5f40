"""What several tests share: short specs, and distances scaled by the largest reference value."""

from __future__ import annotations

import os
import re
import runpy
import signal
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nnspec
from nnspec.blas import Call
from nnspec.compile import Compilation
from nnspec.diagnostics import Source, SpecError
from nnspec.gallery import read
from nnspec.ops import aside
from nnspec.source import folder_of
from nnspec.train.loop import Progress

ROOT = Path(__file__).parent.parent
GALLERY = sorted(p.stem for p in (ROOT / "specs").glob("*.nn"))
MNIST = ROOT.parent / "shared" / "data" / "mnist"


SMALLER = {
    "deep_mlp": {"[1000, 500]": "[40, 20]"},
    "char_lstm": {"= 256": "= 8"},
    "gpt": {"= 128": "= 16", "= 4\n": "= 2\n"},
    "googlenet": {
        "[3, 224, 224]": "[3, 32, 32]",
        "avgpool(7)": "avgpool(1)",
        "1000": "10",
        "expect": "# expect",
        **dict.fromkeys(
            ("-> inception(160", "-> inception(128, 128, 256", "-> inception(112", "-> inception(256", "-> inception(384"), "#"
        ),
    },
}
"""What is written instead where a spec is too large to be run in a second by the reference."""


@cache
def compiled(name: str, dtype: str) -> Compilation:
    """A spec of the gallery."""
    return compiled_text(name, small(name), dtype)


def compiled_text(name: str, text: str, dtype: str) -> Compilation:
    """A text that stands for a spec of the gallery."""
    return Compilation(Source(f"{name}.nn", text), {}, dtype, folder_of(name)).checked()


def small(name: str) -> str:
    """The text of a spec of the gallery, with small sizes where it is large."""
    text = read(name).text
    for large, smaller in SMALLER.get(name, {}).items():
        assert large in text
        text = text.replace(large, smaller)
    return text


@cache
def tool(name: str) -> dict[str, Any]:
    """What a script beside the package defines."""
    return runpy.run_path(str(ROOT / "tools" / f"{name}.py"))


def run(*arguments: str, cwd: Path = ROOT, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """`nnspec` in a process of its own, as a user runs it."""
    environment = {**os.environ, "NO_COLOR": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "nnspec", *arguments]
    return subprocess.run(command, cwd=cwd, input=stdin, capture_output=True, text=True, env=environment, check=False)


def contents(folder: Path) -> dict[Path, bytes]:
    """All files of a folder."""
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def distance(value: Any, reference: Any) -> float:
    """The largest difference over the largest reference value."""
    value, reference = np.asarray(value, np.float64), np.asarray(reference, np.float64)
    assert value.shape == reference.shape
    return float(np.abs(value - reference).max() / max(np.abs(reference).max(), 1e-8))


def traced_peak(net: nnspec.Net, batch: Mapping[str, Any]) -> int:
    """The most bytes that three steps have allocated at a time, after a first."""
    net.engine.step(batch, 0.01)
    tracemalloc.start()
    for _ in range(3):
        net.engine.step(batch, 0.01)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


class Stopping(Progress):
    """Asks for an end, as Ctrl-C does, after so many steps."""

    def __init__(self, after: int, number: int = signal.SIGINT, **more: Any) -> None:
        super().__init__(on_batch=self._count, **more)
        self.left, self.number = after, number

    def _count(self, *_: object) -> None:
        self.left -= 1
        if self.left == 0:
            signal.raise_signal(self.number)


def blocks(path: Path, language: str) -> list[str]:
    """What a page shows in that language, which is not nothing."""
    found = re.findall(rf"```{language}\n(.*?)```", path.read_text("utf-8"), re.S)
    assert found, path
    return found


def refused(model: str) -> str:
    """What is said of a model that is not right."""
    with pytest.raises(SpecError) as error:
        nnspec.loads(f"model M {{ {model} }}")
    return str(error.value)


def with_leftovers(prepare: Callable[[], Call]) -> Call:
    """What is prepared, which finds in its scratch memory what other operations may have left there."""
    with aside.shared():
        call = prepare()
        scratch = [*(aside._pool.get() or {}).values()]

    def run() -> None:
        for memory in scratch:
            memory.fill(0xFF)
        call()

    return run
