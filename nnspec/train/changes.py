"""What is not as it was when a run began: refused where it makes another training, said where it may change the last bits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any

from nnspec.diagnostics import Diagnostic, Source, Span, fault
from nnspec.elaborate.training import Training
from nnspec.train.check import listing
from nnspec.train.data import Dataset
from nnspec.train.fingerprint import Fingerprint, fingerprints
from nnspec.train.labels import Labels

Said = Mapping[str, Any]
"""What a manifest says."""
VERSIONS = ("nnspec_version", "python", "numpy", "onnxruntime", "blas", "machine")


def refuse_changed(run: str, before: Said, now: Said, trained: str, source: Source, blocks: Sequence[Training]) -> None:
    """A Fault where there is no training to go on with (E543), or the spec (E542) or the data (E544) is another one."""
    if "training" not in before:
        raise fault("E543", f"{run} holds weights, and no training to go on with", help=f'write `start from "{run}"` to train from them')
    goes_on = f"`nnspec train {run} --resume` goes on with what the run has; without `--resume` a new one begins"
    if before["sources"] != now["sources"]:
        raise fault("E542", f"{run} is the run of another spec", _first_change(trained, source), help=goes_on)
    for what, was, wanted in _choices(before, now):
        if str(was) != str(wanted):
            raise fault("E542", f"{run} was begun with {_shown(what, was)}, not {_shown(what, wanted)}", help=goes_on)
    _refuse_shorter(run, before["training"], now["changes"].get("epochs"), blocks)
    _refuse_stopped(run, before, now)
    for number, (old, new) in enumerate(zip(before["data"], now["data"], strict=True), 1):
        block = f" of train block {number}" if len(now["data"]) > 1 else ""
        for part, field in _other_fields(old, new):
            help_ = f'give it what it began with; to train its weights on other data, write `start from "{run}"`'
            raise fault("E544", f"`{field}` of the {part} data{block} is not what {run} is trained on", help=help_)


def _refuse_shorter(run: str, at: Said, wanted: int | None, blocks: Sequence[Training]) -> None:
    """A Fault (E543) where the train block that goes on has more epochs than are wanted of each: those that are done count."""
    done = at["epoch"]
    if wanted is not None and wanted < done:
        what, of = (f"{_block(at, blocks)} of {run}", "of each train block") if len(blocks) > 1 else (run, "in all")
        help_ = f"the epochs that are done count: ask for more than {done}, or leave it out"
        raise fault("E543", f"{what} has done {done} epochs, and {wanted} {of} are asked for", help=help_)


def _refuse_stopped(run: str, before: Said, now: Said) -> None:
    """A Fault (E543) where more epochs are wanted of what has stopped by its own rule, which longer trainings do, too."""
    at, (was, wanted) = before["training"], (said["changes"].get("epochs") for said in (before, now))
    if at["reason"] and wanted not in (None, was) and wanted > at["epoch"]:
        help_ = f'a longer training stops there, too; to train its weights on, write `start from "{run}"` in a train block'
        raise fault("E543", f"{run} has stopped early, after epoch {at['epochs_before'] + at['epoch']}: {at['reason']}", help=help_)


def _block(at: Said, blocks: Sequence[Training]) -> str:
    return f"train block `{blocks[at['stage']].name or at['stage'] + 1}`"


def _choices(before: Said, now: Said) -> Iterator[tuple[str, Any, Any]]:
    """What makes another training of the same spec: its name, as it was, and as it is wanted now."""
    for name in {**before["settings"], **now["settings"]}:
        yield name, before["settings"].get(name), now["settings"].get(name)
    yield "seed", before["changes"].get("seed"), now["changes"].get("seed")
    yield "dtype", before["dtype"], now["dtype"]


def _shown(name: str, value: Any) -> str:
    return f"the {name} of the spec" if value is None else f"{name} = {value}"


def _first_change(trained: str, source: Source) -> Span | None:
    """The first line that is not in the run's copy of the spec; None where only what it imports is other."""
    start = 0
    for old, new in zip_longest(trained.splitlines(), source.text.splitlines()):
        if old != new:
            return Span(source, min(start, max(len(source.text) - 1, 0)), start + len(new or ""))
        start += len(new) + 1
    return None


def _other_fields(old: Mapping[str, Said], new: Mapping[str, Said]) -> Iterator[tuple[str, str]]:
    for part, fields in new.items():
        yield from ((part, name) for name in {**old[part], **fields} if old[part].get(name) != fields.get(name))


def other_data(name: str, training: Training, before: Fingerprint, dataset: Dataset) -> Iterator[Diagnostic]:
    """A warning where a network was trained on other examples than this data has for that, unless its test is another file."""
    if training.tests_elsewhere or fingerprints([dataset])[0]["training"] == before["training"]:
        return
    held_out = ": what is held out now may have been trained on" if dataset.test else ""
    help_ = "put back the data that it was trained on, or judge it by examples that it has never seen: `--data FILE`" if held_out else ""
    span = training.data.span if training.data else None
    yield Diagnostic("W545", f"`{name}` was trained on other data{held_out}", span, help=help_, level="warning")


def renumbered(training: Training, before: Labels, now: Labels) -> Iterator[Diagnostic]:
    """A warning where weights of another run were learnt for a class that has another number here."""
    for port, texts in now.items():
        was = {text: number for number, text in enumerate(before.get(port, ()))}
        other = next((text for number, text in enumerate(texts) if was.get(text, number) != number), None)
        if other is not None and training.start:
            run = training.start.text
            message = f"`{other}` of `{port}` is class {texts.index(other)} here, and was {was[other]} in {run}, whose weights are for that"
            help_ = (
                f"there they are {listing(before[port])}, here {listing(texts)}: texts are numbered in sorted order, so rename what is new"
            )
            yield Diagnostic("W546", message, training.start.span, help=help_, level="warning")


def warned(run: str, before: Said, now: Said, blocks: Sequence[Training], *, rate_follows: bool) -> Iterator[Diagnostic]:
    """Warnings: what goes on, but not as it would have; `rate_follows` where the learning rate hangs on how long a training is."""
    if before["engine"] != now["engine"] or before["threads"] != now["threads"]:
        was, wanted = (f"{said['engine']} with --threads {said['threads']}" for said in (before, now))
        yield _bits("W541", f"{run} was computed by {was}, and is now by {wanted}")
    for name in VERSIONS:
        if name in before and name in now and before[name] != now[name]:  # only `ort` has a version of onnxruntime
            yield _bits("W542", f"{run} was computed with {name} {before[name]}, and is now with {now[name]}")
    for name in ("epochs", "steps"):
        was, wanted = before["changes"].get(name), now["changes"].get(name)
        if was != wanted:
            help_ = "the learning rate follows the new length from here on" if rate_follows else ""
            if before["training"]["stage"]:
                help_ = "; ".join(filter(None, (f"what was trained before {_block(before['training'], blocks)} stays as it is", help_)))
            message = f"{run} was begun with {_shown(name, was)}, and goes on with {_shown(name, wanted)}"
            yield Diagnostic("W543", message, help=help_, level="warning")


def _bits(code: str, message: str) -> Diagnostic:
    return Diagnostic(code, message, help="the last bits of what follows may be others", level="warning")
