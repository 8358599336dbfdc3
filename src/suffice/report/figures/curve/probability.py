"""How likely a target is, against the number of samples."""

from suffice.report.answers.words import rounded, target_in_words
from suffice.report.figures.curve.axis import sizes_on_axis
from suffice.report.figures.figure import BLUE, ORANGE, PURPLE, Curve, Figure, Mark
from suffice.results import CurveResult


def probability_figure(result: CurveResult) -> Figure | None:
    """The two probabilities, of the average model and of the next one; None without a target."""
    reached, answer, sizes = result.drawn.reached, result.answer, result.drawn.sizes
    if reached is None or answer is None:
        return None
    marks = []
    if answer.assurance is not None:
        marks.append(Mark("y", answer.assurance, f"asked for: {100 * answer.assurance:.3g}%", ORANGE))
    if answer.size is not None and answer.size <= sizes[-1]:
        marks.append(Mark("x", answer.size, f"about {rounded(answer.size):,}", ORANGE))
    target = target_in_words(result.metric, answer.tolerance)
    return Figure(
        name="probability",
        title=f"How likely {target} is with so many samples",
        caption=(
            f"Average model: the {result.metric} averaged over training sets and seeds reaches {target}. Next model: a "
            "single training on so many samples reaches it, which adds the variance between trainings."
        ),
        x_label="training samples",
        y_label="probability",
        curves=[
            Curve("average model", sizes, reached.mean.tolist(), BLUE),
            Curve("next model", sizes, reached.next.tolist(), PURPLE, "dashed"),
        ],
        log="x",
        marks=marks,
        ticks=sizes_on_axis(sizes),
    )
