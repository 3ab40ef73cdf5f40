"""Formulas over the fields of a data source."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import nnspec
from nnspec.diagnostics import Diagnostic, SpecError
from nnspec.train import formulas

TABLE = "a,b,kind\n1,2.5,0\n4,-1,2\n9,0.5,1\n16,3,2\n"


def columns(folder: Path, arguments: str, ports: str = "input x: []", before: str = "") -> dict[str, np.ndarray]:
    """The arrays that csv("t.csv", ARGUMENTS) gives to these ports."""
    (folder / "t.csv").write_text(TABLE)
    model = f"model M {{ {ports}  param w: [1] = 0  output z = w  loss sum(w) }}"
    (folder / "net.nn").write_text(f'{before} {model} train {{ data csv("t.csv", {arguments}) epochs 1 optimizer sgd(lr = 0.1) }}')
    return nnspec.load(folder / "net.nn").dataset().train


def mistake(folder: Path, arguments: str, ports: str = "input x: []", before: str = "") -> Diagnostic:
    with pytest.raises(SpecError) as caught:
        columns(folder, arguments, ports, before)
    (d,) = caught.value.diagnostics
    return d


A, B, KIND = np.array([1, 4, 9, 16]), np.array([2.5, -1, 0.5, 3]), np.array([0, 2, 1, 2])


@pytest.mark.parametrize(("formula", "port", "expected"), [
    ("x = a / 255", "[]", A / 255),
    ("x = -a", "[]", -A),
    ("x = sqrt(a)", "[]", np.sqrt(A)),
    ("x = [log(a), b]", "[2]", np.stack([np.log(A), B], 1)),
    ("x = [a, a * b, 2 * b]", "[3]", np.stack([A, A * B, 2 * B], 1)),
    ("x = if b < 0 then 0 else b", "[]", np.maximum(B, 0)),
    ("x = one_hot(kind, 3)", "[3]", np.eye(3)[KIND]),
    ("x = kind == 2", "class(2)", KIND == 2),
    ("x = kind == 2", "[]", KIND == 2),
    ("x = kind - 0.0", "class(3)", KIND),
    ("x = one_hot(kind, 3)[0]", "[]", KIND == 0),
    ("x = b -> relu -> square", "[]", np.maximum(B, 0) ** 2),
    ("x = a * scale", "[]", A * 10),
    ("x = softmax(one_hot(kind, 3) * 1000)", "[3]", np.eye(3)[KIND]),
    ("x = limited(b, most = 1)", "[]", np.minimum(B, 1)),
    ("x = mean(stack(a, b))", "[]", (A + B) / 2),
])  # fmt: skip
def test_a_formula_over_columns_is_done_for_every_example(tmp_path: Path, formula: str, port: str, expected: np.ndarray) -> None:
    before = "let scale = 10  let b = 7  fn square(x) = x * x  fn limited(x, most) = min(x, most)"
    found = columns(tmp_path, formula, f"input x: {port}", before)
    assert np.allclose(found["x"], expected, rtol=1e-6) and found["x"].shape == expected.shape


def test_chunks_are_joined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formulas, "CHUNK", 7)
    assert np.allclose(columns(tmp_path, "x = [one_hot(kind, 3), a * 2]", "input x: [4]")["x"], np.column_stack([np.eye(3)[KIND], A * 2]))


def test_built_in_sources_have_formulas_too() -> None:
    text = """model M { input image: [1, 8, 8]  target three: class(2)  target digit: class(10)
      z = image -> flatten -> dense(2)  output z  loss cross_entropy(z, three) }
    train { data digits(image = image * 2 - 1, three = digit == 3) epochs 1 optimizer sgd(lr = 0.1) }"""
    data = nnspec.loads(text).dataset()
    assert (data.train["image"].min(), data.train["image"].max()) == (-1, 1) and data.train["image"].dtype == np.float32
    assert data.test and np.array_equal(data.test["three"], data.test["digit"] == 3)


@pytest.mark.parametrize(("formula", "code", "part"), [
    ("x = aa / 255", "E307", "did you mean `a`?"),
    ("x = lgo(a)", "E101", "did you mean `log`?"),
    ("x = 3", "E106", ""),
    ("x = scale * 2", "E106", ""),
    ("x = one_hot(b, 3)[0]", "E106", ""),
    ("x = dense(a, 1)", "E202", ""),
    ("x = [a, b] -> dense(1)", "E106", ""),
    ("x = reshape(a, [1]) -> dense(1) -> sum", "E108", ""),
    ("x = a + normal(0, 1)", "E108", "augment"),
    ("x = a - batch_mean(a)", "E108", "`x -> standardize`"),
    ("x = a - mean(a)", "E106", "`x -> standardize`"),
    ("x = [a, b / max(b)]", "E106", "`x -> standardize`"),
    ("x = (a -> min)", "E106", "`x -> standardize`"),
    ("x = share(a)", "E106", "`x -> standardize`"),
    ("x = log(a - 1)", "E306", "no value is missing"),
    ("x = [a, sqrt(b)]", "E306", "no value is missing"),
    ("y = a / 2", "E307", ""),
])  # fmt: skip
def test_a_wrong_formula_is_one_error(tmp_path: Path, formula: str, code: str, part: str) -> None:
    found = mistake(tmp_path, formula, before="let scale = 10  fn share(column) = column / sum(column)")
    assert found.code == code and part in found.help
    assert found.span and found.span.source.name.endswith("net.nn")


@pytest.mark.parametrize(("formula", "row", "said"), [
    ("log(b)", 2, "`log(b)` is nan, where `b` is -1"),
    ("1 / (kind - 1)", 3, "`1 / (kind - 1)` is inf, where `kind` is 1"),
    ("exp(a * 10)", 3, "`exp(a * 10)` is inf, where `a` is 9"),
])  # fmt: skip
@pytest.mark.parametrize("missing", ["", ", missing = drop", ", missing = mean"])
def test_where_a_formula_makes_no_number_it_is_said_of_what(tmp_path: Path, formula: str, row: int, said: str, missing: str) -> None:
    message = mistake(tmp_path, f"x = [a, {formula}]{missing}", "input x: [2]").message
    assert message == f"{tmp_path / 't.csv'}, row {row}: {said}"


@pytest.mark.parametrize(("port", "made", "expected"), [
    ("[2]", "x = [a, sure]", [[1, 1], [4, 0], [9, 0], [16, 1]]),
    ("[]", "x = sure", [1, 0, 0, 1]),
    ("bool[]", "x = sure", [True, False, False, True]),
    ("[]", "x = if sure then a else -1", [1, -1, -1, 16]),
    ("class(2)", "x = sure", [1, 0, 0, 1]),
])  # fmt: skip
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_truths_are_those_of_pandas_in_either_file(tmp_path: Path, kind: str, port: str, made: str, expected: list[object]) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": A, "sure": [True, False, False, True]})
    frame.to_csv(tmp_path / "t.csv", index=False)
    frame.to_parquet(tmp_path / "t.parquet")
    model = f"model M {{ input x: {port}  param w: [1] = 0  output z = w  loss sum(w) }}"
    net = nnspec.loads(f'{model} train {{ data {kind}("{tmp_path}/t.{kind}", {made}) epochs 1 optimizer sgd(lr = 0.1) }}')
    data = net.dataset()
    assert data.train["x"].tolist() == expected
    assert data.labels == ({"x": ["False", "True"]} if port == "class(2)" and kind == "csv" else {})


def test_a_formula_over_text_is_refused(tmp_path: Path) -> None:
    text = 'model M { input x: []  output y = x  loss x } train { data csv("t.csv", x = name * 2) epochs 1 optimizer sgd(lr = 0.1) }'
    (tmp_path / "t.csv").write_text("name\nred\nblue\n")
    (tmp_path / "net.nn").write_text(text)
    with pytest.raises(SpecError) as caught:
        nnspec.load(tmp_path / "net.nn").dataset()
    assert caught.value.diagnostics[0].code == "E309"


SPACED = 'sepal length (cm),n,"say ""a"" %",city\n1,5,2,Oslo\n3,6,4,Rome\n'


def spaced(folder: Path, arguments: str, ports: str = "input x: []") -> dict[str, np.ndarray]:
    (folder / "s.csv").write_text(SPACED)
    model = f"model M {{ {ports}  param w: [1] = 0  output z = w  loss sum(w) }}"
    source = f'csv("s.csv", {arguments})'
    net = nnspec.load(write(folder / "net.nn", f"{model} train {{ data {source} epochs 1 optimizer sgd(lr = 0.1) }}"))
    return net.dataset().train


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_a_text_in_a_formula_is_the_column_of_this_name(tmp_path: Path) -> None:
    found = spaced(tmp_path, 'x = [log("sepal length (cm)") + n, "sepal length (cm)" * 2, "n"]', "input x: [3]")["x"]
    assert np.allclose(found, [[5, 2, 5], [np.log(3) + 6, 6, 6]])
    with pytest.raises(SpecError) as caught:
        spaced(tmp_path, 'x = log("sepal width (cm)")')
    assert "has no field `sepal width (cm)` for `x`" in str(caught.value) and "did you mean `sepal length (cm)`?" in str(caught.value)


@pytest.mark.parametrize("formula", ["[n, city]", "n + city"])
def test_texts_among_numbers_are_told_the_input_that_takes_them(formula: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError) as caught:
        spaced(tmp_path, f"x = {formula}", "input x: [2]" if "[" in formula else "input x: []")
    [d] = caught.value.diagnostics
    assert d.code == "E309" and "`input city: class(2)` and `one_hot(city)`" in d.help
    (tmp_path / "s.csv").write_text(SPACED)
    model = "model M { input x: [1]  input city: class(2)  output z = concat(x, one_hot(city)) -> dense(1)  loss sum(z) }"
    net = nnspec.load(write(tmp_path / "net.nn", f'{model} train {{ data csv("s.csv", x = [n]) epochs 1 optimizer sgd(lr = 0.1) }}'))
    assert net.dataset().train["city"].tolist() == [0, 1]
