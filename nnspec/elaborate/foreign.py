"""What other frameworks call the things of the library: names, arguments and settings, all in lower case."""

from __future__ import annotations

import re
from collections.abc import Collection
from unicodedata import normalize

from nnspec.diagnostics import is_slip, suggest
from nnspec.elaborate.formulas import FORMULAS, WITHOUT, is_other

POWER = re.compile("(.+?)([⁰¹²³⁴⁵⁶⁷⁸⁹]+)")

NAMES = {
    # ---- layers
    "linear": "dense", "fullyconnected": "dense", "fully_connected": "dense", "fc": "dense", "lazylinear": "dense",
    "innerproduct": "dense", "conv1d": "conv", "conv2d": "conv", "conv3d": "conv", "convolution": "conv", "convolution1d": "conv",
    "convolution2d": "conv", "convolutional": "conv", "convtranspose1d": "conv_transpose", "convtranspose2d": "conv_transpose",
    "conv_transpose1d": "conv_transpose", "conv_transpose2d": "conv_transpose", "conv1dtranspose": "conv_transpose",
    "conv2dtranspose": "conv_transpose", "deconv": "conv_transpose",
    "deconvolution": "conv_transpose", "depthwiseconv2d": "depthwise", "separableconv2d": "separable", "maxpool1d": "maxpool",
    "maxpool2d": "maxpool", "maxpooling1d": "maxpool", "maxpooling2d": "maxpool", "max_pool2d": "maxpool", "avgpool1d": "avgpool",
    "avgpool2d": "avgpool", "averagepooling1d": "avgpool", "averagepooling2d": "avgpool", "avg_pool2d": "avgpool",
    "globalaveragepooling2d": "global_avgpool", "adaptiveavgpool2d": "global_avgpool", "gap": "global_avgpool",
    "globalmaxpooling2d": "global_maxpool", "adaptivemaxpool2d": "global_maxpool", "zeropadding2d": "pad", "cropping2d": "crop",
    "upsampling2d": "upsample", "interpolate": "upsample", "dropout1d": "dropout", "dropout2d": "dropout", "dropout3d": "dropout",
    "spatialdropout2d": "dropout", "gaussiannoise": "gaussian_noise", "batchnorm1d": "batchnorm", "batchnorm2d": "batchnorm",
    "batchnorm3d": "batchnorm", "batchnormalization": "batchnorm", "batch_norm": "batchnorm", "bn": "batchnorm",
    "layernormalization": "layernorm", "layer_norm": "layernorm", "groupnormalization": "groupnorm", "instancenorm2d": "instancenorm",
    "normalization": "standardize", "simplernn": "rnn", "rnncell": "rnn", "lstmcell": "lstm", "grucell": "gru",
    "multiheadattention": "multihead_attention", "transformerencoderlayer": "transformer_block", "concatenate": "concat", "cat": "concat",
    "view": "reshape", "permute": "transpose", "positionalencoding": "positional", "positional_encoding": "positional",
    # ---- activations and losses
    "leakyrelu": "leaky_relu", "logistic": "sigmoid", "logsoftmax": "log_softmax", "hardsigmoid": "hard_sigmoid",
    "hardswish": "hard_swish", "l1loss": "mae", "mean_absolute_error": "mae", "meanabsoluteerror": "mae", "mseloss": "mse",
    "mean_squared_error": "mse", "meansquarederror": "mse", "crossentropyloss": "cross_entropy", "crossentropy": "cross_entropy",
    "ce": "cross_entropy", "categorical_crossentropy": "cross_entropy", "sparse_categorical_crossentropy": "cross_entropy",
    "bceloss": "bce", "categoricalcrossentropy": "cross_entropy", "sparsecategoricalcrossentropy": "cross_entropy",
    "binary_crossentropy": "bce", "binarycrossentropy": "bce", "bcewithlogitsloss": "bce_logits", "nllloss": "nll", "kldivloss": "kl",
    "kl_divergence": "kl", "smoothl1loss": "huber", "huberloss": "huber", "hingeembeddingloss": "hinge", "logcosh": "log_cosh",
    "tripletmarginloss": "triplet", "cosineembeddingloss": "cosine", "cosine_similarity": "cosine", "reduce_mean": "mean",
    "reduce_sum": "sum", "reduce_max": "max", "reduce_min": "min", "maximum": "max", "minimum": "min", "amax": "max", "amin": "min",
    "flip": "reverse", "fmax": "max", "fmin": "min", "fsum": "sum", "absolute": "abs", "fabs": "abs", "expit": "sigmoid", "π": "pi",
    "σ": "sigmoid", "Σ": "sum", "around": "round", "rint": "round",
    # ---- initialisers, optimizers, schedules
    "glorot_uniform": "xavier_uniform", "glorotuniform": "xavier_uniform", "glorot_normal": "xavier_normal", "xavier": "xavier_uniform",
    "glorotnormal": "xavier_normal", "glorot": "xavier_uniform", "kaiming_normal": "he_normal", "kaiming_uniform": "he_uniform",
    "he": "he_normal", "kaiming": "he_normal", "henormal": "he_normal", "heuniform": "he_uniform", "randomnormal": "normal",
    "random_normal": "normal", "randomuniform": "uniform", "random_uniform": "uniform", "truncatednormal": "truncated_normal",
    "trunc_normal": "truncated_normal", "gradientdescent": "sgd", "gd": "sgd", "gradient_descent": "sgd",
    "stochastic_gradient_descent": "sgd", "steplr": "step_decay", "exponentiallr": "exponential", "exponentialdecay": "exponential",
    "cosineannealinglr": "cosine", "cosinedecay": "cosine", "linearlr": "linear", "reducelronplateau": "on_plateau",
    "onecyclelr": "one_cycle",
    # ---- what is done about missing values
    "dropna": "drop", "skip": "drop", "omit": "drop", "remove": "drop", "ignore": "drop", "average": "mean", "avg": "mean",
    "impute": "mean", "fillna": "mean", "simpleimputer": "mean",
    # ---- values
    "yes": "true", "on": "true", "no": "false", "off": "false", "none": "false",
}  # fmt: skip

