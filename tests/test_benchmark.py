"""`nnspec bench`: the matrix products of a step are counted as they are, and every engine is timed."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers import run

import nnspec
from nnspec import benchmark as module
from nnspec.benchmark import PRODUCTS, Benchmark, Product, Timing, benchmark, products, random_batch
from nnspec.cli.bench import _text
from nnspec.compile import Compilation
from nnspec.diagnostics import Fault, Source
from nnspec.net import ENGINES
from nnspec.ops import OPS
from nnspec.rewrite.planes import IN_PLANES

LSTM = """
model M { input x: [T, 3]  target y: [2]  output z = (x -> lstm(5))[-1] -> dense(2)  loss mse(z, y) }
train { epochs 1  batch 4  optimizer sgd(lr = 0.1) }
"""


def counted(spec: Compilation, **sizes: int) -> Counter[Product]:
    return Counter(p for phase in spec.stages[0] for p in products(phase.objective, sizes))


def test_a_dense_layer_has_its_product_and_two_for_its_gradients() -> None:
    found = counted(nnspec.load("mnist_mlp").spec, batch=64)
    forward, hidden = {Product(64, 784, 128): 1, Product(64, 128, 10): 1}, {Product(64, 10, 128): 1}
    assert found == {**forward, **hidden, Product(784, 64, 128): 1, Product(128, 64, 10): 1}


def test_the_products_of_a_loop_count_at_every_step() -> None:
    found = counted(Compilation(Source("m.nn", LSTM), {}), batch=4, T=7)
    assert found[Product(4, 5, 20)] == found[Product(4, 20, 5)] == 7  # h @ R, and the gradient of h
    weights = 2 * 7 * 4 * 20 * (3 + 3 + 5 + 5 + 5)
    assert sum(p.flops * n for p, n in found.items()) == weights + 3 * 2 * 4 * 5 * 2


@pytest.mark.parametrize("name", ["lenet", "conv_autoencoder", "gpt"])
def test_the_products_have_the_operations_that_their_rows_count(name: str) -> None:
    spec, sizes = nnspec.load(name).spec, {"batch": 3, "T": 6}
    graph = spec.stages[0][0].objective
    rows = [OPS[n] for n in ("matmul", "conv", "conv_input_grad", "conv_weight_grad")]
    work = [n.op.work(n.type, tuple(graph[i].type for i in n.inputs), n.attributes) for n in graph if n.op in rows]
    bound = [w if isinstance(w, int) else w.bind(sizes) for w in work]
    assert sum(p.flops for p in products(graph, sizes)) == sum(bound) > 0


def test_a_row_that_counts_its_operations_is_known_to_be_a_product_or_none() -> None:
    known = {op.name for op in (*PRODUCTS, *IN_PLANES.values())} | {"scan"}  # of planes a plan is made only after the counting
    assert {name for name, op in OPS.items() if op.flops} - known == {
        "cumsum", "put_rows", "max_pool", "avg_pool", "avg_pool_grad", "sum", "mean", "max", "min", "softmax", "log_softmax", "logsumexp",
        "descend", "prod", "stop_gradient",
    }  # fmt: skip


def test_random_examples_hold_only_classes_that_there_are() -> None:
    batch = random_batch(nnspec.load("gpt").spec, {"batch": 50, "T": 8})
    assert batch["text"].shape == batch["next"].shape == (50, 8)
    assert batch["text"].min() == 0 and batch["text"].max() == 64


def test_a_size_without_a_number_is_asked_for() -> None:
    spec = Compilation(Source("m.nn", LSTM), {})
    with pytest.raises(Fault, match="`T` has no value"):
        benchmark(spec, [])
    with pytest.raises(Fault, match="no input or target has a size `S`"):
        benchmark(spec, [], sizes={"T": 3, "S": 3})


def test_the_share_is_what_the_products_would_take_of_a_step() -> None:
    assert Benchmark(1, [], 1, 10, products_seconds=0.5, limit=20).share(Timing("numpy", seconds=2.0)) == 0.25


def test_of_rounds_that_others_disturb_the_best_counts_and_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    busy, taken = [True], []

    def seconds(call: Callable[[], object], long: float) -> list[float]:
        taken.append(long)
        if taken.count(module.SECONDS) > 1:
            busy.clear()
        return [(40.0 if busy else 1.0) * long]

    monkeypatch.setattr(module, "_seconds", seconds)
    measured = benchmark(nnspec.load("mazur").spec, ["numpy"])
    assert (measured.timings[0].seconds, measured.timings[0].slowest) == (module.SECONDS, 40 * module.SECONDS)
    assert measured.products_seconds == pytest.approx(measured.products * module.SECONDS_OF_A_PRODUCT)
    assert "the slowest round took with numpy 40.0 times as long" in _text("mazur", measured)
    assert "busy" not in _text("mazur", benchmark(nnspec.load("mazur").spec, ["numpy"]))


def test_bench_times_every_engine_and_writes_json() -> None:
    done = run("bench", "mazur", "--batch", "3", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["batch"] == 3 and document["matrix_products"]["number"] == 5
    assert [e["engine"] for e in document["engines"]] == list(ENGINES[1:])
    for engine in document["engines"]:
        assert engine["examples_per_second"] == pytest.approx(3 / engine["seconds"])
        assert engine["share_of_products"] == pytest.approx(document["matrix_products"]["seconds"] / engine["seconds"])


def test_bench_shows_a_row_for_the_engine_asked_for() -> None:
    done = run("bench", "char_lstm", "--engine", "numpy", "--size", "T=3", "--batch", "2")
    assert done.returncode == 0, done.stderr
    assert "a step of 2 examples" in done.stdout and "numpy" in done.stdout and "reference" not in done.stdout


def test_a_step_without_matrix_products_is_timed(tmp_path: Path) -> None:
    model = "model M { input x: [2]  param w: [2] = 1  output z = sum(w * x)  loss z^2 }"
    (tmp_path / "m.nn").write_text(f"{model}\ntrain {{ epochs 1  batch 1  optimizer sgd(lr = 0.1) }}\n")
    done = run("bench", "m.nn", "--engine", "numpy", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    first, *_ = lines = done.stdout.splitlines()
    timed = next(line for line in lines if line.split()[:1] == ["numpy"])
    assert first == "m: a step of 1 example has no matrix products" and timed.split()[-1] == "0%"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["char_lstm"], 1, "--size T=64"),
        (["filters"], 1, "E110"),
        (["mazur", "--engine", "abacus"], 2, "'abacus' is not one of 'numpy'"),
        (["mazur", "--size", "T=0"], 2, "whole number from 1"),
    ],
)
def test_bench_says_what_it_lacks(arguments: list[str], code: int, said: str) -> None:
    done = run("bench", *arguments)
    assert done.returncode == code and said in done.stderr
