"""The page of ``suffice curvature``."""

from suffice.report.answers.curvature import curvature_answer
from suffice.report.figures.curvature import curvature_figures
from suffice.report.figures.surface import distance_figure, surface_caption, surfaces
from suffice.report.pages.page import Bullets, Drawn, Moving, Page, Section, Table, Words, more_figures
from suffice.results import CurvatureResult, SurfaceAlongK


def curvature_page(result: CurvatureResult) -> Page:
    """The surface along k if it was measured, the spectrum, the layers, and what one more sample changes."""
    spectrum, *others = curvature_figures(result)
    layers, trained = _layers(result), "" if result.trained is None else f", trained ({result.trained})"
    return Page(
        command="curvature",
        subject=(f"{result.model}{trained}", result.data, f"{result.samples:,} samples"),
        question=f"Curvature of {result.model} on {result.data}",
        answer=curvature_answer(result),
        picture=Drawn(spectrum) if result.surface is None else moving(result.surface),
        sections=[
            *([] if result.surface is None else [Section("The spectrum", [Drawn(spectrum)], is_open=True)]),
            Section("By layer", [layers]),
            *more_figures(others),
            Section("How it was computed", [Words(sentence) for sentence in _computed(result)]),
            Section("What this does not tell", [Bullets(UNTOLD)]),
        ],
        result=result,
        table=layers,
        notes=result.notes,
    )


def moving(surface: SurfaceAlongK) -> Moving:
    """A surface with its slider."""
    return Moving(surface, surfaces(surface), distance_figure(surface), surface_caption(surface))


def _layers(result: CurvatureResult) -> Table:
    largest = max((abs(layer.largest.value) for layer in result.layers), default=0.0)
    rows = [
        [layer.name, f"{layer.parameters:,}", str(layer.trace), f"{layer.largest.value:.3g}"] for layer in result.layers
    ]
    rows.append(
        [
            "all",
            f"{result.moving_parameters:,}",
            str(result.spectrum.trace),
            f"{result.spectrum.eigenvalues[0].value:.3g}",
        ]
    )
    shares = [abs(layer.largest.value) / largest if largest > 0 else 0.0 for layer in result.layers]
    return Table(
        "layers",
        ["layer", "parameters", "trace", "largest eigenvalue"],
        rows,
        "Diagonal blocks of the Hessian: the trace with its standard error, and the eigenvalue that is largest by "
        "magnitude.",
        bars={3: [*shares, 0.0]},
    )


def _computed(result: CurvatureResult) -> list[str]:
    return [
        f"The Hessian H is the second derivative of the mean loss of {result.samples:,} samples in "
        f"{result.moving_parameters:,} parameters. No matrix is made: all numbers come from products of H with "
        "vectors.",
        "Eigenvalues are those of a Krylov space that is restarted until their residuals are small; trace, norm and "
        "density come from random vectors, with their standard errors; docs/curvature.md has the methods.",
    ]


UNTOLD = (
    "Whether a flatter surface means a better model: curvature depends on how the weights are scaled.",
    "The surface away from the plane that is drawn, and from the samples that were measured.",
)
