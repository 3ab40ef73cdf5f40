"""The run directory: spec, checkpoints, metrics and pictures of one training."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import count
from math import inf
from pathlib import Path
from shutil import rmtree
from typing import Any

from nnspec.compile import Compilation
from nnspec.diagnostics import Diagnostic, fault
from nnspec.files import plain, sync, write, write_whole, writing
from nnspec.source import path_of, source_of
from nnspec.strict_json import dumps, loads
from nnspec.train.checkpoint import SPEC, sources
from nnspec.train.commit import Checkpoint, committed, discard, manifest_of, newest, step_of
from nnspec.train.epoch import Epoch, as_lists, from_lists, of_number
from nnspec.train.standing import Standing, has_ended

METRICS, HEALTH, JUDGED, MODEL, IMPORTS = "metrics.jsonl", "health.jsonl", "judged.json", "model.onnx", "imports"
CURVE, METRIC_CURVES, CONFUSION, MISTAKES = "loss.svg", "metrics.svg", "confusion.svg", "mistakes.svg"
BEGINNING = (SPEC, IMPORTS, HEALTH)
"""What a run that died before its first checkpoint has left, besides its spec."""
RUNS = Path("runs")


def fresh(name: str) -> Path:
    """A new run directory: `runs/NAME-1`, `runs/NAME-2`, ..."""
    with writing(RUNS):
        RUNS.mkdir(exist_ok=True)
        for number in count(1):
            with suppress(FileExistsError):
                (folder := RUNS / f"{name}-{number}").mkdir()
                return folder
    raise AssertionError("numbers do not end")


def runs_of(name: str) -> dict[int, Path]:
    """The runs of that name, by number."""
    return {int(end): p for p in RUNS.glob(f"{name}-*") if (end := p.name.removeprefix(f"{name}-")).isdecimal() and (p / SPEC).is_file()}


def latest(name: str) -> Path:
    """The run of that name that was begun last; a Fault (E543) where there is none."""
    known = runs_of(name)
    if not known:
        raise fault("E543", f"there is no run of `{name}` to resume", help="leave out `--resume` to begin one, or say which by `--run DIR`")
    return known[max(known)]


def is_used(folder: Path) -> bool:
    """Whether a run is there; a spec by itself is of one that died before it had anything to lose."""
    return (folder / SPEC).exists() and bool(committed(folder) or (folder / METRICS).exists())


def refuse_used(folder: Path) -> None:
    """A new run does not go where another one is."""
    if is_used(folder):
        raise fault("E504", f"{folder} already holds a run", help="choose another directory, resume it, or remove it")


def make(folder: Path) -> None:
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)


@contextmanager
def none_left_empty(folder: Path) -> Iterator[None]:
    """A directory in which nothing is at the end is removed."""
    try:
        yield
    finally:
        with suppress(OSError):  # it is not empty
            folder.rmdir()
            if folder.parent == RUNS:
                RUNS.rmdir()


def refuse_replaced(folder: Path, spec: Compilation, names: Iterable[str]) -> None:
    """What lies in a directory and is no run's is not written over; a run of the same spec that died at its beginning is."""
    died = (folder / SPEC).is_file() and (folder / SPEC).read_bytes() == spec.source.text.encode()
    for name in names:
        if (folder / name).exists() and not (died and name in BEGINNING):
            help_ = "choose another directory, or move the file away"
            raise fault("E504", f"`{folder / name}` is there already, and a run writes its own", help=help_)


def everything(spec: Compilation) -> Iterator[str]:
    """The names of all that a training may write into its directory, but for checkpoints."""
    yield from (*BEGINNING, METRICS, JUDGED, MODEL, CURVE, METRIC_CURVES, CONFUSION, MISTAKES)
    yield from (of_target(name, target) for target in spec.model.targets for name in (CONFUSION, MISTAKES))
    yield from (template(name) for name in spec.model.parameters)


def of_target(picture: str, target: str) -> str:
    """The picture of one of several targets."""
    return f"{Path(picture).stem}.{target}.svg"


def template(parameter: str) -> str:
    """The picture of a parameter that lies on an image."""
    return f"{parameter}.png"


def create(folder: Path, spec: Compilation) -> None:
    """Put a copy of the spec and of what it imports there; a directory that holds another spec's run is left alone."""
    text = spec.source.text.encode()
    with writing(folder):
        if is_used(folder):
            if (folder / SPEC).read_bytes() != text:
                raise fault("E504", f"{folder} holds the run of another spec", help="choose another directory, or remove it")
            return
        refuse_replaced(folder, spec, BEGINNING)
        for name, imported in spec.imports.texts.items():
            (folder / IMPORTS / name).parent.mkdir(parents=True, exist_ok=True)
            write_whole(folder / IMPORTS / name, imported.encode())
        write_whole(folder / SPEC, text)
        sync(folder.parent)


def take_back_unbegun(folder: Path) -> None:
    """Remove what a run has written, if it has neither finished an epoch nor been saved after its beginning."""
    checkpoints = committed(folder)
    if (folder / METRICS).exists() or len(checkpoints) > 1:
        return
    for checkpoint in checkpoints:
        discard(checkpoint)
    rmtree(folder / IMPORTS, ignore_errors=True)
    for name in (HEALTH, SPEC):
        (folder / name).unlink(missing_ok=True)


def refuse_no_run(folder: Path) -> None:
    if not (folder / SPEC).is_file():
        raise fault("E503", f"{folder} is not a run directory", help=_run_of(folder) or "it is what `nnspec train` prints at its end")


