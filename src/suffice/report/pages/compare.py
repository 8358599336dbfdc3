"""The page of ``suffice report`` of several runs."""

import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

import numpy as np

from suffice.report.answers.compare import Compared, compare_answer, compare_runs
from suffice.report.answers.words import in_words, share_in_words
from suffice.report.figures.compare import compare_figure
from suffice.report.pages.page import Bullets, Drawn, Links, Page, Section, Table, Words
from suffice.results import Result

ROWS = 7
"""Sizes of the table."""


def compare_page(runs: Mapping[Path, Result], folder: Path) -> Page:
    """Which run is better at which size, and where they cross.

    Args:
        runs: the results, by their folders.
        folder: where the page will lie.

    Raises:
        InputError: runs that cannot be compared.
    """
    compared = compare_runs(runs)
    table = _sizes(compared)
    links = {str(run): f"{quote(os.path.relpath(run, folder))}/report.html" for run in runs}
    return Page(
        command="report",
        subject=(f"{len(runs)} runs", f"{len(compared.lines)} learning curves", compared.metric),
        question=f"Which run is better at which size? {', '.join(compared.lines)}",
        answer=compare_answer(compared),
        picture=Drawn(compare_figure(compared)),
        sections=[
            Section("All sizes", [table]),
            Section("The runs", [_runs(compared), Links("Their reports:", links)]),
            Section("How it was computed", [Words(sentence) for sentence in COMPUTED]),
            Section("What this does not tell", [Bullets(UNTOLD)]),
        ],
        result=None,
        table=table,
    )


COMPUTED = (
    "Each curve is interpolated in the logarithm of the size, over the sizes that all runs cover. One run is better "
    "than "
    "another with the probability that a normal distribution gives, whose standard errors come from the intervals.",
    "The errors of two runs are taken as independent. Where they share test samples, their difference is surer than "
    "this "
    "says: `suffice forecast` with several methods (`--method head,lora(4)`) counts that.",
)

UNTOLD = (
    "How runs compare beyond the sizes that all of them cover.",
    "Why one is better: runs may differ in model, data, training and test samples at once.",
)


def _sizes(compared: Compared) -> Table:
    chosen = np.unique(np.linspace(0, len(compared.sizes) - 1, ROWS).round().astype(int))
    leaders, rows = compared.leaders, []
    for index in chosen:
        best = leaders[index]
        chances = [float(compared.better(best, name)[index]) for name in compared.means if name != best]
        scores = [in_words(compared.metric, float(mean[index])) for mean in compared.means.values()]
        rows.append([f"{compared.sizes[index]:,.0f}", *scores, f"{best}, {share_in_words(min(chances))}"])
    return Table("compared", ["samples", *compared.means, "best, with probability"], rows)


def _runs(compared: Compared) -> Table:
    rows = [
        [
            name,
            *line.about[:3],
            f"{line.sizes[0]:,.0f} to {line.sizes[-1]:,.0f}",
            "measured" if line.is_measured else "predicted",
        ]
        for name, line in compared.lines.items()
    ]
    return Table("runs", ["name", "trained", "model", "data", "sizes", "kind"], rows)
