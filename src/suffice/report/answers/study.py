"""The findings of a study, in sentences and in the rows of its tables."""

import math
from collections.abc import Container, Mapping, Sequence
from statistics import fmean, median
from typing import Literal, NamedTuple, TypeAlias

from suffice.report.answers.answer import MOST_STEPS, Answer, lowered
from suffice.report.answers.words import in_words, listed
from suffice.results import Agreement, Check, Estimate, StudyResult, Trust

ALL = "all"
"""The task with all classes."""

HARDLY = 0.75
"""Of the loss of guessing, and of the test loss, above which a training loss has hardly fallen; as in SUF031."""

ENOUGH, WORTH = 0.005, 0.02
"""Gain in accuracy by the last step of size from which on more samples are worth a thought, and that must be ruled out
where they are said to be of no use."""

Quantity = Literal["loss", "accuracy"]

Failure: TypeAlias = tuple[float, float] | Literal["nothing", "hardly"]
"""Of trainings: from which accuracy to which they got worse with more samples, or that they learned too little."""


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


def study_answer(result: StudyResult) -> Answer:
    """Which method is best at which size, and what the last step of size still gained."""
    failed = failed_of(result)
    ranked = _ranked(result, failed)
    worse = _failures(result, failed)
    if not ranked:
        sentence = (
            worse[0] if worse else f"No training on {largest_size(result):,} samples finished: all of them diverged."
        )
        reason = "no training learned more from more samples" if worse else "there is nothing to compare"
        return Answer(sentence, "cannot tell", reason, worse[1:], _repairs(result, failed))
    best, trust = ranked[0], _trust(result, ranked)
    more = [_reached(result, ranked), *_gain_of_seeds(result, best), *worse, _settled_or_not(result, failed)]
    steps = [*_next_steps(result, ranked), *_repairs(result, failed)][:MOST_STEPS]
    return Answer(f"{_lead(result, ranked)} {_last_gain(result, best)}", trust.word, trust.reason, more, steps)


def _ranked(result: StudyResult, failed: Container[str]) -> list[str]:
    """Methods that learned, and were trained at the largest size, the best first."""
    largest, curves = largest_size(result), result.study.curves
    there = [
        method
        for method, curve in curves.items()
        if method not in failed and curve.sizes and curve.sizes[-1] == largest
    ]
    return sorted(there, key=lambda method: -curves[method].accuracy.mean[-1])


def leaders(result: StudyResult, methods: Sequence[str]) -> list[tuple[int, str]]:
    """At each size that all of the methods have, the one with the best accuracy."""
    curves = {method: result.study.curves[method] for method in methods}
    sizes = sorted(set.intersection(*(set(curve.sizes) for curve in curves.values())))
    return [
        (size, max(curves, key=lambda method: curves[method].accuracy.mean[curves[method].sizes.index(size)]))
        for size in sizes
    ]


def _lead(result: StudyResult, ranked: Sequence[str]) -> str:
    best, largest = ranked[0], largest_size(result)
    accuracy = in_words("accuracy", float(result.study.curves[best].accuracy.mean[-1]))
    if len(ranked) == 1:
        return f"{best} gets {accuracy} of unseen samples right with {largest:,} training samples."
    lead = leaders(result, ranked)
    others = [(size, method) for size, method in lead if method != best]
    if not others:
        return f"{best} leads at every size: {accuracy} with {largest:,} samples."
    size, other = others[-1]
    if [method for _, method in lead] == [other] * len(others) + [best] * (len(lead) - len(others)):
        return f"{other} leads up to {size:,} samples, {best} beyond: {accuracy} with {largest:,} samples."
    return f"{best} is best with {largest:,} samples ({accuracy}); with fewer the lead changes."


