"""What a network is fed: the data of its train blocks, or arrays in their place, checked, split, and with means for missing values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from nnspec.arguments import needs_names
from nnspec.array import Array
from nnspec.compile import Compilation
from nnspec.diagnostics import did_you_mean, fault
from nnspec.elaborate.training import Training
from nnspec.graph import Type
from nnspec.record import dataclass
from nnspec.train.check import check
from nnspec.train.data import Dataset, Note, Sample
from nnspec.train.labels import Labels, lists
from nnspec.train.loader import Loader
from nnspec.train.standins import means_of_arrays, stand_ins

Fields = Mapping[str, Any]


@dataclass(frozen=True)
class Feed:
    """What is known of a network's data: the spec, what class numbers and missing values stand for, and a `path` in place of the spec's."""

    spec: Compilation
    labels: Mapping[str, Sequence[str]]
    means: Mapping[str, Any]
    path: str | None

    @property
    def inputs(self) -> Mapping[str, Type]:
        return self.spec.model.inputs

    @property
    def ports(self) -> Mapping[str, Type]:
        """Inputs and targets."""
        return self.spec.model.ports

    def of_each_block(self, data: Fields | None, validation: Fields | None, path: str | None, note: Note) -> list[Dataset]:
        """The data of every train block; those that share their data share the arrays."""
        self.needs_train_block()
        found: list[Dataset] = []
        trainings = self.spec.trainings
        for number, training in enumerate(trainings):
            same = number > 0 and training.parts == trainings[number - 1].parts
            found.append(found[-1] if same else self._watching(training, data, validation, path, note))
        return found

    def of_last_block(self, data: Fields | None, path: str | None) -> Dataset:
        self.needs_train_block()
        return self._of_block(self.spec.trainings[-1], data, path, lambda _: None)

    def sample(self, path: str | None) -> Sample:
        """A few examples of the last train block as their source has them, and as the model takes them."""
        self.needs_train_block()
        loader = self._loader(self.spec.trainings[-1], path or self.path, self.labels, self.means)
        return replace(loader, targets={}).sample()  # a file to be scored may have none

    def _watching(self, training: Training, data: Fields | None, validation: Fields | None, path: str | None, note: Note) -> Dataset:
        """The data of a train block, with the arrays given for validation, if any."""
        if validation is None:
            return self._of_block(training, data, path, note)
        dataset = self._of_block(replace(training, validation=None), data, path, note)
        needs_names(validation, "a share of the data is said in the spec: `validation 0.2`")
        labels = lists(dataset.labels)
        return replace(dataset, validation=self.checked(validation, self.ports, labels, dataset.means), labels=labels)

    def _of_block(self, training: Training, data: Fields | None, path: str | None, note: Note) -> Dataset:
        """The data of a train block, or these arrays in their place."""
        if data is not None:
            return self._divided(training, data)
        return replace(self._loader(training, path or self.path, self.labels, self.means), note=note).load()

    def _loader(self, training: Training, path: str | None, labels: Labels, means: Mapping[str, Any]) -> Loader:
        spec, known = self.spec, lists(labels)
        return Loader(training, spec.model.inputs, spec.model.targets, spec.folder, path, spec.dtype, known, means)

    def _divided(self, training: Training, data: Fields) -> Dataset:
        self.needs_examples()
        self._needs_names(data, self.ports)
        labels, means = self.texts, {**means_of_arrays(training, data, self.inputs), **self.means}
        fields = self.checked(data, self.ports, labels, means)
        return self._loader(training, None, labels, means).divided(fields)

    def checked(
        self,
        fields: Fields,
        ports: Mapping[str, Type],
        labels: dict[str, list[str]] | None = None,
        means: Mapping[str, Any] | None = None,
    ) -> dict[str, Array]:
        """Arrays as the engine takes them; `labels` and `means` are its own if none are given."""
        self._needs_names(fields, ports)
        for name in fields:
            if name not in ports:
                takes = ", ".join(f"`{port}`" for port in ports)
                raise fault("E307", f"the model has no `{name}`", help=did_you_mean(str(name), ports) or f"it takes {takes}")
        means = self.means if means is None else means
        source = self.spec.trainings[-1].data if self.spec.trainings else None
        filled = stand_ins(source, self.inputs, means) if means else {}
        return check(fields, ports, None, self.spec.dtype, self.texts if labels is None else labels, filled)

    @property
    def texts(self) -> dict[str, list[str]]:
        """The labels as lists of their own."""
        return lists(self.labels)

    def named(self, values: Sequence[Any]) -> dict[str, Any]:
        """What is given without names, as many values as there are inputs."""
        if any(isinstance(v, Mapping) for v in values):
            named = ", ".join(f"{name} = .." for name in self.inputs)
            raise fault("E307", "inputs are given by their names, and not in a dict", help=f"write `net({named})`, or `net(**inputs)`")
        if len(values) != len(self.inputs):
            takes = ", ".join(f"`{name}`" for name in self.inputs)
            raise fault("E307", f"{len(values)} given without a name, and the inputs are {takes}", help="give each by its name")
        return dict(zip(self.inputs, values, strict=True))

    def _needs_names(self, fields: Fields, ports: Mapping[str, Type]) -> None:
        if type(fields) is not dict:  # a call by names has one, and should not wait
            named = ", ".join(f'"{port}": ..' for port in ports)
            needs_names(fields, f"`{{{named}}}`")

    def needs_examples(self) -> None:
        """A Fault (E525) for a model that takes one set of inputs."""
        if not all(t.leads_with_batch for t in self.inputs.values()):
            name = self.spec.model.name
            raise fault("E525", f"`{name}` has no batch to be trained on: it takes one set of inputs", help="`step` trains on that")

    def needs_train_block(self) -> None:
        """A Fault (E110) without one."""
        if not self.spec.trainings:
            help_ = "an ONNX model is given one with its settings: `train=data ..  epochs 10  optimizer adam(lr = 1e-3)`"
            help_ = help_ if self.spec.given else "write `train { data ..  epochs 10  optimizer adam(lr = 1e-3) }`"
            raise fault("E110", f"`{self.spec.model.name}` has no train block", self.spec.model.span, help=help_)
