"""Tables larger than memory: trained on from the disk to the same bits as in memory, within little of it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from helpers import ROOT

import nnspec
from nnspec.cli.main import cli
from nnspec.diagnostics import SpecError
from nnspec.limits import limited
from nnspec.run import fitting
from nnspec.run.stored import Stored
from nnspec.train import files

SPEC = """
model Plant {
  input  x: [3]
  target kind: class(3)
  h = x -> standardize -> dense(8) -> tanh -> dropout(0.2)
  logits = h -> dense(3)
  output probs = softmax(logits)
  loss   cross_entropy(logits, kind)
  metric accuracy(logits, kind)
}
train {
  data       SOURCE
  validation 0.2
  test       0.1
  batch      32
  epochs     2
  optimizer  adam(lr = 0.01)
}
"""
ROWS = 1000
SOURCES = {
    "parquet": 'parquet("t.parquet", x = [a, log(1 + b), one_hot(c, 3)[0]], kind = kind)',
    "npy": 'npy("t/", x = numbers * 2, kind = kind)',
    "structured": 'npy("t.npy", x = [a, log(1 + b), c], kind = kind)',
    "array": 'npy("plain.npy", x = array[0:3], kind = array[3])',
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same data in several kinds of file; a stretch is of a hundred rows or so."""
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(files, "MOST_ROWS", 97)
    monkeypatch.setattr(fitting, "NUMBERS", 700)
    rng = np.random.default_rng(0)
    a, b, number = rng.normal(5, 3, ROWS), rng.random(ROWS), rng.integers(0, 3, ROWS)
    kind = np.array(["ash", "elm", "oak"])[number]
    parquet.write_table(
        pyarrow.table({"a": a, "b": b, "c": number.astype(float), "kind": kind}), tmp_path / "t.parquet", row_group_size=300
    )
    (tmp_path / "t").mkdir()
    np.save(tmp_path / "t" / "numbers.npy", np.stack([a, b, number], axis=1))
    np.save(tmp_path / "t" / "kind.npy", kind)
    np.save(tmp_path / "plain.npy", np.stack([a, b, number * 0.5, number], axis=1).astype("float32"))
    rows = np.empty(ROWS, [("a", "f4"), ("b", ">f8"), ("c", "i2"), ("kind", "i8")])
    rows["a"], rows["b"], rows["c"], rows["kind"] = a, b, number, number
    np.save(tmp_path / "t.npy", rows)
    return tmp_path


def net(folder: Path, kind: str, **how: Any) -> nnspec.Net:
    (folder / "net.nn").write_text(SPEC.replace("SOURCE", SOURCES[kind]))
    return nnspec.load(folder / "net.nn", threads=1, **how)


@contextmanager
def on_disk() -> Iterator[None]:
    with limited(data=10_000):
        yield


def same(one: nnspec.Net, two: nnspec.Net) -> bool:
    return all(np.array_equal(v, two.engine.all_arrays()[n]) for n, v in one.engine.all_arrays().items())


@pytest.mark.parametrize("engine", ["numpy", "ort"])
@pytest.mark.parametrize("kind", SOURCES)
def test_a_training_from_the_disk_is_that_in_memory_to_the_last_bit(folder: Path, kind: str, engine: str) -> None:
    here, there = net(folder, kind, engine=engine), net(folder, kind, engine=engine)
    epochs = here.fit().epochs
    with on_disk():
        assert isinstance(there.dataset().train["x"], Stored)
        again = there.fit().epochs
        assert [e.metrics for e in again] == [e.metrics for e in epochs] and same(here, there)
        test = there.dataset().test
    assert there.labels == here.labels
    in_memory = here.dataset().test
    assert test and in_memory and all(np.array_equal(test[n], in_memory[n]) for n in test)
    assert there.evaluate(test) == here.evaluate(in_memory)
    assert np.array_equal(there.predict(test["x"]), here.predict(in_memory["x"]))
    assert not list((folder / "cache" / "nnspec").iterdir())


