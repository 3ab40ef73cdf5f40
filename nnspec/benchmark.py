"""How long a training step takes in each engine, and how near that is to the limit: its bare matrix products."""

from __future__ import annotations

import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from math import prod

import numpy as np

from nnspec.array import Array
from nnspec.compile import Compilation
from nnspec.diagnostics import Fault, SpecError
from nnspec.gradcheck import random_values
from nnspec.graph import Graph, Op
from nnspec.graph.types import bind
from nnspec.ops import OPS
from nnspec.planning import sizes_of
from nnspec.record import dataclass
from nnspec.run.engine import Engine

ROUNDS, SECONDS, SECONDS_OF_A_PRODUCT = 5, 0.2, 0.02
DISTURBED = 1.5
"""So many times the best round, and others had the processor meanwhile."""
# The steps change nothing that could end in infinities, on data that means nothing.
RATE = 1e-6
# What is longer is timed in a part: memory for all columns of a convolution at once would be a limit of another kind.
LONGEST, MOST = 4096, 64


@dataclass(frozen=True)
class Product:
    """[times, m, k] @ [times, k, n]."""

    m: int
    k: int
    n: int
    times: int = 1

    @property
    def flops(self) -> int:
        return 2 * self.m * self.k * self.n * self.times


LIMIT = Product(1024, 1024, 1024)


@dataclass(frozen=True)
class Timing:
    """Median seconds of a step in an engine, in the best of the rounds and in the `slowest`, or the `problem` it has with the spec."""

    engine: str
    seconds: float = 0.0
    slowest: float = 0.0
    problem: str = ""

    @property
    def disturbed(self) -> bool:
        """Whether the rounds are too far apart to have had the machine for themselves."""
        return self.slowest > DISTURBED * self.seconds


@dataclass(frozen=True)
class Benchmark:
    """A step on `batch` random examples; its bare matrix products take `products_seconds`, `limit` FLOP a second are the most seen."""

    batch: int
    timings: Sequence[Timing]
    products: int
    flops: int
    products_seconds: float
    limit: float

    def share(self, timing: Timing) -> float:
        """The part of a step that its matrix products would take by themselves."""
        return self.products_seconds / timing.seconds


def benchmark(spec: Compilation, engines: Sequence[str], batch: int | None = None, sizes: Mapping[str, int] | None = None) -> Benchmark:
    """Times the matrix products of a step in NumPy, and steps of the first train block on random examples, all in turns.

    Of every one the best round counts: another program can only make one slower.
    """
    phases = spec.checked().first_stage
    examples = batch or spec.trainings[0].batch
    known = sizes_of(spec, examples, sizes or {})
    found = Counter(p for phase in phases for p in products(phase.objective, known))
    # Once before the engines, for one may change how many threads NumPy's products have.
    bare = {p: product_seconds(p) for p in (LIMIT, *found)}
    steps, problems = _steps(spec, engines, random_batch(spec, known))
    rounds: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(ROUNDS):
        for name, step in steps.items():
            rounds[name].append(statistics.median(_seconds(step, SECONDS)))
        bare = {p: min(seconds, product_seconds(p)) for p, seconds in bare.items()}
    flops, seconds = sum(p.flops * n for p, n in found.items()), sum(bare[p] * n for p, n in found.items())
    limit = max(LIMIT.flops / bare[LIMIT], flops / seconds if found else 0.0)
    timings = [Timing(n, problem=problems[n]) if n in problems else Timing(n, min(rounds[n]), max(rounds[n])) for n in engines]
    return Benchmark(examples, timings, found.total(), flops, seconds, limit)


def random_batch(spec: Compilation, sizes: Mapping[str, int]) -> dict[str, Array]:
    """A value for every input and target, classes among those there are."""
    rng = np.random.default_rng(0)
    return {name: random_values(type.bound(sizes), rng) for name, type in spec.model.ports.items()}


# ---- engines


def _steps(spec: Compilation, names: Sequence[str], fields: Mapping[str, Array]) -> tuple[dict[str, Callable[[], object]], dict[str, str]]:
    """A step in every engine, and the problems of those that have one with the spec."""
    steps: dict[str, Callable[[], object]] = {}
    problems: dict[str, str] = {}
    for name in names:
        try:
            steps[name] = _step(spec, name, fields)
        except (Fault, SpecError) as problem:
            problems[name] = str(problem)
    return steps, problems


def _step(spec: Compilation, name: str, fields: Mapping[str, Array]) -> Callable[[], object]:
    """A step whose memory is there and whose code is warm."""
    engine = Engine(spec, name)
    engine.initialise(spec.trainings[0].seed)
    engine.step(fields, RATE)
    return lambda: engine.step(fields, RATE, settled=False)  # as in an epoch


def _seconds(call: Callable[[], object], long: float) -> list[float]:
    """Of every call, until they have taken so long together."""
    taken: list[float] = []
    while not taken or sum(taken) < long:
        started = time.perf_counter()
        call()
        taken.append(time.perf_counter() - started)
    return taken


# ---- matrix products


def products(graph: Graph, sizes: Mapping[str, int]) -> Iterator[Product]:
    """Every matrix product in a graph, those of its loops at each of their steps, and convolutions as the products they are made of."""
    for node in graph:
        attributes = {key: bind(value, sizes) for key, value in node.attrs}
        if node.op is OPS["scan"]:
            yield from list(products(attributes["body"].body, sizes)) * attributes["length"]
        elif node.op in PRODUCTS:
            shapes = [graph[name].type.bound(sizes).numbers for name in (*node.inputs, node.name)]
            yield from PRODUCTS[node.op](*shapes, **attributes)


Numbers = tuple[int, ...]


def _matmul(x: Numbers, y: Numbers, out: Numbers) -> list[Product]:
    if len(y) == 2:
        return [Product(prod(x[:-1]), x[-1], y[-1])]  # of all rows together
    return [Product(x[-2], x[-1], y[-1], prod(out[:-2]))]


def _conv(w: Numbers, y: Numbers, groups: int, order: str) -> list[Product]:
    """Of windows by what they see by units, in the order in which they stand."""
    length = {"w": y[0] * prod(y[2:]), "s": prod(w[1:]), "u": w[0] // groups}
    m, k, n = (length[letter] for letter in order)
    return [Product(m, k, n, groups)]


PRODUCTS: dict[Op, Callable[..., list[Product]]] = {
    OPS["matmul"]: _matmul,
    OPS["gemm"]: lambda x, y, c, out, **_: _matmul(x, y, out),
    OPS["conv"]: lambda x, w, y, groups, **_: _conv(w, y, groups, "wsu"),
    OPS["conv_input_grad"]: lambda y, w, x, groups, **_: _conv(w, y, groups, "wus"),
    OPS["conv_weight_grad"]: lambda x, y, w, groups, **_: _conv(w, y, groups, "swu"),
}


def product_seconds(product: Product) -> float:
    """What NumPy takes for it, at best."""
    m, k, n = (min(length, LONGEST) for length in (product.m, product.k, product.n))
    part = Product(m, k, n, min(product.times, MOST))
    x, y = np.ones((part.times, m, k), np.float32), np.ones((part.times, k, n), np.float32)
    out = x @ y
    best = min(_seconds(lambda: np.matmul(x, y, out), SECONDS_OF_A_PRODUCT))
    return best * product.flops / part.flops
