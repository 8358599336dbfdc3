"""A run's folder: made, resumed or refused, and locked while the run writes to it."""

import importlib.metadata
import platform
import shutil
from collections.abc import Iterator, Set
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from suffice.configuration import Config, read_settings
from suffice.errors import InputError
from suffice.results import RESULT, Result
from suffice.storage import atomic_write, differences, locked

CONFIGURATION = "config.yaml"
METHODS = "methods"
"""The folder of the runs of several methods, each in a sub-folder of its name."""

CONTENTS = (
    CONFIGURATION,
    RESULT,
    "report.html",
    "report.md",
    "figures",
    "ledger",
    "held_out_ledger",
    "held_out_errors",
    "fine_tuning.pt",
    "moments",
    "curvature",
    "features",
    "trainings",
    "evidence.npz",
    "pilot.npz",
    "cells",
    "surfaces",
    "cells.csv",
    "networks",
    METHODS,
)
SOFTWARE = ("suffice", "torch", "transformers", "peft", "numpy", "pillow", "zarr", "scikit-learn")


@contextmanager
def open_folder(
    folder: Path, config: Config, fingerprint: str, overwrite: bool, free: Set[str] = frozenset()
) -> Iterator[bool]:
    """Makes a run's folder, writes its configuration, and keeps other runs out of it until the context ends.

    The context gives whether the folder holds such a run that is to be resumed.

    Args:
        folder: the folder, which need not exist.
        config: the settings of the run.
        fingerprint: the hash of the data.
        overwrite: replace a run that is there.
        free: keys that may change without a new measurement.

    Raises:
        InputError: the folder holds a run with other settings or other data, or something that is not a run, or
            another process is writing to it.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file: give a folder with --out")
    file = folder / CONFIGURATION
    if not file.exists() and folder.exists() and any(not path.name.startswith(".") for path in folder.iterdir()):
        raise InputError(f"{folder} is not empty and holds no run of suffice: give another --out")
    with locked(folder):
        resumed = file.exists()
        if resumed:
            stored = _read(file)
            if overwrite:
                _clear(folder)
                resumed = False
            else:
                _check_same(folder, config, stored, fingerprint, free)
        with atomic_write(file) as stream:
            content = {**config.asked(), "fingerprint": fingerprint, "versions": versions()}
            stream.write(yaml.safe_dump(content, sort_keys=False, allow_unicode=True).encode())
        yield resumed


def _read(file: Path) -> dict[str, Any]:
    try:
        stored = read_settings(file)
    except InputError:
        stored = {}
    if "fingerprint" not in stored:
        raise InputError(f"{file} is damaged, or another program's: give another --out")
    return stored


def _check_same(folder: Path, config: Config, stored: dict[str, Any], fingerprint: str, free: Set[str]) -> None:
    asked, before = config.asked(), _asked_before(config, stored)
    keys = [key for key in asked if key not in free]
    differing = differences({key: before.get(key) for key in keys}, {key: asked[key] for key in keys})
    if stored["fingerprint"] != fingerprint:
        differing.append("contents of the data: changed")
    if differing:
        raise InputError(
            f"{folder} holds a run with other settings ({'; '.join(differing)}): "
            "give another --out, or --overwrite to replace it"
        )


def _asked_before(config: Config, stored: dict[str, Any]) -> dict[str, Any]:
    """The stored settings, under the names that keys have now; unchanged if they are of another command."""
    try:
        return type(config).model_validate(config.renamed(stored)).asked()
    except (InputError, ValidationError):
        return stored


def write_result(result: Result, folder: Path, indent: int | None = None) -> None:
    """Writes ``result.json``, whole or not at all."""
    with atomic_write(folder / RESULT) as file:
        file.write(result.model_dump_json(indent=indent).encode())


def versions() -> dict[str, str]:
    """The versions of Python and of the packages that decide the numbers."""
    return {"python": platform.python_version()} | {name: importlib.metadata.version(name) for name in SOFTWARE}


def _clear(folder: Path) -> None:
    for name in CONTENTS:
        path = folder / name
        if path.is_dir() and not path.is_symlink():  # what a link leads to is not the run's
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
