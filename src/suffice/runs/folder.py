"""A run's folder: made, resumed or refused."""

import importlib.metadata
import platform
import shutil
from pathlib import Path
from typing import Any

import yaml

from suffice.errors import InputError
from suffice.storage import PARTIAL, atomic_write

CONFIGURATION = "config.yaml"
CONTENTS = (
    CONFIGURATION,
    "result.json",
    "report.html",
    "figures",
    "ledger",
    "held_out_ledger",
    "held_out_errors",
    "fine_tuning.pt",
)
SOFTWARE = ("suffice", "torch", "transformers", "peft", "numpy", "pillow", "zarr", "scikit-learn")


def open_folder(folder: Path, asked: dict[str, Any], overwrite: bool) -> None:
    """Makes a run's folder and writes its configuration; a run of the same configuration is there to be resumed.

    Raises:
        InputError: the folder holds a run of another configuration (unless ``overwrite``), or something else.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file: give a folder with --out")
    file = folder / CONFIGURATION
    if file.exists():
        try:
            stored = yaml.safe_load(file.read_text())
        except (yaml.YAMLError, UnicodeDecodeError):
            stored = None
        stored = stored if isinstance(stored, dict) else {}
        differing = sorted(key for key in asked if stored.get(key) != asked[key])
        if differing and not overwrite:
            raise InputError(
                f"{folder} holds a run with another {', '.join(differing)}: "
                "give another --out, or --overwrite to replace it"
            )
        if overwrite:
            _clear(folder)
    elif folder.exists() and any(not path.name.startswith(".") for path in folder.iterdir()):
        raise InputError(f"{folder} is not empty and holds no run of suffice: give another --out")
    folder.mkdir(parents=True, exist_ok=True)
    for leftover in folder.glob(PARTIAL):
        leftover.unlink()
    with atomic_write(file) as stream:
        stream.write(yaml.safe_dump({**asked, "versions": versions()}, sort_keys=False, allow_unicode=True).encode())


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
