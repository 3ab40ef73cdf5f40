"""The names that an exporter leaves in a file: the module of a node, as a path, and names that read well."""

from __future__ import annotations

import ast as python
import re
from collections.abc import Mapping

import onnx

from nnspec.syntax.words import OTHER_WORDS, STATEMENT_WORDS

SCOPES = "pkg.torch.onnx.name_scopes"
RESERVED = {**dict.fromkeys((*STATEMENT_WORDS, *OTHER_WORDS), ""), "input": "x", "output": "y"}
ABSORBING = ("Conv", "ConvTranspose")
PARTS = (".weight", ".bias", ".running_mean", ".running_var", ".W", ".b", ".gamma", ".beta")


def path_of(node: onnx.NodeProto, reads: Mapping[str, int]) -> str:
    """The path of the module that a node belongs to: `layer1.0.conv1`; nothing where the file does not say.

    A convolution that has taken in the normalisation after it stands in the scope of that.
    """
    weight = next((i for i in node.input if reads[i] == 1 and i.endswith(PARTS)), "").rpartition(".")[0]
    scope = next((_scope(p.value) for p in node.metadata_props if p.key == SCOPES), None)
    if scope is None or (weight and node.op_type in ABSORBING):
        return weight or _from_name(node.name)
    return scope


def _scope(value: str) -> str:
    scopes = python.literal_eval(value)
    return str(scopes[-2]) if len(scopes) > 1 else ""


def _from_name(name: str) -> str:
    """`/features/features.0/Conv` is a node of `features.0`."""
    path = ""
    for part in [p for p in name.split("/") if p][:-1]:
        path = part if not path or part.startswith(f"{path}.") else f"{path}.{part.removeprefix(path.rpartition('.')[2] + '.')}"
    return path


def label(path: str, kind: str) -> str:
    """What a layer of this kind at this path is called, `layer1_0_conv1`; nothing where its own name says no more than its kind."""
    return "" if re.fullmatch(rf"{kind}(_\d+)?", path.rpartition(".")[2]) else word(path)


def word(name: str) -> str:
    """A name of a file as one of the language, or nothing where it says nothing: `input.1` is `input_1`, `onnx::MatMul_3` is none."""
    plain = re.sub(r"\W+", "_", name).strip("_")
    if not plain or plain[0].isdigit() or "::" in name:
        return ""
    return RESERVED.get(plain, plain)
