"""`nnspec.record` against Python's own dataclasses."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import asdict, field, replace
from pathlib import Path
from typing import Any

import pytest
from helpers import ROOT

from nnspec import record

MAKERS = (dataclasses.dataclass, record.dataclass)


def point(maker: Any, **options: bool) -> Any:
    class Point:
        """A place, and what is not said of it."""

        x: int
        y: tuple[int, ...] = ()
        note: str = field(default="", repr=False, compare=False)

    Point.__annotations__ = {"x": int, "y": tuple, "note": str}
    Point.__qualname__ = "Point"
    return maker(**options)(Point)


QUESTIONS: list[Callable[[Any], object]] = [
    lambda P: repr(P(1, (2,), note="n")),
    lambda P: P(1) == P(1, note="other"),
    lambda P: P(1) == P(1, (2,)),
    lambda P: P(1) == 1,
    lambda P: replace(P(1), y=(3,)).y,
    lambda P: asdict(P(1, note="n")),
    lambda P: {P(1), P(1, note="n"), P(2)} == {P(1), P(2)},
    lambda P: P(1) in [P(1)],
    lambda P: type(P(1)).__match_args__,
]


@pytest.mark.parametrize("ask", QUESTIONS)
@pytest.mark.parametrize("options", [{"frozen": True}, {"frozen": True, "eq": False}])
def test_a_record_is_what_a_dataclass_is(ask: Callable[[Any], object], options: dict[str, bool]) -> None:
    theirs, ours = (ask(point(maker, **options)) for maker in MAKERS)
    assert ours == theirs


@pytest.mark.parametrize("maker", MAKERS)
def test_a_record_that_may_change_has_no_hash(maker: Any) -> None:
    Point = point(maker)
    assert Point(1) == Point(1)
    with pytest.raises(TypeError, match="unhashable"):
        hash(Point(1))


def test_a_record_that_holds_itself_can_be_shown() -> None:
    Point = point(record.dataclass)
    p = Point(1)
    p.y = (p,)
    assert repr(p) == "Point(x=1, y=(...,))"


def test_records_without_fields_are_equal() -> None:
    class Nothing:
        """No fields."""

    Empty = record.dataclass(frozen=True)(Nothing)
    assert Empty() == Empty() and hash(Empty()) == hash(Empty())


def test_all_dataclasses_of_the_package_are_made_so() -> None:
    others = [
        f"{path.relative_to(ROOT)}: write `from nnspec.record import dataclass`"
        for path in sorted(Path(ROOT, "nnspec").rglob("*.py"))
        if path.name != "record.py"
        for line in path.read_text("utf-8").splitlines()
        if line.startswith("from dataclasses import") and "dataclass" in line.split("import", 1)[1].replace(",", " ").split()
    ]
    assert not others
