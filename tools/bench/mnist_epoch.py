"""One epoch of the gallery's mnist_mlp against the same network in eager PyTorch, in turns, each round a process of its own.

    python tools/bench/mnist_epoch.py --data FOLDER_OF_MNIST [--rounds 5] [--json]

Prints the median seconds of an epoch (the second, so that nobody pays for warming up) and the ratio, peer over ours.
The environment is taken as it is, and again without OPENBLAS_CORETYPE and OPENBLAS_L2_SIZE where those are set.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time

PINS = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")


def ours(folder: str) -> float:
    import nnspec

    net = nnspec.load("mnist_mlp")
    return net.fit(epochs=2, path=folder).epochs[-1].seconds


def torch_eager(folder: str) -> float:
    import torch

    import nnspec

    data = nnspec.load("mnist_mlp").dataset(folder).train
    images, digits = torch.tensor(data["image"]).flatten(1), torch.tensor(data["digit"])
    net = torch.nn.Sequential(torch.nn.Linear(784, 128), torch.nn.ReLU(), torch.nn.Linear(128, 10))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    loss_of = torch.nn.CrossEntropyLoss()
    for _ in range(2):
        started, order, total = time.perf_counter(), torch.randperm(len(images)), 0.0
        for rows in order.split(64):
            loss = loss_of(net(images[rows]), digits[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item()
    return time.perf_counter() - started


CONTENDERS = {"nnspec": ours, "torch": torch_eager}


def measure(name: str, folder: str, environment: dict[str, str]) -> float:
    command = [sys.executable, __file__, "--one", name, "--data", folder]
    return float(subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout)


def compare(folder: str, rounds: int, environment: dict[str, str]) -> dict[str, float]:
    """Median seconds of each contender over interleaved rounds, and the peer's time over ours."""
    seconds: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    for _ in range(rounds):
        for name in CONTENDERS:
            seconds[name].append(measure(name, folder, environment))
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    return {**medians, "ratio": medians["torch"] / medians["nnspec"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--one", choices=CONTENDERS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(CONTENDERS[options.one](options.data))
        return
    settings = {"as set": dict(os.environ)}
    if any(p in os.environ for p in PINS):
        settings["without OpenBLAS pins"] = {k: v for k, v in os.environ.items() if k not in PINS}
    results = {name: compare(options.data, options.rounds, environment) for name, environment in settings.items()}
    if options.json:
        print(json.dumps({"machine": platform.processor() or platform.machine(), "cores": os.cpu_count(), "results": results}, indent=2))
        return
    print(f"one epoch of mnist_mlp, batch 64, {os.cpu_count()} cores, median of {options.rounds} rounds")
    for name, result in results.items():
        print(f"{name:>22}: nnspec {result['nnspec']:.3f} s   torch {result['torch']:.3f} s   ratio {result['ratio']:.2f}")


if __name__ == "__main__":
    main()
