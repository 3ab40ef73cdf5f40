"""The Python interface, where it could go wrong silently."""

from __future__ import annotations

import copy
import pickle
import re
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
from helpers import run

import nnspec
from nnspec import SpecError
from nnspec.train import predictions
from nnspec.train.epoch import Epoch
from nnspec.train.loop import EVALUATION_BATCH

LINE = """
let slope = 2
model Line {
  input  x: [1]
  target y: [1]
  param w: [1, 1] = [[1]]
  param b: [1] = 0
  z = x @ w + b
  output z
  loss mse(z, slope * y)
}
train { epochs 3  optimizer sgd(lr = 0.1) }
"""
X, Y = [[1.0], [2.0]], [[0.0], [0.0]]


def test_assigning_a_parameter_sets_the_array_that_is_trained() -> None:
    by_name, in_place = nnspec.loads(LINE), nnspec.loads(LINE)
    by_name.params["b"] = np.array([5.0])
    in_place.params["b"][...] = 5.0
    assert [by_name.step(x=X, y=Y) for _ in range(3)] == [in_place.step(x=X, y=Y) for _ in range(3)]
    assert by_name.params["b"][0] == in_place.params["b"][0] != 5.0


@pytest.mark.parametrize(("name", "value", "code"), [("nope", 0, "E101"), ("b", np.zeros((4, 4)), "E208")])
def test_a_wrong_assignment_to_a_parameter_is_refused(name: str, value: Any, code: str) -> None:
    with pytest.raises(SpecError, match=code):
        nnspec.loads(LINE).params[name] = value


@pytest.mark.parametrize(("value", "code"), [(1j, "E309"), ("one", "E309"), ([[1], [2, 3]], "E303")])
def test_what_is_no_number_is_refused_as_a_parameter(value: Any, code: str) -> None:
    with pytest.raises(SpecError, match=code):
        nnspec.loads(LINE).params["b"] = value


@pytest.mark.parametrize("value", [np.nan, [np.inf], -np.inf, 1e39])
def test_what_is_no_finite_number_is_refused_as_a_parameter_and_kept_as_a_state(value: Any) -> None:
    net = nnspec.loads(LINE.replace("  z = x", "  state s: [1] = 0\n  z = x"))
    before = net.params["b"].copy()
    for set_b in (lambda: net.params.__setitem__("b", value), lambda: net.params.assign({**net.params, "b": value})):
        with pytest.raises(SpecError, match="E306"):
            set_b()
    assert np.array_equal(net.params["b"], before)
    net.states["s"] = value
    assert not np.isfinite(net.states["s"]).any()


def test_inputs_in_a_dict_are_asked_for_by_their_names() -> None:
    with pytest.raises(SpecError, match=r"by their names, and not in a dict\n.*`net\(x = \.\.\)`, or `net\(\*\*inputs\)`"):
        nnspec.load("iris")({"x": np.zeros((2, 4))})


def test_all_parameters_are_set_from_saved_ones_at_once_or_none_is() -> None:
    net = nnspec.load("iris")
    saved, states = ({n: a.copy() for n, a in arrays.items()} for arrays in (net.params, net.states))
    net.fit(epochs=1)
    learnt = {n: a.copy() for n, a in net.params.items()}
    for wrong, code in (
        ({**saved, "more": 1}, "E101"),
        (dict([*saved.items()][1:]), "E307"),
        (3, "E106"),
        ({**saved, "dense.b": "a"}, "E309"),
    ):
        with pytest.raises(SpecError, match=code):
            net.params = wrong  # type: ignore[assignment]
    assert all(np.array_equal(net.params[n], a) for n, a in learnt.items())
    net.params, net.states = saved, states
    x = np.ones((2, 4))
    np.testing.assert_array_equal(net(x=x)["probs"], nnspec.load("iris")(x=x)["probs"])
    assert not np.array_equal(saved["dense.W"], learnt["dense.W"]) and not np.shares_memory(net.params["dense.W"], saved["dense.W"])


@pytest.mark.parametrize(("name", "said"), [("parms", "`params`"), ("label", "`labels`"), ("engine_name", "is made"), ("name", "setter")])
def test_an_attribute_that_would_change_nothing_is_refused(name: str, said: str) -> None:
    with pytest.raises(AttributeError, match=said):
        setattr(nnspec.loads(LINE), name, {})


