"""Specs that must have a warning, by its code, and specs that must have none."""

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

MUST = {
    "W101": {
        "dense after dense": vector("dense(16) -> dense(4)"),
        "with a batchnorm between": vector("dense(16, bias = false) -> batchnorm -> dense(4)"),
        "with a dropout between": vector("dense(16) -> dropout(0.5) -> dense(4)"),
        "convolution after convolution": image("conv(8, 3) -> conv(8, 3) -> relu -> flatten -> dense(10)"),
        "a mean of positions and then dense": image("conv(16, 8) -> global_avgpool -> dense(10)"),
        "two layers side by side": vector("[dense(4), dense(4)] -> concat -> dense(4)"),
        "two layers added": vector("[dense(8), dense(8, bias = false)] -> add -> dense(4)"),
        "a layer added to what it is of": model(
            "input x: [8]", "target y: [4]", "h = x -> dense(8)", "output z = (h + x) -> dense(4)", "loss mse(z, y)"
        ),
        "a matrix of one's own": model(
            "input x: [8]", "target y: [4]", "param A: [8, 8] ~ he_normal", "param B: [8, 4] ~ he_normal",
            "h = 2 * (x @ A) + 1", "output z = h @ B", "loss mse(z, y)",
        ),
    },
    "W102": {
        "a softmax of one's own twice": model(
            "input x: [8]", "target y: class(3)", "p = softmax(x -> dense(3))", "output p",
            "loss -log(pick(exp(p) / sum(exp(p)), y))",
        ),
        "a softmax after a softmax": vector("dense(4) -> softmax -> softmax"),
        "a sigmoid after a sigmoid": vector("dense(4) -> sigmoid -> sigmoid"),
        "a sigmoid after one of one's own": f"fn act(x) = 1 / (1 + exp(-x))\n{vector('dense(4) -> act -> sigmoid')}",
        "a softmax after the logarithm's way back": vector("dense(4) -> log_softmax -> exp -> softmax"),
        "a formula of sigmoid": logit("loss log(1 + exp(p)) - y * p"),
        "a probability above 0": logit("loss bce(p, y)", "metric accuracy = (p > 0) == (y > 0.5)"),
        "0 below a probability": logit("loss bce(p, y)", "metric accuracy = (y > 0.5) == (0 < p)"),
        "a metric of one's own": three("softmax(z)", "loss cross_entropy(z, y)", "metric surprise = -log(pick(softmax(p), y))"),
    },
    "W103": {
        "bce of a linear layer": logit("loss bce(z, y)"),
        "nll of a linear layer": model(
            "input x: [8]", "target y: class(3)", "z = x -> dense(3)", "output softmax = softmax(z)", "loss nll(z, y)"
        ),
        "bce of tanh": logit("loss bce(tanh(z), y)"),
        "the logarithm of a linear layer": logit("loss (log(z) - y)^2"),
        "as a lecture writes it": three("z", "loss -log(pick(z, y))"),
        "clamped as a lecture does": three("z", "loss -log(max(pick(z, y), 1e-9))"),
    },
    "W104": {
        "zeros": vector("dense(16, init = zeros) -> relu -> dense(4)"),
        "a constant": vector("dense(16, init = constant(0.1)) -> tanh -> dense(4)"),
        "a number": model(
            "input x: [8]", "target y: [4]", "param W: [8, 8] = 0.5", "output z = relu(x @ W) -> dense(4)", "loss mse(z, y)"
        ),
        "a number of one's own": f"init tenth = 0.1\n{vector('dense(16, init = tenth) -> relu -> dense(4)')}",
        "a number made of sizes": f"init share = 1 / sqrt(fan_in)\n{vector('dense(16, init = share) -> relu -> dense(4)')}",
        "a normal distribution of no width": vector("dense(16, init = normal(0, 0)) -> tanh -> dense(4)"),
        "a uniform distribution of no width": vector("dense(16, init = uniform(0.1, 0.1)) -> tanh -> dense(4)"),
        "kernels": image("conv(8, 3, init = ones) -> relu -> flatten -> dense(10)"),
    },
    "W105": {
        "the mean of patches": image("conv(8, 3) -> relu -> global_avgpool -> dense(10)"),
        "the largest of patches": image("conv(8, 3) -> relu -> maxpool(2) -> global_maxpool -> dense(10)"),
        "a pooling of all that is left": image("conv(8, 3) -> relu -> avgpool(6) -> flatten -> dense(10)"),
    },
    "W106": {
        "a convolution": image("conv(8, 3) -> batchnorm -> relu -> flatten -> dense(10)"),
        "a dense layer": vector("dense(16) -> batchnorm -> relu -> dense(4)"),
        "before groupnorm of one channel a group": image("conv(8, 3) -> groupnorm(8) -> relu -> flatten -> dense(10)"),
        "before instancenorm": image("conv(8, 3) -> instancenorm -> relu -> flatten -> dense(10)"),
    },
    "W107": {
        "five sigmoids": vector(f"{SIGMOIDS} -> dense(4)"),
        "so many that nothing is left": vector("repeat(550) { dense(8, init = xavier_uniform) -> sigmoid } -> dense(4)"),
        "a formula of one's own": f"fn act(x) = 1 / (1 + exp(-x))\n{vector(SIGMOIDS.replace('sigmoid', 'act') + ' -> dense(4)')}",
        "tanh from small weights": vector(f"{SMALL_TANH} -> dense(4)"),
    },
    "W108": {
        "Xavier with relu": vector("dense(16, init = xavier_uniform) -> relu -> dense(4)"),
        "a relu of one's own": f"fn positive(x) = max(0, x)\n{vector('dense(16, init = xavier_uniform) -> positive -> dense(4)')}",
        "He with tanh": vector("dense(16, init = he_normal) -> tanh -> dense(4)"),
        "He with sigmoid, in a kernel": image("conv(8, 3, init = he_uniform) -> maxpool(2) -> sigmoid -> flatten -> dense(10)"),
        "a parameter of one's own": model(
            "input x: [8]", "target y: [4]", "param W: [8, 8] ~ xavier_normal", "output z = relu(x @ W) -> dense(4)", "loss mse(z, y)"
        ),
    },
    "W109": {
        "a formula": vector("dense(4)", "h = 2 * x"),
        "a layer": vector("dense(4)", "h = x -> dense(3) -> relu"),
        "a parameter of the model": vector("dense(4)", "param w: [3] ~ normal"),
    },
    "W110": {
        "an output that no loss reads": vector("dense(4)", "output other = x -> dense(2)"),
        "a limit that is compared with": model(
            "input x: [8]", "target y: [8]", "param t: [8] = 0.5", "param w: [8] = 1", "output z = if x > t then w * x else 0",
            "loss mse(z, y)",
        ),
        "a parameter in a layer": f"layer f(x) {{\n  param w: [3] = 1\n  return 2 * x\n}}\n{vector('dense(4) -> f')}",
    },
    "W111": {
        "named by no train block": vector("dense(4)", "loss other = mean(z^2)")
        + "\ntrain { batch 1  epochs 1  optimizer adam  minimize mse }",
        "of no parameter": vector("dense(4)", "loss other = mse(x[:4], y)"),
        "an accuracy": three("softmax(z)", "loss accuracy(z, y)"),
        "the share of mistakes": three("softmax(z)", "loss mean(argmax(z) != y)"),
        "a rounded error": vector("dense(4)", "loss other = mean(round(z - y)^2)"),
        "all of it held back": vector("dense(4)", "loss other = mse(stop_gradient(z), y)"),
    },
    "W112": {"a second target": vector("dense(4)", "target other: [2]")},
    "W113": {
        "after the last layer": vector("dense(4) -> dropout(0.5)"),
        "before the softmax": image("flatten -> dense(10) -> dropout(0.2)"),
        "the classic form": vector("dense(4) -> dropout_classic(0.5)"),
        "behind what is drawn in use": model("input x: [8]", "output z = (x * bernoulli(0.5)) -> dropout(0.5)"),
        "a formula while training": model("input x: [8]", "output z = if training then x * bernoulli(0.5) else x"),
    },
    "W131": {
        "the other way round": model("input x: []", U, "output d = grad(x, u)", "loss (d - u)^2"),
        "by another input": model("input x: []", "input t: []", U, "output d = grad(u, t)", "loss (d - u)^2"),
        "inside of a formula": model("input x: []", U, "output u", "loss (2 * grad(x, u) - u)^2"),
    },
    "W132": {
        f"two classes in {loss}": model("input x: [8]", "target y: class(2)", "output z = x -> dense(1) -> squeeze", f"loss {loss}")
        for loss in ("hinge(z, y)", "squared_hinge(z, y = y)", "0.5 * mean(perceptron(z, y))")
    },
    "W134": {
        "a probability second": logit("loss bce(y, p)"),
        "a divergence from the model": model("input x: [8]", "target y: [3]", "output p = x -> dense(3) -> softmax", "loss kl(p, y)"),
        "a logit second": logit("loss 0.5 * mean(bce_logits(y, z))"),
        "a part of a target": vector("dense(4)", "metric r2(y[0:2], z[0:2])"),
        "by their names": logit("loss bce(p, y)", "metric auc(y = z, scores = y)"),
        "what was made of a target": logit("t = if y > 3 then 1 else 0", "loss bce(p, t)", "metric f1(t, z)"),
        "a layer inside of it": logit("loss bce(p, y)", "loss again = bce(y, x -> dense(1) -> sigmoid -> squeeze)"),
        "an input that is to be given again": model(
            "input x: [8]", "output r = x -> dense(3) -> relu -> dense(8) -> sigmoid", "loss bce(x, r)"
        ),
    },
    "W133": {
        "a rate by another name": RATES + trained("by(0.1)  schedule cosine"),
        "a rate that nobody says": RATES + trained("bare"),
        "a factor in the place of a rate": "schedule s = 0.9^epoch\n" + trained("sgd(lr = 0.001)  schedule s"),
        "a schedule with a rate of its own": "schedule s(lr = 0.5) = lr * 0.9^epoch\n" + trained("adam(lr = 0.001)  schedule s"),
        "a schedule that is given another": "schedule s(lr) = lr * 0.9^epoch\n" + trained("adam(0.001)  schedule s(lr = 0.5)"),
    },
    "W118": {
        "of three classes": model("input x: [8]", "target y: class(3)", "output z = x -> dense(3)", "loss mse(z, y)"),
        "by hand": model("input x: [8]", "target y: class(5)", "output z = x -> dense(1) -> squeeze", "loss (z - y)^2"),
        "both of a softmax": model("input x: [8]", "target y: class(2)", "output p = x -> dense(2) -> softmax", "loss mse(p, y)"),
        "their logarithms": model("input x: [8]", "target y: class(2)", "output p = x -> dense(2) -> softmax", "loss -sum(y * log(p))"),
        "not quite 0": model("input x: [8]", "target y: class(2)", "output p = x -> dense(2) -> softmax", "loss -sum(y * log(p + 1e-9))"),
    },
    "W119": {
        "every step of a sequence": model("input x: [20, 3]", "target y: [1]", "output z = x -> lstm(8) -> dense(1)", "loss mse(z, y)"),
        "of any length, by hand": model("input x: [T, 3]", "target y: [2]", "output z = x -> gru(4) -> dense(2)", "loss (z - y)^2"),
        "an error that has a name": model("input x: [8]", "target y: [1]", "output z = x -> dense(3)", "e = z - y", "loss mean(e^2)"),
        "one output for three": model("input x: [8]", "target y: [3]", "output z = x -> dense(1)", "loss mae(z, y)"),
        "a probability": model("input x: [8]", "target y: [3]", "output p = sigmoid(x -> dense(1))", "loss bce(p, y)"),
        "a part of the target": model("input x: [8]", "target y: [4]", "output z = x -> dense(1)", "loss mse(z, y[:3] / 2)"),
        "an autoencoder of one number": model("input x: [8]", "output z = x -> dense(1)", "loss mse(z, x)"),
    },
    "W120": {
        "of the library": model("input x: [8]", "target y: class(3)", "output z = x -> dense(5)", "loss cross_entropy(z, y)"),
        "by hand": model("input x: [8]", "target y: class(3)", "output p = softmax(x -> dense(5))", "loss -log(pick(p, y))"),
        "of every step": model("input x: [T, 8]", "target y: class(3)[T]", "output z = x -> dense(4)", "loss cross_entropy(z, y)"),
    },
    "W121": {
        "an accuracy of a probability": model(
            "input x: [8]", "target y: class(2)", "output p = sigmoid(x -> dense(1))", "loss bce(p, y)", "metric accuracy(p, y)"
        ),
        "by hand": model(
            "input x: [8]", "target y: class(2)", "output p = sigmoid(x -> dense(1))", "loss bce(p, y)", "metric hits = argmax(p) == y"
        ),
    },
    "W122": {
        "in two pipelines": judged("u = x -> Judge", "v = y -> Judge", "output d = u - v"),
        "in a formula": judged("output d = Judge(x) - Judge(y)"),
        "behind a pipeline": judged("u = x -> Judge", "output d = u - (y -> dense(2) -> tanh -> Judge)"),
    },
    "W123": {
        "of the library": three("softmax(z)", "loss nll(p, y)"),
        "by hand": three("softmax(z)", "loss -pick(p, y)"),
        "sigmoids": three("sigmoid(z)", "loss nll(p, y)"),
        "softmax inside of it": three("softmax(z)", "loss nll(softmax(z), y)"),
    },
    "W124": {
        "a stage": model("input x: [8]", "target y: [1]", "output p = x -> dense(1) -> softmax", "loss bce(p, y)"),
        "by hand": model(
            "input x: [8]", "target y: [1]", "z = x -> dense(1)", "output p = exp(z) / sum(exp(z), keep = true)", "loss bce(p, y)"
        ),
        "inside of a loss": model("input x: [8]", "target y: class(1)", "output z = x -> dense(1)", "loss cross_entropy(z, y)"),
        "along an axis of one": model(
            "input x: [8]", "target y: [1, 4]", "output p = softmax((x -> dense(4) -> reshape([1, 4])), axis = 0)", "loss mse(p, y)"
        ),
    },
    "W125": {
        "a state only": trained("still(0.1)"),
        "a rate of 0": trained("adam(lr = 0)  schedule cosine"),
        "the second of two": f"{trained('sgd(0.1)')}\ntrain more {{ epochs 1  optimizer still(0.1) }}",
    },
    "W126": {"by its place": trained("sgd(-0.1)"), "by its name": trained("adam(lr = -1e-3)")},
    "W137": {
        "another name": model("input x: [T, 2]", "output y = scan e in x with h = zeros(2) { k = h + e }"),
        "one of two": model("input x: [T, 2]", "y, z = scan e in x with h = zeros(2), k = 0 { h = h + e + k }", "output y, z"),
        "in a layer": "layer l(x: [T, n]) = scan e in x with h = zeros(n) { g = e }\n" + model("input x: [T, 2]", "output y = x -> l"),
    },
    "W136": {
        "classes": segmenter("class(3)[6, 8]", "augment image -> noise(1) -> shift(1) -> flip"),
        "amounts": segmenter("[2, 6, 8]", "augment image -> elastic(3, 4)"),
        "channels last": segmenter("bool[6, 8, 3]", "augment image -> rotate(9)"),
        "with another input": segmenter("class(3)[6, 8]", "augment image, depth -> scale(0.1)"),
        "on one line of two": segmenter("class(3)[6, 8]", "augment image, mask -> flip  augment image -> shift(1)"),
    },
    "W130": {
        "a loss": watched("early(val.loss, 3)").replace("validation 0.5", "data xor"),
        "a metric": watched("plateau(val.error, 3)", "metric error = rmse(z, y)").replace("validation 0.5", "data xor"),
    },
    "W129": {
        "of an image": image("conv(1, 8, 3, pad = same) -> relu -> flatten -> dense(10)"),
        "of the way back": image("conv_transpose(1, 16, 4) -> relu -> flatten -> dense(10)"),
        "of as many channels": image("conv(2, 3) -> relu -> conv(2, 16, 3, pad = same) -> relu -> flatten -> dense(10)"),
    },
    "W128": {
        "of a layer": vector("dense(4, init = normal(0.01))"),
        "of a parameter": model("input x: [8]", "target y: [4]", "param A: [8, 4] ~ uniform(1e-1)", "output z = x @ A", "loss mse(z, y)"),
    },
    "W127": {
        "an error of one's own": watched("early(val.percent, patience = 3)", "metric percent = mean(abs(z - y) / y)"),
        "what an accuracy leaves": watched("plateau(val.wrong)", "metric wrong = 1 - accuracy(z, argmax(y))"),
    },
    "W117": {
        "an axis of one": model("input x: [8]", "target y: []", "output z = x -> dense(1)", "loss mse(z, y)"),
        "five numbers": model("input x: [8]", "target y: []", "output z = x -> dense(5)", "loss mae(z, y)"),
        "logits": model("input x: [8]", "target y: []", "output z = x -> dense(1)", "loss bce_logits(z, y)"),
        "a weight for each example": model(
            "input x: [8]", "target y: []", "target w: []", "output z = x -> dense(3)", "loss w * mean((z - y)^2)"
        ),
    },
    "W138": {
        "left behind": model("input x: [8]", "input mask: [8]", "target y: [8]", "output z = x -> dense(8)", "loss mse(z, y)"),
        "only named in a comment": model("input x: [8]", "input mask: [8]  # mask of x", "output z = x * x"),
        "only fed": model("input x: []", "input t: []", "output z = x * x") + "test \"t\" of M { given x = 1, t = 2  expect z == 1 }",
        "only called so elsewhere": "model A { input t: [2]  output z = t }\n" + model("input x: [2]", "input t: [2]", "output z = x"),
    },
    "W143": {
        "of classes": image("flatten -> dense(10) -> relu"),
        "of one probability": model("input x: [8]", "target y: []", "output z = x -> dense(1) -> squeeze -> relu", "loss bce_logits(z, y)"),
        "a relu of one's own": model("input x: [8]", "target y: [4]", "z = x -> dense(4)", "output h = max(z, 0)", "loss bce_logits(h, y)"),
        "in another shape": image("conv(10, 8) -> relu -> flatten"),
    },
    "W142": {
        "before a product": squared("tanh(x * W)", "z = (h @ V)[0]"),
        "the matrix first": squared("relu(W * x + b)", "z = (h -> dense(4))[1]"),
        "behind a layer": squared("sigmoid((x -> dense(8) -> tanh) * W - b)", "z = (h -> dense(4))[-1]"),
    },
    "W141": {
        **{
            f"a {loss}": model("input x: [8]", "target y: [4]", "output z = x -> dense(4) -> sigmoid", f"loss sum({loss}(z, y))")
            for loss in ("mse", "mae", "huber", "log_cosh", "bce", "hinge", "squared_hinge", "perceptron")
        },
        "of logits": vector("dense(4)", "loss more = 2 * sum( bce_logits(z, y) )"),
        "of labels": vector("dense(4)", "loss more = mean(x^2) / sum(multilabel_bce(z, y))"),
        "of every step": model("input x: [T, 8]", "target y: [T, 4]", "output z = x -> dense(4)", "loss sum(mse(z, 2 * y))"),
        "a stage": vector("dense(4)", "metric m = mse(z, y[:4]) -> sum"),
        "in a function": "fn total(a, b) = sum(mse(a, b))\n"
        + model("input x: [8]", "target y: [4]", "output z = x -> dense(4)", "loss total(z, y)"),
    },
    "W140": {
        "a mask": drawn("h * (random(shape(h)) < 0.5)"),
        "a mask for each channel": "layer drop(x: [c, *s]) = x * (random([c, 1, 1]) < 0.5)\n"
        + image("conv(4, 3) -> relu -> drop -> flatten -> dense(10)"),
        "noise": drawn("h + (zeros(4) + normal(0, 0.1))"),
        "noise of one axis": drawn("h + 0.1 * random([1, 4])[0]"),
        "noise beside an example": drawn("concat(h, random([3]))"),
        "noise beside an example, stacked": drawn("stack(h, random([4])) -> flatten"),
        "a mask that chooses": drawn("if random([4]) < 0.5 then h else 0"),
        "a threshold": drawn("if h > random([4]) then h else 0"),
        "while training": drawn("if training then h * random([4]) else h"),
        "in a layer of one's own": "layer noisy(x) = x + 0.1 * random(shape(x))\n" + drawn("h -> noisy"),
        "a length known later": model(
            "input x: [T, 4]", "target y: [T, 4]", "output z = x * (random(shape(x)) < 0.5) -> dense(4)", "loss mse(z, y)"
        ),
        "a made example, beside a real one": made("random([3])", "loss softplus(-(x -> judge)) + softplus(fake -> judge)"),
        "a made example, alone": made("random([3])", *JUDGED),
        "a made example of one number": made("2 * random([1]) - 1", *JUDGED),
    },
    "W139": {
        "a slip": model("input x: [4]", "output z = x * x # nnspec: alow W101"),
        "another word": model("input x: [4]", "# nnspec: ignore W101", "output z = x * x"),
        "no word": model("input x: [4]", "# nnspec: W101", "output z = x * x"),
        "no code": model("input x: [4]", "# nnspec: allow", "output z = x * x"),
        "a reason and no code": model("input x: [4]", "# nnspec: allow this", "output z = x * x"),
        "a code that there is not": model("input x: [4]", "# nnspec: allow W101, W999", "output z = x * x"),
        "a letter for a digit": model("input x: [4]", "# nnspec: allow W1O1", "output z = x * x"),
        "a small letter": model("input x: [4]", "# nnspec: allow w101: meant", "output z = x * x"),
        "an error": model("input x: [4]", "# nnspec: allow E101", "output z = x * x"),
        "too many digits": model("input x: [4]", "# nnspec: allow W1011", "output z = x * x"),
        "beside a training": model("input x: [4]", "output z = x -> dense(4)", "loss mse(z, x)")
        + "train { data { x = [[1, 2, 3, 4]] }  epochs 1  optimizer adam } # nnspec: allowed W101",
    },
}  # fmt: skip

