"""Imports point one way: along the data, from what is studied to what people read."""

import ast
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src" / "suffice"

MAY_IMPORT = {
    "errors": set(),
    "results": {"errors"},
    "problem": {"errors"},
    "storage": {"errors"},
    "data": {"errors"},
    "closed_form": {"errors", "results"},
    "models": {"errors", "problem", "data"},
    "training": {"errors", "problem", "storage"},
    "configuration": {"errors"},
    "engine": {"errors"},
    "forecasting": {"errors", "problem", "results", "curvature"},
    "landscape": {"errors", "problem", "results", "storage"},
    "curvature": {"errors", "problem", "storage"},
    "report": {"results", "storage"},
    "studies": {
        "errors",
        "problem",
        "results",
        "storage",
        "data",
        "models",
        "training",
        "landscape",
        "engine",
        "configuration",
    },
    "runs": {
        "errors",
        "problem",
        "results",
        "storage",
        "data",
        "models",
        "training",
        "landscape",
        "report",
        "closed_form",
        "configuration",
        "engine",
        "studies",
        "forecasting",
        "curvature",
    },
    "cli": {"errors", "results", "report", "runs", "configuration"},
}
"""Each room, and the rooms that it may know of."""


def rooms_imported(file):
    for node in ast.walk(ast.parse(file.read_text())):
        names = [node.module] if isinstance(node, ast.ImportFrom) else []
        names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        yield from (name.split(".")[1] for name in names if name and name.startswith("suffice."))


def test_every_room_imports_only_what_it_may():
    for room, allowed in MAY_IMPORT.items():
        files = [SOURCE / f"{room}.py"] if (SOURCE / f"{room}.py").exists() else list((SOURCE / room).rglob("*.py"))
        assert files, room
        imported = {name for file in files for name in rooms_imported(file)} - {room}
        assert imported <= allowed, f"{room} imports {imported - allowed}"


def test_every_room_is_listed():
    rooms = {path.stem for path in SOURCE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert rooms - {"__init__", "__main__"} == set(MAY_IMPORT)
