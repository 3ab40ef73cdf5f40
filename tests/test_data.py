"""Data sources, their binding to ports, their checks and their splits; the error pages E302 to E311 are run."""

from __future__ import annotations

import gzip
import io
import re
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnspec.compile import Compilation
from nnspec.diagnostics import Diagnostic, Fault, Source, Span
from nnspec.elaborate.sources import DataSource
from nnspec.elaborate.training import Training
from nnspec.graph import Size, Type
from nnspec.graph.types import BATCH
from nnspec.train.data import Dataset, Fields, check, load, read, source_from_path
from nnspec.train.sources import IDX_FILES

SPEC = Span(Source("spec.nn", "train { data here }"), 13, 17)
X_PLACE, Y_PLACE = Span(SPEC.source, 0, 1), Span(SPEC.source, 1, 2)
ROOT = Path(__file__).resolve().parent.parent
MNIST = ROOT.parent / "shared" / "data" / "mnist"
FLOWERS = "length,width,species\n1,2,setosa\n3,4,virginica\n5,6.5,setosa\n"


def port(*shape: int | Size, dtype: str = "float32", classes: int | None = None) -> Type:
    return Type("int64" if classes else dtype, (BATCH, *shape), classes)


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


def read_text(folder: Path, text: str, ports: dict[str, Type], **columns: Any) -> Fields:
    (folder / "data.csv").write_text(text, encoding="utf-8")
    return read(source("csv", "data.csv", **columns), ports, folder)


def write_idx(path: Path, content: np.ndarray, magic: int | None = None) -> None:
    header = np.array([magic or 0x800 + content.ndim, *content.shape], dtype=">u4").tobytes()
    raw = header + content.astype(np.uint8).tobytes()
    path.write_bytes(gzip.compress(raw) if path.suffix == ".gz" else raw)


def write_mnist(folder: Path, suffix: str = "") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    images, labels, test_images, test_labels = (folder / f"{name}{suffix}" for name in IDX_FILES)
    write_idx(images, np.full((6, 28, 28), 255))
    write_idx(labels, np.arange(6))
    write_idx(test_images, np.full((3, 28, 28), 51))
    write_idx(test_labels, np.arange(3))


# ---- built-in sources

IMAGE_PORTS = {"image": port(1, 8, 8)}, {"digit": port(classes=10)}


def test_digits_are_images_in_0_to_1_with_a_fifth_held_out() -> None:
    data = load(training(source("digits")), *IMAGE_PORTS, Path())
    assert data.test is not None and data.validation is None
    assert data.train["image"].shape == (1438, 1, 8, 8) and data.test["image"].shape == (359, 1, 8, 8)
    assert data.train["image"].dtype == np.float32 and data.train["digit"].dtype == np.int64
    assert (data.train["image"].min(), data.train["image"].max()) == (0, 1)


def test_the_held_out_fifth_does_not_move_with_the_seed() -> None:
    one, two = (load(training(source("digits"), seed=seed), *IMAGE_PORTS, Path()) for seed in (0, 1))
    assert one.test and two.test and np.array_equal(one.test["image"], two.test["image"])


@pytest.mark.parametrize(("name", "features", "target"), [
    ("iris", 4, port(classes=3)), ("wine", 13, port(classes=3)), ("breast_cancer", 30, port(classes=2)), ("diabetes", 10, port()),
])  # fmt: skip
def test_a_table_of_scikit_learn_gives_x_and_y(name: str, features: int, target: Type) -> None:
    fields = read(source(name), {"x": port(features), "y": target}, Path())
    assert fields["x"].shape[1:] == (features,) and fields["y"].shape == (len(fields["x"]),)


def test_a_field_is_mapped_to_a_port_of_another_name_and_shape() -> None:
    fields = read(source("digits", pixels="image", label="digit"), {"pixels": port(64), "label": port(classes=10)}, Path())
    plain = read(source("digits"), {"image": port(1, 8, 8)}, Path())
    assert np.array_equal(fields["pixels"], plain["image"].reshape(-1, 64))


def test_float64_is_not_rounded_through_float32() -> None:
    assert read(source("diabetes"), {"y": port(), "x": port(10)}, Path(), dtype="float64")["x"].dtype == np.float64
    values = read(inline(x=(0.1, 0.2)), {"x": port()}, Path(), dtype="float64")["x"]
    assert values[0] == 0.1


def test_without_scikit_learn_the_install_command_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    found = mistake(lambda: read(source("iris"), {"x": port(4)}, Path()))
    assert (found.code, found.span) == ("E304", SPEC)
    assert "pip install 'nnspec[data]'" in found.help


