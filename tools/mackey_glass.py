"""Compute the series of `rnn_series`, where a delay makes a smooth equation chaotic: x' = 0.2 x(t - 17) / (1 + x(t - 17)^10) - 0.1 x(t).

    python tools/mackey_glass.py > specs/data/mackey_glass.csv

(Mackey and Glass 1977), by Heun's method in steps of 0.1 from x = 1.2 everywhere before 0; every sixth unit of time after the first 1,200.
"""

from __future__ import annotations

import argparse

DELAY, STEP, EVERY, SKIPPED, ROWS = 170, 0.1, 60, 12_000, 1_000


def slope(x: float, delayed: float) -> float:
    return 0.2 * delayed / (1 + delayed**10) - 0.1 * x


def series() -> list[float]:
    """The values after each step, from the first on."""
    xs = [1.2] * (DELAY + 1)
    for t in range(SKIPPED + EVERY * ROWS):
        before, after = slope(xs[-1], xs[t]), slope(xs[-1] + STEP * slope(xs[-1], xs[t]), xs[t + 1])
        xs.append(xs[-1] + STEP * (before + after) / 2)
    return xs[DELAY + 1 :]


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    print("time,x")
    for row, x in enumerate(series()[SKIPPED::EVERY]):
        print(f"{6 * row},{x:.6f}")


if __name__ == "__main__":
    main()
