"""Single mistakes made at random in specs that are right: a name misspelt, an argument dropped, a size changed, a bracket lost."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

COMMENT = re.compile(r"#[^\n]*")
TOKEN = re.compile(r'"[^"\n]*"|[^\W\d]\w*|\d[\w.]*|[()\[\]{}]|[^\w\s]')
NAME = re.compile(r"[^\W\d]\w{2,}")
SIZE = re.compile(r"\d+")
CALL = re.compile(r"\b[^\W\d]\w*\(([^()]+)\)")
EXPECT = re.compile(r"^( *expect )[^\n]*", re.M)
TEST = re.compile(r"^test (?s:.*?)^\}", re.M)


@dataclass(frozen=True)
class Mutant:
    """A spec with one mistake, the line it stands on, and what was done."""

    kind: str
    line: int
    text: str
    change: str


def without_promises(text: str) -> str:
    """The spec without comments, expectations and tests, which say of a changed size only that it is another; lines stay in place."""
    return EXPECT.sub(r"\1true", TEST.sub(lambda m: re.sub(r"[^\n]", "", m[0]), COMMENT.sub("", text)))


def misspelt(rng: random.Random, text: str) -> tuple[int, int, str]:
    name = rng.choice([m for m in TOKEN.finditer(text) if NAME.fullmatch(m[0])])
    i = rng.randrange(len(name[0]) - 1)
    word = name[0]
    wrong = rng.choice((word[:i] + word[i + 1 :], word[:i] + word[i + 1] + word[i] + word[i + 2 :], word[:i] + word[i] + word[i:]))
    return *name.span(), wrong


def dropped(rng: random.Random, text: str) -> tuple[int, int, str]:
    call = rng.choice(list(CALL.finditer(text)))
    arguments = re.split(r",(?![^\[]*\])", call[1])
    del arguments[rng.randrange(len(arguments))]
    return *call.span(1), ",".join(arguments).strip()


def resized(rng: random.Random, text: str) -> tuple[int, int, str]:
    size = rng.choice([m for m in TOKEN.finditer(text) if SIZE.fullmatch(m[0])])
    return *size.span(), str(max(1, int(size[0]) + rng.choice((-1, 1, 2))))


def unbracketed(rng: random.Random, text: str) -> tuple[int, int, str]:
    bracket = rng.choice([m for m in TOKEN.finditer(text) if m[0] in "()[]{}"])
    return *bracket.span(), ""


KINDS: dict[str, Callable[[random.Random, str], tuple[int, int, str]]] = {
    "a name misspelt": misspelt,
    "an argument dropped": dropped,
    "a size changed": resized,
    "a bracket lost": unbracketed,
}


def mutants(text: str, seed: str, each: int) -> Iterator[Mutant]:
    """So many of each kind, the same for the same seed."""
    text, rng = without_promises(text), random.Random(seed)
    for kind, change in KINDS.items():
        for _ in range(each):
            start, end, new = change(rng, text)
            if new != text[start:end]:
                yield Mutant(kind, text.count("\n", 0, start) + 1, text[:start] + new + text[end:], f"{text[start:end]} -> {new}")
