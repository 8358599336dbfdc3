"""The frozen prefix of a model: its outputs are computed once."""

import itertools
from typing import Any

import torch
from torch import nn

from suffice.problem import TOGETHER, Problem, default_predict

HOOKS = "_forward_pre_hooks", "_forward_hooks", "_backward_pre_hooks", "_backward_hooks"
"""Where a module keeps what runs before and after it."""


def without_frozen_prefix(problem: Problem, memory: int) -> Problem:
    """The same losses as functions of the moving parameters, from kept outputs of the layers before these.

    An ``nn.Sequential`` on pairs (x, y) says which layers come first; of other models nothing is guessed. A callable
    loss may look at x, and hooks of the whole model may do anything: with these the model stays whole.

    Args:
        problem: the model and the samples.
        memory: bytes that the outputs may take; beyond it the whole model is kept.

    Example:
        >>> model = nn.Sequential(nn.Linear(8, 2), nn.Tanh(), nn.Linear(2, 3))
        >>> data = torch.utils.data.TensorDataset(torch.randn(5, 8), torch.randint(3, (5,)))
        >>> whole = Problem(model, data, parameters="2.*")
        >>> without_frozen_prefix(whole, 1_000_000).batch(slice(0, 4))[0].shape
        torch.Size([4, 2])
    """
    model = problem.model
    if type(model) is not nn.Sequential or problem.predict is not default_predict or callable(problem.loss):
        return problem
    if any(getattr(model, hooks) for hooks in HOOKS):
        return problem
    moving = set(problem.moving.values())
    frozen = list(itertools.takewhile(lambda layer: moving.isdisjoint(layer.parameters()), model))
    if not frozen or not isinstance(problem.batch(slice(0, 1)), tuple):
        return problem
    first, rest = _First(model, len(frozen)), nn.Sequential(*list(model)[len(frozen) :])
    features: list[torch.Tensor] = []
    with problem.measuring():
        for outputs in problem.each(lambda some, batch: default_predict(first, batch), TOGETHER):
            if not isinstance(outputs, torch.Tensor) or outputs.nbytes / len(outputs) * len(problem) > memory:
                return problem
            features.append(outputs)
    return problem.from_features(torch.cat(features), lambda model, batch: rest(batch[0]))


class _First(nn.Module):
    """The first layers. Its parameters are those of the whole model, whose dtype the samples get."""

    def __init__(self, model: nn.Sequential, count: int) -> None:
        super().__init__()
        self._model, self._count = model, count

    def forward(self, x: Any) -> Any:
        for layer in itertools.islice(self._model, self._count):
            x = layer(x)
        return x
