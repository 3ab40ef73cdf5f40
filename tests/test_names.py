"""Names that would act on what shows them, in all that is written: models, cards, tables of predictions, messages, pictures."""

from __future__ import annotations

import ast
import csv
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from onnx import TensorProto, helper
from test_hostile import NASTY, harmless

import nnspec
from nnspec.cli.failure import diagnostics_of
from nnspec.cli.main import cli
from nnspec.diagnostics import Fault, SpecError, printable, render
from nnspec.run.ort import Session
from nnspec.train.predictions import Classes, write

FORMULAS = ("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\n=1", "a,b", 'a"b', "'=1", "|", "x" * 5000, "", " ")
"""What a table would compute, and what would part its cells."""
CLASSES = f"""model M {{
  input  x: [2]
  target k: class({len(NASTY) + len(FORMULAS)})
  h = x -> dense({len(NASTY) + len(FORMULAS)})
  output p = softmax(h)
  loss   cross_entropy(h, k)
}}
train {{ batch 4  epochs 1  optimizer sgd(0.1) }}
"""


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What there is of a network whose classes have such names."""
    folder = tmp_path_factory.mktemp("classes")
    net = nnspec.loads(CLASSES)
    net.labels = {"k": [*NASTY, *FORMULAS]}
    net.save(folder / "run")
    nnspec.open(folder / "run").export(folder / "m.onnx")
    nnspec.open(folder / "run").export_training(folder / "step")
    np.savez(folder / "x.npz", x=np.ones((3, 2), np.float32))
    for form in ("csv", "parquet"):
        done = CliRunner().invoke(cli, ["predict", str(folder / "run"), "--data", str(folder / "x.npz"), "-o", str(folder / f"p.{form}")])
        assert done.exception is None, done.output
    return folder


def test_the_names_of_classes_act_on_no_file(written: Path) -> None:
    texts = [p for p in written.rglob("*") if p.suffix in (".md", ".json", ".nn", ".csv", ".jsonl")]
    assert {p.name for p in texts} >= {"m.md", "step.json", "manifest.json", "p.csv"}
    for path in texts:
        assert harmless(path.read_text("utf-8")), path


def test_the_names_of_classes_are_whole_in_a_model(written: Path) -> None:
    model = onnx.load(written / "m.onnx")
    onnx.checker.check_model(model, full_check=True)
    about = {p.key: p.value for p in model.metadata_props}
    assert all(map(harmless, about.values())) and json.loads(about["labels"]) == {"k": [*NASTY, *FORMULAS]}
    assert json.loads((written / "step" / "step.json").read_text())["fields"]["k"]["labels"] == [*NASTY, *FORMULAS]


def test_the_names_of_classes_are_text_in_a_card(written: Path) -> None:
    card = (written / "m.md").read_text("utf-8")
    classes = card[card.index("## Classes") : card.index("## How to run it")]
    assert not re.search(r"<(script|img|/svg|b)\b", classes) and "0 \\u001b" in classes


def test_no_cell_of_a_table_is_a_formula(written: Path) -> None:
    import pyarrow.parquet as pq

    with (written / "p.csv").open(newline="") as file:
        heading, *rows = csv.reader(file)
    assert len(heading) == len(set(heading)) == len(NASTY) + len(FORMULAS) + 1 and len(rows) == 3 and heading[-1] == "k"
    assert all(name.startswith("p_") and harmless(name) and "\n" not in name for name in heading[:-1])
    assert np.allclose([sum(map(float, row[:-1])) for row in rows], 1, atol=1e-5)
    assert pq.read_table(written / "p.parquet").column_names == heading


def test_no_name_of_a_class_is_computed_by_a_spreadsheet(tmp_path: Path) -> None:
    names = [printable(name) for name in (*NASTY, *FORMULAS)]
    write(tmp_path / "p.csv", {"p": np.eye(len(names))}, {"p": Classes("k", names)})
    with (tmp_path / "p.csv").open(newline="") as file:
        cells = [row[-1] for row in csv.reader(file)][1:]
    assert [cell.removeprefix("'") for cell in cells] == [name.removeprefix("'") for name in names]
    assert not [cell for cell in cells if cell and cell[0] in "=@+-\t\r" and cell not in ("+1", "-1")]


# ---- names of files

SPEC = """model M {
  input  x: [2]
  target y: [1]
  output p = x -> dense(3) -> relu -> dense(1)
  loss   mse(p, y)
}
train { data { x = [[1, 2]], y = [[1]] }  epochs 1  optimizer sgd(0.1) }
"""
FILES = [name.replace("/", "|").replace("\x00", "\x01").lstrip("-") for name in NASTY]
COMMANDS = (
    "check {}.nn", "check {}.nn {}.nn", "check wrong{}.nn", "check wrong{}.nn --output-format github",
    "check wrong{}.nn --output-format sarif", "check wrong{}.nn --json", "check no{}.nn", "compile {}.nn --stage graph",
    "fmt --check {}.nn", "fmt --diff {}.nn", "test {}.nn", "graph {}.nn -o {}.svg", "derive {}.nn dense.W --latex",
    "export {}.nn -o {}.onnx", "export {}.nn -o {}.txt", "new new{} --from mazur", "train {}.nn --run run{} --engine numpy",
    "train {}.nn --run run{}", "eval run{}", "templates run{}", "predict run{} -o {}.csv", "diff {}.nn wrong{}.nn",
)  # fmt: skip


def act_on_terminals(output: str) -> bool:
    """The lines of a report are the only controls that there are."""
    return not harmless(output) or any(ord(c) < 32 and c not in "\n\t" for c in output)


@pytest.mark.parametrize("name", FILES)
def test_the_name_of_a_file_acts_on_nothing_that_is_said_or_written(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path(f"{name}.nn").write_text(SPEC)
    Path(f"wrong{name}.nn").write_text(SPEC.replace("relu", "reluu"))
    for command in COMMANDS:
        done = CliRunner().invoke(cli, [part.replace("{}", name) for part in command.split()], color=True)
        wrong = done.exception
        assert isinstance(wrong, SpecError | Fault | SystemExit | None), (command, wrong)
        said = render(diagnostics_of(wrong)) if isinstance(wrong, SpecError | Fault) else ""
        assert not act_on_terminals(done.output + said), (command, done.output + said)
    model = onnx.load(f"{name}.onnx")
    assert all(harmless(node.doc_string) for node in model.graph.node)
    card = Path(f"{name}.md").read_text("utf-8")
    assert harmless(card) and "<script" not in re.sub(r"```.*?```", "", card, flags=re.S)
    for code in re.findall(r"```python\n(.*?)```", card, re.S):
        opened = [n.args[0].value for n in ast.walk(ast.parse(code)) if isinstance(n, ast.Call) and ast.unparse(n.func).endswith("Session")]
        assert opened == [f"{name}.onnx"]


# ---- names of models from elsewhere


def named(name: str) -> onnx.ModelProto:
    """A model all of whose names are one."""
    weights = helper.make_tensor(f"{name}w", TensorProto.FLOAT, [2, 2], [1.0, 2.0, 3.0, 4.0])
    ports = [helper.make_tensor_value_info(f"{name}{end}", TensorProto.FLOAT, [f"{name}b", 2]) for end in "xy"]
    nodes = [
        helper.make_node("MatMul", [f"{name}x", f"{name}w"], [f"{name}h"], name=f"{name}1"),
        helper.make_node("Relu", [f"{name}h"], [f"{name}y"], name=f"{name}2"),
    ]
    graph = helper.make_graph(nodes, f"{name}g", ports[:1], ports[1:], [weights])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


OF_MODELS = (
    "check in.onnx", "compile in.onnx --stage graph", "graph in.onnx", "graph in.onnx -o html",
    "graph in.onnx -o dot", "graph in.onnx -o mermaid", "import in.onnx -o out.nn", "check out.nn", "export in.onnx -o out.onnx",
)  # fmt: skip


@pytest.mark.parametrize("name", [*NASTY, "a/b/../../c", "w" * 120])
def test_the_names_of_a_model_act_on_nothing_and_stay_in_it(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    onnx.save(named(name), "in.onnx")
    for command in OF_MODELS:
        done = CliRunner().invoke(cli, command.split(), color=True)
        assert done.exception is None, (command, done.exception)
        assert not act_on_terminals(done.output), (command, done.output)
    assert harmless(Path("out.nn").read_text("utf-8")) and harmless(Path("out.md").read_text("utf-8"))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.onnx", "out.md", "out.nn", "out.onnx", "out.safetensors"]
    session = Session(Path("out.onnx"))
    assert (session.inputs, session.outputs) == ([f"{name}x"], [f"{name}y"])


# ---- names of a spec


@pytest.mark.parametrize("name", ["x" * 128, "größe", "重み", "ŷ", "Δ1", "end", "subgraph", "node", "graph", "style", "lambda", "class_"])
def test_the_names_of_a_spec_are_those_of_every_output(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = f"model {name} {{ input {name}_x: [2]  param {name}_w: [2, 2] ~ normal  output {name} = {name}_x @ {name}_w }}"
    if len(name) == 128:
        text = text.replace(f"{name}_", name[:126])
    net: Any = nnspec.loads(text)
    net.export("m.onnx")
    model = onnx.load("m.onnx")
    onnx.checker.check_model(model, full_check=True)
    assert [i.name for i in model.graph.input] == list(net.inputs) and [o.name for o in model.graph.output] == [name]
    assert [w.name for w in model.graph.initializer] == list(net.params)
    Path("m.nn").write_text(text)
    for form in ("svg", "html", "dot", "mermaid"):
        assert CliRunner().invoke(cli, ["graph", "m.nn", "-o", form]).exception is None
