r"""Equally likely learning curves: what a posterior over curves is, as plain numbers.

A curve is written around the largest size at hand, :math:`n_0`, with :math:`x = n / n_0`:

.. math:: y(n) = y_0 - g\, s(x), \qquad s(x) = \frac{(1 + q)^2}{c} \left(\frac1{1 + q} - \frac1{q + x^c}\right)

- :math:`y_0` is the level at :math:`n_0`; lower is better.
- :math:`g` is the fall per e-fold of samples there, as :math:`s(1) = 0` and :math:`s'(1) = 1`.
- :math:`c > 0` is the exponent. With a delay of :math:`q = 0` this is the power law :math:`a + b n^{-c}`, and with
  :math:`c = 1` the first-order curve :math:`L(k_0) - s (1/k_0 - 1/k)`, of slope :math:`s = k_0 g`.
- :math:`q > 0` delays it: the curve falls slowly at first, and like the power law from about :math:`n_0 q^{1/c}`
  samples on. This is the curve of Morgan, Mercer and Flodin (PNAS 1975), called mmf4 where learning curves are fitted.

The limit is :math:`a = y_0 - g (1 + q) / c`.
"""

from typing import Annotated, Any

import numpy as np
from jaxtyping import Float64
from pydantic import BeforeValidator, ConfigDict, Field, PlainSerializer

from suffice.results.value import Value

DIGITS = 6
"""Significant digits that are kept: far more than draws are told apart by, and files stay small."""


def _short(values: Any) -> Any:
    numbers = np.asarray(values, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        scales = 10.0 ** (DIGITS - 1 - np.floor(np.log10(np.abs(numbers))))
        shortened = np.round(numbers * scales) / scales
    return np.where(np.isfinite(shortened), shortened, numbers)


Drawn = Annotated[
    Float64[np.ndarray, " _"],
    BeforeValidator(_short),
    PlainSerializer(lambda values: values.tolist(), return_type=list[float]),
]
"""One number for each curve, or a single one for all."""

OfKnots = Annotated[
    Float64[np.ndarray, "_ _"],
    BeforeValidator(lambda values: _short(values).reshape(len(values), -1)),
    PlainSerializer(lambda values: values.tolist(), return_type=list[list[float]]),
]


def fall(ratios: Any, exponents: Any, delays: Any) -> Float64[np.ndarray, "..."]:
    """s(x): how far a curve falls from n0 to x n0 samples, in units of its slope at n0.

    Args:
        ratios: x > 0; infinity gives the whole fall, (1 + q) / c.
        exponents: c > 0, of a shape that broadcasts with that of x.
        delays: q >= 0, of such a shape.

    Example:
        >>> fall(np.array([0.25, 1.0, 4.0, np.inf]), 0.5, 0.0)
        array([-2.,  0.,  1.,  2.])
    """
    with np.errstate(over="ignore"):
        return np.asarray((1 + delays) ** 2 / exponents * (1 / (1 + delays) - 1 / (delays + ratios**exponents)))


class Draws(Value):
    """Equally likely curves, lower is better: y(n) = offset + unit (y0 - g s(n / n0) + wander).

    Each array has one number for each curve, or a single one for all of them.

    Example:
        >>> draws = Draws(smallest=50, largest=100, level=[0.5, 0.6], slope=[0.2], exponent=[1.0], noise=[0.1])
        >>> draws.means(np.array([100.0, 200.0, np.inf]))
        array([[0.5, 0.4, 0.3],
               [0.6, 0.5, 0.4]])
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    offset: float = Field(default=0.0, description="what y is counted from")
    unit: float = Field(default=1.0, description="what y is counted in")
    smallest: float = Field(description="smallest size at which the curve may be asked for a target")
    largest: float = Field(description="n0, the largest size at hand")
    level: Drawn = Field(description="y0")
    slope: Drawn = Field(description="g")
    exponent: Drawn = Field(description="c of s")
    delay: Drawn = Field(default=np.zeros(1), description="q of s")
    knots: Drawn = Field(default=np.zeros(1), description="log2(n / n0), rising; between them the wander is linear")
    wander: OfKnots = Field(default=np.zeros((1, 1)), description="of each curve at the knots")
    noise: Drawn = Field(description="standard deviation between trainings on n0 samples, in y")
    noise_exponent: float = Field(default=1.0, description="e, where that on n samples is (n / n0)^-e times as large")

    def means(self, sizes: Float64[np.ndarray, " sizes"]) -> Float64[np.ndarray, "draws sizes"]:
        """y at each size, averaged over trainings; infinity gives the limit."""
        ratios = sizes / self.largest
        falls = fall(ratios, self.exponent[:, None], self.delay[:, None])
        wander = self.wander[:, -1:]
        if len(self.knots) > 1:
            at = np.clip(np.log2(ratios), self.knots[0], self.knots[-1])
            right = np.clip(np.searchsorted(self.knots, at), 1, len(self.knots) - 1)
            share = (at - self.knots[right - 1]) / (self.knots[right] - self.knots[right - 1])
            wander = (1 - share) * self.wander[:, right - 1] + share * self.wander[:, right]
        return np.asarray(self.offset + self.unit * (self.level[:, None] - self.slope[:, None] * falls + wander))

    def deviations(self, sizes: Float64[np.ndarray, " sizes"]) -> Float64[np.ndarray, "draws sizes"]:
        """Standard deviation of y between trainings at each size."""
        return np.asarray(self.noise[:, None] * (sizes / self.largest) ** -self.noise_exponent)
