"""Figures of eigenvalues by themselves: by rank, and as samples are added."""

from collections.abc import Sequence

from suffice.report.figures.figure import BLUE, GREEN, Curve, Figure, shade
from suffice.results import Eigenvalue, EigenvaluesAlongK

MOST = 20
"""Ranks that each have a number on the axis."""


def eigenvalue_figure(found: Sequence[Eigenvalue]) -> Figure:
    """Eigenvalues by their rank, with a band of one residual on each side."""
    ranks, values = list(range(1, len(found) + 1)), [one.value for one in found]
    return Figure(
        name="eigenvalues",
        title="The eigenvalues that are largest by magnitude",
        caption="The band is one residual on each side: an eigenvalue of the matrix is at most so far from each point.",
        x_label="rank by magnitude",
        y_label="eigenvalue",
        curves=[
            Curve(
                "",
                ranks,
                values,
                BLUE,
                "joined",
                [one.value - one.residual for one in found],
                [one.value + one.residual for one in found],
            )
        ],
        log="",
        from_zero=min(values) >= 0,
        ticks=ranks if len(ranks) <= MOST else (),
    )


def along_k_figures(found: EigenvaluesAlongK) -> list[Figure]:
    """The eigenvalues, and the overlap of their subspace with that of all samples, against k; a line for each order."""
    count = len(found.values[0][0])
    curves = [
        Curve(
            f"rank {rank + 1}" if order == 0 else "",
            found.sizes,
            [of_size[rank] for of_size in of_order],
            shade(rank, count),
            "joined",
        )
        for order, of_order in enumerate(found.values)
        for rank in range(count)
    ]
    return [
        Figure(
            name="eigenvalues",
            title="The largest eigenvalues as samples are added",
            caption="Of the Hessian of the first k samples at fixed weights; one line for each order of the samples.",
            x_label="number of samples k",
            y_label="eigenvalue",
            curves=curves,
            log="x",
            from_zero=all(value >= 0 for curve in curves for value in curve.y),
        ),
        Figure(
            name="overlap",
            title="The subspace of the largest eigenvalues as samples are added",
            caption="Overlap of the eigenvectors with those of all samples: 1 for the same subspace.",
            x_label="number of samples k",
            y_label="overlap with the subspace of all samples",
            curves=[Curve("", found.sizes, overlap, GREEN, "joined") for overlap in found.overlap],
            log="x",
        ),
    ]
