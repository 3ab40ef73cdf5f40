"""The whole compiler on one page: source -> ast -> model graph -> stable -> gradients -> step, each stage lazy and typed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nnspec import lint
from nnspec.compile import mistakes, starts
from nnspec.diagnostics import Diagnostic, Source, SpecError, fault
from nnspec.elaborate.derived import derived_by
from nnspec.elaborate.initial import initial_values
from nnspec.elaborate.lets import evaluate_lets
from nnspec.elaborate.library import Definitions, add_definitions
from nnspec.elaborate.model import Model, elaborate_model
from nnspec.elaborate.phases import losses_of, trained_by
from nnspec.elaborate.report import TableRow, table
from nnspec.elaborate.scope import Scope
from nnspec.elaborate.training import Training, elaborate_training
from nnspec.elaborate.values import POISON, Saved
from nnspec.files import nearly
from nnspec.graph import Graph, Type, outputs_of
from nnspec.lazy import Module
from nnspec.record import dataclass
from nnspec.rewrite import AFTER_GRADIENTS, BEFORE_GRADIENTS, STABLE, rewrite
from nnspec.source import Imports
from nnspec.syntax import ast
from nnspec.syntax.ast import Definition
from nnspec.syntax.ast import Test as TestBlock
from nnspec.syntax.parser import parse

if TYPE_CHECKING:
    from nnspec import step, wholedata
    from nnspec.elaborate import answers as answering
    from nnspec.elaborate import tests as testing
    from nnspec.elaborate.answers import Answer, Continuation
    from nnspec.elaborate.given import Given
    from nnspec.elaborate.tests import Tests
    from nnspec.rewrite import absorb, factors, steps
    from nnspec.step import Phase
else:  # a check needs few of them
    step, wholedata = Module("nnspec.step"), Module("nnspec.wholedata")
    answering, testing = Module("nnspec.elaborate.answers"), Module("nnspec.elaborate.tests")
    absorb, factors, steps = Module("nnspec.rewrite.absorb"), Module("nnspec.rewrite.factors"), Module("nnspec.rewrite.steps")


@dataclass(frozen=True, eq=False)
class Compilation:
    """One spec on its way from text to a training step; `settings` override its `let` values, `changes` its train blocks' settings.

    The last model of a file is what it is about; `part` names another one to look at by itself. A model that came as a graph is `given`
    for a kind of float, and the source says what is to be learnt from it. Files that an editor has `opened` are imported as they are there;
    what it has `kept` of the versions before this one is not elaborated again.
    """

    source: Source
    settings: Mapping[str, str | int | float | bool]
    dtype: str = "float32"
    folder: Path = Path()
    changes: Mapping[str, Any] = field(default_factory=dict)
    imports_from: Path | None = None
    part: str = ""
    given: Callable[[str], Given] | None = None
    opened: Mapping[Path, str] = field(default_factory=dict)
    kept: dict[Any, Any] | None = None

    def __getstate__(self) -> dict[str, Any]:
        """For `pickle`: what it was made from, of which all else follows."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    @cached_property
    def parsed(self) -> tuple[ast.Spec, list[Diagnostic]]:
        return parse(self.source)

    @cached_property
    def imports(self) -> Imports:
        """The files that the spec imports, from its folder or where a run keeps them."""
        return Imports(self.imports_from or self.folder, self.shown, opened=self.opened).gather(self.parsed[0])

    @property
    def shown(self) -> Path:
        """The folder of what is imported, as a person who named the spec knows it."""
        return self.imports_from or Path(self.source.name).parent

    @cached_property
    def ast(self) -> ast.Spec:
        """The spec with what it imports."""
        return self.imports.joined(self.parsed[0])

    @cached_property
    def names(self) -> tuple[Scope, Definitions, list[Diagnostic]]:
        """What the file's own `let` values and definitions are."""
        scope = Scope(names=dict.fromkeys(self.ast.lost, POISON))
        definitions = Definitions(derived_by=derived_by(self.ast), kept=self.kept)
        twice = add_definitions(definitions.own, self.ast, scope)
        return scope, definitions, twice + evaluate_lets(self.ast, definitions, scope, self.settings)

    @property
    def imported(self) -> frozenset[str]:
        """The names that other files define for this one."""
        others = (d for spec in self.imports.specs for d in spec.definitions)
        return frozenset(d.name.id for d in others if isinstance(d, ast.Definition | ast.Let))

    @property
    def definitions(self) -> Definitions:
        return self.names[1]

    @cached_property
    def inference_model(self) -> tuple[Model, list[Diagnostic]]:
        return self._model()

    @cached_property
    def training_model(self) -> tuple[Model, list[Diagnostic]]:
        """The model in training, which is the one in use where nothing asks what it is."""
        return self._model(training=True) if self.inference_model[0].asks else self.inference_model

    @cached_property
    def fitting_model(self) -> tuple[Model, list[Diagnostic]] | None:
        """The model before the whole training data, in float64; only where a definition asks if it is."""
        return self._model(fitting=True, dtype="float64") if self.inference_model[0].fits else None

    def _model(self, **how: Any) -> tuple[Model, list[Diagnostic]]:
        if not self.models:
            raise fault("E110", "there is no model in this spec", None, help="write `model Name { ... }`")
        return self.elaborated(self.part or self.models[-1].name.id, **how)

    @cached_property
    def parts(self) -> list[tuple[Model, list[Diagnostic]]]:
        """The models before the last, but for those with parameters that have no value: what these are shows where they are used."""
        alone = (m for m in self.models[:-1] if all(p.default is not None for p in m.parameters))
        return [self.elaborated(m.name.id) for m in alone]

    @property
    def models(self) -> list[Definition]:
        return list(self.ast.all("model"))

    def elaborated(self, name: str, *, training: bool = False, fitting: bool = False, dtype: str = "") -> tuple[Model, list[Diagnostic]]:
        """A model of the file."""
        function = self.definitions.own["model", name]
        kind = dtype or self.dtype
        given = self.given(kind) if self.given else None
        return elaborate_model(function, self.definitions, training=training, fitting=fitting, dtype=kind, given=given)

    @property
    def weights(self) -> Mapping[str, Any]:
        """The values that parameters and states came with."""
        return self.given(self.dtype).weights if self.given else {}

    @property
    def labels(self) -> Mapping[str, Sequence[str]]:
        """What class numbers stand for, of a model that came with it."""
        return self.given(self.dtype).labels if self.given else {}

    @cached_property
    def answers(self) -> Mapping[str, Answer]:
        """Which outputs say which targets."""
        return self.answers_of(outputs_of(self.model.graph, "output"))

    def answers_of(self, outputs: Mapping[str, str]) -> dict[str, Answer]:
        """The same for any values of the model, by public name; a model that came with answers keeps them."""
        given = self.given(self.dtype).answers if self.given else {}
        own = answering.answers(self._beside_measures(outputs), self.model.targets)
        return {**{n: a for n, a in given.items() if f"output:{n}" in outputs}, **own}

    def _beside_measures(self, outputs: Mapping[str, str]) -> Graph:
        """Values of the model with the losses and metrics that compare them."""
        return self.model.graph.only({**outputs, **outputs_of(self.model.graph, "loss", "metric")})

    def continuations_of(self, outputs: Mapping[str, str]) -> dict[str, Continuation]:
        """What such values say that the one input, a sequence of classes, goes on with; a model that came with it keeps it."""
        given = self.given(self.dtype).continuations if self.given else {}
        kept = {n: c for n, c in given.items() if n in self.model.inputs and f"output:{c.output}" in outputs}
        if kept or len(self.model.inputs) != 1:
            return kept
        ((name, type),) = self.model.inputs.items()
        classes = type.classes if type.rank == 2 else None
        output = answering.next_of(self._beside_measures(outputs), self.model.targets, classes) if classes else None
        return {name: answering.Continuation(output, self._characters)} if output else {}

    @property
    def _characters(self) -> int | None:
        """How many characters of a text an example of the training has."""
        source = self.trainings[-1].data if self.trainings else None
        return int(source.options["window"]) if source and source.name == "text" else None

    @property
    def means(self) -> Mapping[str, Any]:
        """What stands for missing values, of a model that came with it."""
        return self.given(self.dtype).means if self.given else {}

    @cached_property
    def train_blocks(self) -> tuple[tuple[Training, ...], list[Diagnostic]]:
        """The train blocks, in the order in which they run."""
        found: list[Training] = []
        diagnostics: list[Diagnostic] = []
        for block in (d for d in self.ast.definitions if isinstance(d, ast.Train) and not self.part):
            training, wrong = elaborate_training(block, self.definitions, self.names[0], found[-1] if found else None)
            found.append(training)
            diagnostics += wrong + _named_twice(block, found)
        return tuple(replace(t, **self.changes) for t in found), diagnostics

    @cached_property
    def tests(self) -> tuple[Tests, list[Diagnostic]]:
        """The test blocks of the model, asked of an elaboration of it in float64."""
        blocks = [b for b in self.test_blocks if b.model.id == self.model.name]
        model = self._model(dtype="float64")[0] if blocks else self.model
        return testing.elaborate_tests(blocks, model, self.definitions)

    @property
    def test_blocks(self) -> list[TestBlock]:
        return [d for d in self.ast.definitions if isinstance(d, ast.Test)]

    def of(self, model: str) -> Compilation:
        """The spec as if it were about another of its models, which has no training."""
        return self if model == self.model.name else replace(self, part=model)

    @property
    def is_library(self) -> bool:
        """Whether the file only defines what others import."""
        return not self.models and not any(isinstance(d, ast.Train | ast.Test) for d in self.parsed[0].definitions)

    @cached_property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """Everything that is wrong with the spec, in the order of the file."""
        return mistakes.all_of(self)

    @property
    def first_diagnostics(self) -> tuple[Diagnostic, ...]:
        """Those of them that show in the model in use, which are found in half the time."""
        return mistakes.first_of(self)

    @property
    def mistakes_of_library(self) -> tuple[Diagnostic, ...]:
        """What is wrong with such a file, which needs no model."""
        return mistakes.of_library(self)

    @cached_property
    def warnings(self) -> tuple[Diagnostic, ...]:
        """What is right by the rules of a spec without mistakes, and probably not meant."""
        return () if self.diagnostics else tuple(self.doubts)

    @cached_property
    def doubts(self) -> list[Diagnostic]:
        """What the checks of a whole network say; some of it is a mistake."""
        training = rewrite(self.training_model[0].graph, "stability", "algebra")
        return lint.warnings(lint.Network(self.model, training, self.trainings, self.definitions, self.saved, self.files, self._nearly))

    def _nearly(self, path: str) -> str | None:
        """What lies in the spec's folder nearly where a path leads nowhere; a run takes nothing from there."""
        return None if self.imports_from else nearly(self.folder / path)

    def checked(self) -> Compilation:
        """Itself, or SpecError with everything that is wrong."""
        if self.diagnostics:
            raise SpecError(self.diagnostics)
        return self

    # ---- the stages of a spec without mistakes

    @property
    def model(self) -> Model:
        return self.inference_model[0]

    @property
    def trainings(self) -> tuple[Training, ...]:
        return self.train_blocks[0]

    @cached_property
    def parameter_types(self) -> dict[str, Type]:
        return {n: o.type for n, o in self.model.parameters.items()}

    @property
    def table(self) -> list[TableRow]:
        return table(self.model.facts, self.model.rows)

    @property
    def graph(self) -> Graph:
        """The inference graph as written: what the outputs need."""
        return self.model.graph.only(outputs_of(self.model.graph, "output"), self.model.name)

    @cached_property
    def inputs_in_use(self) -> dict[str, Type]:
        """The inputs that outputs are made of, and not only losses and metrics; all of them where outputs are made of none."""
        inputs = self.model.inputs
        return {name: type for name, type in inputs.items() if name in self.graph.nodes} or inputs

    @cached_property
    def inference(self) -> Graph:
        """The inference graph after the rules."""
        return _in_use(self.graph)

    @property
    def deployed(self) -> Graph:
        """The inference graph for other runtimes: no rule that is only for our own engines."""
        return rewrite(self.graph, *STABLE)

    @property
    def evaluation(self) -> Graph:
        """Outputs, loss and metrics of a batch, as in use and not as in training; and for `metrics` what they read of each example."""
        return self._evaluation[0]

    @property
    def metrics(self) -> Graph:
        """The metrics that are no mean over examples, given what `evaluation` collects for them over a whole data set."""
        return self._evaluation[1]

    @cached_property
    def _evaluation(self) -> tuple[Graph, Graph]:
        return wholedata.split(_in_use(self.model.graph))

    @cached_property
    def fitting(self) -> Graph | None:
        """From the whole training data to the states that are learnt from it before the first step."""
        if self.fitting_model is None:
            return None
        graph = self.fitting_model[0].graph
        return rewrite(graph.only(outputs_of(graph, "state")), *BEFORE_GRADIENTS)

    @cached_property
    def stable(self) -> Graph:
        """The training graph after the rules and before the gradients."""
        return factors.lighter(rewrite(self.training_model[0].graph, *BEFORE_GRADIENTS))

    @cached_property
    def gradients(self) -> Graph:
        """Loss, new states and the gradient of the loss for every parameter, without penalties."""
        return steps.rewrite_step(step.add_gradients(self.stable, self.parameter_types, ()))

    @cached_property
    def stages(self) -> tuple[tuple[Phase, ...], ...]:
        """What each step does, for every train block: usually one phase, more where `minimize` lines alternate."""
        return tuple(self._phases(t) for t in self.trainings)

    def _phases(self, training: Training) -> tuple[Phase, ...]:
        losses = [losses_of(p, self.model.losses) for p in training.phases]
        types = [{n: self.parameter_types[n] for n in trained_by(p, self.parameter_types)} for p in training.phases]
        states = step.states_by_phase(self.stable, losses)
        parts = zip(losses, types, states, step.turns_by_phase(types), strict=True)
        return tuple(step.Phase(self.stable, self.definitions, training, *part) for part in parts)

    @property
    def first_stage(self) -> tuple[Phase, ...]:
        """What each step of the first train block does."""
        if not self.stages:
            raise fault("E110", "this spec has no train block, so it has no training step", self.model.span)
        return self.stages[0]

    @property
    def step(self) -> Graph:
        """The first phase of a training step: forward, loss, backward and update in one graph."""
        return self.first_stage[0].step

    @cached_property
    def initial(self) -> Graph:
        """From a seed to the first values of parameters and states."""
        return rewrite(initial_values(self.definitions, self.model.owned, self.dtype).graph, *AFTER_GRADIENTS)

    @cached_property
    def saved(self) -> dict[str, tuple[Path, str]]:
        """The parameters that start from a file: which, and what they are called there."""
        return starts.of_parameters(self)

    @cached_property
    def files(self) -> dict[Saved, dict[str, tuple[int, ...]]]:
        """What the files have that whole models start from."""
        return starts.of_models(self)

    def with_training(self, **changes: object) -> Compilation:
        """The same spec with other settings in its train blocks."""
        return replace(self, changes={**self.changes, **changes})


def _in_use(graph: Graph) -> Graph:
    """A graph for our own engines that is not differentiated: batchnorm may be other weights of the convolution before it."""
    return factors.lighter(rewrite(absorb.absorbed(rewrite(graph, *STABLE), once=False), *BEFORE_GRADIENTS))


def _named_twice(block: ast.Train, found: list[Training]) -> list[Diagnostic]:
    if block.name is None or all(t.name != block.name.id for t in found[:-1]):
        return []
    return [Diagnostic("E105", f"there are two train blocks called `{block.name.id}`", block.name.span)]
