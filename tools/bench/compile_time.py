"""Seconds of processor time that the compiler takes for networks of many layers, from their text to a training step; no weights are made.

    python tools/bench/compile_time.py [--rounds 3] [--profile]

GoogLeNet is the gallery's; GPT-2 XL has 48 layers and 1.56 billion parameters,
and its half shows that time and memory grow with the layers.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import statistics
import time
import tracemalloc

import numpy  # noqa: F401  # not a part of what is measured

from nnspec.compile import Compilation
from nnspec.diagnostics import Source
from nnspec.elaborate.library import public
from nnspec.gallery import read

GPT2 = """
# Radford et al., Language Models are Unsupervised Multitask Learners, 2019; the keys have no bias here.
model GPT2 {
  input  text: class(50257)[1024]
  target next: class(50257)[1024]
  param  W: [50257, 1600] ~ normal(0, 0.02)
  h = take(W, text) -> learned_positional(1024) -> repeat(LAYERS) { transformer_block(25, causal = true) } -> layernorm
  logits = h @ transpose(W)
  output logits
  loss   cross_entropy(logits, next)
  expect params == 82_052_800 + LAYERS * 30_739_200
}

train {
  epochs    1
  optimizer adamw(lr = 1e-4)
}
"""
SPECS = {
    "googlenet": lambda: read("googlenet"),
    "gpt2, 24 layers": lambda: Source("gpt2.nn", GPT2.replace("LAYERS", "24")),
    "gpt2, 48 layers": lambda: Source("gpt2.nn", GPT2.replace("LAYERS", "48")),
}
STAGES = {"check": Compilation.checked, "inference": lambda c: c.inference, "step": lambda c: c.step}


def seconds(source: Source) -> dict[str, float]:
    """Of each stage; the later ones go on from what the earlier have done."""
    compilation, found = Compilation(source, {}), {}
    for name, stage in STAGES.items():
        started = time.process_time()
        stage(compilation)
        found[name] = time.process_time() - started
    return found


def size(source: Source) -> tuple[int, int]:
    """Nodes of the training step, and the bytes that all stages together hold and reach."""
    tracemalloc.start()
    compilation = Compilation(source, {}).checked()
    nodes = len(compilation.inference.nodes) + len(compilation.step.nodes)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return nodes, most


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--profile", action="store_true", help="what takes the time, by function")
    options = parser.parse_args()
    public()
    for name, source in SPECS.items():
        rounds = [seconds(source()) for _ in range(options.rounds)]
        stages = {stage: statistics.median(r[stage] for r in rounds) for stage in STAGES}
        nodes, most = size(source())
        shown = "   ".join(f"{stage} {s:.2f} s" for stage, s in stages.items())
        print(f"{name:>16}: {shown}   all {sum(stages.values()):.2f} s   {nodes:,} nodes   {most / 2**20:.0f} MiB")
        if options.profile:
            with cProfile.Profile() as profile:
                seconds(source())
            pstats.Stats(profile).sort_stats("tottime").print_stats(12)


if __name__ == "__main__":
    main()
