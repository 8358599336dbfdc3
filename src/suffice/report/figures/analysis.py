"""Figures of ``suffice analyze``: what is left to unlimited data, how the surface settles, order, and geometry."""

from collections.abc import Sequence
from dataclasses import replace

from suffice.report.answers.words import rounded
from suffice.report.figures.curvature import bound_figure, hessian_gap_figure
from suffice.report.figures.figure import BLACK, BLUE, GREEN, GREY, ORANGE, Curve, Figure, Mark, Style
from suffice.results import AnalysisResult, Settling


def analysis_figures(result: AnalysisResult) -> list[Figure]:
    """How the surface settles, whether the order matters, what the geometry adds; the bound if it was measured."""
    figures, curvature = [_settling(result), _order(result), _geometry(result)], result.curvature
    if curvature is not None:
        radius = result.configuration["radius"]
        figures.append(bound_figure(curvature.gaps, radius, curvature.center_norm, curvature.measured))
        figures.append(hessian_gap_figure(curvature.gaps, curvature.spectrum))
    return figures


def remaining_figure(result: AnalysisResult) -> Figure:
    """How far the mean loss of k samples is from that of unlimited data, and the size that reaches the tolerance."""
    landscape, settling, answer = result.landscape, result.settling[0], result.sufficient_sizes[0]
    relative = settling.relative is not None
    spread, sizes = settling.relative or settling.absolute, landscape.sizes
    factor = 100 / settling.loss if relative else 1.0
    measured = _scaled(landscape.remaining_population, factor)
    low, high = None, None
    if spread is not None:
        ends = [(end / spread.value) ** 0.5 if spread.value > 0 else 1.0 for end in (spread.low, spread.high)]
        low, high = (_scaled(measured, end) for end in ends)
    end = FURTHER * max(result.problem.samples, answer.high or answer.size or 1)
    beyond = [sizes[-1] * (end / sizes[-1]) ** (step / 20) for step in range(21)]
    law = [measured[-1] * (sizes[-1] / k) ** 0.5 for k in beyond]
    unit = "% of the loss" if relative else "in units of the loss"
    marks = []
    if answer.size is not None:
        tolerance = (100 if relative else 1.0) * answer.tolerance
        marks = [
            Mark("x", answer.size, f"about {rounded(answer.size):,}", ORANGE),
            Mark("y", tolerance, f"tolerance {tolerance:.4g}{'%' if relative else ''}", ORANGE),
        ]
    return Figure(
        name="remaining",
        title="How far the measured loss still is from that of unlimited data",
        caption=(
            "Typical distance (root mean square over the orders of the samples and the points around the trained "
            "weights) between the mean loss of so many samples and that of unlimited data. Band: "
            f"{result.confidence:.0%} "
            "interval. Dotted: continued as 1/√k. Chance alone: what one more sample changes at the trained weights, "
            "which is arithmetic for any model."
        ),
        x_label="number of samples",
        y_label=f"distance of the mean loss, {unit}",
        curves=[
            Curve("distance from unlimited data", sizes, measured, BLUE, low=low, high=high),
            Curve("continued", beyond, law, BLUE, "dotted"),
            Curve("chance alone", sizes, _scaled(landscape.null, factor), GREY, "dashed"),
        ],
        marks=marks,
    )


FURTHER = 4
"""Times the largest size that matters, to which the figure is continued for smaller tolerances."""


