"""What a page is made of: the answer, one picture, and folded sections of words, tables and figures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeAlias

from suffice.report.answers.answer import Answer
from suffice.report.figures.figure import Figure, HeatMaps, Surfaces
from suffice.results import Result, SurfaceAlongK


@dataclass(frozen=True)
class Words:
    """A paragraph; what stands between backquotes is code."""

    kind: ClassVar[str] = "words"
    text: str


@dataclass(frozen=True)
class Bullets:
    """A list of sentences."""

    kind: ClassVar[str] = "bullets"
    items: Sequence[str]


@dataclass(frozen=True)
class Table:
    """Rows of text. The first column names the row. ``bars`` are shares from 0 to 1 beside the cells of a column;
    ``shades``, one for each cell behind the first column, are how strong its colour is."""

    kind: ClassVar[str] = "table"
    name: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""
    bars: Mapping[int, Sequence[float]] = field(default_factory=dict)
    shades: Sequence[Sequence[float]] = ()

    @property
    def has_sizes(self) -> bool:
        """Whether the rows are named by numbers."""
        return all(row[0].replace(",", "").isdigit() for row in self.rows)


@dataclass(frozen=True)
class Drawn:
    """A figure with its caption."""

    kind: ClassVar[str] = "drawn"
    figure: Figure


@dataclass(frozen=True)
class Handle:
    """The figure of an analysis, on which a reader moves the tolerance, and the spreads from which sizes follow."""

    kind: ClassVar[str] = "handle"
    figure: Figure
    values: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Maps:
    """Heat maps beside each other."""

    kind: ClassVar[str] = "maps"
    maps: HeatMaps
    title: str
    caption: str = ""


@dataclass(frozen=True)
class Moving:
    """A loss surface with a slider for the number of samples, and how far it is from the last one."""

    kind: ClassVar[str] = "moving"
    surface: SurfaceAlongK
    film: Surfaces
    distance: Figure
    caption: str


@dataclass(frozen=True)
class Links:
    """Other pages, by the words that lead there."""

    kind: ClassVar[str] = "links"
    before: str
    targets: Mapping[str, str]


Block: TypeAlias = Words | Bullets | Table | Drawn | Handle | Maps | Moving | Links


@dataclass(frozen=True)
class Section:
    """What a page has folded under a title."""

    title: str
    blocks: Sequence[Block]
    is_open: bool = False


@dataclass(frozen=True)
class Page:
    """The page of a result.

    ``subject`` is what was asked about, in few words: model, data, samples. ``table`` is the one of the terminal.
    """

    command: str
    subject: Sequence[str]
    question: str
    answer: Answer
    picture: Drawn | Handle | Maps | Moving | None
    sections: Sequence[Section]
    result: Result | None
    table: Table | None = None
    notes: Sequence[str] = ()

    @property
    def blocks(self) -> list[Block]:
        """All of the page, in its order."""
        first = [] if self.picture is None else [self.picture]
        return [*first, *(block for section in self.sections for block in section.blocks)]

    @property
    def figures(self) -> list[Figure]:
        """All figures that are files beside the page."""
        drawn = [block for block in self.blocks if isinstance(block, (Drawn, Handle, Moving))]
        return [block.distance if isinstance(block, Moving) else block.figure for block in drawn]


def more_figures(figures: Sequence[Figure]) -> list[Section]:
    """Figures behind the first one, folded."""
    return [Section("More figures", [Drawn(figure) for figure in figures])] if figures else []
