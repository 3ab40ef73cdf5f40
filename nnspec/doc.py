"""The library as a person reads it: the definitions of `nnspec/std`, and what the reference says of primitives, trainings and data.

A line `example: relu([-1, 2]) == [0, 2]` in the comment above a definition is an example, and so is a line
`example: [28, 28] -> dense(10) gives [28, 10]`; an optimizer, schedule or init has `example: sgd(lr = 0.1)`.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from textwrap import shorten

from nnspec import reference
from nnspec.compile import Compilation
from nnspec.diagnostics import Source, fault
from nnspec.elaborate.arguments import signature_text
from nnspec.elaborate.foreign import help_for, nearest
from nnspec.elaborate.library import public
from nnspec.elaborate.primitives import builtins
from nnspec.elaborate.sources import SOURCES, Word
from nnspec.elaborate.values import Builtin, Choice, Function
from nnspec.graph import BATCH
from nnspec.graph.types import show
from nnspec.ops import OPS
from nnspec.record import dataclass
from nnspec.syntax import ast

KINDS = (
    "fn", "layer", "loss", "metric", "optimizer", "schedule", "init", "source", "augmentation", "stop", "setting", "primitive", "constant",
    "choice", "word", "operation",
)  # fmt: skip
INTERNAL = "operation"
"""Of which the graph is made, and no spec: known by name, and in no list."""
WORDS = (
    "let", "import", "model", "train", "input", "target", "output", "expect", "param", "state", "share", "if", "return", "repeat", "scan",
    "as", "from", "class", "int", "bool", "training", "fitting", "given", "lookahead", "then", "else", "in", "with", "of",
    "and", "or", "not", "true", "false", "test", "batch",
)  # fmt: skip
"""Of the language; of those that are kinds as well, and of most settings, there are entries enough."""
KIND_OF_FILE = {"std/losses.nn": "loss", "std/metrics.nn": "metric"}
PER_EXAMPLE = ("loss", "metric")
CALLED = ("fn", "layer", *PER_EXAMPLE, "primitive")
EXAMPLE = "example: "
HEADLINE = 100
VALUES = ("2", "0.5", "8", "relu")
CLASS = "class(4)"
TYPES = ("[4]", CLASS, "[]")
IMAGE = "[2, 8, 8]"


@dataclass(frozen=True)
class Entry:
    """One name of the library in one of its kinds; `shape` is its shape rule, `written` the examples of its author."""

    kind: str
    name: str
    signature: str
    doc: str
    source: str = ""
    definition: str = ""
    shape: str = ""
    written: tuple[str, ...] = ()
    callee: Function | Builtin | None = None
    brief: str = ""

    @property
    def examples(self) -> tuple[str, ...]:
        """The author's, or else one made up from the signature."""
        if self.written:
            return self.written
        made = made_up(self)
        return (made,) if made else ()

    @property
    def headline(self) -> str:
        """What fits on a line."""
        return shorten(self.brief or self.doc, HEADLINE, placeholder=" ...")

    def as_json(self) -> dict[str, object]:
        names = ("kind", "name", "signature", "doc", "source", "definition", "shape")
        return {n: getattr(self, n) for n in names} | {"examples": self.examples}


def named(name: str | None) -> list[Entry]:
    """Everything of that name, in all its kinds."""
    return [e for e in entries() if e.name == name]


def about(name: str) -> list[Entry]:
    """The same; a Fault says what was probably meant where there is nothing."""
    found = named(name)
    if not found:
        guess = nearest(name, {e.name for e in entries()})
        help_ = f"did you mean `{guess}`?" if guess else help_for(name) or "`nnspec doc` lists what there is"
        raise fault("E101", f"there is no `{name}` in the library", help=help_)
    return found


def listed(kind: str = "") -> list[Entry]:
    """What a spec may name, or that of a kind."""
    return [e for e in entries() if e.kind == kind or (not kind and e.kind != INTERNAL)]


@cache
def entries() -> tuple[Entry, ...]:
    """The whole library, by kind."""
    known = [*map(_definition, public().values()), *_primitives()]
    known += [*_sources(), *_augmentations(), *_settings(), *_words()]
    names = {e.name for e in known}
    operations = [Entry(INTERNAL, n, op.signature, op.doc, written=op.examples) for n, op in OPS.items() if n not in names]
    return tuple(sorted([*known, *operations], key=lambda e: (KINDS.index(e.kind), e.name)))


def _definition(f: Function) -> Entry:
    d = f.definition
    lines = d.doc.split("\n")
    return Entry(
        KIND_OF_FILE.get(d.span.source.name, d.kind) if d.kind == "fn" else d.kind,
        f.name,
        _signature(f),
        "\n".join(line for line in lines if not line.startswith(EXAMPLE)),
        d.span.source.name,
        d.span.text,
        _shape_rule(d),
        tuple(line.removeprefix(EXAMPLE) for line in lines if line.startswith(EXAMPLE)),
        f,
    )


def _signature(f: Function) -> str:
    """A layer or fn is called; an init or schedule without parameters stands alone."""
    return f.name if f.kind not in CALLED and not f.definition.parameters else signature_text(f)


def _shape_rule(d: ast.Definition) -> str:
    takes = ", ".join(f"{p.name}: {p.type.span.text}" for p in d.parameters if p.type)
    return f"{takes} -> {d.returns.span.text}" if d.returns else takes


