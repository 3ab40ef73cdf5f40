"""What is too large is refused in time: before it is expanded, and before anything is allocated for it."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import bombs
import numpy as np
import onnx.parser
import pytest

import nnspec
from nnspec.compile import Compilation
from nnspec.diagnostics import Diagnostic, Fault, SpecError
from nnspec.importing import import_model
from nnspec.limits import LIMITS, limited
from nnspec.run import room
from nnspec.source import source_of

AT_MOST = 5.0
"""Seconds of computing, of a machine that may be busy; a bomb that goes off takes minutes, or all memory."""


def diagnostics(text: str, folder: Path = Path()) -> list[Diagnostic]:
    try:
        return list(Compilation(source_of("t.nn", text.encode()), {}, folder=folder).diagnostics)
    except Fault as error:
        return [error.diagnostic]


def mistake(text: str) -> Diagnostic:
    return diagnostics(text)[0]


# ---- what expands


@pytest.mark.parametrize(("name", "text"), list(bombs.bombs()), ids=[name for name, _ in bombs.bombs()])
def test_a_bomb_is_refused_or_harmless(name: str, text: str) -> None:
    before = time.process_time()
    found = diagnostics(text)
    assert time.process_time() - before < AT_MOST
    assert len(found) <= 2 and all(d.code and d.message for d in found)


def test_calls_may_be_inside_each_other_as_deep_as_the_limit_says() -> None:
    text = "fn tower(x, n) = if n == 0 then x else relu(tower(x, n - 1))\nmodel M {{ input x: [4]  output y = tower(x, {}) }}"
    assert not diagnostics(text.format(64))
    assert "calls are nested deeper than 64" in mistake(text.format(65)).message


def test_a_formula_that_is_nested_too_deeply_is_said_once() -> None:
    (found,) = diagnostics(f"model M {{ input x: [4]\n h = {'- ' * 2000}x\n output y = h + 1, z = h }}")
    assert (found.code, found.message) == ("E502", "this formula is nested too deeply")


@pytest.mark.parametrize(("name", "text"), list(bombs.sizes()), ids=[name for name, _ in bombs.sizes()])
def test_a_size_is_refused_or_harmless(name: str, text: str) -> None:
    before = time.process_time()
    assert len(diagnostics(text)) <= 1
    assert time.process_time() - before < AT_MOST


@pytest.mark.parametrize("name", ["layers that call two, 60 deep", "repeat in repeat", "functions that call two, 20 deep"])
def test_what_expands_to_too_much_is_said_once_where_it_is_called(name: str) -> None:
    (found,) = diagnostics(dict(bombs.bombs())[name])
    assert found.code == "E502" and "200,000 statements" in found.message and found.help == "`--limit statements=N` sets another limit"
    assert found.span and not found.span.source.library


@pytest.mark.parametrize("name", [name for name, _ in bombs.bombs() if "derivative" in name or "differentiated" in name])
def test_derivatives_of_derivatives_are_refused_from_the_growth_of_the_first(name: str) -> None:
    before = time.process_time()
    (found,) = diagnostics(dict(bombs.bombs())[name])
    assert time.process_time() - before < 2.0
    assert found.code == "E502" and "times more, expands to more than 100,000 operations" in found.message
    assert found.span and found.span.text.startswith("grad(") and found.help == "`--limit nodes=N` sets another limit"


def test_derivatives_that_stay_short_may_be_many() -> None:
    for start in ("x^3", "tanh(x)", "exp(-x^2)"):
        assert not diagnostics(bombs.model(f"output y = {'sum(grad(' * 9}sum({start}){', x))' * 9}"))


def test_a_limit_can_be_raised_and_lowered() -> None:
    text = bombs.model("output y = x -> repeat(30) { tanh }")
    assert not diagnostics(text)
    with limited(statements=20):
        assert mistake(text).code == "E502"
    with limited(nodes=10):
        assert "more than 10 operations" in mistake(text).message
    with limited(parameters=10):
        assert mistake(bombs.model("output y = x -> dense(4)")).code == "E580"


def test_parameters_are_counted_before_they_are_made_and_the_largest_is_shown() -> None:
    found = mistake("model M { input x: [4]\n output y = x -> dense(30_000) -> dense(100_000) -> dense(2) }")
    assert found.code == "E580" and found.message == "the parameters take 11.2 GiB, and 2 GiB is the most"
    assert found.span and found.span.text == "dense(100_000)"


def test_a_step_that_has_no_room_is_refused_before_it_takes_any(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "SMALL", 0)
    net = nnspec.loads(
        "model M { input x: [64]  target y: [1]  output o = x -> dense(256) -> relu -> dense(1)  loss mse(o, y) }", engine="numpy"
    )
    net.gradients(x=np.zeros((8, 64)), y=np.zeros((8, 1)))
    with limited(memory=100_000), pytest.raises(SpecError) as refused:
        net.gradients(x=np.zeros((8000, 64)), y=np.zeros((8000, 1)))
    assert refused.value.diagnostics[0].code == "E580" and "the limit is" in refused.value.diagnostics[0].message


DOUBLED = " ".join(f"v{i + 1} = Concat<axis=1>(v{i}, v{i})" for i in range(40))
HUGE = {
    "Concat `v36`": f"m (float[N, 2] v0) => (float[N] y) {{ {DOUBLED}  axis = Constant<value_ints=[1]>()  y = ReduceSum(v40, axis) }}",
    "Tile `t`": "m (float[1, 1] x) => (float y) <int64[2] r = {1073741824, 1073741824}> { t = Tile(x, r)  y = ReduceSum<keepdims=0>(t) }",
    "ConstantOfShape `t`": "m (float[N] x) => (float[N] y) <int64[2] r = {1073741824, 1073741824}>"
    " { t = ConstantOfShape(r)  s = ReduceSum<keepdims=0>(t)  y = Add(x, s) }",
}


def onnx_file(text: str, path: Path) -> Path:
    onnx.save(onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["": 21]> {text}'), str(path))
    return path


@pytest.mark.parametrize("node", HUGE)
def test_a_huge_value_of_a_tiny_onnx_model_is_refused_by_the_name_of_its_node(node: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError) as refused:
        nnspec.load(onnx_file(HUGE[node], tmp_path / "m.onnx"))
    found = refused.value.diagnostics[0]
    assert found.code == "E580" and found.message.startswith(f"{node} makes ") and found.span


def test_a_huge_constant_is_no_spec(tmp_path: Path) -> None:
    with pytest.raises(Fault, match="ConstantOfShape `t`: there is no room in memory for this constant"):
        import_model(onnx_file(HUGE["ConstantOfShape `t`"], tmp_path / "m.onnx"), tmp_path / "m.nn")


def test_what_has_no_room_in_memory_is_not_tried_by_an_export_or_an_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "SMALL", 0)
    model = onnx_file("m (float[N, 4] x) => (float[N, 40] y) <int64[2] r = {1, 10}> { t = Tile(x, r)  y = Tanh(t) }", tmp_path / "m.onnx")
    net = nnspec.load(model)
    with limited(memory=7 * 40 * 4 - 1):
        with pytest.raises(SpecError, match=r"E580.*`Tile\(x, r\)` takes "):
            net.export(tmp_path / "again.onnx")
        with pytest.raises(Fault, match=r"` takes .* of memory, and .* the limit is"):
            import_model(model, tmp_path / "m.nn")
    with limited(memory=7 * 40 * 4):
        net.export(tmp_path / "again.onnx")
        import_model(model, tmp_path / "m.nn")


def test_what_the_machine_has_free_is_known() -> None:
    assert 1 << 20 < room.free() < 1 << 50


@pytest.mark.parametrize("name", LIMITS)
def test_every_limit_can_be_set_on_the_command_line(name: str) -> None:
    command = [sys.executable, "-c", f"from nnspec.cli.options import _set_limits as s; s(None, None, ('{name}=1',))\n"
               f"from nnspec import limits; assert limits.most('{name}') == 1"]  # fmt: skip
    assert subprocess.run(command, check=False).returncode == 0


# ---- names and texts


def test_a_name_is_short() -> None:
    found = mistake(f"model M {{ input {'x' * 129}: [4]  output y = 1 }}")
    assert found.code == "E502" and "128" in found.message
    assert not diagnostics(f"model M {{ input {'x' * 128}: [4]  output y = 2 * {'x' * 128} }}")


def test_a_name_is_the_same_however_its_letters_are_put_together() -> None:
    composed, decomposed = "caf\u00e9", "cafe\u0301"
    assert not diagnostics(f"model M {{ input {composed}: [4]  output y = 2 * {decomposed} }}")


def test_a_message_is_short_however_long_what_it_speaks_of() -> None:
    text = f"model M {{ input x: [4]  output y = {'+'.join(['x'] * 3_000)} + z }}"
    (found,) = diagnostics(text)
    assert len(str(SpecError([found]))) < 4096


# ---- reading takes a time that grows as the text does

GROWING = {
    "a long sum": lambda n: bombs.model(f"output y = {'+ x ' * n}"),
    "a long product": lambda n: bombs.model(f"output y = x {'* 2 ' * n}"),
    "a long pipeline": lambda n: bombs.model(f"output y = x {'-> tanh ' * n}"),
    "many statements": lambda n: bombs.model("\n".join(f"h{i} = tanh(x)" for i in range(n)) + "\noutput y = x"),
    "many definitions": lambda n: bombs.model("output y = x", "\n".join(f"fn f{i}(a, b = {i}) = a + b" for i in range(n))),
    "many lets": lambda n: bombs.model("output y = x", "\n".join(f"let a{i} = {i}" for i in range(n))),
    "many comments": lambda n: bombs.model("output y = x", "# a comment\n" * n),
    "one long comment": lambda n: bombs.model("output y = x", f"# {'x' * 10 * n}"),
    "one long name": lambda n: bombs.model(f"output y = x + {'x' * n}"),
    "one long number": lambda n: bombs.model(f"output y = x + {'9' * n}"),
    "one long text": lambda n: bombs.model("output y = x", f'import "{"x" * n}"'),
    "a text without an end": lambda n: bombs.model("output y = x", f'import "{"x" * n}'),
    "empty lines": lambda n: bombs.model("\n" * n + "output y = x"),
    "spaces": lambda n: bombs.model(" " * 10 * n + "output y = x"),
    "tabs": lambda n: bombs.model("\t" * n + "output y = x"),
    "a long list": lambda n: bombs.model(f"a = [{'1, ' * n}]  output y = x"),
    "many arguments": lambda n: bombs.model(f"output y = concat({'x, ' * n}axis = 0)"),
    "open brackets": lambda n: bombs.model("output y = " + "(" * n),
    "closing brackets": lambda n: bombs.model("output y = x" + ")" * n),
    "mixed brackets": lambda n: bombs.model("output y = " + "([{" * n),
    "brackets in turn": lambda n: bombs.model("output y = x " + "() " * n),
    "arrows alone": lambda n: bombs.model("output y = x " + "-> " * n),
    "operators alone": lambda n: bombs.model("output y = " + "+ - * / " * n),
    "unary signs": lambda n: bombs.model("output y = " + "-" * n + "x"),
    "conditions": lambda n: bombs.model("output y = " + "if x < 0 then x else " * n + "x"),
    "statements that are wrong": lambda n: bombs.model("h = = 1\n" * n + "output y = x"),
    "words of other languages": lambda n: bombs.model("def f(x): return x\n" * n + "output y = x"),
    "assignments of another kind": lambda n: bombs.model("h := tanh(x)\n" * n + "output y = x"),
    "letters of many alphabets": lambda n: bombs.model("output y = x", "# " + "ж\u4e2d\u0301\U0001f600" * n),
    "models": lambda n: "\n".join(f"model M{i} {{ input x: [1]  output y = x }}" for i in range(n)),
}


@pytest.mark.parametrize("kind", GROWING)
def test_reading_takes_a_time_that_grows_as_the_text_does(kind: str) -> None:
    """At n, 2n and 4n: four times the text takes no more than twelve times as long, and no text takes long."""
    taken = [min(seconds_for(GROWING[kind](n)) for _ in range(2)) for n in (250, 500, 1000)]
    assert taken[2] < max(12 * taken[0], 1.0) and taken[2] < 3 * AT_MOST


LONG = {
    "a chain of sums of what is before": lambda n: bombs.model(
        "v0 = x + x\n" + "\n".join(f"v{i} = v{i - 1} + v{i - 1}" for i in range(1, n)) + f"\noutput y = v{n - 1}"
    ),
    "a text without an end": lambda n: bombs.model("output y = x", f'let a = "{"x" * 10 * n}'),
    "a word of settings again and again": lambda n: bombs.model("output y = x", "train " * n),
    "values of one kind that nothing uses": lambda n: bombs.model("\n".join(f"h{i} = tanh(x)" for i in range(n)) + "\noutput y = x"),
    "values that nothing uses": lambda n: bombs.model("\n".join(f"h{i} = x * {i}" for i in range(n)) + "\noutput y = x"),
    "names of nothing": lambda n: bombs.model("\n".join(f"a{i} = zzzz{i}" for i in range(n)) + "\noutput y = x"),
    "lets of nothing": lambda n: bombs.model("output y = x", "\n".join(f"let a{i} = zzzz{i}" for i in range(n))),
    "functions of nothing that nothing calls": lambda n: bombs.model("output y = x", "\n".join(f"fn a{i}(x) = zzzz{i}" for i in range(n))),
}


@pytest.mark.parametrize("kind", LONG)
def test_reading_a_long_text_takes_no_time_that_a_person_would_wait_for(kind: str) -> None:
    """What takes the square of its length shows only here."""
    assert seconds_for(LONG[kind](6000)) < AT_MOST


def test_names_of_nothing_are_guessed_at_as_long_as_there_are_few() -> None:
    found = diagnostics(bombs.model("total = 2 * x\n" + "\n".join(f"a{i} = totel{i}" for i in range(60)) + "\noutput y = total"))
    assert [bool(d.help) for d in found] == [True] * 50 + [False] * 10


def seconds_for(text: str) -> float:
    started = time.process_time()
    diagnostics(text)
    return time.process_time() - started


def test_data_that_takes_too_much_is_refused_and_the_limit_raised(tmp_path: Path) -> None:
    np.savez(tmp_path / "t.npz", x=np.zeros((100, 4)))
    text = 'model M { input x: [4]  output y = x -> dense(1)  loss sum(y) }\ntrain { data npz("t.npz")  epochs 1  optimizer sgd(1) }'
    net = nnspec.Net(Compilation(source_of("t.nn", text.encode()), {}, folder=tmp_path))
    with limited(data=1000), pytest.raises(SpecError, match="--limit data=N"):
        net.dataset()
    assert net.dataset().train["x"].shape == (100, 4)