def _settling(result: AnalysisResult) -> Figure:
    landscape, samples = result.landscape, result.problem.samples
    remaining, difference = result.settling
    relative = remaining.relative is not None and difference.relative is not None
    sizes = landscape.sizes

    def curve(name: str, values: Sequence[float], settling: Settling, color: str, style: Style = "solid") -> Curve:
        # relative to the mean loss of the samples that the curve is computed from
        return Curve(name, sizes, _scaled(values, 100 / settling.loss if relative else 1.0), color, style)

    def with_interval(line: Curve, settling: Settling) -> Curve:
        # curves go with the root of the spread, which has the interval
        spread = settling.relative if relative else settling.absolute
        if spread is None:
            return line
        low, high = ((end / spread.value) ** 0.5 if spread.value > 0 else 1.0 for end in (spread.low, spread.high))
        return replace(line, low=_scaled(line.y, low), high=_scaled(line.y, high))

    marks = []
    end = samples
    for answer, color in zip(result.sufficient_sizes, (BLUE, ORANGE), strict=True):
        if answer.size is not None:
            marks.append(Mark("x", answer.size, f"k* = {answer.size:,}", color))
            end = max(end, answer.size if answer.high is None else answer.high)
    if relative:
        tolerance = 100 * result.sufficient_sizes[0].tolerance
        marks.append(Mark("y", tolerance, f"tolerance {tolerance:.4g}%", BLACK))
    beyond = [sizes[-1] * (2 * end / sizes[-1]) ** (step / 20) for step in range(21)]
    headline = curve("remaining: until unlimited data", landscape.remaining_population, remaining, BLUE)
    law = [headline.y[-1] * (sizes[-1] / k) ** 0.5 for k in beyond]
    return Figure(
        name="settling",
        title="How far the loss surface still moves",
        caption=(
            "Typical (root mean square) changes of the mean loss over all orders of the samples and all probes. Bands: "
            f"{result.confidence:.0%} intervals for which samples were drawn. Slopes are arithmetic (1/√k and 1/k); "
            "what is measured is their height, the spread of the loss from sample to sample. The grey null is the "
            "difference at w* alone: what lies above it comes from the geometry around w*. Blue is measured "
            "on the samples set aside, if there are any, in % of their loss; all else on the others, in % of theirs."
        ),
        x_label="number of samples k",
        y_label="change of the mean loss, % of the loss at w*" if relative else "change of the mean loss",
        curves=[
            with_interval(headline, remaining),
            Curve("the same, extrapolated", beyond, law, BLUE, "dotted"),
            curve(f"remaining: until the {samples:,} at hand", landscape.remaining, difference, GREEN, "dashed"),
            with_interval(curve("difference: one more sample", landscape.difference, difference, ORANGE), difference),
            curve("1/k null: the difference at w* alone", landscape.null, difference, GREY, "dashed"),
        ],
        marks=marks,
    )


def _order(result: AnalysisResult) -> Figure:
    landscape = result.landscape
    return Figure(
        name="order",
        title="Does the order of the samples matter?",
        caption=(
            f"|L(k+1) − L(k)|, root mean square over probes. Band: where {result.confidence:.0%} of random orders lie. "
            "Line: the root mean square over all orders, which a few large losses lift above most orders. Points "
            "outside the band, many and far, mean that the samples are sorted or drift. A permutation test of the "
            f"data set's own order gives p = {landscape.exchangeability:.3g}."
        ),
        x_label="number of samples k",
        y_label="change of the mean loss, |L(k+1) − L(k)|",
        curves=[
            Curve(
                "expected, with random orders",
                landscape.sizes,
                landscape.difference,
                GREY,
                low=landscape.band[0],
                high=landscape.band[1],
            ),
            Curve("seeded shuffle", landscape.sizes, landscape.in_order, BLUE, "points"),
            Curve("the data set's own order", landscape.sizes, landscape.source_order, ORANGE, "points"),
        ],
    )


def _geometry(result: AnalysisResult) -> Figure:
    probes = result.landscape.probes
    numbers = list(range(len(probes)))
    return Figure(
        name="geometry",
        title="What the geometry around w* adds",
        caption=(
            f"The mean loss and its spread from sample to sample at w* (0) and at the probes, ||w − w*|| = "
            f"{probes[-1].distance:.3g} away. Only a spread that grows away from w* makes the surface settle more "
            "slowly than the null."
        ),
        x_label="number of the probe; 0 is w*",
        y_label="loss of a sample: mean, and spread",
        curves=[
            Curve("spread S(w)", numbers, [probe.spread for probe in probes], ORANGE, "points"),
            Curve("mean loss L(w)", numbers, [probe.loss for probe in probes], BLUE, "points"),
            Curve("S(w*)", numbers, [probes[0].spread] * len(probes), ORANGE, "dotted"),
            Curve("L(w*)", numbers, [probes[0].loss] * len(probes), BLUE, "dotted"),
        ],
        log="",
    )


def _scaled(values: Sequence[float], factor: float) -> list[float]:
    return [value * factor for value in values]
