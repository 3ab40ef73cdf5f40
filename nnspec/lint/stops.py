"""Whether it is said which way the metric that a training waits for is better, and of which data it is."""

from __future__ import annotations

from collections.abc import Iterator

from nnspec.diagnostics import Diagnostic
from nnspec.lint.network import Network


def directions_taken_for_granted(network: Network) -> Iterator[Diagnostic]:
    """W127: a metric of one's own is watched, and taken as better when higher."""
    for stop in (t.stop for t in network.trainings if t.stop and t.stop.metric):
        if stop.better(network.model) is None:
            message = f"`{stop.metric}` is taken as better when higher, as nothing says which way it is better"
            help_ = f"write `{stop.kind}({stop.metric}, ..., best = low)` if it is an error, and `best = high` if it is none"
            yield Diagnostic("W127", message, stop.span, help=help_, level="warning")


def metrics_of_no_data(network: Network) -> Iterator[Diagnostic]:
    """W130: a metric of validation data is watched, and the training has data and none of it for that."""
    for t in network.trainings:
        if t.stop and t.stop.metric.startswith("val.") and t.data and t.validation is None:
            message = f"`{t.stop.metric}` is watched, and there is no validation data: nothing is trained before there is some"
            yield Diagnostic("W130", message, t.stop.span, help="write for example `validation 0.1`", level="warning")
