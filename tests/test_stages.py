"""What a train block can say beyond one loss and all parameters: looking ahead, stages, phases, other runs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import nnspec
from nnspec import SpecError
from nnspec.run import reference

NET = """
model Net {
  input  x: [3]
  target y: [2]
  out = x -> dense(4) -> tanh -> dense(2)
  output out
  loss   mse(out, y)
}
TRAIN
"""
NESTEROV = "train { epochs 1  optimizer nesterov(lr = 0.1, mu = 0.8) }"
ENGINES = ("numpy", "reference")


def net(train: str, **more: Any) -> nnspec.Net:
    return nnspec.loads(NET.replace("TRAIN", train), **more)


def some_data(examples: int = 12) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((examples, 3))
    return {"x": x, "y": np.stack([np.sin(x[:, 0]), x[:, 1] * x[:, 2]], 1)}


def torch_loss(weights: dict[str, Any], data: dict[str, Any]) -> Any:
    x, y = torch.tensor(data["x"]), torch.tensor(data["y"])
    out = torch.tanh(x @ weights["dense.W"] + weights["dense.b"]) @ weights["dense_2.W"] + weights["dense_2.b"]
    return ((out - y) ** 2).mean()


# ---- lookahead


@pytest.mark.parametrize("engine", ENGINES)
def test_nesterov_is_torch_s_after_fifty_steps(engine: str) -> None:
    """torch keeps the looked-ahead weights, w + mu v with v = -lr * its buffer."""
    ours, data = net(NESTEROV, dtype="float64", engine=engine), some_data()
    theirs = {n: torch.tensor(v.copy(), requires_grad=True) for n, v in ours.params.items()}
    optimizer = torch.optim.SGD(theirs.values(), lr=0.1, momentum=0.8, nesterov=True)
    for _ in range(50):
        optimizer.zero_grad()
        loss = torch_loss(theirs, data)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        assert ours.step(**data) == pytest.approx(loss.item(), rel=1e-10)
    velocity = ours.engine.optimizer_buffer("v").views
    for name, w in ours.params.items():
        np.testing.assert_allclose(w + 0.8 * velocity[name], theirs[name].detach().numpy(), atol=1e-12)


@pytest.mark.parametrize(
    "optimizer",
    [
        "optimizer ahead(lr) { state v = 0  most = 2 * lr  lookahead w + min(v, most) / t  v <- 0.9 * v - lr * g  w <- w + v }",
        "optimizer ahead(lr) { state v = 0  lookahead w + 0.1 * sum(v)  v <- 0.9 * v - lr * g  w <- w + v }",  # not element by element
    ],
)
@pytest.mark.parametrize("engine", ENGINES)
def test_looking_ahead_is_one_graph_and_both_engines_agree_with_it(optimizer: str, engine: str) -> None:
    train = "train { epochs 1  optimizer ahead(lr = 0.1)  penalty l2(0.1)  clip norm(0.5) }"
    ours, data = net(f"{optimizer} {train}", dtype="float64", engine=engine), some_data()
    for t in range(1, 4):
        feeds = {**{n: v.copy() for n, v in ours.engine.params.items()}, **data, "seed": 0, "step": t - 1, "lr": 0.1, "t": t}
        feeds |= {f"{n}.v": v.copy() for n, v in ours.engine.optimizer_buffer("v").views.items()}
        expected = reference.run(ours.spec.step, feeds)
        assert ours.step(**data) == pytest.approx(float(expected["loss"]), rel=1e-12)
        for name, w in ours.params.items():
            np.testing.assert_allclose(w, expected[f"param:{name}"], atol=1e-12)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("state v = 0  v <- v - g  lookahead w + v  w <- w + v", "E108"),
        ("lookahead w  lookahead w  w <- w - lr * g", "E105"),
        ("lookahead w - lr * g  w <- w - lr * g", "E101"),
    ],
)
def test_a_wrong_look_ahead_is_refused(body: str, code: str) -> None:
    with pytest.raises(SpecError, match=code):
        net(f"optimizer odd(lr) {{ {body} }} train {{ epochs 1  optimizer odd(0.1) }}")
