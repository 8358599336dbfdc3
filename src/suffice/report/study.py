"""The report of ``suffice study``."""

from pathlib import Path

from suffice.results import StudyResult
from suffice.storage import atomic_write


def write_study_report(result: StudyResult, folder: Path) -> None:
    """Writes ``result.json``."""
    with atomic_write(folder / "result.json") as file:
        file.write(result.model_dump_json(indent=1).encode())
