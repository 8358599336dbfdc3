"""Which guards a model has passed, so that a study of hundreds of trainings runs each of them once."""

import weakref
from collections.abc import Callable
from typing import Any, NamedTuple

from torch import nn

from suffice.problem import Problem


class Passed:
    """The guards passed by one use of a model: these moving parameters, this prediction, this loss, this batching.

    Samples are not part of it: a problem on other samples of the same kind has passed what the first one has.

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
        self._guards: set[str] = set()

    def is_of(self, problem: Problem) -> bool:
        """Whether a problem uses the model in the same way."""
        parts = (problem.predict, problem.loss, problem.collate)
        return self._moving == tuple(problem.moving) and all(
            mine.is_to(part) for mine, part in zip(self._parts, parts, strict=True)
        )

    def has(self, guard: str) -> bool:
        """Whether a guard was passed."""
        return guard in self._guards

    def add(self, guard: str) -> None:
        """A guard is passed."""
        self._guards.add(guard)


def passed_by(problem: Problem) -> Passed:
    """What the model of a problem has passed in this use; forgotten with the model."""
    uses = _USES.setdefault(problem.model, [])
    for use in uses:
        if use.is_of(problem):
            return use
    uses.append(Passed(problem))
    return uses[-1]


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
