"""One net under every optimizer of the library: a table of what each reaches, and their loss curves in one picture.

Run as `python tools/compare_optimizers.py [--to optimizers.svg]`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import nnspec
from nnspec.train.plot import curves

RATES = {
    "sgd": 0.2,
    "momentum": 0.05,
    "nesterov": 0.05,
    "adagrad": 0.03,
    "rmsprop": 2e-3,
    "adadelta": 1.0,
    "adam": 5e-3,
    "adamax": 1e-2,
    "adamw": 5e-3,
    "nadam": 5e-3,
    "lion": 1e-3,
}
"""A base rate at which each does well on this net."""


def train(rule: str, rate: float) -> tuple[list[tuple[float, float]], float]:
    """The loss of every epoch as points, and the accuracy on held-out data."""
    net = nnspec.load("optimizers", rule=rule, rate=rate)
    history = net.fit()
    test = net.dataset().test
    assert test
    return [(e.number, e.metrics["loss"]) for e in history.epochs], net.evaluate(test)["accuracy"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--to", type=Path, default=Path("optimizers.svg"), help="the picture")
    lines = {}
    to = parser.parse_args().to
    for rule, rate in RATES.items():
        lines[rule], accuracy = train(rule, rate)
        print(f"{rule:10} lr {rate:<6} loss {lines[rule][-1][1]:.4f}  accuracy {100 * accuracy:.1f} %")
    to.write_text(curves("Loss of one net under every optimizer", lines), encoding="utf-8")


if __name__ == "__main__":
    main()
