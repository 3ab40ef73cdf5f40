"""Specs that are small and would be large: each is refused, or harmless, within a second."""

from __future__ import annotations

from collections.abc import Iterator


def model(body: str, before: str = "") -> str:
    return f"{before}\nmodel M {{\n  input x: [4]\n  {body}\n}}\n"


def _doubling(levels: int, step: str) -> str:
    """Definitions that each call the one before twice."""
    calls = "\n".join(f"{step.format(this=f'f{i}', last=f'f{i - 1}')}" for i in range(1, levels + 1))
    return f"layer f0(v) = v -> dense(4)\n{calls}"


def bombs() -> Iterator[tuple[str, str]]:
    """Name and text."""
    for levels in (5, 20, 40, 60):
        yield (
            f"layers that call two, {levels} deep",
            model(f"output y = x -> f{levels}", _doubling(levels, "layer {this}(v) = v -> {last} -> {last}")),
        )
    for levels in (20, 60):
        yield (
            f"functions that call two, {levels} deep",
            model(
                f"output y = g{levels}(x)",
                "fn g0(x) = tanh(x)\n" + "\n".join(f"fn g{i}(x) = g{i - 1}(x) + g{i - 1}(2 * x)" for i in range(1, levels + 1)),
            ),
        )
    yield "a function of itself", model("output y = f(x)", "fn f(x) = f(x)")
    yield "a function of itself, twice", model("output y = f(x)", "fn f(x) = f(x) + f(x)")
    yield "two functions of each other", model("output y = f(x)", "fn f(x) = g(x)\nfn g(x) = f(x)")
    yield "a layer of itself", model("output y = x -> f", "layer f(x) = x -> dense(4) -> f")
    yield "a function whose default calls it", model("output y = f(x)", "fn f(x, n = f(1)) = x")
    yield "recursion that counts away", model("output y = f(x, 1)", "fn f(x, n) = if n == 0 then x else f(x, n + 1)")
    yield "recursion by halves", model("output y = f(x, 1)", "fn f(x, n) = if n == 0 then x else f(x, n / 2)")
    twice = "fn f(x, n) = if n == 0 then x else f(x, n - 1) + f(2 * x, n - 1)"
    yield "recursion in two, to a depth of 63", model("output y = f(x, 63)", twice)
    yield "recursion in a number alone", model("k = f(30)  output y = x * k", "fn f(n) = if n < 2 then n else f(n - 1) + f(n - 2)")
    formula = "x -> dense(8) -> tanh -> dense(8)"
    for name, start in (
        ("a softmax", f"softmax({formula})"),
        ("a quotient", "sin(x) * cos(2 * x) / x"),
        ("norms", f"({formula}) -> layernorm"),
    ):
        yield f"{name}, differentiated fourteen times", model(f"output y = {'sum(grad(' * 14}sum({start}){', x))' * 14}")
    again = "fn d(x, n) = if n == 0 then sum(softmax(x)^2) else sum(grad(d(x, n - 1), x))"
    yield "derivatives by recursion", model("output y = d(x, 14)", again)
    yield "a let of itself", model("output y = a * x", "let a = a + 1")
    yield "two lets of each other", model("output y = a * x", "let a = b\nlet b = a")
    for count in ("10^5", "10^6", "10^18", "1e300", "2^62"):
        yield f"repeat({count})", model(f"output y = x -> repeat({count}) {{ dense(4) }}")
    yield "repeat in repeat", model("output y = x -> repeat(10000) { repeat(10000) { dense(4) } }")
    yield "repeat of nothing in repeat", model("output y = x -> repeat(10000) { repeat(10000) { repeat(10000) { identity } } }")
    yield "repeat of a share", model("share f = dense(4)  output y = x -> repeat(10000) { repeat(100) { f } }")
    yield "sizes that double", model("output y = x -> repeat(60) { [identity, identity] -> concat(axis = 0) }")
    yield "sizes that double, with weights", model("output y = x -> repeat(40) { [identity, identity] -> concat(axis = 0) } -> dense(4)")
    doubling = "\n".join(f"v{i} = v{i - 1} + v{i - 1}" for i in range(1, 41))
    yield "sums of a padded value that double", model(f"v0 = pad_axis(x, 0, 1, 1)\n{doubling}\noutput y = v40")
    yield "axes that grow", model("output y = x -> repeat(50) { [identity, identity] -> stack }")
    yield "a branch of branches", model("output y = x -> " + "[" * 60 + "dense(4)" + "]" * 60 + " -> concat(axis = 0)")
    yield "a tower of powers", model("output y = x * (9 ^ 9 ^ 9 ^ 9)")
    yield "a tower of powers of a let", model("output y = x * a", "let a = 2 ^ 62 * 2 ^ 62 * 2 ^ 62")
    yield "numbers that square", model("output y = x * a", "let a = f(3, 40)\nfn f(x, n) = if n == 0 then x else f(x * x, n - 1)")
    yield "a long range", model("output y = x * sum(range(0, 10 ^ 9))")
    yield "a list of ranges", model("a = [range(0, 90000), range(0, 90000), range(0, 90000)]  output y = x")
    yield "a range of a range", model("output y = x", "let a = f(90000, 30)\nfn f(x, n) = if n == 0 then x else [f(x, n - 1), f(x, n - 1)]")
    yield "many zeros", model("output y = x + sum(zeros(10 ^ 12))")
    yield "many zeros of many", model("output y = x + sum(zeros([30000, 30000, 30000]))")
    yield "a wide code", model("output y = sum(one_hot(0 * x, 2 ^ 31 - 1))")
    yield "expansion by sizes", model("output y = sum(expand(x, [2 ^ 31 - 1, 2 ^ 31 - 1, 4]))")
    inner = "sum(scan b in reshape(a, [1, 1]) with k = zeros(1) { k = k + b })"
    yield "a scan in a scan", model(f"output y = scan a in reshape(x, [4, 1]) with h = zeros(1) {{ h = h + {inner} }}")
    steps = 'test "t" of M { given x = [1, 2, 3, 4]  steps 1000000000000 with sgd(lr = 1)  expect y[0] == 0 }'
    yield "a test of many steps", model("output y = x -> dense(4)  loss sum(y)") + steps
    yield "a block of many blocks", model("output y = x -> " + "{ " * 90 + "dense(4)" + " }" * 90)
    losses = "  ".join(f"loss l{i} = mean((h - {i} * x)^2)" for i in range(2000))
    yield "as many losses as a file has lines", model(f"param w: [4] = 1  h = x * w  output h  {losses}")
    yield "a model of itself", "model M { input x: [4]  output y = x -> M }"
    nested = (f"model B{i} {{ input x: [4]  output y = x -> B{i - 1} -> B{i - 1} }}" for i in range(1, 30))
    yield "a model in a model in a model", "\n".join(["model B0 { input x: [4]  output y = x -> dense(4) }", *nested])


