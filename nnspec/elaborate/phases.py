"""What each step of a train block minimises, and which parameters it trains: `minimize`, `update` and `freeze`."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from fnmatch import fnmatchcase

from nnspec.diagnostics import Span, fault, meant
from nnspec.record import dataclass
from nnspec.syntax import ast

PHASE_SETTINGS = ("minimize", "update", "freeze")


def as_word(parameter: str) -> str:
    """How a spec may write the name of a parameter from elsewhere: `_` for what is in no word, and before a digit that begins one."""
    return re.sub(r"(?<![^.])(?=\d)", "_", re.sub(r"[^\w.]", "_", parameter))


@dataclass(frozen=True)
class Word:
    """A name or pattern, and where it was written."""

    text: str
    span: Span

    def matches(self, parameter: str) -> bool:
        """`enc` means itself and all under it; `*` stands for any letters, dots too. A name from elsewhere goes also as a word."""
        names = {parameter, as_word(parameter)}
        return any(fnmatchcase(name, pattern) for name in names for pattern in (self.text, f"{self.text}.*"))


@dataclass(frozen=True)
class PhaseChoice:
    """One phase: the losses it minimises (all, where none is named), and patterns of the parameters it updates and freezes."""

    minimize: tuple[Word, ...] = ()
    update: tuple[Word, ...] = ()
    freeze: tuple[Word, ...] = ()


class PhaseReader:
    """Collects the phases of a train block; `update` and `freeze` belong to the `minimize` before them, or to all."""

    def __init__(self) -> None:
        self.lines: list[dict[str, tuple[Word, ...]]] = [{}]

    def read(self, s: ast.Setting) -> None:
        name = s.name.id
        if name == "minimize":
            self.lines.append({})
        if name in self.lines[-1]:
            raise fault("E105", f"`{name}` is set twice", s.name.span, notes=((self.lines[-1][name][0].span, "first here"),))
        words = tuple(_word(v) for v in s.values)
        if not words:
            raise fault("E103", f"`{name}` does not say which", s.span)
        self.lines[-1][name] = words

    def phases(self) -> tuple[PhaseChoice, ...]:
        common, *phases = self.lines
        return tuple(
            PhaseChoice(p.get("minimize", ()), p.get("update", common.get("update", ())), common.get("freeze", ()) + p.get("freeze", ()))
            for p in phases or [{}]
        )


def _word(e: ast.Expr) -> Word:
    text = e.value if isinstance(e, ast.String) else ast.dotted(e)
    if not text:
        raise fault("E106", 'expected a name such as `enc` or `head.W`, or a pattern such as "conv*"', e.span)
    return Word(text, e.span)


def losses_of(phase: PhaseChoice, losses: Sequence[str]) -> tuple[str, ...]:
    """The losses of the model that a phase minimises."""
    for word in phase.minimize:
        check_loss(word, losses)
    return tuple(dict.fromkeys(w.text for w in phase.minimize)) or tuple(losses)


def check_loss(word: Word, losses: Sequence[str]) -> None:
    if word.text not in losses:
        there = f"there are {', '.join(losses)}" if losses else ""
        raise fault("E101", f"the model has no loss `{word.text}`", word.span, **meant(word.text, losses, word.span, there))


def trained_by(phase: PhaseChoice, parameters: Collection[str]) -> tuple[str, ...]:
    """The parameters that a phase trains."""
    for word in (*phase.update, *phase.freeze):
        check_parameter(word, parameters)
    updated = [n for n in parameters if not phase.update or any(w.matches(n) for w in phase.update)]
    trained = tuple(n for n in updated if not any(w.matches(n) for w in phase.freeze))
    if not trained and phase.freeze:
        raise fault("E110", "every parameter is frozen, so there is nothing to train", phase.freeze[0].span)
    return trained


def check_parameter(word: Word, parameters: Collection[str]) -> None:
    """There is one that a name or pattern means."""
    if not any(word.matches(n) for n in parameters):
        words = [*map(as_word, parameters)]
        there = f"there are {', '.join(sorted(_tops(words)))}"
        more = meant(word.text, paths(words), word.span, there)
        raise fault("E101", f"no parameter matches `{word.text}`", word.span, **more)


def paths(parameters: Iterable[str]) -> set[str]:
    """The parameters, and the layers they are in."""
    parts = [n.split(".") for n in parameters]
    return {".".join(p[:end]) for p in parts for end in range(1, len(p) + 1)}


def _tops(parameters: Iterable[str]) -> set[str]:
    return {n.split(".")[0] for n in parameters}
