"""What a run's folder holds: what is done, whether it is being written, how it ended, and what is damaged."""

import shlex
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Literal

from pydantic import Field

from suffice.errors import InputError
from suffice.landscape.ledger import LOSSES, read_rows
from suffice.results import RESULT, read_recording, read_result
from suffice.results.value import Value
from suffice.runs.folder import (
    CHECKPOINT,
    CONFIGURATION,
    METHODS,
    RECORDING,
    SHORT,
    TABLES,
    read_configuration_of,
)
from suffice.runs.log import ENDS, read_log
from suffice.runs.replacement import REPLACEMENT, is_half_in_place
from suffice.runs.state import State, read_state
from suffice.storage import (
    METADATA,
    Place,
    RowShards,
    count_files,
    differences,
    exists,
    faults_of_files,
    faults_of_piece,
    files_within,
    names_in,
    owner_of,
    place,
    read_sealed,
)

EVIDENCE = "evidence"
PIECES = ("cells", "surfaces", "trainings", EVIDENCE, "moments", "curvature", "networks")
"""Folders of `suffice.storage.Pieces`."""


class Part(Value):
    """One kind of work of a run."""

    name: str = Field(description="the folder of what is stored, from the run's folder on")
    unit: Literal["piece", "shard"] = Field(description="what is counted")
    done: int = Field(description="how many are on disk")
    planned: int | None = Field(description="how many there are going to be; null where the run has not said")


class Step(Value):
    """What a run does at the moment."""

    name: str = Field(description="a word or two for it")
    done: int | None = Field(description="how much of it is done, in a unit of its own; null where that is not known")
    total: int | None = Field(description="how much there is to do, in the same unit")
    left: float | None = Field(description="about the seconds that are left of it; null where nothing is measured yet")


class RunStatus(Value):
    """The state of a run, from its folder."""

    folder: str
    state: Literal["finished", "running", "stopped", "failed", "killed", "not known"] = Field(
        description="killed: it ended without a word; not known: an earlier version of suffice wrote it"
    )
    why: str = Field(description="who is writing to the folder, or why the run ended; empty if it is finished")
    began: str | None = Field(description="when the last run began")
    ended: str | None = Field(description="when it ended")
    step: Step | None = Field(default=None, description="what it does at the moment; null unless it is running")
    parts: list[Part]
    damaged: list[str] = Field(description="files that are damaged, and how")
    is_verified: bool = Field(description="everything was read; else only what tells of the rest")
    within: list["RunStatus"] = Field(description="runs in this one: of its methods, and one that is to replace it")


def status_of(folder: Path, verify: bool = False) -> RunStatus:
    """What a run's folder holds; nothing is changed.

    Args:
        folder: of the run.
        verify: read every stored piece and compare it with its checksum.

    Raises:
        InputError: the folder holds no run.

    Example:
        >>> import tempfile
        >>> from suffice.configuration import HessianConfig
        >>> from suffice.runs.hessian import measure_hessian
        >>> folder = Path(tempfile.mkdtemp())
        >>> small = {"samples": 8, "hidden_width": 4, "key_width": 4, "patch_size": 2, "epochs": 1, "moments": 2}
        >>> _ = measure_hessian(HessianConfig(**small), folder)
        >>> found = status_of(folder, verify=True)
        >>> found.state, [(part.name, part.done, part.planned) for part in found.parts], found.damaged
        ('finished', [('moments', 2, 2)], [])
    """
    replacement = folder / REPLACEMENT
    if not any((place / CONFIGURATION).exists() for place in (folder, replacement)):
        raise InputError(f"{folder}: holds no run of suffice; give the folder of one, as --out named it")
    state, owner = read_state(folder), owner_of(folder)
    inner = [*sorted((folder / METHODS).glob(f"*/{CONFIGURATION}")), *replacement.glob(CONFIGURATION)]
    stored = _stored(folder)
    if owner is None and stored != folder and state.get("state") != "finished":
        owner = owner_of(stored)  # the run may have gone on elsewhere
    parts, damaged = _parts(stored, state.get("planned", {}), verify)
    how, why = _state(state, owner)
    if how != "running" and is_half_in_place(folder):
        how, why = "killed", "--overwrite ended while the new run took its place; the same command finishes it"
    if how == "finished":
        damaged += _gone(folder, stored, state)
    if how != "running":
        damaged += _of_two_runs(folder)
    return RunStatus(
        folder=str(folder),
        state=how,
        why=why,
        began=state.get("began"),
        ended=state.get("ended"),
        step=_step(folder) if how == "running" else None,
        parts=parts,
        damaged=[*_damaged_files(folder, stored, verify), *damaged],
        is_verified=verify,
        within=[_within(file.parent, owner, verify) for file in inner],
    )


def _within(folder: Path, owner: str | None, verify: bool) -> RunStatus:
    """Of a run inside another, whose lock counts for both."""
    found = status_of(folder, verify)
    if found.state == "killed" and owner is not None:
        return found.model_copy(update={"state": "running", "why": owner, "step": _step(folder)})
    return found


