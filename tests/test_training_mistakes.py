"""Mistakes in train blocks, optimizers and schedules are said before anything is trained."""

from __future__ import annotations

import pytest
from mistakes import WELL, diagnostics, model, training

from nnspec.elaborate import vocabulary


@pytest.mark.parametrize(
    ("optimizer", "label"),
    [
        ("adam(beta1 = 1)", "beta1 is 1"),
        ("adamw(beta2 = 1.5)", "beta2 is 1.5"),
        ("momentum(0.1, -0.1)", "mu is -0.1"),
        ("adam(eps = -1)", "eps is -1"),
        ("lion(decay = -1)", "decay is -1"),
        ("sgd(0.1)  schedule step_decay(gamma = 0.5, every = 0)", "every is 0"),
        ("sgd(0.1)  schedule step_decay(gamma = -1, every = 2)", "gamma is -1"),
        ("sgd(0.1)  schedule warmup(-1)", "n is -1"),
        ("sgd(0.1)  schedule one_cycle(rise = 2)", "rise is 2"),
        ("sgd(0.1)  schedule one_cycle(divide = 0)", "divide is 0"),
        ("sgd(0.1)  schedule one_cycle(final_divide = -1)", "final_divide is -1"),
        ("sgd(0.1)  schedule on_plateau(patience = -1)", "patience is -1"),
        ("sgd(0.1)  schedule cosine(warmup = -1)", "warmup is -1"),
        ("sgd(0.1)  schedule linear(final = -1)", "final is -1"),
        ("mine(lr = 0.1, share = 2)", "share is 2"),
    ],
)
def test_an_optimizer_or_schedule_says_what_its_arguments_must_be(optimizer: str, label: str) -> None:
    mine = "optimizer mine(lr, share) { expect share < 1  w <- w - lr * share * g }\n"
    (d,) = diagnostics(mine + training("  epochs 3", f"  optimizer {optimizer}"))
    assert (d.code, d.label, d.help) == ("E207", label, "") and d.span and d.span.text == label.rpartition(" ")[2]


def test_of_an_optimizer_over_several_lines_the_argument_is_marked_where_it_stands() -> None:
    spec = training(
        "  epochs 3",
        "  optimizer adam(",
        "    lr = 1e-3,",
        '    beta1 = "0.9",',
        "    eps = 1e-8",
        "  )",
        '  schedule cosine(warmup = "c")',
    )
    assert [(d.message, d.span and (d.span.line, d.span.text)) for d in diagnostics(spec)] == [
        ('expected a number, got "0.9"', (10, '"0.9"')),
        ('expected a number, got "c"', (13, '"c"')),
    ]


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("batch 1.5", "`batch` is a whole number from 1, not 1.5"),
        ("seed -1", "`seed` is a whole number from 0, not -1"),
        ('checkpoint "a"', '`checkpoint` is a number, not "a"'),
        ('clip norm("a")', 'the limit of `norm` is a number, not "a"'),
        ('augment x -> shift("a")', '`pixels` is a number, not "a"'),
        ("stop early(val.loss, patience = 0)", "`patience` is a whole number from 1, not 0"),
        ("stop plateau(loss, smoothing = 2)", "`smoothing` is a share, above 0 and at most 1, not 2"),
        ("augment x -> shift(8)", "`shift` by up to 8 pixels moves all of `x`, [1, 8, 9], out of sight"),
        ("augment x -> crop(100)", "`crop` by up to 100 pixels moves all of `x`, [1, 8, 9], out of sight"),
    ],
)
def test_a_setting_out_of_its_range_is_an_error(setting: str, says: str) -> None:
    spec = "model M { input x: [1, 8, 9]  y = x -> flatten -> dense(1)  output y  loss mean(y) }"
    (d,) = diagnostics(f"{spec} train {{ epochs 1  optimizer sgd(0.1)  augment x -> shift(7)  {setting} }}")
    assert (d.code, d.message) == ("E106", says)


def test_the_batch_is_for_training_only() -> None:
    (d,) = diagnostics(model("output y = x - batch_mean(x)"))
    assert d.code == "E108" and "training" in d.help


@pytest.mark.parametrize(("augment", "code"), [("imag -> shift(1)", "E101"), ("x -> shift(1)", "E202"), ("x -> rotate(10)", "E202")])
def test_an_augmentation_that_cannot_be_is_found_before_training(augment: str, code: str) -> None:
    (d,) = diagnostics(training(*WELL, f"  augment {augment}"))
    assert d.code == code


def test_a_name_of_its_own_is_no_other_in_an_optimizer() -> None:
    own = "optimizer mine(lr, step = 2) {\n  grad = g / step\n  w <- w - lr * grad\n}\n"
    assert not diagnostics(own + training("  epochs 3", "  optimizer mine(0.1)"))


@pytest.mark.parametrize(
    ("data", "code", "help_"),
    [
        ('csv("rows.csv", sep = ";")', "E307", "commas"),
        ("digits(x = image, yy = label)", "E307", "did you mean `y`?"),
        ("{ x = [[0, 1, 2, 3]], labels = [0] }", "E307", "they are `x`, `y`"),
        ('csv("rows.csv", shuffle = true)', "E102", "always shuffled"),
    ],
)
def test_data_for_nothing_in_the_model_is_found_before_there_are_any(data: str, code: str, help_: str) -> None:
    net = model("target y: []", "output z = x -> linear", "loss mse(z, y)")
    (d,) = diagnostics(f"{net}\ntrain {{ data {data} epochs 1 optimizer adam }}")
    assert d.code == code and help_ in d.help


@pytest.mark.parametrize("setting", sorted(vocabulary.ELSEWHERE))
def test_a_setting_that_belongs_elsewhere_is_sent_there(setting: str) -> None:
    (d,) = diagnostics(training(*WELL, f"  {setting} 1"))
    assert (d.code, d.help, d.fix) == ("E111", vocabulary.ELSEWHERE[setting], None)
