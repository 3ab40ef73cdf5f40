"""What is given from Python, where it is of another kind than what it is for."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from nnspec.diagnostics import fault


def needs(what: str, kinds: type | tuple[type, ...], value: object, help: str = "") -> None:
    """A Fault (E106) for a value of none of these kinds."""
    if not isinstance(value, kinds):
        raise fault("E106", f"{what}, not {_shown(value)}", help=help)


def needs_rate(lr: Any, dtype: str) -> float:
    """A learning rate as a number; a Fault (E106) for what is none, or none of this type."""
    import numpy as np

    value = np.asarray(lr)
    if value.ndim or value.dtype.kind not in "fiu" or not abs(value) <= np.finfo(dtype).max:
        raise fault("E106", f"`lr` is a number of {dtype}, not {lr!r}")
    return float(value)


def needs_names(fields: Any, help: str) -> None:
    """A Fault (E106) for what has no arrays by name: a dict has, and so have an opened npz file and a data frame."""
    import numpy as np

    if isinstance(fields, Sequence | AbstractSet | np.ndarray) or not isinstance(fields, Collection):
        raise fault("E106", f"data are given as a dict of arrays by name, not as {_shown(fields)}", help=help)


def _shown(value: object) -> str:
    return repr(value) if value is None or isinstance(value, bool | int | float) else f"a {type(value).__name__}"