@pytest.mark.parametrize("kind", ["parquet", "array"])
def test_a_run_from_the_disk_is_gone_on_with_wherever_the_data_lie(folder: Path, kind: str) -> None:
    whole = net(folder, kind, engine="numpy")
    whole.fit(epochs=3)
    with on_disk():
        net(folder, kind, engine="numpy").fit(epochs=1, run=folder / "run")
    on = net(folder, kind, engine="numpy")
    on.fit(epochs=2, run=folder / "run", resume=True)
    with on_disk():
        last = net(folder, kind, engine="numpy")
        last.fit(epochs=3, run=folder / "run", resume=True)
    assert same(whole, last)


def test_states_fitted_in_stretches_are_those_of_the_whole_data(monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.random.default_rng(3).normal([5, -2, 1000], [1, 2, 3], (1000, 3))
    spec = """
      layer centre(x: [*s]) {
        state mu: [*s] = 0
        state n: [] = 0
        if fitting { mu <- batch_mean(x)  n <- mean(batch_var(x)) }
        return x - mu
      }
      model M { input x: [3]  y = x -> standardize as one -> centre as two  output z = tanh(y) -> centre as three  loss sum(z^2) }
      train { epochs 1  optimizer sgd(lr = 0) }
    """
    states = []
    for numbers in (1 << 21, 100, 7):
        monkeypatch.setattr(fitting, "NUMBERS", numbers)
        net = nnspec.loads(spec, dtype="float64")
        net.fit({"x": x})
        states.append(net.states)
    for name, expected in states[0].items():
        assert all(np.allclose(s[name], expected, rtol=1e-12, atol=1e-12) for s in states)
    assert np.allclose(states[1]["one.mu"], x.mean(0), rtol=1e-12) and np.allclose(states[2]["one.sigma"], x.std(0), rtol=1e-12)


def test_states_of_ranks_are_fitted_to_all_examples_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is drawn cannot be summed up in stretches, and is not."""
    spec = "model M { input x: []  state m: [] = 0  if fitting { m <- batch_mean(x + normal(0, 1)) }  output y = x - m  loss y^2 }"
    found = []
    for numbers in (1 << 21, 10):
        monkeypatch.setattr(fitting, "NUMBERS", numbers)
        net = nnspec.loads(spec + "train { epochs 1  optimizer sgd(lr = 0) }")
        net.fit({"x": np.arange(100.0)})
        found.append(float(net.states["m"]))
    assert found[0] == found[1]


@pytest.mark.parametrize(("damage", "code", "said"), [
    ({"a": (803, np.nan)}, "E306", "row 804, column 1: nan is not a finite number"),
    ({"kind": (900, "fir")}, "E305", "its data has 4 labels"),
])  # fmt: skip
def test_a_mistake_far_down_is_named_by_its_row(folder: Path, damage: dict[str, Any], code: str, said: str) -> None:
    for name, (row, value) in damage.items():
        path = folder / "t" / f"{'numbers' if name == 'a' else name}.npy"
        values = np.load(path)
        values[row] = value
        np.save(path, values)
    with on_disk(), pytest.raises(SpecError) as caught:
        net(folder, "npy").dataset()
    (found,) = caught.value.diagnostics
    assert found.code == code and said in found.message


def test_a_disk_without_room_is_said_before_it_is_full(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=ROWS * (3 * 4 + 8) - 1))
    with on_disk(), pytest.raises(SpecError, match=r"E540.*where 0.00 GiB are free"):
        net(folder, "npy").dataset()
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=ROWS * (3 * 4 + 8)))
    with on_disk():
        assert net(folder, "npy").dataset().test


def test_a_cache_that_cannot_be_written_is_named(folder: Path) -> None:
    (folder / "cache").write_text("a file")
    with on_disk(), pytest.raises(SpecError, match=r"cache/nnspec` cannot be written"):
        net(folder, "npy").dataset()


def test_the_command_says_where_the_data_are_read_from(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net(folder, "npy")
    monkeypatch.chdir(folder)
    said = CliRunner().invoke(cli, ["train", "net.nn", "--run", "run", "--limit", "data=10000"])
    assert (
        said.exit_code == 0 and f"1,000 rows would take 0.00 GiB of memory, and are read from {folder / 'cache' / 'nnspec'}" in said.output
    )
    with on_disk():
        for command in ("eval run", "templates run", "predict run -o p.csv", "export run --quantize int8 -o m.onnx"):
            done = CliRunner().invoke(cli, command.split())
            assert done.exit_code == 0, done.exception
    assert len(Path("p.csv").read_text().splitlines()) == 1 + ROWS // 10


def test_images_are_changed_as_they_are_shown(folder: Path) -> None:
    np.save(folder / "image.npy", np.random.default_rng(0).random((60, 1, 6, 6), np.float32))
    (folder / "net.nn").write_text(
        "model M { input image: [1, 6, 6]  output y = image -> conv(2, 3) -> flatten -> dense(2)  loss sum(y^2) }\n"
        'train { data npy("image.npy", image = array)  epochs 2  batch 16  augment image -> shift(1)  optimizer adam(lr = 0.01) }'
    )
    here, there = (nnspec.load(folder / "net.nn", engine="numpy", threads=2) for _ in range(2))
    here.fit()
    with limited(data=5000):
        assert isinstance(there.dataset().train["image"], Stored)
        there.fit()
    assert same(here, there)


def test_columns_that_have_whole_numbers_first_are_fractions_where_a_later_row_is(folder: Path) -> None:
    text = SPEC.replace("SOURCE", 'npy("t.npy", x = one_hot(a, 3), kind = kind)')
    rows = np.load(folder / "t.npy")
    rows["a"] = 1
    for last, said in ((1, ""), (1.5, "expected a class number")):
        rows["a"][-1] = last
        np.save(folder / "t.npy", rows)
        (folder / "net.nn").write_text(text)
        messages = []
        for limit in (1 << 30, 10_000):
            with limited(data=limit):
                try:
                    nnspec.load(folder / "net.nn").dataset()
                    messages.append("")
                except SpecError as error:
                    messages.append(error.diagnostics[0].message)
        assert messages[0] == messages[1] and messages[0].startswith(said) and bool(said) == bool(messages[0])


PEAK = """
import json, resource, sys
import pyarrow.parquet
import nnspec
from nnspec.limits import limited

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10

engine, spec = sys.argv[1:]
nnspec.load("warm.nn", engine=engine, threads=1).fit()
before = peak()
with limited(data=16 << 20):
    net = nnspec.load(spec, engine=engine, threads=1)
    net.fit()
    net.evaluate(net.dataset().test)
print(json.dumps([before, peak()]))
"""
WIDE, MIB = 200, 1 << 20
MODEL = f"model M {{ input x: [{WIDE}]  output y = x -> standardize -> dense(1)  loss sum(y^2) }}\n"


@pytest.mark.parametrize(("engine", "kind"), [("numpy", "npy"), ("ort", "parquet")])
def test_a_training_on_two_hundred_megabytes_takes_a_third_of_that_at_most(tmp_path: Path, engine: str, kind: str) -> None:
    rows, block = 200 * MIB // (4 * WIDE), np.random.default_rng(0).random((8192, WIDE), np.float32)
    if kind == "npy":
        np.lib.format.open_memmap(tmp_path / "t.npy", "w+", np.float32, (rows, WIDE))[:] = np.resize(block, (rows, WIDE))
    else:
        pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
        table = pyarrow.table({f"c{i}": np.ascontiguousarray(column) for i, column in enumerate(block.T)})
        with parquet.ParquetWriter(tmp_path / "t.parquet", table.schema, use_dictionary=False, compression="none") as writer:
            for _ in range(rows // len(block)):
                writer.write_table(table)
    assert (tmp_path / f"t.{kind}").stat().st_size > 195 * MIB
    np.save(tmp_path / "warm.npy", block[:2000])
    sources = {
        "npy": 'npy("t.npy", x = array)',
        "parquet": f'parquet("t.parquet", x = [{", ".join(f"c{i}" for i in range(WIDE))}])',
        "warm": 'npy("warm.npy", x = array)',
    }
    for name, source in sources.items():
        block_of = f"train {{ data {source}  test 0.2  batch 512  epochs 1  optimizer adam(lr = 0.01) }}"
        (tmp_path / f"{name}.nn").write_text(MODEL + block_of)
    done = subprocess.run(
        [sys.executable, "-c", PEAK, engine, f"{kind}.nn"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    before, after = json.loads(done.stdout)
    assert after - before < 70, (before, after)
