"""The page of ``suffice study`` of a language model."""

from suffice.report.answers.language_study import language_study_answer, largest_size, perplexity_in_words, seeds_of
from suffice.report.answers.words import in_words
from suffice.report.figures.language_study import language_study_figures
from suffice.report.pages.page import Bullets, Drawn, Page, Section, Table, Words, more_figures
from suffice.results import LanguageStudyResult


def language_study_page(result: LanguageStudyResult) -> Page:
    """Which method is best, the learning curves with their continuation, and every training."""
    figures = language_study_figures(result)
    measured = _measured(result)
    return Page(
        command="study",
        subject=(result.model, result.data, f"up to {largest_size(result):,} of {result.pool:,} samples"),
        question=f"How many samples are enough? {result.model} on {result.data}",
        answer=language_study_answer(result),
        picture=Drawn(figures[0]) if figures else None,
        sections=[
            Section("All sizes", [measured, *_predicted(result)]),
            Section("All trainings", [_trainings(result)]),
            *more_figures(figures[1:]),
            Section("How it was computed", [Words(sentence) for sentence in _computed(result)]),
            Section("What this does not tell", [Bullets(_untold(result))]),
        ],
        result=result,
        table=measured,
        notes=result.notes,
    )


def _measured(result: LanguageStudyResult) -> Table:
    """Loss and perplexity by size and method."""
    sizes = sorted({size for method in result.methods for size in method.sizes})
    rows = []
    for size in sizes:
        row = [f"{size:,}"]
        for method in result.methods:
            if size not in method.sizes:
                row += ["–", "–"]
                continue
            at = method.sizes.index(size)
            mean, low, high = (
                in_words("loss", float(end[at])) for end in (method.loss.mean, method.loss.low, method.loss.high)
            )
            row += [f"{mean} ({low} to {high})", perplexity_in_words(float(method.loss.mean[at]))]
        rows.append(row)
    columns = ["samples"]
    for method in result.methods:
        columns += [f"{method.method}, test loss", f"{method.method}, perplexity"]
    caption = (
        f"The mean over {seeds_of(result)} seeds, and its interval. Before any training the test loss is "
        f"{in_words('loss', result.pretrained_loss)}, the perplexity {perplexity_in_words(result.pretrained_loss)}."
    )
    return Table("measured", columns, rows, caption)


def _predicted(result: LanguageStudyResult) -> list[Table]:
    """What is to come, a table for each method that is continued."""
    tables = []
    for method in result.methods:
        if method.predicted is None:
            continue
        score = method.predicted.score
        rows = []
        for index, size in enumerate(method.predicted.sizes):
            mean, low, high = (float(end[index]) for end in (score.mean, score.low, score.high))
            loss = " to ".join(in_words("loss", end) for end in (low, high))
            perplexity = " to ".join(map(perplexity_in_words, (low, high)))
            rows.append([f"{size:,}", in_words("loss", mean), loss, perplexity_in_words(mean), perplexity])
        columns = ["samples", "test loss", "its interval", "perplexity", "that of the perplexity"]
        caption = f"Forecast of {method.method}, from its trainings: the mean over training sets and seeds."
        tables.append(Table(f"predicted-{method.method}", columns, rows, caption))
    return tables


def _trainings(result: LanguageStudyResult) -> Table:
    rows = [
        [
            f"{cell.size:,}",
            cell.method,
            f"{cell.seed}",
            f"{cell.steps:,}",
            "diverged" if cell.test_loss is None else in_words("loss", cell.test_loss),
            "–" if cell.test_loss is None else perplexity_in_words(cell.test_loss),
            "–" if cell.seconds is None else f"{cell.seconds:.3g}",
        ]
        for cell in result.cells
    ]
    columns = ["samples", "method", "seed", "updates", "test loss", "perplexity", "seconds"]
    return Table("trainings", columns, rows, "`cells.csv` has more of each.")


def _computed(result: LanguageStudyResult) -> list[str]:
    seeds = seeds_of(result)
    return [
        f"The model was fine-tuned anew at each size with {seeds} {'seed' if seeds == 1 else 'seeds'}: each seed draws "
        "its samples at random, smaller sizes are parts of larger ones, and all methods have the same samples.",
        *_loss_computed(result),
        "The forecast is the curve of `suffice curve` through the test losses of all trainings: a power law that may "
        "begin late and may wander, with curves of language models that others fine-tuned as prior.",
    ]


def _loss_computed(result: LanguageStudyResult) -> list[str]:
    if result.unit == "token":
        return [
            "All tokens count alike: the test loss is the mean over the tokens of the answers of "
            f"{result.test_samples:,} samples that no training saw, and the perplexity its exponential. The samples "
            "are what is drawn, so that the intervals are those of a ratio of two sums over samples.",
            "The trainings minimise the mean over the tokens of each batch.",
        ]
    return [
        f"The test loss is the mean over {result.test_samples:,} samples that no training saw, the loss of a sample "
        "the mean over the tokens of its answer, and the perplexity the exponential of the test loss."
    ]


def _untold(result: LanguageStudyResult) -> list[str]:
    return [
        f"What happens much beyond {8 * largest_size(result):,} samples, 8 times the largest size.",
        "How it would be with another learning rate, schedule or number of epochs: each size was trained in the one "
        "way that the settings say, which may suit one size better than another.",
        "The error of the test samples, which all sizes share: it shifts the whole curve, and is in the band of what "
        "was measured, not in that of the forecast.",
        "Whether the answers are right. The loss and the perplexity are of the tokens of the given answers; nothing is "
        "generated.",
        "How far the loss surface has settled: it is not measured here. `suffice analyze` measures that of one "
        "fine-tuned model.",
    ]
