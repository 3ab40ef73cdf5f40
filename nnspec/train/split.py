"""Which examples are trained on, which are watched while training, and which are kept for the end."""

from __future__ import annotations

from typing import Any

import numpy as np

from nnspec.diagnostics import Span, fault
from nnspec.elaborate.training import Training

Rows = slice | np.ndarray[Any, np.dtype[np.int64]]
SPLIT_SEED = 0x7A11D
NONE = slice(0, 0)


def split(training: Training, count: int, gap: int | None = None) -> tuple[Rows, Rows, Rows]:
    """Training, validation and test examples in the order of the file, the last two empty where no fraction asks for them.

    Both fractions are of all these examples: drawn by the seed, or, where they follow each other in time and a `gap` of so many keeps one
    part from the next, the last ones.
    """
    validating = _share(training, "validation", count)
    testing = _share(training, "test", count)
    between = (gap or 0) * (bool(validating) + bool(testing))
    if validating + testing + between >= count:
        message = f"validation and test leave none of the {count} examples to train on"
        help_ = f"; {between} between the parts are left out, as they have targets in common with both" if between else ""
        part = "validation" if validating else "test"
        shares = [share for share in (training.validation, training.test) if isinstance(share, float)]
        few = f"there are too few examples for these fractions, which come to {validating + testing} of {count}"
        what = "both are fractions of all examples, together less than 1" if sum(shares) >= 1 or between else few
        raise fault("E308", message, _span_of(training, part), help=f"{what}{help_}")
    if not validating + testing:
        return slice(0, count), NONE, NONE
    if gap is not None:
        first = count - validating - testing - between
        end = count - testing - (gap if testing else 0)
        return slice(0, first), slice(end - validating, end), slice(count - testing, count)
    order = np.random.default_rng([training.seed, SPLIT_SEED]).permutation(count)
    validation, test, train = (np.sort(part) for part in np.split(order, [validating, validating + testing]))
    return train, validation, test


def _share(training: Training, part: str, count: int) -> int:
    fraction = getattr(training, part)
    if not isinstance(fraction, float):
        return 0
    if round(fraction * count) == 0:
        help_ = f"{part} {1 / count:.1g} is one of them" if count > 1 else "there must be more examples"
        raise fault("E308", f"{part} {fraction:g} of {count} examples is none", _span_of(training, part), help=help_)
    return round(fraction * count)


def _span_of(training: Training, part: str) -> Span:
    return training.spans.get(part, training.span)
