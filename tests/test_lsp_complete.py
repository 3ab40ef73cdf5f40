"""What the language server offers where something may be written."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from editing import SPEC, document

from nnspec.elaborate.training import Training
from nnspec.lsp.complete import SETTINGS, completions


def labels(text: str) -> list[str]:
    """What is offered at the mark."""
    return [c.label for c in completions(document(text.replace("§", "")), text.index("§"))]


def test_layers_are_offered_after_an_arrow_and_inits_after_a_tilde() -> None:
    found = labels(SPEC.replace("code -> dense(10)", "code -> de§"))
    assert {"dense", "wide", "relu"} <= set(found) and "adam" not in found and "image" not in found
    assert {"he_normal", "zeros"} <= set(labels("layer f(x) {\n  param W: [2] ~ §\n  return x\n}")) - set(found)


def test_arguments_that_are_not_written_yet_are_offered_first() -> None:
    assert labels(SPEC.replace("wide(width, act = tanh)", "wide(act = tanh, §)"))[:2] == ["units", "wide"]
    assert labels(SPEC.replace("dense(10)", "dense(10, §)"))[:2] == ["bias", "init"]
    assert labels(SPEC.replace("code -> dense(10)", "dense(§)"))[:4] == ["x", "units", "bias", "init"]
    assert labels(SPEC.replace("code -> dense(10)", "dense(max(code, 0), §)"))[:3] == ["units", "bias", "init"]


def test_settings_are_offered_in_a_train_block_and_words_in_a_model() -> None:
    assert labels(SPEC.replace("  minimize  fit", "  §")) == list(SETTINGS)
    assert "output" in labels(SPEC.replace("  output probs", "  §\n  output probs")) and "model" in labels(SPEC + "\n§")
    assert labels(SPEC.replace("adam(lr = 1e-3)", "§")) == sorted(labels(SPEC.replace("adam(lr = 1e-3)", "§")))
    assert {"data", "freeze", "start"} <= set(SETTINGS) and "spans" not in SETTINGS and "span" in Training.__dataclass_fields__


@pytest.mark.parametrize("port", ["input  x: §", "target y: §", "target y:cl§"])
def test_what_a_port_is_of_is_offered_behind_its_name(port: str) -> None:
    assert set(labels(f"model M {{\n  {port}\n}}")) == {"class", "int", "bool", "float"}


MODEL = "model M {\n  input  x: [4]\n  target y: class(3)\n  h = x -> dense(8)\n  §"
TRAINED = MODEL.replace("§", "output z = h -> dense(3)\n  loss ce = cross_entropy(z, y)\n}\n")
TRAINING = f"{TRAINED}train {{\n  data iris  epochs 1\n  §\n}}\n"
TESTING = f'{TRAINED}test "a" of M {{\n  §\n}}\n'
SCANNED = "model M {\n  input s: [T, 2]\n  hs = scan v in s with c = zeros(3) {\n    c = §\n  }\n}\n"


@pytest.mark.parametrize(
    ("text", "offered"),
    [
        (MODEL.replace("§", "z = §\n}"), {"x", "h", "dense"}),
        (MODEL.replace("§", "z = h + §\n  output h\n}"), {"x", "h", "exp"}),
        (MODEL.replace("§", "loss §\n}"), {"h", "cross_entropy"}),
        (MODEL.replace("§", "q = dense.§\n}"), {"W", "b"}),
        (MODEL.replace("§", "z = x -> [§]\n  output z\n}"), {"h", "dense"}),
        (SCANNED, {"v", "c", "s"}),
        (SCANNED.replace("§", "c + v §"), {"v", "c", "s"}),
        ("layer f(x: [*s, n], units) {\n  y = §\n  return y\n}\n", {"x", "n", "units"}),
        ("optimizer a(rate) {\n  state v = 0\n  w <- w - §\n}\n", {"g", "lr", "v", "w", "t", "rate"}),
        ("schedule a(k) = lr * §\n", {"epoch", "step", "lr", "k"}),
        ("init a(k) = normal(0, §)\n", {"fan_in", "k", "std"}),
    ],
)
def test_the_names_of_the_model_are_offered_where_a_value_is_due(text: str, offered: set[str]) -> None:
    found = labels(text)
    assert offered <= set(found) and "_" not in found


def test_an_argument_is_offered_what_its_default_is_one_of() -> None:
    layer = "init mine = normal(0, 1)\nlayer f(x, start = he_normal) = x -> dense(3, init = start, bias = true)\n"
    inits = set(labels("layer f(x) {\n  param W: [2] ~ §\n  return x\n}"))
    own = labels(layer + MODEL.replace("§", "z = h -> f(start = §)\n  output z\n}"))
    assert own[0] == "mine" and set(own) == {"mine", *inits} and "he_normal" in inits
    assert labels(layer.replace("= start", "= §"))[:2] == ["mine", "x"] and "start" in labels(layer.replace("= start", "= §"))
    assert labels(MODEL.replace("§", "z = h -> dense(3, init = §)\n  output z\n}")) == sorted(inits)
    assert set(labels(MODEL.replace("§", "z = s -> conv(3, 3, pad = §)\n  output z\n}"))) == {"same", "valid"}
    assert "relu" in labels(SPEC.replace("act = tanh", "act = §"))


@pytest.mark.parametrize(
    ("written", "offered"),
    [
        ("train { §", SETTINGS),
        ("train { epochs 3 §", SETTINGS),
        ("train { opt§", SETTINGS),
        ("train { optimizer adam(lr = 1e-3) §", SETTINGS),
        ("train { epochs 3 data iris seed 1 st§ }", SETTINGS),
        ("train { start §", ["from"]),
        ("train { penalty l2(1e-4), §", ["l1", "l2"]),
    ],
)
def test_settings_are_offered_wherever_one_may_begin(written: str, offered: Sequence[str]) -> None:
    assert labels(TRAINED + written) == list(offered)


def test_what_an_expectation_asks_is_offered() -> None:
    for written in ("expect §", "expect params < 100 and §", "expect re§"):
        assert {"params", "flops", "memory", "receptive_field", "depends", "shape", "h"} <= set(
            labels(MODEL.replace("§", f"{written}\n}}"))
        )
    found = labels(TESTING.replace("§", "given x = [1, 2, 3, 4]\n  expect §"))
    assert {"loss", "z"} <= set(found) and "flops" not in found
    assert "flops" not in labels("fn f(x, k) {\n  expect §\n  return k * x\n}")
    assert "flops" not in labels(MODEL.replace("§", "expect params < 9\n  z = §\n  output z\n}"))


@pytest.mark.parametrize(
    ("written", "offered"),
    [
        ("data §", {"iris", "csv"}),
        ("validation csv(§)", {"x", "y", "missing"}),
        ("stop §", {"early", "plateau", "converged"}),
        ("stop early(§)", {"metric", "patience", "best", "loss", "val.loss"}),
        ("stop early(val.§)", {"loss"}),
        ("freeze §", {"dense", "dense.W", "dense.b", "dense_2", "dense_2.W", "dense_2.b"}),
        ("update dense_2.§", {"W", "b"}),
        ("minimize §", {"ce"}),
        ("penalty §", {"l1", "l2"}),
        ("clip §", {"norm", "value"}),
        ("augment §", {"x"}),
        ("augment x -> §", {"noise", "shift"}),
        ("batch 3  optimizer §", {"adam", "sgd"}),
        ("batch §", set()),
    ],
)
def test_a_setting_is_offered_what_it_takes(written: str, offered: set[str]) -> None:
    found = set(labels(TRAINING.replace("§", written)))
    assert offered <= found and len(found) < 20


def test_a_test_is_offered_the_ports_of_its_model_and_optimizers() -> None:
    assert labels(TESTING.replace("§", "given §")) == labels(TESTING.replace("§", "given x = [1, 2, 3, 4], §")) == ["x", "y"]
    assert "adam" in labels(TESTING.replace("§", "steps 3 with §")) and "dense" not in labels(TESTING.replace("§", "steps 3 with §"))
    assert {"x", "h"} <= set(labels(MODEL.replace("§", "output §\n}"))) and "dense" not in labels(MODEL.replace("§", "output §\n}"))


@pytest.mark.parametrize("text", ['import "§"\n', MODEL.replace("§", "z = x # of §\n}"), 'let a = "de§"\n'])
def test_nothing_is_offered_in_comments_and_texts(text: str) -> None:
    assert labels(text) == []
