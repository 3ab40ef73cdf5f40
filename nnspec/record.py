"""Dataclasses that take little time to make: Python's own read the fields of each, and write six functions of it as text, and run it.

Here that is done when it is first needed, and only the constructor is written so: a command makes few of all that it imports. That a class
is frozen is seen to by mypy, and costs nothing where it runs.
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

        def made(record: type) -> type:
            record.__dataclass_fields__ = _Fields(record)
            if "__init__" not in record.__dict__:
                record.__init__ = _later(record, "__init__", _constructor)
            if repr and "__repr__" not in record.__dict__:
                record.__repr__ = _shown
            if eq and "__eq__" not in record.__dict__:
                record.__eq__ = _later(record, "__eq__", _comparison)
                record.__hash__ = _later(record, "__hash__", _hash) if frozen else None
            return record

        return made(cls) if cls else made


__all__ = ["dataclass"]


class _Fields:
    """What takes the place of the fields of a class until somebody asks for them."""

    def __init__(self, record: type) -> None:
        self.record = record

    def __get__(self, instance: object, owner: type) -> dict[str, dataclasses.Field[Any]]:
        self.record.__doc__ = self.record.__doc__ or ""  # or Python would make one of the constructor
        python = dataclasses.dataclass(init=False, eq=False, repr=False)
        fields: dict[str, dataclasses.Field[Any]] = vars(python(self.record))["__dataclass_fields__"]
        return fields


def _later(record: type, name: str, write: Callable[[type], Callable[..., Any]]) -> Callable[..., Any]:
    """What takes the place of a method until it is first called."""

    def first(self: object, *values: object, **named: object) -> Any:
        setattr(record, name, write(record))
        return getattr(record, name)(self, *values, **named)

    return first


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


def _comparison(record: type) -> Callable[[object, object], Any]:
    """Records of one class are equal if their fields are."""
    content = _content(record)

    def equal(self: object, other: object) -> bool:
        return content(self) == content(other) if other.__class__ is self.__class__ else NotImplemented

    return equal


def _hash(record: type) -> Callable[[object], int]:
    """Equal records have one hash."""
    content = _content(record)

    def hashed(self: object) -> int:
        return hash(content(self))

    return hashed


def _content(record: type) -> Callable[[object], Any]:
    names = [f.name for f in dataclasses.fields(record) if f.compare]
    return attrgetter(*names) if names else lambda _: ()


@recursive_repr()
def _shown(self: Any) -> str:
    values = (f"{f.name}={getattr(self, f.name)!r}" for f in dataclasses.fields(self) if f.repr)
    return f"{self.__class__.__qualname__}({', '.join(values)})"
