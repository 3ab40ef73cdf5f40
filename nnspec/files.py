"""Files: written so that they are never seen half, and read only from where a spec may read."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from nnspec.diagnostics import Span, fault


def write_whole(path: Path, content: bytes) -> None:
    """All of the file or nothing: it takes its name only when it is on the disk. OSError leaves what was there."""
    with whole(path) as aside:
        aside.write_bytes(content)


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A path to write to, which takes the place of the file once all is on the disk; an error leaves what was there."""
    aside = path.with_name(f".tmp-{os.getpid()}-{path.name}")
    try:
        yield aside
        with aside.open("rb+") as f:
            os.fsync(f.fileno())
        aside.replace(path)
    finally:
        with suppress(OSError):  # it is gone when all went well
            aside.unlink()


def contained(folder: Path, relative: str | Path, span: Span) -> Path:
    """A file that a spec names: within the folder of the spec, links followed; E112 for any other."""
    path = (folder / relative).resolve()
    if Path(relative).is_absolute() or not path.is_relative_to(folder.resolve()):
        raise fault("E112", f"`{Path(relative).as_posix()}` is not within the folder of the spec", span, help="copy it beside the spec")
    return path
