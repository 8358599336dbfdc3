"""Memory that runs out: how to tell, and batches that are halved then."""

import warnings
from collections.abc import Callable, Iterator
from typing import TypeVar, final

import numpy as np
import torch
from jaxtyping import Int64

from suffice.errors import InputError, InputWarning, reason

Found = TypeVar("Found")

CPU_ALLOCATOR = "can't allocate memory"
"""What torch says where a CPU has no more: its error has no class of its own."""

DRIVER = "CUDA error: out of memory"
"""What the driver of a GPU says where other processes have taken its memory."""


def has_run_out(error: BaseException) -> bool:
    """Whether an error says that memory has run out.

    Example:
        >>> has_run_out(MemoryError()), has_run_out(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
        (True, False)
    """
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in (CPU_ALLOCATOR, DRIVER))


def too_large(error: BaseException) -> InputError:
    """What to say, and to do, where memory runs out with a single sample."""
    return InputError(
        f"memory runs out with a single sample ({reason(error)}): let fewer parameters move, or use another device"
    )


@final
class Halving:
    """Runs samples in batches: of a size at first, and of half as many each time that memory runs out.

    Args:
        size: samples of a batch. Once memory has run out, later calls begin with the smaller size.

    Example:
        >>> def run(positions):
        ...     if len(positions) > 2:
        ...         raise torch.OutOfMemoryError
        ...     return positions.tolist()
        >>> warnings.simplefilter("ignore")  # that memory ran out
        >>> halving = Halving(4)
        >>> list(halving(run, np.arange(5))), halving.size
        ([[0, 1], [2, 3], [4]], 2)
    """

    def __init__(self, size: int) -> None:
        self.size = size

    def __call__(
        self, run: Callable[[Int64[np.ndarray, " batch *_"]], Found], chosen: Int64[np.ndarray, " chosen *_"]
    ) -> Iterator[Found]:
        """What a function gives for each batch.

        Args:
            run: takes the positions of a batch. It may be called again with some of the same ones.
            chosen: the positions, or rows of several.

        Raises:
            InputError: memory runs out with one sample.
        """
        start = 0
        while start < len(chosen):
            some = chosen[start : start + self.size]
            try:
                found = run(some)
            except Exception as error:
                if not has_run_out(error):
                    raise
                if len(some) == 1:
                    raise too_large(error) from error
                self.size = (len(some) + 1) // 2
                ran_out = f"memory ran out with batches of {len(some)} samples; they are halved to {self.size}"
                warnings.warn(InputWarning(ran_out, event="halved", batch_size=self.size), stacklevel=2)
                continue  # after this clause, as the error keeps alive what the run had made
            yield found
            start += len(some)
