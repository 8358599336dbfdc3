"""The page of ``suffice study``: learning curves, and what k* was worth."""

from collections.abc import Iterator, Mapping

from suffice.report.answers.study import (
    correlations,
    largest_size,
    methods_of,
    plateau,
    saved,
    study_answer,
    tolerance_of,
    with_interval,
)
from suffice.report.answers.words import in_words
from suffice.report.figures.study import study_figures
from suffice.report.pages.curvature import moving
from suffice.report.pages.page import Block, Bullets, Drawn, Page, Section, Table, Words, more_figures
from suffice.results import Band, Curve, LearningCurve, Retrained, StudyResult, interval_in_words


def study_page(result: StudyResult) -> Page:
    """Which method is best at which size, the learning curves, and every check of k*."""
    figures = study_figures(result)
    first = next((figure for figure in figures if figure.name == "accuracy"), None)
    others = [figure for figure in figures if figure is not first]
    measured = next((retrained for retrained in result.study.retrained if retrained.surface is not None), None)
    surface: list[Section] = []
    if measured is not None and measured.surface is not None:
        blocks: list[Block] = [Words(_surface_of(measured, result)), moving(measured.surface)]
        surface = [Section("The loss surface between the minima of more and more samples", blocks, is_open=True)]
    table = _curves("accuracy", "all classes", result.study.curves)
    return Page(
        command="study",
        subject=(result.model, result.data, f"up to {largest_size(result):,} of {result.pool:,} samples"),
        question=f"How many samples were enough? {result.model} on {result.data}",
        answer=study_answer(result),
        picture=None if first is None else Drawn(first),
        sections=[
            *surface,
            Section("All sizes", list(_learning_curves(result))),
            Section("Would the loss surface have told? What k* was worth", list(_worth(result))),
            *more_figures(others),
            Section("How it was computed", [Words(sentence) for sentence in _computed(result)]),
            Section("What this does not tell", [Bullets(_untold(result))]),
        ],
        result=result,
        table=table,
        notes=result.notes,
    )


def _learning_curves(result: StudyResult) -> Iterator[Table]:
    for task, curves in {"all classes": result.study.curves, **result.study.subset_curves}.items():
        yield _curves("accuracy", task, curves)
        yield _curves("loss", task, curves)


def _curves(quantity: str, task: str, curves: Mapping[str, LearningCurve]) -> Table:
    sizes = sorted({size for curve in curves.values() for size in curve.sizes})
    rows = [[f"{size:,}", *(_at(curve, quantity, size) for curve in curves.values())] for size in sizes]
    caption = f"Test {quantity}, {task}: the mean over seeds, and its interval. Each single training is in `cells.csv`."
    return Table(f"{quantity}-{task}", ["samples", *(f"{method}, {quantity}" for method in curves)], rows, caption)


def _at(curve: LearningCurve, quantity: str, size: int) -> str:
    if size not in curve.sizes:
        return "–"
    index = curve.sizes.index(size)
    band: Curve | Band = curve.accuracy if quantity == "accuracy" else curve.loss
    ends = [float(end[index]) for end in (band.mean, band.low, band.high)]
    most = 1.0 if quantity == "accuracy" else float("inf")
    ends = [min(most, max(0.0, end)) for end in ends]
    mean, low, high = (in_words("accuracy" if quantity == "accuracy" else "loss", end) for end in ends)
    return f"{mean} ({low} to {high})"


def _worth(result: StudyResult) -> Iterator[Block]:
    tolerance = tolerance_of(result)
    within = "a tolerance" if tolerance is None else f"{100 * tolerance:.3g}%"
    yield Words(
        "k* is the number of samples from which on the loss surface around the trained weights stays typically within "
        f"{within} of where it will settle; it takes one training, and no test samples. This study has the truth."
    )
    yield Bullets([plateau(result), *correlations(result), saved(result)])
    largest = largest_size(result)
    yield Table(
        "methods",
        [
            "method",
            "trained parameters",
            f"accuracy with {largest:,}",
            "loss",
            "loss settles at",
            "accuracy settles at",
            "k*",
            "labels saved at k*, and points lost",
        ],
        [
            [
                method.name,
                f"{method.moving_parameters:,}",
                method.accuracy,
                method.loss,
                method.settled["loss"],
                method.settled["accuracy"],
                method.k_star,
                method.saved,
            ]
            for method in methods_of(result)
        ],
        "With all classes. Accuracy and loss are means over seeds, sizes medians over seeds. “Settles at” is the size "
        "from which on the quantity stays near its value at the largest size; “not by” means that the last step of "
        "size "
        "still gains more than that.",
    )
    if result.study.agreement:
        yield _agreement(result)
        yield _checks(result)
    else:
        yield Words("Nothing was checked.")


