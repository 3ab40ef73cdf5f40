"""Invariants of the house: what is imported when, what is public, what the README shows."""

from __future__ import annotations

import doctest
import re
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import ROOT, blocks

import nnspec
from nnspec import api
from nnspec.compile import Compilation
from nnspec.diagnostics import Source, render
from nnspec.net import computed, described, fed, network
from nnspec.syntax.parser import parse


def test_the_public_surface_is_this() -> None:
    assert nnspec.__all__ == ["Diagnostic", "Net", "Progress", "SpecError", "__version__", "from_onnx", "load", "loads", "open"]
    assert sorted(n for n in dir(nnspec.Net) if not n.startswith("_")) == [
        "dataset", "datasets", "engine", "evaluate", "export", "export_training", "fit", "fit_datasets", "gradients", "graph", "init",
        "inputs", "name", "outputs", "params", "predict", "sample", "save", "states", "step", "summary", "targets",
    ]  # fmt: skip


SLOW = {"numpy", "networkx", "onnx", "onnxruntime", "rich", "lark", "ctypes", "statistics"}
NOT_NEEDED = [
    (("check", "lenet", "digits", "mazur", "googlenet"), {"nnspec.syntax.slips", "nnspec.net", "nnspec.interchange"}),
    (("fmt", "--check", "specs/lenet.nn"), {"nnspec.compile", "nnspec.elaborate", "nnspec.ops", "nnspec.rewrite"}),
    (("--version",), {"nnspec.syntax", "nnspec.compile", "nnspec.cli.check"}),
    (("explain", "E102"), {"nnspec.elaborate", "nnspec.cli.train"}),
]


@pytest.mark.parametrize(("command", "modules"), NOT_NEEDED, ids=lambda value: value[0] if isinstance(value, tuple) else "")
def test_a_command_imports_nothing_that_is_slow_and_not_needed(command: tuple[str, ...], modules: set[str]) -> None:
    code = (
        f"import sys\nfrom nnspec.cli.main import cli\ncli({command}, standalone_mode=False)\n"
        f"print(sorted({SLOW | modules} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_examples_in_the_docstrings_are_true() -> None:
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    results = [doctest.testmod(module, optionflags=flags) for module in (api, computed, described, fed, network)]
    assert sum(r.attempted for r in results) > 10 and not any(r.failed for r in results)


def test_every_network_in_the_readme_checks() -> None:
    for text in blocks(ROOT / "README.md", "nn"):
        assert not Compilation(Source("README.md", text), {}).diagnostics


def test_every_python_block_in_the_readme_runs(tmp_path: Path) -> None:
    for text in blocks(ROOT / "README.md", "python"):
        subprocess.run(
            [sys.executable, "-c", text], cwd=tmp_path, check=True, capture_output=True, env={"PYTHONPATH": str(ROOT), "PATH": ""}
        )


CONSOLE = re.compile(r"^\$ (?:echo '(.*)' \| )?nnspec (.*)\n((?:(?!\$ ).*\n)*)", re.M)


def test_every_output_in_the_readme_is_what_the_command_prints(tmp_path: Path) -> None:
    """`$ command`, then its output; what differs from run to run stands as `...`."""
    shown = [match.groups() for text in blocks(ROOT / "README.md", "console") for match in CONSOLE.finditer(text)]
    assert len(shown) >= 4
    environment = {"PYTHONPATH": str(ROOT), "NO_COLOR": "1", "HOME": str(tmp_path), "PATH": ""}
    for stdin, command, expected in shown:
        done = subprocess.run(
            [sys.executable, "-m", "nnspec", *command.split()],
            cwd=tmp_path, capture_output=True, text=True, input=stdin or "", check=False, env=environment,
        )  # fmt: skip
        pattern = ".*".join(re.escape(part) for part in expected.rstrip().split("..."))
        assert re.fullmatch(pattern, (done.stderr + done.stdout).rstrip(), re.S), f"{command}\n{done.stderr}{done.stdout}"


def test_the_gallery_table_of_the_readme_names_every_spec() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    for path in (ROOT / "specs").glob("*.nn"):
        assert f"`{path.stem}`" in readme


def test_the_standard_library_parses_without_a_word() -> None:
    for path in (ROOT / "nnspec" / "std").glob("*.nn"):
        assert render(parse(Source(path.name, path.read_text("utf-8")))[1]) == ""
