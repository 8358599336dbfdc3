"""The fold level: each sample's outputs by a model that was trained without its fold, a head or any other model."""

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import numpy as np
from jaxtyping import Float64, Int64
from torch import Tensor, nn

from suffice.errors import InputError
from suffice.forecasting.head import Head, Weights, products, refit
from suffice.problem import Problem
from suffice.training.predictions import Predictions

Refit = Callable[[Int64[np.ndarray, " rows"]], Mapping[str, Tensor]]
"""Trains on some rows of the data set, as the model was trained, and gives the weights that moved."""

FOLDS = 10
"""Of heads."""

DEALS = 100
"""Most times that groups are dealt until no class of several groups is in one fold alone."""

FOLDS_OF_TRAININGS = 5
"""Fewer than of heads: these are real trainings."""

STATIONARY = 1e-2
"""Stopping tolerance of these fits, over the change that leaving samples out asks for: the outputs of these are then
within about a percent of that change, far below its noise."""


Groups = Int64[np.ndarray, " samples"]
"""The group of each sample, 0 and up: samples of one group stay in one fold."""

WithoutFold = list[tuple[Weights, Int64[np.ndarray, " _"]]]
"""For each fold, the weights of the head that was fitted to the others, and the rows of the fold."""


def out_of_fold(
    head: Head,
    labels: Int64[np.ndarray, " samples"],
    folds: int = FOLDS,
    seed: int = 0,
    groups: Groups | None = None,
) -> Float64[np.ndarray, "samples outputs"]:
    """The outputs of each sample by a head fitted to the other folds, started from the fit to all.

    Args:
        head: fitted to all its samples.
        labels: 0 to K - 1; no class is left without samples to train on.
        folds: number of folds.
        seed: random seed of the folds.
        groups: samples that stay in one fold, such as copies; None where each is on its own.

    Example:
        >>> from suffice.forecasting.head import fit_head
        >>> from suffice.forecasting.losses import CrossEntropy
        >>> x, y = np.random.default_rng(0).normal(size=(20, 3)), np.arange(20) % 4
        >>> head = fit_head(x, CrossEntropy(y, 4), 4, penalty=0.1)
        >>> outputs = out_of_fold(head, y, folds=5)
        >>> bool(head.loss.values(outputs).mean() > head.loss.values(head.outputs).mean())
        True
    """
    return outputs_out_of_fold(head, heads_without_fold(head, labels, folds, seed, groups))


def heads_without_fold(
    head: Head,
    labels: Int64[np.ndarray, " samples"],
    folds: int,
    seed: int = 0,
    groups: Groups | None = None,
) -> WithoutFold:
    """For each fold, the weights fitted to the others, started from the fit to all, and the rows of the fold."""
    fold = fold_of(labels, folds, seed, groups)
    return [
        (refit(head, np.flatnonzero(fold != number), STATIONARY).weights, np.flatnonzero(fold == number))
        for number in range(folds)
    ]


def outputs_out_of_fold(head: Head, without: WithoutFold) -> Float64[np.ndarray, "samples outputs"]:
    """The outputs of each sample by the head that was fitted without it."""
    outputs = np.empty_like(head.outputs)
    for weights, held_out in without:
        outputs[held_out] = products(head.features[held_out], weights)
    return outputs


def mean_outputs(head: Head, without: WithoutFold) -> Float64[np.ndarray, "samples outputs"]:
    """For each sample, the mean output over all samples of the head that was fitted without it."""
    means, mean = np.empty_like(head.outputs), head.features.mean(0, dtype=np.float64)
    for weights, held_out in without:
        means[held_out] = mean @ weights
    return means


def means_in_folds(
    outputs: Float64[np.ndarray, "samples outputs"], fold: Int64[np.ndarray, " samples"]
) -> Float64[np.ndarray, "samples outputs"]:
    """For each sample, the mean output over its fold: for `mean_outputs`, where the others' outputs are not at hand."""
    means = np.empty_like(outputs)
    for number in np.unique(fold):
        means[fold == number] = outputs[fold == number].mean(0)
    return means


