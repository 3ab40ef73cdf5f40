"""Dataclasses that take little time to make: Python's own write six functions of each as text, and run it.

Here only the constructor is written so, when the first is made: a command makes few of all that it imports. That a class is frozen is seen
to by mypy, and costs nothing where it runs.
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
            record = dataclasses.dataclass(init=False, eq=False, repr=False)(cls)
            if "__init__" not in cls.__dict__:
                record.__init__ = _constructor_of(record)
            if repr and "__repr__" not in cls.__dict__:
                record.__repr__ = _shown
            if eq and "__eq__" not in cls.__dict__:
                _compare(record, frozen)
            return record

        return made(cls) if cls else made


__all__ = ["dataclass"]


def _constructor_of(record: type) -> Callable[..., None]:
    """What takes the place of the constructor until it is first called."""

    def __init__(self: object, *values: object, **named: object) -> None:
        record.__init__ = _constructor(record)  # type: ignore[misc]
        record.__init__(self, *values, **named)  # type: ignore[misc]

    return __init__


def _constructor(record: type) -> Callable[..., None]:
    """A function that takes the fields in order, those with a default last, and then lets the class do the rest."""
    fields = dataclasses.fields(record)
    known: dict[str, Any] = {f"_{f.name}": f.default for f in fields} | {f"_new_{f.name}": f.default_factory for f in fields}
    taken = [f.name if _is_required(f) else f"{f.name}=_{f.name}" for f in fields if f.init]
    lines = ["pass", *(line for f in fields if (line := _assignment(f)))]
    if getattr(record, "__post_init__", None):
        lines.append("self.__post_init__()")
    exec(f"def __init__(self, {', '.join(taken)}):\n " + "\n ".join(lines), known)  # as Python's own do
    made: Callable[..., None] = known["__init__"]
    made.__qualname__ = f"{record.__qualname__}.__init__"
    return made


def _is_required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _assignment(field: dataclasses.Field[Any]) -> str:
    """What the constructor does for a field."""
    name, new = field.name, field.default_factory is not dataclasses.MISSING
    if not field.init:
        return f"self.{name} = _new_{name}()" if new else ""
    return f"self.{name} = _new_{name}() if {name} is _{name} else {name}" if new else f"self.{name} = {name}"


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
