"""Specs that must have no warning, however near they come to one."""

from __future__ import annotations

from warned_specs import (
    RATES,
    SIGMOIDS,
    U,
    drawn,
    image,
    judged,
    logit,
    masked,
    model,
    segmenter,
    sequence,
    squared,
    three,
    trained,
    vector,
    watched,
)

MUST_NOT = {
    "an init that fits, by another name": f"let i = he_normal\n{vector('dense(16, init = i) -> relu -> dense(4)')}",
    "an init that fits, of a parameter": "let i = he_normal\n"
    + model("input x: [8]", "target y: [4]", "param W: [8, 8] ~ i", "output z = relu(x @ W) -> dense(4)", "loss mse(z, y)"),
    "an init that fits, in a layer of one's own": f"layer f(x, i) = x -> dense(16, init = i) -> relu\n{vector('f(he_normal) -> dense(4)')}",
    "a layer that is shared only once": model(
        "input x: [8]", "target y: [4]", "share enc = dense(8) -> tanh", "output z = x -> enc -> dense(4)", "loss mse(z, y)"
    ),
    "a likelihood with its minus": three("softmax(z)", "loss -mean(log(pick(p, y)))", "loss hand = mean(log(pick(p, y)) * -1)"),
    "a likelihood taken from another": three("softmax(z)", "loss mse(p, one_hot(y, 3)) - 0.1 * log(pick(p, y))"),
    "a likelihood by hand": logit("loss -(y * log(p) + (1 - y) * log(1 - p))"),
    "a likelihood that is watched": three("softmax(z)", "loss nll(log(p), y)", "metric likelihood = mean(log(pick(p, y)))"),
    "a loss of the library that is to be large": three("softmax(z)", "loss -nll(log(p), y)"),
    "an entropy that is to be large": three("softmax(z)", "loss nll(log(p), y) + 0.01 * sum(p * log(p))"),
    "a network that is to deceive another": logit("loss log(1 - p)", "loss right = bce(p, y)"),
    "a cost of what is done": logit("loss y * log(p)"),
    "a mean of what a relu gives, as logits": image("conv(10, 8, pad = same) -> relu -> global_avgpool"),
    "a slope on both sides": image("flatten -> dense(10) -> leaky_relu"),
    "a relu of amounts": model("input x: [8]", "target y: [4]", "output z = x -> dense(4) -> relu", "loss mse(z, y)"),
    "a product by hand": squared("tanh(sum(x * W, axis = -1))", "z = h -> dense(4)"),
    "an activation on each edge": squared("tanh(x * W + b)", "z = sum(h, axis = -1) -> dense(4)"),
    "a matrix with columns that each example scales": squared("(x * W) @ V", "z = tanh(h)[0]"),
    "a row that is made one": squared("tanh(reshape(x, [1, 8]) * W)", "z = (h @ V)[0]"),
    "a weight for each number": squared("tanh(x * b * mean(W))", "z = h -> dense(4)"),
    "a matrix beside another": squared("tanh(W * (x -> dense(64) -> reshape([8, 8])))", "z = (h @ V)[0]"),
    "a column and a row": masked("if reshape(positions(s, 0), [T, 1]) >= positions(s, 1) then s else -1e9"),
    "positions and another number": masked("if positions(s, 0) >= 2 then s else -1e9"),
    "what may be no number": masked("if s == s then s else 0"),
    "a mean of a mean": vector("dense(4)", "loss more = 0.5 * mean(mse(z, y))"),
    "a sum of one number as it is": vector("dense(4)", "loss more = sum(mse(z[0], y[0])) + sum(mse(z[:1], y[:1]))"),
    "a sum of the steps": model(
        "input x: [T, 8]", "target y: class(3)[T]", "output z = x -> dense(3)",
        "loss sum(cross_entropy(z, y))", "loss again = sum(nll(log_softmax(z), y))",
    ),
    "a sum of sums": model("input x: [8]", "target y: [5, 4]", "output z = x -> dense(20) -> reshape([5, 4])", "loss sum(half_mse(z, y))"),
    "a mask of each number": vector("dense(4)", "loss more = sum((z - y)^2 * x[:4]) / sum(x[:4])"),
    "a weight of an example": vector("dense(4)", "loss more = mse(z, y) * x[0] + sum(x[:4]) * mae(z, y)"),
    "a mask of steps that have one number each": model(
        "input x: [T, 8]", "input m: [T]", "target y: class(3)[T]", "output z = x -> dense(3)", "loss sum(cross_entropy(z, y) * m) / sum(m)"
    ),
    "one unit that halves": image("conv(1, 4, 2) -> relu -> flatten -> dense(10)"),
    "one unit for each patch": image("conv(1, 5, 5) -> relu -> flatten -> dense(10)"),
    "one unit, with names": image("conv(1, kernel = 6, stride = 5) -> relu -> flatten -> dense(10)"),
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
