"""A training step of the gallery's char_lstm and gpt against the same networks in eager PyTorch, in turns, each round a process of its own.

    python tools/bench/sequence_step.py [--rounds 3] [--steps 15]

Prints the median milliseconds of a step on 32 windows of 64 characters, and the ratio, peer over ours.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

CHARACTERS, SHAPE = 65, (32, 64)


def ours(name: str) -> Callable[[], Any]:
    import nnspec

    net, rng = nnspec.load(name), np.random.default_rng(0)
    batch = {field: rng.integers(0, CHARACTERS, SHAPE) for field in ("text", "next")}
    return lambda: net.step(lr=1e-3, **batch)


def peer(name: str) -> Callable[[], Any]:
    import torch
    from torch import nn

    class CharLstm(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding, self.lstm = nn.Embedding(CHARACTERS, 64), nn.LSTM(64, 256, batch_first=True)
            self.head = nn.Sequential(nn.Dropout(0.2), nn.Linear(256, CHARACTERS))

        def forward(self, x: Any) -> Any:
            return self.head(self.lstm(self.embedding(x))[0])

    class Block(nn.Module):
        def __init__(self, n: int) -> None:
            super().__init__()
            self.norm, self.qkv, self.out = nn.LayerNorm(n), nn.Linear(n, 3 * n), nn.Linear(n, n)
            self.ffn = nn.Sequential(nn.LayerNorm(n), nn.Linear(n, 4 * n), nn.GELU("tanh"), nn.Linear(4 * n, n))

        def forward(self, x: Any) -> Any:
            q, k, v = (part.unflatten(-1, (4, -1)).transpose(1, 2) for part in self.qkv(self.norm(x)).chunk(3, -1))
            seen = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + self.out(seen.transpose(1, 2).flatten(2))
            return x + self.ffn(x)

    class Gpt(nn.Module):
        def __init__(self, n: int = 128) -> None:
            super().__init__()
            self.embedding, self.position = nn.Embedding(CHARACTERS, n), nn.Parameter(torch.randn(SHAPE[1], n))
            self.blocks = nn.Sequential(*(Block(n) for _ in range(4)), nn.LayerNorm(n))

        def forward(self, x: Any) -> Any:
            return self.blocks(self.embedding(x) + self.position) @ self.embedding.weight.T

    net, optimizer_of = {"char_lstm": (CharLstm(), torch.optim.Adam), "gpt": (Gpt(), torch.optim.AdamW)}[name]
    optimizer = optimizer_of(net.parameters(), lr=1e-3)
    text, following = (torch.randint(0, CHARACTERS, SHAPE) for _ in range(2))

    def step() -> None:
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(text).flatten(0, 1), following.flatten()).backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1)
        optimizer.step()

    return step


CONTENDERS = {"nnspec": ours, "torch": peer}


def milliseconds(step: Callable[[], Any], steps: int) -> float:
    for _ in range(3):
        step()
    times = []
    for _ in range(steps):
        started = time.perf_counter()
        step()
        times.append(time.perf_counter() - started)
    return 1000 * statistics.median(times)


def measure(who: str, name: str, steps: int) -> float:
    command = [sys.executable, __file__, "--one", who, name, "--steps", str(steps)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=15)
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        who, name = given.one
        print(milliseconds(CONTENDERS[who](name), given.steps))
        return
    print(f"one step, {os.cpu_count()} cores, median of {given.rounds} rounds")
    for name in ("char_lstm", "gpt"):
        rounds = [[measure(who, name, given.steps) for who in CONTENDERS] for _ in range(given.rounds)]
        nnspec_ms, torch_ms = (statistics.median(column) for column in zip(*rounds, strict=True))
        print(f"{name:>10}: nnspec {nnspec_ms:.1f} ms   torch {torch_ms:.1f} ms   ratio {torch_ms / nnspec_ms:.2f}")


if __name__ == "__main__":
    main()
