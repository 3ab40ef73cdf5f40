"""The page of each code: what it means, a spec that gives it, and one that does not."""

from __future__ import annotations

from functools import cache

from nnspec import resources
from nnspec.lazy import regex

_CODE = regex(r"[EW]\d{3}")


@cache
def codes() -> tuple[str, ...]:
    """Every code there is."""
    return tuple(sorted(p.stem for p in resources.pages().glob("*.md") if _CODE.fullmatch(p.stem)))


def page(code: str) -> str:
    """The page of a code, as Markdown."""
    return (resources.pages() / f"{code}.md").read_text("utf-8")


def title(code: str) -> str:
    """What a code means, in a few words."""
    return page(code).split("\n", 1)[0].removeprefix(f"# {code}: ")


def meaning(code: str) -> str:
    """The paragraph below the title."""
    return page(code).split("\n\n", 2)[1]
