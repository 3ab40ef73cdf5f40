"""Pairs of scikit-learn's digits for specs/siamese.nn, about half of them the same digit twice; those to test by are of other images.

Run as `python tools/make_pairs.py specs/data/digit_pairs.npz`.
"""

from __future__ import annotations

import argparse

import numpy as np
from sklearn.datasets import load_digits

TRAIN, TEST = 3000, 500
HELD_OUT = 360


def pairs(rows: np.ndarray, count: int, random: np.random.Generator) -> dict[str, np.ndarray]:
    """{a, b: [count, 1, 8, 8] in 0..16, alike: [count] of 0 and 1}."""
    digits = load_digits()
    first = random.choice(rows, count)
    of_digit = [rows[digits.target[rows] == digit] for digit in range(10)]
    second = np.where(
        random.random(count) < 0.5, [random.choice(of_digit[d]) for d in digits.target[first]], random.choice(rows, count)
    )  # fmt: skip
    images = digits.images[:, None].astype(np.uint8)
    return {"a": images[first], "b": images[second], "alike": (digits.target[first] == digits.target[second]).astype(np.uint8)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file")
    random = np.random.default_rng(0)
    order = random.permutation(1797)
    train, test = pairs(order[HELD_OUT:], TRAIN, random), pairs(order[:HELD_OUT], TEST, random)
    np.savez_compressed(parser.parse_args().file, **train, **{f"test_{name}": values for name, values in test.items()})


if __name__ == "__main__":
    main()
