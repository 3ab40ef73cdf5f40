"""Arrays by public name that stay the engine's own: assigning to a name copies into its array."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from nnspec.diagnostics import as_spec_error, did_you_mean, fault

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]


class LiveArrays(Mapping[str, "Array"]):
    """`arrays["dense.W"]` is a view to read and write; `arrays["dense.W"] = value` copies a value of the same shape into it."""

    def __init__(self, look: Callable[[], Mapping[str, Array]]) -> None:
        self._look = look

    @property
    def _arrays(self) -> Mapping[str, Array]:
        return self._look()

    def __getitem__(self, name: str) -> Array:
        return self._arrays[name]

    @as_spec_error()
    def __setitem__(self, name: str, value: Any) -> None:
        import numpy as np

        if name not in self._arrays:
            raise fault("E101", f"there is no parameter `{name}`", help=did_you_mean(name, self._arrays))
        target, given = self._arrays[name], np.asarray(value)
        if given.shape not in ((), target.shape):
            raise fault("E208", f"`{name}` is {list(target.shape)} and set to {list(given.shape)}")
        target[...] = given

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)

    def __repr__(self) -> str:
        return f"{{{', '.join(f'{n}: {list(a.shape)}' for n, a in self._arrays.items())}}}"
