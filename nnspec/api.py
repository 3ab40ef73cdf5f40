"""The Python interface: where networks come from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from nnspec.arguments import needs
from nnspec.compile import Compilation
from nnspec.diagnostics import as_spec_error, fault, warn
from nnspec.net import Net
from nnspec.source import ONNX, folder_of, read_source, source_of

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

    Raises SpecError with every mistake of the spec. What is right by the rules and probably not meant is a warning of Python's.
    """
    needs("a spec is the path of a file, or a name of the gallery", (str, PathLike), spec, "`nnspec.loads` takes the text of one")
    if Path(spec).suffix == ONNX:
        from nnspec.imported import of_file

        return _warned_of_loss(Net(of_file(Path(spec), settings, dtype), engine, device, threads))
    return _warned(Net(Compilation(read_source(spec), _plain(settings), dtype or "float32", folder_of(spec)), engine, device, threads))


@as_spec_error()
def from_onnx(
    model: Any,
    *,
    target: str | Sequence[str] = (),
    loss: str = "",
    metric: str | Sequence[str] = (),
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
    the statistics of batch normalisation are states, which no training changes: it normalises with them, as torch does after `eval()`.
    `constants` are values for inputs that shapes depend on.

    `loss` is a formula of the language, or the name of an output that is one; `target` declares what it compares with, one or several;
    `metric` is a formula, or several; and `train` holds the lines of a train block. In them, what is no letter, digit or `_` in a name is
    written `_`, a digit that begins one gets a `_` before it, and a word of the language one behind it: `_297` is the output `297` of a
    model that was exported without names. What is doubtful in all this is a warning of Python's.

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

    if isinstance(model, str | Path):
        raise fault("E520", f"`{model}` is a path, and this takes the model itself", help=f'nnspec.load("{model}") reads a file')
    spec = compilation(check(model), model.graph.name or "model", dtype, Learning(target, loss, metric, train, constants))
    return _warned_of_loss(Net(spec, engine, device, threads))


@as_spec_error()
def loads(
    text: str, *, dtype: str = "float32", engine: str = "auto", device: str = "cpu", threads: int | None = None, **settings: Setting
) -> Net:
    """A network from the text of a spec, with warnings as `load` has them.

    >>> import nnspec
    >>> net = nnspec.loads("model Double { input x: []  output y = 2 * x }")
    >>> float(net(x=[21.0])["y"][0])
    42.0
    """
    needs("the text of a spec is a str", str, text)
    return _warned(Net(Compilation(source_of("<text>", text.encode()), _plain(settings), dtype), engine, device, threads))


@as_spec_error()
def open(run: str | Path) -> Net:
    """A trained network from its run directory.

    Raises SpecError (E503) when the directory holds no run, or no weights that can be read. That its training has not ended, or that
    something in it is damaged, is a warning of Python's.
    """
    from nnspec.train.checkpoint import restore
    from nnspec.train.rundir import doubts, opened

    needs("a run is the path of its directory", (str, PathLike), run)
    spec, checkpoint = opened(Path(run))
    for doubt in doubts(Path(run), spec, checkpoint):
        warn(doubt)
    net = Net(spec)
    restore(net.engine, checkpoint.arrays, checkpoint.manifest)
    said = checkpoint.manifest
    net.labels, net.means, net.data_path = said["labels"], said.get("means", {}), said["asked"]["data"]
    net.trained_on = said.get("data", ())
    return net


def _warned(net: Net) -> Net:
    """The network, once what is doubtful in its spec is said."""
    for doubt in net.spec.warnings:
        warn(doubt)
    return net


def _warned_of_loss(net: Net) -> Net:
    """The network of a model from elsewhere, once what is doubtful in what is to be learnt is said: not what the model itself is."""
    for doubt in net.spec.warnings if net.spec.model.losses else ():
        if doubt.span and doubt.span.source is net.spec.source:
            warn(doubt)
    return net


def _plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as the language has values: lists as tuples, NumPy's numbers as Python's."""

    def plain(value: Any) -> Any:
        value = value.tolist() if type(value).__module__ == "numpy" else value
        if isinstance(value, list | tuple):
            return tuple(map(plain, value))
        needs("a `let` is set to a number, truth or text, or a list of these", (int, float, str), value)
        return value

    return {name: plain(value) for name, value in settings.items()}
