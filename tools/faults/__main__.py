"""Plant each fault in a copy of the tree, run the tests there until one fails, and say which faults none notices.

python -m tools.faults [--only KIND] [--tests FILE ...]
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tools.faults.planted import Fault, faults

ROOT = Path(__file__).parent.parent.parent
COPIED = ("nnspec", "specs", "grammar", "tests", "tools", "pyproject.toml", "README.md", "CHANGELOG.md")
FIRST = (
    "ops", "kernels", "rewrite", "primitives", "torch_ops", "shape_mistakes", "simplify", "loops", "from_onnx", "mistakes", "engines",
    "ort", "torch_layers", "std_torch", "fuzz", "training",
)  # fmt: skip
"""The tests that are the nearest to what is faulty, quick ones first; what they let pass, the rest of the suite may notice."""
NEAREST = {"kernel": "kernels", "shape": "primitives", "rewrite": "rewrite"}
"""What faults of a kind are met by before all others."""
LONGEST = 1200
ONE_THREAD = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"), "1")
"""Faults can then be planted side by side."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.faults", description=__doc__)
    parser.add_argument("--only", help="gradient, kernel, shape, lowering or rewrite")
    parser.add_argument("--tests", nargs="*", help="files of tests, in place of those that are nearest")
    arguments = parser.parse_args()
    planted = [f for f in faults() if arguments.only in (None, f.kind)]
    moved = [f for f in planted if (ROOT / f.file).read_text("utf-8").count(f.right) != 1]
    if moved:
        print("\n".join(f"{f.file} has changed: {f.right!r} does not stand there once" for f in moved), file=sys.stderr)
        return 2
    survivors = [f for f in planted if not _told(f, caught(f, arguments.tests or nearest(f.kind)))]
    print(f"{len(planted) - len(survivors)} of {len(planted)} faults are caught")
    return 1 if survivors else 0


def nearest(kind: str) -> list[str]:
    return [f"tests/test_{name}.py" for name in sorted(FIRST, key=lambda name: name != NEAREST.get(kind))]


def caught(fault: Fault, tests: list[str]) -> str:
    """The first test that fails with the fault; an empty text where none does."""
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder)
        for name in COPIED:
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
            copy(ROOT / name, tree / name)
        file = tree / fault.file
        file.write_text(file.read_text("utf-8").replace(fault.right, fault.wrong), "utf-8")
        return _first_failure(tree, [t for t in tests if (tree / t).exists()])


def _first_failure(tree: Path, tests: list[str]) -> str:
    """File by file, as most faults are noticed by the first."""
    environment = {**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1", **ONE_THREAD}
    for test in tests:
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--no-header", test]
        try:
            done = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, timeout=LONGEST, check=False)
        except subprocess.TimeoutExpired:
            return f"{test} does not end"
        lines = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
        if done.returncode:
            return lines[-1][:100] if lines else f"{test} stops"
    return ""


def _told(fault: Fault, found: str) -> bool:
    print(f"{'caught  ' if found else 'SURVIVED'} {fault.kind:<9} {fault.file}: {fault.wrong[:60]!r}  {found}", flush=True)
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
