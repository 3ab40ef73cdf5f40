"""Calls as text: operators between their operands, layers and functions as stages of a pipeline."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from nnspec.elaborate.library import of_library
from nnspec.elaborate.primitives import builtins
from nnspec.interchange.to_spec.calls import WRITTEN_OUT, Argument, Call

# How tightly operators bind, as in the grammar.
PIPE, CHOICE, OR, AND, NOT, COMPARISON, SUM, PRODUCT, SIGNED, POWER, POSTFIX = range(11)
LEVELS = {
    "or": OR, "and": AND, **dict.fromkeys(("<", "<=", ">", ">=", "==", "!="), COMPARISON), "+": SUM, "-": SUM,
    **dict.fromkeys(("*", "/", "@", "%"), PRODUCT), "^": POWER,
}  # fmt: skip
UNARY = {"neg": ("-", SIGNED), "not": ("not ", NOT)}
ROOM = 100
LONGEST_REPEAT = 4
BELOW = ("maxpool", "avgpool", "reshape", "transpose", "leaky_relu", "elu", "softmax")
"""Stages that stay on the line of the layer before them."""
NO_STAGES = ("if", "[]", "concat", "stack", "max", "min", "turned")
Text = tuple[str, int]
"""An expression, and how tightly it binds."""


class Expressions:
    """Writes calls, those that have a name by it; `seen` collects the layers in the order in which the language calls them.

    `labels` are what stages are called that do not come again in a row.
    """

    def __init__(self, names: Mapping[Call, str], labels: Mapping[Call, str] = {}) -> None:
        self.names, self.labels = names, labels
        self.seen: list[Call] = []

    def text(self, call: Call, least: int = PIPE) -> str:
        """A call as it stands where something at least this tight is due."""
        text, level = self.names.get(call, ""), POSTFIX
        if not text:
            text, level = self._written(call)
        return text if level >= least else f"({text})"

    def definition(self, call: Call) -> str:
        """What a name stands for."""
        return self._written(call)[0]

    def _written(self, call: Call) -> Text:
        if call.name in LEVELS:
            return self._binary(call)
        if call.name in UNARY:
            sign, level = UNARY[call.name]
            return sign + self.text(call.inputs[0], level), level
        if call.name == "if":
            condition, then, otherwise = (self.text(i, OR) for i in call.inputs)
            return f"if {condition} then {then} else {otherwise}", CHOICE
        if call.name in WRITTEN_OUT:
            text = value(call.value)
            return text, SIGNED if text.startswith("-") else POSTFIX
        if call.name == "turned":
            return f"transpose({self.labels[call.inputs[0]]}.W)", POSTFIX
        if call.name == "zeros":
            return f"zeros({', '.join(map(value, call.settings['sizes']))})", POSTFIX
        if call.name == "[]":
            return f"{self.text(call.inputs[0], POSTFIX)}[{', '.join(map(index, call.settings['indices']))}]", POSTFIX
        return self._called(call)

    def _binary(self, call: Call) -> Text:
        level = LEVELS[call.name]
        left, right = call.inputs
        # What stands on the right of an operator of its own kind, or on the left of a power, is in parentheses; comparisons do not chain.
        first = self.text(left, level + (call.name == "^" or level == COMPARISON))
        return f"{first} {call.name} {self.text(right, level + (call.name != '^'))}".replace(" ^ ", "^"), level

    def _called(self, call: Call) -> Text:
        head, stages = self._pipeline(call)
        branches = self._branches(call) if not stages else None
        if branches:
            return branches
        if not stages:
            return self._function(call), POSTFIX
        joined = self._branches(head) if head not in self.names else None
        is_layer = call.owns or call.shared or of_library("layer", call.name)
        if not joined and len(stages) == 1 and not call.settings and not is_layer:
            return self._function(call), POSTFIX
        start = joined[0] if joined else self.text(head, SIGNED)
        return laid_out(start, self._stages(stages, start)), PIPE

    def _pipeline(self, call: Call) -> tuple[Call, list[Call]]:
        """What a chain of calls starts from, and the calls, each given the one before; none where it does not read as one."""
        stages: list[Call] = []
        while call.inputs and (not stages or call not in self.names) and _is_stage(call):
            stages.insert(0, call)
            call = call.inputs[0]
        return call, stages

    def _function(self, call: Call) -> str:
        arguments = [self.text(i) for i in call.inputs]
        self._see(call)
        return f"{call.name}({', '.join([*arguments, *settings(call)])})"

    def _stages(self, calls: list[Call], first: str = "") -> list[str]:
        """Stages with their labels; `first` is what stands before them, as the first of a branch has no label."""
        labels = [f" as {self.labels[c]}" if c in self.labels and (first or i) else "" for i, c in enumerate(calls)]
        return folded([self.stage(c) for c in calls], {i for i, c in enumerate(calls) if c.owns}, labels)

    def stage(self, call: Call) -> str:
        arguments = [*(self.text(i) for i in call.inputs[1:]), *settings(call)]
        self._see(call)
        return call.name + (f"({', '.join(arguments)})" if arguments else "")

    def _see(self, call: Call) -> None:
        """A shared layer is made where it is first called."""
        layer = call.shared if call.shared not in self.seen else None
        if call.owns or layer:
            self.seen.append(layer or call)

    def _branches(self, call: Call) -> Text | None:
        """`x -> [p, q] -> concat`, where all that is joined comes from one value."""
        if call.name != "concat" or len(call.inputs) < 2:
            return None
        chains = [self._pipeline(i) if i not in self.names else (i, []) for i in call.inputs]
        heads = {id(head) for head, _ in chains}
        if len(heads) > 1 or not any(stages for _, stages in chains) or chains[0][0] not in self.names:
            return None
        written = [" -> ".join(self._stages(stages)) or "identity" for _, stages in chains]
        tail = f"concat({', '.join(settings(call))})" if call.settings else "concat"
        return f"{self.names[chains[0][0]]} -> [{', '.join(written)}] -> {tail}", PIPE


def _is_stage(call: Call) -> bool:
    """Whether it reads as a step of a pipeline: a call by name whose first argument is the value before."""
    return call.name not in LEVELS and call.name not in UNARY and call.name not in NO_STAGES


def laid_out(start: str, stages: list[str]) -> str:
    """A pipeline on one line, or where that is too long a line for each layer and what follows it."""
    line = " -> ".join([start, *stages])
    if len(line) <= ROOM:
        return line
    return start + "".join(("\n-> " if "(" in s and s.partition("(")[0] not in BELOW else " -> ") + s for s in stages)


def folded(stages: list[str], layers: set[int], labels: list[str]) -> list[str]:
    """Stages with their labels, what comes several times in a row as `repeat` without them, where there are layers in it."""
    out: list[str] = []
    at = 0
    while at < len(stages):
        period = next((p for p in range(1, LONGEST_REPEAT + 1) if _times(stages, at, p) > 1 and layers & {*range(at, at + p)}), 0)
        times = _times(stages, at, period) if period else 1
        out.append(f"repeat({times}) {{ {' -> '.join(stages[at : at + period])} }}" if period else stages[at] + labels[at])
        at += times * period or 1
    return out


def _times(stages: list[str], at: int, period: int) -> int:
    """How often the stages from here on come in a row."""
    times = 1
    while stages[at + times * period : at + (times + 1) * period] == stages[at : at + period]:
        times += 1
    return times if at + times * period <= len(stages) else 1


# ---- settings


def settings(call: Call) -> Iterator[str]:
    """The arguments after the tensors: what has to be given by position, the rest by name."""
    if call.shared:
        return
    required = _required(call.name) if call.block is None else [p.name for p in call.block.parameters if p.default is None]
    for name in required:
        if name in call.settings:
            yield value(call.settings[name])
    for name, v in call.settings.items():
        if name not in required and not (call.name == "transpose" and _swaps_last(v)):
            yield f"{name} = {'same' if name == 'pad' and _same(call) else value(v)}"


def _swaps_last(axes: tuple[int, ...]) -> bool:
    """What a transposition does where nothing is said."""
    rank = len(axes)
    return axes == (*range(rank - 2), rank - 1, rank - 2)


@cache
def _required(name: str) -> list[str]:
    """What the definition of the library has no default for."""
    callee = of_library("layer", name) or of_library("fn", name) or builtins()[name]
    needed = [p.name for p in callee.parameters[1:] if p.default is None]
    return [] if "axis" in needed else needed  # an axis says that it is one


def _same(call: Call) -> bool:
    """Whether the zeros around are those that keep the size at stride 1, which has a name."""
    kernel, pad, dilation = (call.settings.get(n, 1) for n in ("kernel", "pad", "dilation"))
    if "stride" in call.settings or call.name in ("conv_transpose", "avgpool", "maxpool"):
        return False
    return all(isinstance(n, int) for n in (kernel, pad, dilation)) and 2 * pad == dilation * (kernel - 1)


def value(v: Any) -> str:
    """A setting as it is written."""
    match v:
        case Argument():
            return v.name
        case bool():
            return str(v).lower()
        case tuple():
            return f"[{', '.join(map(value, v))}]" if v else "[]"
        case float():
            return digits(v)
        case _:
            return str(v)


def digits(v: float) -> str:
    """In as few digits as mean it: 1e-5, 0.1, 3."""
    text = str(int(v)) if v.is_integer() and abs(v) < 1e6 else repr(v)
    short = f"{v:g}".replace("e+0", "e").replace("e+", "e").replace("e-0", "e-")
    return short if len(short) < len(text) and float(short) == v else text.replace("e-0", "e-")


def index(i: Any) -> str:
    if not isinstance(i, slice):
        return str(i)
    return f"{'' if i.start is None else i.start}:{'' if i.stop is None else i.stop}"
