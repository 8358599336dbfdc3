"""What the learning curves, accuracy and loss, have in common: bands, and marks of k*."""

from collections.abc import Sequence

import numpy as np

from suffice import results
from suffice.report.answers.study import k_stars, largest_size, share_of_loss
from suffice.report.figures.figure import Curve, Mark
from suffice.report.figures.study.methods import colors_of_methods
from suffice.results import Band, StudyResult


def with_band(
    name: str, sizes: Sequence[int], band: results.Curve | Band, color: str, factor: float, most: float
) -> Curve:
    """A quantity times a factor against size; its band is cut off at 0 and at what it can be at most."""
    low, high = (np.clip(factor * end, 0, most).tolist() for end in (band.low, band.high))
    return Curve(name, sizes, (factor * band.mean).tolist(), color, "joined", low, high)


def bands_caption(result: StudyResult) -> str:
    """What the caption says of the bands."""
    return f"Bands: {result.confidence:.0%} intervals over seeds and test samples; with one seed over the latter."


def k_star_marks(result: StudyResult) -> tuple[list[Mark], dict[str, str], str]:
    """Marks of k* that lie within the axes, names of the methods with it, and what the caption says of it."""
    found, largest = k_stars(result), largest_size(result)
    colors = dict(colors_of_methods(result))
    names = {method: method for method in result.study.curves}
    marks = []
    beyond = []
    for method, size in found.items():
        if size <= 2 * largest:
            marks.append(Mark("x", size, "", colors[method]))
            names[method] = f"{method}, k* = {size:,.0f}"
        else:
            beyond.append(f"{size:,.0f} for {method}")
    told = ""
    if marks:
        told = (
            f" Dash-dotted: k* by “remaining”, {share_of_loss(result)}, from the loss surface of the largest "
            "training; the median over seeds."
        )
    if beyond:
        told += f" Beyond these axes is k* = {', '.join(beyond)}."
    return marks, names, told
