"""The page of ``suffice forecast`` of several methods."""

from urllib.parse import quote

from suffice.report.answers.methods import Entry, methods_answer, table_of
from suffice.report.figures.methods import methods_figures
from suffice.report.pages.page import Block, Bullets, Drawn, Links, Page, Section, Table, Words, more_figures
from suffice.results import Comparison, MethodsResult


def methods_page(result: MethodsResult) -> Page:
    """Which method to use, the curves of all, their numbers, and where the report of each is."""
    figures, comparison = methods_figures(result), result.comparison
    table = None if comparison is None else _numbers(result, comparison)
    computed: list[Block] = [] if comparison is None else [Words(sentence) for sentence in _compared(comparison)]
    reports = {of.method: f"{quote(of.folder)}/report.html" for of in result.methods}
    return Page(
        command="forecast",
        subject=(
            f"{len(result.methods)} methods on {result.model}",
            result.data,
            f"{result.samples:,} samples of {len(result.classes):,} classes",
        ),
        question=f"Which method from which size on? {result.model} on {result.data}",
        answer=methods_answer(result),
        picture=Drawn(figures[0]) if figures else None,
        sections=[
            *([] if table is None else [Section("All sizes", [table])]),
            Section("The report of each method", [Links("Each method was forecast from the same samples:", reports)]),
            *more_figures(figures[1:]),
            *([Section("How it was computed", computed)] if computed else []),
            Section("What this does not tell", [Bullets(UNTOLD)]),
        ],
        result=result,
        table=table,
        notes=result.notes,
    )


def _numbers(result: MethodsResult, comparison: Comparison) -> Table:
    methods, rows = table_of(result)
    return Table(
        "numbers",
        ["samples", *methods],
        [[size, *map(_entry, entries)] for size, entries in rows],
        f"Test {comparison.metric} with its {result.confidence:.0%} interval. P: probability that the method is better "
        "than all others. ✓: the method to use. With more samples a more expensive one takes its place where it is "
        "better with probability 80%, a cheaper one where it is with 50%. From cheap to expensive: head, "
        "last_layers(n), "
        "lora(r), full.",
    )


def _entry(entry: Entry) -> str:
    return f"{entry.score} ({entry.interval}), P {entry.chance}{' ✓' if entry.is_used else ''}"


def _compared(comparison: Comparison) -> list[str]:
    table = comparison.correlation
    names, shared = list(table), "errors" if comparison.metric == "accuracy" else "losses"
    pairs = ", ".join(
        f"{name} and {other}: {table[name][other]:.2f}" for row, name in enumerate(names) for other in names[row + 1 :]
    )
    return [
        "Equally likely curves of the methods were drawn together, and counted at each size. The methods are tested on "
        f"the same samples, so the noise of their levels is shared: it has the correlation of their {shared} on unseen "
        f"samples ({pairs}).",
        "Beyond that, the errors of slopes are taken as independent between methods. A size at which one method "
        "overtakes another has the interval in which the probability of the better one rises from 5% to 95%.",
    ]


UNTOLD = (
    "How it would be for another training: each method keeps its steps, its rate and its penalty at all sizes. A "
    "method "
    "that gets more steps with more samples may overtake earlier.",
    "How one training will turn out. The probabilities are about the mean over trainings.",
    "Much beyond ten times the samples at hand. What each forecast rests on, and when not to trust it, is in the "
    "report "
    "of its method.",
)
