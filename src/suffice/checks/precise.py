"""A copy of a problem's model in float64, in which a difference is not rounding; and how precise a model is."""

import copy
from collections.abc import Mapping
from typing import Any

import psutil
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from suffice.problem import Batch, Problem

SHARE = 0.5
"""Of the free memory a copy may take so much."""

WORKING = 6
"""Sets of moving parameters in float64 that a comparison of derivatives holds at a time."""

FLOAT32, FLOAT64 = 1e-5, 1e-10
"""Relative differences of losses that are still rounding; those of sound models in float32 stay below 3e-7."""


def rounding(dtype: torch.dtype) -> float:
    """The relative difference of two losses up to which it is taken for rounding.

    Example:
        >>> rounding(torch.float32), rounding(torch.float64)
        (1e-05, 1e-10)
        >>> round(rounding(torch.bfloat16), 2)
        0.66
    """
    if dtype == torch.float64:
        return FLOAT64
    return FLOAT32 * torch.finfo(dtype).eps / torch.finfo(torch.float32).eps


def in_float64(problem: Problem) -> Problem | None:
    """The problem with a float64 copy of its model, or None where it does not fit or cannot be made.

    Complex numbers become complex128. The samples are the same; their floating-point numbers are converted before the
    prediction.
    """
    values = [*problem.model.parameters(), *problem.model.buffers()]
    size = sum(_doubled(value.dtype).itemsize * value.numel() for value in values)
    moving = sum(_doubled(value.dtype).itemsize * value.numel() for value in problem.moving.values())
    if size + WORKING * moving > SHARE * _free(problem.device):
        return None
    try:
        model = copy.deepcopy(problem.model)
        for value in (*model.parameters(), *model.buffers()):
            value.data = value.data.to(_doubled(value.dtype))
    except Exception:  # whatever keeps a model from being copied, there is no copy
        return None
    return with_model(problem, model)


def with_model(problem: Problem, model: nn.Module) -> Problem:
    """The problem with a copy of its model; no guards run on it."""
    known = dict(model.named_parameters())
    other = copy.copy(problem)
    other.model = model
    other.moving = {name: known[name] for name in problem.moving}
    other.checks = False

    def predict(model: nn.Module, batch: Batch) -> Any:
        return problem.predict(model, _converted(batch))

    other.predict = predict
    return other


def lowest_dtype(problem: Problem, batch: Batch) -> torch.dtype:
    """The least precise floating-point dtype that the losses of a batch pass through.

    Example:
        >>> data = torch.utils.data.TensorDataset(torch.randn(3, 2), torch.randint(2, (3,)))
        >>> model = nn.Sequential(nn.Linear(2, 2).double(), nn.Softmax(1))
        >>> problem = Problem(model, data, predict=lambda model, batch: model(batch[0].double()).float())
        >>> lowest_dtype(problem, problem.batch(slice(0, 2)))
        torch.float32
    """
    seen = _Dtypes()
    with seen:
        problem.losses(batch)
    return max(seen.dtypes, key=lambda dtype: torch.finfo(dtype).eps, default=torch.float64)


class _Dtypes(TorchDispatchMode):
    """Notes the floating-point dtypes of what operations return."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.dtypes: set[torch.dtype] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        outputs = func(*args, **(kwargs or {}))
        for output in outputs if isinstance(outputs, tuple | list) else [outputs]:
            if isinstance(output, Tensor) and output.is_floating_point():
                self.dtypes.add(output.dtype)
        return outputs


def _doubled(dtype: torch.dtype) -> torch.dtype:
    if dtype.is_complex:
        return torch.complex128
    return torch.float64 if dtype.is_floating_point else dtype


def _converted(batch: Batch) -> Batch:
    if isinstance(batch, Tensor):
        return batch.to(_doubled(batch.dtype))
    if isinstance(batch, Mapping):
        return {key: _converted(value) for key, value in batch.items()}
    if isinstance(batch, tuple):
        return tuple(_converted(value) for value in batch)
    return batch


def _free(device: torch.device) -> int:
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else psutil.virtual_memory().available