def last_gains(result: StudyResult, method: str) -> tuple[int, list[float]]:
    """The size before the largest, and what each seed gained from there, in shares of accuracy."""
    cells = [
        cell
        for cell in result.study.cells
        if (cell.task, cell.method) == (ALL, method) and cell.test_accuracy is not None
    ]
    largest = max((cell.size for cell in cells), default=0)
    before = max((cell.size for cell in cells if cell.size < largest), default=0)
    of_seed = {
        size: {cell.seed: cell.test_accuracy for cell in cells if cell.size == size} for size in (before, largest)
    }
    shared = of_seed[before].keys() & of_seed[largest].keys()
    return before, [(of_seed[largest][seed] or 0.0) - (of_seed[before][seed] or 0.0) for seed in sorted(shared)]


def _gained(result: StudyResult, method: str) -> Estimate | None:
    """What the last step of size gained, with its interval; in a file of an earlier version with none."""
    _, gains = last_gains(result, method)
    if not gains:
        return None
    mean = fmean(gains)
    return result.study.last_gains.get(method, Estimate(value=mean, low=mean, high=mean))


def _last_gain(result: StudyResult, method: str) -> str:
    before, gain = last_gains(result, method)[0], _gained(result, method)
    if gain is None:
        return "Whether more would help cannot be told from one size."
    largest = largest_size(result)
    step = "The last doubling" if largest == 2 * before else f"The step from {before:,} samples"
    if gain.low > 0 and gain.value >= ENOUGH:
        return f"{step} still gained {_signed(gain.value)} points."
    if gain.high < WORTH:
        return f"{step} added {_signed(gain.value)} points: more of the same would hardly help."
    return f"Whether more would help cannot be told: {lowered(step)} changed it by {_with_interval(gain)} points."


def _with_interval(gain: Estimate) -> str:
    return f"{_signed(gain.value)} ({_signed(gain.low)} to {_signed(gain.high)})"


def _gain_of_seeds(result: StudyResult, method: str) -> list[str]:
    """What the last step of size gained in each seed."""
    before, gains = last_gains(result, method)
    if len(gains) < 2:
        return []
    return [
        f"From {before:,} to {largest_size(result):,} samples the accuracy of {method} changed by "
        f"{_signed(min(gains))} to "
        f"{_signed(max(gains))} points over {len(gains)} seeds."
    ]


def _signed(share: float) -> str:
    """A share in points, with a minus sign that is one.

    Example:
        >>> _signed(0.0114), _signed(-0.014)
        ('1.1', '−1.4')
    """
    return f"{100 * share:.1f}".replace("-", "−").replace("−0.0", "0.0")


def _reached(result: StudyResult, ranked: Sequence[str]) -> str:
    """The accuracies at the largest size, with their intervals."""
    found = []
    for method in ranked:
        accuracy = result.study.curves[method].accuracy
        mean, low, high = (
            in_words("accuracy", min(1.0, max(0.0, float(end[-1]))))
            for end in (accuracy.mean, accuracy.low, accuracy.high)
        )
        found.append(f"{method} {mean} ({low} to {high})")
    return f"On {result.test_samples:,} test samples, trained on {largest_size(result):,}: {', '.join(found)}."


def _trust(result: StudyResult, ranked: Sequence[str]) -> Trust:
    """High with three seeds or more and a leader whose interval is clear of the others' at the largest size."""
    seeds = len({cell.seed for cell in result.study.cells if cell.status == "finished"})
    if seeds < 2:
        return Trust(word="low", reason="there is one seed, so that chance between trainings is not known")
    best, *others = (result.study.curves[method].accuracy for method in ranked)
    close = [method for method, other in zip(ranked[1:], others, strict=True) if other.high[-1] >= best.low[-1]]
    if close:
        return Trust(
            word="medium",
            reason=f"the interval of {ranked[0]} overlaps with that of {listed(close)} at the largest size",
        )
    if seeds < 3:
        return Trust(word="medium", reason=f"there are {seeds} seeds")
    clear = " and the leader's interval is clear of the others'" if others else ""
    return Trust(word="high", reason=f"{seeds} seeds were trained at each size{clear}")


