"""How an exported file is to be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any

from nnspec.arguments import needs
from nnspec.array import Array
from nnspec.interchange.to_onnx import DEFAULT_OPSET
from nnspec.record import dataclass
from nnspec.train.data import Dataset, Sample


@dataclass(frozen=True)
class Wishes:
    """`nnspec.Net.export` says what each of them is."""

    outputs: tuple[str, ...] = ()
    opset: int = DEFAULT_OPSET
    half: bool = False
    double: bool = False
    int8: Dataset | None = None
    pixels: tuple[str, ...] = ()
    raw: Sample | None = None
    examples: Mapping[str, Array] = field(default_factory=dict)
    standardized: bool = False
    measured: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        needs("`int8` is the data to calibrate on, as `net.dataset()` has it", (Dataset, type(None)), self.int8, "`int8=net.dataset()`")
        needs("`raw` is a sample of the data, as `net.sample()` has it", (Sample, type(None)), self.raw, "`raw=net.sample()`")
        if self.half + self.double + (self.int8 is not None) > 1:
            raise ValueError("a model is written in half precision, in float64 or on 8-bit numbers, and not in several of them")
