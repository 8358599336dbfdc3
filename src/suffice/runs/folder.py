"""A run's folder: made, resumed or refused, and locked while the run writes to it."""

import os
import shutil
import warnings
from collections.abc import Iterator, Mapping, Set
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from suffice.configuration import Config, ModelConfig, settings_in
from suffice.digest import digest
from suffice.errors import InputError, InputWarning
from suffice.regular import LARGEST, check_kinds, read_regular
from suffice.results import RESULT, Result, result_as_json
from suffice.runs.log import LOG, OLDER, keep_log
from suffice.runs.replacement import REPLACEMENT, complete, finish, folder_to_write
from suffice.runs.state import STATE, keep_count, track
from suffice.software import DECIDING, deciding, versions
from suffice.storage import MANIFEST, Place, atomic_write, differences, locked, place, write_manifest

CONFIGURATION = "config.yaml"
CHECKPOINT = "fine_tuning.pt"
"""What was trained, or is being trained."""

RECORDING = "recording.json"
"""How the training of a language model went."""

SHORT = "short"
"""The folder of short runs, each in a sub-folder that its number of samples names."""

TABLE = "cells.csv"
"""All trainings of a study."""

TABLES = ".suffice-tables.json"
"""The hashes of tables that a run has written."""

METHODS = "methods"
"""The folder of the runs of several methods, each in a sub-folder of its name."""

FILES = (
    CONFIGURATION,
    RESULT,
    "report.html",
    "report.md",
    CHECKPOINT,
    RECORDING,
    TABLE,
    TABLES,
    "evidence.npz",  # of earlier versions, as the next
    "pilot.npz",
    STATE,
    MANIFEST,
    LOG,
    OLDER,
)
"""Files that a run may write."""

FOLDERS = (
    "figures",
    "ledger",
    "held_out_ledger",
    "held_out_errors",
    SHORT,
    "moments",
    "curvature",
    "features",
    "trainings",
    "evidence",
    "cells",
    "surfaces",
    "networks",
    METHODS,
)
"""Folders that a run may make."""

CONTENTS = (*FILES, *FOLDERS)
"""What a run may write."""


@dataclass(frozen=True)
class Opened:
    """A run's folder while the run writes to it.

    Attributes:
        path: where to write.
        resumed: it holds such a run already.
        identity: hash of the settings, the contents and the software that decide what is stored.
        stored: where arrays and pieces of the result are kept: the folder, or a place in a store.
    """

    path: Path
    resumed: bool
    identity: str
    stored: Place


