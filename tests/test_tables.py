"""csv files as people have them: what is wrong is named with its place, and pyarrow reads the same as cell by cell."""

from __future__ import annotations

import gzip
import re
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nnspec
from nnspec.diagnostics import Diagnostic, Fault, Source, Span, SpecError
from nnspec.train import quick, tables
from nnspec.train.cells import Cells
from nnspec.train.quick import SAMPLE, plain_columns
from nnspec.train.tables import read_csv

SPEC = Span(Source("spec.nn", "data"), 0, 4)


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str | bytes], Path]:
    def written(content: str | bytes) -> Path:
        path = tmp_path / "data.csv"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return written


def outcome(path: Path, gaps: bool = False) -> dict[str, list[object] | str] | str:
    """The values of every column as they are to the bit, or the message of what is wrong with it, or with the file."""
    try:
        columns = read_csv(path, SPEC, Cells(gaps))
    except Fault as error:
        return str(error.diagnostic)
    return {name: _values(read) for name, read in columns.items()}


def _values(read: Callable[[], np.ndarray]) -> list[object] | str:
    try:
        values = read()
    except Fault as error:
        return str(error.diagnostic)
    return [v.hex() if isinstance(v, float) else v for v in values.tolist()]


def mistake(path: Path, column: str = "b") -> Diagnostic:
    with pytest.raises(Fault) as caught:
        read_csv(path, SPEC)[column]()
    return caught.value.diagnostic


# ---- what is wrong, and what to write


@pytest.mark.parametrize(("content", "code", "message", "help_"), [
    ("a,b\n1,2\n3,4,5\n", "E309", "row 2 (line 3) has 3 cells, and the header has 2", "decimal point"),
    ("a,b\n1,2\n3\n", "E309", "row 2 (line 3) has 1 cell, and the header has 2", "a cell for each column"),
    ("a,b,b\n1,2,3\n", "E309", "two columns are called `b`, columns 2 and 3", "another name"),
    ("a,b\n1,2\n3,n/a\n", "E309", "row 2 (line 3), column `b`: `n/a` is not a number", "an empty cell"),
    ("a,b\n1,2\n3,\n4,\n", "E306", "row 2 (line 3), column `b`: the cell is empty", "remove the row; 2 are missing"),
    ("a,b\n1,2\n3,\n", "E306", "the cell is empty", "`missing = mean` puts the mean of the column in place of a number"),
    ("a,b\n1,red\n3,\n", "E306", "the cell is empty", '`csv("data.csv", .., missing = drop)` leaves such rows out'),
    ("a,b\n1,2\n3,nan\n", "E306", "`nan` is not a finite number", "missing = drop"),
    ('a,b\n1,2\n3,"3,14"\n', "E311", "row 2 (line 3), column `b`: `3,14` is not a number; it has a decimal comma", "write 3.14"),
    ('a,b\n1,2\n3,"1,234"\n', "E311", "`1,234`", "write 1.234, or 1234 if the comma parts thousands"),
    ('a,b\n1,2\n3,"1.234,5"\n', "E311", "`1.234,5`", "write 1234.5"),
    ("a,b\n1,2\n3,1_000\n", "E309", "row 2 (line 3), column `b`: `1_000` is not a number", "write 1000"),
    ("a,b\n1,2\n3,\uff11\n", "E309", "row 2 (line 3), column `b`: `\uff11` is not a number", "write 1"),
    ("a;b\n1;2\n", "E310", "has semicolons between its cells", 'sep=";", dtype=str, keep_default_na=False).to_csv("data_commas.csv"'),
    ("a;b\n3,14;2\n", "E310", "has semicolons", '.replace(r"^([-+]?\\d+),(\\d+)$", r"\\1.\\2", regex=True)'),
    ("a\tb\n1\t2\n", "E310", "has tabs between its cells", 'sep="\\t"'),
    (gzip.compress(b"a,b\n1,2\n", mtime=0), "E309", "it is packed by gzip", "`gunzip -c data.csv > data_plain.csv`"),
    (b"PK\x03\x04\x14\0\x08\xb5\xff", "E309", "it is a zip archive", "save the sheet as csv"),
    ("a,b\n1,NA\n2,3\n", "E309", "row 1 (line 2), column `b`: `NA` is not a number", "an empty cell, and `missing = drop`"),
    ("a,b\n1,2\n".encode("utf-16"), "E309", "it is text in UTF-16", "iconv -f UTF-16 -t UTF-8"),
    ("a,b\n1,é\n".encode("latin1"), "E309", "it is not text in UTF-8: line 2 has the byte 0xe9", "such as LATIN1 or LATIN2"),
])  # fmt: skip
def test_a_mistake_in_a_csv_file_has_its_place_and_says_what_to_write(
    write: Callable[[str | bytes], Path], content: str | bytes, code: str, message: str, help_: str
) -> None:
    path = write(content)
    found = mistake(path)
    assert (found.code, found.span) == (code, SPEC) and found.message.startswith(str(path))
    assert message in found.message and help_ in found.help


