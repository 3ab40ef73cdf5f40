"""A network as an object that can be called, differentiated, trained, exported and saved."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from html import escape
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any

from nnspec.arguments import needs, needs_rate
from nnspec.compile import Compilation
from nnspec.diagnostics import Diagnostic, as_spec_error, did_you_mean, fault, warn
from nnspec.elaborate.training import MAX_SEED
from nnspec.graph import Graph, Type
from nnspec.live import LiveArrays
from nnspec.run.alone import renew_at_fork

if TYPE_CHECKING:
    from nnspec.array import Array
    from nnspec.deploy import Proof
    from nnspec.deploy.training import TrainingProof
    from nnspec.run.engine import Engine
    from nnspec.train.data import Dataset, Sample
    from nnspec.train.feed import Feed
    from nnspec.train.fingerprint import Fingerprint
    from nnspec.train.loop import History, Progress

ENGINES, DEVICES, DTYPES = ("auto", "numpy", "ort", "reference"), ("cpu", "cuda"), ("float32", "float64")

WHEN_MADE = ("engine_name", "device", "threads")


class Net:
    """A network. `params` and `states` are live arrays by public name; the batch is the first axis of what differs between examples.

    `labels` says what class numbers stand for, by input or target: the texts of the column, or the characters of the text, it was
    trained on. `means` has, by column, what stands for missing values. An exported model brings both along. `data_path` is the file or
    folder that it was trained on in place of the spec's, and is where `path` says nothing else. `trained_on` tells, by checksums, the
    examples of each train block of a run.

    Threads may share a network, and take turns: a call of it computes with the weights as they are between two steps, and two trainings
    go one after the other. What is written into `params` and `states` meanwhile waits for nobody. A process forks between two calls and
    two steps: the child has a network of its own as it is then, which nobody trains.
    """

    _made = False

    def __init__(self, compilation: Compilation, engine: str = "auto", device: str = "cpu", threads: int | None = None) -> None:
        for name, value, known in (("engine", engine, ENGINES), ("device", device, DEVICES), ("dtype", compilation.dtype, DTYPES)):
            if value not in known:
                raise ValueError(f"{name} is one of {known}, not {value!r}")
        if device != "cpu" and engine != "ort":
            raise ValueError(f"the engine {engine!r} computes on the processor only; `ort` can compute on {device}")
        if threads is not None and threads < 1:
            raise ValueError(f"threads are 1 or more, not {threads}")
        self.spec, self.engine_name, self.device, self.threads = compilation.checked(), engine, device, threads
        self.labels: Mapping[str, Sequence[str]] = self.spec.labels
        self.means: Mapping[str, Any] = self.spec.means
        self.data_path: str | None = None
        self.trained_on: Sequence[Fingerprint] = ()
        self._making, self._training = RLock(), RLock()
        self._engine: Engine | None = None
        renew_at_fork(self, "_making", "_training")
        self._made = True

    def __setattr__(self, name: str, value: Any) -> None:
        """An AttributeError for a name that a network does not have, which is a slip, and for what its engine is made with."""
        known = [n for n in (*vars(self), *dir(type(self))) if not n.startswith("_")]
        if self._made and name in WHEN_MADE:
            raise AttributeError(f"`{name}` of a network is said when it is made, and stays")
        if self._made and name not in (*known, *vars(self)):
            raise AttributeError(f"a network has no `{name}` to set; {did_you_mean(name, known)}".removesuffix("; "))
        super().__setattr__(name, value)

    @property
    def engine(self) -> Engine:
        if self._engine is None:
            with self._making:
                self._engine = self._engine or self._new_engine()
        return self._engine

    @as_spec_error()
    def _new_engine(self) -> Engine:
        from nnspec.run.engine import Engine

        engine = Engine(self.spec, "numpy" if self.engine_name == "auto" else self.engine_name, threads=self.threads, device=self.device)
        engine.initialise(self.spec.trainings[0].seed if self.spec.trainings else 0)
        return engine

    # ---- what it is

    @property
    def name(self) -> str:
        return self.spec.model.name

    @property
    def inputs(self) -> dict[str, Type]:
        """{name: type} of the inputs; the first dimension is the batch."""
        return self.spec.model.inputs

    @property
    def targets(self) -> dict[str, Type]:
        return self.spec.model.targets

    @property
    def outputs(self) -> dict[str, Type]:
        return self.spec.model.outputs

    @property
    def graph(self) -> Graph:
        """The inference graph."""
        return self.spec.inference

    @property
    def params(self) -> LiveArrays:
        """The trained parameters by public name; `net.params["dense.W"][...] = w` and `net.params["dense.W"] = w` both set them.

        `net.params = saved` sets them all, to copies of the arrays that `saved` has by their names.
        """
        return LiveArrays(lambda: self.engine.params, finite=True)

    @params.setter
    def params(self, values: Mapping[str, Any]) -> None:
        self.params.assign(values)

    @property
    def states(self) -> LiveArrays:
        return LiveArrays(lambda: self.engine.states)

    @states.setter
    def states(self, values: Mapping[str, Any]) -> None:
        self.states.assign(values)

    def summary(self) -> str:
        """The layer table: name, formula, output shape, parameters, operations and receptive field of one example."""
        from nnspec.summary import summary

        return summary(self.spec)

    def _repr_svg_(self) -> str:
        """The picture of `nnspec graph`."""
        from nnspec.drawing import drawn
        from nnspec.picture.svg import svg

        return svg(drawn(self.spec), self.name)

    def _repr_html_(self) -> str:
        """What a notebook shows: the picture, and the layer table below it."""
        return f"<div>{self._repr_svg_()}<details><summary>layers</summary><pre>{escape(self.summary())}</pre></details></div>"

    def __repr__(self) -> str:
        return f"<nnspec.Net {self.name}: {sum(v.size for v in self.params.values()):,} parameters>"

    # ---- running

    @as_spec_error()
    def init(self, seed: int = 0) -> Net:
        """Draw all parameters anew from a seed, and forget what was learnt of data: states, the numbers of labels, means.

        >>> import nnspec
        >>> a, b = nnspec.load("digits").init(seed=7), nnspec.load("digits").init(seed=7)
        >>> bool((a.params["dense.W"] == b.params["dense.W"]).all())
        True
        """
        if not isinstance(seed, int) or not 0 <= seed <= MAX_SEED:
            raise fault("E106", f"a seed is a whole number from 0 to {MAX_SEED:,}, not {seed!r}")
        self.engine.initialise(seed)
        self.labels, self.means, self.trained_on = self.spec.labels, self.spec.means, ()
        return self

    @as_spec_error()
    def __call__(self, *single: Any, **inputs: Any) -> dict[str, Array]:
        """The outputs, by name, for a batch of inputs; as in use, not as in training. One input needs no name.

        An input that no output is made of, as the weight of an example in a loss, may be left out. What is drawn at random in use, too, is
        the same in every call; `predict` can draw anew.
        """
        if single:
            inputs = self._feed.named(single)
        fields = self._checked_in_use(inputs)
        with self.engine.lock:
            return {n.removeprefix("output:"): v.copy() for n, v in self.engine.outputs(fields).items()}

    @as_spec_error()
    def gradients(self, *, step: Any = None, **fields: Any) -> tuple[float, dict[str, Array]]:
        """Mean loss of a batch and its gradient for every parameter: (loss, {name: array}); as in training, so states of layers move.

        Random formulas, as those of dropout, draw anew in each call, as in each step; those of a certain `step`, which are counted from 0,
        are always the same.

        >>> import nnspec
        >>> net = nnspec.load("mazur", dtype="float64")
        >>> loss, grads = net.gradients(x=[[0.05, 0.10]], y=[[0.01, 0.99]])
        >>> round(loss, 9), round(float(grads["W2"][0, 0]), 9)
        (0.298371109, 0.082167041)
        """
        self.spec.model.needs_loss("there are no gradients")
        batch = self._checked(fields, self.spec.model.ports)
        with self.engine.lock:
            loss, gradients = self.engine.gradients(batch, None if step is None else _numbered(step))
            return loss, {n: g.copy() for n, g in gradients.items()}

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

    @as_spec_error()
    def evaluate(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Loss and metrics over a whole data set: {"loss": .., "accuracy": ..}; an array for a metric that is more than one number.

        What the spec holds out is `net.dataset().test`. What is drawn at random in use, too, is the same in every call.
        """
        from nnspec.train.loop import evaluate

        if data is None:
            help_ = "`test 0.2` in the train block holds some of it out"
            raise fault("E106", "there are no data to judge by: `net.dataset().test` is None where nothing is held out", help=help_)
        return evaluate(self.engine, self._checked(data, self.spec.model.ports))

    @as_spec_error()
    def predict(self, data: Any, *, step: int = 0) -> Any:
        """Outputs for many examples: from {input: array}, or from one array where there is one input (then one output gives one array).

        An input that no output is made of may be left out. What is drawn at random in use, too, is the same in every call, and another for
        another `step`.

        >>> import nnspec
        >>> noisy = nnspec.loads("model Noisy { input x: []  output y = x + normal(0, 1) }")
        >>> answers = [noisy.predict([0.5], step=k)[0] for k in (0, 0, 1)]
        >>> bool(answers[0] == answers[1] != answers[2])
        True
        """
        from nnspec.train.loop import predict

        single = not isinstance(data, Mapping)
        fields = self._feed.named([data]) if single else data
        outputs = predict(self.engine, self._checked_in_use(fields), _numbered(step))
        return next(iter(outputs.values())) if single and len(outputs) == 1 else outputs

    # ---- keeping

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

    def _in(self, double: bool) -> Compilation:
        """The spec in double or in single precision."""
        dtype = "float64" if double else "float32"
        return self.spec if self.spec.dtype == dtype else replace(self.spec, dtype=dtype)

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

    # ---- checks

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


def _numbered(step: Any) -> int:
    """The number of a step that random formulas draw as in."""
    if not isinstance(step, int) or not 0 <= step <= MAX_SEED:
        raise fault("E106", f"`step` is a whole number from 0 to {MAX_SEED:,}, not {step!r}")
    return step


def made_again(spec: Compilation, asked: tuple[Any, ...], known: Mapping[str, Any], kept: Mapping[str, Any] | None) -> Net:
    """A network of its own from the content of another; with none of its engine `kept`, as it is before its first use."""
    from nnspec.train.checkpoint import put_back

    net = Net(spec, *asked)
    net.labels, net.means, net.data_path, net.trained_on = (known[name] for name in ("labels", "means", "data_path", "trained_on"))
    if kept:
        put_back(net.engine, kept)
    return net
