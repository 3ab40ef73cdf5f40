"""Outputs, gradients and optimizer steps against torch, with the same weights on the same batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from helpers import distance

import nnspec
from tools.batches import random_batch

torch = pytest.importorskip("torch")
F = torch.nn.functional
Tensors = dict[str, Any]

MLP = """
model Mlp {
  input  x: [20]
  target y: class(5)
  logits = x -> dense(16) -> relu -> dense(12) -> tanh -> dense(5)
  output logits
  loss   cross_entropy(logits, y, smoothing = 0.1)
}
train { epochs 1  optimizer OPTIMIZER }
"""

LENET = """
model LeNet {
  input  x: [1, 14, 14]
  target y: class(5)
  logits = x
    -> conv(4, 3, pad = same) -> batchnorm -> relu -> maxpool(2)
    -> conv(6, 3, stride = 2, pad = 1) -> batchnorm -> relu -> avgpool(2, stride = 1)
    -> flatten -> dense(8) -> leaky_relu -> dropout(0) -> dense(5)
  output logits
  loss   cross_entropy(logits, y)
}
train { epochs 1  optimizer OPTIMIZER }
"""


def mlp(p: Tensors, x: Any, training: bool) -> Any:
    h = F.relu(x @ p["dense.W"] + p["dense.b"])
    h = torch.tanh(h @ p["dense_2.W"] + p["dense_2.b"])
    return h @ p["dense_3.W"] + p["dense_3.b"]


def lenet(p: Tensors, x: Any, training: bool) -> Any:
    def norm(h: Any, name: str) -> Any:
        stats = (p[f"{name}.mu"], p[f"{name}.var"])
        return F.batch_norm(h, *stats, p[f"{name}.gamma"], p[f"{name}.beta"], training=training, momentum=0.1, eps=1e-5)

    h = F.max_pool2d(F.relu(norm(F.conv2d(x, p["conv.W"], p["conv.b"], padding=1), "batchnorm")), 2)
    h = F.conv2d(h, p["conv_2.W"], p["conv_2.b"], stride=2, padding=1)
    h = F.avg_pool2d(F.relu(norm(h, "batchnorm_2")), 2, stride=1).flatten(1)
    return F.leaky_relu(h @ p["dense.W"] + p["dense.b"], 0.01) @ p["dense_2.W"] + p["dense_2.b"]


NETS: dict[str, tuple[str, Callable[..., Any], float]] = {"mlp": (MLP, mlp, 0.1), "lenet": (LENET, lenet, 0.0)}
OPTIMIZERS: dict[str, tuple[str, Callable[[list[Any]], Any]]] = {
    "sgd": ("sgd(lr = 0.1)", lambda p: torch.optim.SGD(p, lr=0.1)),
    "momentum": ("momentum(lr = 0.05, mu = 0.8)", lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.8)),
    "adam": ("adam(lr = 1e-3)", lambda p: torch.optim.Adam(p, lr=1e-3)),
}


def build(net: str, optimizer: str = "sgd", dtype: str = "float32") -> tuple[nnspec.Net, Tensors, dict[str, Any]]:
    ours = nnspec.loads(NETS[net][0].replace("OPTIMIZER", OPTIMIZERS[optimizer][0]), dtype=dtype).init(seed=3)
    theirs = {n: torch.tensor(v).requires_grad_() for n, v in ours.params.items()}
    theirs |= {n: torch.tensor(v) for n, v in ours.states.items()}
    return ours, theirs, random_batch({**ours.inputs, **ours.targets}, 16)


def torch_loss(net: str, theirs: Tensors, batch: dict[str, Any], dtype: str = "float32") -> Any:
    x = torch.tensor(batch["x"], dtype=getattr(torch, dtype))
    return F.cross_entropy(NETS[net][1](theirs, x, True), torch.tensor(batch["y"]), label_smoothing=NETS[net][2])


@pytest.mark.parametrize("net", NETS)
def test_outputs_equal_torch(net: str) -> None:
    ours, theirs, batch = build(net)
    expected = NETS[net][1](theirs, torch.tensor(batch["x"], dtype=torch.float32), False)
    assert distance(ours(x=batch["x"])["logits"], expected.detach()) < 1e-5


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("net", NETS)
def test_loss_and_every_gradient_equal_torch(net: str, dtype: str) -> None:
    ours, theirs, batch = build(net, dtype=dtype)
    loss, gradients = ours.gradients(**batch)
    expected = torch_loss(net, theirs, batch, dtype)
    expected.backward()
    assert abs(loss - expected.item()) < 1e-5
    largest = max(float(theirs[n].grad.abs().max()) for n in gradients)
    for name, gradient in gradients.items():
        difference = abs(gradient - theirs[name].grad.numpy()).max()
        # A bias before batchnorm has no gradient but rounding: it is judged by the largest gradient of all.
        scale = largest if name in ("conv.b", "conv_2.b") else float(theirs[name].grad.abs().max())
        assert difference <= 1e-5 * scale, name


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("net", NETS)
def test_parameters_after_ten_steps_equal_torch(net: str, optimizer: str) -> None:
    # In float64: adam divides by the root of a gradient's square, so that a bias whose gradient is only rounding
    # (conv before batchnorm) takes whole steps in a direction that rounding decides.
    ours, theirs, batch = build(net, optimizer, "float64")
    parameters = [theirs[n] for n in ours.params]
    stepper = OPTIMIZERS[optimizer][1](parameters)
    for _ in range(10):
        ours.step(**batch)
        stepper.zero_grad()
        torch_loss(net, theirs, batch, "float64").backward()
        stepper.step()
    undetermined = ("conv.b", "conv_2.b") if optimizer == "adam" else ()
    for name, value in ours.params.items():
        if name not in undetermined:
            assert distance(value, theirs[name].detach()) < 1e-5, name
    for name, value in ours.states.items():
        if not (undetermined and name.endswith("mu")):
            assert distance(value, theirs[name]) < 1e-5, name


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_parameters_after_ten_float32_steps_equal_torch(optimizer: str) -> None:
    ours, theirs, batch = build("mlp", optimizer)
    stepper = OPTIMIZERS[optimizer][1]([theirs[n] for n in ours.params])
    for _ in range(10):
        ours.step(**batch)
        stepper.zero_grad()
        torch_loss("mlp", theirs, batch).backward()
        stepper.step()
    assert max(distance(v, theirs[n].detach()) for n, v in ours.params.items()) < 1e-5


CRITICS = {
    "mean(z)": lambda z: z.mean(),
    "mean(relu(4 - z))": lambda z: F.relu(4 - z).mean(),
    "-sum(z, axis = [-1, -2])": lambda z: -z.sum((1, 2)).mean(),
}


@pytest.mark.parametrize("engine", ["numpy", "ort", "reference"])
@pytest.mark.parametrize("length", [1000, 1009, 50_021])
@pytest.mark.parametrize("loss", CRITICS)
def test_a_gradient_that_is_the_same_for_many_is_not_rounded_at_each_of_them(loss: str, length: int, engine: str) -> None:
    ours = nnspec.loads(f"model M {{ input x: [T, 2]  z = x -> dense(2)  output z  loss {loss} }}", engine=engine)
    x = torch.rand(9, length, 2, generator=torch.Generator().manual_seed(0))
    w, b = (torch.tensor(ours.params[f"dense.{n}"], dtype=torch.float64).requires_grad_() for n in "Wb")
    CRITICS[loss](x.double() @ w + b).backward()
    gradients = ours.gradients(x=x.numpy())[1]
    assert distance(gradients["dense.b"], b.grad) < 1e-5 and distance(gradients["dense.W"], w.grad) < 1e-5
