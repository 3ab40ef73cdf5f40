"""The whole compiler on one page: source -> ast -> model graph -> stable -> gradients -> step, each stage lazy and typed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from nnspec import step
from nnspec.diagnostics import Diagnostic, Fault, Source, SpecError, fault
from nnspec.elaborate.lets import evaluate_lets
from nnspec.elaborate.library import Definitions, add_definitions
from nnspec.elaborate.model import Model, elaborate_model
from nnspec.elaborate.report import TableRow, table
from nnspec.elaborate.tests import Tests, elaborate_tests
from nnspec.elaborate.training import Training, check_against_model, elaborate_training
from nnspec.elaborate.update import check_optimizer, initial_graph, schedule_graph
from nnspec.elaborate.values import Scope, not_yet
from nnspec.graph import Graph, Type
from nnspec.rewrite import rewrite
from nnspec.syntax import ast
from nnspec.syntax.parser import parse

RULES = ("stability", "algebra")
AFTER_GRADIENTS = ("algebra", "broadcast")


@dataclass(frozen=True, eq=False)
class Compilation:
    """One spec on its way from text to a training step; `settings` override its `let` values, `changes` its train block's settings."""

    source: Source
    settings: Mapping[str, str | int | float | bool]
    dtype: str = "float32"
    folder: Path = Path()
    changes: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def parsed(self) -> tuple[ast.Spec, list[Diagnostic]]:
        return parse(self.source)

    @property
    def ast(self) -> ast.Spec:
        return self.parsed[0]

    @cached_property
    def names(self) -> tuple[Scope, Definitions, list[Diagnostic]]:
        """What the file's own `let` values and definitions are."""
        scope, definitions = Scope(), Definitions()
        twice = add_definitions(definitions.own, self.ast, scope)
        return scope, definitions, twice + evaluate_lets(self.ast, definitions, scope, self.settings)

    @property
    def definitions(self) -> Definitions:
        return self.names[1]

    @cached_property
    def inference_model(self) -> tuple[Model, list[Diagnostic]]:
        return self._model(training=False)

    @cached_property
    def training_model(self) -> tuple[Model, list[Diagnostic]]:
        return self._model(training=True)

    def _model(self, training: bool, dtype: str | None = None) -> tuple[Model, list[Diagnostic]]:
        models = list(self.ast.all("model"))
        if not models:
            raise fault("E110", "there is no model in this spec", None, help="write `model Name { ... }`")
        if len(models) > 1:
            raise not_yet("a second model in one file", models[1].name.span)
        function = self.definitions.own["model", models[0].name.id]
        return elaborate_model(function, self.definitions, training=training, dtype=dtype or self.dtype)

    @cached_property
    def training_block(self) -> tuple[Training | None, list[Diagnostic]]:
        """The train block, if there is one."""
        blocks = [d for d in self.ast.definitions if isinstance(d, ast.Train)]
        if len(blocks) > 1:
            raise not_yet("a second train block", blocks[1].span)
        if not blocks:
            return None, []
        training, diagnostics = elaborate_training(blocks[0], self.definitions, self.names[0])
        return replace(training, **self.changes), diagnostics

    @cached_property
    def tests(self) -> tuple[Tests, list[Diagnostic]]:
        """The test blocks, asked of an elaboration of the model in float64."""
        blocks = [d for d in self.ast.definitions if isinstance(d, ast.Test)]
        model = self._model(training=False, dtype="float64")[0] if blocks else self.model
        return elaborate_tests(blocks, model, self.definitions)

    @cached_property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """Everything that is wrong with the spec, in the order of the file."""
        found = list(self.parsed[1])
        if not found:
            try:
                found = [*self.names[2], *self.inference_model[1], *self.training_model[1], *self.training_block[1]]
                if not found:
                    self._check_rest()
                    found += self.tests[1]
            except Fault as error:
                found.append(error.diagnostic)
        unique = {(d.code, str(d.span), d.message): d for d in found}
        return tuple(sorted(unique.values(), key=lambda d: d.span.start if d.span else 0))

    def _check_rest(self) -> None:
        """What shows only in a spec whose parts are right; raises a Fault."""
        imports = [d for d in self.ast.definitions if isinstance(d, ast.Import)]
        if imports:
            raise not_yet("`import`", imports[0].span)
        training = self.training
        if training and training.optimizer:
            check_optimizer(self.definitions, training.optimizer)
            check_against_model(training, self.model.inputs, self.model.metrics)
            if training.schedule:
                schedule_graph(self.definitions, training.schedule)
            if not self.training_model[0].losses:
                raise fault("E110", "the model has no loss, so there is nothing to train", self.model.span)
        initial_graph(self.definitions, self.model.owned, self.dtype)

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
    def training(self) -> Training | None:
        return self.training_block[0]

    @property
    def parameter_types(self) -> dict[str, Type]:
        return {n: o.type for n, o in self.model.parameters.items()}

    @property
    def table(self) -> list[TableRow]:
        return table(self.model.graph, self.model.owned, self.model.rows)

    @property
    def graph(self) -> Graph:
        """The inference graph as written: what the outputs need."""
        return self.model.graph.only(step.outputs_of(self.model.graph, "output"), self.model.name)

    @cached_property
    def inference(self) -> Graph:
        """The inference graph after the rules."""
        return rewrite(self.graph, *RULES)

    @cached_property
    def evaluation(self) -> Graph:
        """Outputs, loss and metrics, as in use and not as in training."""
        return rewrite(self.model.graph, *RULES)

    @cached_property
    def stable(self) -> Graph:
        """The training graph after the rules and before the gradients."""
        return rewrite(self.training_model[0].graph, *RULES)

    @cached_property
    def gradients(self) -> Graph:
        """Loss, new states and the gradient of the loss for every parameter, without penalties."""
        return rewrite(step.add_gradients(self.stable, self.parameter_types, ()), *AFTER_GRADIENTS)

    @cached_property
    def objective(self) -> Graph:
        """As `gradients`, of the loss with the penalties of the train block."""
        penalty = self.training.penalty if self.training else ()
        if not penalty:
            return self.gradients
        return rewrite(step.add_gradients(self.stable, self.parameter_types, penalty), *AFTER_GRADIENTS)

    @cached_property
    def step(self) -> Graph:
        """One training step: forward, loss, backward and update in one graph."""
        training = self.training
        if training is None or training.optimizer is None:
            raise fault("E110", "this spec has no train block, so it has no training step", self.model.span)
        return rewrite(step.add_update(self.objective, self.definitions, training, list(self.model.parameters)), *AFTER_GRADIENTS)

    @cached_property
    def initial(self) -> Graph:
        """From a seed to the first values of parameters and states."""
        return rewrite(initial_graph(self.definitions, self.model.owned, self.dtype), *AFTER_GRADIENTS)

    def with_training(self, **changes: object) -> Compilation:
        """The same spec with other settings in its train block."""
        return replace(self, changes={**self.changes, **changes})
