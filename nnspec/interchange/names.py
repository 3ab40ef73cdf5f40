"""Names people can read: inputs, parameters and outputs keep theirs, the rest is called after the node it comes from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import onnx
from onnx import helper

from nnspec.interchange.lowering import Lowering
from nnspec.interchange.nodes import bodies, every_node

PUBLIC = "output:"


class Names:
    """Hands out names, each once."""

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._last: dict[str, int] = {}

    def give(self, *wishes: str) -> str:
        """The first wish that is free, or the last one with a number."""
        name = next((w for w in wishes if w not in self._taken), wishes[-1])
        while name in self._taken:
            self._last[wishes[-1]] = self._last.get(wishes[-1], 1) + 1
            name = f"{wishes[-1]}_{self._last[wishes[-1]]}"
        self._taken.add(name)
        return name

    def is_free(self, name: str) -> bool:
        return name not in self._taken


def name_all(lowered: Lowering) -> list[str]:
    """Replace every provisional name in the written nodes, constants and values; gives the names of the outputs."""
    names = Names()
    final = {lowered.values[n.name]: names.give(n.name) for n in lowered.graph if n.op.is_source}
    outputs = list(_name_outputs(lowered, names, final))
    paths = _paths(lowered)
    for value in lowered.origins:
        if value not in final:
            final[value] = names.give(paths[value])
    _name_nodes(lowered, paths)
    rename(lowered.written, final)
    lowered.constants = {final[c]: array for c, array in lowered.constants.items()}
    lowered.values = {node: final[v] for node, v in lowered.values.items()}
    return outputs


def rename(nodes: Iterable[onnx.NodeProto], final: Mapping[str, str]) -> None:
    """Call values otherwise wherever nodes read or make them, in the bodies of loops too."""
    for node in every_node(nodes):
        node.input[:] = [final.get(i, i) for i in node.input]
        node.output[:] = [final.get(o, o) for o in node.output]
        for body in bodies(node):
            for value in (*body.input, *body.output, *body.initializer):
                value.name = final.get(value.name, value.name)


def place_of(model: onnx.ModelProto, name: str) -> str:
    """Where the user wrote what a node of a model comes from, as `file:line:col`; nothing for a node of ours."""
    return next((n.doc_string for n in every_node(model.graph.node) if n.name == name), "")


def _name_outputs(lowered: Lowering, names: Names, final: dict[str, str]) -> Iterator[str]:
    """A value is called after its first output; another output of it is a copy, unless input and output are the same."""
    for public, node in lowered.graph.outputs.items():
        value, wish = lowered.output(node), public.removeprefix(PUBLIC)
        if final.get(value) == wish:
            yield wish
            continue
        # What an input or parameter of another value is called, the output cannot be: it keeps its prefix.
        name = names.give(wish, public)
        if value in final or value in lowered.constants:
            lowered.written.append(helper.make_node("Identity", [value], [name], doc_string=lowered.doc(lowered.graph[node])))
        else:
            final[value] = name
        yield name


def _paths(lowered: Lowering) -> dict[str, str]:
    """What each value comes from: the path of its node, or for a part of a node the path and the ONNX op."""
    whole = {v: n.lstrip("/") for n, v in reversed(lowered.values.items())}
    return {v: whole.get(v, f"{o.node.name.lstrip('/')}.{o.part}") for v, o in lowered.origins.items()}


def _name_nodes(lowered: Lowering, paths: dict[str, str]) -> None:
    names = Names()
    for written in every_node(lowered.written):
        value = written.output[0]
        written.name = names.give(paths.get(value, f"{value}.{written.op_type}"))
