"""Specs with one thing in them that may be doubtful, and the rest as it should be."""

from __future__ import annotations

RATES = "optimizer by(eta) { w <- w - eta * g  # lr\n}\noptimizer bare { w <- w - lr * g }\n"
U = "u = stack(x) -> dense(8) -> tanh -> dense(1) -> squeeze"


JUDGED = ("loss real = bce_logits(x -> judge, 1)", "loss made = bce_logits(fake -> judge, 0)")


def model(*lines: str) -> str:
    return "\n".join(("model M {", *(f"  {line}" for line in lines), "}"))


def judged(*lines: str) -> str:
    """A model with two inputs that calls another, and one without weights."""
    judge = "model Judge { input x: [2]  output logit = x -> dense(8) -> tanh -> dense(2) }"
    half = "model Half { input x: [2]  output y = x / 2 }"
    return f"{judge}\n{half}\n" + model("input x: [2]", "input y: [2]", *lines, "loss mean(d^2)")


def vector(stages: str, *lines: str) -> str:
    """Stages on eight numbers, with four to be predicted."""
    return model("input x: [8]", "target y: [4]", f"output z = x -> {stages}", "loss mse(z, y)", *lines)


def image(stages: str) -> str:
    """Stages on an image of 8 by 8, with ten classes."""
    return model(
        "input x: [1, 8, 8]", "target y: class(10)", f"logits = x -> {stages}", "output logits", "loss cross_entropy(logits, y)"
    )  # fmt: skip


def squared(formula: str, *lines: str) -> str:
    """A formula with a square of weights; what is read from it is `z`, four numbers."""
    parameters = ("param W: [8, 8] ~ xavier_normal", "param V: [8, 4] ~ xavier_normal", "param b: [8] = 0.1")
    return model(
        "input x: [8]", "target y: [4]", *parameters, f"h = {formula}", *lines, "output z", "loss mse(z + 0 * mean(V) * mean(b), y)"
    )


def drawn(formula: str) -> str:
    """A formula of `h`, four numbers of each example."""
    return model(
        "input x: [8]", "target y: [4]", "h = x -> dense(4) -> tanh", f"g = {formula}", "output z = g -> dense(4)", "loss mse(z, y)"
    )


def made(noise: str, *losses: str) -> str:
    """A network that makes examples of noise, and one that judges them."""
    return model(
        "input x: [2]", f"output fake = {noise} -> dense(8) -> tanh -> dense(2)", "share judge = dense(8) -> tanh -> dense(1)", *losses
    )


def logit(*lines: str) -> str:
    return model("input x: [8]", "target y: []", "z = x -> dense(1) -> squeeze", "output p = sigmoid(z)", *lines)


def three(probabilities: str, *lines: str) -> str:
    """Three classes, with `z` for their logits."""
    return model("input x: [8]", "target y: class(3)", "z = x -> dense(3)", f"output p = {probabilities}", *lines)


def trained(optimizer: str) -> str:
    """With optimizers of its own, one that does nothing and one that goes up with a positive rate."""
    own = "optimizer still(lr) { state v = 0  v <- v + lr * g }\noptimizer up(lr) { w <- w + lr * g }"
    return f"{own}\n{vector('dense(4)')}\ntrain {{ epochs 1  optimizer {optimizer} }}"


def watched(stop: str, *metrics: str) -> str:
    """A training that waits for a metric."""
    return f"{vector('dense(4)', *metrics)}\ntrain {{ epochs 1  validation 0.5  optimizer adam  stop {stop} }}"


def segmenter(target: str, augment: str) -> str:
    z, loss = "z = image -> conv(1, 3, pad = same)", "loss mse(s, sum(1 * mask))"
    block = f"train {{ epochs 1  optimizer sgd(lr = 0.1)  {augment} }}"
    return model("input image: [1, 6, 8]", "input depth: [1, 6, 8]", f"target mask: {target}", z, "output s = sum(z + depth)", loss) + block


def sequence(stages: str) -> str:
    return model("input x: [T, 8]", "target y: [4]", f"output z = (x -> {stages})[-1] -> dense(4)", "loss mse(z, y)")


SIGMOIDS = "dense(16) -> sigmoid -> dense(16) -> sigmoid -> dense(16) -> sigmoid -> dense(16) -> sigmoid -> dense(16) -> sigmoid"
SMALL_TANH = " -> ".join(["dense(16, init = normal(0, 0.05)) -> tanh"] * 4)


def masked(m: str, *before: str) -> str:
    """Attention of a sequence to itself, with scores s of which m is made."""
    return model(
        "input x: [T, 8]", "target y: [T, 8]", "s = x @ transpose(x)", *before, f"m = {m}", "output z = softmax(m) @ x", "loss mse(z, y)"
    )
