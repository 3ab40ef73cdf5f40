"""Trains specs of the gallery and says which reach the figure that they promise.

Run as `python tools/figures.py [--data FOLDER_OF_MNIST] [--text TINYSHAKESPEARE] [NAME ...]`; without names, all of them.
Ends with 1 if one misses its figure.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass

import nnspec


@dataclass(frozen=True)
class Figure:
    """A metric on the held-out data, or on the training data where nothing is held out, and its bound."""

    metric: str
    at_least: float | None = None
    at_most: float | None = None
    mnist: bool = False
    text: bool = False

    def holds(self, value: float) -> bool:
        return (self.at_least is None or value >= self.at_least) and (self.at_most is None or value <= self.at_most)

    def __str__(self) -> str:
        return f">= {self.at_least}" if self.at_least is not None else f"<= {self.at_most}"


FIGURES = {
    "approximation": Figure("largest_error", at_most=0.01),
    "autoencoder": Figure("loss", at_most=0.016),
    "breast_cancer": Figure("accuracy", at_least=0.94),
    "char_lstm": Figure("loss", at_most=1.75, text=True),
    "codes_classifier": Figure("codes_accuracy", at_least=0.98),
    "conv_autoencoder": Figure("loss", at_most=0.0045),
    "deep_mlp": Figure("accuracy", at_least=0.99, mnist=True),
    "denoising_autoencoder": Figure("loss", at_most=0.019),
    "diabetes": Figure("r2", at_least=0.45),
    "digits": Figure("accuracy", at_least=0.97),
    "gan": Figure("mean_off", at_most=0.15),
    "gpt": Figure("loss", at_most=1.75, text=True),
    "heat": Figure("rmse", at_most=0.005),
    "inception_mnist": Figure("accuracy", at_least=0.99, mnist=True),
    "iris": Figure("accuracy", at_least=0.89),
    "layerwise": Figure("third_accuracy", at_least=0.96),
    "lenet": Figure("accuracy", at_least=0.992, mnist=True),
    "linear_mnist": Figure("accuracy", at_least=0.92, mnist=True),
    "linear_models": Figure("loss", at_most=1e-6),
    "logistic": Figure("accuracy", at_least=0.95),
    "mazur": Figure("loss", at_most=3.52e-5),
    "mnist_mlp": Figure("accuracy", at_least=0.975, mnist=True),
    "next_char": Figure("loss", at_most=1.8, text=True),
    "optimizers": Figure("accuracy", at_least=0.95),
    "regression_1d": Figure("r2", at_least=0.6665),
    "resnet": Figure("accuracy", at_least=0.99, mnist=True),
    "rnn_series": Figure("relative", at_most=0.1),
    "siamese": Figure("told_accuracy", at_least=0.94),
    "sparse_autoencoder": Figure("active", at_most=0.2),
    "spirals": Figure("accuracy", at_least=0.97),
    "stacked_autoencoder": Figure("error", at_most=0.023),
    "tied_autoencoder": Figure("loss", at_most=0.008),
    "wine": Figure("accuracy", at_least=0.97),
    "xor": Figure("loss", at_most=0.01),
}


def measured(name: str, figure: Figure, path: str | None) -> float:
    net = nnspec.load(name)
    net.fit(path=path)
    dataset = net.dataset(path)
    return float(net.evaluate(dataset.test or dataset.train)[figure.metric])


def report(name: str, figure: Figure, given: argparse.Namespace) -> bool:
    started = time.perf_counter()
    value = measured(name, figure, given.data if figure.mnist else given.text if figure.text else None)
    words = "" if figure.holds(value) else "  MISSED"
    print(f"{name:21} {figure.metric:14} {value:<10.4g} {figure!s:12} {time.perf_counter() - started:6.1f} s{words}", flush=True)
    return figure.holds(value)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", help="the folder of MNIST's four files")
    parser.add_argument("--text", help="the text of tinyshakespeare")
    parser.add_argument("names", nargs="*", metavar="NAME")
    given = parser.parse_args()
    unknown = [n for n in given.names if n not in FIGURES]
    if unknown:
        parser.error(f"no figure for {', '.join(unknown)}")
    reached = [report(name, FIGURES[name], given) for name in given.names or FIGURES]
    return 0 if all(reached) else 1


if __name__ == "__main__":
    sys.exit(main())
