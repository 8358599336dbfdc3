"""Figures of ``suffice study``: learning curves, k* beside where test loss settles, the retrained surfaces."""

import itertools
import math
from collections.abc import Iterator, Sequence
from statistics import fmean

import numpy as np

from suffice.report.answers.study import ALL, checks_of, k_stars, largest_size, share_of_loss
from suffice.report.figures.figure import (
    AMBER,
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SKY,
    Curve,
    Figure,
    Mark,
    Style,
)
from suffice.results import Band, Retrained, StudyResult

COLORS = (BLUE, ORANGE, GREEN, PURPLE, SKY, AMBER)


def study_figures(result: StudyResult) -> list[Figure]:
    """Those for which something was measured."""
    figures = [
        _accuracy(result),
        _loss(result),
        _check(result),
        _difference(result),
        _minima(result),
        _moved(result),
        _gradients(result),
    ]
    return [figure for figure in figures if figure.curves]


def _accuracy(result: StudyResult) -> Figure:
    marks, names, told = _k_star_marks(result)
    curves = [
        _with_band(names[method], curve.sizes, curve.accuracy, color, 100, 100)
        for method, color in _colors(result)
        if (curve := result.study.curves[method]).sizes
    ]
    return Figure(
        name="accuracy",
        title="Test accuracy against the number of training samples",
        caption=f"The mean over seeds. {_bands(result)}{told}",
        x_label="training samples",
        y_label="test accuracy, %",
        curves=curves,
        log="x",
        marks=marks if curves else (),
        from_zero=False,
        ticks=_ticks(curves),
    )


def _loss(result: StudyResult) -> Figure:
    marks, names, told = _k_star_marks(result)
    curves = []
    for method, color in _colors(result):
        curve = result.study.curves[method]
        if curve.sizes:
            train = [_train_loss(result, method, size) for size in curve.sizes]
            curves += [
                _with_band(names[method], curve.sizes, curve.loss, color, 1, math.inf),
                Curve("", curve.sizes, train, color, "dashed"),
            ]
    if curves:
        curves += [_key("on test samples", "joined"), _key("on its training samples", "dashed")]
    return Figure(
        name="loss",
        title="Test and training loss against the number of training samples",
        caption=f"Mean losses after training, the mean over seeds. {_bands(result)}{told}",
        x_label="training samples",
        y_label="mean loss",
        curves=curves,
        log="x",
        marks=marks if curves else (),
        ticks=_ticks(curves),
    )


def _train_loss(result: StudyResult, method: str, size: int) -> float:
    """The mean over seeds."""
    return fmean(
        cell.train_loss
        for cell in result.study.cells
        if (cell.task, cell.method, cell.size) == (ALL, method, size) and cell.train_loss is not None
    )


def _check(result: StudyResult) -> Figure:
    checks = [check for check in checks_of(result) if check.k_star is not None]
    curves = []
    for method, color in _colors(result):
        of_method = [check for check in checks if check.method == method]
        kinds: tuple[tuple[bool, Style], ...] = ((False, "points"), (True, "circles"))
        for censored, style in kinds:
            points = [(check.held_out_size, check.k_star) for check in of_method if check.censored == censored]
            if points:
                x, y = zip(*points, strict=True)
                curves.append(Curve("", x, y, color, style))
        if of_method:
            curves.append(_key(method, "points", color))
    if curves:
        values = [value for curve in curves for value in (*curve.x, *curve.y) if not math.isnan(value)]
        ends = [0.8 * min(values), 1.25 * max(values)]
        curves += [Curve("k* as large as that size", ends, ends, GREY, "dotted"), _key("no plateau", "circles")]
    return Figure(
        name="check",
        title="Does k* tell where test loss settles?",
        caption=(
            "Each point is one combination of classes, method and seed. k* is by “remaining”, "
            f"{share_of_loss(result)}, from the loss surface of the largest training alone; the other size is that "
            "from which on test loss stays near its last value, from all trainings. Empty circles have no plateau: "
            "their test loss still gains more at the largest size, so that they belong further to the right."
        ),
        x_label="size at which test loss settles",
        y_label="k*",
        curves=curves,
    )


def _difference(result: StudyResult) -> Figure:
    curves = []
    ratios = []
    for surface, color in _first_surfaces(result):
        k = surface.curve_sizes
        curves += [
            Curve(surface.method, k, surface.difference, color),
            Curve("", k, surface.in_order, color, "points"),
        ]
        ratios.append(f"{surface.difference[0] / surface.null[0]:.2f} for {surface.method}")
    if curves:
        curves += [
            *(Curve("", surface.curve_sizes, surface.null, BLACK, "dotted") for surface, _ in _first_surfaces(result)),
            _key("typical, over all orders of the samples", "solid"),
            _key("as the samples came", "points"),
            _key("1/k null: at w*_m alone", "dotted"),
        ]
    return Figure(
        name="difference",
        title="What one more sample changes, at the minimum of all samples",
        caption=(
            "|L(k+1) − L(k)| at w*_m, the end of the largest training, and at probes around it, root mean square over "
            "these points; first seed. The slope 1/k is arithmetic: it holds at any weights. What is measured is the "
            f"height, and over the null it is what the geometry around w*_m adds: {', '.join(ratios)} times the null."
        ),
        x_label="number of samples k",
        y_label="|L(k+1) − L(k)|",
        curves=curves,
    )


