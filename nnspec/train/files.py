"""Files to fields: npz, IDX and texts. Each field is read when it is asked for, and no file is believed about its size."""

from __future__ import annotations

import gzip
import importlib
import math
import struct
import tokenize
import zipfile
import zlib
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import IO, cast

import numpy as np
from numpy.lib import format as npy

from nnspec import limits
from nnspec.diagnostics import Fault, Span, fault
from nnspec.elaborate.sources import SOURCES
from nnspec.files import is_plain_file
from nnspec.memory import is_exhausted
from nnspec.train.cells import NOT_FINITE_HELP, NUMBERS_OR_TEXTS, Cells
from nnspec.train.readers import Readers

MAX_EXPANSION = 1000
MOST_ROWS, AT_ONCE = 1 << 16, 1 << 22
"""Rows of a tall table that are read together, and bytes of them."""
MAX_TEXT = 2**30
MAX_IDX_ITEMS = 1_000_000
COMMAND_LINE = "--data"
"""What stands in the place of a spec's name where a file was named there."""
# What zipfile, gzip and NumPy raise for a damaged file or a header that lies.
BROKEN: tuple[type[Exception], ...] = (OSError, EOFError, ValueError, OverflowError, MemoryError, SyntaxError, RuntimeError)
BROKEN += (struct.error, tokenize.TokenError, zipfile.BadZipFile, zlib.error)


def existing(path: Path, span: Span | None) -> Path:
    """The path itself when a plain file lies there: no folder, device or pipe."""
    if is_plain_file(path):
        return path
    message = f"the data file {path} does not exist, or is not a plain file"
    in_spec = "a path in a spec is taken from the folder of the spec; `--data FILE` gives another"
    raise fault("E302", message, span, help=source_help(path.name) if on_command_line(span) else in_spec)


def source_help(name: str) -> str:
    """For what `--data` names, and is no file."""
    return f"`--data` takes a file; the source of this name is written in the spec: `data {name}`" if name in SOURCES else ""


def on_command_line(span: Span | None) -> bool:
    """Whether a file was named there, and not in a spec."""
    return span is not None and span.source.name == COMMAND_LINE


def missing_help(table: Path, count: int, is_number: bool, span: Span | None) -> str:
    """How rows without a value are left out, or the values filled in; of a file in the place of a spec's, by what the spec says."""
    all_of_them = f"; {count:,} are missing" if count > 1 else ""
    filled = ", and `missing = mean` puts the mean of the column in place of a number" if is_number else ""
    if on_command_line(span):
        learnt = f"; in the data block of the spec, `missing = drop` leaves such rows out of training and judging{filled}"
        return f"{NOT_FINITE_HELP}{all_of_them}{learnt}"
    kind = table.suffix.lower().removeprefix(".") or "npy"
    return f'{NOT_FINITE_HELP}{all_of_them}; `{kind}("{table.name}", .., missing = drop)` leaves such rows out{filled}'


def package(module: str, name: str, what: str, extra: str, span: Span | None) -> ModuleType:
    """A module that comes with an optional package."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        if is_exhausted(error):
            raise MemoryError from error
        raise fault("E304", f"{what} needs {name}, which is not installed", span, help=f"pip install 'nnspec[{extra}]'") from None


def broken(path: Path, why: object, span: Span | None) -> Fault:
    return fault("E309", f"{path} cannot be read: {why}", span)


def check_size(size: int, what: str, span: Span | None, otherwise: str = "") -> None:
    """A Fault (E309) for data of more bytes than are read."""
    if size > limits.most("data"):
        raise limits.exceeded("data", f"{what} takes {size:,} bytes of memory, and {limits.most('data'):,} is the most", span, otherwise)


def rows_at_once(size: int) -> int:
    """Rows of so many bytes that are read together from a tall table."""
    return max(1, min(MOST_ROWS, min(AT_ONCE, limits.most("data")) // max(1, size)))


def read_npz(path: Path, span: Span | None, _: Cells = NUMBERS_OR_TEXTS) -> Readers:
    """The arrays of an npz file."""
    try:
        with zipfile.ZipFile(existing(path, span)) as archive:
            members = archive.infolist()
    except BROKEN as error:
        raise broken(path, error, span) from None
    check_size(sum(m.file_size for m in members), str(path), span)
    for m in members:
        if m.file_size > MAX_EXPANSION * max(1, m.compress_size):
            raise broken(path, f"`{m.filename}` expands more than {MAX_EXPANSION} times", span)
    return {m.filename.removesuffix(".npy"): partial(_npz_member, path, m, span) for m in members}


def _npz_member(path: Path, member: zipfile.ZipInfo, span: Span | None) -> np.ndarray:
    try:
        with zipfile.ZipFile(path) as archive, archive.open(member) as file:
            return npy.read_array(file, allow_pickle=False)
    except BROKEN as error:
        raise broken(path, f"`{member.filename}`: {error}", span) from None


def read_text(path: Path, span: Span | None) -> str:
    """A whole text in UTF-8, its line ends as they are."""
    try:
        with existing(path, span).open("rb") as file:
            content = file.read(MAX_TEXT + 1)
    except OSError as error:
        raise broken(path, error.strerror, span) from None
    if len(content) > MAX_TEXT:
        raise broken(path, f"it has more than {MAX_TEXT} bytes", span)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise broken(path, f"it is not text in UTF-8: byte {error.start}", span) from None


def read_idx(path: Path, item: tuple[int, ...], span: Span | None) -> np.ndarray:
    """The bytes of an IDX file whose items have the given shape: MNIST's images and labels."""
    try:
        with _open_idx(path) as file:
            magic, count, *shape = (int.from_bytes(file.read(4), "big") for _ in range(2 + len(item)))
            if magic != 0x801 + len(item) or tuple(shape) != item or count > MAX_IDX_ITEMS:
                raise broken(path, f"it is not an IDX file of bytes with items of shape {list(item)}", span)
            size = count * math.prod(item)
            content = file.read(size + 1)
    except BROKEN as error:
        raise broken(path, error, span) from None
    if len(content) != size:
        raise broken(path, f"its header promises {size} bytes, and {'more' if len(content) > size else len(content)} follow", span)
    return np.frombuffer(content, dtype=np.uint8).reshape(count, *item)


def _open_idx(path: Path) -> IO[bytes]:
    return cast(IO[bytes], gzip.open(path)) if path.suffix == ".gz" else path.open("rb")
