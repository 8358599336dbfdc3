"""The page of ``suffice analyze``, which answers for other tolerances as well."""

from collections.abc import Iterator
from typing import Any

from suffice.report.answers.analysis import ORDERED, analysis_answer, percent
from suffice.report.figures.analysis import analysis_figures, remaining_figure
from suffice.report.pages.page import Bullets, Handle, Page, Section, Table, Words, more_figures
from suffice.results import AnalysisResult, ProblemSummary, SufficientSize, interval_in_words


def analysis_page(result: AnalysisResult) -> Page:
    """The answer, the tolerance to choose, what each of the two sizes is for, and every number in plain words."""
    problem, uses = result.problem, _uses(result)
    trained = "as it is" if problem.fine_tuning is None else f"trained: {problem.fine_tuning}"
    return Page(
        command="analyze",
        subject=(f"{problem.model}, {trained}", problem.data, f"{problem.samples:,} samples"),
        question=f"How many samples are enough? {problem.model} on {problem.data}",
        answer=analysis_answer(result),
        picture=Handle(remaining_figure(result), [settling.model_dump() for settling in result.settling]),
        sections=[
            Section("Two sizes, and what each is for", [uses], is_open=True),
            Section("What was found", [Bullets(list(_found(result)))]),
            *more_figures(analysis_figures(result)),
            Section("How it was computed", [Words(sentence) for sentence in _computed(result)]),
            Section("What this does not tell", [Bullets(list(_untold(result)))]),
            Section("Every number, in plain words", [_numbers(problem)]),
        ],
        result=result,
        table=uses,
        notes=problem.notes,
    )


def _uses(result: AnalysisResult) -> Table:
    purposes = {
        "remaining": "to report the loss, or to compare models by it",
        "difference": "to stop adding samples one by one",
    }
    rows = [[purposes[answer.criterion], *_size(answer), answer.criterion] for answer in result.sufficient_sizes[:2]]
    held = ""
    if result.problem.held_out_samples:
        held = (
            f' "Remaining" is measured on the {result.problem.held_out_samples:,} samples set aside, and relative to '
            f'their mean loss; "difference" on the {result.problem.samples:,} others, and relative to theirs.'
        )
    return Table(
        "uses",
        ["use", "samples", f"{result.confidence:.0%} interval", "name"],
        rows,
        "Remaining: the mean loss is typically within the tolerance of its value over unlimited data. Difference: one "
        f"more sample typically moves the mean loss by less than the tolerance.{held}",
    )


def _size(answer: SufficientSize) -> tuple[str, str]:
    if answer.size is None or answer.low is None:
        return "cannot tell", answer.explanation
    return f"{answer.size:,}", interval_in_words(answer.low, answer.high)


def _found(result: AnalysisResult) -> Iterator[str]:
    problem = result.problem
    if problem.coefficient_of_variation is None:
        yield (
            "The loss differs from sample to sample by an amount that cannot be set against its mean, which is "
            "not positive."
        )
    else:
        yield (
            f"The loss differs from sample to sample by {problem.coefficient_of_variation:.3g} times its mean (the "
            "coefficient of variation, CV). At the trained weights themselves the two sizes are about CV/ε and CV²/ε², "
            "with ε the tolerance, for any model whatever."
        )
    geometry = _geometry(result)
    adds = "adds to" if geometry >= 1 else "takes from"
    yield (
        f"Around the trained weights that difference is {geometry:.3g} times as large: this is what the geometry of "
        "the "
        f"loss surface {adds} the arithmetic."
    )
    if result.curvature is not None:
        largest = ", ".join(f"{of.value:.3g}" for of in result.curvature.spectrum.eigenvalues[:5])
        yield (
            f"The eigenvalues of the Hessian at the trained weights that are largest by magnitude are {largest}; its "
            f"trace is {result.curvature.spectrum.trace}."
        )
    if problem.gap is not None and problem.held_out_loss is not None:
        yield (
            f"The samples set aside have a mean loss of {problem.held_out_loss:.3g}, those at hand "
            f"{problem.loss_at_center:.3g}: the gap is {problem.gap:.3g}."
        )
    else:
        yield (
            "No samples were set aside. If the model was trained on these samples, their losses differ too little, and "
            "both sizes are too small."
        )
    p = result.landscape.exchangeability
    if p < ORDERED:
        yield (
            f"The data set's own order is not a random one (p = {p:.2g}): the samples are sorted, or they drift. The "
            "curves use a seeded shuffle and are right, but the first k files are no random sample of all."
        )
    else:
        yield f"The data set's own order cannot be told from a random one (p = {p:.2g})."


def _geometry(result: AnalysisResult) -> float:
    """How much larger the spread is at the probes than at w*: the ratio of root mean squares."""
    center, *around = result.landscape.probes
    squares = [probe.spread**2 for probe in around]
    return (sum(squares) / len(squares)) ** 0.5 / center.spread if center.spread > 0 else 1.0


def _computed(result: AnalysisResult) -> Iterator[str]:
    tolerance = result.sufficient_sizes[0].tolerance
    yield (
        "The mean loss of the samples is a surface over the model's weights. It was measured at the trained weights, "
        f"called w*, and at {len(result.landscape.probes) - 1} points around them, the probes. It moves with every "
        "sample that is added, less and less."
    )
    yield (
        "With S the spread of the loss from sample to sample (root mean square over w* and the probes) and L its mean, "
        "k samples know the mean to S/√k. The size for a tolerance ε is therefore S²/(ε L)² by remaining, and the "
        "smallest k with S/√(k (k+1)) ≤ ε L by difference; docs/theory.md derives both."
    )
    yield f"The tolerance here is {percent(tolerance)} of the mean loss."


def _untold(result: AnalysisResult) -> Iterator[str]:
    yield (
        "How good a model trained on more samples would be. Both sizes describe the surface around one trained model: "
        "how well the mean loss over k samples stands for the mean loss over all."
    )
    yield "Anything about samples unlike these. They are taken as a random draw from the population that you care for."
    if result.problem.fine_tuning is None:
        yield (
            "Whether the model has seen these samples in its training. If it has, both sizes are too small. Give "
            "samples that it has not seen, or let suffice fine-tune it (`--method`)."
        )
    yield "What happens further away from the trained weights than the probes are."


def _numbers(problem: ProblemSummary) -> Table:
    rows = []
    for name, information in ProblemSummary.model_fields.items():
        value = getattr(problem, name)
        if name == "held_out_metrics":
            rows += [
                [f"held-out {metric}", _shown(number), str(information.description)] for metric, number in value.items()
            ]
        elif name != "notes" and value is not None:
            rows.append([name.replace("_", " "), _shown(value), str(information.description)])
    return Table("numbers", ["number", "value", "meaning"], rows)


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
