"""Views of curvature: spectra, densities, layers, what one more sample changes, and surfaces."""

from suffice.report.answers import curvature_answer
from suffice.report.figures.curvature import curvature_figures, density_figure, hessian_gap_figure
from suffice.report.figures.eigenvalues import along_k_figures, eigenvalue_figure
from suffice.report.figures.figure import Figure, Surfaces
from suffice.report.figures.surface import distance_figure, surfaces
from suffice.report.views import sentences
from suffice.report.views.view import Column, View
from suffice.results import (
    CurvatureResult,
    Density,
    Eigenvalue,
    Eigenvalues,
    EigenvaluesAlongK,
    GapsAlongK,
    Spectrum,
    SurfaceAlongK,
)


def curvature_view(result: CurvatureResult) -> View:
    """A row for each layer, and one for all."""
    layers, spectrum = result.layers, result.spectrum
    traces = [*(layer.trace for layer in layers), spectrum.trace]
    columns = [
        Column("layer", [*(layer.name for layer in layers), "all"]),
        Column("parameters", [*(layer.parameters for layer in layers), result.moving_parameters]),
        Column("trace", [trace.value for trace in traces]),
        Column("standard error of the trace", [trace.error for trace in traces]),
        Column("largest eigenvalue", [*(layer.largest.value for layer in layers), spectrum.eigenvalues[0].value]),
    ]

    def figures() -> list[Figure | Surfaces]:
        surface = result.surface
        drawn: list[Figure | Surfaces] = [*curvature_figures(result)]
        return drawn if surface is None else [*drawn, surfaces(surface), distance_figure(surface)]

    return View(sentences.of_answer(curvature_answer(result)), columns, figures, result.notes)


def spectrum_view(spectrum: Spectrum) -> View:
    """A row for each eigenvalue, the largest by magnitude first."""
    more = f"The sum of all is {spectrum.trace}, the root of the sum of their squares {spectrum.frobenius}."
    return _of_eigenvalues(spectrum.eigenvalues, more)


def eigenvalues_view(found: Eigenvalues) -> View:
    """A row for each eigenvalue, the largest by magnitude first."""
    return _of_eigenvalues(found.eigenvalues, f"There are {found.parameters:,} in all.")


def _of_eigenvalues(found: list[Eigenvalue], more: str) -> View:
    columns = [
        Column("rank by magnitude", list(range(1, len(found) + 1))),
        Column("eigenvalue", [one.value for one in found]),
        Column("residual", [one.residual for one in found]),
    ]
    below = sum(one.value < 0 for one in found)
    signs = "all are positive" if not below else f"{below} of {len(found)} are negative"
    answer = f"The largest eigenvalue by magnitude is {found[0].value:.3g}; {signs}."
    return View([answer, more], columns, lambda: [eigenvalue_figure(found)])


def density_view(density: Density) -> View:
    """A row for each point of the grid."""
    columns = [
        Column("eigenvalue", density.grid),
        Column("share of the eigenvalues per unit", density.density),
        Column("standard error", density.error),
    ]
    peak = density.grid[max(range(len(density.grid)), key=lambda index: density.density[index])]
    answer = f"The density of the eigenvalues is largest at {peak:.3g}; the grid is {density.grid[0]:.3g} to "
    answer += f"{density.grid[-1]:.3g}, and each eigenvalue is a Gaussian of standard deviation {density.width:.2g}."
    return View([answer], columns, lambda: [density_figure(density)])


def gaps_view(gaps: GapsAlongK) -> View:
    """A row for each size k."""
    above = [value + residual for value, residual in zip(gaps.hessian, gaps.residual, strict=True)]
    columns = [
        Column("samples k", gaps.sizes),
        Column("loss, |l_{k+1} − L_k|", gaps.loss),
        Column("gradient, ‖g_{k+1} − G_k‖", gaps.gradient),
        Column("Hessian, ‖h_{k+1} − H_k‖", gaps.hessian, gaps.hessian, above),
    ]
    answer = (
        f"Sample k + 1 differs from the mean of those before it by {min(gaps.hessian):.3g} to {max(above):.3g} in its "
        f"Hessian (spectral norm), by {min(gaps.gradient):.3g} to {max(gaps.gradient):.3g} in its gradient and by "
        f"{min(gaps.loss):.3g} to {max(gaps.loss):.3g} in its loss."
    )
    return View([answer], columns, lambda: [hessian_gap_figure(gaps)])


def along_k_view(found: EigenvaluesAlongK) -> View:
    """A row for each order of the samples, size and eigenvalue."""
    rows = [
        (order, column, rank)
        for order, of_order in enumerate(found.values)
        for column, of_size in enumerate(of_order)
        for rank in range(len(of_size))
    ]
    columns = [
        Column("order of the samples", [order for order, *_ in rows]),
        Column("samples k", [found.sizes[column] for _, column, _ in rows]),
        Column("rank by magnitude", [rank + 1 for *_, rank in rows]),
        Column("eigenvalue", [found.values[order][column][rank] for order, column, rank in rows]),
        Column("residual", [found.residuals[order][column][rank] for order, column, rank in rows]),
        Column("overlap with all samples", [found.overlap[order][column] for order, column, _ in rows]),
    ]
    first, last = found.values[0][0][0], found.values[0][-1][0]
    answer = (
        f"The largest eigenvalue by magnitude is {first:.3g} of the first {found.sizes[0]:,} samples, and {last:.3g} "
        f"of {found.sizes[-1]:,}."
    )
    return View([answer], columns, lambda: along_k_figures(found))


def surface_view(surface: SurfaceAlongK) -> View:
    """A row for each size k; the data frame has one for each size and point of the grid."""
    columns = [
        Column("samples k", surface.sizes),
        Column("loss: distance from all samples, RMS over the plane", surface.distance),
        Column("loss: distance from all samples at w*", surface.at_center),
        Column("loss: distance expected by chance alone", surface.chance),
    ]

    def cells() -> list[Column]:
        losses = surface.losses()
        points = [(k, x, y) for k in surface.sizes for y in surface.y for x in surface.x]
        unit = "‖w − w*‖ / ‖w*‖"
        return [
            Column("samples k", [k for k, _, _ in points]),
            Column(f"{surface.labels[0]}, {unit}", [x for _, x, _ in points]),
            Column(f"{surface.labels[1]}, {unit}", [y for _, _, y in points]),
            Column("mean loss", losses.ravel().tolist()),
        ]

    answer = (
        f"The surface of {surface.sizes[-1]:,} samples on {len(surface.x)} × {len(surface.y)} points; that of "
        f"{surface.sizes[-2]:,} is {surface.distance[-2]:.3g} away, root mean square of the mean loss."
        if len(surface.sizes) > 1
        else f"The surface of {surface.sizes[0]:,} samples on {len(surface.x)} × {len(surface.y)} points."
    )
    return View([answer], columns, lambda: [surfaces(surface), distance_figure(surface)], cells=cells)
