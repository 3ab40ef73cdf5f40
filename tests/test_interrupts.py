"""Signals and `--resume` on the command line, as a user meets them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers import ROOT

from nnspec import loads
from nnspec.train.commit import newest
from nnspec.train.interrupt import Interrupts
from nnspec.train.standing import Standing, has_ended

SPEC = """
import "part.nn"
let width = 8
model Long {
  input  x: [2]
  target y: class(2)
  logits = x -> dense(width) -> part -> dense(2)
  output probs = softmax(logits)
  loss   cross_entropy(logits, y)
}
train { data csv("data.csv", x = [a, b], y = kind)  validation 0.2  batch 4  epochs 1000  optimizer adam(lr = 0.01)  schedule cosine }
"""
ROWS = "\n".join(f"{i % 7},{i % 5},{i % 2}" for i in range(50))
FIXED = ("--engine", "numpy", "--threads", "1")
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1"}


def start(*arguments: str, folder: Path, **more: Any) -> subprocess.Popen[str]:
    where = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **more}
    return subprocess.Popen([sys.executable, "-m", "nnspec", *arguments], cwd=folder, env=ENVIRONMENT, text=True, **where)


def run(*arguments: str, folder: Path) -> tuple[int, str, str]:
    process = start(*arguments, folder=folder)
    out, err = process.communicate()
    return process.returncode, out, err


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "net.nn").write_text(SPEC)
    (tmp_path / "part.nn").write_text("fn part(x) = tanh(x)")
    (tmp_path / "data.csv").write_text(f"a,b,kind\n{ROWS}\n")
    return tmp_path


def stopped(process: subprocess.Popen[str], log: Path, number: int) -> tuple[int, str]:
    """Send a signal once an epoch is logged; exit code and what is said last."""
    while not (log.exists() and log.stat().st_size):
        time.sleep(0.005)
    process.send_signal(number)
    _, err = process.communicate()
    return process.returncode, err


@pytest.mark.parametrize(("number", "again"), [(signal.SIGINT, "runs/net-1"), (signal.SIGTERM, "net.nn")])
def test_a_signal_saves_says_how_to_go_on_and_exits_with_its_number(folder: Path, number: int, again: str) -> None:
    process = start("train", "net.nn", *FIXED, "--set", "width=9", folder=folder)
    code, err = stopped(process, folder / "runs/net-1/metrics.jsonl", number)
    assert code == 128 + number
    said = f"stopped by {signal.Signals(number).name}; saved in runs/net-1", "to go on: nnspec train runs/net-1 --resume"
    assert err.splitlines()[-2:] == list(said) and "Traceback" not in err
    assert not (folder / "runs/net-1/run.lock").exists()

    code, _, err = run("eval", "runs/net-1", folder=folder)
    step = newest(folder / "runs/net-1").step
    assert code == 0 and f"warning[W544]: runs/net-1 has not ended, and these are its weights after step {step:,}\n" in err

    code, out, err = run("train", again, "--resume", folder=folder)
    assert code == 0 and "W54" not in err, err
    assert "W544" not in run("eval", "runs/net-1", folder=folder)[2]
    whole = run("train", "net.nn", *FIXED, "--set", "width=9", "--run", "whole", folder=folder)
    assert metrics_of(out) == metrics_of(whole[1])
    for file in ("step-00010000/state.safetensors", "model.onnx", "loss.svg"):
        assert (folder / "runs/net-1" / file).read_bytes() == (folder / "whole" / file).read_bytes()


@pytest.mark.parametrize(
    ("blocks", "at", "ended"),
    [
        (("epochs 3",), Standing(epoch=2, step=39), False),
        (("epochs 3",), Standing(epoch=3), True),
        (("steps 5",), Standing(step=4), False),
        (("steps 5",), Standing(step=5), True),
        (("epochs 3  steps 5",), Standing(epoch=3, step=3), True),
        (("epochs 3  stop early(loss, 1)",), Standing(epoch=2, reason="loss has not improved"), True),
        (("epochs 1", "epochs 2"), Standing(stage=0, epoch=1), False),
        (("epochs 1", "epochs 2"), Standing(stage=1, epoch=2), True),
    ],
)
def test_a_training_has_ended_when_its_last_block_has_nothing_left_to_do(blocks: tuple[str, ...], at: Standing, ended: bool) -> None:
    trains = "\n".join(f"train {{ {block}  optimizer sgd(0.1) }}" for block in blocks)
    model = "model M { input x: [1]  target y: [1]  output z = x -> dense(1)  loss mse(z, y) }"
    assert has_ended(loads(f"{model}\n{trains}").spec.trainings, at) == ended


def test_an_interrupted_training_ends_with_its_json_document(folder: Path) -> None:
    process, log = start("train", "net.nn", *FIXED, "--json", folder=folder), folder / "runs/net-1/metrics.jsonl"
    while not (log.exists() and log.stat().st_size):
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate()
    document = json.loads(out)
    assert process.returncode == 130 and document["stopped"] == "stopped by SIGINT; saved in runs/net-1"
    assert [e["epoch"] for e in document["epochs"]] == [*range(1, len(document["epochs"]) + 1)] and document["final"]["loss"] > 0
    assert (document["run"], document["test"], document["engine"]) == ("runs/net-1", {}, "numpy")


def metrics_of(report: str) -> list[str]:
    return [line for line in report.splitlines() if line.startswith(("training:", "test:"))]


def test_a_resumed_run_is_as_it_was_begun_but_for_what_is_said_anew(folder: Path) -> None:
    (folder / "copy.csv").write_text((folder / "data.csv").read_text())
    begun = ("--epochs", "2", "--seed", "5", "--data", "copy.csv", *FIXED, "--set", "width=4")
    assert run("train", "net.nn", *begun, folder=folder)[0] == 0
    code, out, err = run("train", "net.nn", "--resume", "--epochs", "4", "--json", folder=folder)
    assert code == 0 and "W543" in err, err
    document = json.loads(out)
    assert [e["epoch"] for e in document["epochs"]] == [1, 2, 3, 4]
    assert (document["run"], document["engine"], document["engine_choice"]) == ("runs/net-1", "numpy", None)
    said = newest(folder / "runs/net-1").manifest
    assert (said["changes"], said["settings"], said["threads"]) == ({"epochs": 4, "steps": None, "seed": 5}, {"width": "4"}, 1)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (("net.nn", SPEC.replace("0.01", "0.02")), "E542"),
        (("part.nn", "fn part(x) = relu(x)"), "E542"),
        (("data.csv", f"a,b,kind\n{ROWS.replace('6,', '60,', 1)}\n"), "E544"),
    ],
)
def test_what_has_changed_is_one_error_and_nothing_is_written(folder: Path, change: tuple[str, str], code: str) -> None:
    assert run("train", "net.nn", "--epochs", "1", folder=folder)[0] == 0
    files = {p: p.stat().st_mtime_ns for p in (folder / "runs").rglob("*")}
    (folder / change[0]).write_text(change[1])
    exit_code, _, err = run("train", "net.nn", "--resume", folder=folder)
    assert (exit_code, err.count("error[")) == (1, 1) and f"error[{code}]" in err
    unlocked = {p: t for p, t in files.items() if p.is_file()}
    assert {p: p.stat().st_mtime_ns for p in (folder / "runs").rglob("*") if p.is_file()} == unlocked


def test_a_finished_run_whose_log_is_lost_is_still_reported(folder: Path) -> None:
    assert run("train", "net.nn", "--epochs", "1", "--run", "r", folder=folder)[0] == 0
    (folder / "r/metrics.jsonl").unlink()
    code, out, err = run("train", "r", "--resume", folder=folder)
    assert code == 0 and "W540" in err and out.endswith("run directory: r\n")
    assert run("train", "r", "--resume", "--run", "r", folder=folder)[0] == 2


def test_two_trainings_do_not_write_the_same_run(folder: Path) -> None:
    process = start("train", "net.nn", "--run", "r", "--epochs", "1000000", folder=folder)
    while not (folder / "r/metrics.jsonl").exists():
        time.sleep(0.005)
    code, _, err = run("train", "net.nn", "--run", "r", "--resume", folder=folder)
    assert code == 1 and f"error[E541]: r is being written by process {process.pid} on " in err
    process.send_signal(signal.SIGINT)
    process.communicate()


def test_the_first_signal_is_noted_and_the_second_acts_at_once() -> None:
    with Interrupts() as interrupts:
        signal.raise_signal(signal.SIGTERM)
        assert interrupts.number == signal.SIGTERM
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_a_signal_that_is_to_be_ignored_is_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        with Interrupts() as interrupts:
            signal.raise_signal(signal.SIGHUP)
        assert interrupts.number == 0
    finally:
        signal.signal(signal.SIGHUP, before)


AT_AN_IMPORT = """
import os, signal, sys
at, imports = int(sys.argv.pop(1)), 0
from nnspec.__main__ import main
def hook(event, _):
    global imports
    if event == "import":
        imports += 1
        if imports == at:
            os.kill(os.getpid(), signal.SIGINT)
