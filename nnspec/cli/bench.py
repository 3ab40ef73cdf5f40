"""`nnspec bench`: a training step in every engine, and how near it is to the limit."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nnspec.cli.options import JSON, SET, SIZES, compilation, options, sizes_from
from nnspec.diagnostics import printable
from nnspec.net import ENGINES
from nnspec.strict_json import dumps

if TYPE_CHECKING:
    from nnspec.benchmark import Benchmark, Timing

HEADINGS = ("engine", "a step", "steps/s", "examples/s", "products")


@click.command()
@click.argument("file", metavar="F")
@options(SET, JSON, SIZES)
@click.option(
    "--engine", "engines", multiple=True, type=click.Choice(ENGINES[1:]), help="This one only; may be given again.  [default: all]"
)
@click.option("--batch", type=click.IntRange(1), help="Examples in a step, instead of the spec's.")
def bench(file: str, pairs: tuple[str, ...], as_json: bool, engines: tuple[str, ...], batch: int | None, lengths: tuple[str, ...]) -> None:
    """Time a training step of a spec on random examples, and its bare matrix products: no step can be faster."""
    from nnspec.benchmark import benchmark

    result = benchmark(compilation(file, pairs), engines or ENGINES[1:], batch, sizes_from(lengths))
    name = Path(file).stem
    click.echo(dumps(_document(name, result), indent=2) if as_json else _text(name, result))


def _document(name: str, result: Benchmark) -> dict[str, Any]:
    return {
        "spec": name,
        "batch": result.batch,
        "matrix_products": {"number": result.products, "flops": result.flops, "seconds": result.products_seconds},
        "limit_flops_per_second": result.limit,
        "engines": [_timing_json(result, t) for t in result.timings],
    }


def _timing_json(result: Benchmark, timing: Timing) -> dict[str, Any]:
    if timing.problem:
        return {"engine": timing.engine, "problem": timing.problem}
    speed = {"seconds": timing.seconds, "steps_per_second": 1 / timing.seconds, "examples_per_second": result.batch / timing.seconds}
    return {"engine": timing.engine, **speed, "share_of_products": result.share(timing), "disturbed": timing.disturbed}


def _text(name: str, result: Benchmark) -> str:
    about = [f"{printable(name)}: a step of {result.batch} example{'s' * (result.batch > 1)} has {_products(result)}", *_alone(result)]
    rows = [HEADINGS, *(_row(result, t) for t in result.timings if not t.problem)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    table = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    return "\n".join([*about, "", *table, *(f"{t.engine}: {t.problem}" for t in result.timings if t.problem), *_doubts(result)])


def _doubts(result: Benchmark) -> list[str]:
    """That other programs were in the way, where the rounds of an engine show it."""
    apart = [f"with {t.engine} {t.slowest / t.seconds:.1f} times" for t in result.timings if t.disturbed]
    return [f"the machine was busy: the slowest round took {', '.join(apart)} as long as the best, which counts"] if apart else []


def _products(result: Benchmark) -> str:
    return f"{result.products} matrix products of {result.flops:,} FLOP" if result.products else "no matrix products"


def _alone(result: Benchmark) -> list[str]:
    """How fast the products are by themselves, if there are any."""
    if not result.products:
        return []
    speed, most = (rate / 1e9 for rate in (result.flops / result.products_seconds, result.limit))
    return [f"by themselves they take {result.products_seconds * 1e3:.3f} ms at {speed:.3g} GFLOP/s; the most there is here is {most:.3g}"]


def _row(result: Benchmark, timing: Timing) -> tuple[str, ...]:
    per_second = (1 / timing.seconds, result.batch / timing.seconds)
    return (timing.engine, f"{timing.seconds * 1e3:.3f} ms", *(f"{n:,.0f}" for n in per_second), f"{result.share(timing):.0%}")
