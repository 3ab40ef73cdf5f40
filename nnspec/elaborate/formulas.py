"""Functions of mathematics that are no names here: how each is written of what there is, or that it cannot be. All in lower case."""

from __future__ import annotations

FORMULAS = {
    # ---- logarithms and powers
    "ln": "log(x)", "log2": "log(x) / log(2)", "log10": "log(x) / log(10)", "log1p": "log(1 + x)", "lg": "log(x) / log(10)",
    "exp2": "2 ^ x", "exp10": "10 ^ x", "expm1": "exp(x) - 1", "square": "x ^ 2", "sqr": "x ^ 2", "cube": "x ^ 3", "pow": "x ^ 2",
    "power": "x ^ 2", "float_power": "x ^ 2", "cbrt": "sign(x) * abs(x) ^ (1 / 3)", "rsqrt": "1 / sqrt(x)", "isqrt": "floor(sqrt(x))",
    "reciprocal": "1 / x",
    "logsumexp": "log(sum(exp(x)))", "logaddexp": "log(exp(x) + exp(y))", "logit": "log(x / (1 - x))", "xlogy": "x * log(y)",
    # ---- angles
    "tan": "sin(x) / cos(x)", "cot": "cos(x) / sin(x)", "sec": "1 / cos(x)", "csc": "1 / sin(x)",
    "sinc": "sin(pi * x) / (pi * x)", "deg2rad": "x * pi / 180", "radians": "x * pi / 180", "rad2deg": "x * 180 / pi",
    "degrees": "x * 180 / pi", "hypot": "sqrt(x ^ 2 + y ^ 2)",
    # ---- of the hyperbola
    "cosh": "(exp(x) + exp(-x)) / 2", "sinh": "(exp(x) - exp(-x)) / 2", "coth": "1 / tanh(x)", "sech": "2 / (exp(x) + exp(-x))",
    "asinh": "log(x + sqrt(x ^ 2 + 1))", "arcsinh": "log(x + sqrt(x ^ 2 + 1))", "acosh": "log(x + sqrt(x ^ 2 - 1))",
    "arccosh": "log(x + sqrt(x ^ 2 - 1))", "atanh": "log((1 + x) / (1 - x)) / 2", "arctanh": "log((1 + x) / (1 - x)) / 2",
    # ---- statistics and sums
    "erfc": "1 - erf(x)", "var": "mean((x - mean(x)) ^ 2)", "variance": "mean((x - mean(x)) ^ 2)",
    "std": "sqrt(mean((x - mean(x)) ^ 2))", "norm": "sqrt(sum(x ^ 2))", "argmin": "argmax(-x)", "ptp": "max(x) - min(x)",
    # ---- activations
    "softmin": "softmax(-x)", "logsigmoid": "-softplus(-x)", "log_sigmoid": "-softplus(-x)", "hardtanh": "clip(x, -1, 1)",
    "hard_tanh": "clip(x, -1, 1)", "tanhshrink": "x - tanh(x)", "softshrink": "sign(x) * relu(abs(x) - 0.5)",
    "hardshrink": "if abs(x) > 0.5 then x else 0", "celu": "elu(x)",
    # ---- signs
    "matmul": "x @ W", "dot": "x @ W", "mm": "x @ W", "bmm": "x @ W", "multiply": "x * y", "mul": "x * y", "subtract": "x - y",
    "sub": "x - y", "divide": "x / y", "div": "x / y", "negative": "-x", "neg": "-x", "mod": "x % y", "remainder": "x % y",
    "floor_divide": "floor(x / y)", "trunc": "sign(x) * floor(abs(x))", "fix": "sign(x) * floor(abs(x))", "equal": "x == y",
    "not_equal": "x != y", "greater": "x > y", "greater_equal": "x >= y", "less": "x < y", "less_equal": "x <= y",
    "logical_and": "a and b", "logical_or": "a or b", "logical_not": "not a", "where": "if c then a else b", "len": "shape(x)[0]",
    "zeros_like": "0 * x", "ones_like": "0 * x + 1", "arange": "range(0, n)",
}  # fmt: skip
"""What is written otherwise; `celu` with alpha 1, as it comes."""

WITHOUT = frozenset(
    word
    for words in (
        # ---- functions
        "acos asin atan arccos arcsin arctan atan2 arctan2 median nanmedian nanmean nansum nanmax nanmin nanargmax nanvar nanstd "
        "mode quantile percentile erfcx erfcinv erfi gamma lgamma digamma gammaln beta betaln zeta sgn copysign signbit nextafter "
        "frexp ldexp fmod modf i0 i1 j0 j1 y0 y1 spence exp1 expn expi prod cumprod cummax cummin logcumsumexp nancumsum diff cov "
        "corrcoef histc choose select nonzero sort argsort unique searchsorted bincount topk isnan isinf isfinite trace det logdet "
        "slogdet inv pinv inverse solve lu qr svd eig eigh cholesky diag tril triu eye kron einsum tensordot inner outer fft rfft "
        "conj real imag angle trapezoid interp linspace logspace addr isin hstack vstack dstack save savez long ulong "
        "fliplr flipud roll tile repeat unfold fold rot90 rand randn randint randperm round_half_up",
        # ---- activations and losses
        "rrelu crelu relu2 squared_relu threshold sparsemax entmax gumbel_softmax softmax2d swiglu geglu reglu quick_gelu "
        "squareplus sparse_plus alphadropout alpha_dropout featurealphadropout feature_dropout dropconnect droppath drop_path "
        "dropblock focal focal_loss dice dice_loss ctc ctcloss ctc_loss poissonnllloss gaussiannllloss soft_margin_loss "
        "softmarginloss multimarginloss mape msle pinball quantile_loss",
        # ---- layers
        "bilinear convlstm convlstmcell conv_lstm conv_tbc lppool maxunpool1d maxunpool2d maxunpool3d max_unpool2d "
        "fractionalmaxpool2d spectralnorm spectral_norm weightnorm weight_norm localresponsenorm lrn syncbatchnorm pixelshuffle "
        "embeddingbag embedding_bag transformerdecoder transformerdecoderlayer",
        # ---- optimizers, schedules, initialisers
        "adabelief adafactor adan adopt asgd ftrl lamb lars lbfgs l_bfgs muon nadamw novograd radam ranger rprop shampoo sgdm sgdw "
        "sophia sparseadam yogi amsgrad polynomial polynomiallr multistep multisteplr cyclic cycliclr piecewise_constant "
        "multiplicativelr lecun_uniform lecununiform dirac variance_scaling variancescaling sparse delta_orthogonal",
    )
    for word in words.split()
)
"""What there is nothing for, and nothing like it may be put in its place."""


def is_other(name: str) -> bool:
    """Whether a name, in lower case, is of something else than any that is known, however alike they are spelt."""
    return name in FORMULAS or name in WITHOUT
