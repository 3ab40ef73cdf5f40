"""Compare so many random specs, and write each find, made small, to a folder.

python -m tools.fuzz --count 20000 --seed 1 --jobs 2 --out finds
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from tools.fuzz.compare import differences
from tools.fuzz.draft import Draft
from tools.fuzz.generate import generate
from tools.fuzz.shrink import shrink


def main() -> int:
    arguments = _arguments()
    started, found = time.perf_counter(), 0
    seeds = range(arguments.seed, arguments.seed + arguments.count)
    for number, find in enumerate(_finds(seeds, arguments.jobs), 1):
        if find:
            found += 1
            seed, text = find
            arguments.out.mkdir(parents=True, exist_ok=True)
            (arguments.out / f"seed_{seed}.nn").write_text(text, encoding="utf-8")
            print(text, flush=True)
        if number % 100 == 0:
            print(f"{number} specs, {found} finds, {number / (time.perf_counter() - started):.1f} a second", file=sys.stderr, flush=True)
    print(f"{arguments.count} specs, {found} finds")
    return 1 if found else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools.fuzz", description=__doc__)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("finds"))
    return parser.parse_args()


def _finds(seeds: range, jobs: int) -> Iterator[tuple[int, str] | None]:
    if jobs == 1:
        yield from map(examined, seeds)
        return
    with ProcessPoolExecutor(jobs) as pool:
        yield from pool.map(examined, seeds, chunksize=8)


def examined(seed: int) -> tuple[int, str] | None:
    """The seed and the smallest spec on which engines still differ, with what differs as a comment; None where all agree."""
    draft = generate(seed)
    found = _who(draft)
    if not found:
        return None
    small = shrink(draft, lambda d: bool(found & _who(d)))
    return seed, "".join(f"# {line}\n" for line in differences(small)) + small.text


def _who(draft: Draft) -> set[str]:
    """Who differs, or what else is wrong: what made it another find would not be made smaller."""
    return {line.split(":")[0] for line in differences(draft)}


if __name__ == "__main__":
    sys.exit(main())
