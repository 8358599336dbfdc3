"""How far the minimum moves when samples are added."""

from suffice.report.figures.figure import Curve, Figure
from suffice.report.figures.study.axes import size_ticks
from suffice.report.figures.study.methods import colors_of_methods, surfaces_of
from suffice.results import StudyResult


def moved_figure(result: StudyResult) -> Figure:
    """||w*_k − w*_m||, a line for each method and seed."""
    curves = []
    named: set[str] = set()
    colors = dict(colors_of_methods(result))
    for surface in surfaces_of(result):
        if len(surface.sizes) > 1:
            name = "" if surface.method in named else surface.method
            curves.append(Curve(name, surface.sizes, surface.distance, colors[surface.method], "joined"))
            named.add(surface.method)
    return Figure(
        name="moved",
        title="How far the minimum moves when samples are added",
        caption=(
            "||w*_k − w*_m||, from the end of the training on the first k samples to that on all of them; one line a "
            "seed. The paper holds the weights fixed while samples are added; here one sees how far they go."
        ),
        x_label="number of samples k",
        y_label="distance of the minima, ‖w*_k − w*_m‖",
        curves=curves,
        log="x",
        ticks=size_ticks(curves),
    )
