"""A run that is to replace another is built inside its folder, and takes its place when it is complete."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from suffice.errors import InputError
from suffice.storage import atomic_write, read_json, sync_folder

REPLACEMENT = ".replacement"
"""In a run's folder: the run that is to replace it."""

COMPLETE = ".suffice-complete"
"""In a replacement that is complete: the names of what it holds."""


def folder_to_write(out: Path, overwrite: bool) -> Path:
    """Where a run writes: its folder, or beside the run that it is to replace.

    Example:
        >>> folder_to_write(Path("runs/study"), overwrite=True).as_posix()
        'runs/study/.replacement'
    """
    return out / REPLACEMENT if overwrite else out


def complete(out: Path, contents: Sequence[str]) -> None:
    """Puts a finished replacement in the place of the run in a folder; other files in the folder stay.

    Args:
        out: the run's folder, which is locked.
        contents: the names of all that a run may write.
    """
    built = out / REPLACEMENT
    names = [name for name in contents if (built / name).exists()]
    with atomic_write(built / COMPLETE) as stream:
        stream.write(json.dumps(names).encode())
    finish(out, contents)


def finish(out: Path, contents: Sequence[str]) -> None:
    """Goes on with a replacement that was interrupted while it took its place; nothing happens where there is none.

    Each step can be done again: what was moved is no longer in the replacement, and what it never held is on its list.

    Args:
        out: the run's folder, which is locked.
        contents: as of `complete`.
    """
    built = out / REPLACEMENT
    mark = built / COMPLETE
    if not mark.exists():
        return
    try:
        names = set(read_json(mark))
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"{mark} is damaged: move what is in {built} to {out}, and remove {built}") from error
    for name in contents:
        if name not in names:
            remove(out / name)
        elif (built / name).exists():
            if (built / name).is_dir() or (out / name).is_dir():
                remove(out / name)
            (built / name).replace(out / name)
    sync_folder(out)
    shutil.rmtree(built)


def is_half_in_place(out: Path) -> bool:
    """Whether a replacement was interrupted while it took its place, so that a folder holds parts of two runs."""
    return (out / REPLACEMENT / COMPLETE).exists()


def remove(path: Path) -> None:
    """A file, or a folder with all that is in it, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