def test_a_bundled_source_refuses_a_data_file() -> None:
    assert mistake(lambda: load(training(source("iris")), {"x": port(4)}, {}, Path(), "other.csv")).code == "E302"


# ---- IDX files

MNIST_PORTS = {"image": port(1, 28, 28)}, {"digit": port(classes=10)}


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_idx_files_are_read_plain_and_compressed(tmp_path: Path, name: str, suffix: str) -> None:
    write_mnist(tmp_path, suffix)
    data = load(training(source(name)), *MNIST_PORTS, Path(), str(tmp_path)).as_arrays()
    assert data.test is not None
    assert data.train["image"].shape == (6, 1, 28, 28) and data.train["image"].max() == 1
    assert np.allclose(data.test["image"], 0.2) and data.test["digit"].tolist() == [0, 1, 2]
    assert len(read(source(name), MNIST_PORTS[0], Path(), str(tmp_path))["image"]) == 9


def test_mnist_is_found_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    write_mnist(tmp_path / "nnspec" / "fashion_mnist")
    found = mistake(lambda: load(training(source("mnist")), *MNIST_PORTS, Path()))
    assert found.code == "E302" and "train-images-idx3-ubyte" in found.message and "--data DIR" in found.help
    assert load(training(source("fashion_mnist")), *MNIST_PORTS, Path()).test is not None


@pytest.mark.parametrize("damage", ["magic", "short", "long", "gzip", "huge", "empty"])
def test_a_damaged_idx_file_is_named(tmp_path: Path, damage: str) -> None:
    write_mnist(tmp_path, ".gz" if damage == "gzip" else "")
    path = tmp_path / (IDX_FILES[0] + (".gz" if damage == "gzip" else ""))
    content = path.read_bytes()
    huge = content[:4] + b"\xff" * 4 + content[8:]
    damaged = {"magic": b"x" + content, "short": content[:-1], "long": content + b"x", "gzip": content[:-20], "huge": huge, "empty": b""}
    path.write_bytes(damaged[damage])
    found = mistake(lambda: load(training(source("mnist")), *MNIST_PORTS, Path(), str(tmp_path)))
    assert found.code == "E309" and IDX_FILES[0] in found.message


def test_mnist_as_it_is_published() -> None:
    if not MNIST.is_dir():
        pytest.skip(f"no MNIST in {MNIST}")
    data = load(training(source("mnist"), validation=0.1), *MNIST_PORTS, Path(), str(MNIST))
    assert data.validation and data.test
    assert [len(part["digit"]) for part in (data.train, data.validation, data.test)] == [54_000, 6_000, 10_000]
    assert data.test["digit"][:5].tolist() == [7, 2, 1, 0, 4]


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


# ---- binding


def test_a_port_without_a_field_gets_a_suggestion(tmp_path: Path) -> None:
    found = mistake(lambda: read(source("digits"), {"imag": port(64)}, Path()))
    assert (found.code, found.span) == ("E307", SPEC)
    assert "did you mean `image`?" in found.help and "`digit`" in found.help
    found = mistake(lambda: read_text(tmp_path, FLOWERS, {"x": port(2)}, x=("length", "widht")))
    assert (found.code, found.span) == ("E307", X_PLACE) and "did you mean `width`?" in found.help


def test_data_for_a_port_that_the_model_lacks_is_refused_in_training_only() -> None:
    wide = inline(x=(1, 2), Y=(0, 1))
    assert read(wide, {"x": port()}, Path())["x"].tolist() == [1, 2]
    found = mistake(lambda: load(training(wide), {"x": port()}, {"y": port(classes=2)}, Path()))
    assert found.code == "E307" and "did you mean `y`?" in found.help


