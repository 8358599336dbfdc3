"""How common shapes of learning curves are among other people's curves: the prior of `suffice.results.fall`."""

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal

import numpy as np
from jaxtyping import Float64

from suffice.errors import InputError, nearest

PRIORS = "shapes.json"
"""Beside this module; ``benchmarks/forecast/priors.py`` makes it, and its ``about`` says from what."""

BETWEEN = 1.12 ** np.array([-1.0, 0.0, 1.0])
"""What each exponent of the file stands for: it and two between it and its neighbours, for scores without noise."""

Family = Literal["error", "loss", "score"]
"""Curves with one prior: error rates, which are 1 less the accuracy; losses; and scores of any scale."""


@dataclass(frozen=True)
class Grid:
    """What is not integrated in closed form, on a grid. All but c and q are in units of the curve (see `units`).

    Attributes:
        slopes: mean and standard deviation of the normal components of the slope g.
        exponents: c of each shape.
        delays: q of each shape.
        wander: standard deviation by which curves leave their shape within a doubling of the samples.
        noise: standard deviation between trainings on n0 samples.
        noise_exponent: e, where that on n samples is (n / n0)^-e times as large.
    """

    slopes: Float64[np.ndarray, "slopes 2"]
    exponents: Float64[np.ndarray, " shapes"]
    delays: Float64[np.ndarray, " shapes"]
    wander: Float64[np.ndarray, " wander"]
    noise: Float64[np.ndarray, " noise"]
    noise_exponent: float

    @property
    def size(self) -> tuple[int, int, int, int]:
        """How many values of wander, noise, slope and shape there are."""
        return len(self.wander), len(self.noise), len(self.slopes), len(self.exponents)


@dataclass(frozen=True)
class ShapePrior:
    """How common slopes, shapes, wander and noise are: a mixture of patterns, within which they are independent.

    Attributes:
        grid: the values that are told apart.
        shapes: shares of the slopes and shapes in each pattern.
        wander: shares of the values of the wander in each pattern.
        noise: shares of the values of the noise in each pattern.
        levels: boundaries between levels of error; none where the level has no say.
        patterns: shares of the patterns at each level.
    """

    grid: Grid
    shapes: Float64[np.ndarray, "patterns slopes shapes"]
    wander: Float64[np.ndarray, "patterns wander"]
    noise: Float64[np.ndarray, "patterns noise"]
    levels: Float64[np.ndarray, " boundaries"]
    patterns: Float64[np.ndarray, "levels patterns"]

    def shares(self, level: float) -> Float64[np.ndarray, "wander noise slopes shapes"]:
        """The share of curves with each combination at a level; they sum to 1."""
        of_level = self.patterns[np.searchsorted(self.levels, level, side="right")]
        return np.asarray(np.einsum("p,pw,pn,psh->wnsh", of_level, self.wander, self.noise, self.shapes, optimize=True))


@cache
def shape_prior(family: Family, kind: str = "any") -> ShapePrior:
    """The prior that comes with suffice.

    Args:
        family: which curves.
        kind: kind of learner.

    Raises:
        InputError: a kind that the family has not.

    Example:
        >>> prior = shape_prior("error")
        >>> round(float(prior.shares(0.2).sum()), 9)
        1.0
    """
    stored = json.loads(files("suffice.forecasting").joinpath(PRIORS).read_text())["families"][family]
    if kind not in stored["kinds"]:
        known = list(stored["kinds"])
        raise InputError(f'kind "{kind}": for this metric it must be one of {", ".join(known)}{nearest(kind, known)}')
    exponent = float(stored["grid"].pop("noise_exponent"))
    stored["grid"]["exponents"] = np.outer(stored["grid"]["exponents"], BETWEEN).ravel()
    stored["grid"]["delays"] = np.repeat(stored["grid"]["delays"], len(BETWEEN))
    grid = Grid(
        **{name: np.asarray(of, dtype=np.float64) for name, of in stored["grid"].items()}, noise_exponent=exponent
    )
    shares = {name: _normalised(stored[name]) for name in ("wander", "noise")}
    shapes = _normalised([np.repeat(of_pattern, len(BETWEEN)) for of_pattern in stored["shapes"]])
    return ShapePrior(
        grid,
        shapes=shapes.reshape(len(shapes), len(grid.slopes), len(grid.exponents)),
        **shares,
        levels=np.asarray(stored["levels"], dtype=np.float64),
        patterns=_normalised(stored["kinds"][kind]),
    )


def _normalised(rows: Any) -> Float64[np.ndarray, "rows shares"]:
    """Shares that sum to 1 in each row: in the file they are rounded."""
    shares = np.asarray(rows, dtype=np.float64)
    return np.asarray(shares / shares.sum(1, keepdims=True))
