"""What the exact Hessian of a block says: how much of it is the outer-product part, and which weights carry it."""

from suffice.report.answers.answer import Answer
from suffice.results import HessianResult, Moment

NAMES = {
    "W_Q": "the queries",
    "W_K": "the keys",
    "W_QK": "the queries and keys",
    "W_V": "the values",
    "W_O": "the output projection",
    "W_1": "the first feed-forward layer",
    "W_2": "the second feed-forward layer",
    "W_C": "the classifier",
}
"""Parameters in words."""


def hessian_answer(result: HessianResult) -> Answer:
    """The share of the outer-product part at the last moment, and the parameters with the largest blocks."""
    first, last = result.moments[0], result.moments[-1]
    share = outer_share(last)
    when = "At initialisation" if last.epoch == 0 else "After training"
    largest = strongest(result, last)
    sentence = f"{when}, {share:.0%} of the block's curvature is the outer-product part; it is steepest in {largest}."
    more = [
        "Share: the squared Frobenius norm of H_o over that of H_o and H_f together. Accuracy on the samples: "
        f"{last.accuracy:.1%}.",
        f"The largest eigenvalue is {last.parts['full'].spectral:.3g}, with {last.outliers} "
        f"{'outlier' if last.outliers == 1 else 'outliers'} before the widest gap of the spectrum.",
    ]
    if first is not last:
        more.append(
            f"At initialisation the share was {outer_share(first):.0%} and the largest eigenvalue "
            f"{first.parts['full'].spectral:.3g}."
        )
    bounds = [
        bound.spectral / last.parts["full"].spectral
        for bound in last.bounds.values()
        if last.parts["full"].spectral > 0
    ]
    if bounds:
        more.append(
            f"The bounds that need no Hessian are {_times(min(bounds))} to {_times(max(bounds))} times as large as it."
        )
    if share >= 0.5:
        step = (
            f"Use Gauss-Newton methods at these weights: they keep the outer-product part, {share:.0%} of the "
            "curvature."
        )
    else:
        step = (
            f"Do not replace the Hessian by Gauss-Newton here: that keeps {share:.0%} of the curvature and drops "
            "the rest."
        )
    return Answer(
        sentence,
        "high",
        "the Hessian is exact, in closed form; no estimate is involved",
        more,
        [step, "To see how it is in a model of yours, run `suffice curvature MODEL DATA`."],
    )


def _times(ratio: float) -> str:
    """
    Example:
        >>> _times(52.3), _times(3e15)
        ('52', 'over a million')
    """
    return "over a million" if ratio > 1e6 else f"{ratio:,.0f}"


def outer_share(moment: Moment) -> float:
    """Squared Frobenius norm of H_o over that of both parts."""
    outer, functional = (moment.parts[part].frobenius ** 2 for part in ("outer", "functional"))
    return outer / (outer + functional) if outer + functional > 0 else 1.0


def strongest(result: HessianResult, moment: Moment, count: int = 2) -> str:
    """The parameters whose diagonal blocks have the largest norms, in words."""
    norms = moment.parts["full"].block_norms
    order = sorted(range(len(norms)), key=lambda index: -norms[index][index])[:count]
    names = [list(result.parameters)[index].removeprefix("block.") for index in order]
    return " and ".join(NAMES.get(name, name) for name in names)
