"""Files: written so that they are never seen half, and read only from where a spec may read."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path

from nnspec.diagnostics import Fault, Span, fault, suggest

MACHINE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO)
"""What no other name of a file would help against: a full disk, a folder that may not be written."""

RIGHTS = "write elsewhere, or have the right to write there"
REMEDIES = {errno.EACCES: RIGHTS, errno.EPERM: RIGHTS, errno.EROFS: "write elsewhere, as nothing can be written there"}
"""What to do where it is not room that is missing."""


def nearly(path: Path) -> str | None:
    """The name of what lies beside the end of a path that leads nowhere, is called nearly so, and of the same kind by its name."""
    try:
        beside = [] if path.exists() else list(path.parent.iterdir())
    except (OSError, ValueError):
        return None
    near = suggest(path.stem, {other.stem for other in beside if other.suffix == path.suffix and not other.name.startswith(".")})
    return near and near + path.suffix


def aside(path: Path) -> Path:
    """Where this process writes what is to have that path once it is whole."""
    return path.with_name(f".tmp-{os.getpid()}-{path.name}")


def write_whole(path: Path, content: bytes) -> None:
    """All of the file or nothing: it takes its name only when it is on the disk. OSError leaves what was there."""
    with whole(path) as new:
        new.write_bytes(content)


def write_new(path: Path, content: bytes) -> None:
    """All of a file where there is none yet, or nothing: a Fault says why."""
    try:
        with path.open("xb", buffering=0) as file:
            _fill(file, content)
    except FileExistsError:
        raise fault("E504", f"`{path}` is there already", help="choose another name, or remove it") from None
    except OSError as error:
        raise unwritable(path, error) from None


def _fill(file: FileIO, content: bytes) -> None:
    try:
        while content:
            content = content[file.write(content) :]
    except OSError:
        Path(file.name).unlink()
        raise


def write(path: Path, content: bytes) -> None:
    """`write_whole` for whom nothing is left to do where that fails: a Fault says why."""
    with writing(path):
        write_whole(path, content)


def rewrite(path: Path, content: bytes) -> None:
    """`write` for a file that is there: what a link leads to is written, with the rights that it had."""
    place = path.resolve()
    mode = place.stat().st_mode
    with writing(path):
        write_whole(place, content)
        place.chmod(mode)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """A path that cannot be written is a Fault of its name: E540 or E504."""
    try:
        yield
    except OSError as error:
        raise unwritable(path, error) from None


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A path to write to, which takes the place of the file once all is on the disk; an error leaves what was there."""
    new = aside(path)
    try:
        yield new
        sync(new)
        new.replace(path)
        sync(path.parent)
    finally:
        with suppress(OSError):  # it is gone when all went well
            new.unlink()


def clear_aside(folder: Path) -> None:
    """Remove what processes have left there that died while they wrote."""
    for left in folder.glob(".tmp-*"):
        pid = left.name.split("-")[1]
        if not pid.isdecimal() or not _lives(int(pid)):
            remove(left)


def _lives(pid: int) -> bool:
    """Whether another process has this number; what has our own is of one before us, as we have written nothing yet."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return pid != os.getpid()


def remove(path: Path) -> None:
    """A file, or a folder with all that is in it."""
    import shutil

    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Have a file, or the names in a folder, on the disk itself."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def unwritable(path: Path, error: OSError) -> Fault:
    """What to say of a file or folder that cannot be written: E540 where the machine is in the way, else E504."""
    message = f"`{path}` cannot be written: {error.strerror or error}"
    if error.errno in MACHINE:
        return fault("E540", message, help=f"{REMEDIES.get(error.errno, 'make room, or write elsewhere')}; what was there before is whole")
    return fault("E504", message)


def is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):  # a name that is too long, or has a NUL in it
        return False


def is_plain_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name too long for the file system
        return False


def plain(path: Path) -> Path:
    """The path, to be read; an OSError for what is there and no plain file: from a pipe nothing might ever come."""
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "it is no plain file", str(path))
    return path


def contained(folder: Path, relative: str | Path, span: Span) -> Path:
    """A file that a spec names: within the folder of the spec, links followed; E112 for any other."""
    try:
        path = (folder / relative).resolve()
    except (OSError, RuntimeError):  # links that lead to each other
        raise fault("E501", f"there is no file `{Path(relative).as_posix()}`", span) from None
    if Path(relative).is_absolute() or not path.is_relative_to(folder.resolve()):
        raise fault("E112", f"`{Path(relative).as_posix()}` is not within the folder of the spec", span, help="copy it beside the spec")
    return path
