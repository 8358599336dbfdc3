"""The figures of a report, grouped by type of result: what to draw, as plain values, and not how."""

from suffice.report.figures.figure import (
    AMBER,
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SKY,
    Curve,
    Figure,
    HeatMaps,
    Mark,
    Style,
    Surfaces,
    shade,
)

__all__ = [
    "AMBER",
    "BLACK",
    "BLUE",
    "GREEN",
    "GREY",
    "ORANGE",
    "PURPLE",
    "SKY",
    "Curve",
    "Figure",
    "HeatMaps",
    "Mark",
    "Style",
    "Surfaces",
    "shade",
]
