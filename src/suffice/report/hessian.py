"""The report of ``suffice hessian``: heat maps, block norms and spectra along the training."""

import base64
import io
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float64
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm, to_hex
from matplotlib.figure import Figure as Canvas
from PIL import Image

from suffice.report.drawing import save_figures
from suffice.report.figures import BLACK, BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, Curve, Figure, Style
from suffice.report.page import TEMPLATES, plotly_code, script_plots
from suffice.results import BoundName, HessianResult, HessianSummary, Moment, PartName
from suffice.storage import atomic_write

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


def heat_map_file(folder: Path, epoch: int) -> Path:
    """Where a run keeps the cells of |H|, |H_o| and |H_f| at an epoch, (3, cells, cells)."""
    return folder / "moments" / f"epoch_{epoch}.npy"


def write_hessian_report(result: HessianResult, folder: Path) -> None:
    """Writes ``result.json``, the figures, and the self-contained ``report.html``.

    The heat maps are read from the folder; see `heat_map_file`.
    """
    with atomic_write(folder / "result.json") as file:
        file.write(result.model_dump_json(indent=1).encode())
    files = [heat_map_file(folder, moment.epoch) for moment in result.moments]
    maps = np.stack([np.load(file, allow_pickle=False).astype(np.float64) for file in files])
    figures = [_spectrum(result), _norms(result), _bounds(result)]
    save_figures(figures, folder / "figures")
    pictures = []
    for moment, of_moment in zip(result.moments, maps, strict=True):
        picture = _png(_draw_heat_maps(of_moment, result, float(maps.max())))
        with atomic_write(folder / "figures" / f"heat_maps_epoch_{moment.epoch}.png") as file:
            file.write(picture)
        pictures.append((moment, f"data:image/png;base64,{base64.b64encode(picture).decode()}"))
    with atomic_write(folder / "report.html") as file:
        file.write(_page(result, figures, pictures).encode())


def _png(canvas: Canvas) -> bytes:
    """With 256 colours, which take a third of the room and look the same."""
    drawn, stored = io.BytesIO(), io.BytesIO()
    canvas.savefig(drawn, format="png", dpi=110)
    picture = Image.open(drawn).convert("RGB").quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    picture.save(stored, format="png", optimize=True)
    return stored.getvalue()


def _page(result: HessianResult, figures: Sequence[Figure], pictures: Sequence[tuple[Moment, str]]) -> str:
    tables = [
        (moment, title, list(_rows(result, moment.parts[part])))
        for moment in result.moments
        for part, title in PARTS.items()
    ]
    return TEMPLATES.get_template("hessian.html.j2").render(
        result=result,
        size=sum(result.parameters.values()),
        pictures=pictures,
        figures=figures,
        plots=script_plots(figures),
        names=[_short(name) for name in result.parameters],
        tables=tables,
        parts=PARTS,
        decades=DECADES,
        plotly=plotly_code(),
    )


def _rows(result: HessianResult, summary: HessianSummary) -> Iterator[tuple[str, list[tuple[str, float]]]]:
    """For each parameter the norms of its blocks, and how dark their cells are: from 0 to 1 over the decades."""
    largest = max(max(row) for row in summary.block_norms)
    for name, row in zip(result.parameters, summary.block_norms, strict=True):
        shades = [max(0.0, 1 + np.log10(norm / largest) / DECADES) if norm > 0 and largest > 0 else 0.0 for norm in row]
        yield _short(name), [(f"{norm:.2g}", shade) for norm, shade in zip(row, shades, strict=True)]


def _spectrum(result: HessianResult) -> Figure:
    curves = []
    for number, moment in enumerate(result.moments):
        color = to_hex(colormaps["viridis"](0.9 * number / max(1, len(result.moments) - 1)))
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
        x_label="rank",
        y_label="eigenvalue",
        curves=curves,
    )


def _norms(result: HessianResult) -> Figure:
    epochs = [moment.epoch for moment in result.moments]
    curves = [
        Curve(name, epochs, [moment.parts["full"].block_norms[place][place] for moment in result.moments], color)
        for place, name, color in _layers(result)
    ]
    whole = [moment.parts["full"].spectral for moment in result.moments]
    return Figure(
        name="norms",
        title="Norms of the blocks along the training",
        caption="Spectral norms of the Hessian and of its blocks on the diagonal, of the mean cross-entropy.",
        x_label="epoch",
        y_label="spectral norm",
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
        for place, name, color in _layers(result):
            blocks = [(moment.bounds[kind], moment.parts["full"]) for moment in result.moments]
            ratios = [bound.block_norms[place][place] / (full.block_norms[place][place] or 1) for bound, full in blocks]
            curves.append(Curve(name if kind == "data" else "", epochs, ratios, color, style))
    return Figure(
        name="bounds",
        title="Bound over measured norm along the training",
        caption=(
            "Upper bounds of the norms, which need no Hessian, over the norms as they are. Solid: from the activations "
            "of the samples; dashed: from the norms of weights and inputs alone. A bound is the mean over the samples "
            "of bounds, so that part of its excess is that of the mean of norms over the norm of the mean."
        ),
        x_label="epoch",
        y_label="bound / measured",
        curves=curves,
        log="y",
    )


def _layers(result: HessianResult) -> Iterator[tuple[int, str, str]]:
    """Place, name and colour of the parameters that are drawn."""
    for place, parameter in enumerate(result.parameters):
        if _short(parameter) in LAYERS:
            yield place, *LAYERS[_short(parameter)]


def _draw_heat_maps(maps: Float64[np.ndarray, "parts cells cells"], result: HessianResult, largest: float) -> Canvas:
    """Three pictures of |H| beside each other, with lines between the blocks of the parameters."""
    sizes = list(result.parameters.values())
    ends = np.array([0, *itertools.accumulate(sizes)])
    middles = (ends[1:] + ends[:-1]) / 2
    # names of narrow blocks would lie upon each other
    named = [place for place, size in enumerate(sizes) if size >= 0.03 * ends[-1]]
    canvas = Canvas(figsize=(15, 5.2), layout="constrained")
    largest = largest if largest > 0 else 1.0
    colors = ScalarMappable(LogNorm(largest * 10.0**-DECADES, largest), "viridis")
    for axes, picture, title in zip(canvas.subplots(1, 3), maps, PARTS.values(), strict=True):
        axes.imshow(
            np.maximum(picture, largest * 10.0**-DECADES),
            norm=colors.norm,
            cmap=colors.cmap,
            extent=(0, ends[-1], ends[-1], 0),
            interpolation="nearest",
        )
        for end in ends[1:-1]:
            axes.axhline(end, color="white", linewidth=0.4)
            axes.axvline(end, color="white", linewidth=0.4)
        names = [_short(list(result.parameters)[place]) for place in named]
        axes.set_xticks(middles[named], names, rotation=90)
        axes.set_yticks(middles[named], names)
        axes.tick_params(length=0, labelsize=9)
        axes.set_title(title, fontsize=11)
    canvas.colorbar(colors, ax=canvas.axes, label="root mean square entry of a cell", shrink=0.9)
    return canvas


def _short(name: str) -> str:
    return name.removeprefix("block.")
