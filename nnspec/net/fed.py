"""The data of a network: those of its train blocks, or arrays, checked by what it takes and what it has learnt of data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nnspec.compile import Compilation
from nnspec.diagnostics import as_spec_error, warn
from nnspec.graph import Type
from nnspec.net.described import Described

if TYPE_CHECKING:
    from nnspec.array import Array
    from nnspec.train.data import Dataset, Sample
    from nnspec.train.feed import Feed
    from nnspec.train.fingerprint import Fingerprint


class Fed(Described):
    """A network that knows what its data stand for, and nothing yet of what computes it."""

    def __init__(self, spec: Compilation) -> None:
        super().__init__(spec)
        self.labels: Mapping[str, Sequence[str]] = spec.labels
        self.means: Mapping[str, Any] = spec.means
        self.data_path: str | None = None
        self.trained_on: Sequence[Fingerprint] = ()

    @as_spec_error()
    def datasets(self, path: str | None = None, note: Callable[[str], None] = lambda _: None) -> list[Dataset]:
        """The data of every train block, checked and split, for `fit_datasets`; blocks that share their data share the arrays.

        Pixels may still be the bytes of their file, which NumPy takes for the fractions that they stand for. A npy or parquet file too
        large for memory is read from the disk: its fields have a length, a shape and rows as arrays do, and are arrays to NumPy. `note`
        is told where that is so.
        """
        return self._feed.of_each_block(None, None, path, note)

    @as_spec_error()
    def dataset(self, path: str | None = None, *, data: Mapping[str, Any] | None = None) -> Dataset:
        """The data of the last train block, or these arrays in their place, checked and split.

        That it is not what a run was trained on, so that what is held out may have been, is a warning of Python's (W545).
        """
        from nnspec.train.changes import other_data

        dataset = self._feed.of_last_block(data, path)
        if data is None and path is None and self.trained_on:
            for doubt in other_data(self.name, self.spec.trainings[-1], self.trained_on[-1], dataset):
                warn(doubt)
        return dataset.as_arrays()

    @as_spec_error()
    def sample(self, path: str | None = None) -> Sample:
        """A few examples of the last train block as their source has them, and as the model takes them, for `export`."""
        return self._feed.sample(path)

    @property
    def _feed(self) -> Feed:
        from nnspec.train.feed import Feed

        return Feed(self.spec, self.labels, self.means, self.data_path)

    def _checked(self, fields: Mapping[str, Any], ports: Mapping[str, Type]) -> dict[str, Array]:
        """Arrays as the engine takes them."""
        return self._feed.checked(fields, ports)

    def _checked_in_use(self, fields: Mapping[str, Any]) -> dict[str, Array]:
        """The same for outputs: an input that none is made of may be left out."""
        needed = self.spec.inputs_in_use
        return self._checked(fields, {n: type for n, type in self.inputs.items() if n in needed or n in fields})

    def _needs_training(self) -> None:
        self.spec.model.needs_loss("there is nothing to train")
        self._feed.needs_train_block()
