"""A network that an engine computes: called, differentiated and judged."""

from __future__ import annotations

from collections.abc import Mapping
from threading import RLock
from typing import TYPE_CHECKING, Any, Self

from nnspec.compile import Compilation
from nnspec.diagnostics import as_spec_error, did_you_mean, fault
from nnspec.elaborate.training import MAX_SEED
from nnspec.live import LiveArrays
from nnspec.net.fed import Fed
from nnspec.run.alone import renew_at_fork

if TYPE_CHECKING:
    from nnspec.array import Array
    from nnspec.run.engine import Engine

ENGINES, DEVICES, DTYPES = ("auto", "numpy", "ort", "reference"), ("cpu", "cuda"), ("float32", "float64")

WHEN_MADE = ("engine_name", "device", "threads")


class Computed(Fed):
    """A network with the engine that it is computed by, made when first needed."""

    _made = False

    def __init__(self, compilation: Compilation, engine: str = "auto", device: str = "cpu", threads: int | None = None) -> None:
        for name, value, known in (("engine", engine, ENGINES), ("device", device, DEVICES), ("dtype", compilation.dtype, DTYPES)):
            if value not in known:
                raise ValueError(f"{name} is one of {known}, not {value!r}")
        if device != "cpu" and engine != "ort":
            raise ValueError(f"the engine {engine!r} computes on the processor only; `ort` can compute on {device}")
        if threads is not None and threads < 1:
            raise ValueError(f"threads are 1 or more, not {threads}")
        super().__init__(compilation.checked())
        self.engine_name, self.device, self.threads = engine, device, threads
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

    def __repr__(self) -> str:
        return f"<nnspec.Net {self.name}: {sum(v.size for v in self.params.values()):,} parameters>"

    @as_spec_error()
    def init(self, seed: int = 0) -> Self:
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


def _numbered(step: Any) -> int:
    """The number of a step that random formulas draw as in."""
    if not isinstance(step, int) or not 0 <= step <= MAX_SEED:
        raise fault("E106", f"`step` is a whole number from 0 to {MAX_SEED:,}, not {step!r}")
    return step
