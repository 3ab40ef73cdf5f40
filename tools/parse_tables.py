"""Writes nnspec/syntax/tables.py, the parse tables of grammar/nn.lark, by Lark: python tools/parse_tables.py"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from lark import Lark
from lark.grammar import Rule
from lark.parsers.lalr_analysis import Shift

ROOT = Path(__file__).parent.parent
OUTPUT = ROOT / "nnspec" / "syntax" / "tables.py"
STARTS = ("start", "signature", "expr")
HEADER = '''"""The parse tables of grammar/nn.lark; written by tools/parse_tables.py, not by hand.

A row says by token or rule which state follows, or, as a negative number ~n, that rule n is complete. A rule has its name, how many parts
it takes from the stack, the number of its callback (-1 for a helping rule), if an only child stands for it, and its children: 2 * i for
part i, 2 * i + 1 for the items of part i, -1 for None; nothing for all parts.
"""

from __future__ import annotations

'''


def tables() -> str:
    """The text of the module."""
    lark = Lark((ROOT / "grammar" / "nn.lark").read_text("utf-8"), parser="lalr", start=list(STARTS), maybe_placeholders=True)
    table = lark.parser.parser._parse_table
    callbacks = sorted({name for rule in lark.rules if (name := _callback(rule))})
    rules = sorted(lark.rules, key=lambda rule: (str(rule.origin.name), rule.order))
    states = _numbered(table)
    rows = [_row(table.states[s], states, rules) for s in states]
    distinct = sorted(set(rows))
    words = {str(t.pattern.value): str(t.name) for t in lark.terminals if t.pattern.value.isalpha()}
    parts = {
        "STARTS": {name: states.index(table.start_states[name]) for name in STARTS},
        "ENDS": {name: states.index(table.end_states[name]) for name in STARTS},
        "WORDS": words,
        "CALLBACKS": tuple(callbacks),
        "RULES": tuple(_rule(rule, callbacks) for rule in rules),
        "ROW_OF_STATE": tuple(distinct.index(row) for row in rows),
        "ROWS": tuple(distinct),
    }
    types = {
        "STARTS": "dict[str, int]",
        "ENDS": "dict[str, int]",
        "WORDS": "dict[str, str]",
        "CALLBACKS": "tuple[str, ...]",
        "RULES": "tuple[tuple[str, int, int, bool, tuple[int, ...]], ...]",
        "ROW_OF_STATE": "tuple[int, ...]",
        "ROWS": "tuple[tuple[tuple[str, ...], tuple[int, ...]], ...]",
    }
    return HEADER + "\n".join(f"{name}: {types[name]} = {_literal(value)}" for name, value in parts.items()) + "\n"


def _numbered(table: Any) -> list[int]:
    """The states in the order in which a walk from the first ones comes to them; Lark numbers them otherwise every time."""
    order = [table.start_states[name] for name in STARTS]
    for state in order:
        following = (to for _, (kind, to) in sorted(table.states[state].items()) if kind is Shift)
        order += [to for to in dict.fromkeys(following) if to not in order]
    return order


def _row(actions: dict[str, tuple[Any, Any]], states: list[int], rules: list[Rule]) -> tuple[tuple[str, ...], tuple[int, ...]]:
    symbols = tuple(sorted(map(str, actions)))
    return symbols, tuple(states.index(to) if kind is Shift else ~rules.index(to) for kind, to in map(actions.__getitem__, symbols))


def _literal(value: Any) -> str:
    """A tuple of tuples with a line for each."""
    if isinstance(value, tuple) and isinstance(value[0], tuple):
        return "(\n" + "".join(f"    {item!r},\n" for item in value) + ")"
    return repr(value)


def _rule(rule: Rule, callbacks: list[str]) -> tuple[str, int, int, bool, tuple[int, ...]]:
    name = _callback(rule)
    single = bool(rule.options.expand1 and not rule.alias)
    return str(rule.origin.name), len(rule.expansion), callbacks.index(name) if name else -1, single, _included(rule) or ()


def _callback(rule: Rule) -> str | None:
    """What builds it; nothing for a helping rule, whose items go to the rule that uses it, and for one whose only child stands for it."""
    name = str(rule.alias or rule.origin.name)
    only = rule.options.expand1 and not rule.alias and len(_included(rule) or rule.expansion) == 1
    return None if name.startswith("_") or only else name


def _included(rule: Rule) -> tuple[int, ...] | None:
    """Lark's `maybe_create_child_filter`, as data."""
    empty = rule.options.empty_indices or [False] * len(rule.expansion)
    places = iter(enumerate(rule.expansion))
    codes: list[int] = []
    for is_empty in empty:
        if is_empty:
            codes.append(-1)
        else:
            i, symbol = next(places)
            codes.append(2 * i + (not symbol.is_term and symbol.name.startswith("_")))
    codes += [2 * i + (not s.is_term and s.name.startswith("_")) for i, s in places]
    return None if codes == [2 * i for i in range(len(rule.expansion))] else tuple(codes)


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()
    OUTPUT.write_text(tables(), "utf-8")