def _next_steps(result: StudyResult, ranked: Sequence[str]) -> list[str]:
    best, largest = ranked[0], largest_size(result)
    gain = _gained(result, best)
    found = [f"Train {best} on all {result.pool:,} samples at hand."]
    parameters = {method.name: method.moving_parameters for method in methods_of(result)}
    for other in ranked[1:]:
        lost = 100 * float(result.study.curves[best].accuracy.mean[-1] - result.study.curves[other].accuracy.mean[-1])
        if parameters[other] * 10 <= parameters[best]:
            found.append(
                f"Or train {other}: {lost:.1f} points less, with {parameters[other]:,} trained parameters in place of "
                f"{parameters[best]:,}."
            )
            break
    if gain is None:
        return found
    if gain.low > 0 and gain.value >= ENOUGH:
        beyond = f"Collect more than {largest:,} samples"
        if result.pool >= 2 * largest:
            beyond = f"Study sizes up to {result.pool:,} samples (`--sizes`) before you collect more"
        found.append(
            f"{beyond}: the last step still gained {_signed(gain.value)} points. "
            "`suffice curve` continues these scores, and `suffice forecast` says how many more reach a target."
        )
    elif gain.high < WORTH:
        found.append(
            f"Do not collect more of the same: the last step changed the accuracy by {_signed(gain.value)} points. "
            "Train more of the model, or another one."
        )
    else:
        found.append(
            f"To see whether more samples help, test on more than {result.test_samples:,} or train more seeds; "
            "`suffice forecast` predicts what more would bring."
        )
    return found


def _repairs(result: StudyResult, failed: Mapping[str, Failure]) -> list[str]:
    """What to do about trainings that got worse, or learned nothing."""
    if not failed:
        return (
            []
            if any(cell.status == "finished" for cell in result.study.cells)
            else ["Lower the learning rate (`--learning-rate`)."]
        )
    steps = result.configuration.get("steps")
    now = f" ({steps:,} now)" if isinstance(steps, int) and not result.configuration.get("by_method") else ""
    return [
        f"Train {listed(list(failed))} longer: more `--steps`{now}, or `--epochs`, which grow with the size; or lower "
        "`--learning-rate`. Then compare sizes again."
    ]


def plateau(result: StudyResult) -> str:
    """Whether more samples still helped at the largest size, for trainings that learned and did not get worse."""
    failed = failed_of(result)
    sentences = _failures(result, failed)
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


def failed_of(result: StudyResult) -> dict[str, Failure]:
    """Methods whose trainings got worse with more samples, or learned too little.

    Worse: the interval of the accuracy at the largest size is below that at the best size. Chance is one over the
    number of classes, and no better than it an interval that reaches down to it. Hardly more: the training loss at the
    largest size is above 75% of that of guessing, and of the test loss; a head is at its limit there, and is left out.
    """
    found: dict[str, Failure] = {}
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


def _failures(result: StudyResult, failed: Mapping[str, Failure]) -> list[str]:
    return [*_got_worse(result, failed), *_learned_nothing(result, failed), *_learned_hardly(result, failed)]


def _got_worse(result: StudyResult, failed: Mapping[str, Failure]) -> list[str]:
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


def _learned_nothing(result: StudyResult, failed: Mapping[str, Failure]) -> list[str]:
    nothing = [method for method, how in failed.items() if how == "nothing"]
    if not nothing:
        return []
    ends = ", ".join(f"{method} {result.study.curves[method].accuracy.mean[-1]:.1%}" for method in nothing)
    return [
        f"With {result.classes} classes, {1 / result.classes:.1%} is chance, and these trainings are indistinguishable "
        f"from it ({ends}): that they are flat is no plateau."
    ]


def _learned_hardly(result: StudyResult, failed: Mapping[str, Failure]) -> list[str]:
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
                loss=f"{curve.loss.mean[-1]:.3f}" if there else "diverged",
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
