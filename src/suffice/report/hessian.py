"""The report of ``suffice hessian``: heat maps, block norms and spectra along the training."""

import base64
import io
import itertools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import plotly.io
import plotly.offline
from jaxtyping import Float64
from markupsafe import Markup
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure as Canvas

from suffice.report.drawing import save_figures
from suffice.report.figures import BLACK, BLUE, GREEN, GREY, ORANGE, Curve, Figure, Style
from suffice.report.page import TEMPLATES, interactive, script_json
from suffice.results import HessianResult, HessianSummary, Moment, PartName
from suffice.storage import atomic_write

PARTS: dict[PartName, str] = {
    "full": "H = H_o + H_f",
    "outer": "H_o: outer-product part",
    "functional": "H_f: functional part",
}

DECADES = 5
"""Orders of magnitude that the colours of a heat map run over."""

COLORS = (GREY, BLUE, GREEN, ORANGE, BLACK)


def heat_map_file(folder: Path, epoch: int) -> Path:
    """Where a run keeps the cells of |H|, |H_o| and |H_f| at an epoch, (3, cells, cells)."""
    return folder / "moments" / f"epoch_{epoch}.npy"


def write_hessian_report(result: HessianResult, folder: Path) -> None:
    """Writes ``result.json``, the figures, and the self-contained ``report.html``.

    The heat maps are read from the folder; see `heat_map_file`.
    """
    with atomic_write(folder / "result.json") as file:
        file.write(result.model_dump_json(indent=2).encode())
    files = [heat_map_file(folder, moment.epoch) for moment in result.moments]
    maps = np.stack([np.load(file, allow_pickle=False).astype(np.float64) for file in files])
    spectrum = _spectrum(result)
    save_figures([spectrum], folder / "figures")
    pictures = []
    for moment, of_moment in zip(result.moments, maps, strict=True):
        stream = io.BytesIO()
        canvas = _draw_heat_maps(of_moment, result, float(maps.max()))
        canvas.savefig(stream, format="png", dpi=120, metadata={"Software": "suffice"})
        with atomic_write(folder / "figures" / f"heat_maps_epoch_{moment.epoch}.png") as file:
            file.write(stream.getvalue())
        pictures.append((moment, f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode()}"))
    with atomic_write(folder / "report.html") as file:
        file.write(_page(result, spectrum, pictures).encode())


def _page(result: HessianResult, spectrum: Figure, pictures: Sequence[tuple[Moment, str]]) -> str:
    tables = [
        (moment, title, list(_rows(result, moment.parts[part])))
        for moment in result.moments
        for part, title in PARTS.items()
    ]
    return TEMPLATES.get_template("hessian.html.j2").render(
        result=result,
        size=sum(result.parameters.values()),
        pictures=pictures,
        spectrum=spectrum,
        plot=script_json(json.loads(plotly.io.to_json(interactive(spectrum)))),
        names=[_short(name) for name in result.parameters],
        tables=tables,
        parts=PARTS,
        decades=DECADES,
        plotly=Markup(plotly.offline.get_plotlyjs()),
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
        color = COLORS[round(number * (len(COLORS) - 1) / max(1, len(result.moments) - 1))]
        pairs = list(zip(moment.ranks, moment.eigenvalues, strict=True))
        size = moment.ranks[-1]
        # what is below rounding is no eigenvalue that could be told from zero
        least = 1e-14 * max(abs(value) for _, value in pairs)
        positive = [(rank, value) for rank, value in pairs if value > least]
        negative = [(size + 1 - rank, -value) for rank, value in reversed(pairs) if value < -least]
        epoch = f"epoch {moment.epoch}"
        kinds: list[tuple[list[tuple[int, float]], str, Style]] = [
            (positive, epoch, "solid"),
            (negative, f"{epoch}, negative: |λ|", "dashed"),
            (positive[: moment.outliers], f"{epoch}: {moment.outliers} outliers", "points"),
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
            "values of negative ones from the most negative up. Outliers are those before the widest gap among the "
            f"largest {4 * result.classes} (the largest ratio of one to the next)."
        ),
        x_label="rank",
        y_label="eigenvalue",
        curves=curves,
    )


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
