"""The comparison with other libraries: everyone computes the same, and the table says what was measured."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from helpers import ROOT

from tools.bench import chart, report
from tools.bench.contenders import PINS, Column, Contender, contenders
from tools.bench.rounds import Effort, Figures, Round
from tools.bench.workloads import WORKLOADS

MACHINE = {"processor": "P", "cores": 2, "memory_bytes": 2**34, "system": "S", "python": "3", "libraries": {"jax": None}}


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tools.bench", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def figures(name: str, column: Column, *seconds: float, foreign: float = 0, memory: int = 2**20) -> Figures:
    return Figures(Contender(name, column, ""), [Round(s, foreign, memory) for s in seconds])


def row(workload: str = "lstm", *measured: Figures) -> report.Row:
    ours = figures("nnspec", Column.OURS, 2.0, 2.0, 3.0)
    return report.Row(WORKLOADS[workload], [ours, *measured])


def test_every_peer_takes_the_steps_that_ours_takes() -> None:
    names = ["mlp-64", "cnn-32", "resnet", "lstm", "gru", "transformer", "onnx-lstm-1"]
    done = bench("--check", "--without", "compile", *(part for name in names for part in ("--only", name)))
    assert done.returncode == 0, done.stdout + done.stderr
    compared = [line.split()[0] for line in done.stdout.splitlines()]
    assert set(compared) == set(names)


def test_a_quick_run_writes_the_table_as_text_json_and_picture(tmp_path: Path) -> None:
    done = bench("--quick", "--rounds", "1", "--only", "mlp-64", "--without", "compile", "--without", "malloc", "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr
    document = json.loads((tmp_path / "bench.json").read_text())
    (measured,) = document["workloads"]
    ran = [c for c in measured["contenders"] if not c["problem"]]
    assert {"nnspec", "torch"} <= {c["name"] for c in ran}
    assert all(c["median_s"] > 0 and c["peak_memory_bytes"] > 2**20 and c["rounds"] == 1 for c in ran)
    best = min(c["median_s"] for c in ran if c["column"] == "peer")
    assert measured["ratio"] == pytest.approx(best / ran[0]["median_s"], abs=1e-3)
    assert "MLP 784-64-10" in (tmp_path / "bench.txt").read_text() == done.stdout
    ElementTree.parse(tmp_path / "bench.svg")


def test_the_ratio_is_that_to_the_best_peer_and_each_column_has_its_own() -> None:
    shown = row(
        "lstm",
        figures("slow", Column.PEER, 8.0),
        figures("fast", Column.PEER, 6.0, 5.0, 7.0),
        figures("pinned", Column.PINNED, 12.0),
        figures("tuned", Column.TUNED, 1.0),
    )
    assert (shown.ratio(), shown.ratio(of=Column.PINNED), shown.ratio(to=Column.TUNED)) == (3.0, 0.5, 0.5)
    assert shown.reached == "aim" and row("gru", figures("t", Column.PEER, 4.2)).reached == "ok"
    assert row("gru", figures("t", Column.PEER, 3.8)).reached == "BELOW"


def test_of_memory_less_is_better() -> None:
    assert row("mnist-memory", figures("t", Column.PEER, 1.0, memory=2**22)).ratio() == 0.25
    assert row("mnist-memory", figures("t", Column.PEER, 1.0, memory=2**22)).reached == "aim"
    assert row("mnist-memory", figures("t", Column.PEER, 1.0, memory=2**20)).reached == "BELOW"


def test_disturbed_rounds_do_not_count_unless_there_are_no_others() -> None:
    mixed = figures("nnspec", Column.OURS, 2.0, 4.0)
    mixed.rounds += [Round(50.0, 0.5, 0), Round(60.0, 0.4, 0)]
    assert mixed.median == 3.0 and mixed.disturbed == 2 and mixed.least == 2.0
    mixed.rounds = mixed.rounds[2:]
    assert mixed.median == 60.0
    doubtful = report.Row(WORKLOADS["lstm"], [mixed, figures("torch", Column.PEER, 90.0)])
    assert doubtful.doubtful and doubtful.ratio() == 1.5 and doubtful.reached == "?"
    assert "~1.50" in report.text(MACHINE, Effort(), [doubtful]) and "1.50" in chart.svg([doubtful], "")


def test_a_peer_that_is_missing_is_said_and_the_others_stay() -> None:
    absent = Figures(Contender("jax", Column.PEER, "jax_peer", needs="jax"), problem="jax is not installed")
    shown = report.text(MACHINE, Effort(), [row("lstm", absent, figures("torch", Column.PEER, 4.0))])
    assert "lstm without jax: jax is not installed" in shown and "2.00" in shown
    nobody = row("lstm", absent)
    assert math.isnan(nobody.ratio()) and nobody.reached == "?" and nobody.as_json["ratio"] is None
    assert "LSTM" in report.text(MACHINE, Effort(), [nobody]) and "LSTM" not in chart.svg([nobody], "")


def test_a_worker_that_fails_says_why(tmp_path: Path) -> None:
    done = bench(
        "--quick", "--rounds", "1", "--only", "mlp-64", "--engine", "none", "--without", "torch", "--without", "jax", "--out", str(tmp_path)
    )
    assert done.returncode == 0 and "'none'" in done.stdout


def test_only_the_pinned_contender_sees_the_settings_of_openblas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PINS[0], "Haswell")
    found = {c.column: c for c in contenders(WORKLOADS["cnn-64"], "")}
    assert PINS[0] in found[Column.PINNED].environment
    assert all(PINS[0] not in c.environment for column, c in found.items() if column != Column.PINNED)
    monkeypatch.delenv(PINS[0])
    monkeypatch.delenv(PINS[1], raising=False)
    assert Column.PINNED not in {c.column for c in contenders(WORKLOADS["cnn-64"], "")}


def test_an_unknown_workload_is_refused_with_the_names_there_are() -> None:
    done = bench("--only", "mpl-64")
    assert done.returncode == 1 and "mpl-64" in done.stderr and "mlp-64" in done.stderr


# In a process of its own: what a large one starts begins with its peak.
EPOCHS = """
import json, sys
from tools.bench import epoch
from tools.bench.contenders import Column, Contender
from tools.bench.rounds import Effort
programs = {"sleeps": "import time; time.sleep(0.3)", "grows": "x = b'x' * (200 << 20)", "fails": "raise SystemExit('no data')"}
epoch._command = lambda contender, *_: [sys.executable, "-c", programs[contender.name]]
*ran, fails = epoch.epochs([Contender(n, Column.PEER, "") for n in programs], Effort(rounds=2, repeats=0), "")
print(json.dumps([*([len(f.rounds), f.least, f.memory] for f in ran), fails.problem]))
"""


def test_a_run_is_measured_from_its_start_to_its_exit() -> None:
    done = subprocess.run([sys.executable, "-c", EPOCHS], cwd=ROOT, capture_output=True, text=True, check=True)
    (rounds, seconds, small), (_, _, large), problem = json.loads(done.stdout)
    assert rounds == 2 and seconds > 0.3
    assert large > 200 << 20 > small
    assert problem == "no data"
