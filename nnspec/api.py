"""The Python interface: a spec as an object that can be called, differentiated, trained, exported and saved."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nnspec.compile import Compilation
from nnspec.diagnostics import as_spec_error, did_you_mean, fault, render
from nnspec.elaborate.training import MAX_SEED, Training
from nnspec.graph import Graph, Type
from nnspec.live import LiveArrays
from nnspec.source import folder_of, read_source, source_of

if TYPE_CHECKING:
    import numpy as np

    from nnspec.deploy import Proof
    from nnspec.deploy.training import TrainingProof
    from nnspec.run.engine import Engine
    from nnspec.train.data import Dataset
    from nnspec.train.loop import History, Progress

    Array = np.ndarray[Any, np.dtype[Any]]

ENGINES, DEVICES, DTYPES = ("auto", "numpy", "ort", "reference"), ("cpu", "cuda"), ("float32", "float64")
Setting = str | int | float | bool


@as_spec_error()
def load(
    spec: str | Path, *, dtype: str | None = None, engine: str = "auto", device: str = "cpu", threads: int | None = None, **settings: Any
) -> Net:
    """A network from a file or the gallery; keyword arguments override its `let` values. An ONNX model is a network too: see `from_onnx`.

    `engine` is what computes it: `numpy`, `ort` (onnxruntime, on the processor or, with `device="cuda"`, a graphics card), `reference`,
    or `auto`: `numpy`, but a training that takes a while tries both and goes on with the faster. With the same number of `threads` a run
    of an engine is the same to the last bit; without, it uses all processors as far as that helps. Numbers are float32, or what the
    file of an ONNX model has, unless `dtype` says otherwise.

    >>> import nnspec
    >>> net = nnspec.load("mazur")
    >>> list(net.params)
    ['W1', 'W2']

    Raises SpecError with every mistake of the spec.
    """
    if Path(spec).suffix == ".onnx":
        return Net(_imported(Path(spec), dtype, settings), engine, device, threads)
    return Net(Compilation(read_source(spec), _plain(settings), dtype or "float32", folder_of(spec)), engine, device, threads)


def _imported(path: Path, dtype: str | None, settings: Mapping[str, Any]) -> Compilation:
    from nnspec.imported import compilation, learning_of
    from nnspec.interchange.read import load

    return compilation(load(path), path.name, dtype, learning_of(settings), path.parent)


@as_spec_error()
def from_onnx(
    model: Any,
    *,
    target: str | Sequence[str] = (),
    loss: str = "",
    train: str = "",
    constants: Mapping[str, Any] | None = None,
    dtype: str | None = None,
    engine: str = "auto",
    device: str = "cpu",
    threads: int | None = None,
) -> Net:
    """A network from an `onnx.ModelProto`: it can be called, differentiated, trained and exported like any other.

    Inputs and outputs are called as in the model, and a leading dimension without a number is the batch; a model without one is taken as
    it stands. Its arrays of floats are the parameters, by their names there; plain numbers and arrays of whole numbers are constants, and
    the statistics of batch normalisation are states, which no training changes. `constants` are values for inputs that shapes depend on.

    `loss` is a formula of the language, or the name of an output that is one; `target` declares what it compares with, one or several; and
    `train` holds the lines of a train block. In them, what is no letter, digit or `_` in a name is written `_`, and a word of the language
    gets a `_` behind it.

    >>> import nnspec, numpy as np, onnx
    >>> from onnx import helper, numpy_helper
    >>> ports = [helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, ["batch", 2]) for n in ("x", "logits")]
    >>> weight = numpy_helper.from_array(np.eye(2, dtype="float32"), "fc.weight")
    >>> graph = helper.make_graph([helper.make_node("Gemm", ["x", "fc.weight"], ["logits"])], "m", ports[:1], ports[1:], [weight])
    >>> net = nnspec.from_onnx(helper.make_model(graph), target="y: class(2)", loss="cross_entropy(logits, y)",
    ...                        train="epochs 3  batch 2  optimizer sgd(lr = 0.1)")
    >>> net(x=[[1, 2]])["logits"].tolist()
    [[1.0, 2.0]]
    >>> loss, grads = net.gradients(x=[[1, 2]], y=[1])
    >>> round(loss, 4), grads["fc.weight"].shape
    (0.3133, (2, 2))
    >>> len(net.fit({"x": [[1, 2], [2, 1]], "y": [1, 0]}).epochs)
    3

    Raises SpecError for a model that is not valid (E520), and for what is not imported (E521 to E524), with the node that it stands at.
    """
    from nnspec.imported import Learning, compilation
    from nnspec.interchange.read import check

    spec = compilation(check(model), model.graph.name or "model", dtype, Learning(target, loss, train, constants))
    return Net(spec, engine, device, threads)


@as_spec_error()
def loads(
    text: str, *, dtype: str = "float32", engine: str = "auto", device: str = "cpu", threads: int | None = None, **settings: Setting
) -> Net:
    """A network from the text of a spec.

    >>> import nnspec
    >>> net = nnspec.loads("model Double { input x: []  output y = 2 * x }")
    >>> float(net(x=[21.0])["y"][0])
    42.0
    """
    return Net(Compilation(source_of("<text>", text.encode()), _plain(settings), dtype), engine, device, threads)


@as_spec_error()
def open(run: str | Path) -> Net:
    """A trained network from its run directory.

    Raises SpecError (E503) when the directory holds no run, or no weights that can be read.
    """
    import warnings

    from nnspec.train.checkpoint import restore
    from nnspec.train.rundir import opened

    spec, checkpoint = opened(Path(run))
    for skipped in checkpoint.skipped:
        warnings.warn(render([skipped]), stacklevel=3)
    net = Net(spec)
    restore(net.engine, checkpoint.arrays, checkpoint.manifest)
    net.labels = checkpoint.manifest["labels"]
    return net


def _plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as the language has values: lists as tuples, NumPy's numbers as Python's."""

    def plain(value: Any) -> Any:
        if isinstance(value, list | tuple):
            return tuple(map(plain, value))
        return value.item() if type(value).__module__ == "numpy" else value

    return {name: plain(value) for name, value in settings.items()}


