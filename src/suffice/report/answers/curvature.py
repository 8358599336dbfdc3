"""What the curvature says: the shape of the loss surface at the trained weights, and when samples stop changing it."""

import itertools
from collections.abc import Iterator

from suffice.report.answers.answer import Answer
from suffice.report.answers.words import rounded
from suffice.results import CurvatureResult, SurfaceAlongK, Trust

SETTLED = 0.05
"""Share of the loss at the trained weights below which a change of the surface is small."""

GAP = 2.0
"""Times that one eigenvalue is over the next one for the steep directions to stand out."""

EXACT = 0.05
"""Residual over eigenvalue below which an eigenvalue is known well."""


def curvature_answer(result: CurvatureResult) -> Answer:
    """Whether the surface is a bowl, how many directions are steep, and from which size on it hardly changes."""
    trust = _trust(result)
    return Answer(_sentence(result), trust.word, trust.reason, list(_more(result)), list(_next_steps(result)))


def steep_directions(result: CurvatureResult) -> int | None:
    """The eigenvalues before the widest gap, where that stands out; None otherwise."""
    values = sorted((abs(of.value) for of in result.spectrum.eigenvalues), reverse=True)
    gaps = [
        (before / after if after > 0 else float("inf"), place)
        for place, (before, after) in enumerate(itertools.pairwise(values), 1)
    ]
    widest, place = max(gaps, default=(0.0, 0))
    return place if widest >= GAP else None


def settled_size(surface: SurfaceAlongK, loss: float) -> int | None:
    """The smallest k from which on the surface differs from that of all samples by less than 5% of a loss."""
    far = [index for index, distance in enumerate(surface.distance) if distance > SETTLED * abs(loss)]
    first = far[-1] + 1 if far else 0
    return surface.sizes[first] if first < len(surface.sizes) - 1 else None


def _sentence(result: CurvatureResult) -> str:
    values = [of.value for of in result.spectrum.eigenvalues]
    down, steep = sum(value < 0 for value in values), steep_directions(result)
    if all(value == 0 for value in values):
        shape = "At the trained weights the loss surface is flat"
    elif down:
        shape = (
            f"These weights are no minimum: {down} of the {len(values)} strongest directions of the loss surface "
            "curve downwards"
        )
    elif steep is not None:
        one = "direction" if steep == 1 else "directions"
        shape = f"Around the trained weights the loss surface is a bowl with {steep} steep {one}"
    else:
        shape = (
            f"Around the trained weights the loss surface is a bowl: its {len(values)} strongest directions all "
            "curve upwards"
        )
    if result.surface is None:
        return f"{shape}."
    size = settled_size(result.surface, result.spectrum.loss)
    if size is None:
        return f"{shape}; the surface still changes by more than {SETTLED:.0%} of the loss with the last samples."
    return f"{shape}; adding samples beyond {size:,} changes it by less than {SETTLED:.0%}."


def _more(result: CurvatureResult) -> Iterator[str]:
    values = ", ".join(f"{of.value:.3g}" for of in result.spectrum.eigenvalues)
    yield f"The strongest curvatures (eigenvalues of the Hessian) are {values}."
    yield (
        f"The trace, the sum of all curvatures, is {result.spectrum.trace}; the Frobenius norm is "
        f"{result.spectrum.frobenius}."
    )
    yield f"The mean loss at these weights is {result.spectrum.loss:.3g}."
    strongest = max(result.layers, key=lambda layer: abs(layer.largest.value))
    yield f"The layer with the strongest curvature is {strongest.name}: {strongest.largest.value:.3g}."


def _trust(result: CurvatureResult) -> Trust:
    values = result.spectrum.eigenvalues
    worst = max((of.residual / abs(of.value) for of in values if of.value), default=0.0)
    if worst <= EXACT:
        return Trust(
            word="high", reason=f"every eigenvalue is known to {100 * max(worst, 1e-6):.1g}% of its value or better"
        )
    return Trust(word="medium", reason=f"one eigenvalue is known to {100 * worst:.2g}% of its value only")


def _next_steps(result: CurvatureResult) -> Iterator[str]:
    down = sum(of.value < 0 for of in result.spectrum.eigenvalues)
    if down:
        yield "Train on before you read sizes or sharpness from this surface: a bound or a radius assumes a minimum."
    surface = result.surface
    if surface is None:
        yield "To see from which number of samples on the surface hardly changes, add `--surface random`."
    else:
        size = settled_size(surface, result.spectrum.loss)
        if size is None:
            yield f"Measure on more than {surface.sizes[-1]:,} samples: the surface has not settled with these."
        else:
            yield f"Measure curvature on about {rounded(size):,} samples: more hardly change the surface."
    values = result.spectrum.eigenvalues
    if steep_directions(result) is None:
        yield (
            f"Ask for more than {len(values)} eigenvalues (`--count {3 * len(values)}`) to see where the steep "
            "ones end."
        )
