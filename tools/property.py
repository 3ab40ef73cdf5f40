"""Texts that are nearly specs, checked: whatever is wrong with one is said by diagnostics, and soon.

python -m tools.property --count 200000 --seed 1 --jobs 2
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial

from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from nnspec import gallery, resources
from nnspec.compile import Compilation
from nnspec.diagnostics import Fault
from nnspec.elaborate.library import Definitions
from nnspec.source import source_of
from nnspec.syntax.words import OTHER_WORDS, STATEMENT_WORDS

AT_MOST = 5.0
"""Seconds of computing for one text."""
AT_ONCE = 1000

Texts = st.SearchStrategy[str]
Pieces = list[str]

SIGNS = ("->", "<-", "~=", "==", "!=", "<=", ">=", *"-~<>=+*/@%^:.()[]{},;#\"'\\&|!?$`")
NUMBERS = ("0", "1", "2", "3", "4", "8", "0.5", "1e-3", "1_000", "1e400", "9" * 30)
NEARLY_NUMBERS = ("3.", ".5", "1e", "0x1", "1__0")
NAMES = ("x", "y", "h", "W", "b", "T", "batch", "axis", "lr", "size", "stride", "int", "float", "bool", "class", "σ")
PIECE = re.compile(r'"[^"\n]*"|[^\W\d]\w*|\d[\w.]*|->|<-|[~=!<>]=|\s+|.')


def library() -> list[str]:
    """Every name that a formula can use."""
    return sorted(Definitions().names())


# ---- texts of the language's words and signs, in any order


def words() -> Texts:
    return st.one_of(
        *(st.sampled_from(kind) for kind in ((*STATEMENT_WORDS, *OTHER_WORDS), SIGNS, NAMES, NUMBERS, NEARLY_NUMBERS, library()))
    )


def of_words() -> Texts:
    inside = st.lists(words(), max_size=30).map(" ".join)
    return st.one_of(inside, inside.map(lambda text: f"model M {{ input x: [4] {text} output y = x }}"))


# ---- texts of the grammar's shape, of any meaning


@cache
def expressions() -> Texts:
    names = st.one_of(st.sampled_from(NAMES[:7]), st.sampled_from(library()))
    leaves = st.one_of(st.sampled_from(NAMES[:7]), st.sampled_from(NUMBERS), st.sampled_from(("true", '"text"', "[]", "{ h = 1 }")))
    return st.recursive(leaves, lambda inner: _larger(inner, names), max_leaves=6)


def _larger(inner: Texts, names: Texts) -> Texts:
    arguments = st.lists(st.one_of(inner, st.builds("{} = {}".format, st.sampled_from(NAMES), inner)), max_size=3).map(", ".join)
    calls = st.builds("{}({})".format, names, arguments)
    return st.one_of(
        st.builds("({} {} {})".format, inner, st.sampled_from(("+", "-", "*", "/", "@", "%", "^", "<", "==", "~=", "and", "or")), inner),
        calls,
        st.builds("({} -> {})".format, inner, st.one_of(names, calls)),
        st.builds("(-{})".format, inner),
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]"),
        st.builds("{}[{}]".format, inner, st.one_of(inner, st.builds("{}:{}".format, inner, inner))),
        st.builds("{}.{}".format, inner, st.sampled_from(NAMES)),
        st.builds("(if {} then {} else {})".format, inner, inner, inner),
        st.builds("({} -> repeat({}) {{ {} }})".format, inner, inner, inner),
        st.builds("(scan s in {} with h = {} {{ h = {} }})".format, inner, inner, inner),
    )


def types() -> Texts:
    dimensions = st.lists(st.one_of(expressions(), st.sampled_from(("T", "4", "*s", "0"))), max_size=3).map(", ".join)
    return st.one_of(st.builds("{}[{}]".format, st.sampled_from(("", "int", "class(3)", "mask")), dimensions), st.just("class(2)"))


def statements() -> Texts:
    name, e = st.sampled_from(NAMES[:7]), expressions()
    return st.one_of(
        st.builds("{} = {}".format, name, e),
        st.builds("{}, {} = {}".format, name, name, e),
        st.builds("{} <- {}".format, name, e),
        st.builds("{} {}: {}".format, st.sampled_from(("param", "state", "input", "target")), name, types()),
        st.builds("param {}: {} ~ {}".format, name, types(), e),
        st.builds("output {} = {}".format, name, e),
        st.builds("{} {}".format, st.sampled_from(("loss", "metric", "expect", "return", "lookahead", "output")), e),
        st.builds("share {} = {}".format, name, e),
        st.builds("if {} {{ {} = {} }} else {{ {} = {} }}".format, e, name, e, name, e),
    )


def of_the_grammar() -> Texts:
    body = st.lists(statements(), max_size=4).map("\n".join)
    model = st.builds("model M {{ input x: {}\n{}\noutput y = {} }}".format, types(), body, expressions())
    function = st.builds(
        "{} f({}) = {}".format, st.sampled_from(("fn", "layer", "init", "schedule")), st.sampled_from(NAMES), expressions()
    )
    block = st.builds("optimizer o(lr = {}) {{ {} }}".format, expressions(), body)
    setting = st.builds("{} {}".format, st.sampled_from(("data", "epochs", "batch", "optimizer", "seed", "test", "lr")), expressions())
    train = st.lists(setting, max_size=4).map(lambda lines: "train { " + "\n".join(lines) + " }")
    test = st.builds('test "t" of M {{ given x = {} expect {} }}'.format, expressions(), expressions())
    around = st.lists(
        st.one_of(function, block, train, test, st.builds("let {} = {}".format, st.sampled_from(NAMES), expressions())), max_size=2
    )
    return st.builds(lambda parts, m: "\n".join([*parts[:1], m, *parts[1:]]), around, model)


# ---- specs of the gallery with a few slips


@cache
def gallery_pieces() -> tuple[tuple[str, ...], ...]:
    """Each spec without its first comment, in tokens."""
    texts = ("\n".join(s.text.splitlines()[len(gallery.header(s)) :]) for s in map(gallery.read, gallery.names()))
    return tuple(tuple(PIECE.findall(text)) for text in texts)


@st.composite
def with_slips(draw: st.DrawFn) -> str:
    pieces = list(draw(st.sampled_from(gallery_pieces())))
    for _ in range(draw(st.integers(1, 3))):
        pieces = _slip(draw, pieces)
    text = "".join(pieces)
    return "".join(_slip(draw, list(text))) if draw(st.booleans()) else text


def _slip(draw: st.DrawFn, pieces: Pieces) -> Pieces:
    """One piece dropped, doubled, swapped with another, replaced, or mistaken for one like it."""
    place = draw(st.integers(0, len(pieces) - 1))
    kind = draw(st.sampled_from(("drop", "double", "swap", "replace", "mistake", "mistake")))
    here = pieces[place]
    if kind == "swap":
        other = draw(st.integers(0, len(pieces) - 1))
        pieces[place], pieces[other] = pieces[other], here
        return pieces
    alike = sorted({p for p in pieces if _looks(p) == _looks(here)})
    pieces[place] = {"drop": "", "double": here * 2, "replace": draw(words()), "mistake": draw(st.sampled_from(alike))}[kind]
    return pieces


def _looks(piece: str) -> str:
    """Names look alike, and so do numbers."""
    return "name" if piece[:1].isalpha() else "number" if piece[:1].isdigit() else "sign"


KINDS = {"words": of_words, "the grammar": of_the_grammar, "slips": with_slips}


def checked(text: str) -> None:
    """Every mistake and doubt is a diagnostic with a code and a message, and none takes long."""
    started = time.process_time()
    try:
        spec = Compilation(source_of("t.nn", text.encode()), {}, folder=resources.folder("specs"))
        found = [*spec.diagnostics, *spec.warnings]
    except Fault as error:
        found = [error.diagnostic]
    assert all(d.code and d.message for d in found)
    assert time.process_time() - started < AT_MOST


def trial(kind: str, count: int, number: int) -> str:
    """So many texts of a kind; the smallest that is not answered by diagnostics, and what came instead, or nothing."""
    unchecked = settings(max_examples=count, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    try:
        seed(number)(unchecked(given(KINDS[kind]())(checked)))()
    except Exception as error:  # whatever it is, it is a find
        return "\n".join([repr(error), *getattr(error, "__notes__", ())])
    return ""


def main() -> int:
    arguments = _arguments()
    rounds = range(arguments.seed, arguments.seed + -(-arguments.count // (AT_ONCE * len(KINDS))))
    tasks = [(kind, number) for number in rounds for kind in KINDS]
    finds = 0
    with ProcessPoolExecutor(arguments.jobs) as pool:
        for done, find in enumerate(pool.map(partial(_trial_of, AT_ONCE), tasks), 1):
            finds += bool(find)
            print(f"{done * AT_ONCE} texts, {finds} finds", file=sys.stderr, flush=True)
            if find:
                print(find, flush=True)
    return 1 if finds else 0


def _trial_of(count: int, task: tuple[str, int]) -> str:
    kind, number = task
    return trial(kind, count, number)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools.property", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--count", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
