"""An engine: parameters, gradients and optimizer states in one flat buffer each, and a program for every batch size.

`numpy` runs planned programs, with threads where that pays; `reference` walks the graph; `ort` runs sessions of onnxruntime, a whole step
as one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
from threading import RLock
from typing import TYPE_CHECKING, Any

import numpy as np

from nnspec.array import Array
from nnspec.compile import Compilation
from nnspec.elaborate.primitives import SEED, STEP
from nnspec.elaborate.update import optimizer_states
from nnspec.elaborate.values import Owned
from nnspec.graph import Graph, Type, outputs_of
from nnspec.optimization import LR, T
from nnspec.record import dataclass
from nnspec.rewrite.planes import with_planes
from nnspec.run import reference
from nnspec.run.alone import alone, renew_at_fork
from nnspec.run.batches import fill, shapes_of
from nnspec.run.fitting import fitted
from nnspec.run.flat import Flat
from nnspec.run.normal import drop_small
from nnspec.run.planned import Bound, Planner
from nnspec.run.program import Program, ReferenceProgram, Runnable
from nnspec.run.reach import check_reach
from nnspec.run.recent import Recent
from nnspec.run.team import cores
from nnspec.run.update import Buffers, Update
from nnspec.step import Phase
from nnspec.weights import read
from nnspec.wholedata import EXAMPLES

if TYPE_CHECKING:
    from nnspec.run.session import Sets

PHASE_SHIFT = 28  # steps of a training fit below; a draw has 32 bits
DROPPED_EVERY = 16
"""Steps after which states are looked through for numbers too small to be normal ones, which threads of BLAS go on computing with."""
PROGRAMS: dict[str, Callable[..., Runnable]] = {"numpy": Program, "reference": ReferenceProgram}
TARGETS = ("grad", "state", "param", "opt")
"""The kinds of results that have a place in an engine's memory."""


@dataclass(frozen=True)
class Step:
    """A phase for batches of a shape: the memory it is bound to, and what runs it and gives its loss."""

    bound: Bound
    run: Callable[[Mapping[str, Array]], float]


def first_values(spec: Compilation, seed: int) -> dict[str, Array]:
    """What every parameter and state starts with: drawn from the seed, read from its file, or what it came with."""
    there = dict(spec.weights) | {name: read(path, saved) for name, (path, saved) in spec.saved.items()}
    return there | reference.run(spec.initial, {SEED: seed, STEP: 0}, [n for n in spec.initial.outputs if n not in there])


