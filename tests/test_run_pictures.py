"""The pictures of a run: curves, confusion and mistakes."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from helpers import run

import nnspec
from nnspec.picture.look import width
from nnspec.train.epoch import Epoch
from nnspec.train.mistakes import EDGE, TILE, answers, confusion_svg, judged, mistakes_svg
from nnspec.train.pictures import draw_run
from nnspec.train.plot import HEIGHT, TOP, curves

TRUTH = np.array([0, 1, 2, 2, 1, 0])
SCORES = np.array([[5, 0, 0], [0, 1, 3], [0, 0, 4], [2, 0, 1], [0, 2, 0], [0, 9, 0]], float)


def texts(svg: ElementTree.Element) -> list[ElementTree.Element]:
    return [e for e in svg.iter() if e.tag.endswith("text")]


def words(svg: str) -> list[str]:
    return [e.text or "" for e in texts(ElementTree.fromstring(svg))]


@pytest.mark.parametrize(
    ("last", "highest", "below", "beside"),
    [
        (3, 1.62, ["1", "2", "3"], ["0", "0.5", "1", "1.5", "2"]),
        (13, 0.037, ["1", "2", "4", "6", "8", "10", "12", "13"], ["0", "0.01", "0.02", "0.03", "0.04"]),
        (2, 0.902, ["1", "2"], ["0", "0.2", "0.4", "0.6", "0.8", "1"]),
        (1, 0.5, ["1"], ["0", "0.1", "0.2", "0.3", "0.4", "0.5"]),
        (100, 7.0, ["1", "20", "40", "60", "80", "100"], ["0", "2", "4", "6", "8"]),
        (3, 0.0, ["1", "2", "3"], ["0", "0.2"]),
    ],
)
def test_axes_count_whole_epochs_from_first_to_last_and_round_numbers_around_all_values(
    last: int, highest: float, below: list[str], beside: list[str]
) -> None:
    chart = curves("a", {"loss": [(e, highest / e) for e in range(1, last + 1)]})
    assert re.findall(r'text-anchor="middle">([\d.]+)<', chart) == below
    assert re.findall(r'text-anchor="end">([\d.]+)<', chart) == beside
    heights = [float(y) for x, y in re.findall(r"([\d.]+),([\d.]+)", re.findall(r'points="([^"]*)"', chart)[0])]
    assert min(heights) >= TOP


def test_what_is_of_another_magnitude_has_axes_of_its_own_below() -> None:
    lines = {
        "val.rmse": [5e4, 4e3, 3e3],
        "val.r2": [-4.8, 0.9, 1.0],
        "val.mae": [4e4, 3e3, 2e3],
        "val.none": [np.nan] * 3,
        "val.zero": [0] * 3,
    }
    chart = curves("a", {name: [(e + 1, float(y)) for e, y in enumerate(ys)] for name, ys in lines.items()})
    drawn = [[float(y) for y in re.findall(r",([\d.]+)", points)] for points in re.findall(r'points="([^"]*)"', chart)]
    names = [word for word in words(chart) if word.startswith("val.")]
    rows = {name: {int(y // HEIGHT) for y in heights} for name, heights in zip(names, drawn, strict=True)}
    assert rows == {"val.rmse": {0}, "val.mae": {0}, "val.none: nan": set(), "val.zero": {0}, "val.r2": {1}}
    assert all(max(ys) - min(ys) > HEIGHT / 2 for ys in (drawn[0], drawn[1], drawn[-1]))
    assert words(chart).count("epoch") == 2 and f'viewBox="0 0 640 {2 * HEIGHT}"' in chart
    assert re.findall(r'text-anchor="middle">([\d.]+)<', chart) == ["1", "2", "3"] * 2


def test_confusion_is_that_of_scikit_learn() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    truth, scores = rng.integers(0, 5, 200), rng.standard_normal((200, 5))
    found = answers("y", truth, scores, None)
    assert np.array_equal(found.confusion, metrics.confusion_matrix(truth, scores.argmax(1)))
    assert f"y: {(truth == scores.argmax(1)).sum()} of 200 right; rows are true, columns said" in words(confusion_svg(found))


def test_the_worst_mistakes_are_those_it_was_surest_of() -> None:
    found = answers("y", TRUTH, SCORES, ["a", "b", "<c>"])
    assert found.worst.tolist() == [5, 1, 3]
    said = words(mistakes_svg(found, np.zeros((6, 1, 4, 4))))
    assert said == ["b (100 %)", "for a", "<c> (84 %)", "for b", "a (67 %)", "for <c>"]


@pytest.mark.parametrize("labels", [["no", "yes"], ["a", "b", "c"], ["a very long name", "a", "b"], ["日本語の分類の名前", "二", "三"]])
def test_text_stays_within_its_picture_and_beside_its_neighbours(labels: list[str]) -> None:
    truth, scores = np.arange(2000) % len(labels), np.random.default_rng(0).standard_normal((2000, len(labels)))
    found = answers("y", truth, scores, labels)
    confusion, mistakes = (ElementTree.fromstring(svg) for svg in (confusion_svg(found), mistakes_svg(found, np.zeros((2000, 1, 4, 4)))))
    title, *named = texts(confusion)
    assert float(title.get("x", 0)) + width(title.text or "", 12) <= float(confusion.get("width", 0))
    assert all(width(t.text or "", 12) <= EDGE - 6 for t in named if not (t.text or "").isdigit())
    for caption in texts(mistakes):
        sans = 0.92  # of the width of a monospaced font, at the most
        assert sans * width(caption.text or "", 12) <= TILE


def test_a_mistake_is_shown_as_its_image() -> None:
    image = pytest.importorskip("PIL.Image")
    pixels = np.random.default_rng(0).random((6, 3, 5, 5))
    svg = mistakes_svg(answers("y", TRUTH, SCORES, None), pixels)
    first = re.search(r"base64,([^\"]+)", svg)
    assert first
    shown = np.asarray(image.open(io.BytesIO(base64.b64decode(first[1]))))
    assert shown.shape == (110, 110, 3)
    expected = (pixels[5].transpose(1, 2, 0) - pixels.min()) / (pixels.max() - pixels.min()) * 255
    assert np.abs(shown[11::22, 11::22] - expected).max() <= 0.51


def test_only_a_class_of_each_example_is_judged() -> None:
    assert judged(nnspec.load("digits").spec) == {"digit": "probs"}
    for name in ("diabetes", "gpt", "autoencoder", "siamese"):
        assert not judged(nnspec.load(name).spec)


def test_a_training_leaves_its_pictures_and_the_command_draws_them_again(tmp_path: Path) -> None:
    assert run("train", "digits", "--epochs", "2", "--run", "r", cwd=tmp_path).returncode == 0
    names = ["confusion.svg", "dense.W.png", "loss.svg", "mistakes.svg"]
    written = {n: (tmp_path / "r" / n).read_bytes() for n in names}
    for name in names:
        (tmp_path / "r" / name).unlink()
    done = run("templates", "r", cwd=tmp_path)
    assert sorted(Path(line).name for line in done.stdout.splitlines()) == names, done.stderr
    assert {n: (tmp_path / "r" / n).read_bytes() for n in names} == written


def test_metrics_that_are_watched_have_their_curve(tmp_path: Path) -> None:
    spec = "model M { input x: [4]  target y: class(3)  output p = softmax(x -> dense(3))  loss nll(p, y)  metric accuracy(p, y) }\n"
    (tmp_path / "m.nn").write_text(spec + "train { data iris  validation 0.2  epochs 2  optimizer adam(lr = 0.01) }")
    assert run("train", "m.nn", "--run", "r", cwd=tmp_path).returncode == 0
    shown = (tmp_path / "r" / "metrics.svg").read_text("utf-8")
    assert "val.accuracy" in words(shown) and "val.loss" not in words(shown)
    assert not (tmp_path / "r" / "mistakes.svg").exists()


def test_each_of_several_losses_is_drawn_with_the_loss(tmp_path: Path) -> None:
    net = nnspec.loads("model M { input x: [2]  output y = x -> dense(2)  loss ce = sum(y^2)  loss l = mean(abs(y))  metric m = mean(y) }")
    epoch = Epoch(1, 1, 0.1, {"loss": 3.0, "ce": 2.0, "l": 1.0, "val.m": 0.5, "val.ce": 2.0, "val.l": 1.0, "val.loss": 3.0}, 0.1)
    draw_run(tmp_path, net.spec, [epoch, replace(epoch, number=2)], net.params)
    assert {"loss", "ce", "l", "val.ce", "val.l", "val.loss"} <= {*words((tmp_path / "loss.svg").read_text())}
    assert {"val.m"} == {*words((tmp_path / "metrics.svg").read_text())} & {*epoch.metrics}
