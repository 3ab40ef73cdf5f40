"""An engine: parameters, gradients and optimizer states in one flat buffer each, and a program for every batch size.

`numpy` runs planned programs, with threads where that pays; `reference` walks the graph.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nnspec import step as steps
from nnspec.blas import use_threads
from nnspec.compile import Compilation
from nnspec.elaborate.primitives import SEED, STEP
from nnspec.elaborate.update import optimizer_states
from nnspec.elaborate.values import Owned
from nnspec.graph import Graph, Type
from nnspec.graph.types import BATCH_NAME
from nnspec.optimization import LR, T
from nnspec.plan.estimate import estimate
from nnspec.plan.shard import Cut
from nnspec.plan.shard import cut as cut_in_parts
from nnspec.run import reference
from nnspec.run.batches import check_reach, fill, shapes_of
from nnspec.run.flat import Flat
from nnspec.run.parts import PartedProgram, even_parts
from nnspec.run.program import Array, Program, ReferenceProgram, Runnable
from nnspec.run.team import cores
from nnspec.run.update import Buffers, Update
from nnspec.step import Phase
from nnspec.weights import read
from nnspec.wholedata import EXAMPLES

PHASE_SHIFT = 28  # steps of a training fit below; a draw has 32 bits
FEWEST_EXAMPLES = 4  # of a part of a batch
PROGRAMS: dict[str, Callable[..., Runnable]] = {"numpy": Program, "reference": ReferenceProgram}


def first_values(spec: Compilation, seed: int) -> dict[str, Array]:
    """What every parameter and state starts with: drawn from the seed, or read from its file."""
    drawn = reference.run(spec.initial, {SEED: seed, STEP: 0})
    return drawn | {name: read(path, saved) for name, (path, saved) in spec.saved.items()}


@dataclass(frozen=True)
class Bound:
    """A program, its inputs, the names of the outputs that are values of a batch, and the gradients, maybe in shares to be added up."""

    program: Runnable
    inputs: Mapping[str, Array]
    outputs: Sequence[str]
    grads: Sequence[Flat]

    @property
    def parted(self) -> bool:
        return isinstance(self.program, PartedProgram)


class Engine:
    """Runs the graphs of one compiled spec. `params` and `states` are live views by public name."""

    def __init__(self, compilation: Compilation, name: str = "numpy", threads: int | None = None) -> None:
        self.name, self.make_program = name, PROGRAMS[name]
        self.threads = 0 if name == "reference" else threads or cores()
        self.spec, self.dtype = compilation, compilation.dtype
        model = compilation.model
        self._params = Flat(_types(model.parameters), self.dtype)
        self._grads = Flat(_types(model.parameters), self.dtype)
        self._states = Flat(_types(model.states), self.dtype)
        self.params, self.states, self.gradient_views = self._params.views, self._states.views, self._grads.views
        self.seed, self.steps_done = np.zeros((), np.int64), np.zeros((), np.int64)
        self.stage, self.stage_start, self.losses = 0, 0, dict[str, float]()
        self._draw = np.zeros((), np.int64)
        self._programs: dict[tuple[Any, ...], Bound] = {}
        self._cuts: dict[str, Cut | None] = {}
        self._optimizer: dict[str, Flat] = {}
        self._updates: dict[tuple[Any, ...], Update] = {}
        self._lr, self._t = np.zeros((), self.dtype), np.zeros((), self.dtype)

    # ---- weights

    def initialise(self, seed: int) -> None:
        """Draw every parameter and state anew; optimizer states and step count start over."""
        for name, value in first_values(self.spec, seed).items():
            np.copyto((self.params | self.states)[name], value)
        self.seed[...] = seed
        self.steps_done[...] = 0
        self._turn_to(0)

    def begin(self, stage: int) -> None:
        """Go on with a train block: its optimizer starts afresh, unless the block is the one under way."""
        self._grads.buffer.fill(0)
        if stage != self.stage:
            self._turn_to(stage)

    def _turn_to(self, stage: int) -> None:
        if stage != self.stage:
            self._programs.clear()
            self._cuts.clear()
        self.stage, self.stage_start = stage, int(self.steps_done)
        self._optimizer.clear()
        self._updates.clear()

    def resume(self, stage: int, stage_start: int, steps_done: int, seed: int) -> None:
        """Stand where a checkpoint was taken, ready to be given its arrays."""
        self.steps_done[...], self.seed[...] = steps_done, seed
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

    def all_arrays(self) -> dict[str, Array]:
        """Everything a checkpoint keeps, by name: parameters, states, `optimizer/STATE/PARAMETER`."""
        optimizer = {f"optimizer/{s}/{n}": v for s in self._optimizer_starts() for n, v in self.optimizer_buffer(s).views.items()}
        return {**self.params, **self.states, **optimizer}

    def fit_states(self, fields: Mapping[str, Array]) -> None:
        """Set the states that are learnt from a whole data set at once."""
        if self.spec.fitting:
            for public, value in self._by_definition(self.spec.fitting, fields).items():
                np.copyto(self.states[public.removeprefix("state:")], value, "same_kind")

    # ---- running

    def outputs(self, fields: Mapping[str, Array], draw: int = 0) -> dict[str, Array]:
        """Outputs in use, not in training; valid until the next call. Another `draw` gives random formulas other numbers."""
        self._draw[...] = draw
        return self._values(self.spec.inference, "inference", fields)

    def evaluate(self, fields: Mapping[str, Array]) -> dict[str, Array]:
        """Loss and metrics of one batch, by public name, and what it gives to metrics of all of them; valid until the next call."""
        values = self._values(self.spec.evaluation, "evaluation", fields)
        return {n: values[n] for n in steps.outputs_of(self.spec.evaluation, "loss", "metric", EXAMPLES)}

    def metrics(self, examples: Mapping[str, Array]) -> dict[str, Array]:
        """The metrics that are no mean over examples, given what `evaluate` collected for them."""
        return self._by_definition(self.spec.metrics, examples)

    def _by_definition(self, graph: Graph, fields: Mapping[str, Array]) -> dict[str, Array]:
        """What is computed once, over a whole data set."""
        return reference.run(graph, {**self.params, **self.states, **fields, SEED: self.seed, STEP: 0})

    def gradients(self, fields: Mapping[str, Array]) -> tuple[float, dict[str, Array]]:
        """Mean loss of the spec and its gradients, without penalties; the gradients are live views."""
        self._draw[...] = self.steps_done
        bound = self._bound(self.spec.gradients, "gradients", fields)
        loss = self._gradients(bound, fields)
        for share in bound.grads[1:]:
            np.add(self._grads.buffer, share.buffer, self._grads.buffer)
        return loss, self.gradient_views

    def step(self, fields: Mapping[str, Array], lr: float) -> float:
        """One step of the train block, every phase in turn; the sum of the losses they minimise, each before its own update.

        `losses` then holds each of them by name. Every phase draws random numbers of its own.
        """
        done, total = int(self.steps_done), 0.0
        self.losses.clear()
        self._lr[...], self._t[...] = lr, done + 1 - self.stage_start
        for number, phase in enumerate(self.spec.stages[self.stage]):
            self._draw[...] = done + (number << PHASE_SHIFT)
            bound = self._bound(phase.objective, f"objective {number}", fields)
            update = self._update(phase, number, bound)
            update.look_ahead()
            total += self._gradients(bound, fields)
            update.run()
        self.steps_done += 1
        return total

    def _gradients(self, bound: Bound, fields: Mapping[str, Array]) -> float:
        """Run a program for losses, gradients and new states; the first loss."""
        values = self._run(bound, fields)
        self.losses |= {n.removeprefix("loss:"): float(values[n]) for n in values if n.startswith("loss:")}
        return float(values["loss"])

    def _update(self, phase: Phase, number: int, bound: Bound) -> Update:
        key = number, *map(id, bound.grads)
        if key not in self._updates:
            states = {s: self.optimizer_buffer(s) for s in self._optimizer_starts()}
            buffers = Buffers(self._params, bound.grads, states, {LR: self._lr, T: self._t})
            self._updates[key] = Update(phase, self.make_program, buffers, self.threads)
        return self._updates[key]

    def _values(self, graph: Graph, kind: str, fields: Mapping[str, Array]) -> dict[str, Array]:
        return self._run(self._bound(graph, kind, fields), fields)

    def _run(self, bound: Bound, fields: Mapping[str, Array]) -> dict[str, Array]:
        for name, array in bound.inputs.items():
            fill(array, fields, name)
        use_threads(1 if bound.parted else max(1, self.threads))
        bound.program.run()
        return {public: bound.program.output(public) for public in bound.outputs}

    def _bound(self, graph: Graph, kind: str, fields: Mapping[str, Array]) -> Bound:
        """The program of a graph for a batch of this shape."""
        key = (kind, *shapes_of(fields))
        if key not in self._programs:
            sizes = reference.sizes_of(self.spec.model.inputs | self.spec.model.targets, fields)
            check_reach(graph, sizes)
            self._programs[key] = self._bind(graph, kind, sizes)
        return self._programs[key]

    def _bind(self, graph: Graph, kind: str, sizes: Mapping[str, int]) -> Bound:
        ports = [n for n in graph if n.op.name == "input" and n.name not in (SEED, STEP)]
        inputs = {n.name: np.empty(n.type.bound(sizes).numbers, n.type.dtype) for n in ports}
        memory = {**self._memory(), **inputs}
        given = {f"grad:{n}": f"grad:{n}" for n in self.params} | {f"state:{n}": n for n in self.states}
        given = {n: m for n, m in given.items() if n in graph.outputs}
        values = [public for public in graph.outputs if public not in given]
        parts = even_parts(sizes[BATCH_NAME], max(1, min(self.threads, sizes[BATCH_NAME] // FEWEST_EXAMPLES)))
        cut = self._cut(graph, kind) if len(parts) > 1 and self._pays(graph, sizes, len(parts)) else None
        if cut is None:
            return Bound(self.make_program(graph, sizes, memory, given), inputs, values, [self._grads])
        grads = [self._grads, *(Flat(_types(self.spec.model.parameters), self.dtype) for _ in parts[1:])]
        shares = [{f"grad:{n}": view for n, view in flat.views.items()} for flat in grads]
        return Bound(PartedProgram(cut, sizes, memory, given, parts, shares, len(parts)), inputs, values, grads)

    def _cut(self, graph: Graph, kind: str) -> Cut | None:
        if kind not in self._cuts:
            self._cuts[kind] = cut_in_parts(graph, [public for public in graph.outputs if public.startswith("grad:")])
        return self._cuts[kind]

    def _pays(self, graph: Graph, sizes: Mapping[str, int], parts: int) -> bool:
        """Whether parts of the batch on a thread each should be faster than threads for the matrix products only."""
        time, shares = estimate(graph, sizes), self._params.buffer.nbytes if "loss" in graph.outputs else 0
        return time.in_parts(parts, shares) < time.alone(parts)

    def _memory(self) -> dict[str, Array]:
        grads = {f"grad:{n}": v for n, v in self.gradient_views.items()}
        return {**self.params, **self.states, **grads, SEED: self.seed, STEP: self._draw}


def _types(owned: Mapping[str, Owned]) -> dict[str, Type]:
    return {n: o.type for n, o in owned.items()}
