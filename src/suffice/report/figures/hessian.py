"""Figures of ``suffice hessian``: heat maps, the spectrum, norms of the blocks and how far bounds are above them."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float64

from suffice.report.figures.figure import (
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
    Style,
    shade,
)
from suffice.results import BoundName, HessianResult, PartName

PARTS: dict[PartName, str] = {
    "full": "H = H_o + H_f",
    "outer": "H_o: outer-product part",
    "functional": "H_f: functional part",
}

DECADES = 5
"""Orders of magnitude that the colours of a heat map run over."""

LAYERS = {
    "W_Q": ("queries", BLUE),
    "W_QK": ("queries and keys", BLUE),
    "W_K": ("keys", SKY),
    "W_V": ("values", ORANGE),
    "W_1": ("feed-forward, W_1", GREEN),
    "W_2": ("feed-forward, W_2", PURPLE),
    "gamma_1": ("normalisation, γ_1", GREY),
}
"""The blocks whose norms are drawn along the training."""


def hessian_figures(result: HessianResult) -> list[Figure]:
    """The spectrum, the norms of the blocks along the training, and bound over measured norm."""
    return [_spectrum(result), _norms(result), _bounds(result)]


def heat_maps(result: HessianResult, cells: Float64[np.ndarray, "moments parts cells cells"]) -> list[HeatMaps]:
    """|H|, |H_o| and |H_f| at each moment, all on the colours of the largest cell."""
    largest = float(cells.max())
    return [
        HeatMaps(
            name=f"heat_maps_epoch_{moment.epoch}",
            titles=list(PARTS.values()),
            cells=of_moment,
            blocks={short_name(name): size for name, size in result.parameters.items()},
            label="root mean square entry of a cell",
            largest=largest if largest > 0 else 1.0,
            decades=DECADES,
        )
        for moment, of_moment in zip(result.moments, cells, strict=True)
    ]


def short_name(parameter: str) -> str:
    """The name of a parameter without that of the block that all of them are in."""
    return parameter.removeprefix("block.")


def _spectrum(result: HessianResult) -> Figure:
    curves = []
    for number, moment in enumerate(result.moments):
        color = shade(number, len(result.moments))
        pairs = list(zip(moment.ranks, moment.eigenvalues, strict=True))
        size = moment.ranks[-1]
        # what is below rounding is no eigenvalue that could be told from zero
        least = 1e-14 * max(abs(value) for _, value in pairs)
        positive = [(rank, value) for rank, value in pairs if value > least]
        negative = [(size + 1 - rank, -value) for rank, value in reversed(pairs) if value < -least]
        kinds: list[tuple[list[tuple[int, float]], str, Style]] = [
            (positive, f"epoch {moment.epoch}, {moment.outliers} outliers", "solid"),
            (negative, "" if number else "negative: |λ|", "dashed"),
            (positive[: moment.outliers], "", "points"),
        ]
        for values, name, style in kinds:
            if values:
                x, y = zip(*values, strict=True)
                curves.append(Curve(name, x, y, color, style))
    return Figure(
        name="spectrum",
        title="The spectrum of the Hessian, and its outliers",
        caption=(
            "Eigenvalues of the full Hessian by their rank, positive ones from the largest down, and the absolute "
            "values of negative ones from the most negative up (dashed). Outliers (points) are those before the widest "
            f"gap among the largest {4 * result.classes} (the largest ratio of one to the next)."
        ),
        x_label="rank of the eigenvalue",
        y_label="eigenvalue; of negative ones the absolute value",
        curves=curves,
    )


def _norms(result: HessianResult) -> Figure:
    epochs = [moment.epoch for moment in result.moments]
    curves = [
        Curve(name, epochs, [moment.parts["full"].block_norms[index][index] for moment in result.moments], color)
        for index, name, color in _layers(result)
    ]
    whole = [moment.parts["full"].spectral for moment in result.moments]
    return Figure(
        name="norms",
        title="Norms of the blocks along the training",
        caption="Spectral norms of the Hessian and of its blocks on the diagonal, of the mean cross-entropy.",
        x_label="training, epochs",
        y_label="spectral norm of the block",
        curves=[Curve("the whole", epochs, whole, BLACK), *curves],
        log="y",
    )


def _bounds(result: HessianResult) -> Figure:
    epochs = [moment.epoch for moment in result.moments]
    styles: dict[BoundName, Style] = {"data": "solid", "a_priori": "dashed"}
    curves = []
    for kind, style in styles.items():
        whole = [moment.bounds[kind].spectral / (moment.parts["full"].spectral or 1) for moment in result.moments]
        curves.append(Curve("the whole" if kind == "data" else "a priori", epochs, whole, BLACK, style))
        for index, name, color in _layers(result):
            blocks = [(moment.bounds[kind], moment.parts["full"]) for moment in result.moments]
            ratios = [bound.block_norms[index][index] / (full.block_norms[index][index] or 1) for bound, full in blocks]
            curves.append(Curve(name if kind == "data" else "", epochs, ratios, color, style))
    return Figure(
        name="bounds",
        title="Bound over measured norm along the training",
        caption=(
            "Upper bounds of the norms, which need no Hessian, over the norms as they are. Solid: from the activations "
            "of the samples; dashed: from the norms of weights and inputs alone. A bound is the mean over the samples "
            "of bounds, so that part of its excess is that of the mean of norms over the norm of the mean."
        ),
        x_label="training, epochs",
        y_label="bound over measured norm",
        curves=curves,
        log="y",
    )


def _layers(result: HessianResult) -> Iterator[tuple[int, str, str]]:
    """Index, name and colour of the parameters that are drawn."""
    for index, parameter in enumerate(result.parameters):
        if short_name(parameter) in LAYERS:
            yield index, *LAYERS[short_name(parameter)]
