"""Changes to the examples of a batch, drawn anew each time they are shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from itertools import groupby
from typing import Any

import numpy as np

from nnspec.array import Array
from nnspec.elaborate.augmentation import MOVES, WHOLE_PIXELS, Augmentation
from nnspec.elaborate.training import Training

CHUNK = 1 << 14
"""Numbers that are moved at once. Arrays of that many are taken from memory at hand; for larger ones malloc asks the system each time."""


def augmented(fields: dict[str, Array], training: Training, random: np.random.Generator) -> dict[str, Array]:
    """The fields with the train block's augmentations applied to its inputs; neighbouring moves of an input are one."""
    for (names, moves), group in groupby(training.augment, lambda a: ((a.input, *a.along), a.kind in MOVES)):
        if moves:
            fields.update(zip(names, moved([fields[n] for n in names], tuple(group), random), strict=True))
        else:
            fields[names[0]] = noisy(fields[names[0]], tuple(group), random)
    return fields


def noisy(values: Array, stages: Sequence[Augmentation], random: np.random.Generator) -> Array:
    """Normal noise added to every number."""
    for stage in stages:
        values = values + random.standard_normal(values.shape, values.dtype.type) * values.dtype.type(stage.amounts[0])
    return values


def moved(fields: Sequence[Array], stages: Sequence[Augmentation], random: np.random.Generator) -> list[Array]:
    """Each image after the stages, sampled once, however many they are; with it what lies on it, of classes the nearest one."""
    images, out = fields[0], [np.empty_like(f) for f in fields]
    exact = all(stage.kind in WHOLE_PIXELS for stage in stages)
    step = max(1, CHUNK // images[0].size)
    for start in range(0, len(images), step):
        warp = Warp(images[start : start + step])
        for stage in reversed(stages):
            STAGES[stage.kind](warp, random, *stage.amounts)
        y, x = warp.coordinates()
        for field, into in zip(fields, out, strict=True):
            into[start : start + step] = sampled(field[start : start + step], y, x, exact or field.dtype.kind != "f")
    return out


class Warp:
    """Where each pixel of the results comes from: p -> linear p + offset + bent(p), p = (y, x) from the centre of the image.

    Stages are undone from the last to the first, for a pixel of the result has to be found in the image.
    """

    def __init__(self, images: Array) -> None:
        self.n, _, self.height, self.width = images.shape
        self.dtype = images.dtype
        self.linear = np.broadcast_to(np.eye(2), (self.n, 2, 2))
        self.offset = np.zeros((self.n, 2, 1))
        self.bent: Array | None = None

    def turn(self, by: Array) -> None:
        """After the map so far, a linear one."""
        self.linear, self.offset = by @ self.linear, by @ self.offset
        if self.bent is not None:
            self.bent = by.astype(self.dtype) @ self.bent

    def move(self, by: Array) -> None:
        self.offset = self.offset + by[:, :, None]

    def bend(self, by: Array) -> None:
        by = by.reshape(self.n, 2, -1)
        self.bent = by if self.bent is None else self.bent + by

    def coordinates(self) -> tuple[Array, Array]:
        """Row and column in the image of every pixel of the results, [n, 1, pixels], cut off one pixel outside."""
        centre = np.array([[(self.height - 1) / 2], [(self.width - 1) / 2]])
        affine = np.concatenate([self.linear, self.offset + centre], axis=2).astype(self.dtype)
        at = (affine.reshape(-1, 3) @ _grid(self.height, self.width, self.dtype)).reshape(self.n, 2, -1)
        if self.bent is not None:
            at += self.bent
        y, x = at[:, :1], at[:, 1:]
        return y.clip(-1, self.height, out=y), x.clip(-1, self.width, out=x)


def sampled(images: Array, y: Array, x: Array, nearest: bool) -> Array:
    """The images, or maps without channels, there: the pixels that are `nearest`, or linear between them, and zero outside."""
    padded = np.pad(images.reshape(len(images), -1, *images.shape[-2:]), ((0, 0), (0, 0), (1, 2), (1, 2)))
    row, column = (np.rint(y), np.rint(x)) if nearest else (np.floor(y), np.floor(x))
    across = padded.shape[3]
    first = np.arange(padded.shape[0] * padded.shape[1]).reshape(*padded.shape[:2], 1) * padded[0, 0].size + across + 1
    corner = first + (row * across + column).astype(np.intp)
    flat = padded.reshape(-1)
    if nearest:
        whole: Array = flat.take(corner)
        return whole.reshape(images.shape)
    y, x = y - row, x - column
    top, bottom = (_between(line.take(corner), line[1:].take(corner), x) for line in (flat, flat[across:]))
    return _between(top, bottom, y).reshape(images.shape)


def _between(start: Array, end: Array, share: Array) -> Array:
    """What lies this share of the way from one to the other, in the memory of the other."""
    end -= start
    end *= share
    end += start
    return end


@cache
def _grid(height: int, width: int, dtype: np.dtype[Any]) -> Array:
    """(y, x, 1) of every pixel, counted from the centre."""
    y, x = np.mgrid[:height, :width].reshape(2, -1)
    return np.stack([y - (height - 1) / 2, x - (width - 1) / 2, np.ones(y.size)]).astype(dtype)


@cache
def _blur(size: int, sigma: float, dtype: np.dtype[Any]) -> Array:
    """The matrix that convolves a line of pixels with a Gaussian, zeros outside."""
    distance = np.subtract.outer(np.arange(size), np.arange(size))
    weights: Array = np.exp(-(distance**2) / (2 * sigma**2)) / (sigma * np.sqrt(2 * np.pi))
    return weights.astype(dtype)


def _shift(warp: Warp, random: np.random.Generator, most: float) -> None:
    warp.move(-random.integers(-int(most), int(most), (warp.n, 2), endpoint=True))


def _rotate(warp: Warp, random: np.random.Generator, degrees: float) -> None:
    angle = np.radians(random.uniform(-degrees, degrees, warp.n))
    cos, sin = np.cos(angle), np.sin(angle)
    warp.turn(np.moveaxis(np.array([[cos, sin], [-sin, cos]]), 2, 0))


def _scale(warp: Warp, random: np.random.Generator, share: float) -> None:
    warp.turn(np.eye(2) / random.uniform(1 - share, 1 + share, (warp.n, 1, 1)))


def _flip(warp: Warp, random: np.random.Generator) -> None:
    mirrored = 1 - 2 * random.integers(0, 2, warp.n)
    warp.turn(np.eye(2) * np.stack([np.ones(warp.n), mirrored], axis=1)[:, None])


def _elastic(warp: Warp, random: np.random.Generator, alpha: float, sigma: float) -> None:
    """Uniform displacements in -1..1, smoothed by a Gaussian and scaled by alpha (Simard, Steinkraus and Platt, 2003)."""
    field = random.random((warp.n, 2, warp.height, warp.width), warp.dtype.type)
    field -= 0.5
    # An image at a time: one large product would wake the other threads of the matrix library for very little.
    smooth = field @ (_blur(warp.width, sigma, warp.dtype) * warp.dtype.type(2 * alpha))
    warp.bend(_blur(warp.height, sigma, warp.dtype) @ smooth)


STAGES: Mapping[str, Callable[..., None]] = {
    "shift": _shift,
    "crop": _shift,  # a crop of an image padded by zeros is the image shifted
    "rotate": _rotate,
    "scale": _scale,
    "flip": _flip,
    "elastic": _elastic,
}
