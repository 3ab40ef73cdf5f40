"""What is wrong with a spec: in its text, in what the text means, and in what shows only once its parts are right."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from nnspec import limits
from nnspec.diagnostics import Diagnostic, Fault, Source, Span, did_you_mean
from nnspec.elaborate.library import Definitions
from nnspec.elaborate.training import Check, Training, checks_against_model, checks_against_ports
from nnspec.elaborate.uncalled import behind_mistakes, mistakes_in
from nnspec.elaborate.update import check_optimizer, schedule_graph
from nnspec.elaborate.values import Poisoned
from nnspec.syntax import ast
from nnspec.syntax.trees import trees

if TYPE_CHECKING:
    from nnspec.compile.compilation import Compilation

FOLLOWS_FROM_A_GAP = ("E107", "E110")
"""Said of what is missing; where a statement could not be read, it may be what that one says."""


def all_of(spec: Compilation) -> tuple[Diagnostic, ...]:
    """Everything, in the order of the file."""
    return _in_order(spec, _mistakes(spec))


def first_of(spec: Compilation) -> tuple[Diagnostic, ...]:
    """What shows in the model in use, and in what is not evaluated of it."""
    return _in_order(spec, _first(spec))


def of_library(spec: Compilation) -> tuple[Diagnostic, ...]:
    """What is wrong with a file that only defines what others import."""
    found = (*spec.parsed[1], *spec.imports.diagnostics, *spec.names[2])
    return found or tuple(in_uncalled(spec))


def _in_order(spec: Compilation, mistakes: Iterator[Diagnostic]) -> tuple[Diagnostic, ...]:
    """What is wrong with the text, and what it means as far as that does not hang on what is lost."""
    syntax = spec.parsed[1]
    found = [*syntax, *spec.imports.diagnostics]
    if not spec.imports.diagnostics:
        meant = [d for d in _to_the_last(mistakes) if not (syntax and d.code in FOLLOWS_FROM_A_GAP)]
        found += [d for d in meant if not _is_of_a_lost_argument(d, meant, spec.definitions)]
    unique = {(d.code, str(d.span), d.message): _with_setting(d, spec) for d in found}
    return tuple(sorted(unique.values(), key=lambda d: d.span.start if d.span else 0))


def _is_of_a_lost_argument(mistake: Diagnostic, found: Sequence[Diagnostic], definitions: Definitions) -> bool:
    """Whether a call gives more than a definition takes that speaks of what it does not have."""
    if mistake.code != "E104":
        return False
    shown = {(span.source, span.start) for span, _ in mistake.notes}
    called = (f.definition for f in definitions.own.values() if f.definition.parameters)
    taking = [d.span for d in called if (d.span.source, d.parameters[0].span.start) in shown]
    return any(d.code == "E101" and d.span and span.covers(d.span) for span in taking for d in found)


def _with_setting(found: Diagnostic, spec: Compilation) -> Diagnostic:
    """With what was set in the place of the `let` that stands where it points: that may be the mistake."""
    name = found.span.text if found.span else ""
    if name not in spec.settings:
        return found
    value = str(spec.settings[name])
    set_to = Span(Source(f"--set {name}", value), 0, len(value))
    return replace(found, notes=(*found.notes, (set_to, f"`{name}` is set to this")))


def _to_the_last(mistakes: Iterator[Diagnostic]) -> Iterator[Diagnostic]:
    """Them, and the Fault after which no more can be said."""
    try:
        yield from mistakes
    except Fault as error:
        yield error.diagnostic


def _in_use(spec: Compilation) -> Iterator[Diagnostic]:
    spec.definitions.budget.foresee_all([spec.definitions.own["model", m.name.id] for m in spec.models[:-1]])
    yield from (*spec.names[2], *(d for _, found in spec.parts for d in found), *spec.inference_model[1])


def _first(spec: Compilation) -> Iterator[Diagnostic]:
    found = list(_in_use(spec))
    yield from found
    if found or spec.parsed[1]:
        yield from _behind(spec, found)


def _mistakes(spec: Compilation) -> Iterator[Diagnostic]:
    """What is wrong with what the text means; raises a Fault where no more can be said."""
    found = list(_in_use(spec))  # which foresees what would be too much
    fitting = spec.fitting_model[1] if spec.fitting_model else []
    found += [*spec.training_model[1], *fitting]
    is_whole = not found and not spec.parsed[1]
    trainings = [d for training in spec.trainings for d in _of_training(spec, training, is_whole)]
    found += [*spec.train_blocks[1], *trainings]
    yield from found
    if found or spec.parsed[1]:
        yield from _behind(spec, found)
    else:
        yield from in_uncalled(spec)
        _check_size(spec)
        spec.saved  # noqa: B018  # looks every file up
        yield from _of_tests(spec)
        yield from (d for d in spec.doubts if d.level == "error")


def in_uncalled(spec: Compilation) -> Iterator[Diagnostic]:
    """What is wrong with the definitions of this file that nothing calls."""
    scope, definitions, _ = spec.names
    return mistakes_in(spec.parsed[0], spec.imported, scope, definitions)


def _behind(spec: Compilation, found: Sequence[Diagnostic]) -> Iterator[Diagnostic]:
    """What stands for nothing in formulas that were not evaluated, or not to their end, as something else is wrong."""
    scope, definitions, _ = spec.names
    models = {model.name: model.scope for model in (*(m for m, _ in spec.parts), spec.model)} if spec.models else {}
    said = {(d.span.source, d.span.start) for d in found if d.span}
    more = behind_mistakes(spec.parsed[0], spec.imported, scope, models, definitions)
    yield from (d for d in more if d.span and (d.span.source, d.span.start) not in said)


def _of_tests(spec: Compilation) -> Iterator[Diagnostic]:
    """What is wrong with the test blocks of all models."""
    known = [m.name.id for m in spec.models]
    for block in spec.test_blocks:
        if block.model.id not in known:
            help_ = did_you_mean(block.model.id, known) or f"there are {', '.join(known)}"
            yield Diagnostic("E101", f"there is no model `{block.model.id}`", block.model.span, help=help_)
    for name in {b.model.id for b in spec.test_blocks} & set(known):
        yield from spec.of(name).tests[1]


def _check_size(spec: Compilation) -> None:
    """Parameters and states that no memory holds."""
    owned = spec.model.owned
    bytes_of = {name: o.type.nbytes for name, o in owned.items()}
    total, most = sum(bytes_of.values()), limits.most("parameters")
    if total > most:
        largest = max(bytes_of, key=lambda name: bytes_of[name])
        node = spec.model.graph.nodes.get(largest)
        message = f"the parameters take {total / limits.GIB:.3g} GiB, and {most / limits.GIB:.3g} GiB is the most"
        raise limits.exceeded("parameters", message, node.span if node else owned[largest].span)


def _of_training(spec: Compilation, training: Training, is_whole: bool) -> Iterator[Diagnostic]:
    """What is wrong with the optimizer and the schedule of a train block; and with what it says of the model, once that is known."""
    checks = [
        partial(check, spec.definitions, of)
        for check, of in ((check_optimizer, training.optimizer), (schedule_graph, training.schedule))
        if of
    ]
    found = list(_by(checks))
    if is_whole or _has_ports(spec):
        found += _by(checks_against_ports(training, spec.model))
    if is_whole:
        found += _by(checks_against_model(training, spec.model))
    if is_whole and not found:
        found += _by([partial(spec.training_model[0].needs_loss, "there is nothing to train", spec.model.span)])
    yield from found


def _has_ports(spec: Compilation) -> bool:
    """Whether the inputs and targets of the model are known, whatever else of it is wrong."""
    model = spec.definitions.own.get(("model", spec.model.name))
    if model is None or spec.names[0].is_poisoned(spec.model.name):
        return False
    return len(spec.model.ports) == sum(isinstance(tree, ast.Port) for tree in trees(model.definition.body))


def _by(checks: Iterable[Check]) -> Iterator[Diagnostic]:
    """What is wrong by each of several checks; one that hangs on a mistake that is said already is silent."""
    for check in checks:
        try:
            check()
        except Fault as error:
            yield error.diagnostic
        except Poisoned:
            pass
