"""What a result shows of itself in Python: a data frame, a figure, and what notebooks and terminals display.

Imports point from what is computed to what people look at, and these four methods are the one way back: a result asks
`suffice.report` when somebody looks at it, and not before.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from rich.console import RenderableType


class Shown:
    """A result that can be looked at.

    Example:
        >>> from suffice import SufficientSize
        >>> answer = SufficientSize(
        ...     criterion="target_accuracy", tolerance=0.9, relative=False, size=740, low=560, high=None,
        ...     status="extrapolated", explanation="An accuracy of 0.9 with 740 samples (560 or more, no upper end).",
        ... )
        >>> print(answer.to_dataframe().T.to_string(header=False))  # doctest: +NORMALIZE_WHITESPACE
        criterion                  target accuracy
        tolerance or target                    0.9
        relative to the loss                 False
        training samples                       740
        training samples (low)                 560
        training samples (high)               <NA>
        confidence, %                         90.0
        status                        extrapolated
        >>> from matplotlib.figure import Figure
        >>> answer.plot(Figure().subplots()).get_xlabel()
        'training samples'
        >>> "<strong>An accuracy of 0.9 with 740 samples" in answer._repr_html_()
        True
    """

    def plain(self) -> Any:
        """The result as a plain value, of a type of `suffice.results`: itself, unless it holds arrays or tensors."""
        return self

    def to_dataframe(self) -> "pd.DataFrame":
        """A tidy table: a row for each size, eigenvalue, training or other unit; low and high beside each estimate.

        Columns are named as the axes of figures are, with their units; accuracies are in percent. What is not known is
        missing.
        """
        from suffice.report.views import view_of  # noqa: PLC0415
        from suffice.report.views.frame import frame_of  # noqa: PLC0415

        return frame_of(view_of(self.plain()))

    def plot(self, ax: "Axes | None" = None, figure: str | None = None) -> "Axes":
        """Draws the figure that shows the answer, in the style that is set; `suffice.style` has one for papers.

        Args:
            ax: axes to draw on; None makes some with pyplot.
            figure: another figure of the result by its name, which is that of its files in a report.

        Returns:
            The axes, which have names but no title.

        Raises:
            InputError: no figure of that name, or nothing to draw.
        """
        from suffice.report.views import view_of  # noqa: PLC0415
        from suffice.report.views.drawn import plot  # noqa: PLC0415

        return plot(view_of(self.plain()), ax, figure)

    def _repr_html_(self) -> str:
        """The answer and the table for a notebook: no script, no colours of its own, all text escaped."""
        from suffice.report.views import view_of  # noqa: PLC0415
        from suffice.report.views.html import html_of  # noqa: PLC0415

        return html_of(view_of(self.plain()))

    def __rich__(self) -> "RenderableType":
        """The same for `rich.print` and the terminal."""
        from suffice.report.views import view_of  # noqa: PLC0415
        from suffice.report.views.terminal import renderable_of  # noqa: PLC0415

        return renderable_of(view_of(self.plain()))
