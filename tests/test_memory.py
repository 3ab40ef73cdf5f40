"""A limit on memory, whatever it is: a command does what it is asked, or ends with exit code 3 and one message."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers import ROOT

from nnspec import memory
from nnspec.memory import MIB, is_exhausted

BIG = """
model Big {
  input  x: [256]
  target y: class(10)
  logits = x -> dense(900) -> relu -> dense(900) -> relu -> dense(10)
  output p = softmax(logits)
  loss   cross_entropy(logits, y)
}
train { data npz("big.npz")  batch 32  epochs 1  optimizer adam(lr = 0.001) }
"""
COMMANDS = {
    "check": "check mazur big.nn",
    "compile": "compile big.nn -o big.onnx",
    "export": "export mazur -o mazur.onnx",
    "train": "train big.nn --engine numpy --run run",
}
SIZES = 20


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "big.nn").write_text(BIG)
    np.savez(tmp_path / "big.npz", x=np.zeros((64, 256), np.float32), y=np.arange(64) % 10)
    return tmp_path


def limited(folder: Path, most: int, command: list[str]) -> subprocess.CompletedProcess[str]:
    """A command of Python's with so many bytes of addresses."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    setting = (sys.executable, "-c", "import os, resource, sys; most = int(sys.argv[1])\n"
               "resource.setrlimit(resource.RLIMIT_CORE, (0, 0)); resource.setrlimit(resource.RLIMIT_AS, (most, most))\n"
               "os.execv(sys.executable, [sys.executable, *sys.argv[2:]])", str(most))  # fmt: skip
    return subprocess.run([*setting, *command], cwd=folder, env=environment, capture_output=True, text=True, check=False)


def sizes(folder: Path) -> list[int]:
    """From a little more than Python itself needs, which with less fails before it can say so, up to plenty."""
    own = "import click, json, warnings; print(int(open('/proc/self/statm').read().split()[0]))"
    least = int(limited(folder, resource.RLIM_INFINITY, ["-c", own]).stdout) * resource.getpagesize()
    plenty = sum(memory.needed(library) for library in ("numpy", "onnxruntime")) + 1024 * MIB
    return [int(s) for s in np.geomspace(least + 4 * MIB, plenty, SIZES)]


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_does_what_it_is_asked_or_says_that_memory_is_out(name: str, folder: Path) -> None:
    codes = []
    for most in sizes(folder):
        done = limited(folder, most, ["-m", "nnspec", *COMMANDS[name].split()])
        codes.append(done.returncode)
        said = f"{most // MIB} MiB: {done.stderr}"
        assert done.returncode in (0, 3) and "Traceback" not in done.stderr, said
        assert done.stderr.count("error") == (done.returncode == 3), said
        if (folder / "run").exists():
            assert any((folder / "run").iterdir()), said
            (folder / "run").rename(folder / f"run-{most}")
    assert (codes[0], codes[-1]) == (3, 0)


def test_what_a_library_needs_is_said_before_it_is_loaded(folder: Path) -> None:
    done = limited(folder, memory.needed("numpy"), ["-m", "nnspec", "compile", "big.nn", "-o", "big.onnx"])
    assert done.returncode == 3 and "error[E580]: numpy takes " in done.stderr and "`ulimit -v unlimited`" in done.stderr


@pytest.mark.parametrize(
    "error",
    [MemoryError(), ImportError("libx.so: failed to map segment from shared object"), RuntimeError("can't start new thread"),
     RuntimeError("Exception during loading: std::bad_alloc"), OSError(12, "Cannot allocate memory"),
     SystemError("error return without exception set")],
)  # fmt: skip
def test_the_signs_of_no_memory_are_known_also_behind_other_errors(error: Exception) -> None:
    assert is_exhausted(error)
    behind = ImportError("numpy could not be imported")
    behind.__cause__ = error
    assert is_exhausted(behind) and not is_exhausted(ImportError("no module named x"))


def new_pages(deep: int, times: int) -> int:
    """The pages that a call takes anew, made so many times below so many others."""
    if deep:
        return new_pages(deep - 1, times)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(times):
        is_exhausted(None)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def test_calls_from_any_depth_find_memory_that_is_there() -> None:
    @memory.roomy
    def most() -> int:
        return max(new_pages(deep, 200) for deep in range(300))

    assert most() < 100