@pytest.mark.parametrize("epochs", [0, -1, 2.5, "3"])
def test_a_wrong_number_of_epochs_is_refused(epochs: Any) -> None:
    with pytest.raises(SpecError, match="E106"):
        nnspec.loads(LINE).fit({"x": X, "y": Y}, epochs=epochs)


@pytest.mark.parametrize("seed", [-1, 2**70, "a"])
def test_a_wrong_seed_is_refused(seed: Any) -> None:
    with pytest.raises(SpecError, match="E106"):
        nnspec.loads(LINE).init(seed)


@pytest.mark.parametrize("wrong", [{"dtype": "float16"}, {"engine": "cuda"}, {"engine": "ort", "device": "tpu"}])
def test_a_wrong_dtype_engine_or_device_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="is one of"):
        nnspec.loads(LINE, **wrong)


@pytest.mark.parametrize("value", [3, np.int64(3), np.float32(3), "3"])
def test_a_setting_may_be_a_number_of_python_or_numpy(value: Any) -> None:
    assert nnspec.loads(LINE, slope=value).gradients(x=X, y=[[1.0], [1.0]])[0] == pytest.approx(((1 - 3) ** 2 + (2 - 3) ** 2) / 2)


def test_a_table_whose_columns_have_numbers_for_names_is_refused() -> None:
    with pytest.raises(SpecError, match="the model has no `0`"):
        nnspec.loads(LINE).fit(pandas.DataFrame([[1.0, 2.0]]))


def test_one_input_needs_no_name() -> None:
    assert nnspec.loads(LINE)([[3.0]])["z"].tolist() == [[3.0]]


WEIGHTED = """model W {
  input  x: [T, 2]
  input  w: []
  input  like: [T]
  target y: class(2)
  z = x -> dense(2) -> mean(axis = 0)
  output p = softmax(z)
  loss cross_entropy(z, y) * w
  metric far = sum(like)
}"""


@pytest.mark.parametrize("engine", ["numpy", "ort", "reference"])
def test_an_input_that_only_losses_and_metrics_read_may_be_left_out_in_use(engine: str) -> None:
    net, x = nnspec.loads(WEIGHTED, engine=engine), np.random.default_rng(0).standard_normal((5, 3, 2))
    given = {"x": x, "w": np.ones(5), "like": np.ones((5, 3))}
    assert np.array_equal(net(x=x)["p"], net(**given)["p"]) and np.array_equal(net.predict({"x": x})["p"], net.predict(given)["p"])
    for missing, fields in (("x", {"w": np.ones(5)}), ("y", given)):
        with pytest.raises(SpecError, match=f"there is no data for `{missing}`"):
            net.evaluate(fields) if missing == "y" else net.predict(fields)
    with pytest.raises(SpecError, match="`w` has 4 examples, and `x` has 5"):
        net(x=x, w=np.ones(4))


def test_an_input_that_tells_the_length_of_an_output_is_asked_for() -> None:
    net = nnspec.loads("model M { input x: [2]  input like: [T]  target y: []  output z = x[0] * T  loss mse(z, y) }")
    assert net(x=np.ones((4, 2)), like=np.zeros((4, 3)))["z"].tolist() == [3, 3, 3, 3]
    with pytest.raises(SpecError, match="there is no data for `like`"):
        net(x=np.ones((4, 2)))


def test_an_output_that_is_the_same_for_all_examples_is_predicted_once(tmp_path: Path) -> None:
    net = nnspec.loads("model M { input x: [2]  param w: [3] = [1, 2, 3]  output w, y = x }")
    out = net.predict({"x": np.zeros((3000, 2))})
    assert out["w"].tolist() == [1, 2, 3] and out["y"].shape == (3000, 2)
    predictions.write(tmp_path / "p.npz", out)
    with pytest.raises(Exception, match="same for all examples"):
        predictions.write(tmp_path / "p.csv", out)


ALONE = {
    "a parameter": "model M { input x: [2]  target y: []  param w: [2] = [3, 4]  output v = w * 1  loss (sum(w * x) - y)^2 }",
    "noise": "model M { input x: [2]  target y: []  param w: [2] = 1  z = random([3])  output v = z * 2  loss (sum(w * x) + v[0] - y)^2 }",
}


