"""Operators that are functions of others: those a model brings along, and those that ONNX itself defines by a body."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import onnx
from onnx import defs, helper

from nnspec.graph import Size, Type, Var
from nnspec.interchange.from_onnx.call import Call
from nnspec.interchange.lowering import onnx_type
from nnspec.interchange.read import DEFAULT_DOMAINS, attributes, domain_of
from nnspec.record import dataclass


@dataclass(frozen=True)
class Function:
    """A body with what its nodes may read."""

    inputs: Sequence[str]
    outputs: Sequence[str]
    nodes: Sequence[onnx.NodeProto]
    attributes: Mapping[str, Any]
    opset: int


def body_of(call: Call, model: onnx.ModelProto) -> Function | None:
    """What a node stands for, if it is a function."""
    name, domain = call.node.op_type, domain_of(call.node)
    own = next((f for f in model.functions if f.name == name and f.domain == call.node.domain), None)
    if own is not None:
        return _function(own, call, {}, call.opset)
    version = next((o.version for o in model.opset_import if o.domain == domain), 1) if domain else call.opset
    if not defs.has(name, version, domain):
        return None
    schema = defs.get_schema(name, version, domain)
    defaults = {n: a.default_value for n, a in schema.attributes.items() if a.default_value.type}
    proto = _defined(schema, call, version)
    return _function(proto, call, _values(defaults.values()), version) if proto else None


def left_out(call: Call) -> str:
    """The first input that ONNX requires of an operator and a node does not have."""
    if not defs.has(call.node.op_type, call.opset):
        return ""
    inputs = enumerate(defs.get_schema(call.node.op_type, call.opset).inputs)
    return next((i.name for at, i in inputs if _there(i, call.inputs[at:]) < _needed(i)), "")


def _needed(input: Any) -> int:
    return int({input.option.Optional: 0, input.option.Variadic: input.min_arity}.get(input.option, 1))


def _there(input: Any, given: Sequence[Var | None]) -> int:
    """How many values stand for an input, of which the last of an operator may take all that are left."""
    return sum(v is not None for v in (given if input.option == input.option.Variadic else given[:1]))


def _defined(schema: Any, call: Call, version: int) -> onnx.FunctionProto | None:
    """The newest body that ONNX has for an operator of this version, which may depend on the types of its inputs."""
    body = b""
    if schema.has_function:
        body = schema.get_function_with_opset_version(max(v for v in schema.function_opset_versions if v <= version))
    elif schema.has_context_dependent_function:
        since = max(v for v in schema.context_dependent_function_opset_versions if v <= version)
        types = [_type_proto(i.type if i else None) for i in call.inputs]
        body = schema.get_context_dependent_function_with_opset_version(since, call.node.SerializeToString(), types)
    return onnx.FunctionProto.FromString(body) if body else None


def _type_proto(type: Type | None) -> bytes:
    dims = [str(d) if isinstance(d, Size) else d for d in type.shape] if type else []
    proto = helper.make_tensor_type_proto(onnx_type(type.dtype), dims) if type else onnx.TypeProto()
    return bytes(proto.SerializeToString())


def _function(proto: onnx.FunctionProto, call: Call, defaults: Mapping[str, Any], opset: int) -> Function:
    version = next((o.version for o in proto.opset_import if o.domain in DEFAULT_DOMAINS), opset)
    known = {**defaults, **_values(proto.attribute_proto), **call.attributes}
    return Function(list(proto.input), list(proto.output), list(proto.node), known, int(version))


def _values(given: Any) -> dict[str, Any]:
    return attributes(onnx.NodeProto(attribute=given))
