"""Scoring a large parquet file: `nnspec predict` beside the same by hand, each a process from its start to its exit.

python -m tools.bench.scoring [ROWS] [ROUNDS]
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import nnspec
from tools.bench import machine

SPEC, BY_HAND = (Path(__file__).parent / name for name in ("specs/table.nn", "peers/by_hand.py"))
FEATURES, ROW_GROUP = 16, 500_000


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.bench.scoring", description=__doc__.splitlines()[0])
    parser.add_argument("rows", metavar="ROWS", nargs="?", type=int, default=4_000_000)
    parser.add_argument("rounds", metavar="ROUNDS", nargs="?", type=int, default=5)
    given = parser.parse_args()
    if given.rows < 1 or given.rounds < 1:
        parser.error("ROWS and ROUNDS are 1 or more")
    race(given.rows, given.rounds)


def race(rows: int, rounds: int) -> None:
    """Every command in each round, on the same file."""
    with tempfile.TemporaryDirectory() as folder:
        run, model, data = (str(Path(folder) / name) for name in ("run", "m.onnx", "in.parquet"))
        net = nnspec.load(SPEC)
        net.save(run)
        net.export(model)
        write_table(data, rows)
        commands = {
            "ours": [sys.executable, "-m", "nnspec", "predict", run, "--data", data, "-o", f"{folder}/ours.parquet"],
            "by hand": [sys.executable, str(BY_HAND), model, data, f"{folder}/hand.parquet"],
        }
        taken = [{name: timed(command) for name, command in commands.items()} for _ in range(rounds)]
        one, two = (pq.read_table(f"{folder}/{name}.parquet") for name in ("ours", "hand"))
        assert all(np.allclose(a, b, atol=1e-6) for a, b in zip(one.columns, two.columns, strict=True))
    report(rows, taken)


def write_table(path: str, rows: int) -> None:
    random, names = np.random.default_rng(0), [f"c{i}" for i in range(FEATURES)]
    with pq.ParquetWriter(path, pa.schema([(name, pa.float32()) for name in names])) as writer:
        for start in range(0, rows, ROW_GROUP):
            numbers = random.normal(size=(FEATURES, min(ROW_GROUP, rows - start))).astype("float32")
            writer.write_table(pa.table(dict(zip(names, numbers, strict=True))))


def timed(command: list[str]) -> tuple[float, int]:
    """Seconds, and the most bytes it held."""
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0
    return time.perf_counter() - started, machine.RSS_UNIT * usage.ru_maxrss


def report(rows: int, taken: list[dict[str, tuple[float, int]]]) -> None:
    for name in taken[0]:
        seconds, memory = statistics.median(t[name][0] for t in taken), max(t[name][1] for t in taken)
        print(f"{name:<8} {seconds:6.2f} s  {rows / seconds / 1e6:5.2f} million rows a second  {memory >> 20} MiB")
    print(f"by hand / ours: {statistics.median(t['by hand'][0] / t['ours'][0] for t in taken):.2f}")


if __name__ == "__main__":
    main()
