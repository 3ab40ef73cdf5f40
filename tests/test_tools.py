"""The scripts beside the package do what they say."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from helpers import ROOT, tool


def test_the_series_of_the_gallery_is_the_equation_that_its_script_computes() -> None:
    series = tool("mackey_glass")["series"]()
    written = np.loadtxt(ROOT / "specs/data/mackey_glass.csv", delimiter=",", skiprows=1)
    np.testing.assert_allclose(written[:40, 1], series[12_000 : 12_000 + 40 * 60 : 60], atol=2e-6)


WRONG = {
    "tools.mackey_glass": (["more"], 2, "unrecognized arguments: more"),
    "tools.bench.scoring": (["many"], 2, "argument ROWS: invalid int value: 'many'"),
    "tools.parse_tables": (["more"], 2, "unrecognized arguments: more"),
    "tools.textmate": (["more"], 2, "unrecognized arguments: more"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_script_says_how_it_is_used_and_what_is_wrong(name: str) -> None:
    arguments, code, said = WRONG[name]
    for given, expected, part in ((arguments, code, said), (["--help"], 0, "usage: ")):
        done = subprocess.run([sys.executable, "-m", name, *given], cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == expected and part in done.stderr + done.stdout and "Traceback" not in done.stderr
