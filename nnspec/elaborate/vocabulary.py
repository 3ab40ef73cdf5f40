"""What other frameworks and mathematics call things, all in lower case: in each table by what it is here.

The lookups are those of `foreign`.
"""

from __future__ import annotations

SAME = {
    "stop_gradient": "detach stopgradient stop_grad",
    # ---- layers
    "dense": "linear fully_connected fc lazylinear innerproduct affine",
    "conv": "conv1d conv2d conv3d convolution convolution1d convolution2d convolutional",
    "conv_transpose": "conv_transpose1d conv_transpose2d conv1dtranspose conv2dtranspose deconv deconvolution",
    "depthwise": "depthwiseconv2d",
    "separable": "separableconv2d",
    "maxpool": "maxpool1d maxpool2d maxpooling1d maxpooling2d",
    "avgpool": "avgpool1d avgpool2d averagepooling1d averagepooling2d",
    "global_avgpool": "globalaveragepooling2d gap",
    "global_maxpool": "globalmaxpooling2d",
    "pad": "zeropadding1d zeropadding2d zeropadding3d zeropad1d zeropad2d zeropad3d",
    "crop": "cropping2d",
    "upsample": "upsampling2d",
    "batchnorm": "batchnorm1d batchnorm2d batchnorm3d batchnormalization bn",
    "layernorm": "layernormalization",
    "groupnorm": "groupnormalization",
    "instancenorm": "instancenorm2d",
    "rnn": "simplernn rnncell",
    "lstm": "lstmcell",
    "gru": "grucell",
    "multihead_attention": "multiheadattention",
    "transformer_block": "transformerencoderlayer",
    "concat": "concatenate cat",
    "reshape": "view",
    "transpose": "permute",
    "positional": "positional_encoding",
    # ---- activations and losses
    "sigmoid": "logistic expit",
    "mae": "l1loss mean_absolute_error",
    "mse": "mseloss mean_squared_error",
    "cross_entropy": "crossentropyloss crossentropy ce categorical_crossentropy sparse_categorical_crossentropy",
    "bce": "bceloss binary_cross_entropy",
    "bce_logits": "bcewithlogitsloss binary_cross_entropy_with_logits",
    "nll": "nllloss",
    "kl": "kl_divergence",
    "huber": "huberloss",
    "mean": "reduce_mean average avg impute fillna simpleimputer",
    "sum": "reduce_sum fsum",
    "max": "reduce_max maximum amax fmax",
    "min": "reduce_min minimum amin fmin",
    "abs": "absolute fabs",
    "clip": "clamp clip_by_value",
    "pi": "π",
    "round": "around rint",
    # ---- initialisers, optimizers, schedules
    "xavier_uniform": "glorot_uniform xavier glorot",
    "xavier_normal": "glorot_normal",
    "he_normal": "kaiming_normal he kaiming",
    "he_uniform": "kaiming_uniform",
    "normal": "random_normal",
    "uniform": "random_uniform",
    "truncated_normal": "trunc_normal",
    "sgd": "gd gradient_descent stochastic_gradient_descent",
    "exponential": "exponentiallr",
    # ---- what is done about missing values
    "drop": "dropna skip omit remove ignore",
    # ---- values
    "true": "yes on",
    "false": "no off",
}
"""The same in other words."""

ALIKE = {
    "global_avgpool": "adaptiveavgpool2d", "global_maxpool": "adaptivemaxpool2d", "upsample": "interpolate", "reshape": "unflatten",
    "pad": "constantpad1d constantpad2d constantpad3d", "attention": "scaled_dot_product_attention", "standardize": "normalization",
    "dropout": "dropout1d dropout2d dropout3d spatialdropout1d spatialdropout2d spatialdropout3d", "hard_sigmoid": "hardsigmoid",
    "cross_entropy": "softmax_cross_entropy softmax_cross_entropy_with_logits softmax_cross_entropy_with_integer_labels "
    "sparse_softmax_cross_entropy_with_logits",
    "bce_logits": "sigmoid_cross_entropy_with_logits sigmoid_binary_cross_entropy",
    "kl": "kl_div kldivloss", "huber": "smoothl1loss", "hinge": "hinge_loss hingeembeddingloss", "triplet": "tripletmarginloss",
    "accuracy": "accuracy_score categorical_accuracy sparse_categorical_accuracy",
    "top_k": "top_k_accuracy top_k_categorical_accuracy top5", "auc": "roc_auc_score auroc", "f1": "f1_score",
    "confusion": "confusion_matrix", "bce": "log_loss",
    "cosine": "cosineembeddingloss cosine_similarity cosineannealinglr cosine_decay cosine_decay_schedule warmup_cosine_decay "
    "warmup_cosine_decay_schedule", "reverse": "flip", "sigmoid": "σ", "sum": "Σ",
    "step_decay": "steplr", "exponential": "exponential_decay", "linear": "linearlr linear_schedule", "on_plateau": "reducelronplateau",
    "one_cycle": "onecyclelr", "warmup": "linear_warmup",
}  # fmt: skip
"""Much the same as here, but not to the letter: offered, and never put in without being asked."""

