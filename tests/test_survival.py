"""What a run directory is worth after a crash: killed writers, torn files, renames that never happened, full and read-only disks."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import ROOT

import nnspec
from nnspec import SpecError
from nnspec.compile import Compilation
from nnspec.diagnostics import Fault, Source
from nnspec.train.commit import committed, newest
from nnspec.train.rundir import opened

SPEC = """
model Net {
  input  x: [4]
  target y: [2]
  output z = x -> dense(100) -> tanh -> dropout(0.2) -> dense(2)
  loss   mse(z, y)
}
train { batch 4  epochs 4  optimizer adam(lr = 0.01)  checkpoint 2  stop early(loss, patience = 9) }
"""
RNG = np.random.default_rng(0)
DATA = {"x": RNG.standard_normal((12, 4)), "y": RNG.standard_normal((12, 2))}
STEPS, BLOCK = 12, 4096
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1"}


@cache
def compiled() -> Compilation:
    return Compilation(Source("net.nn", SPEC), {})


def fit(run: Path, resume: bool = False) -> None:
    nnspec.Net(compiled(), "numpy", threads=1).fit(DATA, run=run, resume=resume)


def state_of(run: Path) -> dict[str, bytes]:
    return {n: a.tobytes() for n, a in newest(run).arrays.items()}


def copied(run: Path, to: Path) -> Path:
    shutil.rmtree(to, ignore_errors=True)
    return Path(shutil.copytree(run, to))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run, whose last three checkpoints are there."""
    folder = tmp_path_factory.mktemp("survival") / "run"
    fit(folder)
    assert len(committed(folder)) == 3 and newest(folder).step == STEPS
    return folder


# ---- crashes


def test_killed_writers_lose_nothing_and_killed_trainings_end_with_the_same_bits() -> None:
    """200 kills of a loop that saves, and 10 of `nnspec train`; `python tools/crash.py` kills as often as you like."""
    command = [sys.executable, str(ROOT / "tools" / "crash.py"), "--kills", "200", "--trainings", "10"]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    saving, training = done.stdout.splitlines()
    assert saving.startswith("200 kills over ") and int(saving.split()[3].replace(",", "")) > 50
    assert training.startswith("10 kills of a training of 33 epochs")


# ---- torn files


def tears(run: Path) -> Iterator[tuple[Path, int]]:
    """Every file, and every length to which it might be cut."""
    for file in sorted(p for p in run.rglob("*") if p.is_file()):
        size = file.stat().st_size
        yield from ((file.relative_to(run), length) for length in {*range(0, size, BLOCK), size - 1})


def test_no_cut_of_any_file_gives_other_weights_than_were_saved(run: Path, tmp_path: Path) -> None:
    whole = {p.name: state_of_checkpoint(run, p) for p in committed(run)}
    cuts = list(tears(run))
    assert len(cuts) >= 25
    torn = copied(run, tmp_path / "run")
    for name, length in cuts:
        os.truncate(torn / name, length)
        try:
            _, found = opened(torn)
            assert {n: a.tobytes() for n, a in found.arrays.items()} == whole[found.path.name]
            damaged = name.parent.name == f"step-{STEPS:08d}"
            assert found.step == (STEPS - 2 if damaged else STEPS) and bool(found.skipped) == damaged
        except Fault as error:
            assert name.name == "spec.nn" and error.diagnostic.code == "E503"
        shutil.copy(run / name, torn / name)


def state_of_checkpoint(run: Path, checkpoint: Path) -> dict[str, bytes]:
    (only := run.parent / "only").mkdir()
    shutil.copytree(checkpoint, only / checkpoint.name)
    state = state_of(only)
    shutil.rmtree(only)
    return state


def test_a_training_goes_on_from_the_checkpoint_before_a_torn_one_and_says_so(run: Path, tmp_path: Path) -> None:
    torn = copied(run, tmp_path / "run")
    os.truncate(torn / f"step-{STEPS:08d}" / "state.safetensors", BLOCK)
    with pytest.warns(UserWarning, match=r"W540.*step-00000012 is passed over: state\.safetensors is not what was written"):
        fit(torn, resume=True)
    assert state_of(torn) == state_of(run)
    assert (torn / "damaged-step-00000012").is_dir()


def test_where_every_checkpoint_is_torn_all_are_named(run: Path, tmp_path: Path) -> None:
    torn = copied(run, tmp_path / "run")
    for checkpoint in committed(torn):
        os.truncate(checkpoint / "manifest.json", 0)
    with pytest.raises(SpecError, match="E503") as error:
        fit(torn, resume=True)
    assert all(p.name in str(error.value) for p in committed(torn))


