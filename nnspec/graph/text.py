"""Graphs as text and back: one node a line, `name: type = op(inputs, attribute = value)  # role, place`."""

from __future__ import annotations

import re
from typing import Any

from nnspec.graph.graph import Graph
from nnspec.graph.loop import Loop
from nnspec.graph.node import Node
from nnspec.graph.op import OPS
from nnspec.graph.types import Dim, Size, Type

_HEAD = re.compile(r"graph (\S+): (\w+) \{")
_LINE = re.compile(r"  (\S+): (.+?) = (\w+)\((.*)\)  # (\w+)")
_OUTPUT = re.compile(r"  return (\S+) = (\S+)")
_TYPE = re.compile(r"(\w+)(?:\((\d+)\))?(\[.*\])")


def to_text(graph: Graph) -> str:
    """The graph in order, inputs before what uses them."""
    lines = [f"graph {graph.name}: {graph.dtype} {{", *map(_line, graph)]
    lines += [f"  return {public} = {name}" for public, name in graph.outputs.items()]
    return "\n".join([*lines, "}"])


def _line(node: Node) -> str:
    arguments = [*node.inputs, *(f"{k} = {_value(v)}" for k, v in node.attrs)]
    place = f" {node.span.place}" if node.span else ""
    return f"  {node.name}: {node.type} = {node.op.name}({', '.join(arguments)})  # {node.role}{place}"


def _value(value: Any) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(_value, value))}]"
    return str(value).lower() if isinstance(value, bool) else str(value)


def from_text(text: str) -> Graph:
    """The graph that `to_text` printed; places in the source are not read back."""
    lines = text.splitlines()
    head = _HEAD.fullmatch(lines[0])
    if not head:
        raise ValueError(f"not a graph: {lines[0]!r}")
    graph = Graph(head[1], head[2])
    for line in lines[1:-1]:
        if found := _OUTPUT.fullmatch(line):
            graph.outputs[found[1]] = found[2]
        else:
            _read_line(graph, line)
    return graph


def _read_line(graph: Graph, line: str) -> None:
    found = _LINE.match(line)
    if not found:
        raise ValueError(f"not a node: {line!r}")
    name, type, op, arguments, role = found.groups()
    parts = _split(arguments)
    attrs = dict(p.split(" = ", 1) for p in parts if " = " in p)
    inputs = tuple(p for p in parts if " = " not in p)
    with graph.at(role=role):
        graph.add(OPS[op], inputs, {k: _read_value(v) for k, v in attrs.items()}, _read_type(type), name)


def _split(arguments: str) -> list[str]:
    """At the commas outside brackets."""
    parts, depth, current = [], 0, ""
    for char in arguments:
        depth += (char in "[{") - (char in "]}")
        if char == "," and depth == 0:
            parts.append(current.strip())
            current = ""
        else:
            current += char
    return [*parts, current.strip()] if current.strip() else parts


def _read_value(text: str) -> Any:
    if text.startswith("{"):
        return Loop(from_text(text[1:-1].replace(" | ", "\n")))
    if text.startswith("["):
        return tuple(_read_value(p) for p in _split(text[1:-1]))
    if text in ("true", "false"):
        return text == "true"
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            continue
    return text if text in ("float32", "float64", "int64", "bool", "uint32") else _read_dim(text)


def _read_dim(text: str) -> Dim:
    total: Dim = 0
    for term in text.replace("- ", "+ -").split(" + "):
        part: Dim = 1
        for factor in term.split("*"):
            sign, word = (-1, factor[1:]) if factor.startswith("-") else (1, factor)
            part = part * sign * (int(word) if word.isdigit() else Size.named(word))
        total = total + part
    return total


def _read_type(text: str) -> Type:
    found = _TYPE.fullmatch(text)
    if not found:
        raise ValueError(f"not a type: {text!r}")
    base, classes, shape = found.groups()
    return Type("int64" if classes else base, _read_value(shape), int(classes) if classes else None)
