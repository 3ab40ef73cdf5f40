"""Sources that need an optional package: folders of images, and parquet."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import nnspec
from nnspec.cli.main import cli
from nnspec.diagnostics import Diagnostic, SpecError
from nnspec.train import parquet
from nnspec.train.data import Dataset

IMAGES = "input image: [{}]  target label: class(2)  z = image -> flatten -> dense(2)  output z  loss cross_entropy(z, label)"
TABLE = "input x: [2]  target y: class(2)  z = x -> dense(2)  output z  loss cross_entropy(z, y)"


def net(folder: Path, data: str, model: str) -> nnspec.Net:
    (folder / "net.nn").write_text(f"model M {{ {model} }} train {{ data {data} epochs 1 optimizer sgd(lr = 0.1) }}")
    return nnspec.load(folder / "net.nn")


def dataset(folder: Path, data: str, model: str) -> Dataset:
    return net(folder, data, model).dataset()


def mistake(folder: Path, data: str, model: str) -> Diagnostic:
    with pytest.raises(SpecError) as caught:
        dataset(folder, data, model)
    (d,) = caught.value.diagnostics
    return d


# ---- images


def write(path: Path, pixels: Any) -> None:
    image = pytest.importorskip("PIL.Image")
    path.parent.mkdir(parents=True, exist_ok=True)
    image.fromarray(np.asarray(pixels, np.uint8)).save(path)


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """Ten grey images, 4 by 3: cats dark, dogs light, each with its number in the corner."""
    for name, value in (("dog", 200), ("cat", 51)):
        for i in range(5):
            pixels = np.full((4, 3), value)
            pixels[0, 2] = i
            write(tmp_path / "pets" / name / f"{i}.png", pixels)
    (tmp_path / "pets" / ".hidden").mkdir()
    return tmp_path


def test_a_folder_of_folders_is_images_with_labels_in_the_order_of_the_names(pets: Path) -> None:
    data = dataset(pets, 'images("pets/")', IMAGES.format("1, 4, 3"))
    assert data.test and (len(data.train["image"]), len(data.test["image"])) == (8, 2)
    for part in (data.train, data.test):
        assert part["image"].shape[1:] == (1, 4, 3) and part["image"].dtype == np.float32
        assert np.allclose(part["image"][:, 0, 3, 0], np.where(part["label"] == 0, 0.2, 200 / 255))
    assert data.train["image"][:, 0, 0, 2].max() <= 4 / 255
    assert data.labels == {"label": ["cat", "dog"]}


def test_one_coloured_image_makes_all_coloured(pets: Path) -> None:
    red = np.zeros((4, 3, 3))
    red[:, :, 0] = 255
    write(pets / "pets" / "cat" / "0.png", red)
    parts = dataset(pets, 'images("pets")', IMAGES.format("3, 4, 3"))
    assert parts.test
    images = np.concatenate([parts.train["image"], parts.test["image"]])
    assert sorted(images[:, :, 1, 0].tolist())[-1] == [1, 0, 0]
    grey = images[images[:, 2, 1, 0] > 0]
    assert len(grey) == 9 and np.allclose(grey[:, 0], grey[:, 2])


def test_grey_images_are_read_in_the_colours_that_an_input_declares(pets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(pets)
    grey, coloured = (dataset(pets, 'images("pets")', IMAGES.format(f"{n}, 4, 3")).train["image"] for n in (1, 3))
    assert np.array_equal(coloured, grey.repeat(3, axis=1))
    write(pets / "pets" / "cat" / "0.png", np.full((4, 3, 3), (255, 0, 0)))
    net(pets, 'images("pets")', IMAGES.format("3, 4, 3")).fit(run="run")
    for command in (["predict", "run", "--data", "pets/dog", "-o", "p.csv"], ["eval", "run", "--data", "pets"]):
        assert CliRunner().invoke(cli, command).exit_code == 0
    assert len(Path("p.csv").read_text().splitlines()) == 6


def test_channels_makes_images_grey_or_coloured(pets: Path) -> None:
    write(pets / "pets" / "cat" / "0.png", np.full((4, 3, 3), (255, 0, 0)))
    found = mistake(pets, 'images("pets")', IMAGES.format("1, 4, 3"))
    assert (found.code, found.help) == ("E303", "`channels = 1` makes them grey")
    red = pytest.importorskip("PIL.Image").new("RGB", (1, 1), (255, 0, 0)).convert("L").getpixel((0, 0))
    parts = dataset(pets, 'images("pets", channels = 1)', IMAGES.format("1, 4, 3"))
    assert any(np.allclose(part["image"][0, 0, :2, :2] * 255, red) for part in (parts.train, parts.test) if part)
    model = IMAGES.format("C, 4, 3").replace("image -> flatten", "mean(image, axis = 0) -> flatten")
    (pets / "pets" / "cat" / "0.png").unlink()
    assert [dataset(pets, f'images("pets"{n})', model).train["image"].shape[1] for n in ("", ", channels = 3")] == [1, 3]
    assert mistake(pets, 'images("pets", channels = 2)', IMAGES.format("1, 4, 3")).message == "`channels` is 1 or 3, not 2"


def test_size_brings_images_to_one_size(pets: Path) -> None:
    write(pets / "pets" / "cat" / "0.png", np.full((9, 9), 51))
    found = mistake(pets, 'images("pets")', IMAGES.format("1, 4, 3"))
    assert found.code == "E303" and "size = [9, 9]" in found.help
    parts = dataset(pets, 'images("pets", size = [2, 2])', IMAGES.format("1, 2, 2"))
    assert np.allclose(parts.train["image"][parts.train["label"] == 0][:, 0, 1, 0], 0.2, atol=0.01)


@pytest.mark.parametrize("suffix", ["jpg", "png", "tiff", "webp"])
@pytest.mark.parametrize("orientation", [1, 2, 3, 4, 5, 6, 7, 8, 99])
def test_a_photograph_is_turned_upright(tmp_path: Path, suffix: str, orientation: int) -> None:
    """As the function of Pillow's for it does."""
    image, ops = pytest.importorskip("PIL.Image"), pytest.importorskip("PIL.ImageOps")
    exif = image.Exif()
    exif[0x0112] = orientation
    (tmp_path / "photos").mkdir()
    path = tmp_path / "photos" / f"a.{suffix}"
    image.fromarray(np.arange(16 * 8 * 3, dtype=np.uint8).reshape(16, 8, 3)).save(path, exif=exif)
    expected = np.asarray(ops.exif_transpose(image.open(path)))
    height, width = expected.shape[:2]
    model = f"input image: [3, {height}, {width}]  output z = image -> flatten -> dense(1)  loss sum(z)"
    found = dataset(tmp_path, 'images("photos")', model).train["image"][0]
    assert np.array_equal(found, np.moveaxis(expected, 2, 0) / np.float32(255))


