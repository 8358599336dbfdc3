r"""What a trained model of any kind says of its learning curve: how it does on its own samples and on others.

Its tangent kernel, on request, takes it to be the minimiser of the mean loss plus :math:`\frac12 w^\top \Lambda w`
around where its training began; a training that was cut short acts as if it had such a penalty.
"""

import copy
from collections.abc import Callable
from typing import Literal, cast, get_args

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from scipy.optimize import brentq
from torch import Tensor, nn

from suffice.checks import check_apart, check_losses, check_samples
from suffice.curvature import TangentKernel, flattened, mean_gradient, parameter_count, tangent_kernel, unflattened
from suffice.errors import InputError
from suffice.forecasting.doubts import copies_of_samples, kept_together
from suffice.forecasting.evidence import Evidence
from suffice.forecasting.heads import measure_head
from suffice.forecasting.inputs import labels_of
from suffice.forecasting.levels import (
    FOLDS_OF_TRAININGS,
    LINEARISED,
    Refit,
    fold_of,
    left_out,
    means_in_folds,
    predictions_of,
    trained_out_of_fold,
)
from suffice.forecasting.penalty import choose_penalty
from suffice.forecasting.slopes import Slope, optimism_slope
from suffice.problem import TOGETHER, Problem, Samples, State
from suffice.training.predictions import Predictions

Features = Float64[np.ndarray, "samples columns"]

LevelSource = Literal["auto", "holdout", "folds", "leave_one_out"]
"""Where the test loss at hand comes from."""

STEPS = (0.01, 0.03, 0.1, 0.3, 1.0)
"""Steps along the gradient that are tried: the shares of the loss by which they would lower it, were it a plane."""

EFFECTIVE = (1e-12, 1e6)
"""Where an effective penalty is searched."""


def measure_problem(
    problem: Problem,
    penalty: float | Float[Tensor, " parameters"] | None,
    refit: Refit | None,
    level: LevelSource,
    holdout: Samples | None,
    seed: int = 0,
    estimator: str = "",
    progress: Callable[[int], None] = lambda rows: None,
    groups: Int64[np.ndarray, " samples"] | None = None,
) -> Evidence:
    """What `suffice.forecast` is made from; the arguments are told there, ``progress`` at `tangent_kernel`; samples
    of one of the ``groups``, in the order of the problem, stay in one fold.

    The kernel is made where the estimator is "information" or the level needs it.

    Raises:
        InputError: bad input of any kind.
    """
    problem.need_equal_weights("forecasts of a trained model")
    labels = _labels(problem)
    if holdout is not None and problem.checks:
        at_hand = (problem.dataset[int(row)] for row in problem.index)
        check_apart(at_hand, (holdout[row] for row in range(len(holdout))), lambda row: f"row {row} of the hold-out")
    check_samples(problem)
    check_losses(problem, TOGETHER)
    level = _chosen(level, refit, holdout)
    features = None if isinstance(penalty, Tensor) or refit is not None else _features(problem)
    if features is not None:
        l2 = choose_penalty(features, labels, seed, groups) if penalty is None else float(penalty)
        others = None
        if holdout is not None:
            elsewhere = problem.elsewhere(holdout)
            others = cast(Features, _features(elsewhere)), labels_of(elsewhere, int(labels.max()) + 1)
        return measure_head(features, labels, l2, seed, others, groups=groups)
    return _of_losses(problem, labels, penalty, refit, level, holdout, seed, estimator, progress, groups)


def _of_losses(
    problem: Problem,
    labels: Int64[np.ndarray, " samples"],
    penalty: float | Float[Tensor, " parameters"] | None,
    refit: Refit | None,
    level: LevelSource,
    holdout: Samples | None,
    seed: int,
    estimator: str,
    progress: Callable[[int], None],
    grouped: Int64[np.ndarray, " samples"] | None,
) -> Evidence:
    if level == "leave_one_out" and penalty is None:
        raise InputError("the loss of other samples is not known: give holdout=, refit=, or the training's penalty=")
    copies = copies_of_samples(problem)
    groups = kept_together(copies, grouped)
    samples = len(problem) if copies is None else copies.different
    own = predictions_of(problem, samples)
    kernel = None
    if estimator == "information" or level == "leave_one_out":
        kernel = tangent_kernel(problem, 1.0 if penalty is None else penalty, progress=progress)
    folds = halves = apart = means = None
    if level == "holdout":
        apart = predictions_of(problem.elsewhere(cast(Samples, holdout)), samples)
    elif level == "folds":
        folds, halves = (
            trained_out_of_fold(problem, labels, cast(Refit, refit), count, seed, groups)
            for count in (FOLDS_OF_TRAININGS, 2)
        )
        means = means_in_folds(folds.outputs, fold_of(labels, FOLDS_OF_TRAININGS, seed, groups))
    else:
        folds = left_out(own, cast(TangentKernel, kernel))
    known = None if penalty is None else float(torch.as_tensor(penalty).double().mean())
    information = None
    if kernel is not None:
        factor = (
            1.0 if penalty is not None else _effective(kernel, 2 * _optimism(own, cast(Predictions, folds or apart)))
        )
        information = Slope(kernel.df2(factor) / 2, 0.0)
        known = factor if known is None else known
    return Evidence(
        samples=samples,
        directions=parameter_count(problem) / (own.outputs.shape[1] - 1),
        own=own,
        folds=folds,
        halves=halves,
        means=means,
        holdout=apart,
        information=information,
        penalty=known,
        recipe_known=penalty is not None or refit is not None,
        level_off=LINEARISED if level == "leave_one_out" else 0.0,
        descent=_descent(problem),
        is_whole=len(problem.moving) == len(dict(problem.model.named_parameters())),
        copies=copies,
        rows=problem.index,
        grouped=grouped,
    )


