"""A run that is to replace another is built inside its folder, and takes its place when it is complete."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from suffice.errors import InputError
from suffice.regular import json_in
from suffice.storage import read_sealed, sync_folder, write_sealed

REPLACEMENT = ".replacement"
"""In a run's folder: the run that is to replace it."""

COMPLETE = ".suffice-complete"
"""In a replacement that is complete: the names of what it holds, sealed."""


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
    write_sealed(built / COMPLETE, json.dumps(names).encode())
    finish(out, contents)


def finish(out: Path, contents: Sequence[str]) -> None:
    """Goes on with a replacement that was interrupted while it took its place; nothing happens where there is none.

    Each step can be done again: what was moved is no longer in the replacement, and what it never held is on its list.

    Args:
        out: the run's folder, which is locked.
        contents: as of `complete`.

    Raises:
        InputError: the list is damaged, or the replacement holds what is not on it.
    """
    built = out / REPLACEMENT
    if not (built / COMPLETE).exists():
        return
    names = _listed(built, contents)
    unlisted = {file.name for file in built.iterdir()} - set(names)
    if others := sorted(name for name in unlisted if name in contents or not name.startswith(".")):
        raise InputError(f"{built} holds {others[0]}, which is not on its list {COMPLETE}: move it away")
    for name in contents:
        if name not in names:
            remove(out / name)
        elif (built / name).exists():
            if (built / name).is_dir() or (out / name).is_dir():
                remove(out / name)
            (built / name).replace(out / name)
    sync_folder(out)
    shutil.rmtree(built)


def _listed(built: Path, contents: Sequence[str]) -> list[str]:
    """The names on the list of a replacement.

    Raises:
        InputError: it is damaged, or has other names than those of a run.
    """
    mark = built / COMPLETE
    try:
        names = json_in(read_sealed(mark))
        if isinstance(names, list) and all(name in contents for name in names):
            return names
    except (InputError, ValueError):
        pass
    raise InputError(f"{mark} is damaged: move what is in {built} to {built.parent}, and remove {built}")


def is_half_in_place(out: Path) -> bool:
    """Whether a replacement was interrupted while it took its place, so that a folder holds parts of two runs."""
    return (out / REPLACEMENT / COMPLETE).exists()


def remove(path: Path) -> None:
    """A file, or a folder with all that is in it, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
