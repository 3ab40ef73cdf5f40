"""JSON that every reader takes: it knows no number that is infinite or none; and JSON that others wrote, or have damaged."""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import isfinite
from typing import Any


def dumps(document: Any, **layout: Any) -> str:
    """A document as JSON text, with null for what is no finite number.

    >>> dumps({"loss": float("nan"), "best": [1.5, float("inf")]})
    '{"loss": null, "best": [1.5, null]}'
    """
    return json.dumps(_finite(document), allow_nan=False, **layout)


def loads(text: str | bytes, unique: bool = False) -> Any:
    """The document that a text or its UTF-8 says; a ValueError for what is none, is nested too deeply or, if `unique`, says a name twice.

    >>> loads('{"loss": [1.5, null]}')
    {'loss': [1.5, None]}
    """
    try:
        return json.loads(text if isinstance(text, str) else text.decode(), object_pairs_hook=_once if unique else None)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("it says a name twice")
    return found


def _finite(value: Any) -> Any:
    match value:
        case float():
            return value if isfinite(value) else None
        case Mapping():
            return {name: _finite(v) for name, v in value.items()}
        case list() | tuple():
            return [*map(_finite, value)]
    return value
