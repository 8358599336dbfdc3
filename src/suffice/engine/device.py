"""The device that models run on, and how to tell that it is gone."""

import torch

from suffice.errors import InputError, reason

OF_GPU = ("CUDA error:", "HIP error:")
"""How torch begins what a driver of a GPU says, where the error has no class of its own."""

OF_MEMORY = "out of memory"
"""What a driver says where the GPU is whole."""


def choose_device(name: str) -> torch.device:
    """The device of a name; "auto" is the GPU where there is one.

    Raises:
        InputError: no such device.

    Example:
        >>> choose_device("cpu")
        device(type='cpu')
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name != "cpu" and not (name.partition(":")[0] == "cuda" and torch.cuda.is_available()):
        raise InputError(f"device = {name!r}: give auto, cpu or cuda (where there is one)")
    return torch.device(name)


def lost_gpu(error: BaseException | None) -> str | None:
    """What a driver says of a GPU that is lost to a process, from an error or what it was raised from.

    After such an error nothing runs on that GPU in that process any more; another process may use it, or another GPU.

    Example:
        >>> lost_gpu(torch.AcceleratorError("CUDA error: unspecified launch failure"))
        'AcceleratorError: CUDA error: unspecified launch failure'
        >>> lost_gpu(RuntimeError("mat1 and mat2 shapes cannot be multiplied")) is None
        True
    """
    while error is not None:
        if isinstance(error, RuntimeError) and not isinstance(error, torch.OutOfMemoryError):
            words = str(error)
            is_of_gpu = isinstance(error, torch.AcceleratorError) or words.startswith(OF_GPU)
            if is_of_gpu and OF_MEMORY not in words:
                return reason(type(error)(words.partition("\n")[0]))
        error = error.__cause__ or error.__context__
    return None
