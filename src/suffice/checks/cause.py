"""Which module makes two runs differ: the first whose output differs although what went in agrees."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

import torch
from torch import Tensor, nn

from suffice.checks.measured import evaluating, same, tensors_in
from suffice.problem import Batch, Problem

KEPT_BYTES = 1 << 30
"""What the outputs of all modules of a run may take; no module is named where they take more."""

UNNAMED = "a part that could not be named"


@dataclass(frozen=True)
class Run:
    """One forward pass, in which one sample is looked at.

    Attributes:
        batch: what is run.
        samples: how many samples it has.
        row: the sample that is looked at; None for all of them.
        seed: of the random numbers.
    """

    batch: Batch
    samples: int
    row: int | None = 0
    seed: int = 0


@dataclass
class Call:
    """One call of a module, with copies of what went in and came out."""

    name: str
    module: nn.Module | None
    inputs: list[Tensor]
    outputs: list[Tensor] = field(default_factory=list)
    inner: list["Call"] = field(default_factory=list)


def find_cause(problem: Problem, one: Run, other: Run, tolerance: float) -> str:
    """Where two runs begin to differ: a module with its name and class, or what is around the model.

    Args:
        problem: its model is run.
        one: a forward pass.
        other: another, with the same sample in it.
        tolerance: a difference of tensors, over their largest value, up to which they agree.
    """
    first, second = (_calls(problem, run) for run in (one, other))
    if first is None or second is None:
        return UNNAMED

    def differ(some: Sequence[Tensor], others: Sequence[Tensor]) -> bool:
        pairs = zip(some, others, strict=False)
        return any(difference(left, right, one, other) > tolerance for left, right in pairs)

    if differ(first.inputs, second.inputs):
        return "the collate function"
    found = _first_difference(first, second, differ)
    if found is None:
        return "the prediction or the loss around the model"
    return f"module {found.name} ({type(found.module).__name__})" if found.name else _root(found)


def module_of(problem: Problem, cause: str) -> nn.Module | None:
    """The module that a cause names."""
    words = cause.split()
    return dict(problem.model.named_modules()).get(words[1]) if words[0] == "module" else None


def difference(some: Tensor, others: Tensor, one: Run, other: Run) -> float:
    """The largest difference of a sample's part of two tensors, over their largest value; 0 if they cannot be compared.

    Where the parts differ in length, as by padding, the shorter is compared with the start and with the end of the
    longer, and the smaller difference counts.

    Example:
        >>> alone, padded = torch.tensor([[1.0, 2.0]]), torch.tensor([[7.0, 7.0, 7.0], [1.0, 2.0, 0.0]])
        >>> difference(alone, padded, Run(None, 1, row=0), Run(None, 2, row=1))
        0.0
    """
    pair = _parts(some, others, one, other)
    if pair is None:
        return 0.0
    left, right = (part.detach().to(torch.complex128 if part.is_complex() else torch.float64) for part in pair)
    lengths = [min(mine, theirs) for mine, theirs in zip(left.shape, right.shape, strict=True)]
    if 0 in lengths:
        return 0.0
    start = tuple(slice(0, length) for length in lengths)
    return min(
        _relative(left[start], right[start]),
        _relative(_ends(left, lengths), _ends(right, lengths)) if left.shape != right.shape else torch.inf,
    )


def _first_difference(
    one: Call, other: Call, differ: Callable[[Sequence[Tensor], Sequence[Tensor]], bool]
) -> Call | None:
    for mine, theirs in zip_longest(one.inner, other.inner):
        if mine is None or theirs is None or mine.name != theirs.name or differ(mine.inputs, theirs.inputs):
            return one if one.module is not None else None
        if differ(mine.outputs, theirs.outputs):
            return _first_difference(mine, theirs, differ)
    return one if one.module is not None else None


def _root(call: Call) -> str:
    return f"the forward of the model itself ({type(call.module).__name__})"


def _parts(some: Tensor, others: Tensor, one: Run, other: Run) -> tuple[Tensor, Tensor] | None:
    """The sample's part of each, of the same number of dimensions."""
    if some.ndim != others.ndim:
        return None
    if one.row is None or other.row is None:
        return (some, others) if some.shape == others.shape else None
    if one.samples != other.samples and some.shape[:1] == others.shape[:1] == (1,):
        return some, others  # shared by all samples, as positions are
    # a sample may have several rows, as windows or heads; with padding, even another number of them
    for as_many in (True, False):
        for axis in range(min(2, some.ndim)):
            mine, theirs = some.shape[axis] // one.samples, others.shape[axis] // other.samples
            whole = some.shape[axis] % one.samples == 0 == others.shape[axis] % other.samples
            if whole and mine > 0 and theirs > 0 and (mine == theirs or not as_many):
                return (
                    some.narrow(axis, one.row * mine, mine),
                    others.narrow(axis, other.row * theirs, theirs),
                )
    return (some, others) if some.shape == others.shape else None


def _ends(tensor: Tensor, lengths: Sequence[int]) -> Tensor:
    return tensor[tuple(slice(size - length, size) for size, length in zip(tensor.shape, lengths, strict=True))]


def _relative(left: Tensor, right: Tensor) -> float:
    equal = same(left, right)
    gap = torch.where(equal, 0.0, (left - right).abs()).max()
    finite = [part[part.isfinite()].abs() for part in (left, right)]
    scale = max((float(part.max()) for part in finite if part.numel()), default=0.0)
    return float(gap) / scale if scale > 0 else (0.0 if bool(equal.all()) else torch.inf)


def _calls(problem: Problem, run: Run) -> Call | None:
    """All calls of a forward pass, below one that stands for the prediction; None where they take too much."""
    root = Call("", None, _copies(run.batch))
    open_calls, kept = [root], 0

    def enter(module: nn.Module, inputs: Any, keywords: Any) -> None:
        nonlocal kept
        call = Call(names[module], module, [])
        open_calls[-1].inner.append(call)
        open_calls.append(call)
        if kept < KEPT_BYTES:
            call.inputs = [*_copies(inputs), *_copies(keywords)]
            kept += _bytes(call.inputs)

    def leave(module: nn.Module, inputs: Any, outputs: Any) -> None:
        nonlocal kept
        call = open_calls.pop()
        if kept < KEPT_BYTES:
            call.outputs = _copies(outputs)
            kept += _bytes(call.outputs)

    names = {module: name for name, module in problem.model.named_modules()}
    with evaluating(problem), _hooked(list(names), enter, leave):
        torch.manual_seed(run.seed)
        problem.outputs(run.batch)
    return root if kept < KEPT_BYTES else None


@contextmanager
def _hooked(modules: Sequence[nn.Module], enter: Callable[..., None], leave: Callable[..., None]) -> Iterator[None]:
    hooks: list[Any] = []
    try:
        for module in modules:
            hooks.append(module.register_forward_pre_hook(enter, with_kwargs=True))
            hooks.append(module.register_forward_hook(leave))
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _copies(value: Any) -> list[Tensor]:
    return [tensor.detach().clone() for tensor in tensors_in(value)]


def _bytes(tensors: Sequence[Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
