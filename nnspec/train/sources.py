"""Data sources to named fields: what `data`, `validation` and `test` of a train block, or `--data`, refer to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from nnspec import resources
from nnspec.diagnostics import Source, Span, fault
from nnspec.elaborate.sources import DataSource
from nnspec.files import is_folder, is_plain_file
from nnspec.run.fractions import Fractions
from nnspec.train.binding import names_read
from nnspec.train.cells import NUMBERS_OR_TEXTS, Cells
from nnspec.train.check import examples
from nnspec.train.files import COMMAND_LINE, package, read_idx, read_npz, source_help
from nnspec.train.images import read_images
from nnspec.train.npy import ONLY, read_npy, tall_npy
from nnspec.train.parquet import read_parquet, tall_parquet
from nnspec.train.points import POINTS, xor
from nnspec.train.readers import Parts, Readers, Tall, in_memory
from nnspec.train.tables import packed, read_csv
from nnspec.train.windows import TEXT_FIELDS, series_parts, text_parts

HELD_OUT = 5
HELD_OUT_SEED = 0
IDX_SOURCES = {
    "mnist": "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "fashion_mnist": "https://github.com/zalandoresearch/fashion-mnist",
}
"""Sources of four IDX files, and where these can be had."""
IDX_FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
IMAGE = (28, 28)
TABLES: Mapping[str, Callable[[Path, Span | None, Cells], Readers]] = {
    "csv": read_csv,
    "npy": read_npy,
    "npz": read_npz,
    "parquet": read_parquet,
}
"""The kinds of file that fields are chosen from by name, each also its suffix."""
TALL: Mapping[str, Callable[[Path, Span | None, Cells, frozenset[str]], Tall | None]] = {"npy": tall_npy, "parquet": tall_parquet}
"""Those that can be read a stretch at a time."""
COLUMNS = {"csv", "parquet"}
"""The kinds of which each has the columns that the other could have."""
LABELLED = {"text": TEXT_FIELDS, "images": ("label",)}
"""The fields of a source that are class numbers with names."""


def _kind(path: str) -> str:
    """The kind of a file by its suffix; a folder of npy files is one of these."""
    return "npy" if _is_npy_folder(path) else Path(path).suffix.lower().removeprefix(".")


def _is_npy_folder(path: str) -> bool:
    return is_folder(Path(path)) and any(Path(path).glob("*.npy"))


def source_from_path(path: str) -> DataSource:
    """The source that `--data PATH` stands for, by its kind."""
    span, name = _on_the_command_line(path), _kind(path)
    if name not in TABLES:
        message = f"`{path}` is not a .csv, .npy, .npz or .parquet file"
        raise fault("E302", message, span, help=source_help(path) or _other_help(Path(path)))
    return DataSource(name, span, str(Path(path).absolute()))


def _other_help(path: Path) -> str:
    """What to do with a folder, or a file that may have a table in it."""
    if is_folder(path):
        return 'what lies in a folder a spec says: `data images("folder")`, or `data mnist`'
    return packed(path)[1] if is_plain_file(path) else ""


def _on_the_command_line(path: str) -> Span:
    return Span(Source(COMMAND_LINE, path), 0, len(path))


def reading(source: DataSource, data: str | None) -> DataSource:
    """A source of the spec, placed where `data` takes the place of its file."""
    return replace(source, span=_on_the_command_line(data)) if data else source


def source_for(own: DataSource | None, data: str) -> DataSource | None:
    """What `--data` is read as, beside the spec's own source: as that, if it is of its kind; or a table, by its own kind."""
    kind = _kind(data)
    if own and own.path and (own.name == kind or {own.name, kind} == COLUMNS or own.name not in TABLES or _both_name_arrays(own, data)):
        return reading(own, data)
    is_of_idx_files = own is not None and own.name in IDX_SOURCES and is_folder(Path(data))
    return source_from_path(data) if kind in TABLES and not is_of_idx_files else None


def _both_name_arrays(own: DataSource, data: str) -> bool:
    """Whether both have arrays with names of their own: those of an npz file, or of a folder of npy files."""
    names_its_own = own.name == "npz" or (own.name == "npy" and ONLY not in names_read(own, own.fields))
    return names_its_own and (_kind(data) == "npz" or _is_npy_folder(data))