def _step(folder: Path) -> Step | None:
    """The step that the log of a run says is at work, and what is left of it by the pace until now.

    What was done at first counts for no pace, as it may have been on disk; it does where there is nothing else.
    """
    at_work: Step | None = None
    for entry in read_log(folder):
        what, done, total = entry["what"], entry.get("done"), entry.get("total")
        if entry["event"] == "step":
            at_work = Step(name=what, done=None, total=total, left=None)
        elif entry["event"] == "progress" and at_work is not None and done and total and "seconds" in entry:
            since = (datetime.now().astimezone() - datetime.fromisoformat(entry["time"])).total_seconds()
            first, until_first = entry.get("first", 0), entry.get("until_first", 0.0)
            if done <= first:
                first, until_first = 0, 0.0
            pace = (entry["seconds"] - until_first) / (done - first)
            left = max(0.0, pace * (total - done) - since)
            at_work = Step(name=what, done=done, total=total, left=left)
        elif entry["event"] in ("step done", "begun", *ENDS):
            at_work = None
    return at_work


def _state(
    state: State, owner: str | None
) -> tuple[Literal["finished", "running", "stopped", "failed", "killed", "not known"], str]:
    if owner is not None:
        return "running", owner
    how = state.get("state")
    if how == "running":
        return "killed", "its process ended without a word; the same command resumes it"
    if how == "stopped":
        return "stopped", "interrupted; the same command resumes it"
    if how == "failed":
        return "failed", state.get("why", "")
    return ("finished", "") if how == "finished" else ("not known", "the folder does not say how the run ended")


def _stored(folder: Path) -> Place:
    """Where a run's arrays and pieces are: in its folder, or where its configuration says."""
    try:
        where = read_configuration_of(folder).get("stored_at")
    except InputError:  # which is told elsewhere
        return folder
    return folder if where is None else place(str(where))


def _damaged_files(folder: Path, stored: Place, verify: bool) -> Iterator[str]:
    if (folder / CONFIGURATION).exists():
        try:
            read_configuration_of(folder)
        except InputError as error:
            yield str(error)
    if (folder / RESULT).exists():
        try:
            read_result(folder)
        except InputError as error:
            yield str(error)
    if verify:
        for trained in [stored, *_short_runs(stored)]:
            yield from _damaged_training(trained)
        for fault in faults_of_files(folder, TABLES):
            yield f"{fault}: the same command writes it again"
        for fault in faults_of_files(folder):
            yield f"{fault}: suffice report {shlex.quote(str(folder))} writes the report again"


def _damaged_training(stored: Place) -> Iterator[str]:
    """A training that a run begins with, and the record of it."""
    if exists(stored / CHECKPOINT):
        try:
            read_sealed(stored / CHECKPOINT)
        except InputError as error:
            yield str(error)
    recording = stored / RECORDING
    if isinstance(recording, Path) and recording.exists():
        try:
            read_recording(recording)
        except InputError as error:
            yield str(error)
    elif exists(stored / EVIDENCE / RECORDING):  # the training has ended
        yield f"{recording} is missing: the same command writes it again"


def _short_runs(stored: Place) -> list[Place]:
    return [stored / SHORT / name for name in names_in(stored / SHORT)]


def _of_two_runs(folder: Path) -> Iterator[str]:
    """A result of other settings than those of the run, which was interrupted before it wrote its own."""
    try:
        asked, answered = read_configuration_of(folder), read_result(folder).configuration
    except InputError:  # which is told elsewhere, or there is none
        return
    keys = asked.keys() & answered.keys()
    differing = differences({key: answered[key] for key in sorted(keys)}, {key: asked[key] for key in sorted(keys)})
    if differing:
        yield (
            f"{folder / RESULT} is of other settings than {CONFIGURATION} ({'; '.join(differing)}): the same command "
            "writes it again"
        )


def _gone(folder: Path, stored: Place, state: State) -> Iterator[str]:
    """What a finished run had and has no more."""
    if not (folder / RESULT).exists():
        yield f"{folder / RESULT} is missing: the same command writes it again"
    now = count_files(stored)
    for name, count in state.get("files", {}).items():
        if (gone := count - now.get(name, 0)) > 0:
            yield f"{stored / name}: {gone} of {count} files are missing: the same command computes them again"


def _parts(stored: Place, planned: dict[str, int], verify: bool) -> tuple[list[Part], list[str]]:
    """The stored work by kind, and what of it is damaged."""
    parts, damaged = [], []
    for kind in [*PIECES, *(f"{SHORT}/{name}/{EVIDENCE}" for name in names_in(stored / SHORT))]:
        files = [stored / kind / name for name in names_in(stored / kind) if name.endswith(".json")]
        faults = {file: faults_of_piece(file) for file in files} if verify else {}
        damaged += [fault for found in faults.values() for fault in found]
        if files or kind in planned:
            whole = sum(not faults.get(file) for file in files)
            parts.append(Part(name=kind, unit="piece", done=whole, planned=planned.get(kind)))
    for file in files_within(stored, METADATA):
        name = PurePosixPath(file.parent.as_posix()).relative_to(stored.as_posix()).as_posix()
        if name.partition("/")[0] in (METHODS, REPLACEMENT):
            continue
        try:
            shards = RowShards.open(file.parent)
        except InputError as error:
            damaged.append(str(error))
            continue
        if verify and file.parent.name == LOSSES:
            try:
                read_rows(file.parent.parent, shards.identity)
            except InputError as error:
                damaged.append(str(error))
        done = shards.written()
        if verify:
            faulty = shards.damaged()
            damaged += faulty
            done -= len(faulty)
        parts.append(Part(name=name, unit="shard", done=done, planned=len(shards.shards())))
    return parts, damaged
