"""Lines for sequences [T, n], whose length is known only at run time."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

from tools.fuzz.draft import Shape
from tools.fuzz.productions import Made, Production, dense, layernorm, rmsnorm


def recurrent(r: Random, shape: Shape, p: str) -> Made:
    cell, units = r.choice(["rnn", "lstm", "gru"]), r.randint(1, 4)
    backwards = ", reverse = true" if r.random() < 0.3 else ""
    torch = elman(p) if cell == "rnn" and not backwards else None
    return Made(f"{{0}} -> {cell}({units}{backwards}) as {p}", (*shape[:-1], units), torch, True)


def elman(p: str) -> Any:
    def computed(P: Any, x: Any) -> Any:
        import torch

        h, steps = x.new_zeros(len(x), P[f"{p}.R"].shape[0]), []
        for t in range(x.shape[1]):
            h = (x[:, t] @ P[f"{p}.W"] + P[f"{p}.b"] + h @ P[f"{p}.R"]).tanh()
            steps.append(h)
        return torch.stack(steps, 1)

    return computed


def both_ways(r: Random, shape: Shape, p: str) -> Made:
    return Made(f"{{0}} -> bidirectional({r.choice(['rnn', 'lstm', 'gru'])}, 2) as {p}", (*shape[:-1], 4), sequence=True)


def attended(r: Random, shape: Shape, p: str) -> Made:
    causal = r.choice(["true", "false"])
    heads = r.choice([h for h in (1, 2, 3) if shape[-1] % h == 0])
    return Made(f"{{0}} -> multihead_attention({heads}, causal = {causal}) as {p}", shape, sequence=True)


def transformed(r: Random, shape: Shape, p: str) -> Made | None:
    if shape[-1] < 3:
        return None
    heads = r.choice([h for h in (1, 2, 3) if shape[-1] % h == 0])
    rate = r.choice(["0", "0.2"])
    return Made(f"{{0}} -> transformer_block({heads}, ffn = 4, causal = true, rate = {rate}) as {p}", shape, sequence=True)


def positioned(r: Random, shape: Shape, _: str) -> Made:
    return Made("{0} -> " + r.choice(["positional", "learned_positional(9)"]), shape, sequence=True)


def scanned(r: Random, shape: Shape, p: str) -> Made:
    """A recurrence in the language itself: a leaky sum, with a gate of the value before."""
    text = f"scan {p}_t in {{0}} with {p}_h = zeros({shape[-1]}) {{ {p}_h = 0.5 * {p}_h * sigmoid({p}_t) + tanh({p}_t + {p}_h) }}"

    def computed(P: Any, x: Any) -> Any:
        import torch

        h, steps = torch.zeros_like(x[:, 0]), []
        for t in range(x.shape[1]):
            h = 0.5 * h * x[:, t].sigmoid() + (x[:, t] + h).tanh()
            steps.append(h)
        return torch.stack(steps, 1)

    return Made(text, shape, computed, True)


def woven(r: Random, shape: Shape, p: str) -> Made:
    """A recurrence with weights of its own: over several rows, or through the weights and their transpose."""
    n, rows, step, h = shape[-1], r.randint(2, 3), f"{p}_t", f"{p}_h"
    several, body = r.choice([
        (True, f"tanh({h} @ {p}_W + {step})"), (True, f"tanh(({h} + {step}) @ {p}_W)"), (True, f"{step} + relu({h} @ {p}_W) @ {p}_W"),
        (False, f"{step} + tanh({h} @ {p}_W) @ transpose({p}_W)"), (False, f"tanh({step} @ transpose({p}_W) + {h} @ {p}_W)"),
    ])  # fmt: skip
    loop = f"scan {step} in {{0}} with {h} = zeros({f'{rows}, ' if several else ''}{n}) {{ {h} = {body} }}"
    before = f"param {p}_W: [{n}, {n}] ~ xavier_uniform"
    return Made(f"mean({loop}, axis = 1)" if several else loop, shape, sequence=True, before=before)


def counted(r: Random, shape: Shape, p: str) -> Made:
    """A recurrence of single numbers: one with a choice, or two of which a step reads one."""
    e, h, g = f"sum({p}_t)", f"{p}_h", f"{p}_g"
    loop = r.choice([
        f"scan {p}_t in {{0}} with {h} = 0 {{ {h} = if {e} > {h} then {e} else 0.9 * {h} }}",
        f"scan {p}_t in {{0}} with {h} = 0 {{ {h} = leaky_relu(0.5 * {h} + {e}, 0.1) }}",
        f"stack(scan {p}_t in {{0}} with {g} = 0, {h} = 0 {{ {g} = sigmoid({e} + {h})  {h} = {g} * {h} + (1 - {g}) * {e} }})",
    ])  # fmt: skip
    return Made(f"reshape(sum({loop}), [1])", (1,))


def turned(r: Random, shape: Shape, _: str) -> Made:
    return Made("reverse({0})", shape, lambda P, x: x.flip(1), True)


def last(r: Random, shape: Shape, _: str) -> Made:
    return Made("{0}[-1]", shape[1:], lambda P, x: x[:, -1])


def mean(r: Random, shape: Shape, _: str) -> Made:
    return Made("mean({0}, axis = 0)", shape[1:], lambda P, x: x.mean(1))


def longest(r: Random, shape: Shape, _: str) -> Made:
    return Made("max({0}, axis = 0)", shape[1:], lambda P, x: x.amax(1))


SEQUENCE: Sequence[Production] = (
    recurrent, recurrent, recurrent, both_ways, attended, transformed, positioned, scanned, woven, woven, turned, dense, layernorm, rmsnorm,
    last, mean, longest, counted,
)  # fmt: skip
