"""Writes on from a text with a model of characters that was trained, such as `char_lstm`, `gpt` or `next_char`.

Run as `python tools/sample.py runs/char_lstm-1 "ROMEO:" [--length 500] [--temperature 0.8] [--seed 1]`.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np

import nnspec

SEEN = 64


def sample(net: nnspec.Net, start: str, length: int, temperature: float = 0.8, seed: int = 1) -> str:
    """So many characters, each drawn from what the model expects after those before it."""
    characters, rng = list(net.labels["text"]), np.random.default_rng(seed)
    size = net.inputs["text"].shape[1]
    window = size if isinstance(size, int) else SEEN  # always as long, so that the network is prepared once
    numbers = [characters.index(c) for c in start.rjust(window, characters[0])]
    for _ in range(length):
        logits = net(text=[numbers[-window:]])["logits"].reshape(-1, len(characters))[-1]
        numbers.append(int(np.argmax(logits / temperature + rng.gumbel(size=len(logits)))))
    return "".join(characters[n] for n in numbers[-length:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", help="a run directory")
    parser.add_argument("start", help="what the text begins with")
    parser.add_argument("--length", type=int, default=500)
    parser.add_argument("--temperature", type=float, default=0.8, help="lower is surer")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    if given.length < 1 or given.temperature <= 0:
        parser.error("--length and --temperature are more than 0")
    try:
        net = nnspec.open(given.run)
    except nnspec.SpecError as error:
        sys.exit(str(error).strip())
    if "text" not in net.labels or "logits" not in net.outputs:
        parser.error(f"{given.run} is no model of characters")
    if unknown := sorted(set(given.start) - set(net.labels["text"])):
        parser.error(f"the text it was trained on has no {', '.join(map(repr, unknown))}")
    print(given.start + sample(net, given.start, given.length, given.temperature, given.seed))


if __name__ == "__main__":
    main()