def _run_of(spec: Path) -> str:
    """Help for the name of a spec where that of a run of it is due."""
    if path_of(spec).suffix != ".nn" or not path_of(spec).is_file():
        return ""
    known = runs_of(spec.stem)
    return f"did you mean `{known[max(known)]}`, a run of this spec?" if known else f"it is a spec: `nnspec train {spec}` makes a run of it"


def opened(folder: Path) -> tuple[Compilation, Checkpoint]:
    """The spec of a run, with what was asked of its train blocks, and its newest checkpoint."""
    refuse_no_run(folder)
    checkpoint = newest(folder)
    said = checkpoint.manifest
    source = source_of(str(folder / SPEC), (folder / SPEC).read_bytes())
    asked: dict[str, Any] = {"changes": said["changes"], "imports_from": folder / IMPORTS}
    spec = Compilation(source, said["settings"], said["dtype"], Path(said["folder"]), **asked)
    if sources(spec) != said["sources"]:
        raise fault("E503", f"{folder / SPEC}, or what it imports, is not the spec that these weights were trained with")
    return spec, checkpoint


def standing(folder: Path) -> Standing:
    """Where a run is that goes on, as its last checkpoint says; at its beginning where that is not known."""
    said = [manifest_of(folder, step_of(path)) for path in committed(folder)[-1:]]
    return Standing.from_json(said[0]["training"]) if said and "training" in said[0] else Standing()


def doubts(folder: Path, spec: Compilation, checkpoint: Checkpoint) -> Iterator[Diagnostic]:
    """What is to be said of the weights that are taken from a run: damage (W540), and a training that has not ended (W544)."""
    yield from checkpoint.skipped
    training = checkpoint.manifest.get("training")
    if training and not has_ended(spec.trainings, Standing.from_json(training)):
        message = f"{folder} has not ended, and these are its weights after step {checkpoint.step:,}"
        yield Diagnostic("W544", message, help=f"`nnspec train {folder} --resume` goes on with it", level="warning")


def log(folder: Path, epoch: Epoch) -> int:
    """Append one epoch to metrics.jsonl; how long that is now."""
    with (folder / METRICS).open("ab") as f:
        f.write(dumps(epoch.as_json()).encode() + b"\n")
        return f.tell()


def logged(folder: Path) -> list[Epoch]:
    """The epochs of metrics.jsonl that can be read."""
    path = folder / METRICS
    return list(_epochs(plain(path).read_bytes())) if path.exists() else []


def cut_log(folder: Path, length: int) -> tuple[list[Epoch], int]:
    """The epochs in the first bytes of metrics.jsonl, and how many bytes they are; what comes after them is cut off."""
    path = folder / METRICS
    if not path.exists():
        return [], 0
    content = plain(path).read_bytes()[:length]
    whole = content[: content.rfind(b"\n") + 1]
    write_whole(path, whole)
    return list(_epochs(whole)), len(whole)


def _epochs(log: bytes) -> Iterator[Epoch]:
    """Those that can be read."""
    for line in log.splitlines():
        with suppress(ValueError, KeyError, TypeError, AttributeError):
            yield Epoch.from_json(loads(line))


def last_epoch(folder: Path) -> Epoch | None:
    """The last whole line of metrics.jsonl, if there is one and it can be read."""
    path = folder / METRICS
    lines = plain(path).read_bytes().split(b"\n")[:-1] if path.exists() else []
    return next(_epochs(lines[-1]), None) if lines else None


def kept_epoch(folder: Path, step: int) -> Epoch | None:
    """The epoch whose weights the checkpoint of a step has: the last one, unless those of another were put back."""
    kept = manifest_of(folder, step).get("training", {}).get("kept")
    return last_epoch(folder) if kept is None else of_number(logged(folder), kept)


def keep_judged(folder: Path, step: int, measured: Mapping[str, Mapping[str, Any]]) -> None:
    """Write down what the weights of a step reach, by the part of the data."""
    document = {"step": step, "measured": {part: as_lists(metrics) for part, metrics in measured.items()}}
    write(folder / JUDGED, dumps(document, indent=2).encode())


def judged(folder: Path, step: int) -> dict[str, dict[str, Any]]:
    """What the weights of a step reach, as far as it is written down; of another step's nothing."""
    with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        said = loads(plain(folder / JUDGED).read_bytes())
        return {part: from_lists(metrics) for part, metrics in said["measured"].items()} if said["step"] == step else {}
    return {}


def log_health(folder: Path, look: Mapping[str, Any]) -> None:
    """Append what was seen of dead and saturated units and of gradients."""
    with (folder / HEALTH).open("a", encoding="utf-8") as f:
        f.write(dumps(look) + "\n")


def cut_health(folder: Path, epoch: int) -> None:
    """Leave out what was seen after an epoch, where it is looked at again, and a line that is not whole."""
    lines = plain(folder / HEALTH).read_bytes().splitlines(keepends=True) if (folder / HEALTH).exists() else []
    write_whole(folder / HEALTH, b"".join(line for line in lines if line.endswith(b"\n") and _epoch_of(line) <= epoch))


def _epoch_of(look: bytes) -> float:
    """The epoch of a line of health.jsonl; one that cannot be read is of none."""
    try:
        return float(loads(look)["epoch"])
    except (ValueError, KeyError, TypeError):
        return inf