def _minima(result: StudyResult) -> Figure:
    curves = []
    nulls = []
    for method, color in _colors(result):
        surfaces = [surface for surface in _surfaces(result) if surface.method == method]
        if not surfaces:
            continue
        first = surfaces[0]
        k = np.array(first.curve_sizes)
        spread = first.null[0] * math.sqrt(k[0] * (k[0] + 1))
        null = spread * np.sqrt(1 / k - 1 / first.samples)
        curves.append(Curve(method, first.curve_sizes, first.remaining, color))
        nulls.append(Curve("", first.curve_sizes, null.tolist(), BLACK, "dotted"))
        # at m both are the same
        sizes = [size for surface in surfaces for size in surface.sizes[:-1]]
        own = [
            abs(own - full)
            for surface in surfaces
            for own, full in zip(surface.own[:-1], surface.full[:-1], strict=True)
        ]
        at_full = [abs(own - surface.full[-1]) for surface in surfaces for own in surface.own_at_full[:-1]]
        if sizes:
            curves += [Curve("", sizes, own, color, "points"), Curve("", sizes, at_full, color, "circles")]
    if curves:
        curves += [
            *nulls,
            _key("at the minimum of the k samples, w*_k", "points"),
            _key("at the minimum of all, w*_m", "circles"),
            _key("typical at and around w*_m", "solid"),
            _key("null: at w*_m alone, any samples", "dotted"),
        ]
    return Figure(
        name="minima",
        title="How far the loss on k samples is from that on all",
        caption=(
            "|L(k) − L(m)|. Training fits the samples that it sees: at w*_k, which was trained on just these k, their "
            "loss is far lower than that of all. Lines hold the weights fixed at and around w*_m, for samples "
            "in any order; the null √(S²(1/k − 1/m)) is pure arithmetic. Points: all seeds; lines: the first."
        ),
        x_label="number of samples k",
        y_label="|L(k) − L(m)|",
        curves=curves,
    )


def _moved(result: StudyResult) -> Figure:
    curves = []
    named: set[str] = set()
    colors = dict(_colors(result))
    for surface in _surfaces(result):
        if len(surface.sizes) > 1:
            name = "" if surface.method in named else surface.method
            curves.append(Curve(name, surface.sizes, surface.distance, colors[surface.method], "joined"))
            named.add(surface.method)
    return Figure(
        name="moved",
        title="How far the minimum moves when samples are added",
        caption=(
            "||w*_k − w*_m||, from the end of the training on the first k samples to that on all of them; one line a "
            "seed. The paper holds the weights fixed while samples are added; here one sees how far they go."
        ),
        x_label="number of samples k",
        y_label="||w*_k − w*_m||",
        curves=curves,
        log="x",
        ticks=_ticks(curves),
    )


def _gradients(result: StudyResult) -> Figure:
    curves = []
    for surface, color in _first_surfaces(result):
        curves += [
            Curve(surface.method, surface.sizes, surface.gradient_at_full, color, "joined"),
            Curve("", surface.sizes, surface.gradient, color, "circles"),
        ]
    if curves:
        curves += [_key("at the minimum of all, w*_m", "joined"), _key("at the minimum of the k, w*_k", "circles")]
    return Figure(
        name="gradients",
        title="Gradients at the minima",
        caption=(
            "||G_k||, the norm of the mean gradient of the first k samples; first seed. Assumption 1 of the paper "
            "takes it as 0 at w*_m for every k. At w*_k it is 0 where the training has ended at a stationary point."
        ),
        x_label="number of samples k",
        y_label="||G_k||",
        curves=curves,
        ticks=_ticks(curves),
    )


def _k_star_marks(result: StudyResult) -> tuple[list[Mark], dict[str, str], str]:
    """Marks of k* that lie within the axes, names of the methods with it, and what the caption says of it."""
    found, largest = k_stars(result), largest_size(result)
    colors = dict(_colors(result))
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


def _with_band(name: str, sizes: Sequence[int], band: Band, color: str, factor: float, most: float) -> Curve:
    low, high = (np.clip(factor * end, 0, most).tolist() for end in (band.low, band.high))
    return Curve(name, sizes, (factor * band.mean).tolist(), color, "joined", low, high)


def _bands(result: StudyResult) -> str:
    return f"Bands: {result.confidence:.0%} intervals over seeds, or over test samples where there is one seed."


def _colors(result: StudyResult) -> Iterator[tuple[str, str]]:
    """Methods and their colours."""
    return zip(result.study.curves, itertools.cycle(COLORS), strict=False)


def _surfaces(result: StudyResult) -> list[Retrained]:
    return [surface for surface in result.study.retrained if surface.task == ALL]


def _first_surfaces(result: StudyResult) -> Iterator[tuple[Retrained, str]]:
    """That of the first seed of each method, with its colour."""
    for method, color in _colors(result):
        for surface in _surfaces(result):
            if surface.method == method:
                yield surface, color
                break


def _key(name: str, style: Style, color: str = BLACK) -> Curve:
    """An entry of the legend alone."""
    return Curve(name, [math.nan], [math.nan], color, style)


def _ticks(curves: Sequence[Curve]) -> list[float]:
    """The sizes of the curves, the largest first, without those whose numbers would lie upon each other."""
    sizes = sorted({value for curve in curves for value in curve.x if not math.isnan(value)}, reverse=True)
    if len(sizes) < 2:
        return sizes
    room = 0.06 * math.log(sizes[0] / sizes[-1])
    ticks = sizes[:1]
    for size in sizes[1:]:
        if math.log(ticks[-1] / size) >= room:
            ticks.append(size)
    return ticks[::-1]
