"""Every operator of ONNX that is imported, against ONNX's own tests of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import conformance
import numpy as np
import pytest
from conformance import FAMILY, TABLE, cases, failures, family
from helpers import ROOT

from nnspec.ops import OPS


@pytest.mark.parametrize("name", TABLE["families"])
def test_a_family_passes(name: str) -> None:
    chosen = family(name)
    assert chosen
    assert failures(chosen) == []


def test_at_least_700_direct_cases_are_run() -> None:
    run = [c for c in cases() if not c.reason]
    assert len([c for c in run if not c.expanded]) >= 700
    assert len([c for c in run if c.expanded]) >= 300


def test_every_case_belongs_to_a_family_or_is_left_out_for_a_reason() -> None:
    assert [c.name for c in cases() if not c.reason and c.operator not in FAMILY] == []


def test_nothing_is_left_out_that_would_pass() -> None:
    assert [c.name for c in cases() if c.reason and not conformance.failure(c)] == []


def test_no_exclusion_is_stale() -> None:
    excluded, operators = TABLE["excluded"], {c.operator for c in cases()}
    assert [o for o in (*excluded["operators"], *FAMILY) if o not in operators] == []
    names = {c.name for c in cases()}
    assert [n for n in (*excluded["cases"], *TABLE["loose"]) if n not in names] == []


@contextmanager
def planted(row: str, facet: str, fault: Any) -> Iterator[None]:
    """A row of the catalogue with a mistake in it."""
    op = OPS[row]
    right = getattr(op, facet)
    object.__setattr__(op, facet, fault)  # rows are frozen
    try:
        yield
    finally:
        object.__setattr__(op, facet, right)


@pytest.mark.parametrize(
    ("row", "facet", "fault", "family_name", "case"),
    [
        ("tanh", "kernel", lambda x: np.tanh(x) * np.float32(1.0001), "activations", "test_tanh"),
        ("conv", "kernel", lambda x, w, **a: np.roll(RIGHT["conv"](x, w, **a), 1, -1), "convolution", "test_basic_conv_with_padding"),
        ("sum", "kernel", lambda x, axes, keep: np.sum(x + 1e-3, axis=axes, keepdims=keep), "losses", "test_sce_sum"),
        ("take", "kernel", lambda x, i: np.take(x, (i + 1) % len(x), 0), "gather and scatter", "test_gather_0"),
        ("softmax", "prepare", lambda out, x, axes: lambda: np.copyto(out, 0.5), "softmax", "test_softmax_axis_1"),
    ],
)
def test_a_fault_in_a_kernel_is_seen(row: str, facet: str, fault: Any, family_name: str, case: str) -> None:
    with planted(row, facet, fault):
        found = failures(family(family_name))
    assert any(line.startswith(f"{case}: ") for line in found)


RIGHT = {"conv": OPS["conv"].kernel}


def test_the_table_of_the_readme_is_what_is_run() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    found = re.search(r"\| family \| cases \| .*\|\n(?:\|.*\n)*", readme)
    assert found and found[0].rstrip("\n") == conformance.summary()
