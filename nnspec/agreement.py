"""An ONNX file held against what is read of it: onnxruntime computes with the file what the definition does with the graph."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nnspec.deploy.comparison import difference, runs_of, settled
from nnspec.deploy.proof import LARGEST_DIFFERENCE, largest_for, lengths_of, random_batches
from nnspec.diagnostics import fault
from nnspec.elaborate.given import Given
from nnspec.interchange.dequantized import bits_of
from nnspec.interchange.read import load
from nnspec.run.ort import REFUSALS, Session


def check_reading(path: Path, read: Given) -> None:
    """E532 where the outputs of one example differ; with a file that onnxruntime does not take as it stands nothing is compared."""
    graph = read.graph
    feeds = next(random_batches(read.inputs, np.random.default_rng(0), lengths_of([graph], read.inputs, {})))
    try:
        session = Session(path, optimise=False)  # some optimisations change what the model says
        if session.kinds.keys() != feeds.keys():  # some are constants here
            return
        theirs = session.run({n: v.astype(session.kinds[n]) for n, v in feeds.items()})
    except REFUSALS:
        return
    values = {**read.weights, **{n: v for n, v in feeds.items() if n in graph.nodes}}
    outputs = [theirs[n.removeprefix("output:")] for n in graph.outputs]
    far = difference(graph, [*map(settled, runs_of(graph, [values], lambda _: outputs))])
    if not (far <= LARGEST_DIFFERENCE or far <= largest_for(bits_of(load(path)))):
        raise fault("E532", f"what is read of `{path}` and onnxruntime differ by {far:.2g} of the largest output")