def test_an_image_is_brought_to_its_size_as_the_reference_says(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    pixels = np.random.default_rng(0).integers(0, 256, (9, 5, 4)).astype(np.uint8)
    write(tmp_path / "photos" / "a.png", pixels)
    model = "input image: [3, 4, 6]  output z = image -> flatten -> dense(1)  loss sum(z)"
    found = dataset(tmp_path, 'images("photos", size = [4, 6])', model).train["image"][0]
    expected = np.asarray(image.fromarray(pixels[..., :3]).resize((6, 4), image.Resampling.BILINEAR)) / np.float32(255)
    assert np.array_equal(found, np.moveaxis(expected, 2, 0))


def test_other_folders_are_numbered_by_the_classes_of_the_training(pets: Path) -> None:
    trained = net(pets, 'images("pets")', IMAGES.format("1, 4, 3"))
    trained.fit()
    write(pets / "more" / "dog" / "1.png", np.full((4, 3), 200))
    assert trained.dataset(str(pets / "more")).train["label"].tolist() == [1]
    write(pets / "more" / "cow" / "1.png", np.full((4, 3), 200))
    with pytest.raises(SpecError, match="cow"):
        trained.dataset(str(pets / "more"))


def test_images_without_labels_are_predicted_and_each_row_says_its_file(pets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    monkeypatch.chdir(pets)
    trained = net(pets, 'images("pets")', IMAGES.format("1, 4, 3"))
    trained.fit(run="run")
    names = [f"{i}-{i % 3}.png" for i in range(7)]
    for i, name in enumerate(names):
        write(pets / "new" / name, np.full((4, 3), 30 * i))
    expected = trained.predict(np.full((7, 1, 4, 3), 30 * np.arange(7)[:, None, None, None] / 255, np.float32))
    for data, files, rows in (("new", names, expected), ("pets", [f"{c}/{i}.png" for c in ("cat", "dog") for i in range(5)], None)):
        for suffix in ("csv", "parquet", "npz"):
            done = CliRunner().invoke(cli, ["predict", "run", "--data", data, "-o", f"{data}.{suffix}"])
            assert done.exit_code == 0, done.exception
        table = parquet.read_table(f"{data}.parquet").to_pydict()
        lines = [line.split(",") for line in Path(f"{data}.csv").read_text().splitlines()]
        assert lines[0] == ["file", "z_cat", "z_dog", "label"] == [*table]
        assert [line[0] for line in lines[1:]] == table["file"] == np.load(f"{data}.npz")["file"].tolist() == files
        found = np.load(f"{data}.npz")["z"]
        assert np.allclose(np.array(lines)[1:, 1:3].astype(float), found) and (rows is None or np.allclose(found, rows, atol=1e-5))
    images, labels = (np.concatenate([p[n] for p in (trained.dataset().train, trained.dataset().test or {})]) for n in ("image", "label"))
    both = trained.predict(images)
    assert np.allclose(both[np.lexsort((images[:, 0, 0, 2], labels))], found, atol=1e-5)
    refused = CliRunner().invoke(cli, ["eval", "run", "--data", "new"]).exception
    assert "the images lie in no folders, and have no `label`" in str(refused)


def test_classes_that_are_not_known_are_predicted_and_not_judged(pets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(pets)
    net(pets, 'images("pets")', IMAGES.format("1, 4, 3")).fit(run="run")
    for name in ("cow", "dog"):
        write(pets / "more" / name / "1.png", np.full((4, 3), 200))
    assert CliRunner().invoke(cli, ["predict", "run", "--data", "more", "-o", "p.csv"]).exit_code == 0
    assert [line.partition(",")[0] for line in Path("p.csv").read_text().splitlines()] == ["file", "cow/1.png", "dog/1.png"]
    refused = CliRunner().invoke(cli, ["eval", "run", "--data", "more"]).exception
    assert "more: the class `cow` is not one of the training data" in str(refused)


def test_one_image_is_predicted_by_itself(pets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(pets)
    net(pets, 'images("pets")', IMAGES.format("1, 4, 3")).fit(run="run")
    for data in ("pets", "pets/dog/1.png"):
        assert CliRunner().invoke(cli, ["predict", "run", "--data", data, "-o", f"{Path(data).name}.csv"]).exit_code == 0
    one, all_of_them = ([line.split(",") for line in Path(f"{name}.csv").read_text().splitlines()] for name in ("1.png", "pets"))
    (known,) = (row for row in all_of_them if row[0] == "dog/1.png")
    assert one[1][0] == "1.png" and len(one) == 2 and np.allclose([*map(float, one[1][1:3])], [*map(float, known[1:3])], atol=1e-6)
    for data, message in (("net.nn", "net.nn cannot be read"), ("no.png", "there is no folder, and no image,")):
        refused = CliRunner().invoke(cli, ["predict", "run", "--data", data, "-o", "p.csv"]).exception
        assert message in str(refused)


def test_images_without_labels_can_be_trained_on(pets: Path) -> None:
    alone = dataset(pets, 'images("pets/cat")', "input image: [1, 4, 3]  z = image -> dense(3)  output z  loss sum(z^2)")
    assert alone.test and (len(alone.train["image"]), len(alone.test["image"]), alone.labels) == (4, 1, {})


def test_a_link_out_of_the_folder_is_not_followed(pets: Path) -> None:
    write(pets / "secret.png", np.zeros((4, 3)))
    (pets / "pets" / "cat" / "link.png").symlink_to(pets / "secret.png")
    found = mistake(pets, 'images("pets")', IMAGES.format("1, 4, 3"))
    assert found.code == "E309" and "link.png" in found.message


@pytest.mark.parametrize(("damage", "code"), [
    ("text", "E309"), ("cut", "E309"), ("deep", "E309"), ("empty class", "E308"), ("third class", "E305"),
])  # fmt: skip
def test_what_is_wrong_in_a_folder_is_named(pets: Path, damage: str, code: str) -> None:
    cat = pets / "pets" / "cat"
    if damage == "text":
        (cat / "notes.txt").write_text("black, white")
    if damage == "cut":
        (cat / "0.png").write_bytes((cat / "0.png").read_bytes()[:45])
    if damage == "deep":
        pytest.importorskip("PIL.Image").fromarray(np.zeros((4, 3), np.uint16)).save(cat / "0.png")
    if damage == "empty class":
        (pets / "pets" / "cow").mkdir()
    if damage == "third class":
        write(pets / "pets" / "cow" / "0.png", np.zeros((4, 3)))
    found = mistake(pets, 'images("pets")', IMAGES.format("1, 4, 3"))
    named = {"text": "notes.txt", "cut": "0.png", "deep": "0.png", "empty class": "cow", "third class": "`cow`"}
    assert found.code == code and named[damage] in found.message


def test_a_folder_that_is_not_there_or_has_no_classes_is_refused(pets: Path) -> None:
    assert mistake(pets, 'images("pet")', IMAGES.format("1, 4, 3")).code == "E302"
    assert mistake(pets, 'images("pets/cat")', IMAGES.format("1, 4, 3")).code == "E308"
    assert mistake(pets, 'images("pets", size = 32)', IMAGES.format("1, 4, 3")).code == "E106"


@pytest.mark.parametrize(("module", "data", "extra"), [
    ("PIL.Image", 'images("pets")', "data"), ("pyarrow.parquet", 'parquet("net.nn")', "parquet"),
])  # fmt: skip
def test_without_its_package_the_install_command_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, data: str, extra: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    found = mistake(tmp_path, data, TABLE)
    assert found.code == "E304" and found.help == f"pip install 'nnspec[{extra}]'"


# ---- parquet


def write_parquet(path: Path, **columns: Any) -> None:
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pyarrow.table(columns), path)


def test_a_parquet_file_is_opened_once_however_many_columns_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_parquet(tmp_path / "t.parquet", **{f"c{i}": [float(i)] for i in range(20)})
    opened: list[Path] = []
    monkeypatch.setattr(parquet, "_opened", lambda path, *a, of=parquet._opened, **k: (opened.append(path), of(path, *a, **k))[1])
    assert [read().tolist() for read in parquet.read_parquet(tmp_path / "t.parquet", None).values()] == [[float(i)] for i in range(20)]
    assert len(opened) == 1


def test_columns_of_a_parquet_file_are_those_of_a_csv_file(tmp_path: Path) -> None:
    write_parquet(tmp_path / "t.parquet", a=[1, 2, 3], b=[0.5, 1.5, 2.5], kind=["red", "blue", "red"], day=[[1], [2], [3]])
    (tmp_path / "t.csv").write_text("a,b,kind\n1,0.5,red\n2,1.5,blue\n3,2.5,red\n")
    arguments = "x = [a, b * 2], y = kind"
    one, two = (dataset(tmp_path, f'{kind}("t.{kind}", {arguments})', TABLE) for kind in ("parquet", "csv"))
    assert one.labels == two.labels == {"y": ["blue", "red"]}
    assert all(np.array_equal(one.train[n], two.train[n]) and one.train[n].dtype == two.train[n].dtype for n in ("x", "y"))
    replaced = net(tmp_path, f'csv("gone.csv", {arguments})', TABLE).dataset(str(tmp_path / "t.parquet"))
    assert np.array_equal(replaced.train["x"], one.train["x"])


@pytest.mark.parametrize(("a", "code", "part"), [
    ([1, None, 3], "E306", "row 2, column `a`"), (["x", "", "y"], "E306", "row 2"), ([[1], [2], [3]], "E309", "list"),
    ([1.0, float("nan"), 2.0], "E306", "row 2"),
])  # fmt: skip
def test_a_cell_that_cannot_be_taken_is_named(tmp_path: Path, a: list[Any], code: str, part: str) -> None:
    write_parquet(tmp_path / "t.parquet", a=a, b=[1, 2, 3], y=[True, False, True])
    found = mistake(tmp_path, 'parquet("t.parquet", x = [a, b])', TABLE)
    assert found.code == code and part in found.message


def test_a_file_that_is_no_parquet_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    (tmp_path / "t.parquet").write_bytes(b"PAR1 nothing PAR1")
    assert mistake(tmp_path, 'parquet("t.parquet", x = [a, b])', TABLE).code == "E309"
    assert mistake(tmp_path, 'parquet("no.parquet", x = [a, b])', TABLE).code == "E302"
