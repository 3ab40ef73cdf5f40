"""Changes to the examples of a batch, drawn anew each time they are shown."""

from __future__ import annotations

from typing import Any

import numpy as np

from nnspec.elaborate.training import Training

Array = np.ndarray[Any, np.dtype[Any]]


def augmented(fields: dict[str, Array], training: Training, random: np.random.Generator) -> dict[str, Array]:
    """The fields with the train block's augmentations applied to its inputs."""
    for name, _, amount, _ in training.augment:
        fields[name] = shifted(fields[name], int(amount), random)
    return fields


def shifted(images: Array, most: int, random: np.random.Generator) -> Array:
    """Each image moved by up to `most` pixels in both directions, the space left filled with zeros."""
    n, _, h, w = images.shape
    padded = np.pad(images, ((0, 0), (0, 0), (most, most), (most, most)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (h, w), axis=(2, 3))
    down, right = random.integers(0, 2 * most + 1, (2, n))
    moved: Array = windows[np.arange(n), :, down, right]
    return moved