class Net:
    """A network. `params` and `states` are live arrays by public name; the batch is always the first axis.

    `labels` says what class numbers stand for, by input or target: the texts of the column, or the characters of the text, it was
    trained on.
    """

    def __init__(self, compilation: Compilation, engine: str = "auto", device: str = "cpu", threads: int | None = None) -> None:
        for name, value, known in (("engine", engine, ENGINES), ("device", device, DEVICES), ("dtype", compilation.dtype, DTYPES)):
            if value not in known:
                raise ValueError(f"{name} is one of {known}, not {value!r}")
        if device != "cpu" and engine != "ort":
            raise ValueError(f"the engine {engine!r} computes on the processor only; `ort` can compute on {device}")
        if threads is not None and threads < 1:
            raise ValueError(f"threads are 1 or more, not {threads}")
        self.spec, self.engine_name, self.device, self.threads = compilation.checked(), engine, device, threads
        self.labels: Mapping[str, Sequence[str]] = {}

    @cached_property
    @as_spec_error()
    def engine(self) -> Engine:
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

    @cached_property
    def params(self) -> LiveArrays:
        """The trained parameters by public name; `net.params["dense.W"][...] = w` and `net.params["dense.W"] = w` both set them."""
        return LiveArrays(lambda: self.engine.params)

    @cached_property
    def states(self) -> LiveArrays:
        return LiveArrays(lambda: self.engine.states)

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
        """Draw all parameters anew from a seed.

        >>> import nnspec
        >>> a, b = nnspec.load("digits").init(seed=7), nnspec.load("digits").init(seed=7)
        >>> bool((a.params["dense.W"] == b.params["dense.W"]).all())
        True
        """
        if not isinstance(seed, int) or not 0 <= seed <= MAX_SEED:
            raise fault("E106", f"a seed is a whole number from 0 to {MAX_SEED:,}, not {seed!r}")
        self.engine.initialise(seed)
        return self

    @as_spec_error()
    def __call__(self, *single: Any, **inputs: Any) -> dict[str, Array]:
        """The outputs, by name, for a batch of inputs; as in use, not as in training. One input needs no name."""
        if single:
            inputs = dict(zip(self.inputs, single, strict=True))
        fields = self._checked(inputs, self.inputs)
        return {n.removeprefix("output:"): v.copy() for n, v in self.engine.outputs(fields).items()}

    @as_spec_error()
    def gradients(self, **fields: Any) -> tuple[float, dict[str, Array]]:
        """Mean loss of a batch and its gradient for every parameter: (loss, {name: array}).

        >>> import nnspec
        >>> net = nnspec.load("mazur", dtype="float64")
        >>> loss, grads = net.gradients(x=[[0.05, 0.10]], y=[[0.01, 0.99]])
        >>> round(loss, 9), round(float(grads["W2"][0, 0]), 9)
        (0.298371109, 0.082167041)
        """
        self._needs_loss()
        loss, gradients = self.engine.gradients(self._checked(fields, self.inputs | self.targets))
        return loss, {n: g.copy() for n, g in gradients.items()}

    @as_spec_error()
    def step(self, *, lr: float | None = None, **fields: Any) -> float:
        """One step of the first train block, or the one trained last, on a batch; returns the loss before it.

        `lr` overrides the base rate.
        """
        self._needs_training()
        rate = self._base_rates[self.engine.stage] if lr is None else lr
        return self.engine.step(self._checked(fields, self.inputs | self.targets), rate)

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
        """Train by the spec's train blocks, on their own data or on the arrays given ({input or target: array}); `epochs` is of each.

        `path` is what `--data` is on the command line. With a `run`, a new directory, the training is kept there; an interrupt then ends
        it between two steps. To `resume` goes on from there, to the same bits. Raises SpecError for data that does not fit (E3xx), a
        diverging loss (E401), and a run that cannot be written or gone on with (E54x).
        """
        from nnspec.train.data import Dataset

        self._needs_training()
        if epochs is not None and (not isinstance(epochs, int) or epochs < 1):
            raise fault("E106", f"epochs is a whole number from 1, not {epochs!r}")
        if data is None:
            datasets = self.datasets(path)
        else:
            ports, labels = self.inputs | self.targets, self._labels()
            trained = self._checked(data, ports, labels)
            dataset = Dataset(trained, self._checked(validation, ports, labels) if validation else None, None, labels)
            datasets = [dataset] * len(self.spec.trainings)
        written = self.spec
        try:
            self.spec = self.engine.spec = written.with_training(epochs=epochs, steps=None) if epochs else written
            return self.fit_datasets(datasets, progress, Path(run) if run else None, resume=resume, path=path)
        finally:
            self.spec = self.engine.spec = written

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
        if not all(t.leads_with_batch for t in self.inputs.values()):
            raise fault("E525", f"`{self.name}` has no batch to be trained on: it takes one set of inputs", help="`step` trains on that")
        self.labels = {**self.labels, **datasets[-1].labels}
        progress, choosing = progress or Progress(), self.engine_name == "auto"
        if folder is None:
            if resume:
                raise fault("E543", "there is no run to resume", help='say which one it is: `run="runs/digits-1"`')
            return fit(self.engine, datasets, progress, choosing=choosing)
        said = {**self._said(path), "data": fingerprints(datasets)}
        kept = resumed(folder, self.engine, said, choosing, progress.on_warning) if resume else begun(folder, self.engine, said)
        with kept as run:
            return fit(self.engine, datasets, progress, run, choosing=choosing)

    def _said(self, path: str | None = None) -> dict[str, Any]:
        """What a manifest says of the wishes of who trains."""
        asked = {"engine": self.engine_name, "device": self.device, "threads": self.threads, "data": path and str(Path(path).absolute())}
        return {"labels": self._labels(), "asked": asked}

    @as_spec_error()
    def datasets(self, path: str | None = None) -> list[Dataset]:
        """The data of every train block, checked and split, for `fit_datasets`; blocks that share their data share the arrays.

        Pixels may still be the bytes of their file, which NumPy takes for the fractions that they stand for.
        """
        self._needs_training()
        found: list[Dataset] = []
        trainings = self.spec.trainings
        for number, training in enumerate(trainings):
            same = number > 0 and training.parts == trainings[number - 1].parts
            found.append(found[-1] if same else self._data_of(training, path))
        return found

    @as_spec_error()
    def dataset(self, path: str | None = None) -> Dataset:
        """The data of the last train block, checked and split."""
        self._needs_training()
        return self._data_of(self.spec.trainings[-1], path).as_arrays()

    def _data_of(self, training: Training, path: str | None) -> Dataset:
        from nnspec.train.data import load as load_data

        return load_data(training, self.inputs, self.targets, self.spec.folder, path, self.spec.dtype, self.labels)

    @as_spec_error()
    def evaluate(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Loss and metrics over a whole data set: {"loss": .., "accuracy": ..}; an array for a metric that is more than one number."""
        from nnspec.train.loop import evaluate

        return evaluate(self.engine, self._checked(data, self.inputs | self.targets))

    @as_spec_error()
    def predict(self, data: Any) -> Any:
        """Outputs for many examples: from {input: array}, or from one array where there is one input (then one output gives one array)."""
        from nnspec.train.loop import predict

        single = not isinstance(data, Mapping)
        fields = dict(zip(self.inputs, [data], strict=True)) if single and len(self.inputs) == 1 else data
        outputs = predict(self.engine, self._checked(fields, self.inputs))
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
        int8: Dataset | None = None,
        pixels: Sequence[str] = (),
        measured: Mapping[str, Mapping[str, Any]] = {},
    ) -> Proof:
        """Write the inference graph as ONNX, after proving it equal to the reference; the proof says how equal.

        `outputs` are any values that the model names, where it is cut. The inputs `pixels` come as bytes, from 0 to 255. `half` writes
        half precision; `int8` is the data to calibrate 8-bit numbers on, and to judge them by. A card of the model, NAME.md, is written
        beside it; `measured` is what it says of metrics, by the part of the data.
        """
        from nnspec.deploy import export
        from nnspec.deploy.card import write_card
        from nnspec.deploy.interface import graph_of
        from nnspec.deploy.quantized import export_quantized
        from nnspec.train.checkpoint import metadata

        about = metadata(self.engine) | ({"labels": json.dumps(self._labels())} if self.labels else {})
        weights = {n: v.astype("float32") for n, v in {**self.params, **self.states}.items()}
        graph = graph_of(self._single, outputs, pixels)
        if int8:
            how: dict[str, Any] = {"outputs": tuple(outputs), "pixels": tuple(pixels), "metadata": about, "opset": opset}
            proof = export_quantized(self._single, self.engine, weights, int8.as_arrays(), Path(path), **how)
        else:
            proof = export(graph, weights, Path(path), metadata=about, opset=opset, half=half)
        write_card(proof, self._single, graph, labels=self.labels, steps=int(self.engine.steps_done), measured=measured)
        return proof

    @as_spec_error()
    def export_training(self, folder: str | Path, *, data: Sequence[Dataset] = (), opset: int = 21) -> TrainingProof:
        """Write the training itself as ONNX, after proving it equal to the reference: what a step does, and what else it takes to go on
        from here with any onnxruntime; with `data`, of every train block, what it trains on, too.

        Raises SpecError for a spec without a train block (E110), and for a folder that cannot be written (E504).
        """
        from nnspec.deploy.training import export_training, standing_of
        from nnspec.train.checkpoint import metadata

        self._needs_training()
        fields = [d.as_arrays().train for d in data]
        standing, labels = standing_of(self.engine), {**self.labels, **(data[-1].labels if data else {})}
        how: dict[str, Any] = {"metadata": metadata(self.engine), "data": fields, "labels": labels, "opset": opset}
        return export_training(self._single, standing, Path(folder), **how)

    @property
    def _single(self) -> Compilation:
        """The spec in single precision."""
        return self.spec if self.spec.dtype == "float32" else replace(self.spec, dtype="float32")

    @as_spec_error()
    def save(self, run: str | Path) -> Path:
        """Write a run directory that `nnspec.open` reads, or a further checkpoint into that of the same spec; returns its folder.

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
        with locked(folder):
            rundir.create(folder, self.spec)
            return commit(folder, int(engine.steps_done), engine.all_arrays(), {**manifest(engine), **self._said()})

    # ---- checks

    def _labels(self) -> dict[str, list[str]]:
        return {name: list(texts) for name, texts in self.labels.items()}

    def _checked(
        self, fields: Mapping[str, Any], ports: Mapping[str, Type], labels: dict[str, list[str]] | None = None
    ) -> dict[str, Array]:
        from nnspec.train.data import check

        for name in fields:
            if name not in ports:
                raise fault("E307", f"the model has no `{name}`", help=did_you_mean(name, ports))
        known = self._labels() if labels is None else labels
        return check(fields, ports, None, self.spec.dtype, known)

    def _needs_loss(self) -> None:
        if not self.spec.model.losses:
            raise fault("E110", "the model has no loss", self.spec.model.span)

    def _needs_training(self) -> None:
        self._needs_loss()
        if not self.spec.trainings:
            raise fault("E110", "this spec has no train block", self.spec.model.span)
