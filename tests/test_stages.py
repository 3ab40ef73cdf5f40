"""What a train block can say beyond one loss and all parameters: looking ahead, stages, phases, other runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

import nnspec
from nnspec import SpecError
from nnspec.cli.running import Wishes, train_run
from nnspec.compile import Compilation
from nnspec.deploy.beginning import memory_of
from nnspec.deploy.step import whole_step
from nnspec.diagnostics import Diagnostic
from nnspec.optimization import LR, T
from nnspec.run import reference
from nnspec.source import read_source
from nnspec.train.commit import newest
from nnspec.train.loop import Progress
from nnspec.train.schedule import LearningRate

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
        feeds = {**{n: v.copy() for n, v in ours.engine.params.items()}, **data, "seed": 0, "step": t - 1, LR: 0.1, T: t}
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


# ---- stages


STAGES = """
train pretrain { batch 4  epochs 2  optimizer adam(lr = 0.05)  seed 3 }
train finetune { batch 6  epochs 3  optimizer momentum(lr = 0.01) }
"""


def test_stages_run_in_order_each_with_its_own_optimizer() -> None:
    two, data = net(STAGES), some_data()
    history = two.fit(data)
    assert [(e.number, e.stage, e.step) for e in history.epochs] == [
        (1, "pretrain", 3), (2, "pretrain", 6), (3, "finetune", 8), (4, "finetune", 10), (5, "finetune", 12),
    ]  # fmt: skip
    assert history.epochs[0].as_json()["stage"] == "pretrain"
    assert [e.lr for e in history.epochs] == [0.05, 0.05, 0.01, 0.01, 0.01]
    assert set(two.engine.all_arrays()) - {*two.params, *two.states} == {f"optimizer/v/{n}" for n in two.params}


def test_a_later_stage_goes_on_with_the_weights_and_nothing_else() -> None:
    """The second stage by hand, from the weights that the first leaves: optimizer states and `t` start over."""
    data = some_data()
    first, both = (
        net("train { batch 12  epochs 2  optimizer adam(lr = 0.05) }"),
        net("train { batch 12  epochs 2  optimizer adam(lr = 0.05) }  train { batch 12  epochs 1  optimizer adam(lr = 0.01) }"),
    )
    first.fit(data)
    before = {n: v.copy() for n, v in first.params.items()}
    both.fit(data)
    for name, w in both.params.items():  # Adam's first step is lr times the sign of the gradient
        moved = np.abs(w - before[name])
        assert moved.max() == pytest.approx(0.01, rel=1e-2)


def test_epochs_from_python_are_of_each_stage() -> None:
    assert [e.stage for e in net(STAGES).fit(some_data(), epochs=1).epochs] == ["pretrain", "finetune"]


def test_a_stage_without_data_goes_on_with_the_parts_of_the_one_before() -> None:
    source = "data { x = [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0]], y = [[1, 0], [0, 1], [1, 1], [0, 0]] }"
    rest = "epochs 1  optimizer sgd(0.1)"
    spec = net(f"train {{ {source}  validation 0.25  seed 9  {rest} }} train {{ {rest} }} train {{ {source}  {rest} }}")
    one, two, three = spec.datasets()
    assert one is two and one.validation is not None and len(one.train["x"]) == 3
    assert three.validation is None and len(three.train["x"]) == 4
    assert [t.seed for t in spec.spec.trainings] == [9, 9, 9]


@pytest.mark.parametrize(
    ("train", "code"),
    [
        ("train a { epochs 1  optimizer sgd(1) } train a { epochs 1  optimizer sgd(1) }", "E105"),
        ("train { epochs 1  optimizer sgd(1) } train { epochs 1 }", "E110"),
    ],
)
def test_a_wrong_stage_is_refused(train: str, code: str) -> None:
    with pytest.raises(SpecError, match=code):
        net(train)


def test_a_run_saved_after_its_last_stage_opens_where_it_was(tmp_path: Path) -> None:
    ours, data = net(STAGES), some_data()
    ours.fit(data)
    ours.save(tmp_path / "run")
    again = nnspec.open(tmp_path / "run")
    assert ours.step(**data) == again.step(**data)
    assert all((ours.engine.all_arrays()[n] == v).all() for n, v in again.engine.all_arrays().items())


# ---- which parameters


def moved(net: nnspec.Net, data: dict[str, Any]) -> set[str]:
    before = {n: v.copy() for n, v in net.params.items()}
    net.step(**data)
    return {n for n, v in net.params.items() if (v != before[n]).any()}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("lines", "trained"),
    [
        ("freeze dense", {"dense_2.W", "dense_2.b"}),
        ("freeze dense.W, dense_2.b", {"dense.b", "dense_2.W"}),
        ('update "dense_*"', {"dense_2.W", "dense_2.b"}),
        ('freeze "*.b"', {"dense.W", "dense_2.W"}),
        ('update "dense*"  freeze dense_2.W', {"dense.W", "dense.b", "dense_2.b"}),
    ],
)
def test_only_what_is_chosen_is_trained(lines: str, trained: set[str], engine: str) -> None:
    ours, data = net(f"train {{ epochs 1  optimizer adam(lr = 0.1)  {lines} }}", engine=engine), some_data()
    assert moved(ours, data) == trained
    gradients = {n.removeprefix("grad:") for n in ours.spec.stages[0][0].objective.outputs if n.startswith("grad:")}
    assert gradients == trained


def test_a_frozen_parameter_does_not_change_the_update_of_the_others() -> None:
    whole, part, data = net("train { epochs 1 optimizer adam }"), net("train { epochs 1 optimizer adam  freeze dense_2.W }"), some_data()
    whole.step(**data), part.step(**data)
    for name in ("dense.W", "dense.b", "dense_2.b"):
        np.testing.assert_array_equal(whole.params[name], part.params[name])


@pytest.mark.parametrize(
    ("lines", "code", "words"),
    [
        ("freeze densee", "E101", "did you mean `dense`"),
        ('update "conv*"', "E101", "there are dense, dense_2"),
        ("freeze dense, dense_2", "E110", "nothing to train"),
        ("freeze 3", "E106", "a pattern such as"),
        ("freeze dense  freeze dense_2", "E105", "set twice"),
        ("minimize mes", "E101", "did you mean `mse`"),
        ("minimize mse  update dense  update dense", "E105", "set twice"),
    ],
)
def test_a_wrong_choice_is_refused(lines: str, code: str, words: str) -> None:
    with pytest.raises(SpecError, match=code) as error:
        net(f"train {{ epochs 1  optimizer adam  {lines} }}")
    assert words in str(error.value)


# ---- phases

GAME = """
model Game {
  input x: [4]
  fake = normal_like(x) -> dense(4) as generator
  judge_real = x -> batchnorm as norm -> dense(1) as discriminator
  score = fake -> rows(x)
  d_loss = softplus(-judge_real[0]) + softplus(score)
  output judge_real
  loss d_loss = d_loss
  loss g_loss = softplus(-score)
}
fn normal_like(x) = if training then 0 * x + normal(0, 1) else x
layer rows(fake, x) {
  param v: [4] ~ normal(0, 1)
  return sum(fake * v)
}
train {
  batch 8  epochs 2  optimizer adam(lr = 0.01, beta1 = 0.5)
  minimize d_loss  update discriminator, rows, norm
  minimize g_loss  update generator
}
"""


@pytest.mark.parametrize("engine", ENGINES)
def test_phases_alternate_on_every_batch_each_with_its_losses_and_parameters(engine: str) -> None:
    """Both phases by hand: the second sees what the first did, and draws its own random numbers."""
    ours = nnspec.loads(GAME, dtype="float64", engine=engine)
    x = np.random.default_rng(1).standard_normal((8, 4))
    first, second = ours.spec.stages[0]
    assert (first.states, second.states) == (["norm.mu", "norm.var"], [])
    feeds: dict[str, Any] = {n: v.copy() for n, v in {**ours.params, **ours.states}.items()}
    feeds |= {f"{n}.{s}": np.zeros(v.shape) for n, v in ours.params.items() for s in "mv"} | {"x": x, "seed": 0, LR: 0.01, T: 1}
    values = reference.run(first.step, {**feeds, "step": 0})
    after = {**feeds, **{n.split(":")[1]: v for n, v in values.items() if n.startswith(("param:", "state:", "opt:"))}}
    more = reference.run(second.step, {**after, "step": 1 << 28})
    assert ours.step(x=x) == pytest.approx(float(values["loss"] + more["loss"]), rel=1e-12)
    assert ours.engine.losses == pytest.approx({"d_loss": float(values["loss"]), "g_loss": float(more["loss"])})
    expected = {**after, **{n.split(":")[1]: v for n, v in more.items() if n.startswith("param:")}}
    for name, w in {**ours.params, **ours.states}.items():
        np.testing.assert_allclose(w, expected[name], atol=1e-12)
        assert (w != feeds[name]).any()


SHARED = """
model Shared {
  input x: [3]
  param a: [3, 2] ~ normal(0, 1)
  param b: [2] ~ normal(0, 1)
  param c: [2] ~ normal(0, 1)
  h = tanh(x @ a + b)
  output h
  loss near = mean((h - c)^2)
  loss far  = mean(h * c)
}
train before { batch 4  steps 2  optimizer OPTIMIZER  minimize far  update a, c }
train { steps 5  optimizer OPTIMIZER  minimize near  minimize far  update b, c  minimize near  freeze b, c }
"""
TURNS = ([("far", "ac")] * 2, [("near", "abc"), ("far", "bc"), ("near", "a")] * 5)


def shared_by_torch(optimizer: str, clipped: bool, net: nnspec.Net, x: Any) -> dict[str, Any]:
    """One optimizer of torch for each train block, that steps in every phase with the gradients of what it trains."""
    w = {n: torch.tensor(v, requires_grad=True) for n, v in net.params.items()}
    make = {"adam": torch.optim.Adam, "adamax": torch.optim.Adamax, "nadam": torch.optim.NAdam, "adamw": torch.optim.AdamW}[optimizer]
    for phases in TURNS:
        steps = make(w.values(), lr=0.05)
        for loss, names in phases:
            h = torch.tanh(torch.tensor(x) @ w["a"] + w["b"])
            steps.zero_grad()
            {"near": (h - w["c"]).square(), "far": h * w["c"]}[loss].mean().backward(inputs=[w[n] for n in names])
            if clipped:
                torch.nn.utils.clip_grad_norm_([w[n] for n in names], 0.1)
            steps.step()
    return {n: v.detach().numpy() for n, v in w.items()}


@pytest.mark.parametrize("engine", [*ENGINES, "ort"])
@pytest.mark.parametrize("clip", ["", "clip norm(0.1)"])
@pytest.mark.parametrize("optimizer", ["adam", "adamw", "adamax", "nadam"])
def test_phases_that_share_a_parameter_are_steps_of_one_optimizer_of_torch(optimizer: str, clip: str, engine: str) -> None:
    text = SHARED.replace("OPTIMIZER", f"{optimizer}(lr = 0.05)  {clip}")
    ours = nnspec.loads(text, dtype="float64", engine=engine).init(0)
    x = np.random.default_rng(0).standard_normal((4, 3))
    expected = shared_by_torch(optimizer, clip != "", ours, x)
    exported = as_exported(ours, x)
    ours.fit({"x": x})
    for name, w in ours.params.items():
        np.testing.assert_allclose(w, expected[name], atol=1e-7)
        np.testing.assert_allclose(exported[name], expected[name], atol=1e-7)


def as_exported(net: nnspec.Net, x: Any) -> dict[str, Any]:
    """The weights after the steps of the exported training, by the definition."""
    values: dict[str, Any] = {n: v.copy() for n, v in net.params.items()} | {"x": x, "seed": 0, "step": 0, "lr": 0.05}
    for number, training in enumerate(net.spec.trainings):
        fresh = {n: np.full(type.shape, start) for n, (type, start) in memory_of(net.spec, number).items()}
        values |= fresh | {"begun": values["step"]}
        for _ in range(training.steps or 0):
            values |= {n.removeprefix("next:"): v for n, v in reference.run(whole_step(net.spec, number), values).items()}
    return values


def test_the_losses_of_phases_are_reported_by_name() -> None:
    history = nnspec.loads(GAME).fit({"x": np.random.default_rng(0).standard_normal((20, 4))})
    metrics = history.epochs[-1].metrics
    assert metrics["loss"] == pytest.approx(metrics["d_loss"] + metrics["g_loss"], rel=1e-5)


def test_a_generative_adversarial_net_learns_where_its_data_lie() -> None:
    spec = """
    model Gan {
      input x: []
      param shift: [] = 0
      param a: [] = 0.1
      param b: [] = 0
      fake = (if training then normal(0, 1) + 0 * x else 0 * x) + shift
      output sample = fake
      loss d_loss = softplus(-(a * x + b)) + softplus(a * fake + b) + 0.05 * a^2
      loss g_loss = softplus(-(a * fake + b))
    }
    train {
      batch 64  epochs 60  optimizer sgd(lr = 0.05)
      minimize d_loss  update a, b
      minimize g_loss  update shift
    }
    """
    ours = nnspec.loads(spec)
    ours.fit({"x": 3 + np.random.default_rng(0).standard_normal(1024)})
    assert ours.params["shift"] == pytest.approx(3, abs=0.4)


# ---- other runs


def test_a_training_starts_from_another_run(tmp_path: Path) -> None:
    data = some_data()
    old = net("train { epochs 3  optimizer adam }")
    old.fit(data)
    old.save(tmp_path / "old")
    text = NET.replace("dense(2)", "dense(2) as head").replace(
        "TRAIN", 'train { start from "old"  steps 1  freeze dense  optimizer sgd(0) }'
    )
    (tmp_path / "new.nn").write_text(text)
    new, notes = nnspec.load(tmp_path / "new.nn"), list[str]()
    new.fit(data, progress=Progress(on_note=notes.append))
    np.testing.assert_array_equal(new.params["dense.W"], old.params["dense.W"])
    assert "2 of 4" in notes[0]


def test_a_training_starts_from_a_file_of_weights(tmp_path: Path) -> None:
    w = np.ones((3, 4), np.float32)
    save_file({"dense.W": w, "dense_2.W": w}, tmp_path / "w.safetensors")
    (tmp_path / "new.nn").write_text(NET.replace("TRAIN", 'train { start from "w.safetensors"  steps 1  optimizer sgd(0) }'))
    new = nnspec.load(tmp_path / "new.nn")
    new.fit(some_data())
    np.testing.assert_array_equal(new.params["dense.W"], w)


@pytest.mark.parametrize(("labels", "moved"), [
    (("ash", "elm", "oak"), ""),
    (("birch", "elm", "oak"), ""),
    (("birch", "pine", "yew"), ""),
    (("elm", "oak", "yew"), "`elm` of `kind` is class 0 here, and was 1 in old"),
    (("ash", "beech", "elm"), "`elm` of `kind` is class 2 here, and was 1 in old"),
])  # fmt: skip
def test_a_label_that_has_another_number_than_its_weights_is_told(labels: tuple[str, ...], moved: str, tmp_path: Path) -> None:
    model = "model M { input kind: class(3)  target y: []  output z = (kind -> embedding(3, 1))[0]  loss mse(z, y) }"
    nnspec.loads(f"{model} train {{ epochs 1  optimizer adam }}").fit({"kind": ["ash", "elm", "oak"], "y": [1, 2, 3]}, run=tmp_path / "old")
    (tmp_path / "new.nn").write_text(f'{model} train {{ start from "old"  epochs 1  optimizer sgd(0) }}')
    new, told = nnspec.load(tmp_path / "new.nn"), list[Diagnostic]()
    new.fit({"kind": labels, "y": [1, 2, 3]}, progress=Progress(on_warning=told.append))
    assert [d.code for d in told] == ["W546"] * bool(moved) and all(d.message.startswith(moved) for d in told)


@pytest.mark.parametrize("old", ["nowhere", "old"])
def test_a_run_with_nothing_in_common_or_no_run_is_no_start(old: str, tmp_path: Path) -> None:
    nnspec.loads("model M { input x: [2]  output y = x -> dense(3) as other }").save(tmp_path / "old")
    (tmp_path / "new.nn").write_text(NET.replace("TRAIN", f'train {{ start from "{old}"  epochs 1  optimizer sgd(1) }}'))
    with pytest.raises(SpecError, match="E503") as error:
        nnspec.load(tmp_path / "new.nn").fit(some_data())
    span = error.value.diagnostics[0].span
    assert span and span.text == f'start from "{old}"'


def test_a_missing_run_of_a_later_stage_is_found_before_the_first(tmp_path: Path) -> None:
    blocks = 'train { epochs 1  optimizer sgd(1) } train { start from "nowhere"  epochs 1  optimizer sgd(1) }'
    (tmp_path / "new.nn").write_text(NET.replace("TRAIN", blocks))
    trained = nnspec.load(tmp_path / "new.nn")
    with pytest.raises(SpecError, match="E503"):
        trained.fit(some_data())
    assert not trained.engine.steps_done


def test_checkpoints_are_written_on_the_way_and_the_last_three_kept(tmp_path: Path) -> None:
    rows = ", ".join(f"[{i}, {i % 3}, 1]" for i in range(12))
    source = f"data {{ x = [{rows}], y = [{', '.join(['[0, 1]'] * 12)}] }}"
    (tmp_path / "net.nn").write_text(NET.replace("TRAIN", f"train {{ {source}  batch 4  epochs 4  optimizer adam  checkpoint 2 }}"))
    train_run(Compilation(read_source(tmp_path / "net.nn"), {}, folder=tmp_path), "net", Wishes(engine="numpy"), tmp_path / "run")
    assert sorted(p.name for p in (tmp_path / "run").glob("step-*")) == ["step-00000008", "step-00000010", "step-00000012"]
    saved = newest(tmp_path / "run")
    assert saved.step == 12 and "optimizer/m/dense.W" in saved.arrays


# ---- a schedule that watches the loss


def test_on_plateau_is_torch_s() -> None:
    random = np.random.default_rng(0)
    losses = [*np.linspace(3, 1, 6), *(1 - 1e-5 * np.arange(8)), *np.linspace(0.9, 0.5, 4), *(0.6 + random.random(25)), 0.1, *[0.2] * 9]
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.3)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=2)
    spec = net("train { epochs 1  optimizer sgd(lr = 0.3)  schedule on_plateau(factor = 0.5, patience = 2) }").spec
    rate = LearningRate(spec, epochs=len(losses), steps=3 * len(losses))
    seen = set()
    for epoch, loss in enumerate(losses):
        for step in range(3):
            assert rate(epoch, 3 * epoch + step) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-12)
        seen.add(rate(epoch, 3 * epoch))
        rate.watch(loss)
        theirs.step(loss)
    assert len(seen) > 8


@pytest.mark.parametrize("validated", [False, True])
def test_a_training_that_stands_still_lowers_its_rate(validated: bool) -> None:
    ours, data = net("train { batch 12  epochs 6  optimizer sgd(lr = 1e-9)  schedule on_plateau(patience = 1) }"), some_data()
    history = ours.fit(data, validation=data if validated else None)
    assert [e.lr for e in history.epochs] == pytest.approx([1e-9, 1e-9, 1e-9, 1e-10, 1e-10, 1e-11])


def test_a_schedule_s_own_argument_is_not_hidden_by_what_it_may_ask_for() -> None:
    text = "schedule falling(rate = 0.5) = lr * rate^epoch  train { epochs 3  optimizer sgd(1)  schedule falling(0.25) }"
    assert LearningRate(net(text).spec, 3, 9)(2, 6) == 0.0625