@pytest.mark.parametrize("quick_from", [0, tables.QUICK_FROM])
def test_what_only_python_writes_as_a_number_is_a_text(
    write: Callable[[str | bytes], Path], quick_from: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "QUICK_FROM", quick_from)
    path = write("a,b\n1_000,\uff11\n2_000,\u0663\n")
    assert {n: read().tolist() for n, read in read_csv(path, SPEC).items()} == {"a": ["1_000", "2_000"], "b": ["\uff11", "\u0663"]}


@pytest.mark.parametrize("name", ["two.npz", "two.npy"])
def test_arrays_in_the_place_of_a_table_are_sent_to_their_source(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    with path.open("wb") as file:
        np.save(file, [1.0]) if path.suffix == ".npy" else np.savez(file, x=[1.0])
    found = mistake(path)
    assert "it is no csv file" in found.message and f'`{path.suffix[1:]}("{name}", ..)`' in found.help


MODEL = "input x: {}  target y: {}  z = x -> dense(2)  output z  loss {}(z, y)"


def mistake_of_data(path: Path, model: str, fields: str) -> Diagnostic:
    net = nnspec.loads(f'model M {{ {model} }} train {{ data csv("{path}", {fields}) epochs 1 optimizer sgd(lr = 0.1) }}')
    with pytest.raises(SpecError) as caught:
        net.dataset()
    (found,) = caught.value.diagnostics
    return found


@pytest.mark.parametrize(("x", "y", "loss", "content", "code", "parts"), [
    ("[2]", "class(2)", "cross_entropy", "a,b,y\n1,2,0\n3,4,2\n", "E305", ("data.csv, column `y`: `y`, row 2: 2", "class(2) takes 0 to 1")),
    ("[2]", "class(2)", "cross_entropy", "a,b,y\n1,2,cat\n3,4,dog\n5,6,fox\n", "E305", ("data.csv, column `y`: ", "3 labels: `cat`")),
    ("[2]", "class(2)", "cross_entropy", 'a,b,y\n1,"2,5",0\n3,"4,5",1\n', "E311", ("data.csv: `x`", "`b` holds text: `2,5`", "write 2.5")),
    ("[2]", "class(2)", "cross_entropy", '"a",b,y\n"1,5","2,5",0\n"3,5","4,5",1\n', "E311", ("data.csv: `x` takes numbers", "write 1.5")),
    ("[2]", "[2]", "mse", "a,b,y\n1,2,3\n", "E303", ("data.csv, column `y`: `y` is declared [2]",)),
])  # fmt: skip
def test_data_that_does_not_fit_the_model_has_its_file_and_column(
    write: Callable[[str | bytes], Path], x: str, y: str, loss: str, content: str, code: str, parts: tuple[str, ...]
) -> None:
    found = mistake_of_data(write(content), MODEL.format(x, y, loss), "x = [a, b]")
    assert found.code == code and all(part in f"{found.message} {found.help}" for part in parts)


def test_a_date_is_not_taken_for_a_class(write: Callable[[str | bytes], Path]) -> None:
    path = write("a,when,y\n" + "".join(f"{i},2024-01-{i:02},{i}\n" for i in range(1, 9)))
    found = mistake_of_data(path, MODEL.format("[2]", "[2]", "mse"), "x = [a, when]")
    assert "its month, its weekday" in found.help and "class(" not in found.help


@pytest.mark.parametrize("formula", ['plan == "pro"', '1 * ("free" != plan)'])
def test_a_text_that_a_formula_compares_becomes_a_class(write: Callable[[str | bytes], Path], formula: str) -> None:
    path = write("a,plan,y\n1,pro,2\n2,free,3\n")
    found = mistake_of_data(path, MODEL.format("[1]", "[2]", "mse"), f"x = {formula}")
    assert (found.code, found.span and found.span.text) == ("E309", formula) and "`x: class(2)`" in found.help


def test_the_help_for_missing_values_is_what_leaves_them_out_or_fills_them_in(write: Callable[[str | bytes], Path]) -> None:
    path = write("a,b\n1,2\n3,\n5,4\n")
    drop, mean = re.findall("`([^`]*)`", mistake(path).help)
    source = drop.replace("..", "x = [a, b]").replace("data.csv", str(path))
    for data, expected in ((source, [[1, 2], [5, 4]]), (source.replace("missing = drop", mean), [[1, 2], [3, 3], [5, 4]])):
        net = nnspec.loads(
            f"model M {{ input x: [2]  output y = x  loss sum(y) }} train {{ data {data}  epochs 1  optimizer sgd(lr = 1) }}"
        )
        assert net.dataset().train["x"].tolist() == expected


def test_what_pandas_is_told_keeps_every_cell(
    write: Callable[[str | bytes], Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    path = write("zip;kind;size;note\n00501;NA;3,14;a, b\n90210;nan;-2,5;1,2,3\n")
    (line,) = re.findall("`([^`]*)`", mistake(path).help)
    exec(line, {"pd": pandas})
    new = read_csv(tmp_path / "data_commas.csv", SPEC)
    assert (new["size"]().tolist(), new["note"]().tolist()) == ([3.14, -2.5], ["a, b", "1,2,3"])
    assert "00501,NA,3.14" in (tmp_path / "data_commas.csv").read_text() and path.read_text().startswith("zip;")


# ---- quickly, and the same

LONG = "x,kind\n" + "".join(f"{i / 7},{'red' if i % 3 else 'blue'}\n" for i in range(SAMPLE // 8))
TRICKY = {
    "plain": LONG,
    "ends of lines": LONG.replace("\n", "\r\n"),
    "old ends of lines": LONG.replace("\n", "\r"),
    "mixed ends of lines": LONG + "1,red\r\n2,blue\r3,red\n",
    "no last end": LONG + "1,red",
    "a byte order mark": "\ufeff" + LONG,
    "blank lines": "\n\n" + LONG.replace("0.", "\n0.", 3) + "\n\n",
    "white space": LONG + " 1 , red\t\n\t2,blue \n",
    "signs": LONG + "-0,red\n+5,red\n.5,red\n5.,red\n1E5,red\n007,red\n",
    "exact": LONG + "9007199254740993,red\n0.1000000000000000055511151231257827,red\n2.2250738585072011e-308,red\n5e-324,red\n",
    "underscores": LONG + "1_000,red\n",
    "digits of another alphabet": LONG + "١٢,red\n",
    "not a number": LONG + "nan,red\n",
    "infinite": LONG + "inf,red\n",
    "too large": LONG + "1e999,red\n",
    "hexadecimal": LONG + "0x10,red\n",
    "a text among numbers": LONG + "one,red\n",
    "a number among texts": LONG + "1,2\n",
    "nan among texts": LONG + "1,nan\n",
    "an empty number": LONG + ",red\n",
    "an empty text": LONG + "1,\n",
    "a blank text": LONG + "1,  \n",
    "words for nothing": LONG + "1,NULL\n2,NA\n",
    "truths": LONG.replace("red", "true").replace("blue", "false"),
    "days": LONG.replace("red", "2020-01-01").replace("blue", "2020-02-30"),
    "too few cells": LONG + "1\n",
    "too many cells": LONG + "1,red,\n",
    "quotes": LONG + '1,"red, or blue"\n',
    "quotes around all": LONG.replace("red", '"red"'),
    "a quote that does not end": LONG + '1,"red\n',
    "a line in quotes": LONG + '1,"red\nblue"\n',
    "quotes in quotes": LONG + '1,"""red"" or ""blue"""\n2,""""\n3,"re""d"\n',
    "commas and lines in all quotes": LONG.replace("red", '"red, or\n\rblue"'),
    "a line of its own in quotes": LONG.replace("red", '"\n\nred\n\n"'),
    "quoted numbers": LONG.replace("0.", '"0.').replace(",red", '",red').replace(",blue", '",blue'),
    "one quoted number": LONG + '"1.5",red\n" 2 ","red "\n',
    "empty quotes": LONG + '1,""\n"",red\n',
    "a quoted nothing": LONG + '"",""\n',
    "a quote within": LONG + '1,5" red\n2,6" blue\n',
    "letters behind a quote": LONG + '1,"red"s\n',
    "a blank behind a quote": LONG + '1,"red" \n',
    "a blank before a quote": LONG + '1, "red"\n',
    "a quoted name": LONG.replace("kind", '"kind"').replace("red", '"red"'),
    "a name of two lines": LONG.replace("kind", '"ki\nnd"').replace("red", '"red"'),
    "a name with a quote": LONG.replace("kind", '"ki""nd"'),
    "a quote at the very end": LONG + '1,"',
    "two quotes at the very end": LONG + '1,""',
    "quotes and old ends of lines": LONG.replace("red", '"red"').replace("\n", "\r"),
    "quotes and other ends of lines": LONG.replace("red", '"red"').replace("\n", "\r\n"),
    "quotes and a byte order mark": "\ufeff" + LONG.replace("x", '"x"', 1).replace("red", '"red"'),
    "quotes and a row too long": LONG + '1,"red","blue"\n',
    "quotes in one column": "x\n" + '"red"\n"a\nb"\n' * (SAMPLE // 8),
    "blank and quoted lines": "x\n" + '"1"\n\n""\n' * (SAMPLE // 8),
    "a zero byte": LONG + "1,re\0d\n",
    "spaces of other kinds": LONG + "1,\u00a0red\u2003\n\u00a02,red\n",
    "lines of other kinds": LONG + "1,re\u2028d\n2,re\x0bd\x85\n",
    "letters": LONG.replace("blue", "bläulich"),
    "one column": "x\n" + "1\n\n2\n" * SAMPLE,
    "many texts": "x,id\n" + "".join(f"{i},n{i}\n" for i in range(9000)),
    "no rows": "x,kind\n",
    "equal names": LONG.replace("kind", "x"),
    "numbers for names": LONG.replace("x,kind", "1,2"),
    "semicolons": LONG.replace(",", ";"),
    "a name with a comma": LONG.replace("kind", '"ki,nd"'),
    "latin": LONG.replace("blue", "bläulich").encode("latin1"),
}


@pytest.mark.parametrize("kind", TRICKY)
def test_pyarrow_reads_what_is_read_cell_by_cell(kind: str, write: Callable[[str | bytes], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pyarrow")
    monkeypatch.setattr(quick, "CHUNK", 999)
    path = write(TRICKY[kind])
    expected = outcome(path), outcome(path, gaps=True)
    monkeypatch.setattr(tables, "QUICK_FROM", 0)
    assert (outcome(path), outcome(path, gaps=True)) == expected


CELLS = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.integers().map(str),
    st.sampled_from(
        (
            "",
            " ",
            "red",
            "1 ",
            "\t2",
            "-0",
            "+1",
            "nan",
            "INF",
            "NULL",
            "0x1",
            "1_0",
            "\uff11",
            "1e400",
            "3.",
            "\u00a01",
            "a\0b",
            "é",
            '"',
            '"a"',
            '"a,b"',
            '"a""b"',
            '""',
            '"2.5"',
            '"a\nb"',
            ";",
        )
    ),
    st.text(max_size=4),
)
ROWS = st.lists(st.lists(CELLS, min_size=2, max_size=2), min_size=1, max_size=4)


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(rows=ROWS, more=st.lists(st.lists(CELLS, min_size=1, max_size=3), max_size=2), end=st.sampled_from(("\n", "\r\n", "\r", "\n\n")))
def test_pyarrow_reads_any_table_as_cell_by_cell(rows: list[list[str]], more: list[list[str]], end: str) -> None:
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        path = Path(folder) / "data.csv"
        lines = ["x,kind", *(",".join(row) for row in (*rows, *more))]
        path.write_bytes((end.join(lines) + end).encode("utf-8", "surrogatepass"))
        expected = outcome(path), outcome(path, gaps=True)
        patch.setattr(tables, "QUICK_FROM", 0)
        assert (outcome(path), outcome(path, gaps=True)) == expected


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(
    cells=st.lists(st.one_of(st.just(""), CELLS), min_size=1, max_size=5), end=st.sampled_from(("\n", "\r\n", "\n\n")), last=st.booleans()
)
def test_pyarrow_reads_any_column_as_cell_by_cell(cells: list[str], end: str, last: bool) -> None:
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        path = Path(folder) / "data.csv"
        path.write_bytes((end.join(["x", *cells]) + end * last).encode("utf-8", "surrogatepass"))
        expected = outcome(path), outcome(path, gaps=True)
        patch.setattr(tables, "QUICK_FROM", 0)
        assert (outcome(path), outcome(path, gaps=True)) == expected


@pytest.mark.parametrize("quick_from", [0, tables.QUICK_FROM])
@pytest.mark.parametrize("values", [[1.0, None, 3.0], [None, 2.0], [1.0, None]], ids=str)
def test_a_blank_line_is_an_empty_cell_where_there_is_one_column(
    values: list[float | None], quick_from: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrow, arrow_csv = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.csv")
    arrow_csv.write_csv(arrow.table({"x": values}), tmp_path / "data.csv")
    monkeypatch.setattr(tables, "QUICK_FROM", quick_from)
    read = read_csv(tmp_path / "data.csv", SPEC, Cells(gaps=True))["x"]()
    assert np.array_equal(read, np.array(values, float), equal_nan=True)
    row = values.index(None) + 1
    assert f"row {row} (line {row + 1}), column `x`: the cell is empty" in mistake(tmp_path / "data.csv", "x").message


@pytest.mark.parametrize("seed", range(3))
def test_every_way_to_write_a_number_is_the_same_number_to_the_bit(
    seed: int, write: Callable[[str | bytes], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(seed)
    cells = [
        f"{v:{f}}" for v in rng.integers(0, 2**64, 300, dtype=np.uint64).view(np.float64) for f in (".17g", ".3e", "") if np.isfinite(v)
    ]
    path = write("x,kind\n" + "".join(f"{c},red\n" for c in cells))
    expected = [float(c).hex() for c in cells]
    monkeypatch.setattr(tables, "QUICK_FROM", 0)
    assert outcome(path) == {"x": expected, "kind": ["red"] * len(cells)}
    plain = plain_columns(path)
    assert plain and plain["x"] is not None and plain["kind"] is not None


def test_a_plain_file_is_read_quickly_and_one_that_is_not_or_without_pyarrow_cell_by_cell(
    write: Callable[[str | bytes], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pyarrow")
    plain = plain_columns(write(LONG))
    assert plain and all(values is not None for values in plain.values())
    for more in ('1,"red"\n', '1,"red, or ""blue"""\n"2","green\nyellow"\n'):
        quoted = plain_columns(write(LONG + more))
        assert quoted and all(values is not None for values in quoted.values())
    assert plain_columns(write(LONG + '1,5" red\n')) is None
    doubtful = plain_columns(write(LONG + "1,\n"))
    assert doubtful and doubtful["x"] is not None and doubtful["kind"] is None
    monkeypatch.setitem(sys.modules, "pyarrow.csv", None)
    assert plain_columns(write(LONG)) is None


def test_a_large_file_with_one_bad_cell_names_its_place(write: Callable[[str | bytes], Path]) -> None:
    rows = "".join(f"{i},{i / 3:.9f}\n" for i in range(240_000))
    path = write(f"a,b\n{rows}7,x\n")
    assert path.stat().st_size > tables.QUICK_FROM
    assert "row 240001 (line 240002), column `b`: `x` is not a number" in mistake(path).message


def test_a_text_too_long_is_refused_in_the_column_that_has_it(
    write: Callable[[str | bytes], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write("a,b\n1,x\n2," + "x" * 140_000 + "\n")
    monkeypatch.setattr(tables, "QUICK_FROM", 0)
    assert "field larger than field limit" in mistake(path).message
