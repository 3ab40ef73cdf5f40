"""onnxruntime, and the only home of it."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from nnspec.array import Array
from nnspec.diagnostics import fault
from nnspec.memory import is_exhausted

try:
    import onnxruntime
    from onnxruntime.capi import onnxruntime_pybind11_state as state
except ImportError as error:
    if is_exhausted(error):
        raise MemoryError from error
    help = "`pip install --force-reinstall onnxruntime` puts it in order; training with `--engine numpy` goes without it"
    raise fault("E508", f"onnxruntime cannot be imported: {error}", None, help=help) from None

VERSION: str = onnxruntime.__version__
FATAL_ONLY = 4
KINDS = {"tensor(float)": "float32", "tensor(double)": "float64"}  # the others are called as in NumPy
PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}

REFUSALS: tuple[type[Exception], ...] = (
    state.EPFail, state.Fail, state.InvalidArgument, state.InvalidGraph, state.InvalidProtobuf,
    state.NoSuchFile, state.NotImplemented, state.RuntimeException,
)  # fmt: skip
"""What onnxruntime raises for a model or a feed it does not take; the classes have no base of their own."""
ANYTHING: tuple[type[Exception], ...] = (*REFUSALS, RuntimeError)


class Session:
    """A model that runs on the processor, or on a graphics card.

    >>> Session(model.SerializeToString()).run({"x": x})["y"]
    """

    def __init__(
        self,
        model: bytes | str | Path,
        threads: int | None = None,
        *,
        optimise: bool = True,
        device: str = "cpu",
    ) -> None:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = FATAL_ONLY  # what it says of an error, the exception says too
        options.intra_op_num_threads = threads or 0
        level = onnxruntime.GraphOptimizationLevel
        options.graph_optimization_level = level.ORT_ENABLE_ALL if optimise else level.ORT_DISABLE_ALL
        content = model if isinstance(model, bytes) else str(model)
        providers = [PROVIDERS[d] for d in dict.fromkeys((device, "cpu"))]
        with _refusals():
            self._session = onnxruntime.InferenceSession(content, options, providers=providers, enable_fallback=0)
        self.device = device
        self.inputs = [i.name for i in self._session.get_inputs()]
        self.kinds = {i.name: KINDS.get(i.type, i.type[len("tensor(") : -1]) for i in self._session.get_inputs()}
        self.outputs = [o.name for o in self._session.get_outputs()]

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Every output by name."""
        with _refusals():
            values = self._session.run(self.outputs, dict(feeds))
        return dict(zip(self.outputs, values, strict=True))


@contextmanager
def _refusals() -> Iterator[None]:
    """A model is not refused because there is no memory for it; what onnxruntime gives no class of its own is a refusal, too."""
    try:
        yield
    except ANYTHING as error:
        if is_exhausted(error):
            raise MemoryError from error
        if isinstance(error, RuntimeError):
            raise state.RuntimeException(str(error)) from error
        raise


QUANTIZED = ("Conv", "ConvTranspose", "Gemm", "MatMul")


def quantized(model: bytes, nodes: Sequence[str], batches: Iterable[Mapping[str, Array]]) -> bytes:
    """The model with these nodes, all of them `QUANTIZED` ops, on 8-bit numbers, their ranges calibrated on batches of its inputs."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static  # half a second

    class Reader(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime has no types
        def __init__(self) -> None:
            self.batches = iter(batches)

        def get_next(self) -> Mapping[str, Array] | None:
            return next(self.batches, None)

    with TemporaryDirectory() as folder, _silent(logging.getLogger()):
        before, after = Path(folder) / "single.onnx", Path(folder) / "int8.onnx"
        before.write_bytes(model)
        # Weights of 7 bits: sums of two products of 8 bits overflow on processors without VNNI.
        how = {"activation_type": QuantType.QUInt8, "weight_type": QuantType.QInt8, "per_channel": True, "reduce_range": True}
        quantize_static(before, after, Reader(), quant_format=QuantFormat.QDQ, nodes_to_quantize=list(nodes), **how)
        return after.read_bytes()


@contextmanager
def _silent(logger: logging.Logger) -> Iterator[None]:
    """Without what the quantizer has to say of a preparation that our exporter has done already."""
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before


class Memory:
    """An array that a session reads or writes without a copy: itself on the processor, its twin on a graphics card."""

    def __init__(self, array: Array, device: str) -> None:
        self.array, self.shared = array, device == "cpu"
        self.value = onnxruntime.OrtValue.ortvalue_from_numpy(array, device, 0)

    def push(self) -> None:
        """Bring what is in the array to the device."""
        if not self.shared:
            self.value.update_inplace(self.array)

    def pull(self, array: Array) -> None:
        """Copy what the device has into an array."""
        if not self.shared:
            np.copyto(array, self.value.numpy())
        elif array is not self.array:
            np.copyto(array, self.array)

    def take(self, other: Memory) -> None:
        """Copy what another has."""
        if self.shared:
            np.copyto(self.array, other.array)
        else:
            self.value.update_inplace(other.value.numpy())


class Binding:
    """A session tied to memory: each input and output of it by name. What is read must not be written: the result would be wrong."""

    def __init__(self, session: Session, inputs: Mapping[str, Memory], outputs: Mapping[str, Memory]) -> None:
        assert not _addresses(inputs, session.inputs) & _addresses(outputs, session.outputs)
        self._kept = (inputs, outputs)  # onnxruntime has only the addresses
        self._run, self._binding = session._session.run_with_iobinding, session._session.io_binding()
        for name in session.inputs:
            self._binding.bind_ortvalue_input(name, inputs[name].value)
        for name in session.outputs:
            self._binding.bind_ortvalue_output(name, outputs[name].value)
        # An output that is an input onnxruntime does not write to the memory it is given.
        self._same = [(outputs[name], inputs[name]) for name in session.outputs if name in session.inputs]

    def run(self) -> None:
        self._run(self._binding)
        for output, value in self._same:
            output.take(value)


def _addresses(memory: Mapping[str, Memory], names: Sequence[str]) -> set[int]:
    return {memory[n].value.data_ptr() for n in names if memory[n].array.size}


def check_device(device: str) -> None:
    """A Fault (E507) where this onnxruntime cannot compute on the device."""
    if PROVIDERS[device] not in onnxruntime.get_available_providers():
        help_ = "install the package `onnxruntime-gpu` in its place, and CUDA and cuDNN with it; or leave out `--device`"
        raise fault("E507", f"the installed onnxruntime {VERSION} does not compute on {device}", help=help_)


def without_kernel(error: Exception) -> str | None:
    """The name of the node for which onnxruntime says that it has no implementation."""
    found = re.search(r"Could not find an implementation for .* node with name '([^']*)'", str(error))
    return found[1] if found else None
