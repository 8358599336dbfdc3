"""The page of a run that goes on."""

from suffice.report.answers.live import live_answer, state_in_words
from suffice.report.figures.curve import curve_figures
from suffice.report.pages.curve import COMPUTED_OF_CURVES, computed_of_one_run, predicted_table
from suffice.report.pages.monitor import COMPUTED_OF_LOOKS, looks_table
from suffice.report.pages.page import Block, Bullets, Drawn, Page, Section, Words
from suffice.results import LiveResult


def live_page(result: LiveResult) -> Page:
    """What was measured so far, and, apart from it, the forecast."""
    curve = result.curve
    looks = looks_table(result.looks, "loss", result.measured_confidence, "samples")
    ahead: list[Block] = [Words("No forecast yet.")] if curve is None else [predicted_table(curve)]
    computed = [COMPUTED_OF_LOOKS]
    if curve is not None and curve.one_run is not None:
        computed += [*computed_of_one_run(curve.one_run), *COMPUTED_OF_CURVES]
    return Page(
        command="live report",
        subject=(result.source, state_in_words(result)),
        question=f"Do more samples still pay? {result.source}",
        answer=live_answer(result),
        picture=None if curve is None else Drawn(curve_figures(curve)[0]),
        sections=[
            Section("Measured so far", [looks] if result.looks else [Words("Nothing yet.")], is_open=True),
            Section("To come: a forecast", ahead, is_open=True),
            Section("How it was computed", [Words(sentence) for sentence in computed]),
            Section("What this does not tell", [Bullets(UNTOLD)]),
        ],
        result=None,
        notes=[] if curve is None else curve.notes,
    )


UNTOLD = [
    "Whether the hold-out is random. Samples that were chosen, or trained on, tell nothing of others.",
    "How it would be with another learning rate or model: the forecast is of trainings as this one.",
    "How far apart runs of the same size end. Repeat the run with another seed before you pay for many samples.",
]
