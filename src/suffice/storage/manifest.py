"""Files that are made from others, such as figures, with a list of their hashes beside them."""

import json
from collections.abc import Iterable
from pathlib import Path

from suffice.digest import digest
from suffice.storage.places import read_bytes, read_json
from suffice.storage.writing import atomic_write

MANIFEST = ".suffice-files.json"
"""In a folder: the hash of each file, by its name."""


def write_manifest(folder: Path, files: Iterable[Path], name: str = MANIFEST) -> None:
    """Writes the hashes of files in a folder.

    Args:
        folder: of the list.
        files: in the folder or below, which are there.
        name: of the list.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> _ = (folder / "report.md").write_text("90%")
        >>> write_manifest(folder, [folder / "report.md"])
        >>> faults_of_files(folder)
        []
        >>> _ = (folder / "report.md").write_text("99%")
        >>> faults_of_files(folder)[0].removeprefix(str(folder))
        '/report.md is damaged, or was edited (its checksum does not match)'
    """
    hashes = {file.relative_to(folder).as_posix(): digest(file.read_bytes()) for file in sorted(files)}
    with atomic_write(folder / name) as stream:
        stream.write(json.dumps({"files": hashes, "checksum": digest(hashes)}).encode())


def faults_of_files(folder: Path, name: str = MANIFEST) -> list[str]:
    """What is wrong with the files of a list, or with the list; nothing where there is none.

    Args:
        folder: of the list.
        name: of the list.
    """
    file = folder / name
    try:
        held = read_json(file)
        hashes = dict(held["files"])
        is_whole = held["checksum"] == digest(hashes)
    except FileNotFoundError:
        return []
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        is_whole = False
    if not is_whole:
        return [f"{file} is damaged (its checksum does not match)"]
    found = []
    for listed, expected in hashes.items():
        one = folder / listed
        try:
            if not one.is_file():
                found.append(f"{one} is missing")
            elif folder.resolve() not in one.resolve().parents:
                found.append(f"{file} lists {listed!r}, which is not in the folder")
            elif digest(read_bytes(one)) != expected:
                found.append(f"{one} is damaged, or was edited (its checksum does not match)")
        except OSError as error:
            found.append(f"{one} cannot be read ({error.strerror})")
    return found