def _optimism(own: Predictions, unseen: Predictions) -> float:
    return optimism_slope(own.losses, unseen.losses, own.samples, unseen.samples).value


def effective_penalty(problem: Problem, start: State) -> float:
    r"""The penalty on the distance to the start that holds the weights where a training ended.

    .. math:: \lambda = - \frac{\bar g^\top (w - w_0)}{||w - w_0||^2}

    With it the gradient of the mean loss plus :math:`\frac\lambda2 ||w - w_0||^2` has no part along the way from the
    start. A training that was stopped early acts as one with such a penalty that was not.

    Args:
        problem: with the model as it was trained.
        start: the weights that moved, as they were before.

    Raises:
        InputError: the weights have not moved, or the loss still falls along the way from the start.

    Example:
        >>> x = torch.ones(3, 1, dtype=torch.float64)
        >>> problem = Problem(nn.Linear(1, 1, bias=False).double(), torch.utils.data.TensorDataset(x, 2 * x), "mse")
        >>> with problem.at({"weight": torch.tensor([[1.5]], dtype=torch.float64)}):  # dL/dw is 2 (1.5 - 2)
        ...     effective_penalty(problem, {"weight": torch.tensor([[0.5]], dtype=torch.float64)})
        1.0
    """
    way = flattened(problem, {name: value.detach() - start[name] for name, value in problem.moving.items()})
    along, length = float(mean_gradient(problem) @ way), float(way @ way)
    if length == 0 or along >= 0:
        raise InputError(
            "the weights have not moved from the start, or the loss rises there on the way back: no penalty holds them"
        )
    return -along / length


def _descent(problem: Problem) -> float:
    """By how much the best of some steps along the gradient lowers the mean loss.

    The losses are measured, so a gradient that is not exact, as DoRA's, does for it: no guard stops it.
    """
    unguarded = copy.copy(problem)
    unguarded.checks = False
    gradient, before = mean_gradient(unguarded), problem.center()
    loss, squared = _loss(problem), float(gradient @ gradient)
    if squared == 0:
        return 0.0
    lowered = [0.0]
    for share in STEPS:
        step = unflattened(problem, share * loss / squared * gradient)
        with problem.at({name: value - step[name].to(value.dtype) for name, value in before.items()}):
            lowered.append(loss - _loss(problem))
    return float(np.nanmax(lowered))


def _loss(problem: Problem) -> float:
    with problem.measuring():
        return sum(float(problem.losses(batch).sum()) for _, batch in problem.batches(TOGETHER)) / len(problem)


def _effective(kernel: TangentKernel, optimism: float) -> float:
    """The penalty with which the effective dimension is the optimism that is found."""

    def excess(logarithm: float) -> float:
        return kernel.effective_dimension(float(np.exp(logarithm))) - optimism

    low, high = np.log(EFFECTIVE)
    if excess(low) <= 0:
        return EFFECTIVE[0]
    return EFFECTIVE[1] if excess(high) >= 0 else float(np.exp(brentq(excess, low, high, xtol=1e-3)))


def _labels(problem: Problem) -> Int64[np.ndarray, " samples"]:
    if problem.loss != "cross_entropy":
        raise InputError("a forecast takes a classifier: loss='cross_entropy'")
    labels = labels_of(problem)
    counts = np.bincount(labels)
    if counts[labels].min() < 2 or (counts > 0).sum() < 2:
        rare = int(np.where(counts > 0, counts, len(labels)).argmin())
        raise InputError(f"class {rare} has {counts[rare]} samples: give at least two classes, with 2 or more each")
    return labels


def _chosen(level: LevelSource, refit: Refit | None, holdout: Samples | None) -> LevelSource:
    if level not in get_args(LevelSource):
        raise InputError(f"level is {', '.join(get_args(LevelSource))}, not {level!r}")
    if level == "auto":
        return "holdout" if holdout is not None else "folds" if refit is not None else "leave_one_out"
    if (level == "holdout" and holdout is None) or (level == "folds" and refit is None):
        raise InputError(f"level={level!r} needs {'holdout' if level == 'holdout' else 'refit'}=")
    return level


def _features(problem: Problem) -> Features | None:
    """What goes into the one linear layer that moves, and whose outputs are those of the model; None for others."""
    layers = [
        layer
        for layer in problem.model.modules()
        if isinstance(layer, nn.Linear)
        and {id(own) for own in layer.parameters()} == set(map(id, problem.moving.values()))
    ]
    if len(layers) != 1:
        return None
    found: list[tuple[Tensor, Tensor]] = []
    hook = layers[0].register_forward_hook(lambda _, inputs, outputs: found.append((inputs[0], outputs)))
    try:
        outputs = problem.all_outputs()
    finally:
        hook.remove()
    made = torch.cat([outputs.reshape(len(outputs), -1) for _, outputs in found]).double().cpu()
    if made.shape != outputs.shape or not torch.equal(made, outputs):
        return None
    features = torch.cat([inputs.reshape(len(inputs), -1) for inputs, _ in found]).double().cpu().numpy()
    return features if layers[0].bias is None else np.hstack([features, np.ones((len(features), 1))])
