"""Where the grammar, the gallery and the library lie: inside an installed wheel, or beside the package in a checkout."""

from __future__ import annotations

import os
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def folder(name: str) -> Path:
    """The folder `grammar` or `specs`, wherever this installation keeps it."""
    inside = _PACKAGE / name
    return inside if inside.is_dir() else _PACKAGE.parent / name


def std() -> Path:
    return _PACKAGE / "std"


def pages() -> Path:
    return _PACKAGE / "errors"


def cache() -> Path:
    """The user's cache folder for nnspec; it may not exist yet."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "nnspec"