def fold_of(
    labels: Int64[np.ndarray, " samples"], folds: int, seed: int, groups: Groups | None = None
) -> Int64[np.ndarray, " samples"]:
    """The fold of each sample: groups in random order are dealt, each to the fold with the fewest samples.

    The folds are not stratified. Samples are drawn at random, classes and all, and a model of the next ones has other
    shares of the classes than they have; with stratified folds nobody pays for that, and the loss came out too low by
    up to (K - 1) / k. Only the first two groups of each class go to different folds, so that no class is left
    without samples to train on.

    Args:
        labels: 0 to K - 1.
        folds: number of folds.
        seed: random seed.
        groups: samples that stay in one fold; None where each is on its own.

    Raises:
        InputError: fewer groups than folds.

    Example:
        >>> fold_of(np.array([0, 0, 0, 0, 1, 1]), folds=2, seed=0, groups=np.array([0, 0, 1, 2, 3, 4]))
        array([0, 0, 1, 0, 1, 0])
    """
    group_of = np.arange(len(labels)) if groups is None else groups
    if (different := len(np.unique(group_of))) < folds:
        held = "" if groups is None else f" in groups or copies of {different}"
        raise InputError(
            f"{len(labels):,} samples{held}, and {folds} folds are needed: give at least {folds} different ones"
        )
    random = np.random.default_rng(seed)
    tried = (_dealt(labels, folds, random.permutation(len(labels)), group_of) for _ in range(DEALS))
    least, best = different, np.zeros_like(labels)
    for fold, lost in tried:
        if lost < least:
            least, best = lost, fold
        if lost == 0:
            break
    return best


def _dealt(
    labels: Int64[np.ndarray, " samples"], folds: int, order: Int64[np.ndarray, " samples"], group_of: Groups
) -> tuple[Int64[np.ndarray, " samples"], int]:
    """Folds dealt in an order, and how many classes of several groups are in one fold alone."""
    of_class: dict[int, dict[int, None]] = {}
    for group, label in zip(group_of[order].tolist(), labels[order].tolist(), strict=True):
        of_class.setdefault(label, {})[group] = None
    several = [list(holding) for holding in of_class.values() if len(holding) > 1]
    apart: dict[int, set[int]] = {}
    for first, second, *_ in several:
        apart.setdefault(first, set()).add(second)
        apart.setdefault(second, set()).add(first)
    sizes, dealt = np.bincount(group_of), np.zeros(folds, dtype=np.int64)
    found: dict[int, int] = {}
    for group in dict.fromkeys([*apart, *group_of[order].tolist()]):
        taken = {found[other] for other in apart.get(group, ()) if other in found}
        free = [fold for fold in range(folds) if fold not in taken] or range(folds)
        found[group] = min(free, key=lambda fold: dealt[fold])
        dealt[found[group]] += sizes[group]
    lost = sum(len({found[group] for group in holding}) == 1 for holding in several)
    return np.array([found[group] for group in group_of.tolist()]), lost


def trained_out_of_fold(
    problem: Problem,
    labels: Int64[np.ndarray, " samples"],
    train: Refit,
    folds: int,
    seed: int,
    groups: Groups | None = None,
) -> Predictions:
    """The predictions for each sample by a model that was trained without its fold; the model is put back afterwards.

    Raises:
        InputError: a training that returns no value of a moving parameter.
    """
    found: list[Float64[np.ndarray, "samples outputs"]] = []
    for positions in others_of_folds(labels, folds, seed, groups):
        with _put_back(problem.model):
            _load(problem, train(problem.index[positions]))
            found.append(problem.all_outputs().numpy())
    outputs = np.stack(found)[fold_of(labels, folds, seed, groups), np.arange(len(labels))]
    different = len(labels) if groups is None else len(np.unique(groups))
    return Predictions(different * (1 - 1 / folds), outputs, labels)


def others_of_folds(
    labels: Int64[np.ndarray, " samples"], folds: int, seed: int, groups: Groups | None = None
) -> list[Int64[np.ndarray, " _"]]:
    """For each fold, the samples outside it."""
    fold = fold_of(labels, folds, seed, groups)
    return [np.flatnonzero(fold != number) for number in range(folds)]


@contextmanager
def _put_back(model: nn.Module) -> Iterator[None]:
    before = copy.deepcopy(model.state_dict())  # a state may hold more than tensors
    try:
        yield
    finally:
        model.load_state_dict(before)


def _load(problem: Problem, weights: Mapping[str, Tensor]) -> None:
    missing = problem.moving.keys() - weights.keys()
    if missing:
        raise InputError(f"refit gave no weights {sorted(missing)[0]!r}: return model.state_dict()")
    problem.model.load_state_dict(dict(weights), strict=False)
