"""One network in several threads: what it computes for each is what it computes for one alone."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from threading import Barrier, Event, Thread
from typing import Any

import numpy as np
import pytest

import nnspec
from nnspec.run.team import together

SMALL = """
model Small {
  input  x: [12]
  target y: class(3)
  output z = x -> dense(16) -> tanh -> dense(3)
  loss   cross_entropy(z, y)
}
train { epochs 7  batch 8  optimizer adam(lr = 0.01) }
"""
ENGINES = ("numpy", "ort", "reference")
THREADS, CALLS = 4, 60
random = np.random.default_rng(0)
X, Y = random.normal(size=(24, 12)).astype("float32"), random.integers(0, 3, 24)


@pytest.fixture(autouse=True)
def often() -> Iterator[None]:
    """Threads take turns after a few microseconds, where mistakes of theirs show."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def small(engine: str) -> nnspec.Net:
    return nnspec.loads(SMALL, engine=engine, threads=1)


def in_threads(job: Callable[[int], Any], number: int = THREADS * CALLS) -> list[Any]:
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(job, range(number)))


@pytest.mark.parametrize("engine", ENGINES)
def test_each_thread_gets_the_outputs_of_its_own_input(engine: str) -> None:
    net = small(engine)
    rows = [X[i : i + 1] for i in range(len(X))]
    predicted, called = [net.predict(row) for row in rows], [net(row)["z"] for row in rows]
    for i, (first, second) in enumerate(in_threads(lambda i: (net.predict(rows[i % len(X)]), net(rows[i % len(X)])["z"]))):
        np.testing.assert_array_equal(first, predicted[i % len(X)])
        np.testing.assert_array_equal(second, called[i % len(X)])


@pytest.mark.parametrize("engine", ENGINES)
def test_each_thread_gets_the_gradients_and_the_metrics_of_its_own_batch(engine: str) -> None:
    net = small(engine)
    batches = [{"x": X[i : i + 4], "y": Y[i : i + 4]} for i in range(20)]
    alone = [(*net.gradients(**b), net.evaluate(b)) for b in batches]
    for i, (loss, grads, metrics) in enumerate(in_threads(lambda i: (*net.gradients(**batches[i % 20]), net.evaluate(batches[i % 20])))):
        assert (loss, metrics) == (alone[i % 20][0], alone[i % 20][2])
        for name, grad in grads.items():
            np.testing.assert_array_equal(grad, alone[i % 20][1][name])


@pytest.mark.parametrize("engine", ENGINES)
def test_steps_of_several_threads_all_count(engine: str) -> None:
    shared, single = small(engine), small(engine)
    in_threads(lambda _: shared.step(x=X, y=Y))
    for _ in range(THREADS * CALLS):
        single.step(x=X, y=Y)
    for name, value in single.params.items():
        np.testing.assert_array_equal(shared.params[name], value)


@pytest.mark.parametrize("engine", ENGINES)
def test_who_predicts_while_it_is_trained_sees_the_weights_between_two_steps(engine: str) -> None:
    shared, single = small(engine), small(engine)
    seen = {single.predict(X).tobytes()}
    for _ in range(CALLS):
        single.step(x=X, y=Y)
        seen.add(single.predict(X).tobytes())
    jobs: dict[bool, Callable[[], Any]] = {True: lambda: shared.step(x=X, y=Y), False: lambda: shared.predict(X)}
    for i, value in enumerate(in_threads(lambda i: jobs[i % 2 == 0](), 2 * CALLS)):
        assert i % 2 == 0 or value.tobytes() in seen


def test_trainings_at_once_go_one_after_the_other() -> None:
    shared, single = small("numpy"), small("numpy")
    lengths = [len(history.epochs) for history in in_threads(lambda i: shared.fit({"x": X, "y": Y}, epochs=3 + i % 2), 4)]
    assert lengths == [3, 4, 3, 4] and shared.spec.trainings[0].epochs == 7
    assert shared.engine.steps_done == sum(lengths) * 3
    assert len(shared.fit({"x": X, "y": Y}).epochs) == len(single.fit({"x": X, "y": Y}).epochs) == 7


