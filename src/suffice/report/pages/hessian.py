"""The page of ``suffice hessian``."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float64

from suffice.report.answers.hessian import hessian_answer
from suffice.report.figures.hessian import DECADES, PARTS, heat_maps, hessian_figures, short_name
from suffice.report.pages.page import Block, Drawn, Maps, Page, Section, Table, Words, more_figures
from suffice.results import HessianResult, HessianSummary


def hessian_page(result: HessianResult, cells: Float64[np.ndarray, "moments parts cells cells"] | None) -> Page:
    """Heat maps, the spectrum, and the norms of all blocks.

    Args:
        result: what was measured.
        cells: of |H|, |H_o| and |H_f| at each moment; without them there are no heat maps.
    """
    figures = hessian_figures(result)
    maps = [] if cells is None else list(_maps(result, cells))
    spectrum, *others = figures
    moments, size = _moments(result), sum(result.parameters.values())
    picture: Maps | Drawn = maps[-1] if maps else Drawn(spectrum)
    missing: list[Section] = []
    if not maps:
        words = "The arrays of the heat maps (moments/*.npy) are not in this folder, so that they cannot be drawn."
        missing = [Section("Heat maps", [Words(words)])]
    return Page(
        command="hessian",
        subject=(
            "a transformer block with a classifier",
            result.data,
            f"{size:,} parameters, {result.samples:,} samples",
        ),
        question=f"The Hessian of a transformer block on {result.data}",
        answer=hessian_answer(result),
        picture=picture,
        sections=[
            Section("Along the training", [moments, _bounds(result), *maps[:-1]]),
            *missing,
            *more_figures(figures if maps else others),
            Section("Norm of every block", list(_norms(result))),
            Section("How it was computed", [Words(sentence) for sentence in COMPUTED]),
        ],
        result=result,
        table=moments,
    )


COMPUTED = (
    "H is the second derivative of the mean cross-entropy in all weights, in closed form. H = H_o + H_f: the "
    "outer-product part H_o is what the curvature of the loss makes of the first derivatives of the logits, and is "
    "never "
    "negative; the functional part H_f is what the bending of the logits themselves adds.",
    "Norms are spectral: the largest |eigenvalue|. The bounds are of the norm of H, and need no Hessian; "
    "docs/theory.md "
    "derives all of them.",
)


def _maps(result: HessianResult, cells: Float64[np.ndarray, "moments parts cells cells"]) -> Iterator[Maps]:
    for moment, maps in zip(result.moments, heat_maps(result, cells), strict=True):
        when = ", initialisation" if moment.epoch == 0 else ""
        yield Maps(
            maps,
            f"Epoch {moment.epoch}{when}",
            f"Epoch {moment.epoch}{when}. |H|, with the blocks of the parameters marked. Each cell is the root mean "
            "square "
            f"of the entries in it; colours go over {DECADES} decades below the largest cell of all moments. Narrow "
            "blocks have no name here.",
        )


def _moments(result: HessianResult) -> Table:
    parts = [title.split(":")[0].split(" ")[0] for title in PARTS.values()]
    rows = []
    for moment in result.moments:
        norms = [f"{moment.parts[part].spectral:.3g}" for part in PARTS]
        rows.append(
            [
                f"{moment.epoch}",
                f"{moment.loss:.3f}",
                f"{moment.accuracy:.1%}",
                f"{moment.parts['full'].trace:.3g}",
                *norms,
                f"{moment.outliers}",
            ]
        )
    columns = ["epoch", "loss", "accuracy", "trace", *(f"|{part}|" for part in parts)]
    return Table(
        "moments", [*columns, "outliers"], rows, "Norms are spectral: the largest |eigenvalue|. H = H_o + H_f."
    )


def _bounds(result: HessianResult) -> Table:
    named = {"data": "from activations", "a_priori": "a priori"}
    rows = [
        [
            f"{moment.epoch}",
            f"{moment.parts['full'].spectral:.3g}",
            *(f"{of.spectral:.3g}" for of in moment.bounds.values()),
        ]
        for moment in result.moments
    ]
    columns = ["epoch", "|H|", *(f"bound {named[bound]}" for bound in result.moments[0].bounds)]
    return Table("bounds", columns, rows, "Upper bounds of the norm of H, which need no Hessian.")


def _norms(result: HessianResult) -> Iterator[Block]:
    yield Words(
        "Spectral norms, the largest singular value of each block. The stronger the colour, the larger, over "
        f"{DECADES} decades."
    )
    names = [short_name(name) for name in result.parameters]
    last = result.moments[-1]
    for part, title in PARTS.items():
        rows, shades = _rows(names, last.parts[part])
        yield Table(f"norms-{part}", [f"epoch {last.epoch}, {title}", *names], rows, shades=shades)


def _rows(names: list[str], summary: HessianSummary) -> tuple[list[list[str]], list[list[float]]]:
    """For each parameter the norms of its blocks, and how dark their cells are: from 0 to 1 over the decades."""
    largest = max(max(row) for row in summary.block_norms)
    rows, shades = [], []
    for name, norms in zip(names, summary.block_norms, strict=True):
        rows.append([name, *(f"{norm:.2g}" for norm in norms)])
        shades.append(
            [
                max(0.0, 1 + float(np.log10(norm / largest)) / DECADES) if norm > 0 and largest > 0 else 0.0
                for norm in norms
            ]
        )
    return rows, shades