def _primitives() -> Iterator[Entry]:
    """Each with the meaning and shape that the reference says; a function of single elements with those of its operation."""
    rows = reference.primitives()
    for name, value in builtins().items():
        meaning, shape = rows.get(name, ("", ""))
        op = OPS.get(name)
        if not isinstance(value, Builtin):
            yield Entry("choice" if isinstance(value, Choice) else "constant", name, name, meaning, shape=shape)
        elif op and op.pointwise:
            yield Entry("primitive", name, signature_text(value), op.doc, shape=shape, written=op.examples, callee=value)
        else:
            yield Entry("primitive", name, signature_text(value), meaning, shape=shape, callee=value)


def _sources() -> Iterator[Entry]:
    for name in SOURCES:
        said = reference.source(name)
        meaning = "\n".join([said.meaning, *_other_words(name, said.meaning)])
        yield Entry("source", name, said.written, meaning, written=(f"data {said.written}",), brief=said.more)
    for name in sorted({n for kind in SOURCES.values() for n, option in kind.options.items() if isinstance(option, Word)}):
        said = reference.source(name)
        yield Entry("setting", name, said.written, said.meaning, brief=said.more)


def _other_words(source: str, said: str) -> Iterator[str]:
    """The arguments of a source that other paragraphs are about."""
    for name, option in SOURCES[source].options.items():
        if isinstance(option, Word) and f"{name} = " not in said:
            forms = " or ".join(f"`{name} = {word}`" for word in option.words)
            yield f"It takes {forms}, too: see `nnspec doc {name}`."


def _augmentations() -> Iterator[Entry]:
    for said in reference.augmentations():
        name = said.written.partition("(")[0]
        yield Entry("augmentation", name, said.written, said.meaning)


def _settings() -> Iterator[Entry]:
    """The settings of a training, and each way to stop one by its own name."""
    for said in reference.settings():
        name, _, value = said.written.partition(" ")
        kind, name = ("stop", value.partition("(")[0]) if name == "stop" else ("setting", name)
        yield Entry(kind, name, said.written, f"{said.meaning}\nwithout it: {said.more}", brief=said.meaning)


def _words() -> Iterator[Entry]:
    for name in WORDS:
        said = reference.word(name)
        yield Entry("word", name, said.written, said.meaning, brief=said.more)


# ---- examples


def made_up(entry: Entry) -> str | None:
    """An example from the signature: a call of small inputs, with the shape that it gives."""
    if entry.callee is None:
        return None
    required = [p for p in entry.callee.parameters if p.default is None]
    if entry.kind not in CALLED:
        arguments = ", ".join(f"{p.name} = .." for p in required)
        return f"{entry.name}({arguments})" if arguments else entry.name
    found = []
    for first in _first_types(required[0]) if required else ():
        for other in _others(entry.kind, required[0].name, first):
            result = _result(entry, required, first, other)
            if result is not None:
                found.append((result, f"{_call(entry.name, required, first, other)} gives {result}"))
                if entry.kind not in PER_EXAMPLE or result == "[]":
                    return found[-1][1]
    return found[0][1] if found else None


def _first_types(p: ast.Parameter) -> tuple[str, ...]:
    if p.type and len(p.type.dims) > 2:
        return (IMAGE,)
    return ("[4]", "[5, 4]", IMAGE, "[]", "int[4]", CLASS)


def _others(kind: str, name: str, first: str) -> tuple[str, ...]:
    """What the further arguments may be, the likeliest first: labels beside the logits of a metric, predictions beside targets."""
    if kind == "metric" and name == "logits":
        return (CLASS, first, *VALUES)
    return (first, *TYPES, *VALUES) if kind in PER_EXAMPLE else (*VALUES, first, *TYPES)


def _result(entry: Entry, required: list[ast.Parameter], first: str, other: str) -> str | None:
    """The shape of a call, if it is right."""
    types = {p.name: first if i == 0 else other for i, p in enumerate(required)}
    inputs = {n: t for n, t in types.items() if t not in VALUES}
    ports = " ".join(f"input in_{n}: {t}" for n, t in inputs.items())
    arguments = ", ".join(f"{n} = {f'in_{n}' if n in inputs else t}" for n, t in types.items())
    spec = Compilation(Source("<example>", f"model Example {{ {ports} output y = {entry.name}({arguments}) }}"), {})
    if spec.parsed[1]:
        return None
    # The whole batch is known in training, and to what judges a model.
    model, mistakes = spec.training_model if entry.kind in PER_EXAMPLE else spec.inference_model
    if mistakes:
        return None
    shape = model.outputs["y"].shape
    return show(shape[1:] if shape[:1] == (BATCH,) else shape)


def _call(name: str, required: list[ast.Parameter], first: str, other: str) -> str:
    """As a stage of a pipeline where there is one input, else as a call that says the type of each."""
    further = [p.name for p in required[1:]]
    if other in VALUES or not further:
        arguments = ", ".join(f"{n} = {other}" for n in further)
        return f"{first} -> {name}({arguments})" if arguments else f"{first} -> {name}"
    return f"{name}({', '.join([f'{required[0].name}: {first}', *(f'{n}: {other}' for n in further)])})"
