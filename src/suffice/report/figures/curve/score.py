"""Scores that were given, and the curve through them."""

from suffice.report.answers.words import rounded, target_in_words
from suffice.report.figures.curve.axis import sizes_on_axis
from suffice.report.figures.figure import BLACK, BLUE, ORANGE, Curve, Figure, Mark
from suffice.results import CurveResult


def score_figure(result: CurveResult) -> Figure:
    """The curve with its band, the given scores, the target and the size that reaches it."""
    drawn, percent = result.drawn, result.metric in ("accuracy", "error")
    factor = 100 if percent else 1
    mean, low, high = ((factor * end).tolist() for end in (drawn.score.mean, drawn.score.low, drawn.score.high))
    given = [(training.size, factor * training.score) for training in result.trainings]
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
            f"Points: the given scores. The band is the {result.confidence:.0%} interval of the {result.metric} "
            "averaged over training sets and seeds; a single training may lie outside."
        ),
        x_label="training samples",
        y_label=f"{result.metric}, %" if percent else result.metric,
        curves=[
            Curve(f"curve, {result.confidence:.0%} band", drawn.sizes, mean, BLUE, "solid", low, high),
            Curve("given scores", [size for size, _ in given], [score for _, score in given], BLACK, "points"),
        ],
        log="x",
        marks=marks,
        from_zero=False,
        ticks=sizes_on_axis(drawn.sizes),
    )