def test_threads_that_use_a_network_first_at_once_have_one_engine() -> None:
    net = small("numpy")
    assert len(set(map(id, in_threads(lambda _: net.engine, THREADS)))) == 1


# ---- jobs on threads of their own


def test_jobs_run_at_the_same_time() -> None:
    meeting = Barrier(3)
    for _ in range(20):
        together([partial(meeting.wait, 10)] * 3)


def test_an_error_of_any_job_is_raised_once_all_are_done() -> None:
    done: list[int] = []

    def failing() -> None:
        raise ZeroDivisionError

    for jobs in ([failing, partial(done.append, 1)], [partial(done.append, 2), failing], [failing, failing, partial(done.append, 3)]):
        with pytest.raises(ZeroDivisionError):
            together(jobs)
    together([partial(done.append, 4), partial(done.append, 5)])
    assert sorted(done) == [1, 2, 3, 4, 5]


def test_callers_do_not_share_helpers_at_the_same_time() -> None:
    meeting = Barrier(8)
    together([partial(together, [partial(meeting.wait, 10)] * 2)] * 4)


# ---- processes that fork

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="only where processes fork")
quietly = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


def in_a_child(job: Callable[[], bytes]) -> bytes:
    """What a forked process computes; nothing where it hangs."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        signal.alarm(20)
        os.write(writing, job())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as file:
        found = file.read()
    os.waitpid(child, 0)
    return found


@contextmanager
def meanwhile(job: Callable[[], Any]) -> Iterator[None]:
    """Another thread does a job again and again."""
    done = Event()

    def work() -> None:
        while not done.is_set():
            job()

    thread = Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


@forks
@quietly
def test_a_forked_process_has_helpers_of_its_own() -> None:
    together([int, int])
    assert in_a_child(lambda: bytes(together([int, int]) or b"done")) == b"done"


@forks
@quietly
@pytest.mark.parametrize("engine", ENGINES)
def test_a_process_forked_while_a_thread_trains_has_the_weights_between_two_steps(engine: str) -> None:
    shared, single = small(engine), small(engine)
    shared.step(x=X, y=Y)
    with meanwhile(lambda: ([shared.step(x=X, y=Y) for _ in range(40)], time.sleep(0.001))):
        forked = [in_a_child(lambda: shared.engine.steps_done.tobytes() + shared.predict(X).tobytes()) for _ in range(5)]
    for found in forked:
        for _ in range(int(single.engine.steps_done), int(np.frombuffer(found[:8], np.int64)[0])):
            single.step(x=X, y=Y)
        assert found[8:] == single.predict(X).tobytes()


@forks
@quietly
def test_a_process_forked_while_a_thread_fits_can_fit_by_itself() -> None:
    net, begun = small("numpy"), Event()
    progress = nnspec.Progress(on_epoch=lambda _: begun.set())
    with meanwhile(lambda: net.fit({"x": X, "y": Y}, epochs=200, progress=progress)):
        assert begun.wait(20)
        assert in_a_child(lambda: bytes([len(net.fit({"x": X, "y": Y}, epochs=e).epochs) for e in (None, 3, None)])) == bytes([7, 3, 7])


@forks
@quietly
def test_a_process_forked_while_a_thread_makes_the_engine_makes_its_own() -> None:
    net, making, forked = small("numpy"), Event(), Event()

    def make() -> None:
        with net._making:
            making.set()
            forked.wait(20)

    thread = Thread(target=make)
    thread.start()
    making.wait(20)
    found = in_a_child(lambda: net.predict(X).tobytes())
    forked.set()
    thread.join()
    assert found == small("numpy").predict(X).tobytes()
