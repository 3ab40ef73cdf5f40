"""npy files as fields: an array, a structured one, a folder; and how each damage is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data_cases import mistake, port, source

import nnspec
from nnspec.diagnostics import Fault, SpecError
from nnspec.graph import Type
from nnspec.limits import limited
from nnspec.train.check import Fields
from nnspec.train.data import read
from nnspec.train.sources import open_source

TWO = {"x": port(2)}


def read_npy(folder: Path, ports: dict[str, Type] = TWO, path: str = "t.npy", **fields: Any) -> Fields:
    return read(source("npy", path, **{"x": "array", **fields}), ports, folder)


def test_a_plain_array_is_one_field(tmp_path: Path) -> None:
    np.save(tmp_path / "t.npy", np.asfortranarray([[1, 2], [3, 4], [5, 6]]))
    assert read_npy(tmp_path)["x"].tolist() == [[1, 2], [3, 4], [5, 6]]


def test_the_columns_of_a_structured_array_are_fields(tmp_path: Path) -> None:
    np.save(tmp_path / "t.npy", np.array([(1, [2, 3], "b"), (4, [5, 6], "a")], [("n", "i1"), ("pair", ">f4", 2), ("kind", "U4")]))
    fields = read_npy(tmp_path, {**TWO, "y": port(classes=2), "n": port()}, x="pair", y="kind", n="n")
    assert fields["x"].tolist() == [[2, 3], [5, 6]] and fields["y"].tolist() == [1, 0] and fields["n"].tolist() == [1, 4]


def test_each_file_of_a_folder_is_a_field_and_may_be_given_as_data(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        np.save(tmp_path / name / "x.npy", np.full((3, 2), len(name)))
        (tmp_path / name / "notes.txt").write_text("no field")
    assert list(open_source(source("npy", "one"), tmp_path).train) == ["x"]
    assert list(open_source(source("npy", "gone"), tmp_path, str(tmp_path / "two")).train) == ["x"]


def test_a_file_of_the_command_line_is_read_by_its_suffix(tmp_path: Path) -> None:
    np.save(tmp_path / "t.npy", np.ones((1, 2)))
    fields = read(source("npz", "old.npz", x="array"), TWO, tmp_path, str(tmp_path / "t.npy"))
    assert fields["x"].tolist() == [[1, 1]]


def test_a_folder_without_arrays_and_a_field_that_is_not_there_are_said(tmp_path: Path) -> None:
    assert mistake(lambda: read_npy(tmp_path, path=".")).code == "E308"
    assert mistake(lambda: read_npy(tmp_path)).code == "E302"
    np.save(tmp_path / "t.npy", np.ones((1, 2)))
    found = mistake(lambda: read_npy(tmp_path, x="aray"))
    assert found.code == "E307" and "did you mean `array`?" in found.help


@pytest.mark.parametrize("limit", [1 << 30, 1])
@pytest.mark.parametrize(("values", "code", "said"), [
    (np.float64(3), "E303", "single value"),
    (np.array([{}, {}], dtype=object), "E309", "Python objects"),
    (np.zeros((2, 3)), "E303", "declared [2]"),
    (np.zeros((0, 2)), "E308", "no examples"),
    (np.zeros((2, 2), complex), "E309", "complex"),
    (np.array([[0, np.inf], [0, 0]]), "E306", "t.npy, column `array`: `x`, row 1, column 2: inf"),
])  # fmt: skip
def test_what_an_array_may_not_hold_is_said_of_one_on_the_disk_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, values: Any, code: str, said: str, limit: int
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    np.save(tmp_path / "t.npy", values)
    with limited(data=limit):
        found = mistake(lambda: read_npy(tmp_path))
    if values.ndim == 0 and limit == 1:
        assert "--limit data=N" in found.help  # it is no row after the other, and is not read in parts
    else:
        assert found.code == code and said in found.message


ODD = [np.zeros((4, 3), kind) for kind in ("complex", "M8[s]", "m8[s]", "S2", "V4")]


@pytest.mark.parametrize("missing", [None, "drop", "mean"])
@pytest.mark.parametrize("ending", ["npy", "npz"])
@pytest.mark.parametrize("values", [*ODD, np.float64(3)], ids=lambda values: str(values.dtype))
@pytest.mark.parametrize("made", ["array[0:2]", "[array, array]", "2 * array", "array"])
def test_what_a_formula_or_a_column_beside_others_may_not_hold_is_said(
    made: str, values: np.ndarray, ending: str, missing: str | None, tmp_path: Path
) -> None:
    np.save(tmp_path / "t.npy", values)
    np.savez(tmp_path / "t.npz", array=values)
    option = f", missing = {missing}" if missing else ""
    model = "model M { input x: [2]  param w: [1] = 0  output z = w  loss sum(w) }"
    (tmp_path / "net.nn").write_text(f'{model} train {{ data {ending}("t.{ending}", x = {made}{option})  epochs 1  optimizer adam }}')
    with pytest.raises(SpecError) as caught:
        nnspec.load(tmp_path / "net.nn").dataset()
    (found,) = caught.value.diagnostics
    assert (found.code, "not numbers" in found.message) == (("E309", True) if values.ndim else ("E303", False)), found
    assert f"t.{ending}, column `array`: " in found.message


def test_columns_one_after_the_other_are_not_read_in_parts_and_it_is_said_what_to_do(tmp_path: Path) -> None:
    np.save(tmp_path / "t.npy", np.zeros((50, 2)).T.copy().T)
    with limited(data=100):
        found = mistake(lambda: read_npy(tmp_path))
    assert found.code == "E309" and 'np.save("t.npy", np.ascontiguousarray(array))' in found.help


def test_fields_of_other_lengths_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((50, 2)))
    np.save(tmp_path / "y.npy", np.zeros(49))
    for limit in (1 << 30, 100):
        with limited(data=limit):
            assert mistake(lambda: read_npy(tmp_path, {**TWO, "y": port()}, ".", x="x")).code == "E308"


def test_no_damage_to_an_npy_file_ends_in_a_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    np.save(tmp_path / "whole.npy", np.arange(60.0).reshape(30, 2))
    whole = (tmp_path / "whole.npy").read_bytes()
    rng = np.random.default_rng(0)
    codes = set()
    for number in range(400):
        damaged = bytearray(whole[: rng.integers(len(whole))] if rng.random() < 0.2 else whole)
        for _ in range(rng.integers(1, 4)):
            if damaged:
                damaged[rng.integers(min(128, len(damaged)))] = rng.integers(256)
        (tmp_path / "t.npy").write_bytes(damaged)
        try:
            with limited(data=1 << 30 if number % 2 else 64):
                read_npy(tmp_path)
        except Fault as caught:
            codes.add(caught.diagnostic.code)
    assert "E309" in codes and codes <= {"E303", "E306", "E308", "E309"}
