"""A whole model as a spec: the text, and its weights by their public names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx

from nnspec.array import Array
from nnspec.diagnostics import Source, fault
from nnspec.elaborate.library import Definitions, add_definitions
from nnspec.elaborate.model import elaborate_model
from nnspec.elaborate.scope import Scope
from nnspec.graph.types import show, size_names
from nnspec.interchange.dequantized import dequantized
from nnspec.interchange.single import in_single
from nnspec.interchange.to_spec.blocks import layers_of, with_blocks
from nnspec.interchange.to_spec.calls import Block, Call, ordered
from nnspec.interchange.to_spec.expressions import value
from nnspec.interchange.to_spec.sharing import learnt, shared, tied
from nnspec.interchange.to_spec.statements import Body, names_of_the_language, write
from nnspec.interchange.to_spec.trace import Port, trace
from nnspec.interchange.to_spec.transformers import composed
from nnspec.record import dataclass
from nnspec.syntax.format import formatted
from nnspec.syntax.parser import parse

ROOM = 80  # for the names of a comment
CHOOSING = ("embedding", "one_hot")
AXIS_CHOSEN = {"pick": -1, "take": 0}


@dataclass(frozen=True)
class Written:
    """The text of a spec, its weights by public name, what its inputs are in the ONNX model, and its outputs in their order there."""

    text: str
    weights: Mapping[str, Array]
    ports: Mapping[str, Port]
    outputs: tuple[str, ...]


def written(model: onnx.ModelProto, *, name: str, origin: str, weights_file: str) -> Written:
    """The spec of a model; E530 and E531 name the node that has no form in the language."""
    traced = trace(in_single(dequantized(model)))
    taken = names_of_the_language(*traced.inputs, *traced.outputs, *_sizes(traced.ports))
    results = tied(learnt(composed(list(traced.outputs.values()))))
    found = with_blocks(results, taken)
    found.results = shared(found.results, taken)
    blocks = {b: _body(b, body) for b, body in found.bodies.items()}
    body = write(dict(zip(traced.outputs, found.results, strict=True)), {call: n for n, call in traced.inputs.items()}, taken, model=True)
    calls = ordered(results)
    inputs = [f"input {n}: {_type(call, calls)}" for n, call in traced.inputs.items()]
    start = f' from "{weights_file}"' if body.layers else ""
    lines = "\n".join([*inputs, "", *body.lines])
    definitions = "".join(_definition(b, blocks[b]) + "\n" for b in reversed(blocks))
    text, _ = formatted(Source("spec", f"# {origin}.\n\n{definitions}model {name}{start} {{\n{lines}\n}}\n"))
    orders = {b: inner.layers for b, inner in blocks.items()}
    layers = [leaf for call in body.layers for leaf in layers_of(call, orders)]
    return Written(text, named(text, layers), traced.ports, tuple(traced.outputs))


def _body(block: Block, result: Call) -> Body:
    taken = names_of_the_language("x", *(p.name for p in block.parameters))
    return write({"": result}, {block.x: "x"}, taken, model=False)


def _definition(block: Block, body: Body) -> str:
    """A block as a layer: one formula, or statements in braces."""
    parameters = ", ".join(p.name + ("" if p.default is None else f" = {value(p.default)}") for p in block.parameters)
    sizes = any(size_names(tuple(c.settings.values())) for c in body.calls)
    head = f"layer {block.name}({', '.join(filter(None, [f'x: {show(block.x.shape)}' if sizes else 'x', parameters]))})"
    head = f"# Comes as {_listed(block.paths)}.\n{head}" if len(block.paths) > 1 else head
    return f"{head} = {body.formula}" if len(body.lines) == 1 else f"{head} {{\n" + "\n".join(body.lines) + "\n}"


def _sizes(ports: Mapping[str, Port]) -> set[str]:
    return set().union(*(size_names(p.shape) for p in ports.values()))


def _type(call: Call, calls: Sequence[Call]) -> str:
    """The type of an input: class numbers where all that it does is to choose rows."""
    readers = [c for c in calls if call in c.inputs]
    sizes = {_classes(call, c) for c in readers if c.name != "positions"}
    if call.dtype == "int" and len(sizes) == 1 and None not in sizes:
        return f"class({sizes.pop()}){show(call.shape) if call.shape else ''}"
    return ("" if call.dtype == "float" else call.dtype) + show(call.shape)


def _classes(call: Call, reader: Call) -> object:
    """From how many a number chooses, where that is what it does there."""
    if reader.name in AXIS_CHOSEN:
        size = reader.inputs[0].shape[AXIS_CHOSEN[reader.name]]
        return size if reader.inputs[1] is call and isinstance(size, int) else None
    return reader.settings.get("size") if reader.name in CHOOSING else None


def _listed(paths: Sequence[str]) -> str:
    """As many names as a line holds."""
    shown = next(n for n in range(len(paths), 0, -1) if n == 1 or len(", ".join(paths[:n])) <= ROOM)
    rest = len(paths) - shown
    return ", ".join(paths[:shown]) + (f" and {rest} more" if rest else "")


def named(text: str, layers: Sequence[Call]) -> dict[str, Array]:
    """The weights of layers in the order of their calls, by the names that the language gives them."""
    tree, mistakes = parse(Source("spec", text))
    definitions = Definitions()
    add_definitions(definitions.own, tree, Scope())
    if not mistakes:
        [model] = tree.all("model")
        elaborated, mistakes = elaborate_model(definitions.own["model", model.name.id], definitions, training=False)
    if mistakes:
        first = mistakes[0]  # its place is one in a text that nobody has
        where = f", in `{first.span.one_line}`" if first.span else ""
        raise fault("E530", f"the spec of the model would be wrong: {first.message}{where}")
    arrays = [(name, a) for layer in layers for name, a in layer.weights.items()]
    found = {}
    for owned, (name, array) in zip(elaborated.owned.values(), arrays, strict=True):
        assert owned.name.endswith(name) and owned.type.shape == array.shape, (owned.name, name, array.shape)
        found[owned.name] = np.asarray(array, np.float32, order="C")
    return found