def sizes() -> Iterator[tuple[str, str]]:
    """Sizes and shapes that are no sizes and shapes, or too large ones: name and text."""
    numbers = ("0", "-1", "2.5", "2^31", "2^62", "2^63", "1e30", "1e400", "0 - 0", "1 / 0", "true", '"4"', "[4]", "x", "nothing", "10 ^ 18")
    for number in numbers:
        yield f"an input of {number}", f"model M {{ input x: [{number}]  output y = 2 * x }}"
        yield f"a layer of {number} units", model(f"output y = x -> dense({number})")
        yield f"a kernel of {number}", f"model M {{ input x: [1, 8, 8]  output y = x -> conv(2, {number}) }}"
    yield "nine axes", "model M { input x: [1, 1, 1, 1, 1, 1, 1, 1, 1]  output y = 2 * x }"
    yield "nine axes of a list", model("output y = x + " + "[" * 9 + "1" + "]" * 9)
    yield "parameters of 2^31 by 2^31", model("param W: [2^31 - 1, 2^31 - 1] ~ normal  output y = x * sum(W)")
    yield "parameters of more than 2 GiB in all", model("output y = x -> dense(30_000) -> dense(30_000) -> dense(30_000)")
    yield "an embedding of everyone", "model M { input i: class(2^31 - 1)  output y = i -> embedding(2^31 - 1, 64) }"
    yield "a reshape to something else", model("output y = reshape(x, [2^31 - 1, 2^31 - 1])")
    yield "a stride of nothing", "model M { input x: [1, 8, 8]  output y = x -> conv(2, 3, stride = 0) }"
    yield "a pad to the moon", "model M { input x: [1, 8, 8]  output y = x -> pad(2^31) -> conv(2, 3) }"
    yield "a pad of less than nothing", "model M { input x: [1, 8, 8]  output y = x -> pad(-5) -> conv(2, 3) }"
    yield "as many groups as there are stars", "model M { input x: [4, 8, 8]  output y = x -> conv(4, 3, groups = 2^40) }"
    yield "a dilation that leaves the image", "model M { input x: [1, 8, 8]  output y = x -> conv(2, 3, dilation = 2^31) }"
    yield "an image of another rank", "model M { input x: [1, 2, 3, 4, 5, 6]  output y = x -> conv(2, 3) }"
