"""Dataclasses that take little time to make: Python's own write six functions of each as text, and run it.

Here only the constructor is written so. That a class is frozen is seen to by mypy, and costs nothing where it runs.
"""

from __future__ import annotations

import dataclasses
from operator import attrgetter
from reprlib import recursive_repr
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from dataclasses import dataclass
    from typing import Any
else:

    def dataclass(cls: type | None = None, *, frozen: bool = False, eq: bool = True, repr: bool = True) -> Any:
        """What `dataclasses.dataclass` makes, to the eye of whoever uses it."""

        def made(cls: type) -> type:
            record = dataclasses.dataclass(eq=False, repr=False)(cls)
            if repr and "__repr__" not in cls.__dict__:
                record.__repr__ = _shown
            if eq and "__eq__" not in cls.__dict__:
                _compare(record, frozen)
            return record

        return made(cls) if cls else made


__all__ = ["dataclass"]


def _compare(record: type, frozen: bool) -> None:
    """Records of one class are equal if their fields are, and then have one hash; what may change has none."""
    content = _content([f.name for f in dataclasses.fields(record) if f.compare])

    def equal(self: object, other: object) -> bool:
        return content(self) == content(other) if other.__class__ is self.__class__ else NotImplemented

    def hashed(self: object) -> int:
        return hash(content(self))

    record.__eq__ = equal  # type: ignore[assignment,method-assign]
    record.__hash__ = hashed if frozen else None  # type: ignore[assignment,method-assign]


def _content(names: list[str]) -> Callable[[object], Any]:
    return attrgetter(*names) if names else lambda _: ()


@recursive_repr()
def _shown(self: Any) -> str:
    values = (f"{f.name}={getattr(self, f.name)!r}" for f in dataclasses.fields(self) if f.repr)
    return f"{self.__class__.__qualname__}({', '.join(values)})"
