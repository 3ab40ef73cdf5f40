"""The specs of a project, as an editor has them open, or as they lie on the disk."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from nnspec.diagnostics import Fault, Source
from nnspec.files import plain
from nnspec.lsp.document import Document
from nnspec.source import source_of

NO_SPECS = ("node_modules", "__pycache__")


def documents(root: Path, opened: Mapping[Path, str], word: str) -> Iterator[Document]:
    """All specs below a folder, and all that are open, in which a word stands."""
    texts = {**_texts(root, word), **opened}
    return (Document(Source(path.name, text), path.parent, opened) for path, text in texts.items() if word in text)


def _texts(root: Path, word: str) -> dict[Path, str]:
    """Of the specs on the disk; one that cannot be read is nobody's."""
    found = {}
    for path in _specs(root):
        try:
            content = plain(path).read_bytes()
            if word.encode() in content:
                found[path] = source_of(path.name, content).text
        except (OSError, Fault):
            continue
    return found


def _specs(root: Path) -> Iterator[Path]:
    for folder, inner, files in os.walk(root.resolve()):
        inner[:] = [name for name in inner if not name.startswith(".") and name not in NO_SPECS]
        yield from (Path(folder, name) for name in sorted(files) if name.endswith(".nn"))