ALIKE = frozenset({
    "dropout1d", "dropout2d", "dropout3d", "spatialdropout2d", "hingeembeddingloss", "smoothl1loss", "hardsigmoid", "kldivloss",
    "cosineembeddingloss", "cosine_similarity", "tripletmarginloss", "interpolate", "adaptiveavgpool2d", "adaptivemaxpool2d",
    "normalization", "flip", "σ", "steplr", "cosineannealinglr", "cosinedecay", "exponentialdecay", "linearlr", "onecyclelr",
    "reducelronplateau",
})  # fmt: skip
"""Names of what is much the same as here but not to the letter: offered, and never put in without being asked."""

SAID = {
    "e": "e^x is written `exp(x)`, and e itself `exp(1)`",
    "inf": "a bound that is no bound is a large number, such as `1e30`",
    "activation": "an activation is a stage of its own: `x -> dense(8) -> relu`",
    "sequential": "stages follow each other by `->`: `x -> dense(8) -> relu`",
    "param": "a parameter is declared: `param W: [4, 2] ~ he_normal`",
    "parameter": "a parameter is declared: `param W: [4, 2] ~ he_normal`",
    "state": "a state is declared: `state s = 0`",
    "input": "an input is declared: `input x: [4]`",
    "target": "a target is declared: `target y: class(10)`",
    "class": "it is a type: `target y: class(10)` is a number from 0 to 9",
}
"""What is said where no other name would do."""

OF_OPTIMIZERS = {
    **dict.fromkeys(("grad", "grads", "gradient", "dw", "dp", "d_p", "dtheta"), "g"),
    **dict.fromkeys(("theta", "θ", "param", "params", "weight", "weights"), "w"),
    **dict.fromkeys(("step", "steps", "iteration", "iterations", "iter"), "t"),
    **dict.fromkeys(("eta", "η", "learning_rate", "step_size"), "lr"),
}
"""What others call the names that an optimizer has: the parameter `w`, its gradient `g`, the rate `lr`, the number `t` of the step."""

ARGUMENTS = {
    "out_features": ("units",), "out_channels": ("units",), "filters": ("units",), "hidden_size": ("units",), "output_dim": ("units",),
    "num_units": ("units",), "embedding_dim": ("units",), "n_units": ("units",), "features": ("units",), "num_embeddings": ("size",),
    "input_dim": ("size",), "kernel_size": ("kernel",), "pool_size": ("kernel",), "strides": ("stride",), "padding": ("pad",),
    "dilation_rate": ("dilation",), "use_bias": ("bias",), "kernel_initializer": ("init",), "weight_init": ("init",),
    "initializer": ("init",), "negative_slope": ("alpha",), "p": ("rate",), "prob": ("rate",), "dropout": ("rate",),
    "num_heads": ("heads",), "n_heads": ("heads",), "dim": ("axis",), "axes": ("axis",), "keepdim": ("keep",), "keepdims": ("keep",),
    "label_smoothing": ("smoothing",), "epsilon": ("eps",), "learning_rate": ("lr",), "eta": ("lr",), "step_size": ("lr", "every"),
    "beta_1": ("beta1",), "beta_2": ("beta2",), "betas": ("beta1",), "weight_decay": ("decay",), "momentum": ("mu", "momentum"),
    "stddev": ("std",), "sigma": ("std",), "is_causal": ("causal",), "num_groups": ("groups",), "go_backwards": ("reverse",),
    "mode": ("pad",),
}  # fmt: skip