@pytest.mark.parametrize("model", ALONE.values(), ids=ALONE)
@pytest.mark.parametrize("rows", [2, 3, 5])
@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_table_has_no_rows_of_an_output_that_is_the_same_for_all_examples(tmp_path: Path, model: str, rows: int, suffix: str) -> None:
    (tmp_path / "m.nn").write_text(model)
    nnspec.load(tmp_path / "m.nn").save(tmp_path / "run")
    (tmp_path / "x.csv").write_text("x_0,x_1\n" + "1,2\n" * rows)
    done = run("predict", "run", "--data", "x.csv", "-o", f"p.{suffix}", cwd=tmp_path)
    assert done.returncode == 1 and "E504" in done.stderr and "same for all examples" in done.stderr
    assert not (tmp_path / f"p.{suffix}").exists()
    assert run("predict", "run", "--data", "x.csv", "-o", "p.npz", cwd=tmp_path).returncode == 0


REMAINDER = 2 * EVALUATION_BATCH + 7


def test_every_example_is_predicted_once_in_its_place_whatever_the_number() -> None:
    net = nnspec.loads("model M { input x: [2]  output twice = 2 * x, low = x[0] < 5 }")
    for number in (1, EVALUATION_BATCH - 1, EVALUATION_BATCH, EVALUATION_BATCH + 1, REMAINDER):
        x = np.arange(2.0 * number).reshape(number, 2)
        out = net.predict({"x": x})
        np.testing.assert_array_equal(out["twice"], 2 * x)
        np.testing.assert_array_equal(out["low"], x[:, 0] < 5)


def test_a_shorter_last_batch_needs_no_program_of_its_own() -> None:
    net = nnspec.loads("model M { input x: [2]  output y = x -> dense(3) }")
    net.predict(np.zeros((REMAINDER, 2)))
    assert len(net.engine._programs) == 1


def test_a_random_formula_in_use_draws_for_every_example() -> None:
    net = nnspec.loads("model M { input x: []  output y = x + normal(0, 1) }")
    assert len(np.unique(net.predict(np.zeros(3000)))) > 2900


def test_a_random_value_like_an_input_has_its_batch() -> None:
    net = nnspec.loads("model M { input x: [2]  output y = random(x) }")
    assert net(x=np.zeros((3, 2)))["y"].shape == (3, 2)


@pytest.mark.parametrize("formula", ["x / 2", "sqrt(x)", "x ^ -1", "mean(x)", "exp(x)"])
def test_whole_numbers_become_fractions_where_the_formula_makes_them(formula: str) -> None:
    net = nnspec.loads(f"model M {{ input x: int[2]  output y = {formula} }}")
    assert net(x=[[1, 2]])["y"].dtype == np.float32


def test_a_size_may_be_a_quotient() -> None:
    net = nnspec.loads("let heads = 2  model M { input x: [8]  output y = reshape(x, [heads, 8 / heads])[1, 4 / 2] }")
    assert net(x=[np.arange(8.0)])["y"].tolist() == [6.0]


def test_the_table_shows_parameters_of_the_model_and_counts_nothing_twice() -> None:
    net = nnspec.loads("model M { input x: [4]  param w: [4] = 1  y = (x * w - 1) + (x -> dense(1))  output y }")
    rows = net.spec.table
    assert [(r.name, r.parameters) for r in rows] == [("w", 4), ("dense", 5), ("y", 0)]
    assert rows[-1].formula == "(x * w - 1) + (x -> dense(1))"


def test_errors_of_the_interface_are_spec_errors_with_their_code() -> None:
    net = nnspec.loads("model M { input x: [2]  output y = x }")
    for call in (
        lambda: net.gradients(x=[[1, 2]]),
        net.fit,
        lambda: net(z=1),
        lambda: nnspec.load("nosuch"),
        lambda: nnspec.open("nosuch"),
    ):
        with pytest.raises(SpecError, match=r"error\[E\d{3}\]"):
            call()


def test_a_sequence_that_reaches_beyond_a_parameter_is_pointed_at() -> None:
    net = nnspec.loads("model M { input x: [T, 2]  output y = x -> learned_positional(longest = 3) }")
    assert net(x=np.zeros((1, 3, 2)))["y"].shape == (1, 3, 2)
    with pytest.raises(nnspec.SpecError) as error:
        net(x=np.zeros((1, 4, 2)))
    (d,) = error.value.diagnostics
    assert d.span and (d.code, d.span.text) == ("E205", "learned_positional(longest = 3)")
    assert (d.message, d.help) == ("elements 0 to 4 are wanted of an axis of 3", "in this data `T` is 4")


