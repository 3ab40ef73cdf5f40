"""Sources that are computed or cut out of one long file or folder, from the text of the spec to the arrays."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from sklearn import model_selection

import nnspec
from nnspec.cli.main import cli
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


@pytest.mark.parametrize(("data", "code", "mended"), [
    ("a.csv", "E301", 'csv("a.csv")'),
    ('"a.npz"', "E301", 'npz("a.npz")'),
    ("data/a.parquet", "E301", 'parquet("data/a.parquet")'),
    ("csv(a.csv)", "E104", 'csv("a.csv")'),
    ("csv(data/a.csv, x = [p, q])", "E104", 'csv("data/a.csv", x = [p, q])'),
    ("series(a.csv, price, window = 2)", "E104", 'series("a.csv", price, window = 2)'),
])  # fmt: skip
def test_a_file_without_its_source_or_quotes_is_told_how_it_is_written(data: str, code: str, mended: str) -> None:
    found = mistake(data)
    assert found.code == code and found.fix
    text, at = spec(data), found.fix.span
    assert text[: at.start] + found.fix.text + text[at.end :] == spec(mended)
    assert found.fix.text.split(".")[0].strip('"') in found.help


def test_a_text_that_is_no_file_of_a_known_kind_is_told_what_reads_files() -> None:
    assert mistake('"notes"').help == 'a file is read by its source: `csv("FILE")`'


def test_a_network_learns_the_moons() -> None:
    hidden = POINTS.replace("x -> dense(2)", "x -> dense(16) -> tanh -> dense(2)") + "  metric accuracy(z, y)"
    net = nnspec.loads(spec("moons", hidden).replace("epochs 1 optimizer sgd(lr = 0.1)", "epochs 40 optimizer adam(lr = 0.02)"))
    data = net.dataset()
    net.fit()
    assert data.test and net.evaluate(data.test)["accuracy"] > 0.97


# ---- text

VERSE = "a rose is a rose is a rose" * 4
LETTERS = sorted(set(VERSE))
READER = "input text: class(7)[T]  target next: class(7)[T]  z = one_hot(text) -> dense(7)  output z  loss cross_entropy(z, next)"
GUESSER = "input text: class(7)[5]  target last: class(7)  z = one_hot(text) -> flatten -> dense(7)  output z  loss cross_entropy(z, last)"


def spelled(numbers: np.ndarray) -> str:
    return "".join(LETTERS[i] for i in np.ravel(numbers))


@pytest.fixture
def verse(tmp_path: Path) -> Path:
    (tmp_path / "verse.txt").write_text(VERSE)
    return tmp_path


def test_a_text_is_cut_into_windows_each_with_what_comes_next(verse: Path) -> None:
    data = dataset('text("verse.txt", window = 5)', READER, folder=verse)
    kept = VERSE[: len(VERSE) - len(VERSE) // 10]
    assert data.test and data.labels == {"text": LETTERS, "next": LETTERS}
    assert data.train["text"].shape == (18, 5)
    assert spelled(data.train["text"]) == kept[:90] and spelled(data.train["next"]) == kept[1:91]
    assert spelled(data.test["text"]) == VERSE[len(kept) :][:5]


def test_with_stride_1_every_character_is_guessed_from_those_before_it(verse: Path) -> None:
    data = dataset('text("verse.txt", window = 5, stride = 1)', GUESSER, folder=verse)
    assert data.test and len(data.train["text"]) == 94 - 5
    assert [spelled(w) for w in data.train["text"][:2]] == ["a ros", " rose"] and spelled(data.train["last"]) == VERSE[5:94]


def test_windows_that_overlap_are_views_of_the_text_and_validation_is_its_end(verse: Path) -> None:
    data = dataset('text("verse.txt", window = 5, stride = 1)', READER, settings="validation 0.2", folder=verse)
    assert data.validation and len(data.validation["text"]) == 18
    assert all(np.shares_memory(part["next"], part["text"]) for part in (data.train, data.validation))
    assert spelled(data.validation["text"][-1]) == VERSE[94 - 6 : 94 - 1]


def test_a_character_model_learns_from_windows_that_overlap(verse: Path) -> None:
    text = spec('text("verse.txt", window = 5, stride = 1)', GUESSER + "  metric accuracy(z, last)", "validation 0.1")
    (verse / "net.nn").write_text(text.replace("epochs 1 optimizer sgd(lr = 0.1)", "epochs 30 optimizer adam(lr = 0.05)"))
    net = nnspec.load(verse / "net.nn")
    assert net.fit().epochs[-1].metrics["val.accuracy"] == 1
    opened = nnspec.open(net.save(verse / "run"))
    guess = opened.predict(np.array([[LETTERS.index(c) for c in "a ros"]]))
    assert opened.labels["last"][int(guess.argmax())] == "e"
    assert np.array_equal(opened(text=[list("a ros")])["z"], guess)


def test_labels_of_arrays_are_kept_too() -> None:
    net = nnspec.loads(spec("xor", POINTS + "  metric accuracy(z, y)"))
    x = [[0.0, 1.0], [1.0, 0.0]]
    net.fit({"x": x, "y": ["no", "yes"]})
    assert net.labels == {"y": ["no", "yes"]}
    one, other = (net.evaluate({"x": x, "y": y})["accuracy"] for y in (["yes", "yes"], ["no", "no"]))
    assert one + other == 1


def test_another_text_is_numbered_by_the_alphabet_of_the_training(verse: Path) -> None:
    net = nnspec.Net(Compilation(Source("s.nn", spec('text("verse.txt", window = 5)', READER)), {}, folder=verse))
    net.fit()
    (verse / "other.txt").write_text("is is is is is is is")
    assert spelled(net.dataset(str(verse / "other.txt")).train["text"][0]) == "is is"
    (verse / "other.txt").write_text("is is is is xs is is")
    with pytest.raises(SpecError) as caught:
        net.dataset(str(verse / "other.txt"))
    assert caught.value.diagnostics[0].code == "E305" and "character 13: 'x'" in caught.value.diagnostics[0].message


@pytest.mark.parametrize(("text", "windows"), [("is is", 1), ("is is i", 1), ("is is is is", 2)])
def test_predictions_of_a_text_have_its_last_window_too(verse: Path, text: str, windows: int) -> None:
    net = nnspec.Net(Compilation(Source("s.nn", spec('text("verse.txt", window = 5)', READER)), {}, folder=verse))
    net.fit(run=verse / "run")
    (verse / "other.txt").write_text(text)
    done = CliRunner().invoke(cli, ["predict", str(verse / "run"), "--data", str(verse / "other.txt"), "-o", str(verse / "p.npz")])
    assert done.exit_code == 0 and len(next(iter(np.load(verse / "p.npz").values()))) == windows


def test_a_wrong_number_of_characters_is_said(verse: Path) -> None:
    found = mistake('text("verse.txt", window = 5)', READER.replace("(7)", "(65)"), verse)
    assert found.code == "E305" and "7 classes: ` `, `a`," in found.message and "class(7)" in found.help


@pytest.mark.parametrize(("content", "code"), [(b"abc", "E308"), (b"", "E308"), (b"abc\xff" * 9, "E309")])
def test_a_text_that_is_too_short_or_no_text_is_refused(tmp_path: Path, content: bytes, code: str) -> None:
    (tmp_path / "f.txt").write_bytes(content)
    assert mistake('text("f.txt", window = 5)', READER, tmp_path).code == code


@pytest.mark.parametrize(("data", "code"), [("text(window = 5)", "E103"), ('text("f.txt")', "E103"), ('text("f.txt", window = 0)', "E106")])
def test_a_text_needs_its_file_and_window(data: str, code: str) -> None:
    assert mistake(data, READER).code == code


# ---- series

FORECAST = "input x: [T, 1]  target y: [2]  z = mean(x, axis = 0) -> dense(2)  output z  loss half_mse(z, y)"


def test_a_series_is_windows_in_order_with_the_last_fifth_held_out(tmp_path: Path) -> None:
    (tmp_path / "f.csv").write_text("day,level\n" + "".join(f"{i},{i / 2}\n" for i in range(16)))
    data = dataset('series("f.csv", level, window = 4, horizon = 2)', FORECAST, folder=tmp_path)
    assert data.test and (len(data.train["x"]), len(data.test["x"])) == (8, 2)
    assert data.train["x"][1].tolist() == [[0.5], [1], [1.5], [2]] and data.train["y"][1].tolist() == [2.5, 3]
    assert data.test["y"][-1].tolist() == [7, 7.5]
    assert np.shares_memory(data.train["x"], data.test["x"])
    found = mistake('series("f.csv", levle, window = 4)', FORECAST, tmp_path)
    assert found.code == "E307" and "did you mean `level`?" in found.help
    assert mistake('series("f.csv", level, window = 16)', FORECAST, tmp_path).code == "E308"
    assert mistake('series("f.csv", window = 3)', FORECAST, tmp_path).code == "E103"
    assert mistake('series("f.csv", 3, window = 3)', FORECAST, tmp_path).code == "E106"


def test_predictions_of_a_series_go_on_beyond_its_end(tmp_path: Path) -> None:
    (tmp_path / "f.csv").write_text("level\n" + "".join(f"{i}\n" for i in range(16)))
    text = spec('series("f.csv", level, window = 4, horizon = 2)', FORECAST)
    net = nnspec.Net(Compilation(Source("s.nn", text), {}, folder=tmp_path))
    net.fit(run=tmp_path / "run")
    tables = {"all": "".join(f"{i}\n" for i in range(16)), "last": "12\n13\n14\n15\n", "short": "13\n14\n15\n"}
    for name, rows in tables.items():
        (tmp_path / f"{name}.csv").write_text(f"level\n{rows}")
    at = {name: str(tmp_path / f"{name}.csv") for name in tables}
    done = {n: CliRunner().invoke(cli, ["predict", str(tmp_path / "run"), "--data", at[n], "-o", f"{at[n]}.npz"]) for n in tables}
    everything, last = (np.load(f"{at[n]}.npz")["z"] for n in ("all", "last"))
    assert len(everything) == 13 and len(last) == 1 and np.allclose(everything[-1], last[0], atol=1e-6)
    assert np.allclose(everything, net.predict(np.lib.stride_tricks.sliding_window_view(np.arange(16.0), 4)[:, :, None]), atol=1e-5)
    assert "has 3 rows, too few for a window of 4" in str(done["short"].exception)
    judged = CliRunner().invoke(cli, ["eval", str(tmp_path / "run"), "--data", at["last"]])
    assert "has 4 rows, too few for a window of 4 and 2 after it" in str(judged.exception)


@pytest.mark.parametrize("horizon", [1, 2, 5])
@pytest.mark.parametrize("shares", ["", "validation 0.2", "test 0.3", "validation 0.2  test 0.3"])
def test_no_value_of_a_series_is_foreseen_in_two_parts(tmp_path: Path, horizon: int, shares: str) -> None:
    (tmp_path / "f.csv").write_text("level\n" + "".join(f"{i}\n" for i in range(50)))
    model = FORECAST.replace("[2]", f"[{horizon}]").replace("dense(2)", f"dense({horizon})")
    data = dataset(f'series("f.csv", level, window = 4, horizon = {horizon})', model, shares, folder=tmp_path)
    parts = [part["y"] for part in (data.train, data.validation, data.test) if part]
    assert len(parts) == 2 + (shares.count("0.") > 1 or "validation" in shares)
    assert all(later.min() == before.max() + 1 for before, later in itertools.pairwise(parts))


def test_the_gap_of_a_series_is_that_of_scikit_learn(tmp_path: Path) -> None:
    (tmp_path / "f.csv").write_text("level\n" + "".join(f"{i}\n" for i in range(30)))
    model = FORECAST.replace("[2]", "[3]").replace("(2)", "(3)")
    data = dataset('series("f.csv", level, window = 4, horizon = 3)', model, "test 0.25", folder=tmp_path)
    windows = np.arange(24)
    *_, (train, test) = model_selection.TimeSeriesSplit(2, test_size=6, gap=2).split(windows)
    assert data.test and [data.train["x"][:, 0, 0].tolist(), data.test["x"][:, 0, 0].tolist()] == [train.tolist(), test.tolist()]


def test_a_series_too_short_for_a_gap_holds_nothing_out(tmp_path: Path) -> None:
    (tmp_path / "f.csv").write_text("level\n" + "".join(f"{i}\n" for i in range(18)))
    model = FORECAST.replace("[2]", "[9]").replace("(2)", "(9)")
    data = dataset('series("f.csv", level, window = 4, horizon = 9)', model, folder=tmp_path)
    assert data.test is None and len(data.train["x"]) == 6
    found = mistake('series("f.csv", level, window = 4, horizon = 9)  test 0.3', model, tmp_path)
    assert found.code == "E308" and "8 between the parts are left out" in found.help


def test_windows_of_a_text_that_overlap_share_no_target_between_parts(verse: Path) -> None:
    whole, cut = (dataset('text("verse.txt", window = 5, stride = 2)', READER, shares, folder=verse) for shares in ("", "validation 0.3"))
    assert cut.validation
    trained, begin = len(cut.train["next"]), len(whole.train["next"]) - len(cut.validation["next"])
    assert 2 * (begin - trained) == 4  # windows that are left out begin 2 apart: the next one begins 6 after the last that is trained on
    assert [spelled(w) for w in cut.validation["next"]] == [spelled(w) for w in whole.train["next"][begin:]]


def test_one_step_ahead_is_one_number(tmp_path: Path) -> None:
    (tmp_path / "f.csv").write_text("a\n" + "".join(f"{i}\n" for i in range(10)))
    model = "input x: [3]  target y: []  z = x -> dense(1)  output z  loss half_mse(z, y)"
    data = dataset('series("f.csv", column = a, window = 3)', model, folder=tmp_path)
    assert data.train["x"][2].tolist() == [2, 3, 4] and data.train["y"].tolist() == [3, 4, 5, 6, 7, 8]
