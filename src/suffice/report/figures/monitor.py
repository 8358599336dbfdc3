"""The figure of ``suffice monitor``: what was measured, and what is forecast from there on."""

from suffice.report.answers.words import target_in_words
from suffice.report.figures.curve.axis import sizes_on_axis
from suffice.report.figures.figure import BLACK, BLUE, GREY, ORANGE, Curve, Figure, Mark
from suffice.results import MonitorResult

CLOSE = 1.4
"""Sizes within this factor are drawn close to each other."""


def monitor_figure(result: MonitorResult) -> Figure:
    """The score against the labels: looks with their intervals, and the curve from the last one on."""
    percent = result.metric in ("accuracy", "error")
    factor = 100 if percent else 1
    looks, now = result.looks, result.looks[-1].size
    known = [look for look in looks if look.low is not None and look.high is not None]
    with_ends = len(known) == len(looks)
    sizes, scores = [look.size for look in looks], [factor * look.score for look in looks]
    curves = [
        Curve(
            f"measured, {result.measured_confidence:.0%} at all looks" if with_ends else "measured",
            sizes,
            scores,
            BLACK,
            "joined",
            [factor * (look.low or 0.0) for look in looks] if with_ends else None,
            [factor * (look.high or 0.0) for look in looks] if with_ends else None,
        )
    ]
    end = now
    if result.drawn is not None:
        ahead = [index for index, size in enumerate(result.drawn.sizes) if size >= now]
        band = result.drawn.score
        mean, low, high = ([factor * float(of[index]) for index in ahead] for of in (band.mean, band.low, band.high))
        after = [result.drawn.sizes[index] for index in ahead]
        curves.append(Curve(f"forecast, {result.confidence:.0%} band", after, mean, BLUE, "solid", low, high))
        end = after[-1]
    total = now + result.decision.labels
    is_next = result.decision.action == "label" and total <= end
    # marks that are close to each other have one label, which says both
    is_close = is_next and total < CLOSE * now
    marks = [Mark("x", now, f"{now:,} now, next {total:,}" if is_close else f"{now:,} now", GREY)]
    if is_next and not is_close:
        marks.append(Mark("x", total, f"next: {total:,}", ORANGE))
    if result.target is not None:
        target = target_in_words(result.metric, result.target)
        marks.append(Mark("y", factor * result.target, f"target {target}", ORANGE))
    first = sizes[0]
    return Figure(
        name="score",
        title=f"{result.metric.capitalize()} with more labels",
        caption=(
            "Measured: the scores of the looks on the hold-out. Forecast: the score averaged over training sets; a "
            "single training may lie outside, and the error of the hold-out is in the band."
        ),
        x_label="labels",
        y_label=f"{result.metric}, %" if percent else result.metric,
        curves=curves,
        log="x",
        marks=marks,
        from_zero=False,
        ticks=sizes_on_axis([first, end]),
    )
