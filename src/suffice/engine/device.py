"""The device that models run on."""

import torch

from suffice.errors import InputError


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
