"""What differs between two trained models besides their specs: what they were asked, their data, their weights, and what they reach."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field
from pathlib import Path
from typing import Any

import numpy as np

from nnspec.array import Array
from nnspec.compile import Compilation
from nnspec.diagnostics import Diagnostic
from nnspec.difference import Change, compared
from nnspec.record import dataclass
from nnspec.train import rundir

Facts = Mapping[str, str]
_USUAL = (("engine", "auto"), ("device", "cpu"))


@dataclass(frozen=True)
class Side:
    """One of two: its spec with all that was asked of it, its numbers by name, and, of a run, its manifest and its figures."""

    spec: Compilation
    numbers: Mapping[str, Array]
    said: Mapping[str, Any] | None = None
    reached: Facts = field(default_factory=dict)


def side_of_run(folder: Path) -> tuple[Side, tuple[Diagnostic, ...]]:
    """A run as its newest whole checkpoint has it, and what is to be said of that."""
    spec, checkpoint = rundir.opened(folder)
    said, reached = checkpoint.manifest, dict(_reached(folder, checkpoint.step))
    return Side(spec.checked(), checkpoint.arrays, said, reached), tuple(rundir.doubts(folder, spec, checkpoint))


def trained_apart(a: Side, b: Side) -> list[Change]:
    """All of it; of a side that is no run nothing but its numbers, if it has any."""
    found = list(compared("asked", _asked(a), _asked(b)))
    if a.said and b.said:
        found += compared("data", _checksums(a.said), _checksums(b.said))
        found += compared("labels", *({port: ", ".join(texts) for port, texts in side["labels"].items()} for side in (a.said, b.said)))
    found += _weights(a, b)
    return found + list(compared("reached", a.reached, b.reached)) if a.said and b.said else found


def _asked(side: Side) -> Facts:
    """Options of the command line that are not settings of the spec."""
    asked = side.said["asked"] if side.said else {}
    return {name: str(value) for name, value in asked.items() if value is not None and (name, value) not in _USUAL}


def _checksums(said: Mapping[str, Any]) -> Facts:
    blocks = said.get("data", ())
    return {
        f"{f'{number}: ' if len(blocks) > 1 else ''}{part} {name}": f"checksum {value}"
        for number, block in enumerate(blocks, 1)
        for part, fields in block.items()
        for name, value in fields.items()
    }


def _weights(a: Side, b: Side) -> Iterator[Change]:
    """Parameters and states of one shape whose numbers are others, and how far away."""
    for name in a.spec.model.owned:
        if name in a.numbers and name in b.numbers and a.numbers[name].shape == b.numbers[name].shape:
            before, after = (np.asarray(s.numbers[name], "float64") for s in (a, b))
            if (apart := np.abs(after - before)).any():
                away = f"{apart.mean():.3g} away on average, {apart.max():.3g} at most"
                yield Change("weights", name, _size(before), f"{_size(after)}; {away}")


def _size(values: Array) -> str:
    return f"mean magnitude {np.abs(values).mean():.3g}"


def _reached(folder: Path, step: int) -> Iterator[tuple[str, str]]:
    """Steps, the metrics of the last epoch, and what the finished weights reach on other data."""
    yield "steps", f"{step:,}"
    if last := rundir.last_epoch(folder):
        yield from ((f"{name}, last epoch", _figure(value)) for name, value in last.metrics.items())
    for part, metrics in rundir.judged(folder, step).items():
        yield from ((f"{name}, {part}", _figure(value)) for name, value in metrics.items())


def _figure(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else np.array2string(np.asarray(value), precision=4, separator=", ").replace("\n", "")