sys.addaudithook(hook)
main()
"""


@pytest.mark.parametrize("at", [2, 20, 60, 100, 130, 160])
def test_an_interrupt_while_a_command_is_imported_is_quiet(at: int, tmp_path: Path) -> None:
    command = [sys.executable, "-c", AT_AN_IMPORT, str(at), "check", "mazur"]
    done = subprocess.run(command, cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip(), done.stderr.strip()) == (130, "", "")


def test_an_interrupt_that_is_to_be_ignored_is_ignored_by_every_command(tmp_path: Path) -> None:
    ignoring = ["sh", "-c", f"trap '' INT; exec '{sys.executable}' -c \"$0\" 60 check mazur", AT_AN_IMPORT]
    done = subprocess.run(ignoring, cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "Mazur" in done.stdout


# ---- pipes


def closed_pipe() -> int:
    reading, writing = os.pipe()
    os.close(reading)
    return writing


@pytest.fixture
def nobody() -> Iterator[int]:
    """Where nobody reads."""
    pipe = closed_pipe()
    yield pipe
    os.close(pipe)


@pytest.mark.parametrize("command", [("check", "lenet"), ("doc",), ("compile", "lenet", "--stage", "graph"), ("check", "nosuch")])
def test_output_that_nobody_reads_is_no_error(command: tuple[str, ...], nobody: int, folder: Path) -> None:
    process = start(*command, folder=folder, stdout=nobody)
    _, err = process.communicate()
    assert "Traceback" not in err and "Exception" not in err and "Broken" not in err
    process = start(*command, folder=folder, stdout=nobody, stderr=nobody)
    assert process.wait() in (0, 1)


def test_a_training_whose_progress_nobody_reads_is_saved_and_goes_on_later(folder: Path, nobody: int) -> None:
    process = start("train", "net.nn", *FIXED, "--run", "r", folder=folder, stderr=nobody)
    out, _ = process.communicate()
    assert (process.returncode, out) == (128 + signal.SIGPIPE, "")
    assert newest(folder / "r").step == 10
    assert run("train", "r", "--resume", folder=folder)[0] == 0
