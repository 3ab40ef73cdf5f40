"""States that are learnt from the whole training data before the first step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

import nnspec
from nnspec import SpecError

SPEC = """
model Net {
  input  x: [3]
  target y: []
  z = x -> standardize as scaled
  output scaled
  output out = (z -> dense(1))[0]
  loss   mse(out, y)
}
train { batch 16  epochs 1  optimizer sgd(lr = 0.01)  MORE }
"""


def net(more: str = "", **settings: Any) -> nnspec.Net:
    return nnspec.loads(SPEC.replace("MORE", more), **settings)


def some_data(examples: int = 200) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((examples, 3)) * [1000, 1e-3, 0] + [5000, 0, 7.3]  # the last column is constant
    return {"x": x, "y": x[:, 1] * 1000}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("engine", ["numpy", "reference"])
def test_standardize_is_scikit_learn_s(dtype: str, engine: str) -> None:
    preprocessing, ours, data = pytest.importorskip("sklearn.preprocessing"), net(dtype=dtype, engine=engine), some_data()
    ours.fit(data)
    x = np.asarray(data["x"], dtype).astype(np.float64)
    theirs = preprocessing.StandardScaler().fit(x)
    tolerance = 1e-12 if dtype == "float64" else 1e-6
    np.testing.assert_allclose(ours.states["scaled.mu"], theirs.mean_, rtol=tolerance, atol=1e-9)
    np.testing.assert_allclose(ours.states["scaled.sigma"], theirs.var_**0.5, rtol=tolerance, atol=1e-9)
    np.testing.assert_allclose(ours(x=data["x"])["scaled"], theirs.transform(x), atol=100 * tolerance)


def test_a_constant_column_is_moved_to_zero_and_not_divided() -> None:
    ours, data = net(), some_data()
    ours.fit(data)
    assert np.abs(ours(x=data["x"])["scaled"][:, 2]).max() == 0
    assert ours(x=data["x"] + 1)["scaled"][0, 2] == pytest.approx(1, rel=1e-6)
    assert all(np.isfinite(w).all() for w in ours.params.values())


def test_an_exported_net_takes_raw_inputs(tmp_path: Path) -> None:
    ours, data = net(), some_data()
    ours.fit(data)
    ours.export(tmp_path / "net.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "net.onnx")
    scaled, out = session.run(["scaled", "out"], {"x": data["x"].astype(np.float32)})
    assert np.abs(scaled[:, :2].mean(0)).max() < 1e-4 and np.abs(scaled[:, :2].std(0) - 1).max() < 1e-4
    np.testing.assert_allclose(out, ours(x=data["x"])["out"], atol=1e-5)


def test_a_saved_net_keeps_them_and_a_later_fit_leaves_them(tmp_path: Path) -> None:
    ours, data = net(), some_data()
    ours.fit(data)
    kept = {n: v.copy() for n, v in ours.states.items()}
    ours.save(tmp_path / "run")
    again = nnspec.open(tmp_path / "run")
    again.fit({"x": data["x"] + [100, 0, 0], "y": data["y"]})
    for name, state in again.states.items():
        np.testing.assert_array_equal(state, kept[name])
    ours.init(0).fit({"x": data["x"] + [100, 0, 0], "y": data["y"]})
    assert ours.states["scaled.mu"][0] == pytest.approx(kept["scaled.mu"][0] + 100, rel=1e-4)


def test_validation_examples_are_not_looked_at() -> None:
    values = ", ".join(f"[{i}, 0, 0]" for i in range(10))
    source = f"data {{ x = [{values}], y = [{', '.join('0' * 10)}] }}  validation 0.5"
    ours = net(source)
    ours.fit()
    train = ours.dataset().train["x"]
    assert len(train) == 5
    np.testing.assert_allclose(ours.states["scaled.mu"], train.mean(0), rtol=1e-6)


def test_a_second_layer_is_fitted_to_what_the_first_makes_of_the_data() -> None:
    spec = """
    layer centre(x: [*s]) { state mu: [*s] = 0  if fitting { mu <- batch_mean(x) }  return x - mu }
    model M {
      input x: []
      output out = x -> centre as one -> square_of -> centre as two
      loss sum(out^2)
    }
    fn square_of(x) = x^2
    train { epochs 1  optimizer sgd(lr = 1)  batch 2 }
    """
    ours = nnspec.loads(spec, dtype="float64")
    x = np.array([1.0, 2, 6])
    ours.fit({"x": x})
    assert (float(ours.states["one.mu"]), float(ours.states["two.mu"])) == pytest.approx((3, ((x - 3) ** 2).mean()))


def test_the_third_graph_is_made_only_where_it_is_asked_for() -> None:
    assert nnspec.load("digits").spec.fitting is None
    graph = net().spec.fitting
    assert graph is not None and set(graph.outputs) == {"state:scaled.mu", "state:scaled.sigma"}
    assert not any(n.op.name == "matmul" for n in graph)


def test_a_mistake_while_fitting_is_found_when_checked() -> None:
    with pytest.raises(SpecError, match="E202"):
        nnspec.loads("model M { input x: [2]  state mu: [3] = 0  if fitting { mu <- batch_mean(x) }  output y = x }")
    with pytest.raises(SpecError, match="if fitting"):
        nnspec.loads("model M { input x: [2]  output y = x - batch_mean(x) }")


def test_what_is_learnt_of_a_standardized_target_is_answered_in_its_own_measure() -> None:
    net = nnspec.loads("""
      model Price {
        input  x: [2]
        target y: [1]
        z     = x -> standardize -> dense(1)
        known = y -> standardize as norm
        output price = z * norm.sigma + norm.mu
        loss   mse(z, known)
        metric rmse(price, y)
      }
      train { batch 5  epochs 60  optimizer adam(lr = 0.05) }
    """)
    x = np.random.default_rng(0).normal(3, 2, (50, 2))
    y = 90_000 + 7_000 * x @ [[1.0], [-2.0]]
    net.fit({"x": x, "y": y})
    np.testing.assert_allclose([net.states["norm.mu"], net.states["norm.sigma"]], [y.mean(0), y.std(0)], rtol=1e-5)
    assert net.evaluate({"x": x, "y": y})["rmse"] < 0.05 * y.std()
