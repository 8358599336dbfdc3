"""The page of ``suffice monitor``."""

from collections.abc import Sequence

from suffice.report.answers.monitor import gain_in_words, monitor_answer, title_of
from suffice.report.answers.words import in_words
from suffice.report.figures.monitor import monitor_figure
from suffice.report.pages.page import Bullets, Drawn, Page, Section, Table, Words
from suffice.results import Look, Metric, MonitorResult


def monitor_page(result: MonitorResult) -> Page:
    """Stop or label more, the curve so far and ahead, and what was measured at each look."""
    sources = ", ".join(result.sources)
    looks = looks_table(result.looks, result.metric, result.measured_confidence, "labels")
    return Page(
        command="monitor",
        subject=(sources, result.metric, f"{len(result.looks)} looks", title_of(result)),
        question=f"Stop labelling, or label more? {result.metric} in {sources}",
        answer=monitor_answer(result),
        picture=Drawn(monitor_figure(result)),
        sections=[
            Section("All looks", [looks]),
            Section("How it was computed", [Words(sentence) for sentence in _computed(result)]),
            Section("What this does not tell", [Bullets(UNTOLD)]),
        ],
        result=result,
        table=looks,
        notes=result.notes,
    )


def looks_table(looks: Sequence[Look], metric: Metric, confidence: float, counted: str) -> Table:
    """What was measured at each look, by the number of what is counted."""
    rows = [
        [f"{look.size:,}", in_words(metric, look.score), _ends(metric, look), *_gain(metric, look)] for look in looks
    ]
    caption = f"Measured. All intervals hold together with probability {confidence:.0%}."
    return Table("looks", [counted, metric, "interval", "since", "gain", "its interval"], rows, caption)


def _gain(metric: Metric, look: Look) -> list[str]:
    if look.gain is None or look.since is None:
        return ["–", "–", "–"]
    ends = (gain_in_words(metric, end, with_unit=False) for end in (look.gain.low, look.gain.high))
    return [f"{look.since:,}", gain_in_words(metric, look.gain.value), " to ".join(ends)]


def _ends(metric: Metric, look: Look) -> str:
    if look.low is None or look.high is None:
        return "not known"
    return f"{in_words(metric, look.low)} to {in_words(metric, look.high)}"


def _computed(result: MonitorResult) -> list[str]:
    found = [
        COMPUTED_OF_LOOKS,
        "Forecast: a curve through the looks, whose shared hold-out and nested training sets make them correlated; "
        "and, in a second way, the gain of the last doubling times how the gains of other people's curves change from "
        "one doubling to the next.",
    ]
    if result.gain is not None:
        found.append(
            f"The answer is to stop if twice the labels bring less than {gain_in_words(result.metric, result.gain)} "
            f"with probability {result.assurance:.0%} in both ways."
        )
    return found


COMPUTED_OF_LOOKS = (
    "Measured: the j-th look spends 1 / (j (j + 1)) of the error, so that the intervals of all looks hold together, "
    "however often one looks. They are betting intervals where the score of each sample is known and bounded "
    "(Waudby-Smith and Ramdas 2024), and normal ones else."
)

UNTOLD = [
    "Whether the hold-out is random. Scores on samples that were chosen, or that a model was trained or tuned on, are "
    "taken at their word.",
    "How it would be with another way of choosing batches: the curve goes on as it went so far.",
    "Which classes need labels. A score over all classes may be flat while a rare class still improves.",
]
