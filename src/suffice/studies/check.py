"""The check of k*: against the size at which held-out loss and accuracy settle, and the savings of stopping at k*."""

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import numpy as np
from jaxtyping import Float64
from scipy.stats import rankdata

from suffice.results import Agreement, Cell, Check, Estimate, Retrained
from suffice.studies.curves import CONFIDENCE

DRAWS = 1000
"""Bootstrap draws of an interval."""

ROUNDING = 1e-12
"""A difference of accuracies of exactly 0.01 is within 0.01."""

WITHIN: dict[Literal["loss", "accuracy"], float] = {"loss": 0.05, "accuracy": 0.01}
"""Distance to the final value: relative for the loss, absolute for the accuracy."""

Curve = Float64[np.ndarray, " sizes"]


def settled_size(
    sizes: Sequence[int], values: Float64[np.ndarray, "draws sizes"], within: Float64[np.ndarray, " draws"]
) -> tuple[Float64[np.ndarray, " draws"], np.ndarray]:
    """The size from which on a curve stays within a distance of its last value; lower values are better.

    Sizes are interpolated on a log axis. Where the last step still gains more than the distance there is no plateau:
    the largest size is returned, and the answer is censored.

    Args:
        sizes: ascending.
        values: curves over these sizes.
        within: positive, one a curve.

    Returns:
        The sizes, and which of them are censored.

    Example:
        >>> settled_size([10, 100, 1000], np.array([[3.0, 1.0, 1.0], [3.0, 2.0, 1.0]]), np.array([0.5, 0.5]))
        (array([  56.23413252, 1000.        ]), array([False,  True]))
    """
    above = values - values[:, -1:] - within[:, None]
    outside = above > ROUNDING
    # the first size after the last one that is outside
    first = np.where(outside.any(1), len(sizes) - np.argmax(outside[:, ::-1], axis=1), 0)
    censored = first == len(sizes) - 1
    rows, last = np.arange(len(values)), np.maximum(first - 1, 0)
    nearer, farther = above[rows, first], above[rows, last]
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.where(first > 0, farther / (farther - nearer), 0.0)
    log = np.log(sizes)
    # the logarithm of a size comes back but for rounding
    settled = np.exp(log[last] + share * (log[first] - log[last])).round(9)
    return np.where(censored, sizes[-1], settled), censored


