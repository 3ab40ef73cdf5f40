"""The gallery does what it says: its tests hold, and the quick ones reach their figures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers import GALLERY, ROOT, tool

import nnspec
from nnspec.compile import Compilation
from nnspec.elaborate.library import public
from nnspec.gallery import COURSE, header, names, read
from nnspec.source import folder_of
from nnspec.testing import run_tests

QUICK = ("approximation", "diabetes", "heat", "iris", "linear_models", "logistic", "regression_1d", "rnn_series", "wine", "xor")


@pytest.mark.parametrize("name", GALLERY)
def test_its_tests_hold(name: str) -> None:
    assert not [o.test.title for o in run_tests(Compilation(read(name), {}, folder=folder_of(name))) if o.failures]


@pytest.mark.parametrize("name", GALLERY)
def test_it_opens_with_three_lines_about_it(name: str) -> None:
    assert len(header(read(name))) == 3


@pytest.mark.parametrize("name", GALLERY)
def test_a_run_of_it_is_opened_as_it_was_saved(name: str, tmp_path: Path) -> None:
    net = nnspec.load(name)
    opened = nnspec.open(net.save(tmp_path / "run"))
    found, expected = opened.engine.all_arrays(), net.engine.all_arrays()
    assert found.keys() == expected.keys()
    assert all(found[n].shape == a.shape and np.array_equal(found[n], a) for n, a in expected.items())


def test_numbers_alone_are_kept_as_what_they_are(tmp_path: Path) -> None:
    net = nnspec.loads("""
        layer counted(x) { param b: [] = 3  state n: [] = 0  if training { n <- n + 1 }  return x + b }
        model M { input x: [2]  target y: [2]  output z = x -> counted  loss mse(z, y) }
        train { epochs 1  optimizer adam(0.1) }
        """)
    for _ in range(3):
        net.step(x=np.ones((4, 2)), y=np.ones((4, 2)))
    opened = nnspec.open(net.save(tmp_path / "run"))
    assert (opened.states["counted.n"].shape, float(opened.states["counted.n"])) == ((), 3)
    assert opened.params["counted.b"] == net.params["counted.b"] != 3


@pytest.mark.parametrize("name", QUICK)
def test_a_quick_one_reaches_its_figure(name: str) -> None:
    figure = tool("figures")["FIGURES"][name]
    assert figure.holds(tool("figures")["measured"](name, figure, None))


def test_every_spec_has_its_place_in_the_course() -> None:
    assert sorted(names()) == GALLERY and names()[0] == "xor"


def test_the_readme_has_the_course_in_its_order() -> None:
    table = (ROOT / "README.md").read_text("utf-8").split("| spec | what it shows | reaches |\n")[1].split("\n\n")[0]
    rows = [[cell.strip() for cell in row.strip("|").split(" | ")] for row in table.splitlines()[1:]]
    specs = [(f"`{name}`", shows) for topic in COURSE.values() for name, shows in topic.items()]
    assert [(name, shows) for name, shows, *_ in rows if name.startswith("`")] == specs
    assert [name for name, *_ in rows if name.startswith("**")] == [f"**{topic}**" for topic in COURSE]


def test_every_figure_is_of_a_spec_of_the_gallery() -> None:
    assert set(tool("figures")["FIGURES"]) <= set(GALLERY)


def test_gradient_descent_finds_the_line_of_least_squares() -> None:
    net = nnspec.load("regression_1d")
    net.fit()
    data = net.dataset().train
    slope, intercept = np.polyfit(data["x"].astype("float64"), data["y"].astype("float64"), 1)
    assert f"{net.params['slope']:.4g} {net.params['intercept']:.4g}" == f"{slope:.4g} {intercept:.4g}" == "0.5001 3"


def test_three_linear_models_learn_the_plane_and_nothing_else() -> None:
    net = nnspec.load("linear_models")
    net.fit()
    np.testing.assert_allclose(net(x=[[10, 20], [0, 0]])["y_hat"], [[-39], [1]], atol=1e-4)


def test_every_optimizer_of_the_library_is_compared() -> None:
    assert set(tool("compare_optimizers")["RATES"]) == {name for kind, name in public() if kind == "optimizer"}
