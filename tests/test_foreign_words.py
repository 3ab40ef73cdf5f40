"""What other frameworks and mathematics call a thing: each word is led to what it is here, and to nothing that computes something else."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from mistakes import WELL, diagnostics, model, training

import nnspec
from nnspec.elaborate import foreign, vocabulary
from nnspec.elaborate.library import Definitions, public
from nnspec.elaborate.primitives import builtins
from nnspec.elaborate.values import Builtin


def test_what_other_frameworks_say_is_translated_into_what_there_is() -> None:
    names = Definitions().names() | {"true", "false", "drop"}
    assert {*vocabulary.SAME, *vocabulary.ALIKE} <= names
    others = [*vocabulary.SAID, *FORMULAS, *" ".join(vocabulary.WITHOUT).split()]
    words = [word.replace("_", "") for word in others]
    assert not set(words) & (foreign.NAMES.keys() | names) and len(words) == len(set(words))
    arguments = {p.name for f in public().values() for p in f.definition.parameters} | {
        p.name for b in builtins().values() if isinstance(b, Builtin) for p in b.parameters
    }
    assert {*vocabulary.ARGUMENTS} <= arguments
    for setting in vocabulary.SETTINGS:
        (d,) = diagnostics(training(*WELL, f"  {setting}x 1"))
        assert d.fix and d.fix.text == setting


@pytest.mark.parametrize(("written", "help_"), [("matmul(x, x)", "`x @ W`"), ("len(x)", "`shape(x)[0]`"), ("pow(x, 2)", "`x ^ 2`")])
def test_what_is_a_sign_here_is_shown_as_one(written: str, help_: str) -> None:
    (d,) = diagnostics(model(f"output y = {written}"))
    assert (d.code, d.help) == ("E101", f"it is written {help_}")


@pytest.mark.parametrize("kind", ["", "optimizer", "schedule", "init"])
def test_a_function_that_others_have_is_never_taken_for_another_unasked(kind: str) -> None:
    known = Definitions().names(*((kind,) if kind else ()))
    modules = {
        "optimizer": (torch.optim,), "schedule": (torch.optim.lr_scheduler,), "init": (torch.nn.init,),
        "": (math, np, np.linalg, torch, torch.nn, torch.special, torch.nn.functional),
    }  # fmt: skip
    theirs = {n for m in modules[kind] for n in dir(m) if callable(getattr(m, n)) and not n.startswith("_")}
    asked = {n: guess for n in theirs if (guess := foreign.nearest(n, known)) and not foreign.is_safe(n, guess)}
    done = {n: guess for n in theirs - set(asked) if (guess := foreign.nearest(n, known))}
    assert len(theirs) > 10 and done
    same = {n for n, guess in done.items() if n.lower().replace("_", "") == guess.replace("_", "") or n == "zero_"}
    assert {n: guess for n, guess in done.items() if n not in same} == {
        n: foreign.SAME.get(n.lower().replace("_", ""), ("",))[0] for n in set(done) - same
    }


@pytest.mark.parametrize(
    ("written", "guess"),
    [
        ("x -> clamp(0, 1)", "clip"),
        ("x -> tf.clip_by_value(0, 1)", "clip"),
        ("x -> Affine(3)", "dense"),
        ("x -> unflatten([2, 2])", "reshape"),
        ("x -> SpatialDropout1D(0.5)", "dropout"),
        ("x -> ZeroPad2d(1)", "pad"),
        ("F.scaled_dot_product_attention(x, x, x)", "attention"),
        ("F.smooth_l1_loss(x, x)", "huber"),
        ("nll_loss(x, x)", "nll"),
        ("hinge_loss(x, x)", "hinge"),
        ("f1_score(x, x)", "f1"),
        ("top_k_accuracy(x, x)", "top_k"),
        ("SparseCategoricalAccuracy(x, x)", "accuracy"),
        ("optax.sigmoid_binary_cross_entropy(x, x)", "bce_logits"),
        ("tf.nn.sparse_softmax_cross_entropy_with_logits(x, x)", "cross_entropy"),
    ],
)
def test_a_word_of_other_frameworks_leads_to_what_is_the_same_in_one_word_or_in_several(written: str, guess: str) -> None:
    (d,) = diagnostics(model(f"output y = {written}"))
    assert d.fix and (d.code, d.fix.text) == ("E101", guess)


@pytest.mark.parametrize(
    ("settings", "guess"), [((*WELL, "  schedule cosine_decay"), "cosine"), (("  epochs 3", "  optimizer AdamOptimizer(0.1)"), "adam")]
)
def test_a_schedule_or_optimizer_is_known_by_its_longer_name(settings: tuple[str, ...], guess: str) -> None:
    (d,) = diagnostics(training(*settings))
    assert d.fix and (d.code, d.fix.text) == ("E101", guess)


@pytest.mark.parametrize(
    ("written", "help_"), [("x -> unsqueeze(0)", "stack(x)"), ("x -> normalize", "sqrt(sum(x ^ 2))"), ("x -> RandomFlip", "augment")]
)
def test_what_no_other_name_does_is_said(written: str, help_: str) -> None:
    (d,) = diagnostics(model(f"output y = {written}"))
    assert d.fix is None and help_ in d.help


def test_the_opposite_of_a_name_is_no_slip_of_it() -> None:
    (d,) = diagnostics(model("mixed = 2 * x", "output y = unmixed"))
    assert d.code == "E101" and d.fix is None


@pytest.mark.parametrize(
    ("written", "said"), [("AdaptiveAvgPool2d(1)", "It takes no arguments"), ("GaussianNoise(0.1)", "By place it takes std")]
)
def test_of_arguments_by_place_is_said_which_there_are(written: str, said: str) -> None:
    (d,) = diagnostics(f"model M {{\n  input x: [1, 4, 4]\n  output y = x -> {written}\n}}")
    assert d.help.endswith(f"? {said}") and d.fix and not d.fix.safe


FORMULAS = {word: formula for formula, words in vocabulary.FORMULAS.items() for word in words.split()}
FUNCTIONS = {
    "ln": np.log, "lg": np.log10, "sqr": np.square, "cube": lambda x: x**3, "cot": lambda x: 1 / np.tan(x), "sec": lambda x: 1 / np.cos(x),
    "csc": lambda x: 1 / np.sin(x), "coth": lambda x: 1 / np.tanh(x), "sech": lambda x: 1 / np.cosh(x), "exp10": lambda x: 10.0**x,
    "variance": np.var, "pow": np.square, "power": np.square, "float_power": np.square, "mul": np.multiply, "sub": np.subtract,
    "hard_tanh": lambda x: np.clip(x, -1, 1), "log_sigmoid": lambda x: -np.logaddexp(0, -x), "norm": np.linalg.norm,
    "div": np.divide, "neg": np.negative, "isqrt": lambda x: np.floor(np.sqrt(x)),
}  # fmt: skip
SHOWN_ALONE = {
    "matmul", "dot", "mm", "bmm", "greater", "greater_equal", "less", "less_equal", "equal", "not_equal", "where", "len", "arange",
}  # fmt: skip
"""Of which the sign is all there is to say."""


def theirs(name: str) -> Callable[..., Any]:
    """The function of that name in NumPy or PyTorch."""
    if name in FUNCTIONS or name in dir(np):
        return FUNCTIONS.get(name) or getattr(np, name)
    f = getattr(torch.special, name, None) or getattr(torch.nn.functional, name, None) or getattr(torch, name)
    along = {"dim": 0} if name in ("softmin", "logsumexp") else {}
    return lambda *arguments: f(*map(torch.tensor, arguments), **along).numpy()


@pytest.mark.parametrize("name", sorted(f for f in FORMULAS if f not in SHOWN_ALONE and not f.startswith("logical")))
def test_what_is_written_otherwise_computes_what_others_compute(name: str) -> None:
    x, y = np.array([1.25, 2.5, 1.75]), np.array([0.5, 3.0, 1.5])
    x = x / 4 if name in ("atanh", "arctanh", "logit") else x
    wanted = theirs(name)(*((x, y) if re.search(r"\by\b", FORMULAS[name]) else (x,)))
    net = nnspec.loads(f"model M {{ input x: [3]  input y: [3]  output z = {FORMULAS[name]} + 0 * y[0] }}", dtype="float64")
    np.testing.assert_allclose(net(x=x[None], y=y[None])["z"][0], wanted, rtol=1e-6)


@pytest.mark.parametrize(("written", "help_"), [("ln(x)", "it is written `log(x)`"), ("x -> np.log2", "it is written `log(x) / log(2)`")])
def test_no_other_function_is_put_in_the_place_of_a_function(written: str, help_: str) -> None:
    (d,) = diagnostics(model(f"output y = {written}"))
    assert (d.code, d.help, d.fix) == ("E101", help_, None)


@pytest.mark.parametrize(
    ("line", "name", "own"),
    [
        ("w <- w - lr * grad", "grad", "g"),
        ("w <- w - lr * gradient", "gradient", "g"),
        ("theta <- w - lr * g", "theta", "w"),
        ("w <- theta - lr * g", "theta", "w"),
        ("w <- w - lr * g / step", "step", "t"),
        ("w <- w - learning_rate * g", "learning_rate", "lr"),
    ],
)
def test_what_others_call_the_names_of_an_optimizer_is_known(line: str, name: str, own: str) -> None:
    (d,) = diagnostics(f"optimizer mine(lr) {{\n  {line}\n}}\n" + training("  epochs 3", "  optimizer mine(0.1)"))
    assert d.span and d.fix and (d.span.line, d.span.text, d.fix.text, d.fix.safe) == (2, name, own, True)
