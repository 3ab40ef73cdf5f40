"""Import with proof: an ONNX model becomes a spec and its weights once the definition computes with them what onnxruntime computes."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import field, replace
from pathlib import Path

import numpy as np

from nnspec.array import Array
from nnspec.compile import Compilation
from nnspec.deploy.comparison import difference, never_finite, nothing_compared, runs_of, settled, where_defined
from nnspec.deploy.interface import graph_of
from nnspec.deploy.proof import BATCHES, inputs_of, largest_for, lengths_of, random_batches
from nnspec.diagnostics import Diagnostic, Fault, Source, SpecError, fault, printable
from nnspec.files import write_whole, writing
from nnspec.graph import BATCH, Type
from nnspec.imported import of_file
from nnspec.interchange.dequantized import bits_of
from nnspec.interchange.read import hides_by_infinity, load
from nnspec.interchange.single import half_inputs
from nnspec.interchange.to_spec.chance import GENERATOR
from nnspec.interchange.to_spec.spec import Written, written
from nnspec.interchange.to_spec.trace import fixed_batch
from nnspec.record import dataclass
from nnspec.run import reference
from nnspec.run.ort import REFUSALS, Session
from nnspec.run.room import check_values
from nnspec.weights import content

SPEC, WEIGHTS = ".nn", ".safetensors"
HIDDEN = "what the file hides by minus infinity has -1e9 in a spec, which is something else where all is hidden"


@dataclass(frozen=True)
class Imported:
    """The files that were written, and how far their outputs were from the model's, over the largest output; `normalised`: over batches.

    `renamed` are inputs and outputs whose name is none of the language, with what they are called in the spec.
    """

    model: Path
    spec: Path
    weights: Path | None
    arrays: int
    numbers: int
    difference: float
    batches: tuple[int, ...]
    bits: int = 32
    normalised: bool = False
    renamed: Mapping[str, str] = field(default_factory=dict)

    @property
    def sentence(self) -> str:
        files = f"{self.spec} and {self.weights.name}" if self.weights else f"{self.spec}"
        holds = f"{self.numbers:,} numbers in {self.arrays} arrays" if self.weights else "no weights"
        equal = f"equal to {self.model} in onnxruntime within {self.difference:.1e} at batch {' and '.join(map(str, self.batches))}"
        single = f"; what has {self.bits} bits there is float32 here" if self.bits != 32 else ""
        learnt = "; in training `batchnorm` takes the mean and variance of each batch, and learns those of the file anew"
        called = "".join(f"; `{theirs}` is called `{ours}`" for theirs, ours in self.renamed.items())
        return printable(f"{files}: {holds}; {equal}") + single + printable(called) + (learnt if self.normalised else "")


def import_model(model: Path, spec: Path) -> Imported:
    """Write the spec of an ONNX model, and its weights beside it; a failure leaves the files that were there.

    Faults: E501 and E520 when it cannot be read, E530 and E531 when a node has no form in the language, E532 when the outputs differ.
    """
    if spec.suffix != SPEC:
        raise fault("E504", f"`{spec}` is no name for a spec", help=f"write `{spec.with_suffix(SPEC)}`")
    weights = spec.with_suffix(WEIGHTS)
    proto = load(model)
    producer = f"{proto.producer_name} {proto.producer_version}".strip()
    origin = f"{model_name(spec)}, imported from {model.name}" + (f", which {producer} wrote" if producer else "")
    try:
        found = written(proto, name=model_name(spec), origin=origin, weights_file=weights.name)
    except Fault as error:
        raise Fault(_with_a_way_out(error.diagnostic, model)) from None
    bits = bits_of(proto)
    hides = hides_by_infinity(proto)
    far, batches = _difference(found, model, half_inputs(proto), np.random.default_rng(0), hides=hides)
    if not far <= largest_for(bits):
        refused = fault(
            "E532", f"the spec of `{model}` and onnxruntime differ by {far:.2g} of the largest output", help=HIDDEN if hides else ""
        )
        raise Fault(_with_a_way_out(refused.diagnostic, model))
    _write(spec, weights, found)
    numbers = sum(w.size for w in found.weights.values())
    normalised = re.search(r"\bbatchnorm\b", found.text) is not None
    names = {p.name: n for n, p in found.ports.items()} | dict(zip((o.name for o in proto.graph.output), found.outputs, strict=True))
    renamed = {theirs: ours for theirs, ours in names.items() if theirs != ours}
    kept = weights if found.weights else None
    return Imported(model, spec, kept, len(found.weights), numbers, far, batches, bits, normalised, renamed)


def _with_a_way_out(refused: Diagnostic, model: Path) -> Diagnostic:
    """What else the language has no form for can still be used, and trained: as the file that it is."""
    try:
        of_file(model, {}).checked()
    except (Fault, SpecError):
        return refused
    otherwise = f'without a spec, `nnspec.load("{model}")` takes the file as it is, and so do `eval`, `predict` and `export`'
    return replace(refused, help="; ".join(filter(None, [refused.help, otherwise])))


def model_name(spec: Path) -> str:
    """`my_net.nn` holds the model `MyNet`."""
    name = "".join(part[:1].upper() + part[1:] for part in re.split(r"\W+|_", spec.stem))
    return name if name.isidentifier() else f"Model{name}"


def _difference(
    found: Written, model: Path, halves: Collection[str], rng: np.random.Generator, *, hides: bool
) -> tuple[float, tuple[int, ...]]:
    """The largest over all inputs tried and all outputs, and the sizes of the batch it was tried with."""
    fixed = fixed_batch(found.ports)
    batches = (fixed,) if fixed else BATCHES
    graph = graph_of(Compilation(Source("spec", found.text), {}))
    inputs = {**_unread(found), **inputs_of(graph)}
    tried = [*random_batches(inputs, rng, lengths_of([graph], inputs, {}), batches)]
    for feeds in tried:
        check_values(graph, reference.sizes_of(inputs, feeds))
    try:
        session = Session(str(model), optimise=False)  # some optimisations change what the model says
        names = {f"output:{our}": their for our, their in zip(found.outputs, session.outputs, strict=True)}

        def theirs(values: Mapping[str, Array]) -> list[Array]:
            got = session.run(_renamed(found, values, halves))
            return [got[names[public]] for public in graph.outputs]

        runs = [*map(settled, runs_of(graph, ({**found.weights, **feeds} for feeds in tried), theirs))]
    except REFUSALS as error:
        raise fault("E532", f"onnxruntime refuses `{model}`: {' '.join(str(error).split())}") from error
    if hides:
        runs = [*map(where_defined, runs)]
    if unknown := never_finite(graph, runs):
        raise fault("E532", nothing_compared(unknown))
    return difference(graph, runs), batches


def _unread(found: Written) -> dict[str, Type]:
    """The inputs of the model itself: nothing may read some of them, but they have to be fed."""
    kinds = {n: p.dtype.name if p.dtype.kind in "fb" else "int64" for n, p in found.ports.items() if n not in GENERATOR}
    return {n: Type(kind, (BATCH, *found.ports[n].shape)) for n, kind in kinds.items()}


def _renamed(found: Written, feeds: Mapping[str, Array], halves: Collection[str]) -> dict[str, Array]:
    """Inputs as the model calls them, in its kinds of numbers."""
    ports = ((p, feeds[n]) for n, p in found.ports.items() if n in feeds)
    return {p.name: values.astype(np.float16 if p.name in halves else p.dtype) for p, values in ports}


def _write(spec: Path, weights: Path, found: Written) -> None:
    with writing(spec):
        if found.weights:
            write_whole(weights, content(found.weights))
        write_whole(spec, found.text.encode())
