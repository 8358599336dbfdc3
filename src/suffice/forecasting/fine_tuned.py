r"""What a trained model of any kind says of its learning curve: its tangent kernel, and how it does on other samples.

The model is taken to be the minimiser of the mean loss plus :math:`\frac12 w^\top \Lambda w` around where its training
began; a training that was cut short acts as if it had such a penalty.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal, cast, get_args

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from scipy.optimize import brentq
from torch import Tensor, nn

from suffice.curvature import TangentKernel, tangent_kernel
from suffice.errors import InputError
from suffice.forecasting.folds import fold_of
from suffice.forecasting.losses import CrossEntropy
from suffice.forecasting.pilot import Pilot, Predicted, choose_penalty, measure_pilot
from suffice.forecasting.slope import FirstOrder, Slope, between, symmetric_slope
from suffice.problem import TOGETHER, Problem, Samples, State

Refit = Callable[[Int64[np.ndarray, " rows"]], Mapping[str, Tensor]]
"""Trains on some rows of the data set, as the model was trained, and gives the weights that moved."""

Features = Float64[np.ndarray, "samples columns"]

Level = Literal["auto", "holdout", "folds", "leave_one_out"]
"""Where the test loss at hand comes from."""

FOLDS = 5
"""Fewer than of heads: these are real trainings."""

LINEARISED = 0.15
"""What a linearised leave-one-out loss is off, over itself: 7 to 28% either way in trials with fine-tuned models."""

EFFECTIVE = (1e-12, 1e6)
"""Where an effective penalty is searched."""


def measure_problem(
    problem: Problem,
    penalty: float | Float[Tensor, " parameters"] | None,
    refit: Refit | None,
    level: Level,
    holdout: Samples | None,
    seed: int = 0,
) -> Pilot:
    """What `suffice.forecast` is made from; the arguments are told there.

    Raises:
        InputError: bad input of any kind.
    """
    labels = _labels(problem)
    if holdout is not None:
        _check_apart(problem, holdout)
    level = _chosen(level, refit, holdout)
    features = None if isinstance(penalty, Tensor) or refit is not None else _features(problem)
    if features is not None:
        l2 = choose_penalty(features, labels, seed) if penalty is None else float(penalty)
        others = None
        if holdout is not None:
            elsewhere = problem.elsewhere(holdout)
            others = cast(Features, _features(elsewhere)), elsewhere.all_targets().long().numpy()
        return measure_pilot(features, labels, l2, seed, others)
    return _of_kernel(problem, labels, penalty, refit, level, holdout, seed)


def _of_kernel(
    problem: Problem,
    labels: Int64[np.ndarray, " samples"],
    penalty: float | Float[Tensor, " parameters"] | None,
    refit: Refit | None,
    level: Level,
    holdout: Samples | None,
    seed: int,
) -> Pilot:
    if level == "leave_one_out" and penalty is None:
        raise InputError("the loss of other samples is not known: give holdout=, refit=, or the training's penalty=")
    kernel = tangent_kernel(problem, 1.0 if penalty is None else penalty)
    outputs = problem.all_outputs().numpy()
    loss, off, halves = CrossEntropy(labels, outputs.shape[1]), 0.0, None
    if level == "holdout":
        unseen = _predicted(problem.elsewhere(cast(Samples, holdout)), len(labels))
    elif level == "folds":
        unseen, halves = (_folded(problem, labels, cast(Refit, refit), folds, seed) for folds in (FOLDS, 2))
    else:
        left_out = outputs + kernel.left_out(loss.at(outputs).residuals)
        unseen, off = Predicted(len(labels) - 1, left_out, labels), LINEARISED
    optimism = unseen.samples * float(unseen.losses.mean() - loss.values(outputs).mean())
    factor = _effective(kernel, optimism) if penalty is None else 1.0
    information = Slope(kernel.df2(factor) / 2, 0.0, kernel.effective_dimension(factor))
    symmetric = symmetric_slope(loss.values(outputs), unseen.losses, unseen.samples)
    slopes = {"information": information, "symmetric": symmetric}
    if min(information.value, symmetric.value) > 0:
        # under a penalty that is guessed from the optimism, the information slope is always the smaller, and too small
        chosen = symmetric if penalty is None else min(information, symmetric)
        slopes = {"combined": between(information, symmetric, float(chosen is symmetric))} | slopes
    return Pilot(
        samples=len(labels),
        nearly_all=unseen,
        halves=halves,
        estimators={name: FirstOrder(name, len(labels), slope) for name, slope in slopes.items()},
        penalty=factor if penalty is None else float(torch.as_tensor(penalty).double().mean()),
        level_off=off,
        newton_step=kernel.newton_step(loss.at(outputs).residuals, factor),
    )


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
    gradients = {name: torch.zeros_like(value, dtype=torch.float64) for name, value in problem.moving.items()}
    with problem.measuring():
        for first in range(0, len(problem), TOGETHER):
            with torch.enable_grad():
                losses = problem.losses(problem.batch(slice(first, first + TOGETHER))).sum() / len(problem)
            found = torch.autograd.grad(losses, list(problem.moving.values()))
            for name, gradient in zip(gradients, found, strict=True):
                gradients[name] += gradient
    way = {name: (value.detach() - start[name]).double() for name, value in problem.moving.items()}
    along = sum(float((gradients[name] * way[name]).sum()) for name in way)
    length = sum(float(part.square().sum()) for part in way.values())
    if length == 0 or along >= 0:
        raise InputError(
            "the weights have not moved from the start, or the loss rises there on the way back: no penalty holds them"
        )
    return -along / length


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
    labels: Int64[np.ndarray, " samples"] = problem.all_targets().long().numpy()
    counts = np.bincount(labels)
    if counts[labels].min() < 2 or (counts > 0).sum() < 2:
        rare = int(np.where(counts > 0, counts, len(labels)).argmin())
        raise InputError(f"class {rare} has {counts[rare]} samples: give at least two classes, with 2 or more each")
    return labels


def _chosen(level: Level, refit: Refit | None, holdout: Samples | None) -> Level:
    if level not in get_args(Level):
        raise InputError(f"level is {', '.join(get_args(Level))}, not {level!r}")
    if level == "auto":
        return "holdout" if holdout is not None else "folds" if refit is not None else "leave_one_out"
    if (level == "holdout" and holdout is None) or (level == "folds" and refit is None):
        raise InputError(f"level={level!r} needs {'holdout' if level == 'holdout' else 'refit'}=")
    return level


def _predicted(problem: Problem, samples: float) -> Predicted:
    return Predicted(samples, problem.all_outputs().numpy(), problem.all_targets().long().numpy())


def _folded(problem: Problem, labels: Int64[np.ndarray, " samples"], refit: Refit, folds: int, seed: int) -> Predicted:
    """The outputs of each sample by a model that was trained without its fold; the model is put back afterwards."""
    outputs = np.empty((0, 0))
    fold = fold_of(labels, folds, seed)
    for number in range(folds):
        held_out = np.flatnonzero(fold == number)
        with _put_back(problem.model):
            weights = refit(problem.index[fold != number])
            _load(problem, weights)
            found = problem.all_outputs().numpy()
        outputs = np.empty_like(found) if number == 0 else outputs
        outputs[held_out] = found[held_out]
    return Predicted(len(labels) * (1 - 1 / folds), outputs, labels)


@contextmanager
def _put_back(model: nn.Module) -> Iterator[None]:
    before = {name: value.detach().clone() for name, value in model.state_dict().items()}
    try:
        yield
    finally:
        model.load_state_dict(before)


def _load(problem: Problem, weights: Mapping[str, Tensor]) -> None:
    missing = problem.moving.keys() - weights.keys()
    if missing:
        raise InputError(f"refit gave no weights {sorted(missing)[0]!r}: return model.state_dict()")
    problem.model.load_state_dict(dict(weights), strict=False)


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


def _check_apart(problem: Problem, holdout: Samples) -> None:
    """No sample of the hold-out is among those of the training, by content, whatever its label."""
    known = {_content(_input(problem.dataset[int(row)])) for row in problem.index}
    twice = [row for row in range(len(holdout)) if _content(_input(holdout[row])) in known]
    if twice:
        raise InputError(
            f"{len(twice)} samples of the hold-out are among those to train on, the first in row {twice[0]}: its loss "
            "would be too low; take them out"
        )


def _input(item: Any) -> Any:
    if isinstance(item, Mapping):
        return {key: value for key, value in item.items() if key != "labels"}
    return item[0] if isinstance(item, tuple | list) and len(item) == 2 else item


def _content(item: Any) -> bytes:
    if isinstance(item, Tensor):
        return _content(item.detach().cpu().numpy())
    if isinstance(item, Mapping):
        return b"".join(_content(key) + _content(value) for key, value in sorted(item.items()))
    if isinstance(item, tuple | list):
        return b"".join(map(_content, item))
    content = np.ascontiguousarray(item).tobytes() if isinstance(item, np.ndarray) else repr(item).encode()
    return hashlib.blake2b(content, digest_size=16).digest()