@contextmanager
def open_folder(
    folder: Path, config: Config, contents: Mapping[str, str], overwrite: bool, free: Set[str] = frozenset()
) -> Iterator[Opened]:
    """Makes a run's folder, writes its configuration, and keeps other runs out of it until the context ends.

    A run that is to replace another is written beside it, and takes its place at the end of a context that raises
    nothing.

    Args:
        folder: the folder, which need not exist.
        config: the settings of the run.
        contents: hashes of the data and of the files of the model, by what they are.
        overwrite: replace a run that is there.
        free: keys that may change without a new measurement.

    Raises:
        InputError: the folder holds a run with other settings, contents or software, or something that is not a run, or
            another process is writing to it.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file: give a folder with --out")
    asked = config.asked()
    identity = digest({key: asked[key] for key in asked if key not in free}, dict(contents), deciding())
    elsewhere = stored_at(config, folder, identity)
    if elsewhere != folder:
        _check_apart(folder, elsewhere)
    file = folder / CONFIGURATION
    if not file.exists() and folder.exists() and any(not path.name.startswith(".") for path in folder.iterdir()):
        raise InputError(f"{folder} is not empty and holds no run of suffice: give another --out")
    with locked(folder), nullcontext() if elsewhere == folder else locked(elsewhere):
        check_kinds(folder, (), (REPLACEMENT,))
        finish(folder, CONTENTS)
        if overwrite and file.exists():
            read_configuration_of(folder)  # what cannot be told for a run is not removed
        path = folder_to_write(folder, overwrite)
        stored = stored_at(config, path, identity)
        resumed = (path / CONFIGURATION).exists()
        if resumed:
            try:
                _check_same(folder, config, read_configuration_of(path), contents, free)
            except InputError:
                if not overwrite:
                    raise
                resumed = False
        if overwrite and not resumed and path.exists():
            shutil.rmtree(path)
        path.mkdir(exist_ok=True)
        for place_of_run in {path, stored}:
            if isinstance(place_of_run, Path):
                check_kinds(place_of_run, FILES, FOLDERS)
        with track(path), keep_log(path):
            _write(path / CONFIGURATION, config, contents, stored)
            yield Opened(path, resumed, identity, stored)
            keep_count(path, stored)
        if overwrite:
            complete(folder, CONTENTS)


def stored_at(config: Config, path: Path, identity: str) -> Place:
    """Where a run keeps arrays and pieces of its result: in its folder, or in the store that it was given.

    Args:
        config: the settings of the run.
        path: where the run writes.
        identity: hash of all that decides what is stored, the name of its place in a store.

    Raises:
        InputError: a URL that names no store.

    Example:
        >>> from suffice.configuration import AnalyzeConfig
        >>> config = AnalyzeConfig(model="builtin:tiny-vit", data="builtin:digits", store="s3://bucket/runs")
        >>> config.asked() == config.model_copy(update={"store": None}).asked()
        True
    """
    store = config.store if isinstance(config, ModelConfig) else None
    return path if store is None else place(store) / identity.replace(":", "-")


def _check_apart(folder: Path, stored: Place) -> None:
    """Refuses a store in a run's folder, whose arrays --overwrite would remove, and a run's folder among its arrays.

    Args:
        folder: the run's folder.
        stored: its place in the store.
    """
    if not isinstance(stored, Path):
        return
    out, place_of_run = (Path(os.path.realpath(path)) for path in (folder, stored))
    if place_of_run.is_relative_to(out):
        raise InputError(
            f"--store {stored.parent} is the run's folder {folder}, or in it: give a folder beside it, or no --store, "
            "which keeps arrays in the run's folder"
        )
    if out.is_relative_to(place_of_run):
        raise InputError(f"--out {folder} is where the store keeps arrays of a run: give a folder beside {stored}")


def _write(file: Path, config: Config, contents: Mapping[str, str], stored: Place) -> None:
    store = config.store if isinstance(config, ModelConfig) else None
    where = {} if store is None else {"store": store, "stored_at": str(stored)}
    content = {**config.asked(), **where, "contents": dict(contents), "versions": versions()}
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
    with atomic_write(file) as stream:
        stream.write(f"{text}checksum: {digest(yaml.safe_load(text))}\n".encode())


def read_configuration_of(folder: Path) -> dict[str, Any]:
    """What ``config.yaml`` of a run holds.

    Raises:
        InputError: it is missing, damaged, edited, or another program's.
    """
    file = folder / CONFIGURATION
    try:
        stored = settings_in(read_regular(file, LARGEST), file)
        checksum = stored.pop("checksum", None)
        is_as_written = checksum == digest(stored)
    except (OSError, ValueError):  # such as a number of thousands of digits
        stored, checksum, is_as_written = {}, None, False
    if not isinstance(stored.get("versions"), dict) or not isinstance(stored.get("contents", {}), dict):
        raise InputError(f"{file} is damaged, or another program's: give another --out")
    is_of_earlier_version = checksum is None and "contents" not in stored
    if not is_as_written and not is_of_earlier_version:
        raise InputError(
            f"{file} is damaged, or was edited since suffice wrote it (its checksum does not match): undo the change, "
            "or give another --out"
        )
    return stored


def _check_same(
    folder: Path, config: Config, stored: Mapping[str, Any], contents: Mapping[str, str], free: Set[str]
) -> None:
    """Refuses a run of other settings, contents or software; says which other software is of no account."""
    asked, before = config.asked(), _asked_before(config, stored)
    keys = [key for key in asked if key not in free]
    differing = differences({key: before.get(key) for key in keys}, {key: asked[key] for key in keys})
    if "contents" not in stored:
        differing.append("contents of model and data: not known, as an earlier version of suffice wrote it")
    else:
        differing += [f"contents of the {what}" for what in differences(stored["contents"], contents)]
    if keys:
        software, now = stored["versions"], versions()
        changed = {name: differences({name: software.get(name)}, {name: now[name]}) for name in now}
        differing += [words for name in DECIDING for words in changed.pop(name)]
        others = [words for found in changed.values() for words in found]
        if others and not differing:
            warnings.warn(
                f"{folder} was begun with other versions of what decides no numbers ({'; '.join(others)})",
                InputWarning,
                stacklevel=2,
            )
    if differing:
        raise InputError(
            f"{folder} holds a run with other settings ({'; '.join(differing)}): "
            "give another --out, or --overwrite to replace it"
        )


def _asked_before(config: Config, stored: Mapping[str, Any]) -> Mapping[str, Any]:
    """The stored settings, under the names that keys have now; unchanged if they are of another command."""
    try:
        return type(config).model_validate(config.renamed(stored)).asked()
    except (InputError, ValidationError):
        return stored


def refuse_changed(first: Mapping[str, str], now: Mapping[str, str]) -> None:
    """Whether a process reads what the run read at first.

    Args:
        first: hashes of data and model.
        now: the same, as this process has them.

    Raises:
        InputError: something was changed in between.
    """
    if changed := ", ".join(f"contents of the {what}" for what in differences(first, now)):
        raise InputError(f"changed while suffice was running ({changed}): run the same command again")


def write_table(table: str, folder: Path) -> None:
    """Writes ``cells.csv``, and its hash beside it."""
    with atomic_write(folder / TABLE) as file:
        file.write(table.encode())
    write_manifest(folder, [folder / TABLE], TABLES)


def write_result(result: Result, folder: Path, indent: int | None = None) -> None:
    """Writes ``result.json``, whole or not at all."""
    with atomic_write(folder / RESULT) as file:
        file.write(result_as_json(result, indent).encode())