@pytest.mark.parametrize("damage", [lambda log: log[:100], lambda log: log.replace(b'"epoch": 2', b'"\xff\x00epoch 2'), lambda _: b"[]\n"])
def test_a_damaged_log_does_not_stop_a_training_and_is_told(run: Path, tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    torn = copied(run, tmp_path / "run")
    shutil.rmtree(torn / f"step-{STEPS:08d}")
    log = torn / "metrics.jsonl"
    log.write_bytes(damage(log.read_bytes()))
    with pytest.warns(UserWarning, match=r"W540.*metrics\.jsonl has lost \d of its epochs"):
        fit(torn, resume=True)
    assert state_of(torn) == state_of(run)
    assert json.loads(log.read_bytes().splitlines()[-1])["epoch"] == 4


# ---- renames


def test_a_crash_before_any_rename_loses_no_more_than_it_would_have_saved(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before each, the directory is copied as a crash would leave it."""
    folder, copies = tmp_path / "run", list[Path]()

    def watched(real: Any) -> Any:
        def rename(self: Path, target: Path) -> Path:
            copies.append(copied(folder, tmp_path / f"before-{len(copies)}"))
            moved: Path = real(self, target)
            return moved

        return rename

    with monkeypatch.context() as patch:
        for name in ("rename", "replace"):
            patch.setattr(Path, name, watched(getattr(Path, name)))
        fit(folder)
    assert sum(1 for left in copies if list(left.rglob(".tmp-*"))) > 3 * STEPS / 2
    for left in copies:
        fit(left, resume=bool(committed(left)))
        assert state_of(left) == state_of(run)
        assert not list(left.rglob(".tmp-*"))


# ---- disks


def in_a_disk_of_its_own(script: str, folder: Path) -> str:
    """Run a script with a small disk mounted at `disk`; what it prints."""
    (folder / "disk").mkdir()
    (folder / "net.nn").write_text(SPEC.replace("train {", f"train {{ data {{ x = {DATA['x'].tolist()}, y = {DATA['y'].tolist()} }}"))
    mount = f"mount -t tmpfs -o size=1m tmpfs disk && alias nnspec='{sys.executable} -m nnspec'"
    command = ["unshare", "-rm", "bash", "-c", f"shopt -s expand_aliases\n{mount} || exit 77\n{script}"]
    try:
        done = subprocess.run(command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no `unshare` here")
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip("a disk of one's own cannot be mounted here")
    return done.stdout


TRAIN = "nnspec train net.nn --engine numpy --threads 1 --run disk/run"


def test_a_full_disk_is_one_message_and_exit_3_and_the_training_goes_on_once_there_is_room(tmp_path: Path) -> None:
    out = in_a_disk_of_its_own(
        f"""
        nnspec train net.nn --engine numpy --threads 1 --run free 2>err; echo free $?
        head -c 970000 /dev/zero > disk/filler
        {TRAIN} 2>err; echo full $?; grep -v ^epoch err
        ls -A disk/run
        nnspec eval disk/run >/dev/null 2>&1; echo eval $?
        rm disk/filler
        {TRAIN} --resume >/dev/null 2>err; echo resumed $?
        cmp free/step-00000012/state.safetensors disk/run/step-00000012/state.safetensors && echo the same
        """,
        tmp_path,
    )
    lines = [line for line in out.splitlines() if "free" in line or not line.startswith(("training:", "runs", "run "))]
    text = "\n".join(lines)
    assert "full 3\nerror[E540]: `disk/run` cannot be written: No space left on device" in text, out
    assert text.count("error") == 1 and ".tmp-" not in out
    assert "eval 0\nresumed 0\nthe same" in text, out


def test_a_disk_that_may_not_be_written_is_one_message_and_exit_3_and_the_run_is_still_read(tmp_path: Path) -> None:
    out = in_a_disk_of_its_own(
        f"""
        {TRAIN} >/dev/null 2>&1; echo trained $?
        mount -o remount,ro disk
        {TRAIN} --resume 2>&1; echo resumed $?
        {TRAIN}-2 2>&1; echo again $?
        nnspec eval disk/run >/dev/null 2>&1; echo eval $?
        nnspec templates disk/run 2>&1; echo templates $?
        nnspec graph net.nn -o disk/g.svg 2>&1; echo graph $?
        nnspec fmt disk/run/spec.nn 2>&1; echo fmt $?
        """,
        tmp_path,
    )
    said = [line for line in out.splitlines() if not line.startswith("  = ")]
    refused = "cannot be written: Read-only file system"
    first, second = f"error[E540]: `disk/run` {refused}", f"error[E540]: `disk/run-2` {refused}"
    assert said[:6] == ["trained 0", first, "resumed 3", second, "again 3", "eval 0"]
    places = {"templates": "disk/run/loss.svg", "graph": "disk/g.svg", "fmt": "disk/run/spec.nn"}
    assert said[6:] == [line for name, place in places.items() for line in (f"error[E540]: `{place}` {refused}", f"{name} 3")]


def test_a_limit_on_files_is_told_as_a_full_disk_is(tmp_path: Path) -> None:
    limited = f"ulimit -f 8; exec {sys.executable} -m nnspec train digits --epochs 1 --run run"
    done = subprocess.run(["bash", "-c", limited], cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert [line for line in done.stderr.splitlines() if "error" in line] == ["error[E540]: `run` cannot be written: File too large"]
    assert not (tmp_path / "run").exists()
