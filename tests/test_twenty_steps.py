"""The tool that takes the steps of an exported training beside the engine's."""

from __future__ import annotations

import sys

import pytest

import nnspec
from tools import twenty_steps
from tools.twenty_steps import Apart


def test_the_losses_of_both_are_compared(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["twenty_steps", "xor", "gan"])
    assert twenty_steps.main() == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("xor ") and second.startswith("gan ")


def test_a_step_that_is_another_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    fit = nnspec.Net.fit_datasets

    def otherwise(net: nnspec.Net, *how: object) -> object:
        net.params["dense.W"][0, 0] += 0.01
        return fit(net, *how)

    monkeypatch.setattr(nnspec.Net, "fit_datasets", otherwise)
    monkeypatch.setattr(sys, "argv", ["twenty_steps", "xor"])
    assert twenty_steps.main() == 1 and "TOO FAR" in capsys.readouterr().out
    assert twenty_steps.apart(nnspec.load("xor", engine="numpy")) != Apart(0, 0)


@pytest.mark.parametrize(("dtype", "ends"), [("float32", 0), ("float64", 1)])
def test_in_float64_weights_are_compared_too(
    dtype: str, ends: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fit = nnspec.Net.fit_datasets

    def and_moves(net: nnspec.Net, *how: object) -> object:
        history = fit(net, *how)
        net.params["dense.W"][0, 0] += 1e-3
        return history

    monkeypatch.setattr(sys, "argv", ["twenty_steps", "--dtype", dtype, "--normal", "--batch", "3", "xor"])
    assert twenty_steps.main() == 0
    monkeypatch.setattr(nnspec.Net, "fit_datasets", and_moves)
    assert twenty_steps.main() == ends and ("TOO FAR" in capsys.readouterr().out) == ends
