"""Export with proof: a model file is written only once onnxruntime has computed with it what the definition computes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from nnspec.array import Array
from nnspec.deploy.proof import LARGEST_OF_HALF, inputs_of, lengths_of, proved, random_batches, sizes_tried
from nnspec.diagnostics import Fault, fault, printable
from nnspec.files import whole, write, writing
from nnspec.graph import Graph
from nnspec.interchange.external import Beside, data_of, is_too_large, remove_unused
from nnspec.interchange.half import halved, halves, showing
from nnspec.interchange.prove import check
from nnspec.interchange.simplify import simplified
from nnspec.interchange.to_onnx import DEFAULT_OPSET, Model, to_onnx
from nnspec.record import dataclass
from nnspec.run.ort import Session
from nnspec.run.reference import sizes_of
from nnspec.train.check import examples as number_of

WIDER = "numbers of half precision have 11 bits and end at 65,504: `standardize` what is larger, or write float32"


@dataclass(frozen=True)
class Proof:
    """A file that was written, and how far its outputs were from the definition, over the largest output.

    `compared` says on what, `remarks` is what else was measured.
    """

    path: Path
    difference: float
    opset: int
    ir: int
    size: int
    compared: str = ""
    remarks: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        equal = f"in onnxruntime equal to the reference within {self.difference:.1e} {self.compared}"
        return "; ".join((f"{printable(str(self.path))}: {self.size:,} bytes, opset {self.opset}, IR {self.ir}", equal, *self.remarks))


def export(
    graph: Graph,
    weights: Mapping[str, Array],
    path: Path,
    *,
    metadata: Mapping[str, str] = {},
    seed: int = 0,
    opset: int = DEFAULT_OPSET,
    half: bool = False,
    examples: Mapping[str, Array] = {},
) -> Proof:
    """Write a graph as ONNX, one of float32 perhaps in half precision, once it is proved right; a failure leaves the file that was there.

    It is proved on random numbers, and on `examples` of its inputs.
    """
    simple, inside = simplified(graph, weights)
    inputs = inputs_of(graph)
    seen = {n: np.asarray(examples[n], t.dtype) for n, t in inputs.items() if n in examples}
    lengths = lengths_of([graph], inputs, sizes_of(inputs, seen))
    batches = [*random_batches(inputs, np.random.default_rng(seed), lengths)]
    if seen:
        batches.append({**batches[0], **seen})  # what no data have is a number for all examples, as the seed
    feeds = ({**weights, **batch} for batch in batches)
    tried = sizes_tried(inputs, lengths) + (f", and on {number_of(seen)} examples of the data" if seen else "")
    make = partial(to_onnx, simple, inside, metadata=metadata, opset=opset)
    if is_too_large(inside.values()):
        if half:
            raise fault("E505", "weights of more than 2 GiB are not written in half precision")
        return _with_data(path, make, partial(proved, graph, feeds=feeds), tried)
    single = make()
    model = halved(single) if half else single
    content = check(model)
    difference = proved(graph, content, feeds, LARGEST_OF_HALF if half else None, WIDER if half else "")
    if half:
        _refuse_too_large(single, model, batches)
    return written(path, model, content, difference, tried)


def _refuse_too_large(single: Model, half: Model, batches: Iterable[Mapping[str, Array]]) -> None:
    """E505 for values that half precision does not hold: onnxruntime computes in single on most processors, and others do not."""
    names = halves(half)
    models = (showing(half, names, half=True), showing(single, names.values(), half=False))
    small, large = (Session(model.SerializeToString()) for model in models)
    for batch in batches:
        given = {n: batch[n] for n in small.inputs}
        halved_values, values = small.run(given), large.run(given)
        for name, before in names.items():
            if np.any(np.isfinite(values[before]) & ~np.isfinite(halved_values[name])):
                raise fault("E505", f"`{before}` goes beyond 65,504, where half precision ends", help=WIDER)


def _with_data(path: Path, make: Callable[..., Model], prove: Callable[..., float], tried: str) -> Proof:
    """A model with its weights in a second file, which takes its place before the model that refers to it does."""
    with writing(path), TemporaryDirectory(prefix=".tmp-", dir=path.parent) as name:
        folder = Path(name)
        store = Beside(folder, path.stem)
        model = make(store=store)
        data = store.finish(model)
        (folder / path.name).write_bytes(model.SerializeToString())
        content = check(model, folder / path.name)
        difference, size = prove(content=folder / path.name), (folder / data).stat().st_size
        with whole(path.with_name(data)) as place:
            (folder / data).replace(place)
    try:
        return written(path, model, content, difference, tried, f"{size:,} bytes of weights in {data} beside it")
    except Fault:
        remove_unused(path.parent, [data])
        raise


def written(path: Path, model: Model, content: bytes, difference: float, compared: str, *remarks: str) -> Proof:
    """The proof of a model whose content is now a file; weights that only the one before had beside it are gone."""
    before = data_of(path)
    write(path, content)
    if before:
        remove_unused(path.parent, before)
    opset = next(o.version for o in model.opset_import if not o.domain)
    return Proof(path, difference, opset, model.ir_version, len(content), compared, remarks)


def write_all(folder: Path, contents: Mapping[str, bytes]) -> None:
    """The files of a folder, which is made if need be, one after the other."""
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        write(folder / name, content)
