"""Specs that must have a warning, by its code."""

from __future__ import annotations

from warned_specs import (
    JUDGED,
    RATES,
    SIGMOIDS,
    SMALL_TANH,
    U,
    drawn,
    image,
    judged,
    logit,
    made,
    masked,
    model,
    segmenter,
    squared,
    three,
    trained,
    vector,
    watched,
)

TRAINED = ("W114", "W115", "W116", "W135")  # which show once the data are there: see test_health

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
        "Xavier with relu, by another name": f"let i = xavier_normal\n{vector('dense(16, init = i) -> relu -> dense(4)')}",
        "He with tanh, in a layer of one's own": f"layer f(x, i) = x -> dense(16, init = i) -> tanh\n{vector('f(he_normal) -> dense(4)')}",
        "a parameter of one's own": model(
            "input x: [8]", "target y: [4]", "param W: [8, 8] ~ xavier_normal", "output z = relu(x @ W) -> dense(4)", "loss mse(z, y)"
        ),
    },
    "W109": {
        "a formula": vector("dense(4)", "h = 2 * x"),
        "a layer": vector("dense(4)", "h = x -> dense(3) -> relu"),
        "a layer that is to be shared": vector("dense(4)", "share enc = dense(8) -> relu -> dense(4)"),
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
        "of a small kernel": image("conv(1, 6, 5) -> relu -> flatten -> dense(10)"),
        "of an even smaller one": image("conv(1, 4, 3) -> relu -> flatten -> dense(10)"),
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
    "W144": {
        "the mean of picked logarithms": three("softmax(z)", "loss mean(log(pick(p, y)))"),
        "the logarithm of what is picked, kept from 0": three("softmax(z)", "loss log(max(pick(p, y), 1e-9))"),
        "log-probabilities": three("log_softmax(z)", "loss pick(p, y) / 2"),
        "weighed by the class": three("softmax(z)", "loss sum(one_hot(y, 3) * log(p))"),
        "a class chosen by a product": three("softmax(z)", "loss log(sum(p * one_hot(y, 3)))"),
        "beside another loss": three("softmax(z)", "loss mse(p, one_hot(y, 3)) + 0.1 * log(pick(p, y))"),
        "of one probability, by hand": logit("loss y * log(p) + (1 - y) * log(1 - p)"),
        "a minus that meets another": three("softmax(z)", "loss -(-1 * log(pick(p, y)))"),
    },
    "W142": {
        "before a product": squared("tanh(x * W)", "z = (h @ V)[0]"),
        "the matrix first": squared("relu(W * x + b)", "z = (h -> dense(4))[1]"),
        "behind a layer": squared("sigmoid((x -> dense(8) -> tanh) * W - b)", "z = (h -> dense(4))[-1]"),
    },
    "W145": {
        "a causal mask": masked("if positions(s, 0) >= positions(s, 1) then s else -1e9"),
        "a diagonal": masked("if positions(s, 0) == positions(s, 1) then s else -1e9"),
        "a band": masked("if abs(positions(s, 0) - positions(s, 1)) <= 2 then s else -1e9"),
        "by other names": masked("s * (i < j)", "i = positions(s, 1)", "j = positions(s)"),
        "of a layer": f"layer causal(s: [n, m]) = if positions(s, 0) < positions(s, 1) then 0 else s\n{masked('causal(s)')}",
        "of a value": masked("if max(s, x @ transpose(x)) >= max(s, x @ transpose(x)) then s else -1e9"),
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
        "a mask": vector("dense(4)", "loss more = sum(bce_logits(z, y) * x[:4]) / sum(x[:4])"),
        "a mask before": vector("dense(4)", "loss more = mean(x[4:] * -mae(z, y))"),
        "weights": vector("dense(4)", "loss more = sum(huber(z, y) * [1, 2, 3, 4])"),
        "a mask of steps": model(
            "input x: [T, 8]", "input m: [T]", "target y: [T]", "output z = squeeze(x -> dense(1), axis = 1)",
            "loss sum(mse(z, y) * m) / sum(m)"
        ),
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