def open_source(
    source: DataSource,
    folder: Path,
    data: str | None = None,
    dtype: str = "float32",
    known: Sequence[str] = (),
    cells: Cells = NUMBERS_OR_TEXTS,
) -> Parts:
    """What a source offers; `data` replaces its file, or is the folder of its IDX files. `known` are the labels of an earlier training,
    and `cells` says how a table is read.
    """
    path = Path(data).absolute() if data else folder / (source.path or "")
    if data and not source.path and source.name not in IDX_SOURCES:
        name = "data { .. }" if source.name == "inline" else source.name
        raise fault("E302", f"`{name}` brings its own examples and reads no other data", source.span,
                    help="leave the file away, or let the spec read one: `data csv(...)`")  # fmt: skip
    match source.name:
        case "inline":
            return Parts(in_memory(source.fields))
        case "text":
            return text_parts(source, path, known)
        case "images":
            images = read_images(source, path, dtype, known)
            parts = _held_out(images.fields, images.labels)
            return parts.refusing("label", images.foreign) if images.foreign else parts
        case "series":
            return series_parts(source, path, dtype)
        case name if name in TABLES:
            kind = there if data and (there := _kind(data)) in TABLES else name
            tall = partial(TALL[kind], path, source.span, cells) if kind in TALL else lambda _: None
            return Parts(TABLES[kind](path, source.span, cells), table=path, tall=tall)
        case name if name in IDX_SOURCES:
            return _idx_parts(source, Path(data) if data else resources.cache() / name, dtype)
    if source.name == "xor":
        return Parts(in_memory(xor()))
    return _held_out(POINTS[source.name](**source.options) if source.name in POINTS else _bundled(source, dtype))


def _idx_parts(source: DataSource, folder: Path, dtype: str) -> Parts:
    files = [_idx_file(source, folder, name) for name in IDX_FILES]
    readers: list[Readers] = [
        {"image": partial(_idx_images, images, source.span, dtype), "digit": partial(read_idx, labels, (), source.span)}
        for images, labels in (files[:2], files[2:])
    ]
    train, test = readers
    return Parts(train, test)


def _idx_file(source: DataSource, folder: Path, name: str) -> Path:
    for path in (folder / name, folder / f"{name}.gz"):
        if is_plain_file(path):
            return path
    files = ", ".join(IDX_FILES)
    raise fault("E302", f"`{source.name}` needs the file {folder / name}, and it does not exist", source.span,
                help=f"put {files} (plain or .gz) there, or give `--data DIR`; {IDX_SOURCES[source.name]} has them")  # fmt: skip


def _idx_images(path: Path, span: Span | None, dtype: str) -> Fractions:
    """Images of one channel, in 0..1."""
    return Fractions(read_idx(path, IMAGE, span)[:, None], 255, dtype)


def _fraction(pixels: np.ndarray, white: int, dtype: str) -> np.ndarray:
    """Images of one channel, in 0..1."""
    image: np.ndarray = np.divide(pixels[:, None], white, dtype=dtype)
    return image


def _bundled(source: DataSource, dtype: str) -> dict[str, np.ndarray]:
    """A data set that scikit-learn ships."""
    loaded = getattr(package("sklearn.datasets", "scikit-learn", f"`{source.name}`", "data", source.span), f"load_{source.name}")()
    if source.name == "digits":
        return {"image": _fraction(loaded.images.astype(dtype), 16, dtype), "digit": loaded.target}
    return {"x": loaded.data, "y": loaded.target}


def _held_out(fields: dict[str, np.ndarray], labels: Mapping[str, Sequence[str]] | None = None) -> Parts:
    """One fifth, always the same, kept for testing; none of fewer than five. All together they are in the order of the source."""
    count = examples(fields)
    order = np.random.default_rng(HELD_OUT_SEED).permutation(count)
    test, train = np.sort(order[: count // HELD_OUT]), np.sort(order[count // HELD_OUT :])
    return Parts(_rows(fields, train), _rows(fields, test) if len(test) else None, in_memory(fields), labels=labels or {})


def _rows(fields: dict[str, np.ndarray], rows: np.ndarray) -> Readers:
    return {name: partial(values.__getitem__, rows) for name, values in fields.items()}
