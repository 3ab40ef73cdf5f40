"""A network that can be trained, exported and saved as well as computed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nnspec.arguments import needs, needs_rate
from nnspec.compile import Compilation
from nnspec.diagnostics import Diagnostic, as_spec_error, fault, warn
from nnspec.net.computed import Computed

if TYPE_CHECKING:
    from nnspec.deploy import Proof
    from nnspec.deploy.training import TrainingProof
    from nnspec.train.data import Dataset, Sample
    from nnspec.train.loop import History, Progress


class Net(Computed):
    """A network. `params` and `states` are live arrays by public name; the batch is the first axis of what differs between examples.

    `labels` says what class numbers stand for, by input or target: the texts of the column, or the characters of the text, it was
    trained on. `means` has, by column, what stands for missing values. An exported model brings both along. `data_path` is the file or
    folder that it was trained on in place of the spec's, and is where `path` says nothing else. `trained_on` tells, by checksums, the
    examples of each train block of a run.

    Threads may share a network, and take turns: a call of it computes with the weights as they are between two steps, and two trainings
    go one after the other. What is written into `params` and `states` meanwhile waits for nobody. A process forks between two calls and
    two steps: the child has a network of its own as it is then, which nobody trains.
    """

    @as_spec_error()
    def step(self, *, lr: float | None = None, **fields: Any) -> float:
        """One step of the first train block, or the one trained last, on a batch; returns the loss before it.

        It clips and adds the penalty as `fit` does. The schedule, which counts epochs that a single step knows nothing of, is left out:
        the rate is `lr`, or the base rate.
        """
        self._needs_training()
        rate = self._base_rates[self.engine.stage] if lr is None else needs_rate(lr, self.spec.dtype)
        return self.engine.step(self._checked(fields, self.spec.model.ports), rate)

    @cached_property
    def _base_rates(self) -> list[float]:
        from nnspec.train.schedule import base_rate

        return [base_rate(self.spec, stage) for stage in range(len(self.spec.trainings))]

    @as_spec_error()
    def fit(
        self,
        data: Mapping[str, Any] | None = None,
        *,
        epochs: int | None = None,
        validation: Mapping[str, Any] | None = None,
        progress: Progress | None = None,
        path: str | None = None,
        run: str | Path | None = None,
        resume: bool = False,
    ) -> History:
        """Train by the spec's train blocks, on their own data or on the arrays given ({input or target: array}); `epochs` is of each, in
        place of its epochs or steps.

        Of arrays, as of a file, so much is held out as the blocks say by `validation` and `test`, and read what they name for them;
        `dataset(data=arrays).test` is what is kept for the end. Arrays for `validation` stand in the place of the spec's, with its own
        data, too. `fit_datasets` takes parts that are cut already.

        `progress`, a `nnspec.Progress`, is told of every step and epoch.

        `path` is what `--data` is on the command line. With a `run`, a new directory, the training is kept there; an interrupt then ends
        it between two steps. To `resume` goes on from there, to the same bits. Raises SpecError for data that does not fit (E3xx), a
        diverging loss (E401), and a run that cannot be written or gone on with (E54x).
        """
        from nnspec.train.loop import Progress

        self._needs_training()
        needs("`progress` is a `nnspec.Progress`", (Progress, type(None)), progress, "`progress=nnspec.Progress(on_epoch=print)`")
        if epochs is not None and (not isinstance(epochs, int) or epochs < 1):
            raise fault("E106", f"epochs is a whole number from 1, not {epochs!r}")
        if data is None:
            path = path or self.data_path
        elif path:
            raise ValueError(f"what is trained on are the arrays given or what lies in {path}, and not both")
        note = progress.on_note if progress else lambda _: None
        datasets = self._feed.of_each_block(data, validation, path, note)
        with self._training:
            before = self.engine.spec
            try:
                self.engine.spec = self.spec.with_training(epochs=epochs, steps=None) if epochs else self.spec
                return self.fit_datasets(datasets, progress, Path(run) if run else None, resume=resume, path=path)
            finally:
                self.engine.spec = before

    @as_spec_error()
    def fit_datasets(
        self,
        datasets: Sequence[Dataset],
        progress: Progress | None = None,
        folder: Path | None = None,
        *,
        resume: bool = False,
        path: str | None = None,
    ) -> History:
        """Train by the spec's train blocks on data that is checked already; `folder` is the run directory."""
        from nnspec.train.fingerprint import fingerprints
        from nnspec.train.loop import Progress
        from nnspec.train.run import begun, resumed
        from nnspec.train.stages import fit

        self._needs_training()
        self._feed.needs_examples()
        if resume and folder is None:
            raise fault("E543", "there is no run to resume", help='say which one it is: `run="runs/digits-1"`')
        with self._training:
            self.labels, self.means = {**self.labels, **datasets[-1].labels}, {**self.means, **datasets[-1].means}
            self.data_path = path and str(Path(path).absolute())
            self.trained_on = fingerprints(datasets) if folder else ()
            progress, choosing = progress or Progress(), self.engine_name == "auto"
            if folder is None:
                return fit(self.engine, datasets, progress, choosing=choosing)
            said = self._said()
            kept = resumed(folder, self.engine, said, choosing, progress.on_warning) if resume else begun(folder, self.engine, said)
            with kept as run:
                return fit(self.engine, datasets, progress, run, choosing=choosing)

    def _said(self) -> dict[str, Any]:
        """What a manifest says of the wishes of who trains."""
        asked = {"engine": self.engine_name, "device": self.device, "threads": self.threads, "data": self.data_path}
        return {"labels": self._feed.texts, "means": dict(self.means), "asked": asked, "data": list(self.trained_on)}

    @as_spec_error()
    def export(
        self,
        path: str | Path,
        *,
        outputs: Sequence[str] = (),
        opset: int = 21,
        half: bool = False,
        double: bool = False,
        int8: Dataset | None = None,
        pixels: Sequence[str] = (),
        raw: Sample | None = None,
        examples: Mapping[str, Any] = {},
        standardized: bool = False,
        measured: Mapping[str, Mapping[str, Any]] = {},
    ) -> Proof:
        """Write the inference graph as ONNX, after proving it equal to the reference; the proof says how equal.

        `outputs` are any values that the model names, where it is cut. The inputs `pixels` come as bytes, from 0 to 255. It is
        float32; `half` writes half precision, `double` float64, and `int8` is the data to calibrate 8-bit numbers on, and to judge them by.
        With `raw`, a `sample` of the data, it takes their fields, and what the data block makes of these is done in the model;
        `standardized` refuses a network that has learnt no statistics to standardize raw values by. The file is compared on `examples`,
        {input: array}, too. A card of the model, NAME.md, is written beside it; `measured` is what it says of metrics, by the part of the
        data.
        """
        from nnspec.deploy.network import export_network
        from nnspec.deploy.wishes import Wishes

        seen = self._checked(examples, self.inputs) if examples else {}
        wishes = Wishes(tuple(outputs), opset, half, double, int8, tuple(pixels), raw, seen, standardized, measured)
        with self.engine.lock:
            return export_network(self.engine, self._in(double), Path(path), wishes, self.labels, self.means)

    @as_spec_error()
    def export_training(
        self,
        folder: str | Path,
        *,
        data: Sequence[Dataset] = (),
        opset: int = 21,
        double: bool = False,
        on_warning: Callable[[Diagnostic], None] = warn,
    ) -> TrainingProof:
        """Write the training itself as ONNX, after proving it equal to the reference: what a step does, and what else it takes to go on
        from here with onnxruntime from 1.19 on, in float32, or with `double` in float64; with `data`, of every train block, what it trains
        on, too.

        `on_warning` is told what of the train blocks is left out (W590). Raises SpecError for a spec without a train block (E110), and for
        a folder that cannot be written (E504).
        """
        from nnspec.deploy.block import doubts
        from nnspec.deploy.training import export_training

        self._needs_training()
        proof = export_training(self.engine, self._in(double), Path(folder), data=data, labels=self.labels, opset=opset)
        for doubt in doubts(self.spec):
            on_warning(doubt)
        return proof

    @as_spec_error()
    def save(self, run: str | Path) -> Path:
        """Write a run directory that `nnspec.open` reads, or a further checkpoint into that of the same spec; returns the directory.

        Raises SpecError (E504) for a directory that holds another spec's run or this step already, or cannot be written.
        """
        from nnspec.train import rundir
        from nnspec.train.checkpoint import manifest
        from nnspec.train.commit import commit
        from nnspec.train.lock import locked

        if self.spec.given:
            raise fault("E525", f"`{self.name}` came from ONNX, and a run directory holds a spec", help="`export` writes it back as ONNX")
        folder, engine = Path(run), self.engine
        rundir.make(folder)
        with locked(folder), engine.lock:
            rundir.create(folder, self.spec)
            commit(folder, int(engine.steps_done), engine.all_arrays(), {**manifest(engine), **self._said()})
        return folder

    @as_spec_error()
    def __reduce__(self) -> tuple[Any, ...]:
        """For `pickle`: the spec with its settings, and all arrays as they are now."""
        if self.spec.given:
            raise fault("E525", f"`{self.name}` came from ONNX, and cannot be pickled", help="`export` writes it back as ONNX")
        return made_again, self._content()

    def __copy__(self) -> Net:
        return made_again(*self._content())

    def __deepcopy__(self, _: Any) -> Net:
        return made_again(*self._content())

    def _content(self) -> tuple[Any, ...]:
        from nnspec.train.checkpoint import standing_in

        kept = standing_in(self._engine) if self._engine else None
        asked = self.engine_name, self.device, self.threads
        known = {"labels": self._feed.texts, "means": dict(self.means), "data_path": self.data_path, "trained_on": self.trained_on}
        return self.spec, asked, known, kept


def made_again(spec: Compilation, asked: tuple[Any, ...], known: Mapping[str, Any], kept: Mapping[str, Any] | None) -> Net:
    """A network of its own from the content of another; with none of its engine `kept`, as it is before its first use."""
    from nnspec.train.checkpoint import put_back

    net = Net(spec, *asked)
    net.labels, net.means, net.data_path, net.trained_on = (known[name] for name in ("labels", "means", "data_path", "trained_on"))
    if kept:
        put_back(net.engine, kept)
    return net