def test_data_on_the_command_line_replaces_the_file_and_keeps_the_columns(tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text("a,b\n1,2\n")
    np.savez(tmp_path / "new.npz", a=[3.0], b=[4.0])
    block = training(source("csv", "old.csv", x=("a", "b")))
    for name, expected in (("new.csv", [[1, 2]]), ("new.npz", [[3, 4]])):
        assert load(block, {"x": port(2)}, {}, Path("elsewhere"), str(tmp_path / name)).train["x"].tolist() == expected


def test_a_train_block_without_data_takes_it_from_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text("x\n1\n2\n")
    assert load(training(), {"x": port()}, {}, Path("elsewhere"), str(tmp_path / "new.csv")).train["x"].tolist() == [1, 2]
    assert mistake(lambda: load(training(), {"x": port()}, {}, Path())).code == "E302"


def test_a_path_is_a_source_by_its_suffix() -> None:
    assert [source_from_path(p).name for p in ("a.csv", "b/c.NPZ")] == ["csv", "npz"]
    found = mistake(lambda: source_from_path("a.txt"))
    assert found.code == "E302" and found.span and found.span.source.name == "--data" and found.span.text == "a.txt"


# ---- checks


@pytest.mark.parametrize(("values", "ports", "code", "part"), [
    ({"x": ((1, 2), (3, 4))}, {"x": port(3)}, "E303", "`x` is declared [3], and an example of its data is [2]"),
    ({"x": ((1, 2), (3,))}, {"x": port(2)}, "E303", "do not all have the same shape"),
    ({"x": 3}, {"x": port()}, "E303", "single value"),
    ({"x": np.zeros((2, 3, 4))}, {"x": port(4, 3)}, "E303", "[4, 3]"),
    ({"x": ((1, 2),), "y": ((1,),)}, {"x": port(Size.named("T")), "y": port(Size.named("T"))}, "E303", "[T] with T = 2"),
    ({"x": (0, 1, 2)}, {"x": port(classes=2)}, "E305", "row 3: 2, and class(2) takes 0 to 1"),
    ({"x": (0, -1)}, {"x": port(classes=2)}, "E305", "row 2: -1"),
    ({"x": (0, 0.5)}, {"x": port(classes=2)}, "E305", "row 2: 0.5"),
    ({"x": ((1, 2), (3, 4.5))}, {"x": port(2, dtype="int64")}, "E305", "row 2, column 2: 4.5"),
    ({"x": (1e300, 0.0)}, {"x": port(dtype="int64")}, "E305", "row 1"),
    ({"x": (True, 2)}, {"x": port(dtype="bool")}, "E305", "row 2: 2"),
    ({"x": (0.0, np.nan)}, {"x": port(classes=2)}, "E306", "row 2: nan"),
    ({"x": ((1, 2), (3, np.inf))}, {"x": port(2)}, "E306", "row 2, column 2: inf"),
    ({"x": (1, 1e39)}, {"x": port()}, "E306", "does not fit into float32"),
    ({"x": np.full((1, 2, 2), np.nan)}, {"x": port(2, 2)}, "E306", "row 1, at [1, 1]"),
    ({"x": (1, None)}, {"x": port()}, "E306", "row 2"),
    ({"x": (1, 2)}, {"y": port()}, "E307", "`y`"),
    ({"x": (1, 2), "y": (1,)}, {"x": port(), "y": port()}, "E308", "`y` has 1 examples, and `x` has 2"),
    ({"x": ()}, {"x": port(2)}, "E308", "no examples"),
    ({"x": (1, "a")}, {"x": port()}, "E309", "neither"),
    ({"x": ("a", "b")}, {"x": port()}, "E309", "text: `a`"),
    ({"x": (1j, 2)}, {"x": port()}, "E309", "complex"),
    ({"x": object()}, {"x": port()}, "E309", "neither"),
    ({"x": {"a": 1}}, {"x": port()}, "E309", "neither"),
])  # fmt: skip
def test_data_that_does_not_fit_is_refused(values: dict[str, Any], ports: dict[str, Type], code: str, part: str) -> None:
    found = mistake(lambda: check(values, ports, SPEC, "float32"))
    assert (found.code, found.span) == (code, SPEC)
    assert part in found.message


def test_the_mistake_is_shown_at_the_field_that_has_it() -> None:
    found = mistake(lambda: read(inline(x=(1, 2), y=(0, 2)), {"x": port(), "y": port(classes=2)}, Path()))
    assert (found.code, found.span) == ("E305", Y_PLACE)


def test_labels_that_start_at_1_get_the_advice() -> None:
    assert "subtract 1" in mistake(lambda: check({"y": [1, 2, 3]}, {"y": port(classes=3)}, None, "float32")).help


def test_arrays_come_out_as_the_engine_takes_them() -> None:
    values = {"x": np.asfortranarray(np.ones((3, 2))), "y": [0.0, 1.0, 2.0], "z": [1, 0, 1], "n": np.array([1, 2, 3], dtype=np.uint64)}
    ports = {"x": port(2), "y": port(classes=3), "z": port(dtype="bool"), "n": port(dtype="int64")}
    fields = check(values, ports, None, "float32")
    assert [fields[n].dtype.name for n in ports] == ["float32", "int64", "bool", "int64"]
    assert all(a.flags.c_contiguous for a in fields.values())


def test_an_example_of_another_rank_is_reshaped_row_by_row() -> None:
    flat = np.arange(24.0).reshape(2, 12)
    assert np.array_equal(check({"x": flat}, {"x": port(1, 3, 4)}, None, "float32")["x"], flat.reshape(2, 1, 3, 4))
    assert check({"x": flat.reshape(2, 3, 4)}, {"x": port(12)}, None, "float32")["x"].tolist() == flat.tolist()


def test_a_named_size_takes_any_length() -> None:
    T = Size.named("T")
    fields = check({"x": np.zeros((2, 5)), "y": np.zeros((2, 7))}, {"x": port(T - 2), "y": port(T)}, None, "float32")
    assert fields["x"].shape == (2, 5)
    assert mistake(lambda: check({"x": np.zeros((2, 5, 1))}, {"x": port(T)}, None, "float32")).code == "E303"


# ---- splits

TEN = inline(x=tuple(range(10)))


def split(**settings: Any) -> list[Any]:
    data: Dataset = load(training(TEN, **settings), {"x": port()}, {}, Path())
    return [part and part["x"].tolist() for part in (data.train, data.validation, data.test)]


def test_without_fractions_everything_is_trained_on_in_order() -> None:
    assert split() == [list(range(10)), None, None]


def test_fractions_cut_the_examples_without_overlap() -> None:
    train, validation, test = split(validation=0.2, test=0.3)
    assert train and validation and test
    assert (len(train), len(validation), len(test)) == (5, 2, 3)
    assert sorted(train + validation + test) == list(range(10))


def test_a_split_depends_on_the_seed_only() -> None:
    assert split(validation=0.5) == split(validation=0.5)
    assert split(validation=0.5) != split(validation=0.5, seed=1)


def test_asking_for_a_test_part_does_not_move_the_validation_part() -> None:
    assert split(validation=0.2)[1] == split(validation=0.2, test=0.3)[1]


def test_a_part_can_be_a_source_of_its_own() -> None:
    assert split(validation=inline(x=(20, 21)), test=inline(x=(30,))) == [list(range(10)), [20, 21], [30]]


def test_a_source_named_for_the_test_gives_what_it_holds_out() -> None:
    own, named = (load(training(source("digits"), test=t), *IMAGE_PORTS, Path()).test for t in (None, source("digits")))
    assert own and named and np.array_equal(own["image"], named["image"])


@pytest.mark.parametrize("settings", [{"validation": 0.01}, {"test": 0.01}, {"validation": 0.5, "test": 0.5}, {"validation": 0.99}])
def test_a_part_without_examples_is_refused(settings: dict[str, float]) -> None:
    places = dict.fromkeys(settings, X_PLACE)
    found = mistake(lambda: split(**settings, spans=places))
    assert (found.code, found.span) == ("E308", X_PLACE)
    assert ("is one of them" if settings in ({"validation": 0.01}, {"test": 0.01}) else "less than 1") in found.help


def test_the_help_for_a_part_without_examples_gives_it_one() -> None:
    found = mistake(lambda: split(validation=0.01))
    assert found.help == "validation 0.1 is one of them"
    assert len(split(validation=0.1)[1]) == 1


# ---- the pages of the errors

PAGES = [ROOT / "nnspec" / "errors" / f"E{number}.md" for number in range(302, 312)]


def page_examples(page: Path) -> list[tuple[str, str | None]]:
    """Each spec of an error page, with the `data.csv` that follows it, if one does."""
    blocks = re.findall(r"```nn\n(.*?)```(?:\s*```csv\n(.*?)```)?", page.read_text(), re.DOTALL)
    return [(spec, csv or None) for spec, csv in blocks]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_the_wrong_example_of_an_error_page_gives_its_code_and_the_right_one_none(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    codes = []
    for i, (spec, csv) in enumerate(page_examples(page)):
        folder = tmp_path / str(i)
        folder.mkdir()
        if csv:
            (folder / "data.csv").write_text(csv)
        codes.append(code_of(spec, folder))
    assert codes == [page.stem, None]


def code_of(spec: str, folder: Path) -> str | None:
    compilation = Compilation(Source("page.nn", spec), {}).checked()
    try:
        load(compilation.trainings[0], compilation.model.inputs, compilation.model.targets, folder)
    except Fault as caught:
        return caught.diagnostic.code
    return None
