"""Numbers too small to be normal ones are zero in engines, and what they were everywhere else."""

from __future__ import annotations

from functools import partial
from threading import Thread

import numpy as np
import pytest

import nnspec
from nnspec.run import normal
from nnspec.run.normal import drop_small, without_small

TEXT = """
model M { input x: [600]  target t: [500]  output y = x -> dense(500)  loss mse(y, t) }
train { epochs 1  batch 4  optimizer momentum(lr = 0.01) }
"""
UNSTEPPED = 1000
"""Steps without a gradient; after 830 of them a momentum of usual size is too small."""
SMALLEST = float(np.finfo(np.float32).tiny)

pytestmark = pytest.mark.skipif(normal._modes() is None, reason="here small numbers are computed with as others are")


def halved(x: float, dtype: type = np.float32) -> float:
    return float((np.full(1, x, dtype) * dtype(0.5))[0])


def small_states(engine: str, threads: int) -> int:
    """How many numbers of the momentum are too small after many steps without a gradient."""
    net = nnspec.loads(TEXT, engine=engine, threads=threads)
    x, t = np.ones((4, 600), np.float32), np.ones((4, 500), np.float32)
    net.step(x=x, t=t)
    for _ in range(UNSTEPPED):
        net.step(x=0 * x, t=net(0 * x)["y"])
    states = [v for name, v in net.engine.all_arrays().items() if name.startswith("optimizer/") and name.endswith(".W")]
    assert states
    return sum(int(np.count_nonzero((v != 0) & (np.abs(v) < SMALLEST))) for v in states)


@pytest.mark.parametrize(("engine", "threads"), [("numpy", 1), ("numpy", 2), ("ort", 1), ("ort", 2)])
def test_a_momentum_that_nothing_is_added_to_becomes_zero(engine: str, threads: int) -> None:
    assert small_states(engine, threads) == 0


DEEP = "".join(f"  h{i + 1} = 0.25 * h{i} * x\n" for i in range(70))
SHRINKING = {
    "a loop": "model M { input x: [T, 3]  output y = (scan s in x with h = ones(3) { h = 0.5 * h * s }) }",
    "many operations": f"model M {{ input x: [200, 3]\n  h0 = x\n{DEEP}  output y = h66 }}",
}


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("text", SHRINKING.values(), ids=list(SHRINKING))
def test_what_shrinks_on_a_long_way_becomes_zero(text: str, threads: int) -> None:
    found = [nnspec.loads(text, engine=engine, threads=threads)(np.ones((2, 200, 3), np.float32))["y"] for engine in ("reference", "numpy")]
    by_definition, here = ((y != 0) & (np.abs(y) < SMALLEST) for y in found)
    assert by_definition.any() and not here.any()
    np.testing.assert_allclose(*found, rtol=1e-5, atol=SMALLEST)


def test_elsewhere_small_numbers_stay() -> None:
    def fails() -> None:
        assert halved(1e-40) == 0 and halved(1e-310, np.float64) == 0
        raise KeyError

    for work in (partial(without_small, fails), partial(without_small, without_small(fails))):
        with pytest.raises(KeyError):
            work()()
        assert halved(1e-40) > 0 and halved(1e-310, np.float64) > 0


def test_each_thread_computes_by_itself() -> None:
    seen = list[float]()
    without_small(lambda: seen.append(halved(1e-40)))()
    thread = Thread(target=lambda: seen.append(halved(1e-40)))
    thread.start()
    thread.join()
    assert seen[0] == 0 and seen[1] > 0


def test_what_is_small_in_an_array_is_dropped() -> None:
    x = np.array([1e-40, -1e-42, 2e-38, -3, 0], np.float32)
    drop_small(x)
    assert x.tolist() == [0, 0, float(np.float32(2e-38)), -3, 0]


def test_where_nobody_knows_how_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(normal, "_modes", lambda: None)
    assert without_small(seen := lambda: halved(1e-40)) is seen
    drop_small(x := np.full(1, 1e-40, np.float32))
    assert x[0] > 0


@pytest.mark.parametrize(("libraries", "found"), [((None, "no-such-library"), True), (("libc.so.6.none", "libz.so.1"), False), ((), False)])
def test_a_c_library_without_the_functions_is_no_mistake(libraries: tuple[str, ...], found: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(normal, "LIBRARIES", libraries)
    assert (normal._modes.__wrapped__() is not None) == found
