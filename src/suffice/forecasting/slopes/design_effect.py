r"""The design effect of groups on the slope of a head: how much less than as many others samples of few groups tell."""

import numpy as np
from jaxtyping import Float64, Int64

from suffice.forecasting.head import Head
from suffice.forecasting.slopes.traces import SOLVED, draws, excess

EXACT, MOST = 300, 20_000_000
"""Weights of a head, and numbers of the gradients of all samples, up to which the traces are exact."""

Groups = Int64[np.ndarray, " samples"]
"""Of each sample."""


def design_effect(
    head: Head,
    outputs: Float64[np.ndarray, "samples outputs"],
    groups: Groups,
    contents: Groups | None = None,
    seed: int = 0,
) -> float:
    r"""By how much the slope is larger where samples come in groups, such as those of a patient; at least 1.

    With the gradients :math:`g_i = J_i^T e_i` at the outputs given and :math:`C = \frac1k \sum_i (g_i - \bar g)
    (g_i - \bar g)^\top`, the excess loss of a head for k samples of G groups is that of independent ones times

    .. math::
        \frac{\mathrm{Tr}(H^{-1} H_0 H^{-1} C_G)}{\mathrm{Tr}(H^{-1} H_0 H^{-1} C)}, \qquad
        C_G = \frac1k \frac{G}{G - 1} \sum_g v_g v_g^\top, \qquad v_g = \sum_{i \in g} (g_i - \bar g)

    For m equal samples in each group it is m; where the gradients within groups do not correlate it is 1. The curve in
    k then holds for more groups of the same kind and size. The traces of heads of up to 300 weights are exact; those of
    others are of random signs, which both have in common.

    Source: K.-Y. Liang, S. Zeger, "Longitudinal data analysis using generalized linear models", Biometrika 73 (1986),
    for :math:`C_G`; L. Kish, "Survey Sampling" (1965), for the ratio of a mean.

    Args:
        head: fitted to its samples.
        outputs: of each sample, at which its gradient is taken, as for `suffice.forecasting.slopes.sandwich_slope`.
        groups: of the samples.
        contents: the same number for copies, which count as one sample; None where there are none.
        seed: random seed of the signs.

    Example:
        >>> from suffice.forecasting.head import fit_head
        >>> from suffice.forecasting.losses import SquaredError
        >>> random = np.random.default_rng(0)
        >>> x, noise = random.normal(size=(500, 5)), random.normal(size=(500, 1))
        >>> five = np.repeat(np.arange(500), 5)
        >>> head = fit_head(x[five], SquaredError((x.sum(1, keepdims=True) + noise)[five]), 1, penalty=1e-6)
        >>> round(design_effect(head, head.outputs, five), 1)
        5.0
    """
    residuals = head.loss.at(outputs).residuals
    if head.weights.size <= EXACT and head.weights.size * len(residuals) <= MOST:
        return max(1.0, _exact(head, residuals, groups, contents))
    random, count = np.random.default_rng(seed), draws(head)
    signs = random.choice([-1.0, 1.0], (count, len(residuals)))
    together = excess(head, head.solve(_gradients(head, residuals, signs, groups), SOLVED)).mean()
    apart = excess(head, head.solve(_gradients(head, residuals, signs, contents), SOLVED)).mean()
    return max(1.0, float(together / apart))


def _exact(
    head: Head,
    residuals: Float64[np.ndarray, "samples outputs"],
    groups: Groups,
    contents: Groups | None,
) -> float:
    """The ratio of both traces, from the gradient of each sample."""
    changes = head.solve(np.eye(head.weights.size).reshape(-1, *head.weights.shape), SOLVED)
    of_pairs = np.tensordot(changes, head.curvature(changes), ((-2, -1), (-2, -1)))
    gradients = (head.features[:, :, None] * residuals[:, None, :]).reshape(len(residuals), -1)
    gradients = gradients - gradients.mean(0)

    def trace(together: Groups | None) -> float:
        sums = gradients
        if together is not None:
            _, group = np.unique(together, return_inverse=True)
            sums = np.zeros((int(group.max()) + 1, gradients.shape[1]))
            np.add.at(sums, group, gradients)
        return float(((sums @ of_pairs) * sums).sum()) * len(sums) / (len(sums) - 1)

    return trace(groups) / trace(contents)


def _gradients(
    head: Head,
    residuals: Float64[np.ndarray, "samples outputs"],
    signs: Float64[np.ndarray, "draws samples"],
    groups: Groups | None,
) -> Float64[np.ndarray, "draws columns outputs"]:
    """Random vectors of covariance C_G times k: the sign of a group is that of its first sample."""
    _, first, group = np.unique(
        np.arange(len(residuals)) if groups is None else groups, return_index=True, return_inverse=True
    )
    scale, mean = np.sqrt(len(first) / (len(first) - 1)), head.pull(residuals)
    of_samples = signs[:, first][:, group, None] * scale
    return np.stack([head.pull(each * residuals) - each.mean() * mean for each in of_samples])
