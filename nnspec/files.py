"""Writing a file so that it is never seen half."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def write_whole(path: Path, content: bytes) -> None:
    """All of the file or nothing: it takes its name only when it is on the disk. OSError leaves what was there."""
    aside = path.with_name(f".tmp-{os.getpid()}-{path.name}")
    try:
        with aside.open("wb") as f:
            f.write(content)
            f.flush()
            os.fsync(f.fileno())
        aside.replace(path)
    finally:
        with suppress(OSError):  # it is gone when all went well
            aside.unlink()
