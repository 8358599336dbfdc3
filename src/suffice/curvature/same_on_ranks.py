"""Sums over samples on several ranks, which must hold the same model, samples and settings."""

import weakref
from collections.abc import Callable, Mapping

import numpy as np
import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from suffice.digest import digest, digest_of_samples
from suffice.engine import Ranks
from suffice.problem import Problem

_SAMPLES: weakref.WeakKeyDictionary[Problem, str] = weakref.WeakKeyDictionary()
"""Hashes of the samples of problems, which are read for them once."""


FIRST = 4
"""Samples whose losses are compared."""


def agreed(
    ranks: Ranks | None,
    problem: Problem,
    positions: Int64[np.ndarray, " chosen"],
    settings: Mapping[str, object],
    check: Callable[[], None],
) -> None:
    """Checks on each rank, and refuses ranks that hold different models, samples or settings.

    Args:
        ranks: None for this process alone.
        problem: its samples are read once on each rank, where there are several.
        positions: of the samples that are used.
        settings: what else decides the bits, in words or numbers.
        check: raises an error where a derivative cannot be taken; then all ranks raise it.

    Raises:
        InputError: names the rank, and what it holds.
    """
    if ranks is None or ranks.count == 1:
        check()
        return
    ranks.together(check)
    ranks.agree(lambda: _same(problem, positions, settings))


def add_in_order(
    ranks: Ranks | None,
    total: Float64[Tensor, "*shape"],
    chunks: int,
    add: Callable[[Float64[Tensor, "*shape"], int], None],
    given: Mapping[str, Tensor],
) -> None:
    """Adds the sums of all chunks to a total, in their order; see `suffice.engine.Ranks`.

    Args:
        ranks: None for this process alone.
        total: contiguous.
        chunks: number of chunks.
        add: adds the sum of the chunk of a number to a tensor.
        given: what the sums depend on, which must be the same on all ranks to the bit.
    """
    if ranks is None:
        for chunk in range(chunks):
            add(total, chunk)
        return
    if ranks.count > 1:
        ranks.agree(lambda: {what: _bits(tensor) for what, tensor in given.items()})
    ranks.add_in_order(total, chunks, add)


def _same(problem: Problem, positions: Int64[np.ndarray, " chosen"], settings: Mapping[str, object]) -> dict[str, str]:
    """Hashes of the weights and the samples, and what else decides the bits."""
    if problem not in _SAMPLES:
        _SAMPLES[problem] = digest_of_samples(problem.dataset)
    with problem.measuring(), torch.no_grad():
        first = problem.losses(problem.batch(positions[:FIRST]))
    weights = dict(problem.model.named_parameters()) | dict(problem.model.named_buffers())
    return {
        "weights": digest(weights),
        "moving parameters": digest(list(problem.moving)),
        "samples": digest(_SAMPLES[problem], problem.index, positions),
        "weights of samples": digest(problem.sample_weights),
        "loss": digest(problem.loss) if callable(problem.loss) else problem.loss,
        "losses of the same samples": digest(first),  # tells apart what forward and loss compute
        **{what: str(value) for what, value in settings.items()},
        "device": problem.device.type,
        "number of threads": str(torch.get_num_threads()),
        "version of torch": torch.__version__,
    }


def _bits(vectors: Tensor) -> str:
    """A number that differs where vectors do, but for a permutation; cheap beside a product with them."""
    values = vectors.contiguous()
    return f"sum of bits: {int(values.view(torch.int64 if values.dtype == torch.float64 else torch.int32).sum())}"