OF_ANOTHER = {
    ("sgd", "momentum"): "that is another optimizer: `momentum(lr = 0.1, mu = 0.9)`",
    ("sgd", "nesterov"): "that is another optimizer: `nesterov(lr = 0.1, mu = 0.9)`",
    ("momentum", "nesterov"): "that is another optimizer: `nesterov(lr = 0.1, mu = 0.9)`",
    ("adam", "weight_decay"): "that is another optimizer, `adamw(decay = 1e-2)`, or the setting `penalty l2(1e-4)`",
    ("sgd", "weight_decay"): "that is a setting of the training: `penalty l2(1e-4)`",
}
"""Arguments that other frameworks give an optimizer, and this language another or none."""

LEFT_OUT = ("in_features", "in_channels", "input_size", "input_shape", "num_features", "input_dim", "normalized_shape")
"""Arguments that say how large the value before is."""

SETTINGS = {
    "batch_size": "batch", "batchsize": "batch", "num_epochs": "epochs", "max_epochs": "epochs", "n_epochs": "epochs", "epoch": "epochs",
    "max_steps": "steps", "iterations": "steps", "scheduler": "schedule", "lr_scheduler": "schedule", "solver": "optimizer",
    "optim": "optimizer", "dataset": "data", "data_source": "data", "train_data": "data", "validation_split": "validation",
    "val": "validation", "val_split": "validation", "test_split": "test", "random_state": "seed", "random_seed": "seed",
    "regularization": "penalty", "regularizer": "penalty", "gradient_clipping": "clip", "grad_clip": "clip",
    "augmentation": "augment",
}  # fmt: skip

ELSEWHERE = {
    "lr": "the rate belongs to the optimizer: `optimizer adam(lr = 1e-3)`",
    "learning_rate": "the rate belongs to the optimizer: `optimizer adam(lr = 1e-3)`",
    "momentum": "it belongs to the optimizer: `optimizer momentum(lr = 0.1, mu = 0.9)`",
    "weight_decay": "write `penalty l2(1e-4)`, or `optimizer adamw`",
    "metrics": "metrics stand in the model: `metric accuracy(logits, y)`",
    "dropout": "dropout is a stage in the model: `-> dropout(0.5)`",
    "early_stopping": "write for example `stop early(val.loss, patience = 3)`",
    "l1": "write `penalty l1(1e-4)`",
    "l2": "write `penalty l2(1e-4)`",
    "clip_grad_norm": "write `clip norm(1)`",
    "shuffle": "examples are always shuffled, in an order that the seed decides",
    "device": "it is said when training starts: `nnspec train F --engine ort --device cuda`",
}
"""Settings that are said in another place."""


def nearest(name: str, known: Collection[str]) -> str | None:
    """What the user probably meant: the same thing in another framework's words, or a near spelling."""
    last = _last(name)
    foreign = NAMES.get(last) or NAMES.get(last.lower())
    if foreign in known:
        return foreign
    return None if is_other(last.lower()) or last.lower() in SAID or POWER.fullmatch(name) else suggest(last, known)


def is_safe(name: str, guess: str) -> bool:
    """Whether one name can take the place of another unasked: it is the same thing in other words, or a slip of the pen."""
    last, low = _last(name), name.lower()
    same = guess in (NAMES.get(last), NAMES.get(last.lower()), SETTINGS.get(low), *ARGUMENTS.get(low, ()))
    return is_slip(last, guess) or (same and last.lower() not in ALIKE)


def help_for(name: str) -> str:
    """What is said of a name that nothing here is meant by."""
    last = _last(name)
    if last.lower() in SAID:
        return SAID[last.lower()]
    if "." in name and last == "T":
        return f"it is written `transpose({name.rpartition('.')[0]})`"
    if power := POWER.fullmatch(name):
        return f"a power is written `{power[1]} ^ {normalize('NFKC', power[2])}`"
    if last.lower() in FORMULAS:
        return f"it is written `{FORMULAS[last.lower()]}`"
    return "there is none like it: `nnspec doc` lists what there is" if last.lower() in WITHOUT else ""


def _last(name: str) -> str:
    """`ReLU` of `nn.ReLU`."""
    return name.rsplit(".", 1)[-1].rstrip("_")


def argument(name: str, known: Collection[str]) -> str | None:
    """The argument of a definition that another framework calls so, or one of near spelling."""
    foreign = next((a for a in ARGUMENTS.get(name.lower(), ()) if a in known), None)
    return foreign or suggest(name, known)


def setting(name: str, known: Collection[str]) -> str | None:
    """The setting of a train block that another framework calls so, or one of near spelling."""
    return SETTINGS.get(name.lower()) or suggest(name, known)
