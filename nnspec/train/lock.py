"""One writer of a run directory at a time."""

from __future__ import annotations

import fcntl
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from nnspec.diagnostics import fault
from nnspec.files import clear_aside, writing

LOCK = "run.lock"
LONGEST = 300


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """`run.lock` is this process's until the end, whatever end that is: the system lets go of it when a process dies. What one that died
    has left half written is removed.

    A Fault (E541) where another one has it.
    """
    path = folder / LOCK
    handle = _taken(path)
    try:
        _make_own(handle, folder)
        yield
    finally:
        with suppress(OSError):  # the folder itself may be gone, or not to be written any more
            path.unlink()
        os.close(handle)


def _make_own(handle: int, folder: Path) -> None:
    with writing(folder):
        os.truncate(handle, 0)
        os.write(handle, f"process {os.getpid()} on {platform.node()}\n".encode())
        clear_aside(folder)


def _taken(path: Path) -> int:
    """The file, opened and locked."""
    while True:
        with writing(path.parent):
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.read(handle, LONGEST).decode("utf-8", "replace").strip() or "another process"
            os.close(handle)
            raise fault("E541", f"{path.parent} is being written by {owner}", help="wait for its end, or write elsewhere") from None
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(handle), path.stat()):
                return handle
        os.close(handle)  # its owner has removed it in the meantime
