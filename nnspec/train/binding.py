"""Fields of a source bound to the ports of a model: by name, as a list of columns side by side, or as a formula over them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from math import prod
from typing import Any

import numpy as np

from nnspec.diagnostics import Fault, did_you_mean, fault
from nnspec.elaborate.fields import Formula, compared_with
from nnspec.elaborate.sources import Column, DataSource
from nnspec.graph import Type
from nnspec.graph.types import show
from nnspec.train.cells import KINDS, Cells, as_truths, not_a_number, quoted, text_help
from nnspec.train.check import Checker, Fields, Whence, listing, shown
from nnspec.train.files import on_command_line
from nnspec.train.formulas import computed
from nnspec.train.npy import ONLY
from nnspec.train.readers import Readers


def bound(
    source: DataSource, readers: Readers, ports: Mapping[str, Type], dtype: str, labels: dict[str, list[str]], whence: Whence
) -> Fields:
    """For each port the field of its name, or what the source's arguments make for it, checked."""
    fields = {port: _field(source, readers, port, type, dtype, whence) for port, type in ports.items()}
    for port, type in ports.items():
        if source.name == "images" and type.shape[1:2] == (1,) and np.shape(fields[port])[1:2] == (3,):
            message = f"`{port}` is declared {show(type.shape[1:])}, and some of the images are in colours"
            raise fault("E303", message, source.spans.get(port, source.span), help="`channels = 1` makes them grey")
    origins = {port: whence.said(taken(source, port)) for port in ports}
    return Checker(ports, source.span, dtype, source.spans, labels, whence, origins).check(fields)


def by_their_names(source: DataSource, names: Collection[str], ports: Mapping[str, Type]) -> DataSource:
    """The source with what names of fields say: columns x_0, x_1, .. are x, as predictions are written; the only array, the only port."""
    if source.name == "npy" and len(ports) == 1 and [*names] == [ONLY]:
        return replace(source, fields={**dict.fromkeys(ports, ONLY), **source.fields})
    unsaid = {port: type for port, type in ports.items() if port not in source.fields and port not in names and f"{port}_0" in names}
    made = {port: _numbered(port, type) for port, type in unsaid.items()}
    return replace(source, fields={**source.fields, **{port: columns for port, columns in made.items() if columns}}) if unsaid else source


def cells_of(source: DataSource, ports: Mapping[str, Type], labels: Mapping[str, Sequence[str]]) -> Cells:
    """How a table is read for these ports: with gaps where the source says what becomes of them, and of columns with labels the texts."""
    known = {port: type for port, type in ports.items() if type.classes and port in labels}
    columns = {name for port, type in known.items() for name in (*items(source, port), *_numbered(port, type)) if isinstance(name, str)}
    return Cells(source.options.get("missing") is not None, frozenset(columns))


def in_their_colours(source: DataSource, ports: Mapping[str, Type]) -> DataSource:
    """The source with what ports say of images: where one is declared in colours, those that are grey are read so, too."""
    coloured = any(source.fields.get(port, port) == "image" and type.shape[1:2] == (3,) for port, type in ports.items())
    if source.name != "images" or source.options["channels"] or not coloured:
        return source
    return replace(source, options={**source.options, "channels": 3})


def _numbered(port: str, type: Type) -> tuple[str, ...]:
    """The columns of a port by its name and their places."""
    return tuple(f"{port}_{i}" for i in range(_numbers(type)))


def _numbers(type: Type) -> int:
    """How many an example has, where that is known; 0 for a single one."""
    sizes = [size for size in type.shape[1:] if isinstance(size, int)]
    return prod(sizes) if sizes and len(sizes) == type.rank - 1 else 0


def taken(source: DataSource, port: str) -> Any:
    """What a port is made of: a column, a formula, a tuple of them, or values."""
    return port if source.name == "inline" else source.fields.get(port, port)


def items(source: DataSource, port: str) -> tuple[Any, ...]:
    """The columns and formulas that lie side by side in a port."""
    found = taken(source, port)
    return found if isinstance(found, tuple) else (found,)


def names_read(source: DataSource, ports: Collection[str]) -> frozenset[str]:
    """The fields that these ports are made of."""
    return frozenset(name for port in ports for item in items(source, port) for name in _names(item))


def names_computed_with(source: DataSource, ports: Mapping[str, Type]) -> frozenset[str]:
    """Those of them that formulas read."""
    return frozenset(name for port in ports for item in items(source, port) if isinstance(item, Formula) for name in item.names())


def _names(item: Any) -> Sequence[str]:
    return item.names() if isinstance(item, Formula) else (item,)


def _field(source: DataSource, readers: Readers, port: str, type: Type, floats: str, whence: Whence) -> Any:
    made_of, dtype = items(source, port), floats if type.is_float else None
    for item in made_of:
        for name in _names(item):
            if name not in readers and not (isinstance(item, Formula) and item.means(name)):
                raise _text_compared(item, readers, port, name) or _no_field(source, readers, port, name, type)
    if isinstance(field := taken(source, port), str):
        return readers[field]()
    plain = _plain(source, readers, port, type, {name for item in made_of for name in _names(item)}, whence)
    columns = [_made(i, plain, dtype, whence) if isinstance(i, Formula) else plain[i]() for i in made_of]
    if not isinstance(field, tuple):
        return columns[0]
    kinds = {c.dtype == object for c in columns}
    if len(kinds) > 1:
        name, texts = next((str(i), c) for i, c in zip(made_of, columns, strict=True) if c.dtype == object)
        first = texts[0]
        where = f"in row {whence.row(0)}"
        message = f"{whence.said(None)}`{port}` takes numbers, and the column `{name}` holds text: {quoted(first)} {where}"
        raise not_a_number(first, message, source.spans.get(port, source.span), text_help(name, texts))
    return _side_by_side(source, port, [str(i) for i in made_of], columns)


