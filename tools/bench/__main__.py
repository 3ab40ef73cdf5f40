"""Every workload against its peers: PyTorch (eager in its better memory format, compiled), JAX, scikit-learn; interleaved, medians, ratios.

    python -m tools.bench [--only 'mlp-*' --only lstm] [--data FOLDER_OF_MNIST] [--engine numpy] [--quick] [--out runs/bench]
    python -m tools.bench --check    # whether all compute the same

It is run in the root of a checkout, and writes the table as bench.txt, bench.json and bench.svg. Every contender is a process of its own
that idles while the others run; a round that other processes disturb is repeated. The environment is a user's: without
OPENBLAS_CORETYPE and OPENBLAS_L2_SIZE. What they do where they are set is a column of its own, and so is PyTorch with another malloc.
Another script times the compiler: `python tools/bench/compile_time.py`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from fnmatch import fnmatch
from pathlib import Path

from tools.bench import machine
from tools.bench.chart import svg
from tools.bench.contenders import Contender, contenders
from tools.bench.epoch import epochs
from tools.bench.race import race
from tools.bench.report import Row, document, text
from tools.bench.rounds import Effort
from tools.bench.workloads import MNIST, WORKLOADS, Workload

QUICK = Effort(rounds=3, seconds=0.1, repeats=1)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m tools.bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", metavar="NAME", help=f"a workload, or a pattern of names; of {', '.join(WORKLOADS)}")
    parser.add_argument("--without", action="append", default=[], metavar="PEER", help="leave out peers whose name has this in it")
    parser.add_argument("--data", metavar="FOLDER", help="where MNIST's files are; without it its workloads are left out")
    parser.add_argument("--engine", default="", help="ours, as `nnspec.load` takes it")
    parser.add_argument("--rounds", type=int, help=f"instead of {Effort.rounds}")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK.rounds} short rounds")
    parser.add_argument("--out", type=Path, default=Path("runs/bench"), metavar="FOLDER", help="default: %(default)s")
    parser.add_argument("--check", action="store_true", help="compare losses and outputs of all contenders, and time nothing")
    return parser.parse_args()


def chosen(patterns: Sequence[str] | None) -> list[Workload]:
    for pattern in patterns or ():
        if not any(fnmatch(name, pattern) for name in WORKLOADS):
            sys.exit(f"no workload is called {pattern}; there are {', '.join(WORKLOADS)}")
    return [w for name, w in WORKLOADS.items() if not patterns or any(fnmatch(name, p) for p in patterns)]


def measured(workloads: Sequence[Workload], options: argparse.Namespace, effort: Effort) -> Iterator[Row]:
    """The results, as they come; the two about MNIST are of the same runs."""
    for workload in workloads:
        if workload not in MNIST:
            yield Row(workload, race(workload, _taking_part(workload, options), effort))
    mnist = [w for w in workloads if w in MNIST]
    if mnist and options.data:
        figures = epochs(_taking_part(mnist[0], options), effort, options.data)
        yield from (Row(w, figures) for w in mnist)
    elif mnist:
        _progress(f"{' and '.join(w.name for w in mnist)}: left out, for want of --data")


def _taking_part(workload: Workload, options: argparse.Namespace) -> list[Contender]:
    return [c for c in contenders(workload, options.engine) if not any(part in c.name for part in options.without)]


def _progress(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def check(workloads: Sequence[Workload], options: argparse.Namespace) -> bool:
    from tools.bench import agreement

    right = True
    for workload in (w for w in workloads if w not in MNIST):
        for peer, difference in agreement.differences(workload, _taking_part(workload, options)):
            same = difference <= agreement.TOLERANCE
            right = right and same
            print(f"{workload.name:>20}  {peer:<20} {difference:.1e}  {'ok' if same else 'DIFFERENT'}", flush=True)
    return right


def main() -> None:
    options = arguments()
    workloads = chosen(options.only)
    if options.check:
        sys.exit(0 if check(workloads, options) else 1)
    effort = QUICK if options.quick else Effort()
    effort = Effort(options.rounds or effort.rounds, effort.seconds, effort.repeats)
    rows = []
    for row in measured(workloads, options, effort):
        rows.append(row)
        _progress(f"{row.workload.title}: {row.shown} ({row.reached})")
        write(rows, effort, options.out)  # what there is by now, whatever becomes of the rest
    print((options.out / "bench.txt").read_text() if rows else "nothing was measured", end="")


def write(rows: Sequence[Row], effort: Effort, folder: Path) -> None:
    about = machine.description()
    table = text(about, effort, rows)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "bench.txt").write_text(table + "\n")
    (folder / "bench.json").write_text(json.dumps(document(about, effort, rows), indent=2) + "\n")
    (folder / "bench.svg").write_text(svg(rows, f"{about['processor']}, {about['cores']} cores"))


if __name__ == "__main__":
    main()
