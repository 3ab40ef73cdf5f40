"""What is said of data and network once they meet: before the first step, and of the network's health while it trains."""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from error_pages import MEASURED, halves, pages, used
from helpers import ROOT, Stopping, run
from warned import TRAINED

import nnspec
from nnspec.diagnostics import Diagnostic
from nnspec.train import health
from nnspec.train.health import Health
from nnspec.train.interrupt import Interrupted
from nnspec.train.loop import History, Progress
from nnspec.train.probe import Look, Probe

PAGES = [ROOT / "nnspec" / "errors" / f"{code}.md" for code in TRAINED] + pages("W4")

SPEC = """schedule falling(by = 1.5) = lr * (1 - by * max(epoch, by / 9 - 0.5))
schedule share = lr / 2
schedule factor = 0.9^epoch
schedule whole = 0.01 * 0.9^epoch
optimizer up(lr) {{ w <- w + lr * g }}
fn chosen(u) = if u > 0 then u else 0
fn bent(u) = if u < 0 then 0 else u
fn gated(u) = u * (u > 0)
fn open(u) = (u >= 0) * u
model M {{
  input  x: [4]
  target y: class({classes})
  logits = x -> {stages} -> dense({classes})
  output probs = softmax(logits) # nnspec: allow W124
  loss   cross_entropy(logits, y) # nnspec: allow W124
}}
train {{
  batch     {batch}
  epochs    {epochs}
  optimizer {optimizer}
{more}}}"""
RANDOM = np.random.default_rng(0)
X, Y = RANDOM.standard_normal((65, 4)), np.arange(65) % 3


def trained(
    stages: str = "dense(8) -> relu",
    batch: int = 16,
    epochs: int = 2,
    optimizer: str = "sgd(lr = 0.1)",
    more: str = "",
    classes: int = 3,
    x: np.ndarray = X,
) -> tuple[History, list[str]]:
    """The history, and the codes that were told while it trained."""
    told: list[str] = []
    spec = SPEC.format(stages=stages, batch=batch, epochs=epochs, optimizer=optimizer, more=more, classes=classes)
    history = nnspec.loads(spec).fit({"x": x, "y": Y[: len(x)]}, progress=Progress(on_warning=lambda d: told.append(d.code)))
    assert told == [d.code for d in history.warnings]
    return history, told


def codes(**how: object) -> list[str]:
    return trained(**how)[1]  # type: ignore[arg-type]  # a table of cases


