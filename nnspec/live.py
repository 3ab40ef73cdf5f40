"""Arrays by public name that stay the engine's own: assigning to a name copies into its array."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from nnspec.arguments import needs_names
from nnspec.diagnostics import as_spec_error, did_you_mean, fault

if TYPE_CHECKING:
    from nnspec.array import Array


class LiveArrays(Mapping[str, "Array"]):
    """`arrays["dense.W"]` is a view to read and write; `arrays["dense.W"] = value` copies a value of the same shape into it.

    Where they are `finite`, no value is taken that is not.
    """

    def __init__(self, look: Callable[[], Mapping[str, Array]], *, finite: bool = False) -> None:
        self._look, self._finite = look, finite

    @property
    def _arrays(self) -> Mapping[str, Array]:
        return self._look()

    def __getitem__(self, name: str) -> Array:
        return self._arrays[name]

    @as_spec_error()
    def __setitem__(self, name: str, value: Any) -> None:
        self._arrays[name][...] = self._checked(name, value)

    @as_spec_error()
    def assign(self, values: Any) -> None:
        """Copy a value into every array, or, where one does not fit or has no name here, into none."""
        needs_names(values, "they are set by their names, all of them: `{name: array}`")
        given = {name: self._checked(name, values[name]) for name in values}
        for name in self:
            if name not in given:
                raise fault("E307", f"there is nothing to set `{name}` to", help=f'to set some of them only, set each: `["{name}"] = ..`')
        for name, value in given.items():
            self._arrays[name][...] = value

    def _checked(self, name: str, value: Any) -> Array:
        """Numbers of the shape and kind that an array has, or one for all of it."""
        import numpy as np

        if name not in self._arrays:
            raise fault("E101", f"there is no parameter `{name}`", help=did_you_mean(name, self._arrays))
        try:
            given = np.asarray(value)
        except ValueError:
            raise fault("E303", f"`{name}` is set to lists that are not all of one length") from None
        if given.dtype.kind not in "biuf":
            raise fault("E309", f"`{name}` is set to {given.dtype}, not numbers")
        shape = list(self._arrays[name].shape)
        if given.shape != () and list(given.shape) != shape:
            raise fault("E208", f"`{name}` is {shape} and set to {list(given.shape)}")
        with np.errstate(over="ignore", invalid="ignore"):
            kept = given.astype(self._arrays[name].dtype)
        if self._finite and not np.isfinite(kept).all():
            raise fault("E306", f"`{name}` is set to {given[~np.isfinite(kept)].flat[0]}, which is no finite number in {kept.dtype}")
        return kept

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)

    def __repr__(self) -> str:
        return f"{{{', '.join(f'{n}: {list(a.shape)}' for n, a in self._arrays.items())}}}"
