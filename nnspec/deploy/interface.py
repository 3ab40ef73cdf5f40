"""What an exported model gives and takes: values of the model by name, and images as the bytes of their pixels."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np

from nnspec import wholedata
from nnspec.array import Array
from nnspec.compile import Compilation
from nnspec.deploy.raw import with_fields
from nnspec.diagnostics import did_you_mean, fault
from nnspec.elaborate.values import Tensor
from nnspec.graph import Graph, Node, outputs_of
from nnspec.ops import OPS
from nnspec.rewrite import STABLE, rewrite
from nnspec.train.data import Sample

PIXEL, BRIGHTEST = "uint8", 255.0


def graph_of(spec: Compilation, outputs: Sequence[str] = (), pixels: Collection[str] = (), sample: Sample | None = None) -> Graph:
    """The network in use as other runtimes get it: its outputs, or any values of the model; the inputs `pixels` are bytes.

    With a sample it takes the fields of the data, of which the data block makes its inputs.
    """
    graph = _stable(spec, outputs)
    return _of_bytes(with_fields(graph, sample) if sample else graph, pixels)


def judged(spec: Compilation, outputs: Sequence[str], pixels: Collection[str]) -> tuple[Graph, Graph]:
    """The same with losses and metrics as outputs too, and the metrics that follow from what it gives for all examples."""
    each, whole = wholedata.split(_stable(spec, outputs, "loss", "metric"))
    return _of_bytes(each, pixels), whole


def _stable(spec: Compilation, outputs: Sequence[str], *more: str) -> Graph:
    """The graph of these outputs, or those of the model, with `more` kinds of them."""
    model = spec.model.graph
    return rewrite(model.only(chosen(spec, outputs) | outputs_of(model, *more), spec.model.name), *STABLE)


def chosen(spec: Compilation, outputs: Sequence[str]) -> dict[str, str]:
    """These values of the model, or else its outputs, by public name."""
    return {f"output:{n}": _value(spec, n) for n in outputs} or outputs_of(spec.model.graph, "output")


def preparing(spec: Compilation, ports: Sequence[str], pixels: Collection[str], sample: Sample) -> Graph:
    """The fields of the data to some inputs of the network, and nothing of the network itself."""
    inputs = with_fields(spec.model.graph.only({f"output:{name}": name for name in ports}), sample)
    return _of_bytes(inputs, pixels)


def preparation(spec: Compilation, pixels: Collection[str] = (), sample: Sample | None = None, *, learns: bool) -> list[str]:
    """What a model does to raw values before all else, in order; `learns` where its layers have what they take from the training data."""
    learnt: dict[str, list[str]] = {}
    for public in outputs_of(spec.fitting, "state") if spec.fitting and learns else ():
        layer, _, state = public.partition(":")[2].rpartition(".")
        learnt.setdefault(layer, []).append(state)
    return [
        *(f"{name}: whole numbers from 0 to 255, divided by {BRIGHTEST:g}" for name in pixels),
        *(sample.written() if sample else ()),
        *(f"{layer}: {' and '.join(states)} of the training data" for layer, states in learnt.items()),
    ]


def given_as(fields: Mapping[str, Array], pixels: Collection[str]) -> dict[str, Array]:
    """Fields as a model takes them whose inputs `pixels` are bytes."""
    return {n: np.rint(np.multiply(v, BRIGHTEST)).astype(PIXEL) if n in pixels else np.asarray(v) for n, v in fields.items()}


def _value(spec: Compilation, name: str) -> str:
    """The node of an output, or of any other value that the model names."""
    named = {n: v.var.name for n, v in spec.model.scope.names.items() if isinstance(v, Tensor)}
    named |= {public.removeprefix("output:"): node for public, node in spec.model.graph.outputs.items() if public.startswith("output:")}
    if name not in named:
        help_ = did_you_mean(name, named) or f"there are {', '.join(named)}"
        raise fault("E510", f"the model has no value `{name}` to export", spec.model.span, help=help_)
    return named[name]


def _of_bytes(graph: Graph, pixels: Collection[str]) -> Graph:
    """The graph with some inputs as whole numbers from 0 to 255, which stand for fractions of 255 as they do in training."""
    if not pixels:
        return graph
    inputs = {n.name: n for n in graph if n.op is OPS["input"]}
    for name in pixels:
        if name not in inputs:
            raise fault("E511", f"the exported model has no input `{name}`", help=did_you_mean(name, inputs))
        if not inputs[name].type.is_float:
            raise fault("E511", f"`{name}` is {inputs[name].type}, and only numbers from 0 to 1 can come as bytes", inputs[name].span)

    def rule(new: Graph, node: Node, inputs: tuple[str, ...]) -> str:
        if node.name not in pixels or node.op is not OPS["input"]:
            return new.copy_node(node, inputs)
        given = new.source(node.op, node.name, replace(node.type, dtype=PIXEL))
        return (OPS["cast"](given, dtype=node.type.dtype) / BRIGHTEST).name

    return graph.rebuilt(rule)
