"""Figures of ``suffice curvature``: where the eigenvalues lie, what one more sample changes, and the bound on it."""

import itertools
import math
from collections.abc import Sequence

from suffice.report.figures.figure import BLACK, BLUE, GREEN, GREY, ORANGE, Curve, Figure
from suffice.results import CurvatureResult, Density, GapsAlongK, Spectrum


def curvature_figures(result: CurvatureResult) -> list[Figure]:
    """The spectral density, the gap of Hessians along k, and the bound term by term."""
    return [
        _spectrum(result),
        hessian_gap_figure(result.gaps, result.spectrum),
        bound_figure(result.gaps, result.radius, result.center_norm),
    ]


def bound_terms(gaps: GapsAlongK, distance: float) -> dict[str, list[float]]:
    """The terms of the bound on |L_{k+1} - L_k| at a distance from w*: of losses, gradients and Hessians."""
    after = [k + 1 for k in gaps.sizes] if gaps.ratio is None else gaps.ratio
    rows = zip(after, gaps.loss, gaps.gradient, gaps.hessian, gaps.residual, strict=True)
    terms = [
        (loss / ratio, distance * gradient / ratio, distance**2 * (hessian + residual) / (2 * ratio))
        for ratio, loss, gradient, hessian, residual in rows
    ]
    return dict(zip(("loss", "gradient", "hessian"), map(list, zip(*terms, strict=True)), strict=True))


def _spectrum(result: CurvatureResult) -> Figure:
    density, count = result.density, result.moving_parameters
    one = 1 / (density.width * math.sqrt(2 * math.pi))  # the height of one eigenvalue alone
    largest = [eigenvalue.value for eigenvalue in result.spectrum.eigenvalues]
    return Figure(
        name="spectrum",
        title="Where the eigenvalues of the Hessian lie",
        caption="Number of eigenvalues per unit of the axis, each smoothed to a Gaussian of standard deviation "
        f"{density.width:.2g}; the band is one standard error. Circles: the {len(largest)} largest eigenvalues by "
        "magnitude, at the height that one eigenvalue alone has. Most of the eigenvalues lie at zero.",
        x_label="eigenvalue",
        y_label="number of eigenvalues per unit",
        curves=[
            *_parts_above(density, count, one / 1000),
            Curve("largest eigenvalues", largest, [one] * len(largest), ORANGE, "circles"),
        ],
        log="y",
    )


def _parts_above(density: Density, count: int, least: float) -> list[Curve]:
    """The density of the number of eigenvalues where it is above a height; gaps stay empty."""
    numbers = [count * value for value in density.density]
    ends = [0, *(at for at in range(1, len(numbers)) if (numbers[at] > least) != (numbers[at - 1] > least))]
    curves: list[Curve] = []
    for start, end in itertools.pairwise([*ends, len(numbers)]):
        if numbers[start] > least:
            part = slice(start, end)
            pairs = list(zip(numbers[part], density.error[part], strict=True))
            low = [max(least, number - count * error) for number, error in pairs]
            high = [number + count * error for number, error in pairs]
            name = "" if curves else "density"
            curves.append(Curve(name, density.grid[part], numbers[part], BLUE, low=low, high=high))
    return curves


def density_figure(density: Density) -> Figure:
    """The density as the share of the eigenvalues."""
    pairs = list(zip(density.density, density.error, strict=True))
    return Figure(
        name="density",
        title="Where the eigenvalues lie",
        caption=f"Each eigenvalue is a Gaussian of standard deviation {density.width:.2g}; the band is one standard "
        "error.",
        x_label="eigenvalue",
        y_label="share of the eigenvalues per unit",
        curves=[
            Curve(
                "", density.grid, density.density, BLUE, "solid",
                [max(0.0, value - error) for value, error in pairs], [value + error for value, error in pairs],
            ),
        ],
        log="",
    )  # fmt: skip


def hessian_gap_figure(gaps: GapsAlongK, spectrum: Spectrum | None = None) -> Figure:
    """The gap of Hessians along k, beside the norm of the Hessian of all samples where that is known."""
    above = [value + residual for value, residual in zip(gaps.hessian, gaps.residual, strict=True)]
    checked = [(size, value) for size, value in zip(gaps.sizes, gaps.independent, strict=True) if value is not None]
    whole, said = [], ""
    if spectrum is not None:
        norm = max(abs(eigenvalue.value) for eigenvalue in spectrum.eigenvalues)
        whole = [Curve("||H||, all samples", gaps.sizes, [norm] * len(gaps.sizes), GREY, "dotted")]
        said = f" Dotted: the norm of the mean over all samples, {norm:.3g}."
    return Figure(
        name="hessian_gap",
        title="How far the next sample's Hessian is from the mean of those before it",
        caption="Spectral norm of h_{k+1} - H_k at w*, from both ends of its spectrum; the band reaches to norm plus "
        "residual. Circles: the same from an independent random start. Each k shows one sample's Hessian, so the curve "
        f"does not fall; what falls is its share in the mean, 1/(k + 1).{said}",
        x_label="number of samples k",
        y_label="spectral norm, ‖h_{k+1} − H_k‖",
        curves=[
            Curve("||h_{k+1} - H_k||", gaps.sizes, gaps.hessian, BLUE, "joined", low=gaps.hessian, high=above),
            Curve(
                "independent start", [size for size, _ in checked], [value for _, value in checked], BLACK, "circles"
            ),
            *whole,
        ],
    )


def bound_figure(
    gaps: GapsAlongK, radius: float, center_norm: float, measured: Sequence[float] | None = None
) -> Figure:
    """The bound on what one more sample changes, term by term, and what was measured, if it was."""
    terms, sizes = bound_terms(gaps, radius * center_norm), gaps.sizes
    total = [sum(parts) for parts in zip(*terms.values(), strict=True)]
    largest = "" if measured is None else " Points: the largest change over the probes, as measured."
    return Figure(
        name="bound",
        title="The bound on what one more sample changes, term by term",
        caption=f"Bound on |L_(k+1) - L_k| at distance {radius:g} ||w*|| from w*, to second order: gaps of "
        "losses, of gradients times the distance, and of Hessians times half its square, each over "
        f"{'k + 1' if gaps.ratio is None else 'the tokens of the first k + 1 samples per token of sample k + 1'}. All "
        f"three are worst cases over directions.{largest}",
        x_label="number of samples k",
        y_label="change of the mean loss",
        curves=[
            Curve("bound", sizes, total, BLACK, "joined"),
            Curve("losses at w*", sizes, terms["loss"], GREEN, "joined"),
            Curve("gradients", sizes, terms["gradient"], BLUE, "joined"),
            Curve("Hessians", sizes, terms["hessian"], ORANGE, "joined"),
            *([] if measured is None else [Curve("measured", sizes, measured, BLACK, "circles")]),
        ],
    )
