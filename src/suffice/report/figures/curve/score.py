"""Scores that were given, and the curve through them."""

from suffice.report.answers.words import rounded, target_in_words
from suffice.report.figures.curve.axis import sizes_on_axis
from suffice.report.figures.figure import BLACK, BLUE, ORANGE, Curve, Figure, Mark, Style
from suffice.results import CurveResult


def score_figure(result: CurveResult) -> Figure:
    """The curve with its band, solid among the given scores and dashed beyond them, and the size that reaches it."""
    drawn, percent = result.drawn, result.metric in ("accuracy", "error")
    factor = 100 if percent else 1
    mean, low, high = ((factor * end).tolist() for end in (drawn.score.mean, drawn.score.low, drawn.score.high))
    given = [(training.size, factor * training.score) for training in result.trainings]
    largest = max((size for size, _ in given), default=drawn.sizes[-1])
    last = max(1, sum(size <= largest for size in drawn.sizes)) - 1
    styles: list[tuple[str, Style, slice]] = [
        (f"curve, {result.confidence:.0%} band", "solid", slice(last + 1)),
        ("forecast", "dashed", slice(last, None)),
    ]
    points, where = (
        ("given scores", "the given scores") if result.one_run is None else ("measured", "what the run measured")
    )
    marks = []
    if result.answer is not None:
        if result.answer.criterion != "cost_per_sample":
            target = result.answer.tolerance
            marks.append(Mark("y", factor * target, f"target {target_in_words(result.metric, target)}", ORANGE))
        if result.answer.size is not None and result.answer.size <= drawn.sizes[-1]:
            marks.append(Mark("x", result.answer.size, f"about {rounded(result.answer.size):,}", ORANGE))
    return Figure(
        name="score",
        title=f"{result.metric.capitalize()} with more samples",
        caption=(
            f"Points: {where}. The band is the {result.confidence:.0%} interval of the {result.metric} "
            "averaged over training sets and seeds; a single training may lie outside."
        ),
        x_label="training samples",
        y_label=f"{result.metric}, %" if percent else result.metric,
        curves=[
            *(
                Curve(name, drawn.sizes[part], mean[part], BLUE, style, low[part], high[part])
                for name, style, part in styles
                if len(drawn.sizes[part]) > 1
            ),
            Curve(points, [size for size, _ in given], [score for _, score in given], BLACK, "points"),
        ],
        log="x",
        marks=marks,
        from_zero=False,
        ticks=sizes_on_axis(drawn.sizes),
    )
