"""Figures of a loss surface along k: the range of its axis, and the distance to the last surface."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

from suffice.report.figures.figure import BLUE, GREEN, GREY, Curve, Figure, Surfaces
from suffice.results import SurfaceAlongK

DRAWN = 0.9
"""Share of the points of all surfaces that the loss axis reaches to at least, if the highest are much higher."""

MUCH = 1.5
"""Nothing is cut where the axis would be at most so many times longer for it."""

UNIT = "‖w − w*‖ / ‖w*‖"

MADE_OF = {
    "random": "two random directions, of which every filter is as long as that filter of w* (H. Li et al., 2018)",
    "eigenvectors": "the eigenvectors of the two eigenvalues of the Hessian that are largest by magnitude",
    "given": "two directions that were given",
    "minima": "the directions towards the weights that were trained on fewer samples",
}


class LossAxis(NamedTuple):
    """The loss axis that all surfaces share, and the share of their points that lie above it."""

    low: float
    high: float
    cut: float


def loss_axis(losses: Float64[np.ndarray, "sizes rows columns"]) -> LossAxis:
    """From the lowest loss to the highest, or to the 90th percentile where few points are far above that.

    Example:
        >>> loss_axis(np.arange(101.0).reshape(1, 1, 101))
        LossAxis(low=0.0, high=100.0, cut=0.0)
        >>> loss_axis(np.append(np.arange(100.0), 1e6).reshape(1, 1, 101))
        LossAxis(low=0.0, high=90.0, cut=0.09900990099009901)
    """
    low, high = float(losses.min()), float(losses.max())
    if high == low:  # a flat surface still needs an axis
        return LossAxis(low, low + (abs(low) or 1.0), 0.0)
    most = float(np.quantile(losses, DRAWN))
    if high - low > MUCH * (most - low) > 0:
        return LossAxis(low, most, float((losses > most).mean()))
    return LossAxis(low, high, 0.0)


def surface_caption(surface: SurfaceAlongK) -> str:
    """What is drawn, in which units, and what is cut."""
    axis = loss_axis(surface.losses())
    cut = ""
    if axis.cut > 0:
        cut = f" Losses above {axis.high:.3g} are drawn at {axis.high:.3g}: {axis.cut:.0%} of the points of all sizes."
    points = f"{len(surface.x)} × {len(surface.y)} points"
    return (
        "L_k, the mean loss of the first k samples, on a plane through w* that is spanned by "
        f"{MADE_OF[surface.directions]}. It was measured at {points} for all k in one pass; {len(surface.sizes)} sizes "
        f"are drawn. Coordinates are {UNIT}: how far the weights are moved, over how large they are. The loss axis is "
        f"the same for all k.{cut}"
    )


def surfaces(surface: SurfaceAlongK) -> Surfaces:
    """All surfaces, to be drawn as a film."""
    losses = surface.losses()
    axis = loss_axis(losses)
    return Surfaces(
        name="surface",
        x=surface.x,
        y=surface.y,
        sizes=surface.sizes,
        losses=losses,
        low=axis.low,
        high=axis.high,
        x_label=f"{surface.labels[0]}, {UNIT}",
        y_label=f"{surface.labels[1]}, {UNIT}",
        minima=surface.minima,
    )


def surface_data(surface: SurfaceAlongK) -> dict[str, object]:
    """What the script of a page draws the surface from."""
    axis = loss_axis(surface.losses())
    fields = {"x", "y", "sizes", "last", "deltas", "scale", "labels", "minima"}
    return surface.model_dump(include=fields) | {"low": axis.low, "high": axis.high}


def distance_figure(surface: SurfaceAlongK) -> Figure:
    """How far each surface is from the last one, and what chance alone gives."""
    curves = [
        Curve("on the plane (RMS)", *_positive(surface.sizes, surface.distance), BLUE, "joined"),
        Curve("at w*", *_positive(surface.sizes, surface.at_center), GREEN, "points"),
        Curve("chance alone, on the plane", *_positive(surface.sizes, surface.chance), GREY, "dotted"),
    ]
    return Figure(
        name="surface_distance",
        title="How far the surface is from that of all samples",
        caption=f"|L_k - L_m| with m = {surface.sizes[-1]:,}: root mean square over the plane, and at w*. Dotted: what "
        "that of the plane is in expectation if the samples come in random order, S √(1/k - 1/m), with S the spread of "
        "the losses on the plane.",
        x_label="number of samples k",
        y_label="change of the mean loss, |L(k) − L(m)|",
        curves=curves,
        log="xy" if any(curve.y for curve in curves) else "",  # there is nothing to draw where all surfaces are one
    )


def _positive(sizes: list[int], values: list[float]) -> tuple[list[float], list[float]]:
    """Points that a logarithmic axis can show: not the last, which is zero."""
    points = [(float(size), value) for size, value in zip(sizes, values, strict=True) if value > 0]
    return [size for size, _ in points], [value for _, value in points]
