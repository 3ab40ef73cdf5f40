"""Data sets that come with packages, and those of IDX files."""

from __future__ import annotations

import gzip
import sys
from pathlib import Path

import numpy as np
import pytest
from data_cases import IMAGE_PORTS, SPEC, inline, load, mistake, port, source, training
from helpers import MNIST

from nnspec.graph import Type
from nnspec.run.fractions import Fractions
from nnspec.train.data import read
from nnspec.train.sources import IDX_FILES


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


def test_digits_are_images_in_0_to_1_with_a_fifth_held_out() -> None:
    data = load(training(source("digits")), *IMAGE_PORTS, Path())
    assert data.test is not None and data.validation is None
    assert data.train["image"].shape == (1438, 1, 8, 8) and data.test["image"].shape == (359, 1, 8, 8)
    assert data.train["image"].dtype == np.float32 and data.train["digit"].dtype == np.int64
    assert (data.train["image"].min(), data.train["image"].max()) == (0, 1)


def test_the_held_out_fifth_does_not_move_with_the_seed() -> None:
    one, two = (load(training(source("digits"), seed=seed), *IMAGE_PORTS, Path()) for seed in (0, 1))
    assert one.test and two.test and np.array_equal(one.test["image"], two.test["image"])


@pytest.mark.parametrize(("test", "sizes"), [(None, (96, 24, 30)), (0.3, (75, 30, 45)), (0.5, (45, 30, 75))])
def test_a_share_for_the_test_is_of_all_examples(test: float | None, sizes: tuple[int, ...]) -> None:
    data = load(training(source("iris"), validation=0.2, test=test), {"x": port(4)}, {"y": port(classes=3)}, Path())
    parts = (data.train, data.validation, data.test)
    assert tuple(len(p["y"]) for p in parts if p) == sizes
    every = read(source("iris"), {"x": port(4)}, Path())["x"]
    assert sorted(row for p in parts if p for row in p["x"].tolist()) == sorted(every.tolist())


def test_what_is_watched_of_a_source_is_not_in_a_share_for_the_test() -> None:
    data = load(training(source("digits"), validation=source("digits"), test=0.25), *IMAGE_PORTS, Path())
    plain = load(training(source("digits")), *IMAGE_PORTS, Path())
    assert data.validation and plain.test and np.array_equal(data.validation["image"], plain.test["image"])
    assert data.test and (len(data.train["digit"]), len(data.test["digit"])) == (1438 - 360, 360)


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


def test_a_share_for_the_test_is_of_the_images_of_both_files(tmp_path: Path) -> None:
    write_mnist(tmp_path)
    data = load(training(source("mnist"), test=1 / 3), *MNIST_PORTS, Path(), str(tmp_path))
    assert data.test and isinstance(data.train["image"], Fractions)
    assert data.train["image"].shape == (6, 1, 28, 28) and data.test["image"].shape == (3, 1, 28, 28)
    shades = sorted(np.concatenate([np.asarray(part["image"])[:, 0, 0, 0] for part in (data.train, data.test)]).tolist())
    assert shades == pytest.approx([0.2] * 3 + [1] * 6)


def test_mnist_is_found_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    write_mnist(tmp_path / "nnspec" / "fashion_mnist")
    found = mistake(lambda: load(training(source("mnist")), *MNIST_PORTS, Path()))
    assert found.code == "E302" and "train-images-idx3-ubyte" in found.message and "--data DIR" in found.help
    assert "https://ossci-datasets.s3.amazonaws.com/mnist/ has them" in found.help
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
