"""The page of ``suffice curve``."""

from suffice.report.answers.curve import curve_answer, given_scores, next_in_words
from suffice.report.answers.words import in_words, share_in_words, target_in_words
from suffice.report.figures.curve import curve_figures
from suffice.report.pages.page import Page, render
from suffice.results import CurveResult


def curve_page(result: CurveResult) -> Page:
    """The answer, the curve, how likely the target is, what to train next, and the numbers."""
    figures = curve_figures(result)
    html = render(
        "curve.html.j2",
        result,
        figures,
        answer=curve_answer(result),
        color=_color(result),
        target=None if result.answer is None else target_in_words(result.metric, result.answer.tolerance),
        rows=_rows(result),
        given=[
            (size, count, *(in_words(result.metric, score) for score in scores))
            for size, count, *scores in given_scores(result)
        ],
        next_trainings=next_in_words(result),
    )
    return Page(html, figures)


def _color(result: CurveResult) -> str:
    """The class of the headline, which decides its colour."""
    if result.answer is None:
        return "extrapolated"
    return "cannot_tell" if result.answer.status == "unreachable" else result.answer.status


def _rows(result: CurveResult) -> list[tuple[str, ...]]:
    """Of the table of predictions: size, score, interval, and the two probabilities where there is a target."""
    predicted = result.predicted
    rows: list[tuple[str, ...]] = []
    for index, size in enumerate(predicted.sizes):
        band = predicted.score
        mean, low, high = (in_words(result.metric, end[index]) for end in (band.mean, band.low, band.high))
        shares = [] if predicted.reached is None else [predicted.reached.mean[index], predicted.reached.next[index]]
        rows.append((f"{size:,}", mean, f"{low} to {high}", *map(share_in_words, shares)))
    return rows