class Engine:
    """Runs the graphs of one compiled spec. `params` and `states` are live views by public name.

    Threads take turns at it; who reads what a call leaves in its memory, or needs several calls, holds the `lock` for so long.
    """

    def __init__(self, compilation: Compilation, name: str = "numpy", threads: int | None = None, device: str = "cpu") -> None:
        self.device, self.lock = device, RLock()
        renew_at_fork(self, "lock")
        self.spec, self.dtype = compilation, compilation.dtype
        model = compilation.model
        self._params = Flat(_types(model.parameters), self.dtype)
        self._grads = Flat(_types(model.parameters), self.dtype)
        self._states = Flat(_types(model.states), self.dtype)
        self.gradient_views = self._grads.views
        self.seed, self.steps_done = np.zeros((), np.int64), np.zeros((), np.int64)
        self.stage, self.stage_start, self.losses = 0, 0, dict[str, float]()
        self._draw = np.zeros((), np.int64)
        self.unstepped = 0  # how often gradients were taken by themselves, each time with other random numbers
        self._programs: dict[tuple[Any, ...], Bound] = Recent()
        self._optimizer: dict[str, Flat] = {}
        self._updates: dict[tuple[Any, ...], Update] = Recent()
        self._steps: dict[tuple[Any, ...], Step] = Recent()
        self._lr, self._t = np.zeros((), self.dtype), np.zeros((), self.dtype)
        self.choice = ""  # what was said of it, where an engine was chosen among several
        self.asked_threads = threads
        self._sets: Sets | None = None
        self.use(name)

    @alone
    def use(self, name: str) -> None:
        """Compute with another engine from now on; everything stays where it is."""
        self.settle()
        self.name, self._sets = name, None
        self.threads = (self.asked_threads or cores()) if name == "numpy" else 0
        types = _types(self.spec.model.parameters)
        if name == "ort":
            self._planner = self._sessions(types)
        else:
            exact = self.asked_threads is not None
            arrange = with_planes if name == "numpy" else None
            self._planner = Planner(PROGRAMS[name], self.threads, self._grads, types, exact=exact, arrange=arrange)
        self._programs.clear()
        self._updates.clear()
        self._steps.clear()

    def _sessions(self, types: Mapping[str, Type]) -> Planner:
        from nnspec.run.ort import check_device  # a tenth of a second that the other engines need not wait
        from nnspec.run.session import SessionPlanner, Sets

        check_device(self.device)
        self._sets = Sets(self.device)
        return SessionPlanner(self._sets, self.asked_threads or cores(), self._grads, types)

    # ---- weights

    @property
    def params(self) -> dict[str, Array]:
        self.settle()
        return self._params.views

    @property
    def states(self) -> dict[str, Array]:
        self.settle()
        return self._states.views

    @alone
    def settle(self) -> None:
        """Have every array hold its value of now; where steps leave that to be done, whoever looks at one through the engine does it."""
        if self._sets:
            self._sets.settle()

    @alone
    def initialise(self, seed: int) -> None:
        """Draw every parameter and state anew; optimizer states and step count start over."""
        for name, value in first_values(self.spec, seed).items():
            np.copyto((self.params | self.states)[name], value)
        self.seed[...] = seed
        self.steps_done[...], self.unstepped = 0, 0
        self._turn_to(0)

    @alone
    def begin(self, stage: int) -> None:
        """Go on with a train block: its optimizer starts afresh, unless the block is the one under way."""
        self._grads.buffer.fill(0)
        if stage != self.stage:
            self._turn_to(stage)

    def _turn_to(self, stage: int) -> None:
        self.settle()
        if stage != self.stage:
            self._planner.forget()
        if stage != self.stage or self._sets:
            self._programs.clear()
        if self._sets:
            self._sets.forget()  # the optimizer's memory goes
        self.stage, self.stage_start = stage, int(self.steps_done)
        self._optimizer.clear()
        self._updates.clear()
        self._steps.clear()

    @alone
    def resume(self, stage: int, stage_start: int, steps_done: int, seed: int) -> None:
        """Stand where a checkpoint was taken, ready to be given its arrays."""
        self.steps_done[...], self.seed[...], self.unstepped = steps_done, seed, 0
        self._turn_to(stage)
        self.stage_start = stage_start

    def optimizer_buffer(self, state: str) -> Flat:
        if state not in self._optimizer:
            self._optimizer[state] = Flat(_types(self.spec.model.parameters), self.dtype, self._optimizer_starts()[state])
        return self._optimizer[state]

    def _optimizer_starts(self) -> dict[str, float]:
        trainings = self.spec.trainings
        optimizer = trainings[self.stage].optimizer if trainings else None
        return optimizer_states(optimizer) if optimizer else {}

    @alone
    def all_arrays(self) -> dict[str, Array]:
        """Everything a checkpoint keeps, by name: parameters, states, `optimizer/STATE/PARAMETER`."""
        self.settle()
        optimizer = {f"optimizer/{s}/{n}": v for s in self._optimizer_starts() for n, v in self.optimizer_buffer(s).views.items()}
        return {**self.params, **self.states, **optimizer}

    @alone
    def copies(self) -> dict[str, Array]:
        """The same as they are now, whatever is trained later."""
        return {n: v.copy() for n, v in self.all_arrays().items()}

    @alone
    def put(self, arrays: Mapping[str, Array]) -> None:
        """Have again what they were."""
        for name, array in self.all_arrays().items():
            np.copyto(array, arrays[name])

    @alone
    def fit_states(self, fields: Mapping[str, Array]) -> None:
        """Set the states that are learnt from a whole data set at once."""
        if self.spec.fitting:
            own = {**self.params, **self.states, SEED: self.seed, STEP: 0}
            for public, value in fitted(self.spec.fitting, fields, own).items():
                np.copyto(self.states[public.removeprefix("state:")], value, "same_kind")

    # ---- running

    @alone
    def outputs(self, fields: Mapping[str, Array], draw: int = 0) -> dict[str, Array]:
        """Outputs in use, not in training; valid until the next call. Another `draw` gives random formulas other numbers."""
        program = self._in_use(self.spec.inference, "inference", fields, draw)
        return {n: program.output(n) for n in self.spec.inference.outputs}

    @alone
    def evaluate(self, fields: Mapping[str, Array], draw: int = 0) -> dict[str, Array]:
        """Loss and metrics of one batch, by public name, and what it gives to metrics of all of them; valid until the next call.

        Another `draw` gives random formulas other numbers.
        """
        program = self._in_use(self.spec.evaluation, "evaluation", fields, draw)
        return {n: program.output(n) for n in outputs_of(self.spec.evaluation, "loss", "metric", EXAMPLES)}

    @alone
    def metrics(self, fields: Mapping[str, Array], examples: Mapping[str, Array], graph: Graph) -> dict[str, Array]:
        """The metrics of these fields that are no mean over examples, from their graph and what was collected for it."""
        known = {**self.params, **self.states, **examples, SEED: self.seed, STEP: 0}
        return reference.run(graph, known, sizes=self._sizes(fields))

    @alone
    def gradients(self, fields: Mapping[str, Array], draw: int | None = None) -> tuple[float, dict[str, Array]]:
        """Mean loss of the spec and its gradients, without penalties; the gradients are live views.

        Random formulas draw as in the step of this number, or else anew in each call, as they do in each step.
        """
        self._draw[...] = self.steps_done + self.unstepped if draw is None else draw
        bound = self._bound(self.spec.gradients, "gradients", fields)
        loss = self._losses(bound, outputs_of(self.spec.gradients, "loss"), fields)
        for share in bound.grads[1:]:
            np.add(self._grads.buffer, share.buffer, self._grads.buffer)
        self.unstepped += draw is None
        self.settle()
        return loss, self.gradient_views

    @alone
    def step(self, fields: Mapping[str, Array], lr: float, *, settled: bool = True) -> float:
        """One step of the train block, every phase in turn; the sum of the losses they minimise, each before its own update.

        `losses` then holds each of them by name. Every phase draws random numbers of its own. A loop that looks at no weight between its
        steps need not have each of them settled.
        """
        done, total = int(self.steps_done), 0.0
        self.losses.clear()
        self._lr[...], self._t[...] = lr, done + 1 - self.stage_start
        for number, phase in enumerate(self.spec.stages[self.stage]):
            self._draw[...] = done + (number << PHASE_SHIFT)
            total += self._of_phase(number, phase, fields).run(fields)
        self.steps_done[...] = done + 1
        if (done + 1) % DROPPED_EVERY == 0:
            self._drop_small()
        if settled:
            self.settle()
        return total

    def _drop_small(self) -> None:
        for flat in self._optimizer.values() if self.threads and not self._sets else ():
            drop_small(flat.buffer)

    @alone
    def place(self, fields: Mapping[str, Array]) -> dict[str, Array]:
        """A batch where this train block reads batches of its shape: a step on what this gives copies nothing."""
        inputs = self._of_phase(0, self.spec.stages[self.stage][0], fields).bound.inputs
        for name, array in inputs.items():
            fill(array, fields, name)
        return {**fields, **inputs}

    def _of_phase(self, number: int, phase: Phase, fields: Mapping[str, Array]) -> Step:
        """What runs a phase on batches of this shape and gives its loss."""
        key = number, *shapes_of(fields)
        if key not in self._steps:
            graph = self._whole(phase, fields)
            self._steps[key] = self._in_two(number, phase, fields) if graph is None else self._in_one(number, graph, fields)
        return self._steps[key]

    def _whole(self, phase: Phase, fields: Mapping[str, Array]) -> Graph | None:
        """The graph of a phase with its update, where that is run as one program."""
        watched = phase.training.stop is not None and phase.training.stop.grad is not None
        if self._sets:
            return None if self._has_parts(phase, fields) else phase.watched if watched else phase.folded
        return phase.folded if self.threads and not watched and phase.folds and not self._has_parts(phase, fields) else None

    def _has_parts(self, phase: Phase, fields: Mapping[str, Array]) -> bool:
        return len(self._planner.parts(phase.objective, self._sizes(fields))) > 1

    def _in_one(self, number: int, graph: Graph, fields: Mapping[str, Array]) -> Step:
        self._optimizer_buffers()
        bound = self._bound(graph, f"step {number}", fields)
        return Step(bound, partial(self._losses, bound, outputs_of(graph, "loss")))

    def _in_two(self, number: int, phase: Phase, fields: Mapping[str, Array]) -> Step:
        """Gradients, and the update over flat buffers."""
        bound = self._bound(phase.objective, f"objective {number}", fields)
        update = self._update(phase, number, bound)
        losses = outputs_of(phase.objective, "loss")

        def run(fields: Mapping[str, Array]) -> float:
            self.settle()
            update.look_ahead()
            loss = self._losses(bound, losses, fields)
            update.run()
            return loss

        return Step(bound, run)

    def _update(self, phase: Phase, number: int, bound: Bound) -> Update:
        key = number, *map(id, bound.grads)
        if key not in self._updates:
            buffers = Buffers(self._params, bound.grads, self._optimizer_buffers(), {LR: self._lr, T: self._t})
            self._updates[key] = Update(phase, PROGRAMS.get(self.name, Program), buffers, self._planner.threads)
        return self._updates[key]

    def _optimizer_buffers(self) -> dict[str, Flat]:
        return {s: self.optimizer_buffer(s) for s in self._optimizer_starts()}

    def _losses(self, bound: Bound, losses: Iterable[str], fields: Mapping[str, Array]) -> float:
        """The loss of a program whose other results go to their places in memory."""
        program = bound.run(fields)
        self.losses |= {n.removeprefix("loss:"): float(program.output(n)) for n in losses if n != "loss"}
        return float(program.output("loss"))

    def _in_use(self, graph: Graph, kind: str, fields: Mapping[str, Array], draw: int) -> Runnable:
        """The program of a graph that is not differentiated, once it has run."""
        self.settle()
        self._draw[...] = draw
        return self._bound(graph, kind, fields).run(fields)

    def _bound(self, graph: Graph, kind: str, fields: Mapping[str, Array]) -> Bound:
        """The program of a graph for a batch of this shape."""
        key = (kind, *shapes_of(fields))
        if key not in self._programs:
            sizes = self._sizes(fields)
            check_reach(graph, sizes)
            kept: Collection[str] = outputs_of(graph, *TARGETS)
            self._programs[key] = self._planner.bind(graph, sizes, self._memory(), kept)
        return self._programs[key]

    def _sizes(self, fields: Mapping[str, Array]) -> dict[str, int]:
        return reference.sizes_of(self.spec.model.ports, fields)

    def _memory(self) -> dict[str, Array]:
        grads = {f"grad:{n}": v for n, v in self.gradient_views.items()}
        optimizer = {f"{n}.{s}": v for s, flat in self._optimizer.items() for n, v in flat.views.items()}
        numbers = {SEED: self.seed, STEP: self._draw, LR: self._lr, T: self._t}
        return {**self._params.views, **self._states.views, **grads, **optimizer, **numbers}


def _types(owned: Mapping[str, Owned]) -> dict[str, Type]:
    return {n: o.type for n, o in owned.items()}
