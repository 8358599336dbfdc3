"""The findings of a study, in sentences and in the rows of its tables."""

import math
from collections.abc import Container, Mapping, Sequence
from statistics import fmean, median
from typing import Literal, NamedTuple

from suffice.results import Agreement, Check, Estimate, StudyResult

ALL = "all"
"""The task with all classes."""

HARDLY = 0.75
"""Of the loss of guessing, and of the test loss, above which a training loss has hardly fallen; as in SUF031."""

Quantity = Literal["loss", "accuracy"]


class Method(NamedTuple):
    """A method in short, over all seeds, with all classes."""

    name: str
    moving_parameters: int
    accuracy: str
    loss: str
    settled: dict[Quantity, str]
    k_star: str
    saved: str


def tolerance_of(result: StudyResult) -> float | None:
    """The middle one of those that were checked: the report speaks of k* by "remaining" at this tolerance."""
    tolerances = sorted({check.tolerance for check in result.study.check})
    return tolerances[len(tolerances) // 2] if tolerances else None


def share_of_loss(result: StudyResult) -> str:
    """That tolerance in words."""
    tolerance = tolerance_of(result)
    return "a share of the mean loss" if tolerance is None else f"{100 * tolerance:.3g}% of the mean loss"


def checks_of(result: StudyResult, quantity: Quantity = "loss") -> list[Check]:
    """The check of k* by "remaining" at the middle tolerance, one row for each combination."""
    kind = ("remaining", tolerance_of(result), quantity)
    return [check for check in result.study.check if (check.criterion, check.tolerance, check.quantity) == kind]


def k_stars(result: StudyResult) -> dict[str, float]:
    """For each method the median over seeds of k* with all classes, where it is known."""
    found: dict[str, list[int]] = {}
    for check in checks_of(result):
        if check.task == ALL and check.k_star is not None:
            found.setdefault(check.method, []).append(check.k_star)
    return {method: float(median(sizes)) for method, sizes in found.items()}


def largest_size(result: StudyResult) -> int:
    """The largest number of training samples with all classes."""
    return max(cell.size for cell in result.study.cells if cell.task == ALL)


def answer(result: StudyResult) -> str:
    """How good the best method is at the largest size."""
    largest = largest_size(result)
    reached = {
        method: curve.accuracy.mean[-1]
        for method, curve in result.study.curves.items()
        if curve.sizes and curve.sizes[-1] == largest
    }
    if not reached:
        return f"No training on {largest:,} samples finished: all of them diverged."
    ranked = sorted(reached, key=lambda method: -reached[method])
    others = ", ".join(f"{method} {reached[method]:.1%}" for method in ranked[1:])
    return (
        f"Trained on {largest:,} samples, {ranked[0]} gets {reached[ranked[0]]:.1%} of the {result.test_samples:,} "
        f"test samples right{', ' if others else ''}{others}."
    )


def plateau(result: StudyResult) -> str:
    """Whether more samples still helped at the largest size, for trainings that learned and did not get worse."""
    failed = _failed(result)
    sentences = _got_worse(result, failed) + _learned_nothing(result, failed) + _learned_hardly(result, failed)
    if len(failed) < len(result.study.curves) or not failed:
        sentences.append(_settled_or_not(result, failed))
    return " ".join(sentences)


def _settled_or_not(result: StudyResult, without: Container[str]) -> str:
    loss, accuracy = (
        [check for check in checks_of(result, of) if check.task == ALL and check.method not in without]
        for of in ("loss", "accuracy")
    )
    if not loss or not accuracy:
        return (
            "Whether more samples would still help cannot be told: that needs at least two sizes with finished "
            "trainings, one of them the largest."
        )
    flat = [sum(not check.censored for check in of) for of in (loss, accuracy)]
    judged = "Plateaus were reached in part"
    if flat == [len(loss), len(accuracy)]:
        judged = "Every plateau was reached, so more samples would hardly help"
    elif not any(flat):
        judged = "No plateau was reached, so more samples would still help"
    return (
        f"{judged}: test loss came within {loss[0].within:.0%} of its last value before the largest size in {flat[0]} "
        f"of {len(loss)} series of trainings (method and seed), test accuracy within {_points(accuracy[0].within)} "
        f"in {flat[1]}."
    )


def _failed(result: StudyResult) -> dict[str, tuple[float, float] | Literal["nothing", "hardly"]]:
    """Methods whose trainings got worse with more samples, from which accuracy to which, or learned too little.

    Worse: the interval of the accuracy at the largest size is below that at the best size. Chance is one over the
    number of classes, and no better than it an interval that reaches down to it. Hardly more: the training loss at the
    largest size is above 75% of that of guessing, and of the test loss; a head is at its limit there, and is left out.
    """
    found: dict[str, tuple[float, float] | Literal["nothing", "hardly"]] = {}
    for method, curve in result.study.curves.items():
        if not curve.sizes:
            continue
        accuracy, best = curve.accuracy, int(curve.accuracy.mean.argmax())
        if accuracy.high[-1] < accuracy.low[best]:
            found[method] = float(accuracy.mean[best]), float(accuracy.mean[-1])
        elif accuracy.low[-1] <= 1 / result.classes and accuracy.mean[-1] < 2 / result.classes:
            found[method] = "nothing"
        elif method != "head" and (ends := _losses_of(result, method, curve.sizes[-1])) is not None:
            own, test = ends
            if own > HARDLY * max(math.log(result.classes), test):
                found[method] = "hardly"
    return found


def _losses_of(result: StudyResult, method: str, size: int) -> tuple[float, float] | None:
    """The mean training loss and test loss of the trainings of one size."""
    found = [
        (cell.train_loss, cell.test_loss)
        for cell in result.study.cells
        if (cell.task, cell.method, cell.size) == (ALL, method, size)
        and cell.train_loss is not None
        and cell.test_loss is not None
    ]
    return (fmean(own for own, _ in found), fmean(test for _, test in found)) if found else None


def _got_worse(
    result: StudyResult, failed: Mapping[str, tuple[float, float] | Literal["nothing", "hardly"]]
) -> list[str]:
    worse = {method: ends for method, ends in failed.items() if isinstance(ends, tuple)}
    if not worse:
        return []
    every = len(worse) == len(result.study.curves)
    ends = ", ".join(
        f"{method} {best:.1%} to {last:.1%}" if len(result.study.curves) > 1 else f"{best:.1%} to {last:.1%}"
        for method, (best, last) in worse.items()
    )
    which = "These trainings" if every else "Some trainings"
    return [
        f"{which} got worse with more data ({ends}): too few steps, or too large a learning rate, to compare sizes."
    ]


def _learned_nothing(result: StudyResult, failed: Mapping[str, object]) -> list[str]:
    nothing = [method for method, how in failed.items() if how == "nothing"]
    if not nothing:
        return []
    ends = ", ".join(f"{method} {result.study.curves[method].accuracy.mean[-1]:.1%}" for method in nothing)
    return [
        f"With {result.classes} classes, {1 / result.classes:.1%} is chance, and these trainings are indistinguishable "
        f"from it ({ends}): that they are flat is no plateau."
    ]


def _learned_hardly(result: StudyResult, failed: Mapping[str, object]) -> list[str]:
    hardly = [method for method, how in failed.items() if how == "hardly"]
    if not hardly:
        return []
    ends = []
    for method in hardly:
        own, test = _losses_of(result, method, result.study.curves[method].sizes[-1]) or (math.nan, math.nan)
        ends.append(f"{method} {own:.3g}, and {test:.3g} on test samples")
    return [
        f"Guessing has a loss of {math.log(result.classes):.3g}, and these trainings have hardly learned: their "
        f"training loss is still high ({'; '.join(ends)}). Train longer, or with another learning rate: that they are "
        "flat is no plateau."
    ]


def correlations(result: StudyResult) -> list[str]:
    """Whether k* predicts the size at which test loss settles, alone and beyond CV."""
    kind = ("remaining", tolerance_of(result), "loss")
    agreement = next((of for of in result.study.agreement if (of.criterion, of.tolerance, of.quantity) == kind), None)
    if agreement is None:
        return ["Nothing could be checked: there is no k* beside a size at which test loss settles."]
    return [_correlated(agreement, result.confidence), *_beyond_arithmetic(agreement, result.confidence)]


def _correlated(agreement: Agreement, confidence: float) -> str:
    sentence = (
        f"k* (remaining, {100 * agreement.tolerance:.3g}% of the loss) against the size at which test loss settles, in "
        f"{agreement.combinations} combinations of classes, method and seed:"
    )
    rank = agreement.rank_correlation
    if rank is None:
        sentence += " a rank correlation cannot be told, since they are too few or do not differ"
    else:
        judged = "a larger k* goes with a loss that settles later"
        if rank.high < 0:
            judged = "k* points the wrong way"
        elif rank.low <= 0:
            judged = "indistinguishable from zero, so there is no evidence that k* predicts that size"
        sentence += f" rank correlation {_in_words(rank, confidence)}: {judged}"
    if agreement.censored:
        most = ", most of them, so that this says little" if 2 * agreement.censored > agreement.combinations else ""
        sentence += f". {agreement.censored} reached no plateau and count with their largest size{most}"
    if agreement.ratio is not None:
        sentence += f". Where there is a plateau, k* is {agreement.ratio:.2g} times the size at which it begins"
    return sentence + "."


def _in_words(estimate: Estimate, confidence: float) -> str:
    return f"{estimate.value:.2f}, {confidence:.0%} interval {estimate.low:.2f} to {estimate.high:.2f}"


def _beyond_arithmetic(agreement: Agreement, confidence: float) -> list[str]:
    if agreement.rank_correlation is None:
        return []
    partial = agreement.partial_correlation
    if partial is None:
        return ["What k* adds to CV, which is arithmetic without geometry, cannot be told: it goes with CV alone."]
    judged = "k* adds to what CV, which is arithmetic without geometry, says"
    if partial.high < 0:
        judged = "beside CV, which is arithmetic without geometry, k* points the wrong way"
    elif partial.low <= 0:
        judged = "it cannot be told that k* adds anything to CV, which is arithmetic without geometry"
    return [f"Given CV, the partial correlation is {_in_words(partial, confidence)}: {judged}."]


def saved(result: StudyResult) -> str:
    """What stopping at k* would have saved and cost, the mean over combinations with all classes."""
    checks = [check for check in checks_of(result) if check.task == ALL and check.labels_saved is not None]
    if not checks:
        return "What stopping at k* would have saved cannot be told."
    labels, seconds, lost = (
        fmean(getattr(check, name) for check in checks) for name in ("labels_saved", "seconds_saved", "accuracy_lost")
    )
    largest = largest_size(result)
    beyond = sum(check.labels_saved == 0 for check in checks)
    if beyond == len(checks):
        return f"Stopping at k* would have saved nothing: it is never below the largest size, {largest:,} samples."
    whole = fmean(
        cell.seconds
        for cell in result.study.cells
        if cell.task == ALL and cell.size == largest and cell.seconds is not None
    )
    time = f"{seconds:.3g} of {whole:.3g} seconds of training" if seconds > 0 else "no training time"
    cost = f"cost {_points(lost)} of test accuracy" if lost > 0 else "cost no test accuracy"
    within = next(check.within for check in checks_of(result, "accuracy"))
    early = f", more than {_points(within)}: k* comes too early" if lost > within else ""
    never = f" In {beyond} of {len(checks)} combinations it is not below the largest size." if beyond else ""
    return (
        f"Stopping at k* would have saved {labels:,.0f} of {largest:,} labels ({labels / largest:.0%}) and {time}, and "
        f"{cost}{early}; means over {len(checks)} combinations with all classes.{never}"
    )


def methods_of(result: StudyResult) -> list[Method]:
    """The table of methods."""
    found = []
    largest, k_star = largest_size(result), k_stars(result)
    for name, curve in result.study.curves.items():
        cells = [cell for cell in result.study.cells if (cell.task, cell.method) == (ALL, name)]
        there = bool(curve.sizes) and curve.sizes[-1] == largest
        found.append(
            Method(
                name=name,
                moving_parameters=cells[0].moving_parameters,
                accuracy=f"{curve.accuracy.mean[-1]:.1%}" if there else "diverged",
                loss=f"{curve.loss.mean[-1]:.4f}" if there else "diverged",
                settled={of: _settled(checks_of(result, of), name, largest) for of in ("loss", "accuracy")},
                k_star=f"{k_star[name]:,.0f}" if name in k_star else "–",
                saved=_saved_by(checks_of(result), name),
            )
        )
    return found


def _settled(checks: Sequence[Check], method: str, largest: int) -> str:
    """The median over seeds; a series without a plateau settles later than any."""
    sizes = [
        math.inf if check.censored else check.held_out_size
        for check in checks
        if (check.task, check.method) == (ALL, method)
    ]
    if not sizes:
        return "–"
    middle = median(sizes)
    return f"not by {largest:,}" if math.isinf(middle) else f"{middle:,.0f}"


def _saved_by(checks: Sequence[Check], method: str) -> str:
    rows = [check for check in checks if (check.task, check.method) == (ALL, method) and check.labels_saved is not None]
    if not rows:
        return "–"
    labels, lost = (fmean(getattr(check, name) for check in rows) for name in ("labels_saved", "accuracy_lost"))
    return f"{labels:,.0f} for {_points(lost)}"


def _points(share: float) -> str:
    number = f"{100 * share:.2g}"
    return f"{number} point" if number == "1" else f"{number} points"


def with_interval(estimate: Estimate | None) -> str:
    """A correlation and its interval; a dash if there is none."""
    return "–" if estimate is None else f"{estimate.value:.2f} ({estimate.low:.2f} to {estimate.high:.2f})"
