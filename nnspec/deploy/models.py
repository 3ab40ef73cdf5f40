"""Several models that belong together: each is checked, run and compared before any of them is written."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

import numpy as np

from nnspec.array import Array
from nnspec.deploy.proof import LARGEST_DIFFERENCE, LARGEST_OF_STEP, Lengths, compared, inputs_of, random_batches, tried, within
from nnspec.graph import Graph, Type
from nnspec.interchange.careful import CAREFUL
from nnspec.interchange.epoch import over_batches
from nnspec.interchange.prove import check
from nnspec.interchange.to_onnx import Model, to_onnx
from nnspec.run.lengths import ALIKE, names_of
from nnspec.run.ort import Session

STEPS = 2
"""Of an epoch, where it is compared with single steps."""


class Models:
    """Proved models by the names of their files, and the largest difference there was; `dtype` is that of the numbers in them.

    The `lengths` are those of the sequences that they are proved on.
    """

    def __init__(self, opset: int, metadata: Mapping[str, str], dtype: str, lengths: Lengths) -> None:
        self.opset, self.metadata, self.dtype, self.lengths = opset, metadata, dtype, lengths
        self.files: dict[str, Model] = {}
        self.difference = 0.0
        self.rng = np.random.default_rng(0)

    def add(self, name: str, graph: Graph, given: Mapping[str, Array], *, fixed: bool = False) -> dict[str, str]:
        """The model of a graph, proved on random batches with the values given; gives the names of its outputs by their public names.

        Weights are inputs, unless they are `fixed`: then they lie in the file.
        """
        model = to_onnx(graph, given if fixed else None, forms=CAREFUL, metadata=self.metadata, opset=self.opset)
        self._prove(name, graph, model, given)
        return dict(zip(graph.outputs, (o.name for o in model.graph.output), strict=True))

    def batches(self, types: Mapping[str, Type]) -> Iterator[dict[str, Array]]:
        """Random values of these types; sizes that are not those of a sequence are any."""
        small, large = ({**dict.fromkeys(names_of(types), usual), **sizes} for usual, sizes in zip(ALIKE, self.lengths, strict=False))
        return random_batches(types, self.rng, (small, large))

    def inputs(self, name: str) -> list[str]:
        return [i.name for i in self.files[name].graph.input]

    def _prove(self, name: str, graph: Graph, model: Model, given: Mapping[str, Array]) -> None:
        content = check(model)
        drawn = {n: t for n, t in inputs_of(graph).items() if n not in given}
        feeds = ({**given, **batch} for batch in (self.batches(drawn) if drawn else [{}]))
        runs = tried(graph, content, feeds)
        pairs = (pair for run in runs for pair in zip(run.got, run.expected, strict=True))
        self.difference = max(self.difference, compared(pairs, within(LARGEST_OF_STEP, self.dtype)))
        self.files[name] = model

    def add_epoch(self, name: str, step: str, carried: Mapping[str, str], each: Collection[str], feeds: Mapping[str, Array]) -> None:
        """The model that takes many steps, each with a value of its own of the inputs `each`, proved to do what they do one by one."""
        model = over_batches(self.files[step], carried, each)
        content = check(model)
        several = {n: np.stack([v] * STEPS) if n in each else v for n, v in feeds.items()}
        done = Session(content).run(several)
        one, now = Session(self.files[step].SerializeToString()), dict(feeds)
        for _ in range(STEPS):
            outputs = one.run(now)
            now |= {n: outputs[o] for n, o in carried.items()}
        last = [(done[o] if o in carried.values() else done[o][-1], v) for o, v in outputs.items()]
        self.difference = max(self.difference, compared(last, within(LARGEST_DIFFERENCE, self.dtype)))
        self.files[name] = model
