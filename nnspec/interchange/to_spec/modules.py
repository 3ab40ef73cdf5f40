"""The names that an exporter leaves in a file: the module of a node, as a path, and names that read well."""

from __future__ import annotations

import ast as python
import re
from collections.abc import Mapping

import onnx

from nnspec.syntax.words import OTHER_WORDS, STATEMENT_WORDS

SCOPES = "pkg.torch.onnx.name_scopes"
RESERVED = {**dict.fromkeys((*STATEMENT_WORDS, *OTHER_WORDS), ""), "input": "x", "output": "y"}
PARTS = (".weight", ".bias", ".running_mean", ".running_var")


def path_of(node: onnx.NodeProto, reads: Mapping[str, int]) -> str:
    """The path of the module that a node belongs to: `layer1.0.conv1`; nothing where the file does not say."""
    for p in node.metadata_props:
        if p.key == SCOPES:
            scopes = python.literal_eval(p.value)
            return str(scopes[-2]) if len(scopes) > 1 else ""
    weight = next((i for i in node.input if reads[i] == 1 and i.endswith(PARTS)), "")
    return weight.rpartition(".")[0] if weight else _from_name(node.name)


def _from_name(name: str) -> str:
    """`/features/features.0/Conv` is a node of `features.0`."""
    path = ""
    for part in [p for p in name.split("/") if p][:-1]:
        path = part if not path or part.startswith(f"{path}.") else f"{path}.{part.removeprefix(path.rpartition('.')[2] + '.')}"
    return path


def word(name: str) -> str:
    """A name of a file as one of the language, or nothing where it says nothing: `input.1` is `input_1`, `onnx::MatMul_3` is none."""
    plain = re.sub(r"\W+", "_", name).strip("_")
    if not plain or plain[0].isdigit() or "::" in name:
        return ""
    return RESERVED.get(plain, plain)
