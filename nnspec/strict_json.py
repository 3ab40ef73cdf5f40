"""JSON that every reader takes: it knows no number that is infinite or none."""

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


def _finite(value: Any) -> Any:
    match value:
        case float():
            return value if isfinite(value) else None
        case Mapping():
            return {name: _finite(v) for name, v in value.items()}
        case list() | tuple():
            return [*map(_finite, value)]
    return value
