"""Dataclasses that take little time to make: Python's own read the fields of each, and write six functions of it as text, and run it.

Here that is done when it is first needed, and only the constructor is written so: a command makes few of all that it imports. That a class
is frozen is seen to by mypy, and costs nothing where it runs.
"""

from __future__ import annotations

import dataclasses
from dataclasses import MISSING, Field
from functools import cache
from operator import attrgetter
from reprlib import recursive_repr
from types import CodeType, FunctionType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from dataclasses import dataclass
    from typing import Any
else:

    def dataclass(cls: type | None = None, *, frozen: bool = False, eq: bool = True, repr: bool = True) -> Any:
        """What `dataclasses.dataclass` makes, to the eye of whoever uses it."""

        def made(record: type) -> type:
            record.__written__, record.__dataclass_fields__ = _written(record), _Fields(record)
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


def _written(record: type) -> dict[str, Any]:
    """The fields that stand in a class, and in those that it is made of, each with its default or `field(..)`."""
    before = (vars(base).get("__written__", {}) for base in reversed(record.__mro__))
    own = {n: vars(record).get(n, MISSING) for n, kind in record.__annotations__.items() if not str(kind).startswith("ClassVar")}
    return {name: value for fields in (*before, own) for name, value in fields.items()}


def _later(record: type, name: str, write: Callable[[type], Callable[..., Any]]) -> Callable[..., Any]:
    """What takes the place of a method until it is first called."""

    def first(self: object, *values: object, **named: object) -> Any:
        setattr(record, name, write(record))
        return getattr(record, name)(self, *values, **named)

    return first


def _constructor(record: Any) -> Callable[..., None]:
    """A function that takes the fields in order, those with a default last, and then lets the class do the rest.

    It is that of all classes with so many fields, by other names: Python takes long to compile one.
    """
    fields: dict[str, Any] = record.__written__
    defaults = [value.default if isinstance(value, Field) else value for value in fields.values()]
    makers = [value.default_factory if isinstance(value, Field) else MISSING for value in fields.values()]
    pattern = _pattern(tuple(made is not MISSING for made in makers), hasattr(record, "__post_init__"))
    named = {f"f{i}": name for i, name in enumerate(fields)}
    code = pattern.replace(
        co_varnames=tuple(named.get(name, name) for name in pattern.co_varnames),
        co_names=tuple(named.get(name, name) for name in pattern.co_names),
        co_qualname=f"{record.__qualname__}.__init__",
    )
    optional = tuple(d for d, made in zip(defaults, makers, strict=True) if d is not MISSING or made is not MISSING)
    record.__match_args__ = tuple(fields)  # type: ignore[misc]
    return FunctionType(code, {"absent": MISSING, **{f"new{i}": made for i, made in enumerate(makers)}}, "__init__", optional)


@cache
def _pattern(made: tuple[bool, ...], ends: bool) -> CodeType:
    """The constructor of a class whose fields are called `f0`, `f1`, ..; what is not given for some of them is `made` then."""
    lines = [f"self.f{i} = new{i}() if f{i} is absent else f{i}" if new else f"self.f{i} = f{i}" for i, new in enumerate(made)]
    taken = "".join(f", f{i}" for i in range(len(made)))
    known: dict[str, Any] = {}
    exec("\n ".join([f"def __init__(self{taken}):", *lines, "self.__post_init__()" if ends else "pass"]), known)  # as Python's own do
    code: CodeType = known["__init__"].__code__
    return code


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