FORMULAS = {
    # ---- logarithms and powers
    "log(x)": "ln", "log(x) / log(2)": "log2", "log(x) / log(10)": "log10 lg", "log(1 + x)": "log1p", "2 ^ x": "exp2", "10 ^ x": "exp10",
    "exp(x) - 1": "expm1", "x ^ 2": "square sqr pow power float_power", "x ^ 3": "cube", "sign(x) * abs(x) ^ (1 / 3)": "cbrt",
    "1 / sqrt(x)": "rsqrt", "floor(sqrt(x))": "isqrt", "1 / x": "reciprocal", "log(sum(exp(x)))": "logsumexp",
    "log(exp(x) + exp(y))": "logaddexp", "log(x / (1 - x))": "logit", "x * log(y)": "xlogy",
    # ---- angles
    "sin(x) / cos(x)": "tan", "cos(x) / sin(x)": "cot", "1 / cos(x)": "sec", "1 / sin(x)": "csc", "sin(pi * x) / (pi * x)": "sinc",
    "x * pi / 180": "deg2rad radians", "x * 180 / pi": "rad2deg degrees", "sqrt(x ^ 2 + y ^ 2)": "hypot",
    # ---- of the hyperbola
    "(exp(x) + exp(-x)) / 2": "cosh", "(exp(x) - exp(-x)) / 2": "sinh", "1 / tanh(x)": "coth", "2 / (exp(x) + exp(-x))": "sech",
    "log(x + sqrt(x ^ 2 + 1))": "asinh arcsinh", "log(x + sqrt(x ^ 2 - 1))": "acosh arccosh", "log((1 + x) / (1 - x)) / 2": "atanh arctanh",
    # ---- statistics and sums
    "1 - erf(x)": "erfc", "mean((x - mean(x)) ^ 2)": "var variance", "sqrt(mean((x - mean(x)) ^ 2))": "std", "sqrt(sum(x ^ 2))": "norm",
    "argmax(-x)": "argmin", "max(x) - min(x)": "ptp",
    # ---- activations
    "softmax(-x)": "softmin", "-softplus(-x)": "log_sigmoid", "clip(x, -1, 1)": "hard_tanh",
    "x - tanh(x)": "tanhshrink", "sign(x) * relu(abs(x) - 0.5)": "softshrink", "if abs(x) > 0.5 then x else 0": "hardshrink",
    "elu(x)": "celu",
    # ---- signs
    "x @ W": "matmul dot mm bmm", "x * y": "multiply mul", "x - y": "subtract sub", "x / y": "divide div", "-x": "negative neg",
    "x % y": "mod remainder", "floor(x / y)": "floor_divide", "sign(x) * floor(abs(x))": "trunc fix", "x == y": "equal",
    "x != y": "not_equal", "x > y": "greater", "x >= y": "greater_equal", "x < y": "less", "x <= y": "less_equal", "a and b": "logical_and",
    "a or b": "logical_or", "not a": "logical_not", "if c then a else b": "where", "shape(x)[0]": "len", "0 * x": "zeros_like",
    "0 * x + 1": "ones_like", "range(0, n)": "arange",
}  # fmt: skip
"""What is no name here, and is written of what there is; `celu` with alpha 1, as it comes."""

