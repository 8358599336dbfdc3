"""The colour of each method, and the surfaces around its trained weights."""

import itertools
from collections.abc import Iterator

from suffice.report.answers.study import ALL
from suffice.report.figures.figure import AMBER, BLUE, GREEN, ORANGE, PURPLE, SKY
from suffice.results import Retrained, StudyResult

COLORS = (BLUE, ORANGE, GREEN, PURPLE, SKY, AMBER)


def colors_of_methods(result: StudyResult) -> Iterator[tuple[str, str]]:
    """Methods and their colours."""
    return zip(result.study.curves, itertools.cycle(COLORS), strict=False)


def surfaces_of(result: StudyResult) -> list[Retrained]:
    """Those of the trainings on all classes, one for each method and seed."""
    return [surface for surface in result.study.retrained if surface.task == ALL]


def first_surfaces(result: StudyResult) -> Iterator[tuple[Retrained, str]]:
    """That of the first seed of each method, with its colour."""
    for method, color in colors_of_methods(result):
        for surface in surfaces_of(result):
            if surface.method == method:
                yield surface, color
                break
