"""csv and npz files as fields: what they may hold, and how each damage is named."""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
from data_cases import FLOWERS, SPEC, X_PLACE, load, mistake, port, read_text, source, training

from nnspec.diagnostics import Fault
from nnspec.graph import Type
from nnspec.train import tables
from nnspec.train.check import Fields
from nnspec.train.data import read

# ---- csv


def test_csv_columns_become_vectors_and_text_becomes_classes(tmp_path: Path) -> None:
    ports = {"x": port(2), "species": port(classes=2)}
    fields = read_text(tmp_path, FLOWERS, ports, x=("length", "width"))
    assert fields["x"].tolist() == [[1, 2], [3, 4], [5, 6.5]] and fields["x"].flags.c_contiguous
    assert fields["species"].tolist() == [0, 1, 0]


def test_one_column_feeds_a_number_per_example(tmp_path: Path) -> None:
    fields = read_text(tmp_path, FLOWERS, {"x": port(), "y": port()}, x="length", y=("width",))
    assert fields["x"].tolist() == [1, 3, 5] and fields["y"].tolist() == [2, 4, 6.5]


def test_csv_takes_quotes_blank_lines_and_a_byte_order_mark(tmp_path: Path) -> None:
    fields = read_text(tmp_path, '\ufeff"a", b \r\n"1",2\r\n\r\n3, 4\r\n', {"a": port(), "b": port()})
    assert fields["a"].tolist() == [1, 3] and fields["b"].tolist() == [2, 4]


def test_columns_that_nothing_uses_may_hold_anything(tmp_path: Path) -> None:
    assert read_text(tmp_path, "x,note\n1,\n2,abc\n", {"x": port()})["x"].tolist() == [1, 2]


@pytest.mark.parametrize(("cell", "code"), [("", "E306"), ("nan", "E306"), ("-inf", "E306"), ("abc", "E309"), ("1;2", "E309")])
def test_a_bad_cell_is_named_by_file_row_line_and_column(tmp_path: Path, cell: str, code: str) -> None:
    found = mistake(lambda: read_text(tmp_path, f"a,b\n1,2\n\n3,{cell}\n", {"a": port(), "b": port()}))
    assert found.code == code
    assert f"{tmp_path / 'data.csv'}, row 2 (line 4), column `b`" in found.message


@pytest.mark.parametrize(("content", "part"), [
    (b"", "empty"),
    (b"1,2\n3,4\n", "names of the columns"),
    (b"a,a\n3,4\n", "two columns are called `a`"),
    (b"a,b\n1,2\n3\n", "row 2 (line 3) has 1 cell, and the header has 2"),
    (b'a,b\n1,"2\n', "line 2"),
    (b"a,b\n\xff\xfe,1\n", "UTF-8"),
    (b"a,b\n1," + b"9" * 200_000, "field larger"),
])  # fmt: skip
def test_a_malformed_csv_file_says_where(tmp_path: Path, content: bytes, part: str) -> None:
    (tmp_path / "data.csv").write_bytes(content)
    found = mistake(lambda: read(source("csv", "data.csv"), {"a": port()}, tmp_path))
    assert found.code == "E309" and part in found.message and "data.csv" in found.message


def test_a_csv_file_with_only_a_header_has_no_examples(tmp_path: Path) -> None:
    assert mistake(lambda: read_text(tmp_path, "a,b\n", {"a": port()})).code == "E308"
    assert mistake(lambda: read_text(tmp_path, "a,b\n", {"x": port(2)}, x=("a", "b"))).code == "E308"


def test_text_for_a_float_port_is_refused(tmp_path: Path) -> None:
    assert mistake(lambda: read_text(tmp_path, FLOWERS, {"species": port()})).code == "E309"
    found = mistake(lambda: read_text(tmp_path, FLOWERS, {"x": port(2)}, x=("length", "species")))
    assert found.code == "E309" and "`species`" in found.message and found.span == X_PLACE


def test_the_number_of_different_texts_must_be_the_number_of_classes(tmp_path: Path) -> None:
    found = mistake(lambda: read_text(tmp_path, FLOWERS, {"species": port(classes=3)}))
    assert found.code == "E305" and "`setosa`, `virginica`" in found.message


