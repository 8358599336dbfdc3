"""The versions of the software that runs, and which of it decides numbers."""

import functools
import importlib.metadata
import platform

DECIDING = ("suffice", "torch", "transformers", "peft", "numpy", "pillow")
"""Packages of whose other versions numbers may differ; what they compute is not mixed."""

OTHERS = ("zarr", "scikit-learn")
"""Packages that are noted as well."""


@functools.cache
def deciding() -> dict[str, str]:
    """The versions of the packages that decide numbers; none for one that is not installed.

    Example:
        >>> list(deciding())
        ['suffice', 'torch', 'transformers', 'peft', 'numpy', 'pillow']
    """
    return {name: _version(name) for name in DECIDING}


def versions() -> dict[str, str]:
    """The versions of Python and of all packages that are noted.

    Example:
        >>> versions()["suffice"] == deciding()["suffice"]
        True
    """
    return {"python": platform.python_version()} | deciding() | {name: _version(name) for name in OTHERS}


@functools.cache
def _version(name: str) -> str:
    return importlib.metadata.version(name)
