"""A figure of a view on axes."""

from matplotlib.axes import Axes

from suffice.errors import InputError
from suffice.report.figures.figure import Surfaces
from suffice.report.matplotlib import draw_contours_on, draw_on
from suffice.report.views.view import View


def plot(view: View, ax: Axes | None, name: str | None) -> Axes:
    """Draws the first figure, or the one of a name; of surfaces the contours of the last.

    Args:
        view: of the result.
        ax: axes; None makes some.
        name: of the figure.

    Raises:
        InputError: there is none, or none of that name.
    """
    figures = {figure.name: figure for figure in view.draw()}
    if not figures:
        raise InputError(f"nothing to draw: {view.answer[0]}")
    figure = next(iter(figures.values())) if name is None else figures.get(name)
    if figure is None:
        raise InputError(f'figure = "{name}": this result has {", ".join(figures)}')
    if ax is None:
        from matplotlib import pyplot as plt  # noqa: PLC0415 - it looks for a display

        ax = plt.subplots()[1]
    if isinstance(figure, Surfaces):
        filled = draw_contours_on(ax, figure, len(figure.sizes) - 1)
        if (canvas := ax.get_figure(root=True)) is not None:
            canvas.colorbar(filled, ax=ax, label=figure.label, format="%.3g")
    else:
        draw_on(ax, figure)
    return ax
