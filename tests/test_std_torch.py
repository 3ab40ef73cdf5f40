"""The library's formulas against those of torch: values, and gradients of everything learned and of the input."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from helpers import distance
from std_models import ACTIVATIONS, EXAMPLES, LOSSES, NORMS, around, library, loss, words

import nnspec
from nnspec.train.schedule import LearningRate
from tools.batches import random_batch

torch = pytest.importorskip("torch")
from test_torch import MLP, NETS  # noqa: E402  # it needs torch

F = torch.nn.functional
TOLERANCE = 1e-7  # torch's own hard_sigmoid has 1/6 in float32

ACTIVATIONS_OF_TORCH: dict[str, Callable[..., Any]] = {
    "identity": lambda x: x,
    "heaviside": lambda x: torch.heaviside(x, torch.ones_like(x)).detach() + 0 * x,
    "sigmoid": torch.sigmoid,
    "hard_sigmoid": F.hardsigmoid,
    "softsign": F.softsign,
    "relu": F.relu,
    "relu6": F.relu6,
    "clip(-1, 2)": lambda x: torch.clip(x, -1, 2),
    "leaky_relu": F.leaky_relu,
    "leaky_relu(0.2)": lambda x: F.leaky_relu(x, 0.2),
    "prelu": lambda x, alpha: F.prelu(x, alpha.reshape(1)),
    "prelu(per_channel = true)": F.prelu,
    "elu": F.elu,
    "elu(alpha = 0.7)": lambda x: F.elu(x, 0.7),
    "selu": F.selu,
    "softplus": F.softplus,
    "softplus(beta = 3)": lambda x: F.softplus(x, 3),
    "gelu": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "gelu_sigmoid": lambda x: x * torch.sigmoid(1.702 * x),
    "swish(beta = 2)": lambda x: F.silu(2 * x) / 2,
    "silu": F.silu,
    "hard_swish": F.hardswish,
    "mish": F.mish,
    "softmax": lambda x: F.softmax(x, -1),
    "log_softmax": lambda x: F.log_softmax(x, -1),
    "glu": F.glu,
    "glu(axis = 0)": lambda x: F.glu(x, 1),
    "glu(axis = 1)": lambda x: F.glu(x, 2),
}

NORMS_OF_TORCH: dict[str, Callable[..., Any]] = {
    "layernorm": lambda x, w, b: F.layer_norm(x, (5,), w, b),
    "layernorm(eps = 0.1)": lambda x, w, b: F.layer_norm(x, (6,), w, b, 0.1),
    "layernorm(axis = 1)": lambda x, w, b: F.layer_norm(x, (3, 4), w, b),
    "layernorm(axis = 0)": lambda x, w, b: F.layer_norm(x, (3, 2, 2), w, b),
    "groupnorm(2)": lambda x, w, b: F.group_norm(x, 2, w, b),
    "groupnorm(3, eps = 0.1)": lambda x, w, b: F.group_norm(x, 3, w, b, 0.1),
    "instancenorm": lambda x, w, b: F.instance_norm(x, weight=w, bias=b),
    "instancenorm(eps = 0.1)": lambda x, w, b: F.instance_norm(x, weight=w, bias=b, eps=0.1),
    "rmsnorm": lambda x, w: F.rms_norm(x, (5,), w, 1e-5),
    "rmsnorm(eps = 0.1)": lambda x, w: F.rms_norm(x, (6,), w, 0.1),
}

WEIGHTS = (1, 2, 0.5, 3)


def cross_entropy(z: Any, y: Any, smoothing: float = 0.0, weights: tuple[float, ...] = (1, 1, 1, 1)) -> Any:
    """Of each position, so that weights are not divided by their sum over the batch."""
    return F.cross_entropy(
        z.reshape(-1, 4), y.reshape(-1), torch.tensor(weights, dtype=z.dtype), label_smoothing=smoothing, reduction="none"
    )


LOSSES_OF_TORCH: dict[str, Callable[[Any, Any], Any]] = {
    "mse(z, y)": F.mse_loss,
    "half_mse(z, y)": lambda z, y: 2 * F.mse_loss(z, y),
    "mae(z, y)": F.l1_loss,
    "huber(z, y)": F.huber_loss,
    "huber(z, y, delta = 0.3)": lambda z, y: F.huber_loss(z, y, delta=0.3),
    "log_cosh(z, y)": lambda z, y: torch.log(torch.cosh(z - y)),
    "bce(sigmoid(z), y)": lambda z, y: F.binary_cross_entropy(torch.sigmoid(z), y),
    "bce(0.01 + 0.9 * sigmoid(z), y)": lambda z, y: F.binary_cross_entropy(0.01 + 0.9 * torch.sigmoid(z), y),
    "bce_logits(z, y)": F.binary_cross_entropy_with_logits,
    "multilabel_bce(z, y)": F.multilabel_soft_margin_loss,
    "cross_entropy(z, y)": cross_entropy,
    "cross_entropy(z, y, smoothing = 0.2)": lambda z, y: cross_entropy(z, y, 0.2),
    "cross_entropy(z, y, weights = [1, 2, 0.5, 3])": lambda z, y: cross_entropy(z, y, 0, WEIGHTS),
    "cross_entropy(z, y, 0.2, [1, 2, 0.5, 3])": lambda z, y: cross_entropy(z, y, 0.2, WEIGHTS),
    "nll(log_softmax(z), y)": lambda z, y: F.nll_loss(F.log_softmax(z, -1), y),
    "hinge(z, 2 * y - 1)": lambda z, y: (1 - (2 * y - 1) * z).clamp(min=0),
    "squared_hinge(z, 2 * y - 1)": lambda z, y: (1 - (2 * y - 1) * z).clamp(min=0) ** 2,
    "perceptron(z, 2 * y - 1)": lambda z, y: (-(2 * y - 1) * z).clamp(min=0),
    "kl(softmax(y), softmax(z))": lambda z, y: F.kl_div(F.log_softmax(z, -1), F.softmax(y, -1), reduction="batchmean"),
    "kl(softmax(z), softmax(y))": lambda z, y: F.kl_div(F.log_softmax(y, -1), F.softmax(z, -1), reduction="batchmean"),
    "cosine(z, y)": lambda z, y: F.cosine_embedding_loss(z, y, torch.ones(len(z))),
    "distance(z, y)": lambda z, y: F.pairwise_distance(z, y, eps=0),
    "contrastive(sum(z^2), y, 2)": lambda z, y: torch.where(y == 1, (z**2).sum(1), (2 - z.norm(dim=1)).clamp(min=0) ** 2),
    "triplet(z[0], z[1], y)": lambda z, y: F.triplet_margin_loss(z[:, 0], z[:, 1], y, eps=0),
}


def theirs(net: Any) -> dict[str, Any]:
    return {n: torch.tensor(v).requires_grad_() for n, v in net.params.items()}


def check_values_and_gradients(net: nnspec.Net, function: Callable[..., Any]) -> None:
    """Against a function of torch of the input and the parameters, at random values of all."""
    rng = np.random.default_rng(0)
    x = rng.normal(0, 3, (EXAMPLES, *net.inputs["x"].shape[1:]))
    for value in net.params.values():
        value[...] += rng.normal(0, 0.1, value.shape)
    parameters = theirs(net)
    learned = [p for n, p in parameters.items() if n != "s"]
    given = torch.tensor(x) + parameters["s"]
    y = function(given, *learned)
    assert distance(net(x=x)["y"], y.detach()) < TOLERANCE
    (y**3 + 3 * y).flatten(1).sum(1).mean().backward()
    for name, gradient in net.gradients(x=x)[1].items():
        assert distance(gradient, parameters[name].grad) < TOLERANCE, name


@pytest.mark.parametrize("stage", ACTIVATIONS)
def test_an_activation_and_its_gradients_equal_torch(stage: str) -> None:
    check_values_and_gradients(around(stage), ACTIVATIONS_OF_TORCH[stage])


@pytest.mark.parametrize("stage", NORMS)
def test_a_norm_and_its_gradients_equal_torch(stage: str) -> None:
    check_values_and_gradients(around(stage), NORMS_OF_TORCH[stage])


@pytest.mark.parametrize("call", LOSSES)
def test_a_loss_and_its_gradient_equal_torch(call: str) -> None:
    net = loss(call)
    batch = random_batch({**net.inputs, **net.targets}, 12)
    batch["x"] = np.random.default_rng(1).normal(0, 2, batch["x"].shape)
    s = torch.tensor(net.params["s"]).requires_grad_()
    expected = LOSSES_OF_TORCH[call](torch.tensor(batch["x"]) + s, torch.tensor(batch["y"])).mean()
    expected.backward()
    value, gradients = net.gradients(**batch)
    assert distance(value, expected.item()) < TOLERANCE
    assert distance(gradients["s"], s.grad) < TOLERANCE


class Lion(torch.optim.Optimizer):  # type: ignore[misc]  # torch has none: the program of the paper's algorithm 2
    def __init__(self, parameters: Any, lr: float, decay: float) -> None:
        super().__init__(parameters, {"lr": lr, "decay": decay})

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def step(self, closure: Any = None) -> None:
        for group in self.param_groups:
            for w in group["params"]:
                m = self.state[w].setdefault("m", torch.zeros_like(w))
                change = torch.sign(0.9 * m + 0.1 * w.grad) + group["decay"] * w
                w.sub_(group["lr"] * change)
                m.mul_(0.99).add_(w.grad, alpha=0.01)


OPTIMIZERS_OF_TORCH: dict[str, Callable[[list[Any]], Any]] = {
    "sgd(lr = 0.1)": lambda p: torch.optim.SGD(p, lr=0.1),
    "momentum(lr = 0.05)": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9),
    "adagrad": torch.optim.Adagrad,
    "rmsprop": torch.optim.RMSprop,
    "rmsprop(1e-3, rho = 0.9)": lambda p: torch.optim.RMSprop(p, 1e-3, alpha=0.9),
    "adadelta": torch.optim.Adadelta,
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "adamw(lr = 1e-2, decay = 0.3)": lambda p: torch.optim.AdamW(p, lr=1e-2, weight_decay=0.3),
    "adamax": torch.optim.Adamax,
    "nadam": torch.optim.NAdam,
    "nadam(lr = 1e-2, beta1 = 0.8, psi = 0.1)": lambda p: torch.optim.NAdam(p, 1e-2, (0.8, 0.999), momentum_decay=0.1),
    "lion": lambda p: Lion(p, 1e-4, 0.0),
    "lion(1e-3, decay = 0.1)": lambda p: Lion(p, 1e-3, 0.1),
}


def test_every_optimizer_is_in_the_table() -> None:
    assert library("optimizers", "optimizer") - {"nesterov"} == words(OPTIMIZERS_OF_TORCH)


@pytest.mark.parametrize("optimizer", OPTIMIZERS_OF_TORCH)
@pytest.mark.parametrize("name", NETS)
def test_parameters_and_loss_after_fifty_steps_equal_torch(name: str, optimizer: str) -> None:
    spec, forward, smoothing = NETS[name]
    net = nnspec.loads(spec.replace("OPTIMIZER", optimizer), dtype="float64").init(seed=3)
    parameters = theirs(net)
    states = {n: torch.tensor(v) for n, v in net.states.items()}
    batch = random_batch({**net.inputs, **net.targets}, 16)
    x, y = torch.tensor(batch["x"]), torch.tensor(batch["y"])
    stepper = OPTIMIZERS_OF_TORCH[optimizer](list(parameters.values()))
    for _ in range(50):
        ours = net.step(**batch)
        stepper.zero_grad()
        expected = F.cross_entropy(forward({**parameters, **states}, x, True), y, label_smoothing=smoothing)
        expected.backward()
        stepper.step()
        assert ours == pytest.approx(expected.item(), rel=1e-6)
    # A bias before batchnorm has a gradient of rounding only, which adam and its like blow up to whole steps.
    for n in net.params.keys() - {"conv.b", "conv_2.b"}:
        assert distance(net.params[n], parameters[n].detach()) < 1e-6, n


EPOCHS, STEPS = 8, 40
SCHEDULERS = torch.optim.lr_scheduler
SCHEDULES_OF_TORCH: dict[str, Callable[[Any], Any]] = {
    "constant": lambda o: SCHEDULERS.ConstantLR(o, factor=1),
    "step_decay(0.5, every = 3)": lambda o: SCHEDULERS.StepLR(o, 3 * STEPS // EPOCHS, 0.5),
    "exponential(0.9)": lambda o: SCHEDULERS.LambdaLR(o, lambda i: 0.9 ** (i * EPOCHS // STEPS)),
    "exp_decay(0.3)": lambda o: SCHEDULERS.LambdaLR(o, lambda i: math.exp(-0.3 * (i * EPOCHS // STEPS))),
    "linear": lambda o: SCHEDULERS.LinearLR(o, 1, 0, STEPS),
    "linear(final = 0.1)": lambda o: SCHEDULERS.LinearLR(o, 1, 0.1, STEPS),
    "warmup(10)": lambda o: SCHEDULERS.LinearLR(o, 1 / 10, 1, 9),
    "inverse_sqrt(5)": lambda o: SCHEDULERS.LambdaLR(o, lambda i: min((i + 1) / 5, (5 / (i + 1)) ** 0.5)),
    "inverse_sqrt(0)": lambda o: SCHEDULERS.LambdaLR(o, lambda i: (i + 1) ** -0.5),
    "cosine": lambda o: SCHEDULERS.CosineAnnealingLR(o, STEPS),
    "cosine(warmup = 6)": lambda o: SCHEDULERS.SequentialLR(
        o, [SCHEDULERS.LinearLR(o, 1 / 6, 1, 5), SCHEDULERS.CosineAnnealingLR(o, STEPS - 6)], [6]
    ),
    "one_cycle": lambda o: SCHEDULERS.OneCycleLR(o, 0.1, STEPS),
    "one_cycle(rise = 0.5, divide = 10, final_divide = 100)": lambda o: SCHEDULERS.OneCycleLR(
        o, 0.1, STEPS, pct_start=0.5, div_factor=10, final_div_factor=100
    ),
}


def test_every_schedule_is_in_the_table() -> None:
    assert library("schedules", "schedule") == words(SCHEDULES_OF_TORCH) | {"on_plateau"}


@pytest.mark.parametrize("schedule", SCHEDULES_OF_TORCH)
def test_the_rate_of_every_step_equals_torch(schedule: str) -> None:
    net = nnspec.loads(MLP.replace("epochs 1  optimizer OPTIMIZER", f"epochs {EPOCHS}  optimizer sgd(lr = 0.1)  schedule {schedule}"))
    rate = LearningRate(net.spec, EPOCHS, STEPS)
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    scheduler = SCHEDULES_OF_TORCH[schedule](optimizer)
    for step in range(STEPS):
        assert rate(step * EPOCHS // STEPS, step) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-9), step
        optimizer.step()
        scheduler.step()
