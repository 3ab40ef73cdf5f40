"""A folder of images, in one folder a class or without labels, or a single one: the only door of Pillow, an optional package."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field
from math import prod
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from nnspec.diagnostics import Fault, did_you_mean, fault
from nnspec.elaborate.sources import DataSource
from nnspec.files import is_plain_file
from nnspec.record import dataclass
from nnspec.train.files import BROKEN, broken, check_size, on_command_line, package

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM")
GREY, COLOURED = ("1", "L", "LA"), ("P", "PA", "RGB", "RGBA", "CMYK", "YCbCr")
MAX_PIXELS = 2**26
ORIENTATION = 0x0112
UPRIGHT = {
    2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE", 6: "ROTATE_270", 7: "TRANSVERSE", 8: "ROTATE_90",
}  # fmt: skip
"""What turns a photograph as it was taken, by its EXIF orientation; from 5 on its height becomes its width."""


@dataclass(frozen=True)
class Images:
    """`image` [channels, height, width] in 0..1 and, where folders are classes, the class number `label`, with the names of the classes.

    A class that is not known has the number -1, and is a Fault, `foreign`, for whoever asks for labels.
    """

    fields: dict[str, np.ndarray]
    labels: dict[str, list[str]] = field(default_factory=dict)
    foreign: Fault | None = None


def read_images(source: DataSource, folder: Path, dtype: str, known: Sequence[str]) -> Images:
    pillow = package("PIL.Image", "Pillow", "`images`", "data", source.span)
    return _Folder(source, folder, pillow).read(dtype, known)


def image_names(source: DataSource, folder: Path) -> list[str]:
    """The files of the images in their order, as they are called from the folder."""
    pillow = package("PIL.Image", "Pillow", "`images`", "data", source.span)
    paths = [path for path, _ in _Folder(source, folder, pillow).labelled()]
    return [path.relative_to(folder if folder.is_dir() else folder.parent).as_posix() for path in paths]


class _Folder:
    def __init__(self, source: DataSource, folder: Path, pillow: ModuleType) -> None:
        self.source, self.folder, self.pillow = source, folder, pillow

    def fault(self, code: str, message: str, help: str = "") -> Fault:
        return fault(code, message, self.source.span, help=help)

    def read(self, dtype: str, known: Sequence[str]) -> Images:
        found = self.labelled()
        present = list(dict.fromkeys(label for _, label in found if label is not None))
        names = list(known) or present
        pixels = self.pixels([path for path, _ in found])
        image: np.ndarray = np.divide(pixels, 255, dtype=dtype)
        if not present:
            return Images({"image": image})
        numbers = {name: number for number, name in enumerate(names)}
        label = np.array([numbers.get(label or "", -1) for _, label in found])
        return Images({"image": image, "label": label}, {"label": names}, self.foreign(present, names))

    def foreign(self, present: Sequence[str], names: Sequence[str]) -> Fault | None:
        """What to say of a class that is not among the names."""
        for label in present:
            if label not in names:
                message = f"{self.folder}: the class `{label}` is not one of the training data"
                return self.fault("E305", message, did_you_mean(label, names))
        return None

    def labelled(self) -> list[tuple[Path, str | None]]:
        """Every image with the name of its class, or without one where they lie in no folders; a file is the only one."""
        if self.folder.is_file():
            return [(self.folder, None)]
        classes = self.classes()
        if not classes:
            return [(path, None) for path in self.files(self.folder)]
        return [(path, folder.name) for folder in classes for path in self.files(folder)]

    def classes(self) -> list[Path]:
        try:
            return sorted(p for p in self.folder.iterdir() if p.is_dir() and not p.name.startswith("."))
        except OSError:
            help_ = "" if on_command_line(self.source.span) else "a path in a spec is taken from the folder of the spec"
            raise self.fault("E302", f"there is no folder, and no image, {self.folder}", help_) from None

    def files(self, folder: Path) -> list[Path]:
        files = sorted(p for p in folder.iterdir() if not p.name.startswith("."))
        inside = self.folder.resolve()
        for path in files:
            if not path.resolve().is_relative_to(inside):
                raise broken(path, f"it is a link that leads out of {self.folder}", self.source.span)
        if not files:
            raise self.fault("E308", f"there are no images in {folder}")
        return files

    def pixels(self, paths: list[Path]) -> np.ndarray:
        """All images as bytes [n, channels, height, width]: grey if all are, else red, green and blue; or as the source says."""
        found = [self.opened(path, lambda image: (image.mode, _upright_size(image))) for path in paths]
        height, width = self.source.options["size"] or found[0][1]
        for path, (_, size) in zip(paths, found, strict=True):
            if size != (height, width) and not self.source.options["size"]:
                message = f"{path} is {size[0]} by {size[1]}, and {paths[0]} is {height} by {width}"
                raise self.fault("E303", message, f"`size = [{height}, {width}]` brings all to one size")
        channels = self.source.options["channels"] or (1 if all(mode in GREY for mode, _ in found) else 3)
        shape = (len(paths), channels, height, width)
        check_size(4 * prod(shape), f"{self.folder}, {len(paths):,} images of {height} by {width},", self.source.span)
        out = np.empty(shape, np.uint8)
        for row, path in zip(out, paths, strict=True):
            row[...] = self.opened(path, lambda image: self.bytes_of(image, channels, height, width))
        return out

    def bytes_of(self, image: Any, channels: int, height: int, width: int) -> np.ndarray:
        turn = UPRIGHT.get(_orientation(image))
        plain = image.convert("L" if channels == 1 else "RGB")
        plain = plain.transpose(self.pillow.Transpose[turn]) if turn else plain
        if plain.size != (width, height):
            plain = plain.resize((width, height), self.pillow.Resampling.BILINEAR)
        return np.moveaxis(np.asarray(plain).reshape(height, width, channels), 2, 0)

    def opened(self, path: Path, use: Any) -> Any:
        """What `use` makes of an image; no file is believed, and no format that could run anything is opened."""
        if not is_plain_file(path):
            raise broken(path, "it is no plain file", self.source.span)
        try:
            with self.pillow.open(path, formats=FORMATS) as image:
                if prod(image.size) > MAX_PIXELS:
                    raise broken(path, f"it has more than {MAX_PIXELS:,} pixels", self.source.span)
                if image.mode not in (*GREY, *COLOURED):
                    message = f"{path} cannot be read: its pixels are of the kind {image.mode}, and those of 8 bits are read"
                    raise self.fault("E309", message, "save it with 8 bits for each channel, grey or in colours")
                return use(image)
        except (*BROKEN, TypeError, self.pillow.DecompressionBombError) as error:  # a TIFF may have a fraction for its height
            raise broken(path, error, self.source.span) from None


def _orientation(image: Any) -> int:
    """How it lies by its EXIF data, which may hold anything: 1 is upright, as Pillow itself makes a TIFF."""
    found = image.getexif().get(ORIENTATION, 1) if "exif" in image.info else 1
    return found if isinstance(found, int) else 1


def _upright_size(image: Any) -> tuple[int, int]:
    """Height and width."""
    width, height = image.size
    return (width, height) if _orientation(image) in range(5, 9) else (height, width)
