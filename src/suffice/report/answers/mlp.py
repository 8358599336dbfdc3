"""What the MLP experiment found, in plain sentences."""

import math
from collections.abc import Sequence
from statistics import fmean, median, stdev

import numpy as np

from suffice.report.answers.answer import Answer
from suffice.results import MLPResult, Network, Surrounding

COMPARED = (100, 500)
"""Sizes at which moving averages are compared with what they were made of, where there are so many samples."""


def mlp_answer(result: MLPResult) -> Answer:
    """That the slope is arithmetic, and that only the height is measured."""
    centers = centers_of(result)
    slopes = [center.slope for center in centers]
    of_orders = fmean(center.slope_of_orders for center in centers)
    error = f" ± {stdev(slopes) / math.sqrt(len(slopes)):.3f}" if len(slopes) > 1 else ""
    spreads = [center.spread for center in centers]
    more = [
        f"In order, |L(k+1) − L(k)| at w* falls with slope {fmean(slopes):.3f}{error} (mean over networks: "
        f"{len(slopes)}); in random orders of the same losses with {of_orders:.3f}, in expectation with "
        f"{result.law_slope:.3f}.",
        f"Only the height is measured: S(w*), the spread of the loss from sample to sample, runs from "
        f"{min(spreads):.3g} to {max(spreads):.3g}, and S(w)/S(w*) is {_growth(result)}.",
    ]
    for size, exact, _, middle, _ in comparison(result):
        more.append(
            f"At k = {size:,} a moving average of factor {result.configuration['smoothing']:g} draws an exact 1/k "
            f"{exact:.2g} times too high, and these curves {middle:.2g} times (median)."
        )
    counted = "one network" if len(slopes) == 1 else f"all {len(slopes)} networks"
    return Answer(
        f"How fast the loss settles is arithmetic, the same for any network: the slope in {counted} is "
        f"{fmean(slopes):.2f}, and {result.law_slope:.2f} follows without a network.".replace("-", "−"),
        "high" if len(slopes) > 2 else "medium",
        f"the law is exact, and the mean slope is measured{error and f' to {error[3:]}'} on {counted}",
        more,
        [
            "Do not read a number of samples from such a slope: compare heights, the spread of the loss.",
            "To learn whether more data would make a better model, run `suffice forecast MODEL DATA`.",
        ],
    )


def _growth(result: MLPResult) -> str:
    growths = zip(*(growths_of(network) for network in result.networks), strict=True)
    radii = [surrounding.radius for surrounding in result.networks[0].surroundings[1:]]
    grown = [f"{median(column):.3g} at {radius:g}" for column, radius in zip(growths, radii, strict=True)]
    return f"{', '.join(grown)} ||w*|| from w* (medians)"


def comparison(result: MLPResult) -> list[tuple[int, float, float, float, float]]:
    """k; how many times too high the moving average of 1/k is; that of the networks at w*: 10%, median, 90%."""
    indices = [result.sizes.index(size) for size in COMPARED if size in result.sizes]
    return [
        (result.sizes[index], result.smoothed_exact[index] * result.sizes[index], *middle_of(ratios_of(result, index)))
        for index in indices
    ]


def middle_of(values: Sequence[float]) -> tuple[float, float, float]:
    """The 10% quantile, the median and the 90% quantile."""
    low, middle, high = np.quantile(values, [0.1, 0.5, 0.9]).tolist()
    return low, middle, high


def ratios_of(result: MLPResult, index: int) -> list[float]:
    """The moving average of the curve in order over the expected curve, at w*, one a network."""
    return [center.smoothed[index] / center.expected[index] for center in centers_of(result)]


def centers_of(result: MLPResult) -> list[Surrounding]:
    """The curves of each network at w*."""
    return [network.surroundings[0] for network in result.networks]


def growths_of(network: Network) -> list[float]:
    """S(w) over S(w*) at each radius."""
    center, *around = network.surroundings
    return [surrounding.spread / center.spread for surrounding in around]