def _made(formula: Formula, readers: Readers, dtype: str | None, whence: Whence) -> np.ndarray:
    """A formula for every example; a Fault (E306) where it makes something else than a number of numbers."""
    made = computed(formula, readers, dtype, whence.fractional)
    if made.dtype.kind != "f" or np.isfinite(made).all():
        return made
    fields = {name: np.asarray(readers[name]()) for name in formula.names() if name in readers}
    wrong = _in_each_row(~np.isfinite(made)) & ~np.any([_in_each_row(~np.isfinite(v)) for v in fields.values()], axis=0)
    if not wrong.any():
        return made
    row = int(np.argmax(wrong))
    value = made[row][~np.isfinite(made[row])].flat[0]
    given = "".join(f", where `{name}` is {shown(v[row])}" for name, v in fields.items() if v.ndim == 1)
    place = f"{whence.table}, " if whence.table else ""
    message = f"{place}row {whence.row(row)}: `{formula}` is {value}{given}"
    help_ = "no value is missing: keep the formula where it is a number, as in `log(max(a, 1))`, or leave such rows out of the file"
    raise fault("E306", message, formula.expression.span, help=help_)


def _in_each_row(found: np.ndarray) -> np.ndarray:
    """Of every row whether it is so anywhere."""
    return np.asarray(found.reshape(len(found), -1).any(axis=1))


def _plain(source: DataSource, readers: Readers, port: str, type: Type, names: Collection[str], whence: Whence) -> Readers:
    """These fields, each a Fault (E309, E303) when it is read if it holds no numbers or texts, or is no list of examples."""
    span = source.spans.get(port, source.span)

    def read(name: str) -> np.ndarray:
        values: np.ndarray = readers[name]()
        if values.dtype.kind not in KINDS:
            raise fault("E309", f"{whence.said(name)}the data of `{port}` holds {values.dtype}, not numbers", span)
        if not values.shape:
            raise fault("E303", f"{whence.said(name)}`{name}` is a single value, not a list of examples", span)
        return values if type.classes else as_truths(values)

    return {name: partial(read, name) for name in names if name in readers}


def _side_by_side(source: DataSource, port: str, names: Sequence[str], columns: list[np.ndarray]) -> np.ndarray:
    span = source.spans.get(port, source.span)
    for name, column in zip(names, columns, strict=True):
        if len(column) != len(columns[0]):
            raise fault("E308", f"`{name}` and `{names[0]}` do not have the same number of examples", span)
    return np.concatenate([c.reshape(len(c), -1 if c.size else 1) for c in columns], axis=1)


def _text_compared(item: Column, readers: Readers, port: str, text: str) -> Fault | None:
    """The mistake of a formula that holds a field of texts against one of them."""
    compared = compared_with(item.expression, text) if isinstance(item, Formula) else None
    if compared is None or compared not in readers or (texts := readers[compared]()).dtype != object:
        return None
    message = f'a formula is of numbers, and `{compared} == "{text}"` holds texts against each other'
    assert isinstance(item, Formula)
    help_ = f"`{port} = {compared}` numbers the texts in sorted order, where `{port}: class({len(set(texts))})` is declared"
    return fault("E309", message, item.expression.span, help=help_)


def _no_field(source: DataSource, readers: Readers, port: str, name: str, type: Type) -> Fault:
    if source.name == "images" and name == "label":
        help_ = "`images` takes a folder with one folder of images for each class"
        raise fault("E308", "the images lie in no folders, and have no `label`", source.span, help=help_)
    message = f"`{source.name}` has no field `{name}`" + (f" for `{port}`" if name != port else "")
    near = did_you_mean(name, readers)
    there = f"its fields are {listing(readers)}" if readers else "it has no fields"
    how = "" if source.name == "inline" or name != port else _how(source, port, _numbers(type))
    asked = source.spans.get(port, source.span) if name != port else source.span
    if on_command_line(source.span) and asked is not source.span:
        return fault("E307", message, source.span, notes=((asked, "it is asked for here"),), help=f"{near} {there}{how}".strip())
    return fault("E307", message, asked, help=f"{near} {there}{how}".strip())


def _how(source: DataSource, port: str, numbers: int) -> str:
    """How a field is chosen: in the spec, and by the names of columns."""
    file = '"file", ' if source.path else ""
    columns = f"columns `{port}_0` to `{port}_{numbers - 1}`" if source.name in ("csv", "parquet") and numbers > 1 else ""
    if on_command_line(source.span):  # perhaps of a model without a spec
        return f"; call {columns or f'one `{port}`'}, or choose in a spec: `data {source.name}({file}{port} = ..)`"
    return f"; choose one with `{source.name}({file}{port} = ..)`" + (f", or call {columns}" if columns else "")
