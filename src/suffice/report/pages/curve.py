"""The page of ``suffice curve``."""

from suffice.report.answers.curve import curve_answer, given_scores, next_in_words
from suffice.report.answers.words import in_words, share_in_words, target_in_words
from suffice.report.figures.curve import curve_figures
from suffice.report.pages.page import Bullets, Drawn, Page, Section, Table, Words, more_figures
from suffice.results import CurveResult, OneRunFound


def curve_page(result: CurveResult) -> Page:
    """The answer, the curve, how likely the target is, and the numbers."""
    first, *others = curve_figures(result)
    given, predicted = _given(result), predicted_table(result)
    sources = ", ".join(result.sources)
    return Page(
        command="curve" if result.one_run is None else "forecast",
        subject=(sources, result.metric, _trained(result)),
        question=f"How many samples are enough? {result.metric} in {sources}",
        answer=curve_answer(result),
        picture=Drawn(first),
        sections=[
            Section("All sizes", [predicted]),
            Section("Given scores", [given]),
            *_generated(result),
            *more_figures(others),
            Section("How it was computed", [Words(sentence) for sentence in _computed(result)]),
            Section("What this does not tell", [Bullets(_untold(result))]),
        ],
        result=result,
        table=predicted,
        notes=result.notes,
    )


def _trained(result: CurveResult) -> str:
    if result.one_run is not None:
        run = result.one_run
        what = "one run" if run.trained is None else f"one run of {run.trained}"
        beside = f", and runs on {' and '.join(f'{size:,}' for size in run.shorter)}" if run.shorter else ""
        return f"{what} on {run.samples:,} samples, {run.steps:,} updates an epoch{beside}"
    return f"{len(result.trainings)} trainings on {len({training.size for training in result.trainings})} sizes"


def predicted_table(result: CurveResult) -> Table:
    """Size, score, interval, and the two probabilities where there is a target."""
    predicted, rows = result.predicted, []
    for index, size in enumerate(predicted.sizes):
        band = predicted.score
        mean, low, high = (in_words(result.metric, end[index]) for end in (band.mean, band.low, band.high))
        shares = [] if predicted.reached is None else [predicted.reached.mean[index], predicted.reached.next[index]]
        rows.append([f"{size:,}", mean, f"{low} to {high}", *map(share_in_words, shares)])
    columns = ["samples", result.metric, f"{result.confidence:.0%} interval"]
    if result.answer is not None and predicted.reached is not None:
        columns += [f"P({target_in_words(result.metric, result.answer.tolerance)})", "P, next model"]
    cost = ""
    if result.costs is not None:
        cost = (
            f"Cost: {result.costs.per_sample:.3g} per training sample, the sum of the given costs over the sum of the "
            "sizes. Costs are taken as proportional to the samples."
        )
    return Table("predicted", columns, rows, cost)


def _given(result: CurveResult) -> Table:
    rows = [
        [f"{size:,}", f"{count:,}", *(in_words(result.metric, score) for score in scores)]
        for size, count, *scores in given_scores(result)
    ]
    return Table("given", ["samples", "trainings", f"mean {result.metric}", "lowest", "highest"], rows)


def _generated(result: CurveResult) -> list[Section]:
    """The accuracy by generation, where it was measured."""
    generated = None if result.one_run is None else result.one_run.generated
    if generated is None:
        return []
    rows = []
    for at in generated.at:
        mean, low, high = (in_words("accuracy", end) for end in (at.accuracy.value, at.accuracy.low, at.accuracy.high))
        rows.append([f"{at.seen:,}", mean, f"{low} to {high}", f"{at.right:,}", f"{at.unmatched:,}", f"{at.unended:,}"])
    columns = ["samples seen", "accuracy", f"{result.confidence:.0%} interval", "right", "without an answer", "cut"]
    what = (
        "the whole completion"
        if generated.pattern == "exact"
        else f"the first group of the last match of `{generated.pattern}`"
    )
    caption = (
        f"Of {generated.samples:,} prompts that are not trained on, completed greedily with at most "
        f"{generated.tokens:,} tokens each. The answer is {what}, in the completion and in the reference."
    )
    return [Section("Accuracy by generation", [Table("generated", columns, rows, caption)])]


def _computed(result: CurveResult) -> list[str]:
    found = [] if result.one_run is None else computed_of_one_run(result.one_run)
    found += COMPUTED_OF_CURVES
    if next_in_words(result) is not None:
        known = ""
        if not result.configuration.get("samples"):
            known = ", taken to be as many as the largest measured size (`--samples N` says how many there are)"
        found.append(
            "What to train next was simulated with the curves that fit the scores. No choice has more trained samples "
            f"than one training on all samples at hand{known}."
        )
    return found


COMPUTED_OF_CURVES = (
    "The curve is a power law that may begin late and may wander: the scores decide where they can, and how common "
    "such curves are among those that others measured decides the rest.",
    "The probabilities are shares of equally likely curves; docs/how_it_works.md says how they are drawn.",
)


def computed_of_one_run(run: OneRunFound) -> list[str]:
    """How the scores on the way of a run were made."""
    found = [
        "The scores are losses on the way of one run: those of each batch before its update, averaged within halves of "
        "a doubling, and those of the hold-out. The last level of the hold-out is that of the curve."
    ]
    if run.unit == "token":
        found.append(
            "All tokens count alike: a loss is the mean over tokens, and its error that of a ratio of two sums over "
            "samples."
        )
    if run.covariate is not None:
        found.append(
            "The pretrained model's losses of the same samples tell hard samples from easy ones (coefficient "
            f"{run.covariate:.2f})."
        )
    if run.shorter:
        found.append("Those of the shorter runs are used in the same way: what differs between runs is averaged.")
    if run.generated is not None:
        found.append(
            "The accuracy by generation is measured on the hold-out, with an interval by Jeffreys' prior. No curve of "
            "it is predicted: a loss that falls does not tell how many answers become right."
        )
    return found


def _untold(result: CurveResult) -> list[str]:
    other = (
        "How it would be with other samples or another training: more samples have to come from where these came from, "
        "and each size has to be trained in the same way."
    )
    if result.one_run is not None:
        return [
            other,
            "Whether the curve keeps its shape. One run does not tell a curve that nears a limit from one that goes on "
            "falling. There the curves of language models that others fine-tuned decide, and yours may be unlike them.",
            "Much beyond 8 times the samples of the run: there such curves were not compared with measured ones.",
        ]
    kind = result.configuration.get("kind", "any")
    whose = "of any learner" if kind == "any" else f"kind: {kind}"
    return [
        other,
        "Whether the curve keeps its shape. A head with a fixed penalty falls towards its limit as 1/n, whole networks "
        "rather as power laws with small exponents, and a few scores do not tell the two apart. There other people's "
        f"curves decide ({whose}), and yours may be unlike them.",
        "Much beyond 8 to 16 times the largest measured size: there such curves were not compared with measured ones.",
        "The error of the test set. Scores on one test set share its error, which shifts the whole curve and is not in "
        "the band.",
    ]