def test_epochs_given_to_fit_are_of_that_fit_alone() -> None:
    net = nnspec.loads(
        "model M { input x: [2]  target y: [1]  output z = x -> dense(1)  loss mse(z, y) }"
        "train { data { x = [[1, 2]], y = [[1]] }  epochs 5  optimizer sgd(lr = 0.01) }"
    )
    assert [len(net.fit(epochs=n).epochs) for n in (2, 3)] == [2, 3]
    assert len(net.fit().epochs) == 5


def test_what_is_wrong_with_arrays_is_said_in_the_words_of_python(tmp_path: Path) -> None:
    net = nnspec.load("iris")
    example = np.ones((1, 4))
    net.fit({"x": example, "y": [1]}, epochs=1, run=tmp_path / "run")
    wrong: dict[str, Callable[[], Any]] = {
        "`x` is float32[batch, 4]": lambda: net(),
        "`x[None]`": lambda: net(x=example[0]),
        "the inputs are `x`": lambda: net(example, example),
        "it takes `x`": lambda: net(x=example, nothing=1),
        "already holds a run": lambda: net.fit({"x": example, "y": [1]}, run=tmp_path / "run"),
        "reads no other data": lambda: net.fit(path="table.csv"),
    }
    for said, call in wrong.items():
        with pytest.raises(SpecError, match=re.escape(said)) as error:
            call()
        assert not re.search(r"= help: .*(--|there are $)", str(error.value))
    assert net(example)["probs"].shape == (1, 3)


COPIES: dict[str, Callable[[nnspec.Net], nnspec.Net]] = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": lambda net: pickle.loads(pickle.dumps(net)),  # type: ignore[no-any-return]
}


@pytest.mark.parametrize("trained", [False, True], ids=["fresh", "trained"])
@pytest.mark.parametrize("how", COPIES)
def test_a_copy_goes_on_as_the_network_would_and_leaves_it_alone(how: str, trained: bool) -> None:
    net = nnspec.loads(LINE.replace("sgd", "adam"), dtype="float64", engine="ort", slope=3)
    if trained:
        net.fit({"x": X, "y": Y})
    other = COPIES[how](net)
    before = {name: value.tolist() for name, value in net.params.items()}
    losses = [other.step(x=X, y=Y) for _ in range(3)]
    assert {name: value.tolist() for name, value in net.params.items()} == before
    assert losses == [net.step(x=X, y=Y) for _ in range(3)] and len({*losses}) == 3
    assert (other.engine_name, other.spec.dtype, other.spec.settings) == ("ort", "float64", {"slope": 3})


def test_a_network_from_onnx_can_be_copied_and_says_that_it_cannot_be_pickled(tmp_path: Path) -> None:
    nnspec.loads(LINE).export(tmp_path / "line.onnx")
    net = nnspec.load(tmp_path / "line.onnx")
    assert net.predict(X).tolist() == copy.deepcopy(net).predict(X).tolist()
    with pytest.raises(SpecError, match=r"E525.*cannot be pickled"):
        pickle.dumps(net)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda net: net.evaluate(net.dataset().test), r"no data to judge by: .* is None where nothing is held out"),
        (lambda net: net.evaluate([1, 2]), "data are given as a dict of arrays by name, not as a list"),
        (lambda net: net.evaluate({"x", "y"}), "data are given as a dict of arrays by name, not as a set"),
        (lambda net: net.fit(np.zeros(3)), "data are given as a dict of arrays by name, not as a ndarray"),
        (lambda net: net.fit({"x": X, "y": Y}, progress=print), r"`progress` is a `nnspec.Progress`, not a"),
        (lambda net: net.export("m.onnx", int8=True), r"`int8` is the data .*, not True"),
        (lambda net: net.export("m.onnx", raw={"x": X}), r"`raw` is a sample .*, not a dict"),
        (lambda _: nnspec.loads(None), "the text of a spec is a str, not None"),  # type: ignore[arg-type]
        (lambda _: nnspec.load(3), "a spec is the path of a file, .* not 3"),  # type: ignore[arg-type]
        (lambda _: nnspec.open(None), "a run is the path of its directory, not None"),  # type: ignore[arg-type]
    ],
)
def test_a_value_of_another_kind_is_a_mistake_that_names_it(call: Callable[[nnspec.Net], Any], said: str) -> None:
    net = nnspec.loads(LINE.replace("epochs", "data { x = [[1], [2]], y = [[0], [0]] }  epochs"))
    with pytest.raises(SpecError, match=f"E106.*{said}"):
        call(net)


