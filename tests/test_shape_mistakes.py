"""Sizes that do not fit: each message says which, and where both come from."""

from __future__ import annotations

import pytest
from mistakes import Mistake, check, diagnostics, image, model

IMAGE = "an image is [channels, height, width]"
MISTAKES = {
    "elementwise": Mistake(model("output y = x + [1, 2, 3]"), "E201", 3, "x + [1, 2, 3]", "shapes [4] and [3] do not fit together"),
    "a vector where an image is due": Mistake(
        model("output y = x -> conv(8, 3)"), "E202", 3, "conv(8, 3)", "an image is [channels, height, width], not [4]",
        "a volume or a signal",
    ),
    "too few logits": Mistake(
        model("target y: class(5)", "z = x -> dense(3)", "output z", "loss cross_entropy(z, y)"), "E202", 6, "cross_entropy(z, y)",
        "a class(5) needs 5 values, one for each class, not 3",
    ),
    "W x": Mistake(
        model("param W: [3, 4] ~ he_normal", "output y = W @ x"), "E203", 4, "W @ x", "no matrix product", "`x @ transpose(W)`"
    ),
    "reshape": Mistake(model("output y = reshape(x, [2, 3])"), "E204", 3, "[2, 3]", "[4] has 4 elements, [2, 3] has 6"),
    "an axis that counts the batch": Mistake(
        model("output y = sum(x, axis = 1)"), "E205", 3, "1", "there is no axis 1", "leave the batch out"
    ),
    "a misspelled path of a parameter": Mistake(
        model("h = x -> dense(4)", "output y = h @ transpose(denze.W)"), "E101", 4, "denze.W", "there is no `denze.W`", "`dense.W`"
    ),
    "a slice of nothing": Mistake(model("output y = x[3:1]"), "E205", 3, "3:1", "nothing lies from 3 up to 1"),
    "a slice up to a function": Mistake(model("output y = x[0:relu]"), "E106", 3, "0:relu", "a slice goes from one whole number"),
    "an index from 1": Mistake(model("output y = x[4]"), "E205", 3, "4", "there is no element 4"),
    "a kernel larger than its image": Mistake(image("conv(4, 9)"), "E206", 3, "9", "the kernel reaches over 9, the image has 8", IMAGE),
    "a named kernel": Mistake(image("conv(4, kernel = 9)"), "E206", 3, "9", "the kernel reaches over 9, the image has 8", IMAGE),
    "a pooling too many": Mistake(image("maxpool(4) -> maxpool(3)"), "E206", 3, "3", "the kernel reaches over 3, the image has 2", IMAGE),
    "groups that do not divide": Mistake(
        image("conv(4, 3) -> conv(4, 3, groups = 3)"), "E106", 3, "conv(4, 3, groups = 3)", "a size is a whole number from 1"
    ),
    "units that the groups do not divide": Mistake(
        image("conv(4, 3) -> conv(6, 3, groups = 4)"), "E202", 3, "4", "6 units do not divide into 4 groups"
    ),
    "an init of another shape": Mistake(
        "init i = [1, 2, 3]\n" + model("output y = x -> dense(2, init = i)"), "E208", 1, "i",
        "the init `i` gives [3], and the parameter `dense.W` is [4, 2]",
    ),
    "an expectation": Mistake(
        model("output y = x -> dense(3)", "expect params == 12"), "E207", 4, "params == 12", "this expectation does not hold"
    ),
    "a start of another shape": Mistake(
        model("param W: [4, 2] = [[1, 2]]", "output y = x @ W"), "E208", 3, "[[1, 2]]", "`W` is declared [4, 2] and set to [1, 2]"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(MISTAKES))
def test_a_mistake_is_named_where_it_stands(name: str) -> None:
    check(MISTAKES[name])


def test_a_product_that_does_not_fit_names_where_both_sides_come_from() -> None:
    spec = model("param W1: [4, 8] ~ he_normal", "param W2: [9, 2] ~ he_normal", "h1 = relu(x @ W1)", "output y = h1 @ W2")
    (d,) = diagnostics(spec)
    assert (d.code, d.label) == ("E203", "h1 is [8], W2 is [9, 2]: 8 and 9 differ")
    assert [(span.line, span.text, text) for span, text in d.notes] == [
        (5, "relu(x @ W1)", "[8] comes from here"),
        (4, "[9, 2]", "[9, 2] comes from here"),
    ]


def test_one_operand_twice_is_noted_once() -> None:
    (d,) = diagnostics(model("output y = x @ x"))
    assert len(d.notes) == 1


def test_a_label_says_the_size_that_was_computed() -> None:
    (d,) = diagnostics(image("conv(4, 3) -> conv(4, 3, groups = 3)"))
    assert d.label.startswith("`channels / groups` is 1.33")


def test_an_expectation_says_only_what_is_not_written() -> None:
    (d,) = diagnostics(model("output y = x -> dense(3)", "expect params == 12"))
    assert d.label == "params is 15"


def test_a_mistake_in_a_definition_of_the_user_points_into_it() -> None:
    (d,) = diagnostics("layer shifted(x, n) {\n  y = x -> dense(n)\n  return y + [1, 2, 3]\n}\n" + model("output y = x -> shifted(7)"))
    assert d.span
    assert (d.code, d.span.line, d.span.text) == ("E201", 3, "y + [1, 2, 3]")
    assert d.label == "y is [7], [1, 2, 3] is [3]: 7 and 3 differ"


def test_a_mistake_in_a_layer_of_the_library_points_at_the_call_of_the_user() -> None:
    (d,) = diagnostics("layer block(x, k) = x -> conv(8, k) -> relu\nmodel M {\n  input i: [1, 4, 4]\n  output y = i -> block(7)\n}")
    assert d.span
    assert (d.code, d.span.line, d.span.text) == ("E206", 1, "k")
    assert not d.span.source.library
