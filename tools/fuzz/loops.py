"""Lines for vectors that loop over their numbers: loops in loops, and derivatives of and within their steps."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from tools.fuzz.draft import Shape
from tools.fuzz.productions import Made, Production


def differentiated(r: Random, shape: Shape, p: str) -> Made | None:
    """A recurrence of single numbers: its steps differentiate, may hold a loop that waits for none of them, and it is differentiated."""
    if len(shape) != 1 or shape[0] < 1:
        return None
    w, a, e, f, c, y, k = (f"{p}_{name}" for name in "waefcyk")
    v = r.choice([w, a])
    number = r.choice([f"{v}^2", f"{v} * {v}", f"sin({v})", f"{w} / (1.5 + {a}^2)"])
    inner = r.choice([f"{k}s[-1]", f"{k}s[0] * {c}", "0.7", v])
    loop = f"{k}s = scan {f} in {{0}} with {k} = 0.2 {{ {k} = tanh({k} + {f} / (1.5 + {e}^2) * {r.choice(['1', a, number])}) }}  "
    of = r.choice([f"({number} + {c}) * {e}", f"tanh({number} * {e} + {c})", f"exp(-({e} + {number})^2) * {inner}"])
    step = f"{loop if f'{k}s' in inner else ''}{y} = {of}  {c} = tanh({y} + {inner} * grad({y}, {e}))"
    total = f"{p}_s = sum(scan {e} in {{0}} with {c} = {r.choice(['0.3', w, a])} {{ {step} }})"
    before = f"param {w}: [] = 0.6\n  {a} = tanh({{0}}[0])\n  {total}"
    return Made(f"stack({p}_s, tanh(grad({p}_s, {a})))", (2,), before=before)


LOOPS: Sequence[Production] = (differentiated,)
