"""Weights that lie on a grey image, drawn as images: each unit's template, as PNG without a picture library."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nnspec.files import write_whole
from nnspec.graph import Graph
from nnspec.graph.types import count

Array = np.ndarray[Any, np.dtype[Any]]
ACROSS, MOST = 10, 100
CELL, GAP = 84, 4


def draw(folder: Path, graph: Graph, weights: Mapping[str, Array]) -> None:
    """A picture `NAME.png` of every parameter whose units have templates."""
    for name, images in templates(graph, weights):
        write_whole(folder / f"{name}.png", png(grid(images)))


def templates(graph: Graph, weights: Mapping[str, Array]) -> Iterator[tuple[str, Array]]:
    """[units, height, width] of each matrix on a flattened image of one channel, and of each kernel on one channel."""
    for node in graph:
        weight = graph[node.inputs[-1]] if node.op.name in ("matmul", "conv") else None
        if weight is None or weight.role != "param":
            continue
        values, place = weights[weight.name], graph[node.inputs[0]]
        if node.op.name == "conv" and values.ndim == 4 and values.shape[1] == 1 and values[0].size > 1:
            yield weight.name, values[:, 0]
        elif node.op.name == "matmul" and place.op.name == "reshape":
            image = graph[place.inputs[0]].type.shape
            if len(image) == 4 and image[1] == 1 and values.ndim == 2 and count(image[2:]) == len(values):
                yield weight.name, values.T.reshape(-1, *image[2:])  # type: ignore[arg-type]  # as many numbers: no open sizes


def grid(images: Array) -> Array:
    """The first hundred in rows of ten on white: middle grey is 0, white and black the largest of either sign in each image."""
    images = images[:MOST]
    zoom = max(1, CELL // max(images.shape[1:]))
    largest = np.abs(images).max(axis=(1, 2), keepdims=True)
    grey = np.round(127.5 + 127.5 * images / np.where(largest > 0, largest, 1)).astype(np.uint8)
    cells = np.kron(grey, np.ones((1, zoom, zoom), np.uint8))
    cells = np.pad(cells, ((0, -len(cells) % min(len(cells), ACROSS)), (GAP, 0), (GAP, 0)), constant_values=255)
    cells[len(images) :] = 255
    rows = [np.hstack(list(row)) for row in cells.reshape(-1, min(len(images), ACROSS), *cells.shape[1:])]
    return np.pad(np.vstack(rows), ((0, GAP), (0, GAP)), constant_values=255)


def png(pixels: Array) -> bytes:
    """A grey image of 8 bits as a PNG file."""
    height, width = pixels.shape
    lines = np.pad(pixels, ((0, 0), (1, 0)))  # every line begins with its filter: none
    parts = ((b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)), (b"IDAT", zlib.compress(lines.tobytes(), 9)), (b"IEND", b""))
    chunks = (struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts)
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)
