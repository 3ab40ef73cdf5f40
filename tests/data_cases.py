"""What the tests of data share: ports, sources and train blocks made by hand, and a small table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nnspec.diagnostics import Diagnostic, Fault, Source, Span
from nnspec.elaborate.sources import DataSource
from nnspec.elaborate.training import Training
from nnspec.graph import Size, Type
from nnspec.graph.types import BATCH
from nnspec.train.check import Fields
from nnspec.train.data import Dataset, read
from nnspec.train.loader import Loader

SPEC = Span(Source("spec.nn", "train { data here }"), 13, 17)
X_PLACE, Y_PLACE = Span(SPEC.source, 0, 1), Span(SPEC.source, 1, 2)
FLOWERS = "length,width,species\n1,2,setosa\n3,4,virginica\n5,6.5,setosa\n"


def port(*shape: int | Size, dtype: str = "float32", classes: int | None = None) -> Type:
    return Type("int64" if classes else dtype, (BATCH, *shape), classes)


IMAGE_PORTS = {"image": port(1, 8, 8)}, {"digit": port(classes=10)}


def source(name: str, path: str | None = None, **fields: Any) -> DataSource:
    places = {"x": X_PLACE, "y": Y_PLACE}
    return DataSource(name, SPEC, path, fields, {name: places.get(name, SPEC) for name in fields})


def training(data: DataSource | None = None, **settings: Any) -> Training:
    return Training(span=Span(SPEC.source, 0, 19), data=data, **settings)


def inline(**fields: Any) -> DataSource:
    return source("inline", **fields)


def mistake(act: Callable[[], Any]) -> Diagnostic:
    with pytest.raises(Fault) as caught:
        act()
    return caught.value.diagnostic


def load(block: Training, inputs: dict[str, Type], targets: dict[str, Type], folder: Path, data: str | None = None) -> Dataset:
    return Loader(block, inputs, targets, folder, data).load()


def read_text(folder: Path, text: str, ports: dict[str, Type], **columns: Any) -> Fields:
    (folder / "data.csv").write_text(text, encoding="utf-8")
    return read(source("csv", "data.csv", **columns), ports, folder)
