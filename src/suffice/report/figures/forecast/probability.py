"""How likely a target is, against the number of samples."""

import numpy as np

from suffice.report.answers.forecast import curve_of_answer
from suffice.report.answers.words import rounded, target_in_words
from suffice.report.figures.curve.axis import sizes_on_axis
from suffice.report.figures.figure import BLUE, ORANGE, PURPLE, Curve, Figure, Mark
from suffice.results import ForecastResult, SufficientSize

POINTS = 60
"""At which the probability is drawn."""

FURTHEST = 64
"""Times the samples at hand, where the drawing ends at most."""


def probability_figure(result: ForecastResult, answer: SufficientSize) -> Figure | None:
    """The two probabilities, of the average model and of the next one; None for what is no target."""
    curve = curve_of_answer(result, answer)
    if curve is None:
        return None
    most = FURTHEST * result.samples
    end = max(result.forecast.sizes[-1], min(answer.high or most, most))
    sizes = np.unique(np.geomspace(curve.draws.smallest, end, POINTS).round())
    there, target = curve.at(sizes), target_in_words(curve.metric, answer.tolerance)
    mean, following = (there.probability(answer.tolerance, of).tolist() for of in ("mean", "next"))
    marks = (
        []
        if answer.assurance is None
        else [Mark("y", answer.assurance, f"asked for: {100 * answer.assurance:.3g}%", ORANGE)]
    )
    if answer.size is not None and answer.size <= sizes[-1]:
        marks.append(Mark("x", answer.size, f"about {rounded(answer.size):,}", ORANGE))
    return Figure(
        name=f"probability-{curve.metric}",
        title=f"Probability to reach {curve.metric} {target}",
        caption=(
            f"Average model: the {curve.metric} averaged over training sets and seeds reaches {target}. Next model: a "
            "single training on so many samples reaches it, which adds the variance between trainings."
        ),
        x_label="training samples",
        y_label="probability",
        curves=[
            Curve("average model", sizes.tolist(), mean, BLUE),
            Curve("next model", sizes.tolist(), following, PURPLE, "dashed"),
        ],
        log="x",
        marks=marks,
        ticks=sizes_on_axis([int(size) for size in sizes]),
    )
