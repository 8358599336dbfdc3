"""Runs of a model that leave no trace: in evaluation mode, with random numbers of their own."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float64
from torch import Tensor

from suffice.problem import Batch, Problem, evaluation_mode


@contextmanager
def evaluating(problem: Problem) -> Iterator[None]:
    """`Problem.measuring`, without its warning, and with the random state put back at the end."""
    with evaluation_mode(problem.model), random_numbers_of_its_own(problem), problem.measuring():
        yield


@contextmanager
def random_numbers_of_its_own(problem: Problem) -> Iterator[None]:
    """The state of torch's random numbers is put back at the end."""
    with torch.random.fork_rng([problem.device] if problem.device.type == "cuda" else []):
        yield


def batch_at(problem: Problem, positions: Sequence[int]) -> Batch:
    """The collated samples at some positions."""
    return problem.batch(np.array(positions, dtype=np.int64))


def losses_of(problem: Problem, batch: Batch, seed: int = 0) -> Float64[np.ndarray, " batch"]:
    """The losses of a batch, with the random numbers of a seed."""
    torch.manual_seed(seed)
    return np.asarray(problem.losses(batch).detach().double().cpu().numpy())


def same(left: Tensor, right: Tensor) -> Bool[Tensor, "..."]:
    """Where two tensors of one shape are equal; what is not a number equals what is not a number."""
    return (left == right) | (left.isnan() & right.isnan())


def tensors_in(value: Any) -> list[Tensor]:
    """The tensors in nested tuples, lists and dictionaries, in order."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    return [tensor for item in value for tensor in tensors_in(item)] if isinstance(value, list | tuple) else []
