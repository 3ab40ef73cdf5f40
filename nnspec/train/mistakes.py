"""Where a classifier goes wrong: its confusion matrix, and the examples of which it was surest and wrong, as SVG."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from math import ceil
from xml.sax.saxutils import escape

import numpy as np

from nnspec.array import Array
from nnspec.compile import Compilation
from nnspec.picture.look import short, width
from nnspec.record import dataclass
from nnspec.run.stored import in_parts
from nnspec.train.templates import png, zoomed

MOST_CLASSES, WORST, ACROSS = 40, 20, 5
CELL, EDGE, TILE = 34, 90, 120
LONGEST = 10  # columns of a label
SHADES = np.array([[255, 255, 255], [29, 78, 216]])
SIZE, LINE = 12, 15
LEANING = 30  # what the last label of the columns takes on its right
HEAD = '<svg xmlns="http://www.w3.org/2000/svg" width="{0}" height="{1}" viewBox="0 0 {0} {1}" font-family="sans-serif" font-size="12">'


@dataclass(frozen=True)
class Answers:
    """What a classifier says of a target of examples, beside what they are; `shares` are its probabilities."""

    target: str
    truth: Array
    shares: Array
    labels: Sequence[str]

    @property
    def guesses(self) -> Array:
        return np.asarray(self.shares.argmax(-1))

    @property
    def confusion(self) -> Array:
        """How many examples of each class (rows) it took for each (columns)."""
        classes = self.shares.shape[1]
        return np.bincount(self.truth * classes + self.guesses, minlength=classes**2).reshape(classes, classes)

    @property
    def worst(self) -> Array:
        """The numbers of the examples that it got wrong, the surest first."""
        wrong = np.flatnonzero(self.guesses != self.truth)
        return wrong[np.argsort(-self.shares[wrong].max(-1), kind="stable")][:WORST]


def judged(spec: Compilation) -> dict[str, str]:
    """The targets that an output says, of so few classes that a table shows them, each with the first such output."""
    said = {target: [output for output, answer in spec.answers.items() if answer.target == target] for target in spec.model.targets}
    return {n: said[n][0] for n, type in spec.model.targets.items() if said[n] and (type.classes or 0) <= MOST_CLASSES}


def answers(target: str, truth: Array, values: Array, labels: Sequence[str] | None, threshold: float | None = None) -> Answers:
    """Scores or probabilities beside the truth; classes without a text are called by their numbers."""
    shares = _shares(values) if threshold is None else _of_two(values, threshold)
    return Answers(target, np.asarray(truth), shares, labels or [str(i) for i in range(shares.shape[1])])


def _of_two(values: Array, threshold: float) -> Array:
    """Of the probability of the second of two classes, or of its logit, those of both."""
    second = values.reshape(-1)
    return _shares(np.stack([1 - second if threshold else np.zeros_like(second), second], axis=1))


def _shares(values: Array) -> Array:
    """Probabilities as they are; scores by softmax."""
    if (values >= 0).all() and np.allclose(values.sum(-1), 1, atol=1e-3):
        return values
    e = np.exp(values - values.max(-1, keepdims=True))
    return np.asarray(e / e.sum(-1, keepdims=True))


def confusion_svg(found: Answers) -> str:
    """Rows are what examples are, columns what they were taken for; the shade is the share of the row."""
    counts, classes = found.confusion, len(found.labels)
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    title = f"{found.target}: {np.trace(counts):,} of {counts.sum():,} right; rows are true, columns said"
    side = EDGE + CELL * classes
    wide, tall = max(side + LEANING, 20 + ceil(width(title, SIZE))), side + 10
    parts = [HEAD.format(wide, tall), f'<rect width="{wide}" height="{tall}" fill="white"/>', f'<text x="10" y="18">{title}</text>']
    for i, label in enumerate(found.labels):
        at, text = EDGE + CELL * (i + 0.5) + 4, escape(short(label, LONGEST))
        parts.append(f'<text x="{EDGE - 6}" y="{at}" text-anchor="end">{text}</text>')
        parts.append(f'<text x="{at}" y="{EDGE - 6}" transform="rotate(-60 {at} {EDGE - 6})">{text}</text>')
        for j in range(classes):
            red, green, blue = (SHADES[0] + shares[i, j] * (SHADES[1] - SHADES[0])).astype(int)
            x, y = EDGE + CELL * j, EDGE + CELL * i
            parts.append(f'<rect x="{x}" y="{y}" width="{CELL}" height="{CELL}" fill="rgb({red},{green},{blue})" stroke="#e5e7eb"/>')
            if counts[i, j]:
                ink = "white" if shares[i, j] > 0.5 else "black"
                middle = f'x="{x + CELL / 2}" y="{y + CELL / 2 + 4}" text-anchor="middle"'
                parts.append(f'<text {middle} fill="{ink}" font-size="11">{counts[i, j]}</text>')
    return "\n".join([*parts, "</svg>", ""])


def mistakes_svg(found: Answers, images: Array) -> str:
    """The worst mistakes as images, each with what was said, how surely, and what is right; pixels from dark to light by their range."""
    rows = -(-len(found.worst) // ACROSS)
    wide, tall = TILE * ACROSS + 10, (TILE + 2 * LINE) * rows + 10
    parts = [HEAD.format(wide, tall), f'<rect width="{wide}" height="{tall}" fill="white"/>']
    low, high = min(float(p.min()) for p in in_parts(images)), max(float(p.max()) for p in in_parts(images))
    for number, example in enumerate(found.worst):
        x, y = 10 + TILE * (number % ACROSS), 10 + (TILE + 2 * LINE) * (number // ACROSS)
        pixels = np.round(255 * (images[example] - low) / ((high - low) or 1)).astype(np.uint8)
        content = b64encode(png(zoomed(np.moveaxis(pixels, 0, -1), TILE - 10))).decode()
        said, true = (escape(short(found.labels[int(i)], LONGEST)) for i in (found.guesses[example], found.truth[example]))
        parts.append(f'<image x="{x}" y="{y}" width="{TILE - 10}" height="{TILE - 10}" href="data:image/png;base64,{content}"/>')
        sure = 100 * found.shares[example].max()
        below = y + TILE + 3
        parts.append(f'<text x="{x}" y="{below}">{said} ({sure:.0f} %)</text><text x="{x}" y="{below + LINE}">for {true}</text>')
    return "\n".join([*parts, "</svg>", ""])
