"""The error function and its inverse, which NumPy does not have."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

from nnspec.graph import Op
from nnspec.lazy import np
from nnspec.ops.aside import aside_like
from nnspec.ops.pointwise import exp, square, unary


def _polynomial(x: Any, coefficients: Sequence[float]) -> Any:
    """From the highest power down."""
    return reduce(lambda total, c: total * x + c, coefficients, x.dtype.type(0))


def _ratio(x: Any, fraction: tuple[Sequence[float], Sequence[float]]) -> Any:
    return _polynomial(x, fraction[0]) / _polynomial(x, fraction[1])


# W. J. Cody, Rational Chebyshev approximations for the error function, Mathematics of Computation 23 (1969): erf(x) / x over x^2 up to
# 0.46875, and erfc(x) e^(x^2) over x from there on.
NEAR = (
    (1.85777706184603153e-1, 3.16112374387056560, 1.13864154151050156e2, 3.77485237685302021e2, 3.20937758913846947e3),
    (1.0, 2.36012909523441209e1, 2.44024637934444173e2, 1.28261652607737228e3, 2.84423683343917062e3),
)
FAR = (
    (2.15311535474403846e-8, 5.64188496988670089e-1, 8.88314979438837594, 6.61191906371416295e1, 2.98635138197400131e2,
     8.81952221241769090e2, 1.71204761263407058e3, 2.05107837782607147e3, 1.23033935479799725e3),
    (1.0, 1.57449261107098347e1, 1.17693950891312499e2, 5.37181101862009858e2, 1.62138957456669019e3,
     3.29079923573345963e3, 4.36261909014324716e3, 3.43936767414372164e3, 1.23033935480374942e3),
)  # fmt: skip
BORDER = 0.46875
# From here on 1 is the nearest float64.
ONE_FROM = 6.0


# A fit of our own to erf(x) / x over x^2 up to 4^2, for float32: right to 4e-7, and eight times as fast.
_SINGLE = (
    (1.98661978e-06, 0.000284608565, 0.00388485743, 0.0531063591, 0.193579216, 1.12837914),
    (3.74207505e-05, 0.00118595614, 0.0152102417, 0.11536422, 0.504887653, 1.0),
)
_ONE_FROM_SINGLE = 4.0


def _erf(x: Any) -> Any:
    distance = np.minimum(np.abs(x), x.dtype.type(ONE_FROM))
    near = x * _ratio(np.minimum(distance * distance, x.dtype.type(BORDER**2)), NEAR)
    far = np.copysign(1 - np.exp(-distance * distance) * _ratio(distance, FAR), x)
    return np.where(distance <= BORDER, near, far)


def _erf_into(out: Any, x: Any) -> Callable[[], Any]:
    if x.dtype != "float32":
        return lambda: np.copyto(out, _erf(x))
    s, part = aside_like(out, key=0), aside_like(out, key=1)
    most, one = np.asarray(_ONE_FROM_SINGLE, x.dtype), np.ones((), x.dtype)
    above, below = (np.asarray(c, x.dtype) for c in _SINGLE)

    def polynomial(coefficients: Any) -> None:
        np.multiply(s, coefficients[0], part)
        for c in coefficients[1:-1]:
            np.add(part, c, part)
            np.multiply(part, s, part)
        np.add(part, coefficients[-1], part)

    def run() -> None:
        np.clip(x, -most, most, out)
        np.multiply(out, out, s)
        polynomial(above)
        np.multiply(out, part, out)
        polynomial(below)
        np.divide(out, part, out)
        np.clip(out, -one, one, out)  # 1 - erf(x) may be a factor or a logarithm

    return run


erf = unary("erf", "The error function: the share of a normal distribution with variance 1/2 within x of its mean, with the sign of x.",
            _erf, lambda g, y, x: (g * (2 / math.sqrt(math.pi)) * exp(-square(x)),), "Erf", "erf([0]) == [0]",
            "erf([0.3, -1, 3, -7]) ~= [0.328626759459127, -0.842700792949715, 0.999977909503001, -1]",
            prepare=_erf_into, real=True)  # fmt: skip

# M. J. Wichura, Algorithm AS 241: the percentage points of the normal distribution, Applied Statistics 37 (1988): over .425^2 - (x/2)^2 in
# the middle, over the root of -log of the tail, less 1.6 or 5, outside.
_MIDDLE = (
    (2.5090809287301226727e3, 3.3430575583588128105e4, 6.7265770927008700853e4, 4.5921953931549871457e4, 1.3731693765509461125e4,
     1.9715909503065514427e3, 1.3314166789178437745e2, 3.3871328727963666080),
    (5.2264952788528545610e3, 2.8729085735721942674e4, 3.9307895800092710610e4, 2.1213794301586595867e4, 5.3941960214247511077e3,
     6.8718700749205790830e2, 4.2313330701600911252e1, 1.0),
)  # fmt: skip
_OUTSIDE = (
    (7.74545014278341407640e-4, 2.27238449892691845833e-2, 2.41780725177450611770e-1, 1.27045825245236838258, 3.64784832476320460504,
     5.76949722146069140550, 4.63033784615654529590, 1.42343711074968357734),
    (1.05075007164441684324e-9, 5.47593808499534494600e-4, 1.51986665636164571966e-2, 1.48103976427480074590e-1, 6.89767334985100004550e-1,
     1.67638483018380384940, 2.05319162663775882187, 1.0),
)  # fmt: skip
_FAR_OUTSIDE = (
    (2.01033439929228813265e-7, 2.71155556874348757815e-5, 1.24266094738807843860e-3, 2.65321895265761230930e-2, 2.96560571828504891230e-1,
     1.78482653991729133580, 5.46378491116411436990, 6.65790464350110377720),
    (2.04426310338993978564e-15, 1.42151175831644588870e-7, 1.84631831751005468180e-5, 7.86869131145613259100e-4, 1.48753612908506148525e-2,
     1.36929880922735805310e-1, 5.99832206555887937690e-1, 1.0),
)  # fmt: skip


def _erfinv(x: Any) -> Any:
    half, one = x / 2, np.abs(x) == 1
    middle = half * _ratio(np.maximum(0.180625 - half * half, 0), _MIDDLE)
    tail = np.sqrt(-np.log(np.where(one, 0.5, (1 - np.abs(x)) / 2)))
    outside = np.where(tail <= 5, _ratio(tail - 1.6, _OUTSIDE), _ratio(tail - 5, _FAR_OUTSIDE))
    quantile = np.where(np.abs(half) <= 0.425, middle, np.copysign(outside, x))
    return np.where(one, np.copysign(np.inf, x), quantile / math.sqrt(2)).astype(x.dtype)


def _erfinv_of_number(x: float) -> float:
    from statistics import NormalDist  # slow to import, and seldom needed

    return math.copysign(NormalDist().inv_cdf((1 - abs(x)) / 2) / math.sqrt(2), x)


erfinv: Op = unary("erfinv", "The number whose error function is x, infinite at -1 and 1.", _erfinv,
                   lambda g, y, x: (g * (math.sqrt(math.pi) / 2) * exp(square(y)),), None, "erfinv([0]) == [0]",
                   "erfinv([0.5, -0.9, 0.9999999]) ~= [0.4769362762, -1.1630871537, 3.7665625816]",
                   scalar=_erfinv_of_number, domain=(-0.95, 0.95),
                   real=True, why="ONNX has no such op; it is for initial weights")  # fmt: skip