WITHOUT = (
    # ---- functions
    "acos asin atan arccos arcsin arctan atan2 arctan2 median nanmedian nanmean nansum nanmax nanmin nanargmax nanvar nanstd "
    "mode quantile percentile erfcx erfcinv erfi gamma lgamma digamma gammaln beta betaln zeta sgn copysign signbit nextafter "
    "frexp ldexp fmod modf i0 i1 j0 j1 y0 y1 spence exp1 expn expi prod cumprod cummax cummin logcumsumexp nancumsum diff cov "
    "corrcoef histc choose select nonzero sort argsort unique searchsorted bincount topk isnan isinf isfinite trace det logdet "
    "slogdet inv pinv inverse solve lu qr svd eig eigh cholesky diag tril triu kron einsum tensordot inner outer fft rfft "
    "conj real imag angle trapezoid interp linspace logspace addr isin hstack vstack dstack save savez long ulong "
    "fliplr flipud roll tile repeat unfold fold rot90 randint randperm round_half_up",
    # ---- activations and losses
    "rrelu crelu relu2 squared_relu threshold sparsemax entmax gumbel_softmax softmax2d swiglu geglu reglu quick_gelu "
    "squareplus sparse_plus alpha_dropout featurealphadropout feature_dropout dropconnect drop_path "
    "dropblock focal focal_loss dice dice_loss ctc ctc_loss poissonnllloss gaussiannllloss soft_margin_loss "
    "multimarginloss mape msle pinball quantile_loss balanced_accuracy_score zero_one_loss",
    # ---- layers
    "bilinear convlstm convlstmcell conv_tbc lppool maxunpool1d maxunpool2d maxunpool3d "
    "fractionalmaxpool2d reflectionpad1d reflectionpad2d reflectionpad3d replicationpad1d replicationpad2d replicationpad3d "
    "spectral_norm weight_norm localresponsenorm lrn syncbatchnorm pixelshuffle "
    "embedding_bag transformerdecoder transformerdecoderlayer",
    # ---- optimizers, schedules, initialisers
    "adabelief adafactor adan adopt asgd ftrl lamb lars lbfgs muon nadamw novograd radam ranger rprop shampoo sgdm sgdw "
    "sophia sparseadam yogi amsgrad polynomial polynomiallr multistep multisteplr cyclic cycliclr piecewise_constant "
    "multiplicativelr lecun_uniform dirac variance_scaling sparse delta_orthogonal",
)
"""What there is nothing for, and nothing like it may be put in its place."""

SAID = {
    **dict.fromkeys(
        ("unsqueeze", "expand_dims", "newaxis"), "an axis of length 1 is added by `stack(x)`, and one at place i by `stack(x, axis = i)`"
    ),
    **dict.fromkeys(("split", "chunk"), "a part of a value is written `x[0:2]`"),
    **dict.fromkeys(
        ("normalize", "l2_normalize"),
        "to length 1: `x / sqrt(sum(x ^ 2))`; to mean 0 and deviation 1: `standardize` by the whole data, `layernorm` by each example",
    ),
    **dict.fromkeys(
        ("random_flip", "random_horizontal_flip", "random_crop", "random_rotation", "random_translation", "random_affine"),
        "images are changed by a setting of the training: `augment image -> flip`",
    ),
    "binary_accuracy": "of a probability `metric accuracy = (p > 0.5) == y` is the share that is right, of a logit `(z > 0) == y`",
    "lambda": "a formula of its own is a stage by its name: `fn f(x) = ...`, and `x -> f`",
    **dict.fromkeys(("none", "null", "nil"), "no name stands for nothing: what has no value is left out"),
    "randn": "numbers of the normal distribution are drawn by `normal(0, 1)`, of a parameter as in `param W: [4, 2] ~ normal(0, 0.01)`",
    "rand": "numbers from 0 to 1 are drawn by `uniform(0, 1)`, of a parameter as in `param W: [4, 2] ~ uniform(-0.1, 0.1)`",
    "eye": "a matrix with 1 where row and column are the same is `identity(3, 3)`",
    "e": "e^x is written `exp(x)`, and e itself `exp(1)`",
    "inf": "a bound that is no bound is a large number, such as `1e30`",
    "activation": "an activation is a stage of its own: `x -> dense(8) -> relu`",
    "sequential": "stages follow each other by `->`: `x -> dense(8) -> relu`",
    **dict.fromkeys(("last", "last_step", "take_last"), "the last step of a sequence is `(x -> gru(8))[-1]`"),
    "param": "a parameter is declared: `param W: [4, 2] ~ he_normal`",
    "parameter": "a parameter is declared: `param W: [4, 2] ~ he_normal`",
    "state": "a state is declared: `state s = 0`",
    "input": "an input is declared: `input x: [4]`",
    "target": "a target is declared: `target y: class(10)`",
    "class": "it is a type: `target y: class(10)` is a number from 0 to 9",
    "batch": "how many examples there are is known in training only: write it inside `if training { }` or `if fitting { }`",
    **dict.fromkeys(("fan_in", "fan_out"), "it is known in an `init` only: `init mine = normal(0, sqrt(2 / fan_in))`"),
    **dict.fromkeys(("epoch", "epochs", "steps"), "it is known in a `schedule` only: `schedule mine = lr * 0.9^epoch`"),
}
"""What is said where no other name would do."""

