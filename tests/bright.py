"""A network that knows bright images from dark ones, for the tests of export."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

import nnspec
from nnspec.run.ort import Session

CODES = """
model Codes {
  input  image: [1, 6, 6]
  target kind: class(2)
  code   = image -> conv(4, kernel = 3) -> relu -> flatten -> dense(3) -> tanh
  logits = code -> dense(2)
  output probs = softmax(logits)
  loss   cross_entropy(logits, kind)
  metric accuracy(logits, kind)
}
train { batch 16  epochs 5  optimizer adam(lr = 0.01) }
"""


@cache
def trained() -> nnspec.Net:
    net = nnspec.loads(CODES, engine="numpy", threads=1)
    net.fit(bright(200))
    return net


def bright(examples: int, seed: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, 2, examples)
    image = rng.integers(0, 170, (examples, 1, 6, 6)) + 85 * kind[:, None, None, None]
    return {"image": (image / 255).astype(np.float32), "kind": kind}


def values_of(path: Path, image: Any) -> dict[str, Any]:
    return Session(path).run({"image": image})
