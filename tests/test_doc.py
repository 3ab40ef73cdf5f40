"""`nnspec doc`: every name of the library has an entry, and every example in it is true."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from click.testing import CliRunner, Result

import nnspec
from nnspec import resources
from nnspec.cli.main import cli
from nnspec.compile import Compilation
from nnspec.diagnostics import Fault, Source
from nnspec.doc import KINDS, WORDS, Entry, about, entries, listed, made_up, named
from nnspec.elaborate.arguments import parameter_text
from nnspec.elaborate.augmentation import AUGMENTATIONS
from nnspec.elaborate.library import public
from nnspec.elaborate.primitives import builtins
from nnspec.elaborate.sources import SOURCES
from nnspec.elaborate.training import STOPS
from nnspec.elaborate.values import Builtin
from nnspec.lsp.complete import SETTINGS
from nnspec.ops import OPS
from nnspec.syntax.words import STATEMENT_WORDS
from nnspec.testing import run_tests

DEFINED = [e for e in entries() if e.source]
WRITTEN = [pytest.param(e.kind, line, id=f"{e.kind} {line}") for e in DEFINED for line in e.written]
KNOWN_WHEN_COMPILED = ("known", "range", "rank", "size")
IN_TRAINING = ("batch_mean", "batch_var")


NET = "model Example { input x: [4] target y: [1] output z = x -> dense(1) loss mse(z, y) }"
PLACES = {
    "optimizer": NET + " train { epochs 1 optimizer %s }",
    "schedule": NET + " train { epochs 1 optimizer sgd(lr = 0.1) schedule %s }",
    "init": "model Example { input x: [4] param W: [4, 4] ~ %s output y = x @ W }",
}
GIVES = "model Example { input x: %s output y = x -> %s expect shape(y) == %s }"
TRUE = 'model Example { input x: [] output x } test "example" of Example { expect %s }'


def example_spec(kind: str, example: str) -> str:
    """A spec that is right, and whose tests pass, if the example is true."""
    if kind in PLACES:
        return PLACES[kind] % example
    given, gives, result = example.rpartition(" gives ")
    if gives:
        type, _, stages = given.partition(" -> ")
        return GIVES % (type, stages, result)
    return TRUE % example


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, [*arguments])


def holds(kind: str, example: str) -> bool:
    spec = Compilation(Source("example.nn", example_spec(kind, example)), {})
    return not spec.diagnostics and not any(o.failures for o in run_tests(spec))


@pytest.mark.parametrize(("kind", "line"), WRITTEN)
def test_an_example_in_the_library_is_true(kind: str, line: str) -> None:
    assert holds(kind, line)


@pytest.mark.parametrize(
    ("kind", "example"),
    [
        ("fn", "relu([-1, 2]) == [0, 1]"),
        ("fn", "sigmoid(1) ~= 0.7310"),
        ("fn", "sigmod(1) ~= 0.7311"),
        ("layer", "[28, 28] -> dense(10) gives [10]"),
        ("layer", "[28] -> conv(10) gives [10]"),
        ("optimizer", "sgd(rate = 1)"),
        ("schedule", "step_decay(gamma = 0.5)"),
        ("init", "normal(sd = 1)"),
    ],
)
def test_an_example_that_is_not_true_is_found(kind: str, example: str) -> None:
    assert not holds(kind, example)


@pytest.mark.parametrize(
    ("kind", "example"),
    [
        ("fn", "relu([-1, 2]) == [0, 2]"),
        ("fn", "[2, 3] -> softmax gives [2, 3]"),
        ("layer", "[28, 28] -> dense(10) gives [28, 10]"),
        ("layer", "[3, 8, 8] -> conv(5, 3) -> maxpool(2) gives [5, 3, 3]"),
        ("loss", "cross_entropy([0, 0], argmax([0, 1])) ~= 0.693147"),
        ("optimizer", "momentum(lr = 0.1, mu = 0.5)"),
        ("schedule", "cosine(warmup = 10)"),
        ("init", "normal(0, 0.1)"),
    ],
)
def test_every_form_of_example_can_be_true(kind: str, example: str) -> None:
    assert holds(kind, example)


def test_everything_of_the_library_has_an_entry_that_says_what_it_is() -> None:
    of_trainings = {*SOURCES, *AUGMENTATIONS, *STOPS, *SETTINGS, "missing"} - {"stop"}
    assert {e.name for e in entries()} == {name for _, name in public()} | set(builtins()) | set(OPS) | of_trainings | {*WORDS}


def test_every_reserved_word_is_explained() -> None:
    reserved = re.findall(r'^[A-Z]+: "([a-z]+)"$', (resources.folder("grammar") / "nn.lark").read_text("utf-8"), re.M)
    assert {*STATEMENT_WORDS} < {*reserved}
    assert {*reserved} - {"nnspec"} <= {e.name for e in entries() if e.kind in ("word", "setting")} | {*KINDS}


@pytest.mark.parametrize(
    ("name", "kinds"), [("constant", {"schedule", "init"}), ("test", {"setting", "word"}), ("batch", {"setting", "word"})]
)
def test_each_kind_of_a_name_is_shown_also_where_it_is_that_of_a_kind(name: str, kinds: set[str]) -> None:
    shown = run("doc", name).output
    assert all(f"{e.kind} {e.signature}" in shown for e in named(name)) and {e.kind for e in named(name)} == kinds
    assert ("  pi" in shown) == (name == "constant")


CALLS = {
    "convolve": "i, W", "convolve_transpose": "i, W", "pool_max": "i, 2", "pool_mean": "i, 2", "concat": "[x, x]", "stack": "[x, x]",
    **dict.fromkeys(("sum", "mean", "max", "min", "argmax", "cumsum", "rank_of", "reverse", "positions"), "x"), "along": "[1, 2], x",
}  # fmt: skip


def shown_defaults(callee: Builtin) -> str:
    """As arguments; that of a stride is said as the kernel is."""
    return ", ".join(parameter_text(p) for p in callee.parameters if parameter_text(p) != p.name).replace("= kernel", "= 2")


def test_a_primitive_shows_defaults_that_can_be_written_and_hold_without_them() -> None:
    rows = {n: b for n, b in builtins().items() if isinstance(b, Builtin) and shown_defaults(b)}
    assert {*rows} == {*CALLS}
    rng = np.random.default_rng(0)
    ports = "input x: [2, 3]  input i: [1, 5, 5]  param W: [1, 1, 3, 3] ~ he_normal"
    for name, callee in rows.items():
        written = f"output a = {name}({CALLS[name]})  output b = {name}({CALLS[name]}, {shown_defaults(callee)})"
        net = nnspec.loads(f"model M {{ {ports}  {written} }}")
        out = net(**{n: rng.normal(size=(1, *t.shape[1:])) for n, t in net.inputs.items()})
        assert np.array_equal(out["a"], out["b"]), name


@pytest.mark.parametrize(
    ("word", "title", "meaning"),
    [
        ("let", "word let name = value", "names a value for the whole file"),
        ("repeat", "word -> repeat(n) { p }", "p n times over"),
        ("class", "word class(10)", "one class number from 0 to 9"),
        ("param", "word param W: [n, units] ~ init", "is trained and starts drawn from an init"),
        ("train", "word train", "blocks, run in order"),
        ("scan", "word hs = scan x_t in x with h = h0 { h = ... }", "walks the first axis of x"),
        ("then", "word if c then a else b", "of a tensor: element by element"),
        ("or", "word or", "of truths"),
        ("of", 'word test "title" of Model { ... }', "says what a model of the file does"),
    ],
)
def test_a_word_of_the_language_is_shown_as_the_reference_says_it(word: str, title: str, meaning: str) -> None:
    shown = run("doc", word).output
    assert shown.startswith(f"{title}\n\n") and meaning in shown and "operation" not in shown
    assert [e.name for e in entries() if not e.doc or not e.headline] == []


@pytest.mark.parametrize("entry", [e for e in DEFINED if e.kind in ("fn", "layer")], ids=lambda e: f"{e.kind} {e.name}")
def test_an_example_that_is_made_up_is_true(entry: Entry) -> None:
    made = made_up(entry)
    assert made is None or ": " in made or holds(entry.kind, made)


@pytest.mark.parametrize(
    ("name", "example"),
    [
        ("softmax", "[4] -> softmax gives [4]"),
        ("conv", "[5, 4] -> conv(units = 2, kernel = 2) gives [2, 3]"),
        ("dropout", "[4] -> dropout(rate = 0.5) gives [4]"),
        ("mse", "mse(y_hat: [4], y: [4]) gives []"),
        ("cross_entropy", "cross_entropy(logits: [4], y: class(4)) gives []"),
        ("accuracy", "accuracy(logits: [4], y: class(4)) gives []"),
        ("momentum", "momentum(lr = ..)"),
        ("he_normal", "he_normal"),
    ],
)
def test_an_example_is_made_up_from_the_signature(name: str, example: str) -> None:
    assert example in [made_up(e) for e in about(name)]


def test_few_definitions_are_without_an_example() -> None:
    assert sum(not e.examples for e in DEFINED) <= len(DEFINED) // 10


def test_no_primitive_that_could_have_an_example_is_without() -> None:
    without = {e.name for e in entries() if e.kind == "primitive" and not e.examples}
    assert {*KNOWN_WHEN_COMPILED, *IN_TRAINING} <= without
    assert not {"exp", "sum", "argmax", "transpose", "one_hot", "pool_max"} & without


def test_an_entry_shows_all_its_parts() -> None:
    assert run("doc", "relu6").output == (
        "fn relu6(x)  (std/activations.nn)\n\n"
        "relu up to 6 (Krizhevsky 2010).\n\n"
        "fn relu6(x) = min(relu(x), 6)\n\n"
        "example: relu6([-1, 2, 8]) == [0, 2, 6]\n"
    )
    dense = run("doc", "dense").output
    assert "  return y\n}\n\nshape: x: [*s, n] -> [*s, units]\nexample: [4] -> dense(units = 2) gives [2]\n" in dense


def test_a_name_of_several_kinds_shows_all() -> None:
    assert {e.kind for e in entries() if e.name == "identity"} == {"fn", "init"}
    shown = run("doc", "identity").output
    assert "fn identity(x) = x" in shown and "init identity = if" in shown


@pytest.mark.parametrize(
    ("name", "kind"),
    [("mse", "loss"), ("accuracy", "metric"), ("adam", "optimizer"), ("cosine", "schedule"), ("zeros", "init"), ("pi", "constant"),
     ("same", "choice"), ("convolve", "primitive"), ("matmul", "operation"), ("exp", "primitive")],
)  # fmt: skip
def test_a_name_has_its_kind(name: str, kind: str) -> None:
    assert kind in [e.kind for e in about(name)]


@pytest.mark.parametrize(
    ("name", "meant"), [("Linear", "dense"), ("nn.Conv2d", "conv"), ("softmx", "softmax"), ("BCEWithLogitsLoss", "bce_logits")]
)
def test_an_unknown_name_says_what_was_meant(name: str, meant: str) -> None:
    with pytest.raises(Fault) as caught:
        about(name)
    assert caught.value.diagnostic.help == f"did you mean `{meant}`?"


def test_a_name_that_is_near_nothing_points_at_the_list() -> None:
    with pytest.raises(Fault) as caught:
        about("qqqqqqqq")
    assert "nnspec doc" in caught.value.diagnostic.help


def test_the_list_has_a_line_for_every_name_under_its_kind() -> None:
    lines = run("doc").output.splitlines()
    assert len([line for line in lines if line.startswith("  ")]) == len(listed()) == sum(e.kind != "operation" for e in entries())
    assert [line for line in lines if line and line[0] != " "][:3] == ["fn", "layer", "loss"]
    assert next(line for line in lines if line.startswith("  half_mse ")).endswith("as worked examples use it.")


def test_json_has_every_part() -> None:
    (entry,) = json.loads(run("doc", "half_mse", "--json").output)
    assert entry == {
        "kind": "loss",
        "name": "half_mse",
        "signature": "half_mse(y_hat, y)",
        "doc": "Half the sum of squared errors, over all numbers of an example, as worked examples use it.",
        "source": "std/losses.nn",
        "definition": "fn half_mse(y_hat, y) {\n  expect shape(y_hat - y) == shape(y_hat) or shape(y_hat - y) == shape(y)\n"
        "  return 0.5 * sum((y_hat - y)^2)\n}",
        "shape": "",
        "examples": ["half_mse([1, 2], [0, 4]) == 2.5"],
    }
    assert len(json.loads(run("doc", "--json").output)) == len(listed())


@pytest.mark.parametrize(
    ("kind", "named"),
    [("source", tuple(SOURCES)), ("augmentation", tuple(AUGMENTATIONS)), ("stop", tuple(STOPS)), ("optimizer", ("adam", "sgd"))],
)
def test_a_kind_lists_all_of_it(kind: str, named: tuple[str, ...]) -> None:
    lines = run("doc", kind).output.partition("\n\n")[0].splitlines()
    assert lines[0] == kind and {*named} <= {line.split()[0] for line in lines[1:]}
    assert all(line[2] != " " for line in lines[1:])


def test_what_operations_a_graph_is_made_of_is_known_by_name_alone() -> None:
    assert "conv_weight_grad" not in run("doc").output
    assert run("doc", "conv_weight_grad").output.startswith("operation conv_weight_grad(")


@pytest.mark.parametrize("entry", [e for e in entries() if e.kind == "source"], ids=lambda e: e.name)
def test_a_source_says_how_it_is_called_and_its_line_what_it_is(entry: Entry) -> None:
    spec = f"{NET} train {{ {entry.examples[0].replace(', ...', '')} epochs 1 optimizer sgd(lr = 0.1) }}"
    assert Compilation(Source("net.nn", spec), {}).diagnostics == ()
    assert entry.name in entry.headline and "`" not in entry.headline


@pytest.mark.parametrize("name", [name for name, kind in SOURCES.items() if kind.options])
def test_a_source_names_every_argument_it_takes(name: str) -> None:
    [entry] = (e for e in about(name) if e.kind == "source")
    assert all(re.search(rf"\b{option}\b", entry.signature + entry.doc) for option in SOURCES[name].options)


def test_a_setting_says_what_holds_without_it() -> None:
    assert run("doc", "epochs").output == "setting epochs 10\n\npasses over the data\nwithout it: by `steps`\n"
    assert run("doc", "missing").output.startswith("setting missing = drop\n\nA value that is missing")
    assert run("doc", "early").output.startswith("stop early(val.loss, patience = 3)\n\nstop when")


def test_a_kernel_of_another_rank_is_one_clear_error() -> None:
    spec = Compilation(Source("net.nn", "model M { input x: [2, 8, 8] output y = convolve(x, 2) }"), {})
    assert [d.code for d in spec.diagnostics] == ["E202"]


@pytest.mark.parametrize(("word", "help_"), [("parameter", "`param W: [4, 2] ~ he_normal`"), ("ln", "`log(x)`")])
def test_what_is_no_name_of_the_library_is_shown_as_it_is_written(word: str, help_: str) -> None:
    with pytest.raises(Fault) as error:
        about(word)
    assert help_ in error.value.diagnostic.help