SAYS: dict[str, tuple[dict[str, object], list[str]]] = {
    "65 in batches of 16, with batchnorm": ({"stages": "dense(8, bias = false) -> batchnorm -> relu"}, ["W114"]),
    "65 in batches of 13, with batchnorm": ({"stages": "dense(8, bias = false) -> batchnorm -> relu", "batch": 13}, []),
    "65 one by one, with batchnorm": ({"stages": "dense(8, bias = false) -> batchnorm -> relu", "batch": 1}, ["W114"]),
    "65 in batches of 16, with layernorm": ({"stages": "dense(8) -> layernorm -> relu"}, []),
    "one example, with batchnorm": ({"stages": "dense(8, bias = false) -> batchnorm -> tanh", "x": X[:1], "classes": 1}, ["W114"]),
    "a class too many": ({"classes": 4}, ["W115"]),
    "a rate that falls after the end": ({"more": "  schedule step_decay(gamma = 0.1, every = 2)\n"}, ["W116"]),
    "a rate that falls in time": ({"more": "  schedule step_decay(gamma = 0.1, every = 1)\n"}, []),
    "a warm-up that does not end": ({"more": "  schedule warmup(100)\n"}, ["W116"]),
    "a warm-up before a cosine that does not end": ({"more": "  schedule cosine(warmup = 100)\n"}, ["W116"]),
    "a warm-up that ends": ({"more": "  schedule cosine(warmup = 3)\n"}, []),
    "a rate that stays, as it says": ({"more": "  schedule constant\n"}, []),
    "a rate that waits for the loss": ({"more": "  schedule on_plateau(patience = 5)\n"}, []),
    "a rate that falls below zero": ({"more": "  schedule falling\n"}, ["W126"]),
    "a rate that is below zero all along": ({"more": "  schedule falling(9)\n"}, ["W126"]),
    "a share of the rate": ({"more": "  schedule share\n"}, []),
    "a factor in the place of a rate": ({"more": "  schedule factor\n", "optimizer": "adam"}, ["W133"]),
    "a rate in the place of the optimizer's": ({"more": "  schedule whole\n", "optimizer": "adam"}, []),
    "an optimizer that goes up": ({"more": "  schedule falling(9)\n", "optimizer": "up(lr = 0.1)"}, []),
    "a schedule that is meant": ({"more": "  schedule warmup(100) # nnspec: allow W116: the first part of a longer run\n"}, []),
    "a rate that kills": ({"optimizer": "sgd(lr = 1e3)", "stages": "dense(8) -> relu -> dense(8) -> relu"}, ["W401"]),
    **{
        f"a rate that kills a relu of one's own, {relu}": (
            {"optimizer": "sgd(lr = 1e3)", "stages": f"dense(8) -> {relu} -> dense(8) -> {relu}"},
            ["W401"],
        )
        for relu in ("max(0)", "chosen", "bent", "gated", "open")
    },
    "inputs that were never scaled": ({"stages": "dense(8) -> tanh", "x": 100 * X}, ["W402"]),
    "weights by which all values grow": (
        {"stages": "repeat(8) { dense(64, init = normal(0, 1)) -> relu }", "optimizer": "sgd(lr = 1e-12)"},
        ["W404"],
    ),
    "weights by which they grow a little": ({"stages": "repeat(2) { dense(64, init = normal(0, 1)) -> relu }"}, []),
    "weights of next to nothing": ({"stages": "dense(64, init = normal(0, 1e-6)) -> relu"}, []),
    "a loss that does not fall": ({"optimizer": "sgd(lr = 1e-9)", "epochs": 5}, ["W405"]),
    "too few epochs to tell": ({"optimizer": "sgd(lr = 1e-9)", "epochs": 4}, []),
    "nothing wrong": ({"epochs": 6}, []),
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", SAYS)
def test_it_says(name: str) -> None:
    how, expected = SAYS[name]
    assert codes(**how) == expected


SECONDS, METRES = 1.7e9 + 600 * RANDOM.random(65), 5.4e6 + (500 * RANDOM.random(65)).round(2)


def test_a_loss_that_does_not_fall_is_laid_to_what_gives_the_rate() -> None:
    def blamed(schedule: str) -> list[str]:
        spec = SPEC.format(stages="dense(8)", batch=65, epochs=5, optimizer="sgd(lr = 1e-9)", more=f"  schedule {schedule}\n", classes=3)
        told = nnspec.loads("schedule still = 1e-9\n" + spec).fit({"x": X, "y": Y}, progress=Progress(on_warning=lambda _: None)).warnings
        return [d.span.text for d in told if d.code == "W405" and d.span]

    assert (blamed("share"), blamed("still")) == (["sgd(lr = 1e-9)"], ["still"])


COLUMNS = {
    "seconds of ten minutes": (SECONDS, "float32"),
    "seconds of a day": (1.7e9 + 86400 * RANDOM.random(65), "float32"),
    "seconds of a year": (1.7e9 + 3e7 * RANDOM.random(65), ""),
    "seconds in double precision": (SECONDS, ""),
    "milliseconds of a day": (1.7e12 + (86.4e6 * RANDOM.random(65)).round(), "float32"),
    "metres and centimetres": (METRES, "float32"),
    "metres from there": (METRES - 5.4e6, ""),
    "whole numbers that are exact": (16_777_000.0 + np.arange(65), ""),
    "whole numbers above": (16_777_216.0 + np.arange(65), "float32"),
    "two numbers far apart": (1e6 + np.arange(65) % 2, ""),
    "one number": (np.full(65, 1.7e9), ""),
    "numbers around 0": (1e-30 * RANDOM.standard_normal(65), ""),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_a_column_of_which_numbers_become_equal_is_told(name: str) -> None:
    column, kind = COLUMNS[name]
    text = (
        "model M { input x: [2]  target y: []  output z = x -> standardize -> linear  loss mse(z, y) } train { epochs 1  optimizer sgd(0) }"
    )
    spec = nnspec.loads(text, dtype="float64" if "double" in name else "float32")
    found = [d for d in spec.fit({"x": np.stack([X[:, 0], column], axis=1), "y": Y}).warnings if d.code == "W135"]
    assert len(found) == bool(kind)
    if found:
        assert f"`x` of 65 examples has {len(np.unique(column.astype(kind)))} values in {kind}, whose" in found[0].message
        assert len(np.unique(column.astype(kind))) < len(np.unique(column))


LABELS = {
    "bce_logits(z, y)": {(0, 1): [], (0.2, 1): [], (-1, 1): ["(y + 1) / 2"], (1, 7): [None]},
    "hinge(z, y)": {(0, 1): ["2 * y - 1"], (-1, 1): [], (0.5, 1): []},
    "mse(z, y)": {(-1, 1): []},
}


@pytest.mark.parametrize(("loss", "labels"), [(loss, labels) for loss, of in LABELS.items() for labels in of])
def test_labels_of_another_kind_than_the_loss_takes_are_told_once_they_are_there(loss: str, labels: tuple[float, float]) -> None:
    told: list[Diagnostic] = []
    spec = f"model M {{\n  input x: [4]\n  target y: []\n  output z = x -> dense(1) -> squeeze\n  loss {loss}\n}}\n"
    data = {"x": X, "y": np.resize(labels, len(X))}
    nnspec.loads(spec + "train { epochs 1  optimizer adam }").fit(data, progress=Progress(on_warning=told.append))
    assert [(d.code, d.span and d.span.text, d.fix and d.fix.text) for d in told] == [("W132", "y", fix) for fix in LABELS[loss][labels]]


def test_units_that_are_dead_in_a_handful_of_examples_may_live_in_others() -> None:
    net = nnspec.loads(SPEC.format(stages="dense(8) -> relu", batch=4, epochs=1, optimizer="sgd(lr = 0.1)", more="", classes=3))
    part = Probe(net.engine, 0, {"x": np.float32(X[:5]), "y": Y[:5]}, whole=False)
    assert part.look().dead == ()


def test_the_units_of_a_signal_are_its_channels() -> None:
    spec = (
        "model M {\n  input x: [2, 9]\n  target y: [3]\n  output z = x -> conv(8, 3) -> relu -> flatten -> dense(3)\n  loss mse(z, y)\n}\n"
        "train { batch 8  epochs 1  optimizer adam }"
    )
    net = nnspec.loads(spec)
    net.params["conv.b"] = [-99] * 6 + [99] * 2
    fields = {"x": np.float32(RANDOM.standard_normal((20, 2, 9))), "y": np.zeros((20, 3), np.float32)}
    assert [(d.name, d.value) for d in Probe(net.engine, 0, fields, whole=True).look().dead] == [("conv", 0.75)]


def test_a_look_sees_what_torch_sees() -> None:
    import torch

    spec = SPEC.format(
        stages="dense(8) -> relu -> dense(8) -> tanh", batch=16, epochs=1, optimizer="sgd(lr = 0.1)", more="", classes=3
    )  # fmt: skip
    net = nnspec.loads(spec, dtype="float64")
    net.params["dense.b"] = np.linspace(-9, 2, 8)
    net.params["dense_2.W"] *= 9
    p = {n: torch.tensor(np.array(v), requires_grad=True) for n, v in net.params.items()}
    first = torch.relu(torch.tensor(X) @ p["dense.W"] + p["dense.b"])
    second = torch.tanh(first @ p["dense_2.W"] + p["dense_2.b"])
    loss = torch.nn.functional.cross_entropy(second @ p["dense_3.W"] + p["dense_3.b"], torch.tensor(Y))
    loss.backward()
    first, second = first.detach(), second.detach()
    look = Probe(net.engine, 0, {"x": X, "y": Y}, whole=True).look()
    assert look.loss == pytest.approx(loss.item())
    assert [(d.name, d.value) for d in look.dead] == [("dense", float((first == 0).all(0).double().mean()))]
    assert [(s.name, s.value) for s in look.saturated] == [
        ("dense_2", pytest.approx(float((second.abs() > 0.98).double().mean()), abs=1e-6))
    ]
    for layer in look.gradients:
        assert layer.value == pytest.approx(float(p[layer.name].grad.norm() / p[layer.name].detach().norm()))
    assert [layer.name for layer in look.gradients] == ["dense.W", "dense_2.W", "dense_3.W"] and 0 < look.dead[0].value < 1


def test_looking_takes_at_most_a_small_share_of_a_training(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock that looks and epochs alone move: a second for a look, three for an epoch."""
    now, (look, after) = [0.0], (Probe.look, Health.after)

    def looking(self: Probe) -> Look:
        now[0] += 1
        return look(self)

    def ended(self: Health, epoch: int) -> None:
        now[0] += 3
        after(self, epoch)

    monkeypatch.setattr(health, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    monkeypatch.setattr(Probe, "look", looking)
    monkeypatch.setattr(Health, "after", ended)
    looks = trained(epochs=200)[0].health
    assert looks[0]["epoch"] == 0 and looks[-1]["epoch"] == 200
    assert len(looks) == 1 + 11 + 1  # the first, of 611 seconds a fiftieth less the first, and the last


def test_looking_changes_no_bit_of_the_training(monkeypatch: pytest.MonkeyPatch) -> None:
    net, other = (nnspec.load("iris", threads=1) for _ in range(2))
    net.fit(epochs=3)
    monkeypatch.setattr("nnspec.train.health.Health._look", lambda *_, **__: None)
    other.fit(epochs=3)
    assert all((net.params[n] == other.params[n]).all() for n in net.params)


def test_a_loss_of_two_networks_against_each_other_need_not_fall() -> None:
    spec = (
        "model M {\n  input x: [4]\n  param w: [4] ~ normal\n  param v: [4] ~ normal\n  output z = sum(x * w * v)\n"
        "  loss up = z\n  loss down = -z\n}\n"
        "train { batch 16  epochs 6  optimizer sgd(lr = 0.01)  minimize up  update w  minimize down  update v }"
    )
    told: list[str] = []
    nnspec.loads(spec).fit({"x": X}, progress=Progress(on_warning=lambda d: told.append(d.code)))
    assert "W405" not in told


def test_the_loss_that_is_to_fall_is_the_one_that_is_minimised() -> None:
    spec = (
        "model M {\n  input x: [4]\n  target y: [4]\n  output z = x -> dense(4)\n"
        "  loss near = mse(z, y)\n  loss far = 100 / (1 + mse(z, y))\n}\n"
        "train { batch 16  epochs 6  optimizer sgd(lr = 0.1)  minimize near }"
    )
    history = nnspec.loads(spec).fit({"x": X, "y": X}, progress=Progress(on_warning=lambda _: None))
    assert history.warnings == [] and history.health[-1]["loss"] < history.health[0]["loss"]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_the_examples_of_a_page_have_exactly_its_warning_and_none_and_its_figures(page: Path) -> None:
    said = [float(n) for n in MEASURED.findall(page.read_text("utf-8"))] or [None, None]
    for half, expected, percent in zip(halves(page), ([page.stem], []), said, strict=True):
        net = nnspec.loads(half.get("nn") or "", threads=1)
        assert net.spec.warnings == ()
        history = net.fit(progress=Progress(on_warning=lambda _: None))
        assert [d.code for d in history.warnings] == expected
        if percent is not None:
            assert 100 * net.evaluate(net.dataset().test or {})["accuracy"] == pytest.approx(percent, abs=3)


def test_every_warning_of_training_has_a_page_and_every_page_is_used() -> None:
    assert used("W4") == {p.stem for p in PAGES} - {*TRAINED}


RISING = """model M {{
  input  x: []
  target y: []
  param  w: [] = 0
  output z = w + 0 * x
  loss   (z - y)^2
  metric of_no_number_before = if batch_mean(z) < {from_} then 0 / batch_mean(0 * z) else -abs(batch_mean(z) - 0.4)
}}
train {{ batch 4  epochs 9  optimizer sgd(lr = 0.05)  stop {stop} }}"""


@pytest.mark.parametrize("stop", ["early(val.of_no_number_before, 2, best = high)", "plateau(val.of_no_number_before, 2, best = high)"])
@pytest.mark.parametrize(("from_", "warned"), [(-1, []), (0.2, ["W406"]), (9, ["W406"])])
def test_what_is_watched_is_waited_for_from_its_first_number_on(stop: str, from_: float, warned: list[str]) -> None:
    data = {"x": np.zeros(4), "y": np.ones(4)}
    net = nnspec.loads(RISING.format(stop=stop, from_=from_))
    history = net.fit(data, validation=data, progress=Progress(on_warning=lambda _: None))
    values = [1 - 0.9**epoch for epoch in range(1, 10)]  # each step takes a tenth of what is left
    best = int(np.argmin(np.abs(np.array(values) - 0.4))) + 1
    assert [d.code for d in history.warnings] == warned
    if from_ == 9:
        assert (len(history.epochs), history.stopped, history.kept) == (9, "", None)
        assert float(net.params["w"]) == pytest.approx(values[-1], rel=1e-5)
    elif stop.startswith("early"):
        assert (len(history.epochs), history.kept) == (best + 2, best)
        assert float(net.params["w"]) == pytest.approx(values[best - 1], rel=1e-5)


@pytest.mark.parametrize(("units", "act"), [(512, "relu"), (2048, "relu"), (512, "tanh")])
def test_a_layer_that_is_wide_beside_its_inputs_has_no_gradient_that_vanishes(units: int, act: str) -> None:
    """Of relus the loss owes the same to the weights of each layer, as all outputs are twice as large when those of any one are."""
    _, told = trained(stages=f"dense({units}) -> {act}", epochs=2, optimizer="adam(lr = 1e-3)")
    assert told == []


def test_a_run_that_goes_on_has_every_look_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "LAST", 60)  # the last look is taken, however busy the machine
    net = nnspec.load("iris")
    net.fit(epochs=2, run=tmp_path / "r")
    nnspec.load("iris").fit(epochs=4, run=tmp_path / "r", resume=True)
    looks = [json.loads(line)["epoch"] for line in (tmp_path / "r" / "health.jsonl").read_text("utf-8").splitlines()]
    assert looks == sorted(set(looks)) and looks[0] == 0 and looks[-1] == 4


def interrupted(folder: Path, after: int) -> None:
    """Begin or go on with a run for so many steps."""
    with pytest.raises(Interrupted):
        nnspec.load("iris", threads=1).fit(epochs=6, run=folder, resume=folder.exists(), progress=Stopping(after))


def looks_of(folder: Path) -> list[int]:
    return [json.loads(line)["epoch"] for line in (folder / "health.jsonl").read_text("utf-8").splitlines()]


def test_a_run_that_is_interrupted_again_and_again_has_every_look_once(tmp_path: Path) -> None:
    steps = -(-len(nnspec.load("iris").dataset().train["x"]) // nnspec.load("iris").spec.trainings[0].batch)
    for after in (1, steps - 1, 1, 2 * steps, steps // 2):
        interrupted(tmp_path / "r", after)
        looks = looks_of(tmp_path / "r")
        assert looks == sorted(set(looks))
    nnspec.load("iris", threads=1).fit(epochs=6, run=tmp_path / "r", resume=True)
    looks = looks_of(tmp_path / "r")
    assert looks == sorted(set(looks)) and (looks[0], looks[-1]) == (0, 6)


def test_where_looks_take_no_time_those_of_an_interrupted_run_are_those_of_one_that_was_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "time", SimpleNamespace(perf_counter=lambda: 0.0))
    nnspec.load("iris", threads=1, engine="numpy").fit(epochs=6, run=tmp_path / "whole")
    for after in (1, 4, 11, 9):
        with pytest.raises(Interrupted):
            net = nnspec.load("iris", threads=1, engine="numpy")
            net.fit(epochs=6, run=tmp_path / "r", resume=(tmp_path / "r").exists(), progress=Stopping(after))
    nnspec.load("iris", threads=1, engine="numpy").fit(epochs=6, run=tmp_path / "r", resume=True)
    assert looks_of(tmp_path / "r") == [0, 1, 2, 3, 4, 5, 6]
    assert (tmp_path / "r" / "health.jsonl").read_bytes() == (tmp_path / "whole" / "health.jsonl").read_bytes()


@pytest.mark.parametrize("damage", [b"\xff\xfe\n", b"[]\n", b'{"epoch": "x"}\n', b'{"epo'])
def test_looks_that_cannot_be_read_are_left_out_of_a_run_that_goes_on(damage: bytes, tmp_path: Path) -> None:
    interrupted(tmp_path / "r", 3)
    with (tmp_path / "r" / "health.jsonl").open("ab") as file:
        file.write(damage)
    nnspec.load("iris", threads=1).fit(epochs=6, run=tmp_path / "r", resume=True)
    assert looks_of(tmp_path / "r")[0] == 0


@pytest.mark.parametrize(("epochs", "after", "when"), [(2, 0, "after 2 epochs"), (9, 3, "after 3 steps"), (9, 5 + 1, "after 1 epoch:")])
def test_what_is_wrong_with_a_run_that_goes_on_is_not_said_of_its_beginning(epochs: int, after: int, when: str, tmp_path: Path) -> None:
    text = SPEC.format(
        stages="dense(8) -> relu -> dense(8) -> relu", batch=13, epochs=epochs, optimizer="sgd(lr = 1e3)", more="", classes=3
    )
    data, beginning = {"x": X, "y": Y}, Stopping(after, on_warning=lambda _: None)
    with pytest.raises(Interrupted) if after else nullcontext():
        nnspec.loads(text).fit(data, run=tmp_path / "r", progress=beginning)
    told: list[str] = []
    nnspec.loads(text).fit(data, run=tmp_path / "r", resume=True, progress=Progress(on_warning=lambda d: told.append(d.message)))
    assert when in told[0] and "before the first step" not in "".join(told)


def test_a_run_keeps_what_was_seen_and_says_it_on_the_way(tmp_path: Path) -> None:
    text = SPEC.format(stages="dense(8) -> tanh -> dense(8)", batch=16, epochs=2, optimizer="adam", more="", classes=4)
    (tmp_path / "net.nn").write_text(text.replace("train {", "train {\n  data iris"), "utf-8")
    done = run("train", "net.nn", "--run", "r", "--json", cwd=tmp_path)
    looks = [json.loads(line) for line in (tmp_path / "r" / "health.jsonl").read_text("utf-8").splitlines()]
    assert looks[0]["epoch"] == 0 and set(looks[0]["gradient_over_weight"]) == {"dense.W", "dense_2.W", "dense_3.W"}
    assert [w["code"] for w in json.loads(done.stdout)["warnings"]] == ["W101", "W115"]
    assert "warning[W101]" in done.stderr and "warning[W115]" in done.stderr and done.returncode == 0


def test_a_warning_of_python_s_is_at_the_line_that_asked_for_the_training() -> None:
    spec = SPEC.format(stages="dense(4)", batch=16, epochs=1, optimizer="sgd(lr = 0.1)", more="", classes=5)
    with pytest.warns(UserWarning, match="W115") as told:
        nnspec.loads(spec).fit({"x": X, "y": Y})
    assert {w.filename for w in told} == {__file__}
