"""The pictures of a run: curves, weights as images, and where a classifier goes wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from nnspec.array import Array
from nnspec.compile import Compilation
from nnspec.files import write
from nnspec.run.stored import as_array
from nnspec.train import templates
from nnspec.train.epoch import Epoch
from nnspec.train.mistakes import answers, confusion_svg, judged, mistakes_svg
from nnspec.train.plot import curves
from nnspec.train.rundir import CONFUSION, CURVE, METRIC_CURVES, MISTAKES, of_target


def draw_run(folder: Path, spec: Compilation, epochs: Sequence[Epoch], weights: Mapping[str, Array]) -> list[Path]:
    """Curves of losses and metrics, and the weights that are images; the files written."""
    losses = ("loss", *spec.model.single_losses)

    def is_loss(name: str) -> bool:
        return name.removeprefix("val.") in losses

    parts = {CURVE: _curves(f"{spec.model.name}: loss", epochs, is_loss)}
    if any(not is_loss(n) for e in epochs for n in e.metrics):
        parts[METRIC_CURVES] = _curves(f"{spec.model.name}: metrics", epochs, lambda n: not is_loss(n))
    written = [_written(folder / name, text.encode()) for name, text in parts.items()]
    return written + templates.draw(folder, spec.graph, weights)


def draw_answers(
    folder: Path, spec: Compilation, fields: Mapping[str, Array], outputs: Mapping[str, Array], labels: Mapping[str, Sequence[str]]
) -> list[Path]:
    """The confusion matrix and the worst mistakes of a classifier, of each target that it says."""
    written, targets = [], judged(spec)
    images = [as_array(fields[n]) for n, t in spec.inputs_in_use.items() if t.rank == 4 and t.shape[1] in (1, 3)]
    for target, output in targets.items():
        found = answers(target, fields[target], outputs[output], labels.get(target), spec.answers[output].threshold)
        confusion, mistakes = (of_target(name, target) if len(targets) > 1 else name for name in (CONFUSION, MISTAKES))
        written.append(_written(folder / confusion, confusion_svg(found).encode()))
        if images and len(found.worst):
            written.append(_written(folder / mistakes, mistakes_svg(found, images[0]).encode()))
    return written


def _curves(title: str, epochs: Iterable[Epoch], wanted: Callable[[str], bool]) -> str:
    """Those metrics that are one number, by epoch."""
    lines: dict[str, list[tuple[float, float]]] = {}
    for e in epochs:
        for name, value in e.metrics.items():
            if wanted(name) and isinstance(value, float):
                lines.setdefault(name, []).append((float(e.number), value))
    return curves(title, lines)


def _written(path: Path, content: bytes) -> Path:
    write(path, content)
    return path