def check_of(
    retrained: Retrained, cells: Sequence[Cell], tested: Sequence[Float64[np.ndarray, "2 samples"]], seed: int = 0
) -> list[Check]:
    """All checks of one task, method and seed.

    Args:
        retrained: with the k* of all criteria and tolerances.
        cells: the finished trainings, sizes ascending up to that of ``retrained``, at least two.
        tested: for each of them, loss and correctness of each test sample.
        seed: random seed of the bootstrap.
    """
    sizes = [cell.size for cell in cells]
    values = {"loss": np.stack([loss for loss, _ in tested]), "accuracy": -np.stack([right for _, right in tested])}
    drawn = np.random.default_rng(seed).multinomial(
        values["loss"].shape[1], np.full(values["loss"].shape[1], 1 / values["loss"].shape[1]), size=DRAWS
    )
    checks = []
    for quantity, within in WITHIN.items():
        of_samples = values[quantity]
        curves = np.concatenate([of_samples.mean(1)[None], drawn @ of_samples.T / of_samples.shape[1]])
        near = within * curves[:, -1] if quantity == "loss" else np.full(len(curves), within)
        settled, censored = settled_size(sizes, curves, near)
        low, high = np.quantile(settled[1:], [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
        checks.extend(
            [
                Check(
                    task=retrained.task,
                    method=retrained.method,
                    seed=retrained.seed,
                    criterion=answer.criterion,
                    tolerance=answer.tolerance,
                    k_star=answer.size,
                    k_star_low=answer.low,
                    k_star_high=answer.high,
                    quantity=quantity,
                    within=within,
                    held_out_size=math.ceil(settled[0]),
                    low=math.floor(min(low, settled[0])),
                    high=math.ceil(max(high, settled[0])),
                    censored=bool(censored[0]),
                    coefficient_of_variation=retrained.coefficient_of_variation,
                    **_saved(answer.size, cells),
                )
                for answer in retrained.sufficient_sizes
            ]
        )
    return checks


def _saved(k_star: int | None, cells: Sequence[Cell]) -> dict[str, float | int | None]:
    """Savings and costs of stopping at k*, interpolated on a log axis; smaller sizes count as the smallest."""
    if k_star is None:
        return {"labels_saved": None, "seconds_saved": None, "accuracy_lost": None}
    sizes = [cell.size for cell in cells]
    at = min(max(k_star, sizes[0]), sizes[-1])

    def lost(name: str) -> float:
        values = [float(getattr(cell, name)) for cell in cells]
        return values[-1] - float(np.interp(math.log(at), np.log(sizes), values))

    return {
        "labels_saved": sizes[-1] - at,
        "seconds_saved": lost("seconds"),
        "accuracy_lost": lost("test_accuracy"),
    }


def agreement_of(checks: Sequence[Check], seed: int = 0) -> list[Agreement]:
    """Rank correlations between k* and the size at which held-out loss or accuracy settles.

    Combinations of the same task and method share their samples, so these groups are drawn together for the intervals.

    Args:
        checks: of any number of studies.
        seed: random seed of the bootstrap.
    """
    kinds: dict[tuple[object, ...], list[Check]] = defaultdict(list)
    for check in checks:
        kinds[check.criterion, check.tolerance, check.quantity].append(check)
    return [_agreement(of_kind, seed) for of_kind in kinds.values()]


def _agreement(checks: Sequence[Check], seed: int) -> Agreement:
    known = [check for check in checks if check.k_star is not None and check.coefficient_of_variation is not None]
    reached = [check for check in known if not check.censored]
    logs = [math.log(check.k_star / check.held_out_size) for check in reached if check.k_star is not None]
    return Agreement(
        criterion=checks[0].criterion,
        tolerance=checks[0].tolerance,
        quantity=checks[0].quantity,
        combinations=len(known),
        censored=len(known) - len(reached),
        rank_correlation=_estimate(known, _correlation, seed),
        partial_correlation=_estimate(known, _partial_correlation, seed),
        ratio=math.exp(sum(logs) / len(logs)) if logs else None,
    )


def _estimate(checks: Sequence[Check], statistic: Callable[[np.ndarray], float], seed: int) -> Estimate | None:
    """A statistic of k*, held-out sizes and CV, with its interval; None where it is undefined."""
    groups: Mapping[tuple[str, str], list[int]] = defaultdict(list)
    for index, check in enumerate(checks):
        groups[check.task, check.method].append(index)
    columns = np.array(
        [(check.k_star, check.held_out_size, check.coefficient_of_variation) for check in checks], dtype=np.float64
    )
    if len(groups) < 3:
        return None
    value = statistic(columns)
    draw = np.random.default_rng(seed)
    indices = list(groups.values())
    drawn = np.array(
        [
            statistic(
                columns[np.concatenate([indices[group] for group in draw.integers(len(indices), size=len(indices))])]
            )
            for _ in range(DRAWS)
        ]
    )
    drawn = drawn[~np.isnan(drawn)]
    if math.isnan(value) or len(drawn) < DRAWS / 2:
        return None
    low, high = np.quantile(drawn, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Estimate(value=value, low=min(float(low), value), high=max(float(high), value))


def _correlation(columns: Float64[np.ndarray, "checks 3"]) -> float:
    """Spearman's, of the first two columns."""
    ranks = rankdata(columns, axis=0)
    return _pearson(ranks[:, 0], ranks[:, 1])


def _partial_correlation(columns: Float64[np.ndarray, "checks 3"]) -> float:
    """Spearman's partial correlation of the first two columns given the third, from residuals of a fit to its ranks."""
    ranks = rankdata(columns, axis=0)
    line = np.column_stack([np.ones(len(ranks)), ranks[:, 2]])
    left = ranks[:, :2] - line @ np.linalg.lstsq(line, ranks[:, :2], rcond=None)[0]
    # where k* depends on CV alone, or all sizes are equal, only rounding is left
    return math.nan if np.abs(left).max(axis=0).min() < 1e-6 else _pearson(left[:, 0], left[:, 1])


def _pearson(x: Float64[np.ndarray, " checks"], y: Float64[np.ndarray, " checks"]) -> float:
    x, y = x - x.mean(), y - y.mean()
    scale = math.sqrt(float(x @ x) * float(y @ y))
    return float(x @ y) / scale if scale > 0 else math.nan
