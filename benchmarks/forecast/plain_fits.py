"""Least-squares fits to a few errors, as learning curves are usually extended: what a posterior has to beat.

Each family is c + a f(x), with c and a at least 0, f falling, and its own parameters on a grid; for four parameters and
four points nothing finer is told apart. Forecasts stay within 0 and 1. Families as in Viering and Loog, "The Shape of
Learning Curves: A Review" (2023).
"""

import itertools

import numpy as np
from jaxtyping import Float64

_EXPONENTS = np.geomspace(0.01, 5, 60)
_FEWER = np.geomspace(0.05, 5, 40)
_SCALES = np.geomspace(0.01, 100, 30)
_SHIFTS = [0.0, *np.geomspace(0.01, 30, 20)]

TINY = 1e-18


def shapes(ratios: Float64[np.ndarray, " sizes"]) -> dict[str, list[Float64[np.ndarray, " sizes"]]]:
    """f of each family at sizes over the largest, for all its parameters."""
    return {
        "no improvement": [np.zeros(len(ratios))],
        "1/k": [1 / ratios],
        "1/sqrt(k)": [ratios**-0.5],
        "pow3": [ratios**-c for c in _EXPONENTS],
        "pow4": [(ratios + s) ** -c for c, s in itertools.product(_FEWER, _SHIFTS)],
        "mmf4": [1 / (1 + s * ratios**c) for c, s in itertools.product(_FEWER, _SCALES)],
        "wbl4": [np.exp(-s * ratios**c) for c, s in itertools.product(_FEWER, _SCALES)],
    }


def plain_fits(
    ratios: Float64[np.ndarray, " sizes"],
    scores: Float64[np.ndarray, "pilots sizes"],
    ahead: Float64[np.ndarray, " ahead"],
) -> dict[str, Float64[np.ndarray, "pilots ahead"]]:
    """Forecasts by family.

    Args:
        ratios: measured sizes over the largest.
        scores: errors at them.
        ahead: forecast sizes over the largest.
    """
    found = {}
    for name, candidates in shapes(np.concatenate([ratios, ahead])).items():
        best, told = np.full(len(scores), np.inf), np.empty((len(scores), len(ahead)))
        for shape in candidates:
            f, later = shape[: len(ratios)], shape[len(ratios) :]
            centred = f - f.mean()
            a = np.maximum(scores @ centred / max(centred @ centred, TINY), 0)
            c = scores.mean(1) - a * f.mean()
            a = np.where(c < 0, scores @ f / max(f @ f, TINY), a)
            c = np.maximum(c, 0)
            squares = np.square(scores - c[:, None] - a[:, None] * f).sum(1)
            better = squares < best
            best[better], told[better] = squares[better], (c[:, None] + a[:, None] * later)[better]
        found[name] = np.clip(told, 0, 1)
    found["no improvement"] = np.repeat(scores[:, -1:], len(ahead), axis=1)
    return found
