"""The language reference: each block is right as it stands, each name of the language is in it, and the whole syntax parses."""

from __future__ import annotations

import re

import pytest
from helpers import ROOT

from nnspec.compile import Compilation
from nnspec.diagnostics import Diagnostic, Source, render
from nnspec.elaborate.library import public
from nnspec.elaborate.phases import PHASE_SETTINGS
from nnspec.elaborate.primitives import builtins
from nnspec.elaborate.sources import SOURCES
from nnspec.elaborate.values import Function
from nnspec.syntax.parser import parse
from nnspec.syntax.words import OTHER_WORDS, STATEMENT_WORDS

REFERENCE = (ROOT / "grammar" / "README.md").read_text("utf-8")
BLOCKS = [
    (kind, text, REFERENCE[: match.start()].count("\n") + 1)
    for match in re.finditer(r"^```(nn[^\n]*)\n(.*?)^```$", REFERENCE, re.M | re.S)
    for kind, text in [match.groups()]
]
RIGHT = [pytest.param(text, id=f"line {line}") for kind, text, line in BLOCKS if kind == "nn"]
IN_CODE = set(re.findall(r"[^\W\d]\w*", " ".join(re.findall(r"`([^`\n]+)`", REFERENCE))))

# One text for each construct of the specification, whether this version has it or not.
CONSTRUCTS = {
    "header": "nnspec 1",
    "comments": "# doc\n# more\nlet a = 1 # after",
    "import": 'import "blocks.nn"',
    "let": "let width = 1_000 let rate = 1e-3 let name = \"a\" let on = true let off = false",
    "two neurons": """
        model Mazur {
          input  x: [2]
          target y: [2]
          param W1: [2, 2] = [[0.15, 0.25], [0.20, 0.30]]
          h = sigmoid(x @ W1 + 0.35)
          output h
          loss sum(0.5 * (y - h)^2)
        }
        train {
          data      { x = [[0.05, 0.10]], y = [[0.01, 0.99]] }
          batch     1
          epochs    10_000
          optimizer sgd(lr = 0.5)
        }""",
    "every setting": """
        train pretrain {
          data mnist
          validation 0.1
          test csv("t.csv", x = [a, b], y = "species")
          augment image -> shift(2) -> rotate(10)
          batch 128 epochs 10 steps 5
          optimizer adam(lr = 1e-3)
          schedule cosine(warmup = 100)
          penalty l2(1e-4), l1(1e-5)
          clip norm(1.0)
          stop early(val.loss, patience = 3)
          freeze conv, dense_2
          update head.W
          minimize sparsity
          start from "runs/first"
          checkpoint 100
          seed 42
        }""",
    "branches": """
        layer inception(x, c1, cp) =
          x -> [ conv(c1, 1) -> relu,
                 maxpool(3, stride = 1, pad = same) -> conv(cp, 1) -> relu ] -> concat(axis = 0)""",
    "residual": """
        layer residual_block(x, channels) {
          y = x -> conv(channels, 3, pad = same) -> batchnorm -> relu
            -> conv(channels, 3, pad = same) -> batchnorm
          return relu(x + y)
        }""",
    "labels and named losses": """
        model Autoencoder {
          input x: [784]
          code  = x -> gaussian_noise(0.3) -> dense(32) as bottleneck
          output code, recon = code -> dense(784)
          loss sparsity = 1e-3 * mean(abs(code))
          metric other = mse(recon, x)
        }""",
    "scan": """
        layer rnn(x: [T, n], units) -> [T, units] {
          param W: [n, units] ~ orthogonal
          hs = scan x_t in x with h = zeros(units) {
            h = tanh(h @ W + x_t)
          }
          return hs
        }""",
    "scan of two": "layer l(x) { hs, cs = scan x_t in x with h = 0, c = 0 { h = x_t c = h } return hs[-1] }",
    "a pipeline in brackets, indexed": "model N { input x: [T, 1] output y = (x -> rnn(32))[-1] -> dense(1) }",
    "optimizer": """
        optimizer nesterov(lr, mu = 0.9) {
          state v = 0
          lookahead w + mu * v
          v <- mu * v - lr * g
          w <- w + v
        }""",
    "schedule and init": """
        schedule step_decay(gamma, every) = lr * gamma^floor(epoch / every)
        schedule flat = lr
        init he_normal = normal(0, sqrt(2 / fan_in))
        init scaled(gain = 1) = gain * random(shape)""",
    "share": """
        model Siamese {
          input a: [784]
          target same: []
          share enc = dense(128) -> relu -> dense(32)
          d = sum(((a -> enc) - (b -> enc))^2)
          tied = h @ transpose(enc.dense.W)
          output d
        }""",
    "gradients in formulas": "model Heat { input x: [] u_xx = grad(grad(u, x), x) output u loss (u_t - 0.1 * u_xx)^2 }",
    "names": "let η = 1 let ŷ = 2 let вес = 3 let x_1 = 4",
    "operators": "let a = not 1 + 2 * 3 ^ -2 ^ 2 % 5 < 4 and b @ c / d - e >= f or g == h",
    "comparisons": "let a = [1 < 2, 1 <= 2, 1 > 2, 1 >= 2, 1 == 2, 1 != 2, 1 ~= 2]",
    "conditional formulas": "fn f(x) = if x < 0 then 1 else if x > 1 then 2 else 3",
    "calls": "let a = f(1, b = 2,) let b = g() let c = nn.ReLU(1) let d = f(1)(2)[3].w",
    "indices": "let a = x[0] let b = x[-1, :] let c = x[1:3, :2, 4:]",
    "types": "model M { input a: [1, 28, 28] input b: int[T] input c: bool[3] input d: class(10) input e: class(10)[T] input f: [] }",
    "computed and starred sizes": "layer l(x: [*s, n], m) -> [*s, 2 * m + 1] { param W: [_, m / 2,] ~ zeros return x }",
    "repeat and inline stages": "layer deep(x, n) = x -> repeat(n) { dense(8) -> relu } -> { dense(1) } -> [relu, tanh]",
    "fn": "fn elu(x, alpha = 1) = if x < 0 then alpha * (exp(x) - 1) else x",
    "a fn with a body": "fn f(x) { y = x a, b = y return a }",
    "if statements": """
        layer dense(x: [*s, n], units, bias = true, init = he_normal) -> [*s, units] {
          param W: [n, units] ~ init
          y = x @ W
          if bias {
            param b: [units] ~ zeros
            y = y + b
          } else if n == 3 { y = 2 * y } else { y = y }
          return y
        }""",
    "params": """
        layer l(x) {
          param a = 1
          param b: [3] = 1
          param c: [3] ~ normal(0, 1)
          param d: [3] from "weights.safetensors"
          state e: [3] = 0
          state f = 0
          e <- 0.9 * e + batch_mean(x)
          return x
        }""",
    "model parameters": "model Net(width = 32, act = relu) { input x: [3] output y = x -> dense(width) }",
    "expectations": """
        model M {
          expect params < 450_000
          expect params(dense) == 3
          expect shape(top) == [64, 7, 7]
          expect receptive_field(top) >= [10, 10]
          expect depends(y, x) and memory < 100
        }""",
    "test": """
        test "Mazur, first step" of Mazur {
          given x = [0.05, 0.10], y = [0.01, 0.99]
          expect loss ~= 0.298371109
          steps 1 with sgd(lr = 0.5)
          expect W2[0, 0] ~= 0.35891648
        }""",
    "sources": """
        train a { data { x = [[1]], y = [2], } validation parquet("f") test images("folder/") }
        train b { data series("f.csv", column, window = 3, horizon = 1) validation text("f.txt", window = 64) }
        train c { data csv("f.csv", image = pixels / 255) }
        train d { stop plateau(loss, patience = 3) stop converged(weights = 1e-6) }""",
}  # fmt: skip