def test_texts_of_a_validation_file_get_the_numbers_of_the_training_data(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x,y\n1,cat\n2,dog\n")
    (tmp_path / "b.csv").write_text("x,y\n1,dog\n")
    (tmp_path / "c.csv").write_text("x,y\n1,cat\n2,fox\n")
    block = training(source("csv", "a.csv"), validation=source("csv", "b.csv"))
    data = load(block, {"x": port()}, {"y": port(classes=2)}, tmp_path)
    assert data.validation and data.validation["y"].tolist() == [1]
    block = replace(block, test=source("csv", "c.csv"))
    found = mistake(lambda: load(block, {"x": port()}, {"y": port(classes=2)}, tmp_path))
    assert found.code == "E305" and f"{tmp_path / 'c.csv'}, column `y`: `y`, row 2: `fox` is not a label" in found.message


SIZES = {"size": ["1", "2", "XL"]}


def sizes(folder: Path, name: str, labels: dict[str, list[str]] = SIZES, **more: Any) -> list[int]:
    return read(source(Path(name).suffix[1:], name, **more), {"size": port(classes=3)}, folder, labels=labels)["size"].tolist()


@pytest.mark.parametrize("cells", [[1, 2], ["1", "2"], [1.0, 2.0], ["2", "XL"], ["1", "2", "XL"]], ids=str)
def test_what_looks_like_a_number_is_the_label_it_was_in_training(cells: list[Any], tmp_path: Path) -> None:
    pandas.DataFrame({"size": cells}).to_parquet(tmp_path / "t.parquet")
    (tmp_path / "t.csv").write_text("size\n" + "".join(f"{cell:g}\n" if isinstance(cell, float) else f"{cell}\n" for cell in cells))
    expected = [SIZES["size"].index(str(cell).removesuffix(".0")) for cell in cells]
    assert sizes(tmp_path, "t.parquet") == sizes(tmp_path, "t.csv") == sizes(tmp_path, "t.csv", size="size") == expected


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
def test_a_number_is_no_label_where_training_had_texts(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pandas.DataFrame({"size": [0, 1]}).to_parquet(tmp_path / "t.parquet")
    (tmp_path / "t.csv").write_text("size\n0\n1\n")
    cities = {"size": ["Bern", "St. Gallen", "Zuerich"]}
    for quick_from in (tables.QUICK_FROM, 0):
        monkeypatch.setattr(tables, "QUICK_FROM", quick_from)
        found = mistake(lambda: sizes(tmp_path, name, cities))
        assert found.code == "E305" and "row 1: `0` is not a label of the training data" in found.message
    assert sizes(tmp_path, name, {}) == [0, 1]


def test_numbers_of_a_validation_file_are_no_classes_where_the_training_data_have_labels(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x,y\n1,cat\n2,dog\n")
    (tmp_path / "b.csv").write_text("x,y\n1,0\n")
    block = training(source("csv", "a.csv"), validation=source("csv", "b.csv"))
    assert mistake(lambda: load(block, {"x": port()}, {"y": port(classes=2)}, tmp_path)).code == "E305"


@pytest.mark.parametrize(("names", "code"), [("red", "E305"), ("0", None)])
def test_texts_have_no_number_where_the_training_data_have_class_numbers(names: str, code: str | None, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x,y\n1,0\n2,1\n")
    frame = pandas.DataFrame({"x": [1.0, 2.0], "y": [names, "blue" if code else "1"]})
    frame.to_parquet(tmp_path / "b.parquet")
    block = training(source("csv", "a.csv"), validation=source("parquet", "b.parquet"))
    ports = {"x": port()}, {"y": port(classes=2)}
    if code:
        found = mistake(lambda: load(block, *ports, tmp_path))
        assert found.code == code and "b.parquet, column `y`: `y` holds texts, `blue`, `red`, and class" in found.message
        found = mistake(lambda: read(source("parquet", "b.parquet"), ports[1], tmp_path, learns=False))
        assert found.code == code and found.span == SPEC
    else:
        validation = load(block, *ports, tmp_path).validation
        assert validation and validation["y"].tolist() == [0, 1]


def test_labels_in_columns_side_by_side_are_texts_too(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("size_0,size_1\n1,2\n2,XL\n")
    ports = {"size": port(2, classes=3)}
    for fields in ({}, {"size": ("size_0", "size_1")}):
        assert read(source("csv", "t.csv", **fields), ports, tmp_path, labels=SIZES)["size"].tolist() == [[0, 1], [1, 2]]


@pytest.mark.parametrize("path", ["none.csv", ".", "a\0b.csv", "x" * 5000 + ".csv", "/dev/null"])
def test_what_is_not_a_plain_file_is_missing(tmp_path: Path, path: str) -> None:
    found = mistake(lambda: read(source("csv", path), {"x": port()}, tmp_path))
    assert (found.code, found.span) == ("E302", SPEC)
    assert mistake(lambda: read(source("npz", path), {"x": port()}, tmp_path)).code == "E302"


# ---- npz


def read_npz(folder: Path, ports: dict[str, Type], **fields: Any) -> Fields:
    return read(source("npz", "data.npz", **fields), ports, folder)


def test_npz_arrays_bind_by_name_or_mapping(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "data.npz", x=np.eye(3, dtype=np.uint8), label=np.array(["b", "a", "b"]))
    fields = read_npz(tmp_path, {"x": port(3), "y": port(classes=2)}, y="label")
    assert fields["x"].dtype == np.float32 and fields["y"].tolist() == [1, 0, 1]


def test_pickles_are_never_loaded(tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", x=np.array([{}, {}], dtype=object))
    assert mistake(lambda: read_npz(tmp_path, {"x": port()})).code == "E309"


def test_an_archive_that_expands_a_thousandfold_is_refused(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "data.npz", x=np.zeros(4_000_000))
    found = mistake(lambda: read_npz(tmp_path, {"x": port()}))
    assert found.code == "E309" and "expands" in found.message


def test_an_array_larger_than_its_file_is_refused(tmp_path: Path) -> None:
    for shape in ("(1000000000000,)", "(-1,)", "(" + "9" * 40 + ",)", "(1, [", "(2,)"):
        buffer = io.BytesIO()
        header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".ljust(117).encode() + b"\n"
        buffer.write(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + b"\0" * 8)
        with zipfile.ZipFile(tmp_path / "data.npz", "w") as archive:
            archive.writestr("x.npy", buffer.getvalue())
        assert mistake(lambda: read_npz(tmp_path, {"x": port()})).code == "E309"


def test_no_damage_to_an_npz_file_ends_in_a_traceback(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "whole.npz", x=np.arange(6.0).reshape(3, 2), y=np.arange(3))
    whole = (tmp_path / "whole.npz").read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(600):
        damaged = bytearray(whole[: rng.integers(len(whole))] if rng.random() < 0.2 else whole)
        for _ in range(rng.integers(1, 4)):
            if damaged:
                damaged[rng.integers(len(damaged))] = rng.integers(256)
        (tmp_path / "data.npz").write_bytes(damaged)
        try:
            read_npz(tmp_path, {"x": port(2), "y": port(classes=3)})
        except Fault as caught:
            assert caught.diagnostic.code in {"E303", "E305", "E306", "E307", "E308", "E309"}
