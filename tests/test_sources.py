"""Sources that are computed or cut out of one long file or folder, from the text of the spec to the arrays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import nnspec
from nnspec.compile import Compilation
from nnspec.diagnostics import Diagnostic, Source, SpecError
from nnspec.train.data import Dataset

POINTS = "input x: [2]  target y: class(2)  z = x -> dense(2)  output z  loss cross_entropy(z, y)"


def spec(data: str, model: str = POINTS, settings: str = "") -> str:
    return f"model M {{ {model} }} train {{ data {data} epochs 1 optimizer sgd(lr = 0.1) {settings} }}"


def dataset(data: str, model: str = POINTS, settings: str = "", path: Path | None = None, folder: Path = Path()) -> Dataset:
    return nnspec.Net(Compilation(Source("s.nn", spec(data, model, settings)), {}, folder=folder)).dataset(path and str(path))


def mistake(data: str, model: str = POINTS, folder: Path = Path()) -> Diagnostic:
    with pytest.raises(SpecError) as caught:
        dataset(data, model, folder=folder)
    (d,) = caught.value.diagnostics
    return d


def test_xor_is_its_four_examples_and_holds_nothing_out() -> None:
    data = dataset("xor", "input x: [2]  target y: []  output z = x -> dense(1)  loss half_mse(z, y)")
    assert data.test is None
    assert data.train["x"].tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]] and data.train["y"].tolist() == [0, 1, 1, 0]
    assert dataset("xor").train["y"].tolist() == [0, 1, 1, 0]


@pytest.mark.parametrize("name", ["moons", "circles", "spirals"])
def test_points_come_in_two_equal_classes_with_a_fifth_held_out(name: str) -> None:
    one, two = dataset(name), dataset(f"{name}(n = 1000, noise = 0.1)", settings="seed 5")
    assert one.test and two.test
    assert (len(one.train["x"]), len(one.test["x"])) == (800, 200)
    assert one.train["y"].sum() + one.test["y"].sum() == 500
    assert np.array_equal(one.train["x"], two.train["x"]) and np.array_equal(one.test["y"], two.test["y"])


def whole(data: str) -> dict[str, np.ndarray]:
    found = dataset(data)
    assert found.test
    return {n: np.concatenate([found.train[n], found.test[n]]) for n in found.train}


@pytest.mark.parametrize("name", ["moons", "circles"])
def test_moons_and_circles_are_those_of_scikit_learn(name: str) -> None:
    datasets = pytest.importorskip("sklearn.datasets")
    factor = {"factor": 0.5} if name == "circles" else {}
    x, y = getattr(datasets, f"make_{name}")(100, shuffle=False, **factor)
    found = whole(f"{name}(100, 0)")
    far = [np.abs(found["x"][found["y"] == c] - p).sum(1).min() for p, c in zip(x, y, strict=True)]
    assert max(far) < 1e-6


def test_noise_is_the_deviation_of_the_points_from_their_curve() -> None:
    found = whole("circles(n = 8000, noise = 0.05)")
    radius = np.hypot(*found["x"].T) - np.where(found["y"] == 0, 1, 0.5)
    assert abs(radius.std() - 0.05) < 0.002 and abs(radius.mean()) < 0.005


def test_a_spiral_grows_by_1_a_turn_and_the_other_lies_opposite() -> None:
    found = whole("spirals(n = 400, noise = 0, turns = 2)")
    radius, angle = np.hypot(*found["x"].T), np.arctan2(found["x"][:, 1], found["x"][:, 0]) / (2 * np.pi)
    assert abs(radius.max() - 2) < 1e-6
    away = (radius - angle - found["y"] / 2) % 1
    assert np.minimum(away, 1 - away)[radius > 0].max() < 1e-5


def test_the_number_of_points_is_a_formula() -> None:
    assert len(whole("moons(n = 2 * 10 + 1, noise = 1 / 10)")["x"]) == 21


@pytest.mark.parametrize(("data", "code", "part"), [
    ("moons(nois = 0.2)", "E102", "did you mean `noise`?"),
    ("moons(m = 2)", "E102", "its arguments are n, noise"),
    ("moons(n = 9)", "E106", ""),
    ("moons(n = 20.5)", "E106", ""),
    ("moons(n = 1e9)", "E106", ""),
    ("moons(noise = -1)", "E106", ""),
    ("moons(20, n = 30)", "E104", ""),
    ("moons(20, 0.1, 3)", "E104", ""),
    ("moons(turns = a)", "E307", ""),
    ("xor(4)", "E104", ""),
    ("moon", "E301", "did you mean `moons`?"),
])  # fmt: skip
def test_a_wrong_argument_of_a_source_is_refused(data: str, code: str, part: str) -> None:
    found = mistake(data)
    assert found.code == code and part in found.help


def test_a_network_learns_the_moons() -> None:
    hidden = POINTS.replace("x -> dense(2)", "x -> dense(16) -> tanh -> dense(2)") + "  metric accuracy(z, y)"
    net = nnspec.loads(spec("moons", hidden).replace("epochs 1 optimizer sgd(lr = 0.1)", "epochs 40 optimizer adam(lr = 0.02)"))
    data = net.dataset()
    net.fit_dataset(data)
    assert data.test and net.evaluate(data.test)["accuracy"] > 0.97
