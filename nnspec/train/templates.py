"""Weights that lie on an image, drawn as images: each unit's template, as PNG without a picture library."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from nnspec.array import Array
from nnspec.files import write
from nnspec.graph import Graph
from nnspec.graph.types import count
from nnspec.train import rundir

ACROSS, MOST, CHANNELS = 10, 100, (1, 3)
CELL, GAP = 84, 4


def draw(folder: Path, graph: Graph, weights: Mapping[str, Array]) -> list[Path]:
    """A picture `NAME.png` of every parameter whose units have templates; the files written."""
    written = []
    for name, images in templates(graph, weights):
        written.append(folder / rundir.template(name))
        write(written[-1], png(grid(images)))
    return written


def templates(graph: Graph, weights: Mapping[str, Array]) -> Iterator[tuple[str, Array]]:
    """[units, height, width] of each matrix on a flattened image of one channel, and of each kernel on one channel.

    Of images of three channels, red, green and blue, which are the last axis, [units, height, width, 3].
    """
    for node in graph:
        weight = graph[node.inputs[-1]] if node.op.name in ("matmul", "conv") else None
        if weight is None or weight.role != "param":
            continue
        values, place = weights[weight.name], graph[node.inputs[0]]
        if node.op.name == "conv" and values.ndim == 4 and values.shape[1] in CHANNELS and values[0, 0].size > 1:
            if values.shape[1] == 1 or place.role == "input":
                yield weight.name, _channels_last(values)
        elif node.op.name == "matmul" and place.op.name == "reshape":
            image = graph[place.inputs[0]].type.shape
            if len(image) == 4 and image[1] in CHANNELS and values.ndim == 2 and count(image[1:]) == len(values):
                yield weight.name, _channels_last(values.T.reshape(-1, *image[1:]))  # type: ignore[arg-type]  # as many: no open sizes


def _channels_last(images: Array) -> Array:
    """[units, 1, height, width] without its channel, [units, 3, height, width] with its channels last."""
    return images[:, 0] if images.shape[1] == 1 else np.moveaxis(images, 1, -1)


def zoomed(pixels: Array, size: int) -> Array:
    """An image [height, width, ...] with every pixel as large a square as fits into so many points."""
    zoom = max(1, size // max(pixels.shape[:2]))
    return pixels.repeat(zoom, 0).repeat(zoom, 1)


def grid(images: Array) -> Array:
    """The first hundred in rows of ten on white: middle grey is 0, white and black the largest of either sign in each image."""
    images = images[:MOST]
    largest = np.abs(images).max(axis=tuple(range(1, images.ndim)), keepdims=True)
    grey = np.round(127.5 + 127.5 * images / np.where(largest > 0, largest, 1)).astype(np.uint8)
    cells = np.stack([zoomed(g, CELL) for g in grey])
    colors = ((0, 0),) * (cells.ndim - 3)
    cells = np.pad(cells, ((0, -len(cells) % min(len(cells), ACROSS)), (GAP, 0), (GAP, 0), *colors), constant_values=255)
    cells[len(images) :] = 255
    rows = [np.hstack(list(row)) for row in cells.reshape(-1, min(len(images), ACROSS), *cells.shape[1:])]
    return np.pad(np.vstack(rows), ((0, GAP), (0, GAP), *colors), constant_values=255)


def png(pixels: Array) -> bytes:
    """An image of 8 bits as a PNG file: grey, [height, width] or [height, width, 1], or in colours, [height, width, 3]."""
    height, width, *channels = pixels.shape
    lines = np.pad(pixels.reshape(height, -1), ((0, 0), (1, 0)))  # every line begins with its filter: none
    kind = 2 if channels == [3] else 0
    parts = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0)),
        (b"IDAT", zlib.compress(lines.tobytes(), 9)),
        (b"IEND", b""),
    )
    chunks = (struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in parts)
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)