def test_who_listens_to_a_training_is_told_of_every_step_and_epoch() -> None:
    steps: list[int] = []
    epochs: list[int] = []
    progress = nnspec.Progress(on_batch=lambda _, done, *__: steps.append(done), on_epoch=lambda epoch: epochs.append(epoch.number))
    nnspec.loads(LINE).fit({"x": X, "y": Y}, progress=progress)
    assert (steps, epochs) == ([1, 1, 1], [1, 2, 3])


class Told(nnspec.Progress):
    """Hears by its methods."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.batches: list[tuple[int, int, int, float]] = []
        self.epochs: list[int] = []

    def on_batch(self, epoch: int, done: int, steps: int, loss: float) -> None:
        self.batches.append((epoch, done, steps, loss))

    def on_epoch(self, epoch: Epoch) -> None:
        self.epochs.append(epoch.number)


def test_the_methods_of_a_subclass_are_told_too_and_the_loss_is_the_mean_of_the_epoch_so_far() -> None:
    spec = "model M { input x: []  param w: [] = 0  output o = x + w  loss o } train { batch 2  epochs 2  optimizer sgd(lr = 1e-30) }"
    told, examples = Told(), [0.0, 10.0, 20.0, 30.0, 70.0]
    nnspec.loads(spec).fit({"x": examples}, progress=told)
    assert [b[:3] for b in told.batches] == [(epoch, done, 3) for epoch in (1, 2) for done in (1, 2, 3)] and told.epochs == [1, 2]
    for losses in ([b[3] for b in told.batches[:3]], [b[3] for b in told.batches[3:]]):
        first, both = losses[0] * 2, losses[1] * 4
        assert losses[2] == pytest.approx(np.mean(examples))
        sums = {a + b for a, b in combinations(examples, 2)}
        assert first in sums and both - first in sums and sum(examples) - both in examples


def test_what_is_given_stands_in_place_of_a_method() -> None:
    heard: list[int] = []
    told = Told(on_epoch=lambda epoch: heard.append(epoch.number))
    nnspec.loads(LINE).fit({"x": X, "y": Y}, progress=told)
    assert (told.epochs, heard, len(told.batches)) == ([], [1, 2, 3], 3)


def test_warnings_are_python_s_unless_someone_listens() -> None:
    net = nnspec.loads(LINE.replace("epochs 3", "epochs 1  schedule warmup(9)").replace("train {", "train { batch 1 "))
    with pytest.warns(UserWarning, match="W116") as caught:
        net.fit({"x": X, "y": Y})
    assert caught[0].filename == __file__


@pytest.mark.parametrize("lr", [float("nan"), float("inf"), 1e39, "a", "0.1", [0.1], True, 10**400, 1j])
def test_a_rate_that_is_no_number_is_refused_and_the_weights_stay(lr: Any) -> None:
    net = nnspec.loads(LINE)
    with pytest.raises(SpecError, match=f"E106.*`lr` is a number of float32, not {re.escape(repr(lr))}"):
        net.step(lr=lr, x=X, y=Y)
    assert net.params["w"] == 1 and int(net.engine.steps_done) == 0


@pytest.mark.parametrize("lr", [0.25, np.float32(0.25), np.array(0.25)])
def test_a_rate_is_any_one_number(lr: Any) -> None:
    net = nnspec.loads(LINE)
    net.step(lr=float(lr), x=X, y=Y)
    again = nnspec.loads(LINE)
    again.step(lr=lr, x=X, y=Y)
    assert again.params["w"] == net.params["w"] != 1


def test_a_data_frame_gives_arrays_by_name() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"x": [1.0, 2.0], "y": [0.0, 0.0]})
    assert nnspec.loads(LINE).evaluate(frame) == nnspec.loads(LINE).evaluate({"x": X, "y": Y})
