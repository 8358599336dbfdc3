"""A run's folder: made, resumed or refused."""

import importlib.metadata
import platform
import shutil
from collections.abc import Set
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from suffice.configuration import Config
from suffice.errors import InputError
from suffice.results import RESULT, Result
from suffice.storage import PARTIAL, atomic_write

CONFIGURATION = "config.yaml"
CONTENTS = (
    CONFIGURATION,
    RESULT,
    "report.html",
    "figures",
    "ledger",
    "held_out_ledger",
    "held_out_errors",
    "fine_tuning.pt",
    "moments",
    "features",
    "trainings",
    "pilot.npz",
    "cells",
    "surfaces",
    "cells.csv",
    "networks",
)
SOFTWARE = ("suffice", "torch", "transformers", "peft", "numpy", "pillow", "zarr", "scikit-learn")


def open_folder(folder: Path, config: Config, fingerprint: str, overwrite: bool, free: Set[str] = frozenset()) -> bool:
    """Makes a run's folder and writes its configuration; returns whether it holds such a run that is to be resumed.

    Args:
        folder: the folder, which need not exist.
        config: the settings of the run.
        fingerprint: of the data.
        overwrite: replace a run that is there.
        free: keys that may change without a new measurement.

    Raises:
        InputError: the folder holds a run with other settings or other data, or something that is not a run.
    """
    asked = config.asked()
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file: give a folder with --out")
    file = folder / CONFIGURATION
    if file.exists():
        try:
            stored = yaml.safe_load(file.read_text())
        except (yaml.YAMLError, UnicodeDecodeError):
            stored = None
        if not isinstance(stored, dict) or "fingerprint" not in stored:
            raise InputError(f"{folder} holds another program's {CONFIGURATION}: give another --out")
        if overwrite:
            _clear(folder)
        else:
            before = _asked_before(config, stored)
            differing = [
                f"{key}: {before.get(key)}, now {asked[key]}"
                for key in sorted(asked.keys() - free)
                if before.get(key) != asked[key]
            ]
            if stored["fingerprint"] != fingerprint:
                differing.append("other contents of its data")
            if differing:
                raise InputError(
                    f"{folder} holds a run with other settings ({'; '.join(differing)}): "
                    "give another --out, or --overwrite to replace it"
                )
    elif folder.exists() and any(not path.name.startswith(".") for path in folder.iterdir()):
        raise InputError(f"{folder} is not empty and holds no run of suffice: give another --out")
    resumed = file.exists() and not overwrite
    folder.mkdir(parents=True, exist_ok=True)
    for leftover in folder.rglob(PARTIAL):
        leftover.unlink()
    with atomic_write(file) as stream:
        content = {**asked, "fingerprint": fingerprint, "versions": versions()}
        stream.write(yaml.safe_dump(content, sort_keys=False, allow_unicode=True).encode())
    return resumed


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
    """Of Python and the packages that decide the numbers."""
    return {"python": platform.python_version()} | {name: importlib.metadata.version(name) for name in SOFTWARE}


def _clear(folder: Path) -> None:
    for name in CONTENTS:
        path = folder / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