def _agreement(result: StudyResult) -> Table:
    return Table(
        "agreement",
        [
            "criterion",
            "tolerance",
            "what settles",
            "combinations",
            "without plateau",
            "rank correlation",
            "given CV",
            "k* over that size",
        ],
        [
            [
                of.criterion,
                f"{100 * of.tolerance:.3g}%",
                of.quantity,
                f"{of.combinations}",
                f"{of.censored}",
                with_interval(of.rank_correlation),
                with_interval(of.partial_correlation),
                "–" if of.ratio is None else f"{of.ratio:.3g}",
            ]
            for of in result.study.agreement
        ],
        f"Spearman's rank correlation of k* with the size at which test loss or accuracy settles, its "
        f"{result.confidence:.0%} interval (tasks and methods drawn), the same given CV (how much the loss differs "
        "from "
        "sample to sample, relative to its mean), and k* over that size (geometric mean, plateaus only).",
    )


def _checks(result: StudyResult) -> Table:
    rows = []
    for check in result.study.check:
        k_star = ["–", "–"]
        if check.k_star is not None and check.k_star_low is not None:
            k_star = [f"{check.k_star:,}", interval_in_words(check.k_star_low, check.k_star_high)]
        saved_there = ["–", "–", "–"]
        if check.labels_saved is not None and check.seconds_saved is not None and check.accuracy_lost is not None:
            saved_there = [f"{check.labels_saved:,}", f"{check.seconds_saved:.3g}", f"{check.accuracy_lost:.2%}"]
        cv = check.coefficient_of_variation
        rows.append(
            [
                check.task,
                check.method,
                f"{check.seed}",
                check.criterion,
                f"{100 * check.tolerance:.3g}%",
                *k_star,
                check.quantity,
                f"{'> ' if check.censored else ''}{check.held_out_size:,}",
                f"{check.low:,} to {check.high:,}",
                "–" if cv is None else f"{cv:.3g}",
                *saved_there,
            ]
        )
    columns = [
        "classes",
        "method",
        "seed",
        "criterion",
        "tolerance",
        "k*",
        "interval of k*",
        "what settles",
        "settles at",
    ]
    columns += ["interval", "CV", "labels saved", "seconds saved", "accuracy lost"]
    return Table("check-rows", columns, rows, f"All {len(rows)} checks.")


def _surface_of(shown: Retrained, result: StudyResult) -> str:
    """Which training the surface is of, and where those of others are."""
    others = [other.method for other in result.study.retrained if other.surface is not None and other is not shown]
    more = f" result.json has those of {', '.join(others)}." if others else ""
    return f"Of {shown.method}, seed {shown.seed}; w* was trained on {shown.samples:,} samples.{more}"


def _computed(result: StudyResult) -> list[str]:
    seeds = len({cell.seed for cell in result.study.cells})
    return [
        f"The ground truth: the model was trained anew on nested parts of {result.pool:,} samples of "
        f"{result.classes:,} "
        f"classes, with {seeds} {'seed' if seeds == 1 else 'seeds'}, and tested on {result.test_samples:,} others.",
        f"Intervals are {result.confidence:.0%} intervals of the mean over seeds and test samples. A training that "
        "diverged has no numbers and is not averaged.",
    ]


def _untold(result: StudyResult) -> list[str]:
    return [
        f"What happens beyond {largest_size(result):,} samples. “Settled” means near the value at the largest size, "
        "which "
        "may itself still be far from that with unlimited data.",
        "How it would be for another model, other data, or another way to train. All combinations here share the "
        "model and "
        "the data, so the agreement with k* is that of one case.",
        "More of a size than the sizes tried allow: between two of them, where a curve settles is interpolated.",
        "That k* causes anything. It describes how well a mean over k samples stands for the mean over all at fixed "
        "weights; that training on k samples is enough is what was checked here, and not what k* claims.",
        "Training times elsewhere: they are those of this machine.",
    ]
