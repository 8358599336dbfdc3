"""Stopping rules of other packages, from their published definitions, on what `stopping_tasks` has kept.

Each rule gets one sequence, and returns for each look whether it stops there. Defaults are those of the packages.
"""

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64, Int64
from sklearn.metrics import cohen_kappa_score

Sequence = Mapping[str, Any]
"""Of one sequence: ``named`` (looks, stop set), ``entropy`` (looks,), ``scores`` (looks,), ``classes``."""

Stops = Bool[np.ndarray, " looks"]


def kappa_average(sequence: Sequence, window: int = 3, kappa: float = 0.99) -> Stops:
    """small-text's KappaAverage: agreement on the stop set has changed by less than 1 - kappa, on average of a window.

    Bloodgood and Vijay-Shanker (CoNLL 2009) ask for an average agreement of 0.99; small-text for steady agreement.
    """
    named = sequence["named"]
    labels = np.arange(sequence["classes"])
    agreed = [cohen_kappa_score(now, before, labels=labels) for before, now in pairwise(named)]
    changes = np.abs(np.diff(agreed))
    stops = np.zeros(len(named), dtype=bool)
    for look in range(window, len(named)):
        stops[look] = changes[look - window : look - 1].mean() < 1 - kappa
    return stops


def kappa_of_paper(sequence: Sequence, window: int = 3, kappa: float = 0.99) -> Stops:
    """Stabilising predictions as published: the mean agreement over a window is at least 0.99."""
    named = sequence["named"]
    labels = np.arange(sequence["classes"])
    agreed = [cohen_kappa_score(now, before, labels=labels) for before, now in pairwise(named)]
    stops = np.zeros(len(named), dtype=bool)
    for look in range(window, len(named)):
        stops[look] = np.mean(agreed[look - window : look]) >= kappa
    return stops


def classification_change(sequence: Sequence, threshold: float = 0.0) -> Stops:
    """small-text's ClassificationChange: no prediction on the stop set has changed (Zhu, Wang and Hovy 2008)."""
    changed = (sequence["named"][1:] != sequence["named"][:-1]).mean(1)
    return np.concatenate([[False], changed <= threshold])


def overall_uncertainty(sequence: Sequence, threshold: float = 0.05) -> Stops:
    """small-text's OverallUncertainty: the mean entropy over its maximum is below 0.05 (Zhu, Wang and Hovy 2008)."""
    return np.asarray(sequence["entropy"] < threshold)


def early_stopping(sequence: Sequence, patience: int = 10, epsilon: float = 1e-4) -> Stops:
    """baal's EarlyStoppingCriterion: the score is what it was ten looks ago, up to epsilon, as its code has it."""
    scores: Float64[np.ndarray, " looks"] = sequence["scores"]
    stops = np.zeros(len(scores), dtype=bool)
    for look in range(patience, len(scores)):
        stops[look] = np.isclose(scores[look + 1 - patience], scores[look], atol=epsilon)
    return stops


def last_doubling(sequence: Sequence, gain: float) -> Stops:
    """What many do: the measured gain of the last doubling is below the wanted one."""
    sizes: Int64[np.ndarray, " looks"] = sequence["sizes"]
    scores = sequence["scores"]
    stops = np.zeros(len(scores), dtype=bool)
    for look in range(1, len(scores)):
        before = np.flatnonzero(sizes <= sizes[look] / 2)
        stops[look] = bool(len(before)) and scores[look] - scores[before[-1]] < gain
    return stops


OTHERS: Mapping[str, Callable[[Sequence], Stops]] = {
    "KappaAverage (small-text)": kappa_average,
    "stabilising predictions (2009)": kappa_of_paper,
    "ClassificationChange (small-text)": classification_change,
    "OverallUncertainty (small-text)": overall_uncertainty,
    "EarlyStopping (baal)": early_stopping,
}
"""By name. None of them knows of a gain; LabellingBudget of baal is never stopping before the pool is labelled."""