MUST_NOT = {
    "a mean of what a relu gives, as logits": image("conv(10, 8, pad = same) -> relu -> global_avgpool"),
    "a slope on both sides": image("flatten -> dense(10) -> leaky_relu"),
    "a relu of amounts": model("input x: [8]", "target y: [4]", "output z = x -> dense(4) -> relu", "loss mse(z, y)"),
    "a product by hand": squared("tanh(sum(x * W, axis = -1))", "z = h -> dense(4)"),
    "an activation on each edge": squared("tanh(x * W + b)", "z = sum(h, axis = -1) -> dense(4)"),
    "a matrix with columns that each example scales": squared("(x * W) @ V", "z = tanh(h)[0]"),
    "a row that is made one": squared("tanh(reshape(x, [1, 8]) * W)", "z = (h @ V)[0]"),
    "a weight for each number": squared("tanh(x * b * mean(W))", "z = h -> dense(4)"),
    "a matrix beside another": squared("tanh(W * (x -> dense(64) -> reshape([8, 8])))", "z = (h @ V)[0]"),
    "a mean of a mean": vector("dense(4)", "loss more = 0.5 * mean(mse(z, y))"),
    "a sum of one number as it is": vector("dense(4)", "loss more = sum(mse(z[0], y[0])) + sum(mse(z[:1], y[:1]))"),
    "a sum of the steps": model(
        "input x: [T, 8]", "target y: class(3)[T]", "output z = x -> dense(3)",
        "loss sum(cross_entropy(z, y))", "loss again = sum(nll(log_softmax(z), y))",
    ),
    "a sum of sums": model("input x: [8]", "target y: [5, 4]", "output z = x -> dense(20) -> reshape([5, 4])", "loss sum(half_mse(z, y))"),
    "a sum of roots": vector("dense(4)", "metric more = sum(rmse(z, y))"),
    "a sum of one's own": "fn sum(x) = 4 * x\n" + vector("dense(4)", "loss more = sum(mse(z, y))"),
    "a mask of each example": drawn("h * (random(h) < 0.5)"),
    "noise of each example of another shape": drawn("concat(h, random(expand(sum(x), [3])))"),
    "an init beside a value of each example": drawn("h * bernoulli(0.5) + normal(0, 1)"),
    "weights of which some are left out": model(
        "input x: [8]", "target y: [4]", "param W: [8, 4] ~ he_normal", "param b: [4] = 0", "k = bernoulli(0.5) + 0 * W",
        "output z = x @ (W * k * (random([8, 4]) < 0.5)) + b * random([4])", "loss mse(z, y)",
    ),
    "weights that are drawn around a mean": model(
        "input x: [8]", "target y: [4]", "param mu: [8, 4] ~ he_normal", "param rho: [8, 4] = -3",
        "output z = x @ (mu + softplus(rho) * random([8, 4]))", "loss mse(z, y)",
    ),
    "weights that a network makes of noise": model(
        "input x: [8]", "target y: [4]", "W = random([5]) -> dense(32) -> reshape([8, 4])", "output z = x @ W", "loss mse(z, y)",
    ),
    "directions to look along": model(
        "input x: [8]", "output z = x -> dense(8)", "R = random([8, 20]) - 0.5", "loss mean((z @ R - x @ R)^2)",
    ),
    "a share of a mixture": drawn("h * random([]) + h * max(random([4]))"),
    "a box at a random place": drawn("if positions(h) > 4 * random([2])[0] then h else 0"),
    "points at which an equation is to hold": model(
        "input x: [1]", "target y: [1]", "share u = dense(8) -> tanh -> dense(1)", "output z = x -> u",
        "loss mse(z, y)", "loss rest = mean((random([100, 1]) -> u)^2)",
    ),
    "points and data in one loss": model(
        "input x: [1]", "target y: [1]", "share u = dense(8) -> tanh -> dense(1)", "output z = x -> u",
        "loss mse(z, y) + mean((random([100, 1]) -> u)^2)",
    ),
    "a draw that no loss reads": model(
        "input x: [8]", "target y: [4]", "output z = x -> dense(4)", "loss mse(z, y)", "metric m = mean(z * random([4]))"
    ),
    "a schedule that goes on from the rate before": "schedule s = 0.9 * rate\n" + trained("sgd(0.1)  schedule s"),
    "a schedule of the whole rate, where no other is given": "schedule s = 0.1 / (1 + epoch)\n" + trained("adam  schedule s"),
    "a factor of one": "schedule s = 0.1 / (1 + epoch)\n" + trained("sgd(lr = 1)  schedule s"),
    "a schedule with epochs of its own": "schedule s(epochs = 5) = lr * 0.5^(epoch / epochs)\n" + trained("sgd(0.1)  schedule s"),
    "an input that only a loss reads": model("input x: [4]", "input w: []", "output z = x -> dense(4)", "loss w * mse(z, x)"),
    "an input whose size is read": model("input x: [4]", "input t: [6]", "output z = x * shape(t)[0]"),
    "an input that is read in training": model("input x: [4]", "input r: [4]", "output z = if training then x + r else x"),
    "a comment that speaks of the language": model("input x: [4]", "# nnspec: no W in it", "output z = x * x"),
    "a comment in a text": model("input x: [4]", "# as in nnspec, allowances", 'output z = x * x'),
    "several that are allowed": model("input x: [4]", "# nnspec: allow W101, W109: E101 is none", "output z = x * x"),
    "a mixture of normal distributions": model(
        "input x: [8]", "target y: []", "p = x -> dense(3) as logits -> softmax", "mu = x -> dense(3) as means",
        "sigma = x -> dense(3) as scales -> softplus", "output p, mu, sigma",
        "loss -log(sum(p * exp(-0.5 * ((y - mu) / sigma)^2) / (sigma * sqrt(2 * pi))))",
    ),
    "a mixture of a target with an axis": model(
        "input x: [8]", "target y: [1]", "p = x -> dense(3) as logits -> softmax", "output mu = x -> dense(3) as means",
        "output p", "loss -log(sum(p * exp(-0.5 * (y - mu)^2)))",
    ),
    "several quantiles of a sequence": "fn pinball(z, y, tau) = max(tau * (y - z), (tau - 1) * (y - z))\n"
    + model("input x: [5, 8]", "target y: [5, 1]", "output z = x -> dense(3)", "loss mean(pinball(z, y, [0.1, 0.5, 0.9]))"),
    "several quantiles": "fn pinball(z, y, tau) = max(tau * (y - z), (tau - 1) * (y - z))\n"
    + model("input x: [8]", "target y: []", "output z = x -> dense(3)", "loss sum(pinball(z, y, [0.1, 0.5, 0.9]))"),
    "a rate by another name that stays": RATES + trained("by(0.1)"),
    "a rate of the optimizer's own": "optimizer own { lr = 0.1 / t\n w <- w - lr * g }\n" + trained("own"),
    "a rate that the schedule says": RATES + trained("bare  schedule cosine"),
    "functions whose arguments have the names of other values": "fn du(x, u) = grad(x, u)\nfn mine(z, y) = hinge(z, y)\n"
    + model("input x: []", "target y: class(2)", U, "output d = du(u, x)", "loss mine(d, 2 * y - 1)"),
    "a derivative by what a name stood for before": model(
        "input x: []", "h = sin(x)", "u = stack(h) -> dense(8) -> tanh -> dense(1) -> squeeze", "d = grad(u, h)", "h = sin(u)",
        "output h", "loss (d - h)^2",
    ),
    "a hinge of signs": model("input x: [8]", "target y: class(2)", "output z = x -> dense(1) -> squeeze", "loss hinge(z, 2 * y - 1)"),
    "a hinge of one's own": "fn hinge(z, y) = mean(max(1 - (2 * y - 1) * z, 0))\n"
    + model("input x: [8]", "target y: class(2)", "output z = x -> dense(1) -> squeeze", "loss hinge(z, y)"),
    "bce of two classes": model("input x: [8]", "target y: class(2)", "output z = x -> dense(1) -> squeeze", "loss bce_logits(z, y)"),
    "a derivative of a derivative that is 0": model(
        "input x: []", "u = stack(x) -> dense(1) -> squeeze", "du = grad(u, x)", "output ddu = grad(du, x)", "loss (ddu + du - u)^2"
    ),
    "a derivative of relu": model("input x: []", "target y: []", f"{U}".replace("tanh", "relu"), "output d = grad(u, x)", "loss (d - y)^2"),
    "a large kernel and its stride by name": image("conv(1, kernel = 8, stride = 3) -> relu -> flatten -> dense(10)"),
    "a stride": image("conv(4, 3) -> relu -> conv(4, 4, 2) -> relu -> flatten -> dense(10)"),
    "a large kernel of more units": image("conv(4, 8, 4) -> relu -> flatten -> dense(10)"),
    "an error that is said to be one": watched("early(val.e, patience = 3, best = low)", "metric e = mean(abs(z - y) / y)"),
    "an error of the library": watched("early(val.error, 3)", "metric error = rmse(z, y)"),
    "a loss as a metric": watched("plateau(val.huber)", "metric huber(z, y)"),
    "what an input explains of a target": vector(
        "dense(4)", "metric base = r2(x[0:4], y)", "metric other = r2(y, other)", "target other: [4]"
    ),
    "an input that is given again": model("input x: [8]", "output r = x -> dense(3) -> relu -> dense(8) -> sigmoid", "loss bce(r, x)"),
    "an error either way": vector("dense(4)", "metric rmse(y, z)", "metric mae(y, z)"),
    "a loss of one's own": "fn bce(y, p) = -mean(y * log(p) + (1 - y) * log(1 - p))\n" + logit("loss bce(y, p)"),
    "a probability that is taken the logarithm of where it is above 0": logit(
        "loss bce(p, y)", "metric entropy = if p > 0 then -p * log(p) else 0"
    ),
    "probabilities above a half": logit("loss bce(p, y)", "metric accuracy = (p > 0.5) == (y > 0.5)", "metric f1(p > 0.5, y)"),
    "logits above 0": logit("loss bce(p, y)", "metric accuracy = (z > 0) == (y > 0.5)", "metric f1(z, y)"),
    "the largest probability": three("softmax(z)", "loss cross_entropy(z, y)", "metric f1(p, y)", "metric accuracy(p, y)"),
    "an accuracy by its name": watched("early(val.accuracy, 3)", "metric accuracy = mean((z > 0) == (y > 0))"),
    "a mean by its name, and both numbers": vector("dense(9, init = normal(mean = 0.01)) -> tanh -> dense(4, init = uniform(-1, 1))"),
    "a schedule of one's own that has its own rate": "schedule own = 0.1\n" + trained("sgd(lr = 0)  schedule own"),
    "the loss": watched("early(val.loss, 3)"),
    "a matrix that is not learnt": model(
        "input x: [8]", "target y: [4]", "state A: [8, 8] = 0.1", "output z = x @ A -> dense(4)", "loss mse(z, y)"
    ),
    "two lists of numbers": model("input x: [2]", "output z = x @ [[1, 2, 3], [4, 5, 6]] @ [[1, 2], [3, 4], [5, 6]]"),
    "layers of two inputs": model(
        "input a: [8]", "input b: [8]", "target y: [4]", "output z = concat(a -> dense(8), b -> dense(8)) -> dense(4)", "loss mse(z, y)"
    ),
    "a layer beside one with an activation": vector("[dense(8), dense(8) -> relu] -> concat -> dense(4)"),
    "two layers that make few numbers": vector("[dense(1), dense(2)] -> concat -> dense(8) -> relu -> dense(4)"),
    "an activation added to a layer": model(
        "input x: [8]", "target y: [4]", "h = x -> dense(8) -> relu", "output z = (h + x) -> dense(4)", "loss mse(z, y)"
    ),
    "a narrow code": vector("dense(2) -> dense(8) -> relu -> dense(4)"),
    "a code that is an output": model(
        "input x: [8]", "code = x -> dense(16)", "recon = code -> dense(8)", "output code, recon", "loss mse(recon, x)"
    ),
    "each channel by itself and then all": image("separable(8, 3) -> relu -> flatten -> dense(10)"),
    "pooling that is not linear": image("conv(8, 3) -> maxpool(2) -> conv(8, 3) -> relu -> flatten -> dense(10)"),
    "queries, keys and values": sequence("multihead_attention(2) -> layernorm"),
    "an embedding and a dense layer": model(
        "input x: class(9)[T]", "target y: [4]", "output z = (x -> embedding(9, 8) -> dense(8) -> relu)[-1] -> dense(4)", "loss mse(z, y)"
    ),
    "a teacher's probabilities": model(
        "input x: [8]", "target p: [3]", "z = x -> dense(3)", "output q = softmax(z)", "loss -sum(softmax(p) * log(q))"
    ),
    "the divergence of two distributions": model(
        "input x: [8]", "target p: [3]", "z = x -> dense(3)", "output q = softmax(z)", "loss kl(p, q)"
    ),
    "bce of a probability": logit("loss bce(p, y)"),
    "bce of tanh from 0 to 1": logit("loss bce((tanh(z) + 1) / 2, y)"),
    "the second probability of two": model(
        "input x: [8]", "target y: class(2)", "p = x -> dense(2) -> softmax", "output q = p[1]", "loss -(y * log(q) + (1 - y) * log(1 - q))"
    ),
    "a cross-entropy that the class weighs": model(
        "input x: [8]", "target y: class(2)", "output z = x -> dense(2)", "loss (1 + 2 * y) * cross_entropy(z, y)"
    ),
    "the numbers of two classes": model("input x: [8]", "target y: class(2)", "output z = x -> dense(1) -> squeeze", "loss mse(z, y)"),
    "numbers made of classes": model("input x: [8]", "target y: class(3)", "output z = x -> dense(3)", "loss mse(z, one_hot(y, 3))"),
    "a last layer from zeros": vector("dense(16) -> relu -> dense(4, init = zeros)"),
    "a branch from zeros that is added": vector("dense(8) -> relu -> residual(more) -> relu -> dense(4)").replace(
        "model M", "layer more(x) = x -> dense(8) -> relu -> dense(8, init = zeros)\nmodel M"
    ),
    "an init of one's own that draws": f"init thin = normal(0, 0.1)\n{vector('dense(16, init = thin) -> tanh -> dense(4)')}",
    "an init of one's own that counts": "init steps = reshape(range(0, 128), [8, 16]) / 128\n"
    + vector("dense(16, init = steps) -> tanh -> dense(4)"),
    "groupnorm of several channels": image("conv(8, 3) -> groupnorm(4) -> relu -> flatten -> dense(10)"),
    "a sigmoid of each layer": vector("dense(4) -> sigmoid -> dense(8) -> sigmoid -> dense(4)"),
    "one hidden unit from zeros": vector("dense(1, init = zeros) -> tanh -> dense(4)"),
    "weights written by hand": model(
        "input x: [2]", "target y: [2]", "param W: [2, 2] = [[0.15, 0.25], [0.20, 0.30]]", "output z = sigmoid(x @ W) -> dense(2)",
        "loss mse(z, y)",
    ),
    "every patch read by itself": image("conv(8, 3) -> relu -> flatten -> dense(10)"),
    "a sight as large as the image": image("conv(8, 8) -> relu -> global_avgpool -> dense(10)"),
    "a mean of positions inside a normalisation": image("conv(8, 3) -> groupnorm(2) -> relu -> flatten -> dense(10)"),
    "a bias before layernorm": vector("dense(16) -> layernorm -> relu -> dense(4)"),
    "a bias before batchnorm that an output reads, too": model(
        "input x: [8]", "target y: [4]", "h = x -> dense(16)", "output h, z = h -> batchnorm -> relu -> dense(4)", "loss mse(z, y)"
    ),
    "no bias before batchnorm": image("conv(8, 3, bias = false) -> batchnorm -> relu -> flatten -> dense(10)"),
    "two sigmoids": vector("dense(16) -> sigmoid -> dense(16) -> sigmoid -> dense(4)"),
    "many tanh": vector(" -> ".join(["dense(16) -> tanh"] * 20) + " -> dense(4)"),
    "sigmoids with normalisation": vector(SIGMOIDS.replace("dense(16)", "dense(16, bias = false) -> batchnorm") + " -> dense(4)"),
    "sigmoids that something goes around": vector(
        "dense(16) -> residual(block) -> residual(block) -> residual(block) -> residual(block) -> dense(4)"
    ).replace("model M", "layer block(x) = x -> dense(16) -> sigmoid -> dense(16) -> sigmoid\nmodel M"),
    "the gates of recurrent cells": sequence("lstm(8) -> lstm(8) -> gru(8)"),
    "He with tanh that nobody wrote": vector("dense(16) -> tanh -> dense(4)"),
    "Xavier with tanh": vector("dense(16, init = xavier_normal) -> tanh -> dense(4)"),
    "Xavier with relu behind a normalisation": vector("dense(16, false, xavier_normal) -> batchnorm -> relu -> dense(4)"),
    "a value for an expectation": vector("dense(4)", "h = 2 * x", "expect shape(h) == [8]"),
    "a target for a metric": vector("dense(4)", "target other: [4]", "metric mae(z, other)"),
    "what is switched off in use, too": model("input x: [8]", "output z = sum(x * bernoulli(0.5))"),
    "a share of it that is kept in use, too": model("input x: [8]", "output z = 2 * (x * (if random(x) < 0.5 then 1 else 0)) + 1"),
    "dropout before the last layer": vector("dense(16) -> relu -> dropout(0.5) -> dense(4)"),
    "a code with dropout that is an output": model(
        "input x: [8]", "code = x -> dense(16) -> relu -> dropout(0.5)", "recon = code -> dense(8)", "output code, recon",
        "loss mse(recon, x)",
    ),
    "a noisy copy that is restored": model(
        "input x: [8]", "output z = x -> dropout(0.2) -> dense(16) -> relu -> dense(8)", "loss mse(z, x)"
    ),
    "a target with an axis of one": model("input x: [8]", "target y: [1]", "output z = x -> dense(1)", "loss mse(z, y)"),
    "sizes that are known only at run time in an init": model(
        "input x: [T, 4]", "target y: [4]", "output z = (x -> dense(4, init = normal(0, 0.1)) -> tanh)[-1] -> dense(4)", "loss mse(z, y)"
    ),
    "a mask of rows": model(
        "input x: [5, 8]", "target m: [5, 1]", "target y: [5, 8]", "output z = x -> dense(8)", "loss mean(m * (z - y)^2)"
    ),
    "a mask without a target": model(
        "input x: [5, 8]", "target m: [5, 1]", "output z = x -> dense(8)", "loss mean(m * (z - x)^2)"
    ),
    "the last step of a sequence": model("input x: [T, 3]", "target y: [1]", "output z = (x -> lstm(8))[-1] -> dense(1)", "loss mse(z, y)"),
    "an axis of one more": model("input x: [1, 8]", "target y: [3]", "output z = x -> dense(3)", "loss mse(z, y)"),
    "a model that is shared": judged("share judge = Judge", "u = x -> judge", "v = y -> judge", "output d = u - v"),
    "models that have names": judged("u = x -> Judge as first", "v = y -> Judge as second", "output d = u - v"),
    "a model in each of several blocks": judged("output d = y - (x -> repeat(3) { Judge })"),
    "a model without weights": judged("u = x -> Half", "v = y -> Half", "output d = u - v"),
    "the logarithm of a picked probability": three("softmax(z)", "loss -log(pick(p, y))"),
    "the clamped logarithm of a picked probability": three("softmax(z)", "loss -log(max(pick(p, y), 1e-9))"),
    "nll of log-probabilities": three("softmax(z)", "loss nll(log(p), y)"),
    "the expected reward of a policy": model(
        "input x: [8]", "target a: class(3)", "target r: []", "output p = x -> dense(3) -> softmax", "loss -r * pick(p, a)"
    ),
    "softmax over images of any size": model(
        "input x: [T, 8]", "target y: [T]", "output p = softmax((x -> dense(1))[:, 0])", "loss mse(p, y)"
    ),
    "a negative rate of an optimizer that goes up": trained("up(-0.1)"),
    "a limit with a slope": model(
        "input x: [8]", "target y: [8]", "param t: [8] = 0.5", "output z = if x > t then x else t", "loss mse(z, y)"
    ),
    "a gradient that goes straight through": model(
        "input x: [8]", "target y: [8]", "param w: [8] = 1", "h = w * x", "output z = h + stop_gradient(round(h) - h)", "loss mse(z, y)"
    ),
    "a random network that is predicted": model(
        "input x: [8]", "t = stop_gradient(x -> dense(4))", "output z = x -> dense(4)", "loss mse(z, t)"
    ),
    "a target that moves with its image": segmenter("class(3)[6, 8]", "augment image, mask -> flip  augment image -> noise(0.1)"),
    "a target beside an image with noise": segmenter("class(3)[6, 8]", "augment image -> noise(0.1)"),
    "a target of another size": segmenter("class(3)[8, 6]", "augment image -> flip"),
    "a target of one number": segmenter("class(3)", "augment image -> flip"),
    "a weight for each example": model(
        "input x: [8]", "target y: [4]", "target w: []", "output z = x -> dense(4)", "loss w * mse(z, y)"
    ),
}  # fmt: skip

TRAINED = ("W114", "W115", "W116", "W135")  # which show once the data are there: see test_health
