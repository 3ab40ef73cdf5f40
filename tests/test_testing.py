"""`test` blocks: what they compute, what `check` says of them, and what the command prints."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result
from helpers import ROOT

import nnspec
from nnspec.cli.main import cli
from nnspec.compile import Compilation
from nnspec.diagnostics import Source
from nnspec.testing import Outcome, run_tests

MODEL = """
model Net(width = 2) {
  input  x: [2]
  target y: class(3)
  param  W: [2, 3] = [[1, 0, -1], [0.5, 0.5, 0]]
  state  seen: [] = 0
  if training { seen <- seen + 1 }
  logits = x @ W
  output probs = softmax(logits)
  loss   cross_entropy(logits, y)
  loss   small = 0.1 * sum(W^2)
  metric accuracy(logits, y)
}
"""
SEQUENCE = "model Seq { input x: [T] input z: [T] output y = sum(x * z) }"


def outcome(statements: str, model: str = MODEL) -> Outcome:
    name = model.split("model ")[1].split(maxsplit=1)[0].split("(", maxsplit=1)[0]
    spec = Compilation(Source("net.nn", f'{model}\ntest "it" of {name} {{ {statements} }}'), {})
    return run_tests(spec)[0]


def codes(statements: str, model: str = MODEL, of: str = "Net") -> list[tuple[str, str]]:
    found = Compilation(Source("net.nn", f'{model}\ntest "it" of {of} {{ {statements} }}'), {}).diagnostics
    return [(d.code, d.span.text if d.span else "") for d in found]


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, [*arguments], standalone_mode=True)


@pytest.mark.parametrize(
    ("condition", "sides"),
    [
        ("shape(s) == [3, 2]", None),
        ("shape(s) != [2, 3] and not (shape(s) == [4, 2])", None),
        ("shape(s)[0] == 3 and size(s) == 6 and size(s) < 7 and 2 * size(s) ~= 12", None),
        ("total * shape(s)[0] == 63", None),
        ("shape(s) == shape(s * s)", None),
        ("shape(s) == [2, 3]", ()),
        ("shape(s)[0] == 4", (3, 4)),
        ("size(s) > 6", (6, 6)),
    ],
)
def test_a_size_of_the_data_is_that_of_the_example(condition: str, sides: tuple[float, ...] | None) -> None:
    model = "model Rows { input s: [T, 2] input other: [S] total = sum(s) output total output o = sum(other) }"
    found = outcome(f"given s = [[1, 2], [3, 4], [5, 6]] expect {condition}", model).failures
    assert [f.sides for f in found] == ([] if sides is None else [sides])
    assert codes(f"given s = [[1, 2]] expect shape(other) == [3] expect {condition}", model, "Rows") == [("E103", "shape(other)")]


GIVEN = "given x = [1, 2], y = 1 "


@pytest.mark.parametrize(
    "condition",
    [
        "logits ~= [2.0, 1.0, -1.0]",
        "logits == [2, 1, -1]",
        "logits[0] > logits[1] and accuracy == 0",
        "not (logits[0] < logits[1])",
        "sum(probs) ~= 1.000000000",
        "cross_entropy ~= 1.3490122",
        "small ~= 0.2500 and loss ~= 1.5990122",
        "loss - small ~= 1.3490122",
        "argmax(logits) == 0",
        "x ~= [1, 2] and y == 1",
        "shape(logits) == [3] and seen == 0",
        "W[0] ~= [1, 0, -1]",
        "logits[2] ~= -1.00",
        "100 * probs[2] ~= 3.5",
        "1000 * loss ~= 1.6e3",
        "x + [1, 1] == [2, 3] and [1, 2] + [1, 1] == [2, 3]",
        "not (loss ~= 1e-400)",
    ],
)
def test_a_condition_that_holds(condition: str) -> None:
    assert not outcome(f"{GIVEN} expect {condition}").failures


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("logits ~= [2.0, 1.1, -1.0]", "found 1 at [1], expected 1.1"),
        ("loss ~= 1.5990123", "found 1.59901221677, expected 1.5990123"),
        ("accuracy == 1", "found 0, expected 1"),
        ("not (logits[0] > logits[1])", "this is false"),
        ("shape(logits) == [4]", "this is false"),
        ("loss ~= 1.599 and W[1, 0] > logits", "found 0.5 at [0], expected 2"),
    ],
)
def test_a_condition_that_fails_says_what_was_found(condition: str, message: str) -> None:
    assert [str(f) for f in outcome(f"{GIVEN} expect {condition}").failures] == [message]


def test_a_margin_is_half_of_the_last_digit_written() -> None:
    line = "model M { input x: [] output y = x }"
    assert not outcome("given x = 0.5499 expect y ~= 0.5", line).failures
    assert outcome("given x = 0.5501 expect y ~= 0.5", line).failures
    assert outcome("given x = 0.5499 expect y ~= 0.50", line).failures


def test_steps_follow_torch_and_go_on_from_line_to_line() -> None:
    w = torch.tensor([[1.0, 0, -1], [0.5, 0.5, 0]], dtype=torch.float64, requires_grad=True)
    adam = torch.optim.Adam([w], lr=0.1)
    x, y = torch.tensor([[1.0, 2]], dtype=torch.float64), torch.tensor([1])
    for _ in range(5):
        adam.zero_grad()
        (torch.nn.functional.cross_entropy(x @ w, y) + 0.1 * (w**2).sum()).backward()
        adam.step()
    rows = ", ".join(f"[{', '.join(f'{v:.9f}' for v in row)}]" for row in w.tolist())
    assert not outcome(f"{GIVEN} steps 2 with adam(lr = 0.1) steps 3 with adam(lr = 0.1) expect W ~= [{rows}] and seen == 5").failures
    assert outcome(f"{GIVEN} steps 2 with adam(lr = 0.1) steps 3 with adam(lr = 0.2) expect W ~= [{rows}]").failures


def test_another_optimizer_starts_its_states_anew() -> None:
    line = "model M { input x: [] param w: [] = 0 output y = w * x loss y }"
    heavy = "steps 2 with momentum(lr = 1, mu = 0.5)"
    light = "steps 1 with sgd(lr = 1)"
    assert not outcome(f"given x = 1 {heavy} expect w == -2.5 {light} expect w == -3.5 {heavy} expect w == -6", line).failures


def test_a_gradient_is_that_of_torch() -> None:
    w = torch.tensor([[1.0, 0, -1], [0.5, 0.5, 0]], dtype=torch.float64, requires_grad=True)
    x = torch.tensor([[1.0, 2]], dtype=torch.float64, requires_grad=True)
    (torch.nn.functional.cross_entropy(x @ w, torch.tensor([1])) + 0.1 * (w**2).sum()).backward()
    assert w.grad is not None and x.grad is not None
    gradient, inward = w.grad[1, 2].item(), x.grad[0].tolist()
    assert not outcome(f"{GIVEN} expect grad(loss, W)[1, 2] ~= {gradient:.10f}").failures
    assert not outcome(f"{GIVEN} expect grad(loss, x) ~= [{inward[0]:.10f}, {inward[1]:.10f}]").failures


def test_a_gradient_is_that_of_the_form_that_is_trained_with_where_what_is_written_overflows() -> None:
    model = "model M { input x: [3] param w: [] = 1 p = softmax(w * x - 1e4) loss -log(pick(softmax(1000 * w * x), 0)) output p }"
    x = torch.tensor([1.0, 2, 3], dtype=torch.float64)
    w = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
    slope = torch.autograd.grad((torch.softmax(w * x - 1e4, 0) * x).sum(), w)[0].item()
    given = "given x = [1, 2, 3]"
    assert not outcome(f"{given} expect grad(loss, w) == 2000 and grad(loss, x) ~= [-1000, 0, 1000]", model).failures
    assert not outcome(f"{given} expect grad(p * x, w) ~= {slope:.10f}", model).failures


def test_weights_are_those_of_seed_0_and_can_be_asked_for_by_their_public_name() -> None:
    model = "model M { input x: [3] target y: [] output z = x -> dense(2) -> relu -> dense(1) as top -> reshape([]) loss (z - y)^2 }"
    w = nnspec.loads(model, dtype="float64").init(0).params["dense.W"][2, 1]
    assert not outcome(f"expect dense.W[2, 1] ~= {w:.12f} and top.b == 0", model).failures


def test_dropout_is_off_where_values_are_asked_for_and_on_in_steps() -> None:
    model = "model M { input x: [64] param w: [64] = 1 output y = sum(dropout(x * w, 0.5)) loss y }"
    ones = f"given x = [{', '.join(['1'] * 64)}]"
    found = outcome(f"{ones} expect y == 64 steps 1 with sgd(lr = 1) expect w == -1 expect w == 1 or w == -1", model)
    assert [f.span.text for f in found.failures] == ["w == -1"]


def test_given_can_set_a_parameter_and_a_state() -> None:
    assert not outcome(f"{GIVEN} given W = [[0, 0, 0], [0, 0, 1]], seen = 3 expect logits == [0, 0, 2] and seen == 3").failures


def test_a_size_known_at_run_time_is_that_of_the_example() -> None:
    assert not outcome("given x = [1, 2, 3], z = [4, 5, 6] expect y == 32 given x = [1], z = [2] expect y == 2", SEQUENCE).failures


def test_values_of_an_open_size_are_compared_with_lists_as_long_as_the_example() -> None:
    model = "model Seq { input x: [T] output y = concat(x, 2 * x) }"
    assert not outcome("given x = [1, 2] expect y == [1, 2, 2, 4] given x = [3] expect y ~= [3.0, 6.0] and y > [2, 5]", model).failures
    assert str(outcome("given x = [1, 2] expect y ~= [1, 2, 3, 4]", model).failures[0]) == "found 2 at [2], expected 3"
    assert codes("given x = [1] expect y ~= [1, 2, 3]", model, "Seq") == [("E201", "y ~= [1, 2, 3]")]


def test_each_test_starts_afresh() -> None:
    text = f'{MODEL} test "a" of Net {{ {GIVEN} steps 1 with sgd(lr = 1) }} test "b" of Net {{ expect W[0, 0] == 1 and seen == 0 }}'
    assert [bool(o.failures) for o in run_tests(Compilation(Source("net.nn", text), {}))] == [False, False]


def test_a_let_and_its_setting_reach_a_test() -> None:
    text = f'let one = 1 {MODEL} test "a" of Net {{ given x = [one, 2] expect x[0] == one and x[0] == 1 }}'
    assert not run_tests(Compilation(Source("net.nn", text), {}))[0].failures
    assert len(run_tests(Compilation(Source("net.nn", text), {"one": 3}))[0].failures) == 1


@pytest.mark.parametrize(
    ("statements", "code", "marked"),
    [
        (f"{GIVEN} expect logit ~= 1", "E101", "logit"),
        ("expect dense.W == 1", "E101", "dense.W"),
        ("given z = 1", "E101", "z"),
        ("given x = [1]", "E208", "[1]"),
        ("given x = [[1, 2], [3, 4]]", "E208", "[[1, 2], [3, 4]]"),
        ("given W = 1", "E208", "1"),
        ("given y = 3", "E305", "3"),
        ("given y = 0.5", "E305", "0.5"),
        ("given x = [1, true_]", "E101", "true_"),
        ("expect loss ~= 1", "E103", "loss ~= 1"),
        ("given x = [1, 2] steps 1 with sgd(lr = 1)", "E103", "steps 1 with sgd(lr = 1)"),
        (f"{GIVEN} steps 0 with sgd(lr = 1)", "E106", "0"),
        (f"{GIVEN} steps 1 with sgdd(lr = 1)", "E101", "sgdd"),
        (f"{GIVEN} steps 1 with sgd", "E103", "sgd"),
        (f"{GIVEN} expect logits ~= probs", "E106", "probs"),
        (f"{GIVEN} expect logits ~= [1, 2]", "E201", "logits ~= [1, 2]"),
        (f"{GIVEN} expect logits", "E106", "logits"),
        (f"{GIVEN} expect loss ~= 1e400", "E107", "1e400"),
        (f"{GIVEN} expect sum(dense(x, 2)) > 0", "E108", "sum(dense(x, 2)) > 0"),
        (f"{GIVEN} expect grad(loss, 3) > 0", "E106", "3"),
    ],
)
def test_check_finds_what_is_wrong_with_a_test(statements: str, code: str, marked: str) -> None:
    assert codes(statements) == [(code, marked)]


def test_several_mistakes_of_a_test_are_found_at_once() -> None:
    assert [c for c, _ in codes("given z = 1, x = 2 given y = 7 expect lgits > 0")] == ["E101", "E305", "E101"]


def test_an_unknown_model_is_named() -> None:
    assert codes("expect x == 1", of="Nt") == [("E101", "Nt")]


def test_sizes_of_one_example_agree() -> None:
    assert codes("given x = [1, 2], z = [1, 2, 3]", SEQUENCE, "Seq") == [("E208", "given x = [1, 2], z = [1, 2, 3]")]


def test_a_model_without_a_loss_takes_no_steps() -> None:
    assert codes("given x = [1], z = [1] steps 1 with sgd(lr = 1)", SEQUENCE, "Seq")[0][0] == "E110"


def test_an_expectation_about_values_in_a_model_belongs_in_a_test() -> None:
    (found,) = Compilation(Source("net.nn", "model M { input x: [] output y = x expect y > 0 }"), {}).diagnostics
    assert found.code == "E107" and "test" in found.help


def test_checking_a_spec_with_tests_needs_no_numpy() -> None:
    import subprocess
    import sys

    code = "from nnspec.cli.main import cli\ncli(['check', 'mazur'], standalone_mode=False)\nimport sys\nprint('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"


def test_the_command_prints_a_line_a_test(tmp_path: Path) -> None:
    path = tmp_path / "net.nn"
    path.write_text(f'{MODEL}\ntest "good" of Net {{ {GIVEN} }}\ntest "bad" of Net {{ {GIVEN}\n  expect logits ~= [2, 2, 2]\n}}\n')
    done = run("test", str(path))
    assert done.exit_code == 1
    assert done.output.splitlines() == ["ok      good", f"FAILED  bad: {path}:17:10: `logits ~= [2, 2, 2]`: found 1 at [1], expected 2"]
    document = json.loads(run("test", str(path), "--json").output)
    assert [t["passed"] for t in document] == [True, False]
    assert document[1]["failures"] == [
        {"condition": "logits ~= [2, 2, 2]", "file": str(path), "line": 17, "column": 10, "at": [1], "found": 1.0, "expected": 2.0}
    ]


def test_a_spec_without_tests_says_so() -> None:
    done = run("test", "digits")
    assert (done.exit_code, done.output) == (0, "digits has no tests\n")


def test_the_gallery_and_the_reference_pass_their_tests() -> None:
    done = run("test", *sorted(p.stem for p in (ROOT / "specs").glob("*.nn")))
    assert done.exit_code == 0 and "ok      the published numbers" in done.output


def test_a_published_digit_that_is_wrong_fails() -> None:
    text = (ROOT / "specs" / "mazur.nn").read_text("utf-8").replace("0.298371109", "0.298371108")
    (found,) = run_tests(Compilation(Source("mazur.nn", text), {}))
    assert [str(f) for f in found.failures] == ["found 0.29837110876, expected 0.298371108"]


PARTS = """
model Part(k = 2) { input x: [2]  output y = k * x }
model Whole { input x: [2]  output z = sum(x -> Part(3)) }
test "part" of Part { given x = [1, 2]  expect y ~= [2, 4] }
test "whole" of Whole { given x = [1, 2]  expect z ~= 9 }
test "wrong" of Part { given x = [1, 2]  expect y ~= [2, 5] }
"""


def test_each_model_of_a_file_has_its_tests() -> None:
    outcomes = run_tests(Compilation(Source("parts.nn", PARTS), {}))
    assert [(o.test.title, len(o.failures)) for o in outcomes] == [("part", 0), ("whole", 0), ("wrong", 1)]


def test_a_model_may_have_an_lr_and_a_t_of_its_own_while_steps_are_taken() -> None:
    model = "model M { input t: [2] param lr: [2] = 1 output y = t * lr loss sum(y) }"
    assert not outcome("given t = [2, 3] steps 1 with sgd(lr = 0.5) expect lr == [0, -0.5]", model).failures
