"""What `expect` can ask of a model: the network in use, not the one that is trained."""

from __future__ import annotations

import pytest
from mistakes import diagnostics

NOISY = "model M { input x: [4] output y = x -> dense(3) -> dropout(0.5) -> gaussian_noise(0.1) -> dense(1) loss sum(y) expect "


@pytest.mark.parametrize("condition", ["flops == 34", "params(dense) == 15", 'params("dense_2") == 4', "not depends(x, y)"])
def test_expectations_are_of_the_outputs_in_use(condition: str) -> None:
    assert not diagnostics(f"{NOISY}{condition} }}")


@pytest.mark.parametrize("layer", ["-> dense(3) as code", "-> { dense(3) } as code"])
def test_the_parameters_of_a_labelled_stage_are_counted_by_its_name(layer: str) -> None:
    assert not diagnostics(f"model M {{ input x: [4] output y = x {layer} -> tanh expect params(code) == 15 }}")


def test_the_parameters_of_a_shared_pipeline_are_counted_once() -> None:
    assert not diagnostics(
        "model M { input x: [4] share enc = dense(4) output y = x -> enc -> enc expect params(enc) == 20 and params == 20 }"
    )


def test_a_count_that_waits_for_a_size_says_so() -> None:
    (d,) = diagnostics("model M { input x: [T, 4] output y = x -> dense(3) expect flops < 100 }")
    assert d.code == "E107" and d.message == "`flops` is 27*T, which is known only when it runs"


def test_nothing_that_owns_parameters_is_named() -> None:
    (d,) = diagnostics("model M { input x: [4] output y = x -> dense(3) expect params(x) == 3 }")
    assert d.message == "no parameter belongs to `x`"


def test_half_a_path_is_completed() -> None:
    layer = "layer block(x) = x -> dense(2) as head "
    (d,) = diagnostics(f'{layer} model M {{ input x: [4] share enc = block output y = x -> enc expect params("enc.head") == 10 }}')
    assert d.help == "did you mean `enc.block.head`?"


@pytest.mark.parametrize("init", ["zeros", "if size(shape) == 1 then zeros else ones"])
def test_an_init_may_be_another_without_arguments(init: str) -> None:
    assert not diagnostics(f"init own = {init} model M {{ input x: [4] param w: [4] ~ own output y = x * w }}")


LISTS = "let A = [[1, 2], [3, 4]]  fn f(x, w) { expect sum(w) == 1  expect mean(w) ~= 0.5  return x * w }  model M { input x: [2] "


@pytest.mark.parametrize("condition", ["max(A) == 4", "sum(A[:, 1]) == 6 and params == 0", "mean(A) ~= 2.50", "sum(A, axis = 0) == [4, 6]"])
def test_what_is_computed_from_lists_is_known(condition: str) -> None:
    """The sums are those by hand."""
    assert not diagnostics(f"{LISTS} output y = x * f(x, [0.25, 0.75]) expect {condition} }}")


def test_what_is_computed_from_lists_and_does_not_hold_is_said_with_both_sides() -> None:
    (d,) = diagnostics(f"{LISTS} output y = f(x, [0.5, 0.25]) }}")
    assert (d.code, d.message, d.label) == ("E207", "`f` expects sum(w) == 1", "w is [0.5, 0.25]")
    (d,) = diagnostics(f"{LISTS} output y = x expect max(A) == 5 }}")
    assert (d.code, d.label) == ("E207", "max(A) is 4")


def test_an_expectation_leaves_the_model_as_it_is() -> None:
    (d,) = diagnostics("model M { input x: [4] output y = x -> dense(3) expect shape(y -> dense(2)) == [2] }")
    assert (d.code, d.span and d.span.text) == ("E108", "shape(y -> dense(2)) == [2]")


def test_about_belongs_to_expectations() -> None:
    (d,) = diagnostics("model M { input x: [4] output y = x ~= 1 }")
    assert d.code == "E106" and d.help.startswith("it belongs to `expect`")


@pytest.mark.parametrize(("name", "where"), [("batch", "if training { }"), ("fan_in", "`init`"), ("epoch", "`schedule`")])
def test_a_name_that_is_known_elsewhere_says_where(name: str, where: str) -> None:
    (d,) = diagnostics(f"model M {{ input x: [4] output y = x / {name} }}")
    assert d.code == "E101" and where in d.help
