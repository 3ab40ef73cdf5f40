"""`%%nnspec` in a shell of IPython."""

from __future__ import annotations

import doctest
from collections.abc import Iterator
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell

import nnspec
from nnspec import notebook

CELL = "let width = 4\nmodel Small {\n  input  x: [2]\n  output y = x -> dense(width)\n}\n"


@pytest.fixture(scope="module")
def shell() -> Iterator[Any]:
    shell = InteractiveShell.instance()
    shell.run_line_magic("load_ext", "nnspec")
    yield shell
    InteractiveShell.clear_instance()


def test_a_cell_is_a_network_called_net(shell: Any) -> None:
    value = shell.run_cell_magic("nnspec", "", CELL)
    assert isinstance(value, nnspec.Net) and shell.user_ns["net"] is value
    assert shell.run_cell("net.params['dense.W'].shape").result == (2, 4)


def test_the_first_line_gives_a_name_and_values(shell: Any) -> None:
    shell.run_cell(f"%%nnspec small width=7\n{CELL}")
    assert shell.user_ns["small"].params["dense.W"].shape == (2, 7)


def test_a_cell_with_a_mistake_fails_without_a_traceback_and_loses_no_network(shell: Any, capsys: pytest.CaptureFixture[str]) -> None:
    shell.run_cell(f"%%nnspec\n{CELL}")
    before = shell.user_ns["net"]
    failed = shell.run_cell("%%nnspec\n" + CELL.replace("width)", "widht)"))
    assert not failed.success and isinstance(failed.error_in_exec, nnspec.SpecError)
    shown = "".join(capsys.readouterr())
    assert "error[E101]" in shown and "did you mean `width`?" in shown and "Traceback" not in shown and "notebook.py" not in shown
    assert not shell.run_cell(f"%%nnspec net wdth=3\n{CELL}").success
    assert shell.user_ns["net"] is before
    capsys.readouterr()
    for line in ("two words", "for", "None"):
        assert not shell.run_cell(f"%%nnspec {line}\n{CELL}").success
        assert f"error[E561]: `{line}`" in "".join(capsys.readouterr())


def test_the_example_is_true() -> None:
    results = doctest.testmod(notebook)
    assert results.attempted > 1 and results.failed == 0
