"""The losses of many samples, measured where nothing is trained."""

import numpy as np
from jaxtyping import Float64, Int64

from suffice.models.language.losses import LanguageProblem

EVALUATED = 16
"""Samples of a forward pass where nothing is trained: of similar lengths, so that little is padding."""


def losses_of(problem: LanguageProblem, batch_size: int = EVALUATED) -> Float64[np.ndarray, " samples"]:
    """The loss of each sample, in the order of the problem; samples of similar lengths are measured together."""
    order = by_length(problem)
    found = np.empty(len(problem))
    found[order] = problem.all_losses(batch_size, order).numpy()
    return found


def by_length(problem: LanguageProblem) -> Int64[np.ndarray, " samples"]:
    """Positions of the samples, the shortest first."""
    samples = problem.dataset
    lengths = [len(samples[row]["input_ids"]) for row in problem.index.tolist()]
    order: Int64[np.ndarray, " samples"] = np.argsort(lengths, kind="stable")
    return order
