"""Which guards a model has passed, so that a study of hundreds of trainings runs each of them once."""

import weakref
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from torch import nn

from suffice.problem import Problem

LATEST = 16
"""Uses of a model, and data sets of a use, that are remembered."""


class Passed:
    """The guards passed by one use of a model: these moving parameters, this prediction, this loss, this batching.

    A model that has got other hooks, buffers or flags since is another use. What depends on the samples is asked of
    each data set (`has_read`), or of the lengths of samples that were seen (`covers`).

    Example:
        >>> import torch
        >>> data = torch.utils.data.TensorDataset(torch.randn(3, 2), torch.randint(3, (3,)))
        >>> problem = Problem(nn.Linear(2, 3), data)
        >>> passed_by(problem).add("losses")
        >>> passed_by(problem.elsewhere(data)).has("losses"), passed_by(Problem(nn.Linear(2, 3), data)).has("losses")
        (True, False)
    """

    def __init__(self, problem: Problem) -> None:
        self._moving = tuple(problem.moving)
        self._parts = [_Reference.to(part) for part in (problem.predict, problem.loss, problem.collate)]
        self._state = _state(problem.model)
        self._guards: set[str] = set()
        self._read: list[_Reference] = []
        self._sizes: dict[str, tuple[int, int]] = {}
        self._outputs: tuple[Any, dict[Any, Any]] = (None, {})

    def is_of(self, problem: Problem) -> bool:
        """Whether a problem uses the model in the same way."""
        parts = (problem.predict, problem.loss, problem.collate)
        return (
            self._moving == tuple(problem.moving)
            and all(mine.is_to(part) for mine, part in zip(self._parts, parts, strict=True))
            and self._state == _state(problem.model)
        )

    def has(self, guard: str) -> bool:
        """Whether a guard was passed."""
        return guard in self._guards

    def add(self, guard: str) -> None:
        """A guard is passed."""
        self._guards.add(guard)

    def has_read(self, dataset: Any) -> bool:
        """Whether this data set gave the same samples at a second reading."""
        return any(known.is_to(dataset) for known in self._read)

    def add_read(self, dataset: Any) -> None:
        """This data set did."""
        self._read = [*self._read[1 - LATEST :], _Reference.to(dataset)]

    def covers(self, guard: str, sizes: Sequence[int]) -> bool:
        """Whether a guard was passed by samples as short and as long as these."""
        low, high = self._sizes.get(guard, (1, 0))
        return low <= min(sizes) and max(sizes) <= high

    def add_sizes(self, guard: str, sizes: Sequence[int]) -> None:
        """A guard is passed by samples of these lengths."""
        known = self._sizes.get(guard, (min(sizes), max(sizes)))
        self._sizes[guard] = (min(*known, *sizes), max(*known, *sizes))

    def outputs_at(self, center: Any) -> dict[Any, Any]:
        """Outputs that guards of derivatives have measured around a point; those around another are forgotten."""
        if self._outputs[0] != center:
            self._outputs = (center, {})
        return self._outputs[1]


def passed_by(problem: Problem) -> Passed:
    """What the model of a problem has passed in this use; forgotten with the model."""
    uses = _USES.setdefault(problem.model, [])
    for use in uses:
        if use.is_of(problem):
            return use
    del uses[: 1 - LATEST]
    uses.append(Passed(problem))
    return uses[-1]


def _state(model: nn.Module) -> tuple[Any, ...]:
    """What may change what a model computes but its weights: hooks, buffers, flags, code; training mode is set anew.

    Whole numbers are no flags: many are counters.
    """
    found: list[Any] = []
    for name, module in model.named_modules():
        hooks = (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks, module._backward_pre_hooks)
        flags = (
            (key, value)
            for key, value in vars(module).items()
            if key != "training" and (value is None or isinstance(value, bool | str | float))
        )
        own = vars(module).get("forward")  # that of an instance comes before that of its class
        found.append((name, type(module), id(own), *map(tuple, hooks), tuple(flags)))
    for name, parameter in model.named_parameters():
        found.append((name, tuple(parameter.shape), tuple(parameter._backward_hooks or ())))
    found.extend((name, tuple(buffer.shape)) for name, buffer in model.named_buffers())
    return tuple(found)


_USES: weakref.WeakKeyDictionary[nn.Module, list[Passed]] = weakref.WeakKeyDictionary()


class _Reference(NamedTuple):
    """A function, a method or a word, without keeping alive what it belongs to: that may be the model."""

    owner: Callable[[], Any]
    function: Any

    @classmethod
    def to(cls, part: Any) -> "_Reference":
        owner, function = _split(part)
        try:
            return cls(weakref.ref(owner), function)
        except TypeError:  # a word, or a built-in function
            return cls(lambda: owner, function)

    def is_to(self, part: Any) -> bool:
        owner, function = _split(part)
        # words are compared by value, all else by identity
        known = self.owner()
        return self.function is function and (known is owner or (isinstance(owner, str) and known == owner))


def _split(part: Any) -> tuple[Any, Any]:
    """A bound method is made anew at each access; its owner and its function stay."""
    return (part.__self__, part.__func__) if hasattr(part, "__func__") else (part, None)