OF_OPTIMIZERS = {
    "g": "grad grads gradient dw dp d_p dtheta",
    "w": "theta θ param params weight weights",
    "t": "step steps iteration iterations iter",
    "lr": "eta η learning_rate step_size",
}
"""What others call the names that an optimizer has: the parameter `w`, its gradient `g`, the rate `lr`, the number `t` of the step."""

SEVERAL = {"betas": ("beta1", "beta2")}
"""Arguments that others give as one list."""
ARGUMENTS = {
    "units": "out_features out_channels filters hidden_size output_dim num_units embedding_dim n_units features",
    "size": "num_embeddings input_dim", "kernel": "kernel_size pool_size", "stride": "strides", "pad": "padding mode",
    "dilation": "dilation_rate", "bias": "use_bias", "init": "kernel_initializer weight_init initializer", "alpha": "negative_slope",
    "rate": "p prob dropout", "heads": "num_heads n_heads", "axis": "dim axes", "keep": "keepdim keepdims", "smoothing": "label_smoothing",
    "eps": "epsilon", "lr": "learning_rate eta step_size", "every": "step_size", "beta1": "beta_1 b1", "beta2": "beta_2 b2",
    "decay": "weight_decay", "mu": "momentum", "momentum": "momentum", "std": "stddev sigma", "causal": "is_causal", "groups": "num_groups",
    "reverse": "go_backwards",
}  # fmt: skip

OF_ANOTHER = {
    ("sgd", "momentum"): "that is another optimizer: `momentum(lr = 0.1, mu = 0.9)`",
    ("sgd", "nesterov"): "that is another optimizer: `nesterov(lr = 0.1, mu = 0.9)`",
    ("momentum", "nesterov"): "that is another optimizer: `nesterov(lr = 0.1, mu = 0.9)`",
    ("adam", "weight_decay"): "that is another optimizer, `adamw(decay = 1e-2)`, or the setting `penalty l2(1e-4)`",
    ("sgd", "weight_decay"): "that is a setting of the training: `penalty l2(1e-4)`",
    **{(cell, "return_sequences"): f"it gives every step, of which `(x -> {cell}(8))[-1]` is the last" for cell in ("rnn", "lstm", "gru")},
}
"""Arguments that other frameworks give an optimizer, and this language another or none."""

FIRST = ("units", "rate", "kernel")
"""What a number alone in a layer says, here as elsewhere."""

LEFT_OUT = ("in_features", "in_channels", "input_size", "input_shape", "num_features", "input_dim", "normalized_shape")
"""Arguments that say how large the value before is."""

SETTINGS = {
    "batch": "batch_size batchsize", "epochs": "num_epochs max_epochs n_epochs epoch", "steps": "max_steps iterations",
    "schedule": "scheduler lr_scheduler", "optimizer": "solver optim", "data": "dataset data_source train_data",
    "validation": "validation_split val val_split", "test": "test_split", "seed": "random_state random_seed",
    "penalty": "regularization regularizer", "clip": "gradient_clipping grad_clip", "augment": "augmentation",
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

OF_SOURCES = {
    **dict.fromkeys(("sep", "delimiter"), "between the cells of a csv file stand commas"),
    "shuffle": ELSEWHERE["shuffle"],
    "header": "the first line of a csv file has the names of its columns",
    "batch_size": "it is a setting of the training: `batch 32`",
}
"""What is said of arguments that other frameworks give a source of data."""

LOOK_ALIKE = str.maketrans(
    "авеікмнорстухјѕАВЕІКМНОРСТУХЈЅανορυχΑΒΕΖΗΙΚΜΝΟΡΤΥΧ\u00b5\u2126\u03f5\u03d5\u03d1",
    "abeikmhopctyxjsABEIKMHOPCTYXJSavopuxABEZHIKMNOPTYXμΩεφθ",
)
"""Letters of Cyrillic and Greek that look like those of the Latin alphabet, and signs that look like Greek letters."""