def diagnostics(spec: str) -> tuple[Diagnostic, ...]:
    return Compilation(Source("reference.nn", spec), {}).diagnostics


@pytest.mark.parametrize("spec", RIGHT)
def test_a_block_is_right(spec: str) -> None:
    found = diagnostics(spec)
    assert not found, render(found)


@pytest.mark.parametrize("name", sorted(CONSTRUCTS))
def test_a_construct_of_the_specification_parses(name: str) -> None:
    found = parse(Source(name, CONSTRUCTS[name]))[1]
    assert not found, render(found)


@pytest.mark.parametrize("name", sorted({name for _, name in public()} | set(builtins())))
def test_every_definition_and_primitive_is_mentioned(name: str) -> None:
    assert name in IN_CODE


@pytest.mark.parametrize("word", sorted({*STATEMENT_WORDS, *OTHER_WORDS}))
def test_every_word_of_the_language_is_mentioned(word: str) -> None:
    assert word in IN_CODE


def test_every_source_and_setting_is_mentioned() -> None:
    assert {*SOURCES, *PHASE_SETTINGS} <= IN_CODE


def signature(f: Function) -> str:
    """The arguments of a definition as the tables write them: a layer's without its first, the value that flows into it."""
    texts = [p.name + (f" = {p.default.span.text}" if p.default else "") for p in f.definition.parameters]
    return ", ".join(texts[f.kind == "layer" :])


def test_a_signature_in_the_library_tables_is_the_definition_s() -> None:
    known = {(name, signature(f)) for (_, name), f in public().items()}
    rows = re.findall(r"^\| `(\w+)(?:\(([^`]*)\))?` \|", REFERENCE.split("## Standard library")[1], re.M)
    assert rows and not set(rows) - known
