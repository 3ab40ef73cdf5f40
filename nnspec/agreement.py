"""An ONNX file held against what is read of it: onnxruntime computes with the file what the definition does with the graph."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nnspec.deploy.comparison import Run, difference, settled
from nnspec.deploy.model import LARGEST_OF_HALF
from nnspec.deploy.proof import LARGEST_DIFFERENCE, lengths_of, random_batches
from nnspec.diagnostics import fault
from nnspec.elaborate.given import Given
from nnspec.interchange.dequantized import is_quantized
from nnspec.interchange.read import load
from nnspec.interchange.single import is_half
from nnspec.run import reference
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
    ours = reference.run(graph, values)
    run = settled(Run(values, [theirs[n.removeprefix("output:")] for n in ours], [*ours.values()]))
    far = difference(graph, [run])
    if far <= LARGEST_DIFFERENCE:
        return
    model = load(path)
    if not (far <= LARGEST_OF_HALF and (is_half(model) or is_quantized(model))):
        raise fault("E532", f"what is read of `{path}` and onnxruntime differ by {far:.2g} of the largest output")
