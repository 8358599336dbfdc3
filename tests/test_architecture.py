"""Imports point one way: along the data, from what is studied to what people read."""

import ast
import functools
from collections import defaultdict
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "suffice"

VALUES = {"errors", "addresses", "numerals", "digest", "results", "storage", "configuration", "engine"}
"""Rooms that know of errors alone; storage also takes hashes."""

MAY_IMPORT = {
    "errors": set(),
    "shown": set(),
    "regular": {"errors"},
    "numerals": set(),
    **{room: {"errors"} for room in VALUES - {"errors", "numerals"}},
    "results": {"errors", "digest", "regular", "shown"},
    "configuration": {"errors", "addresses"},
    "storage": {"errors", "addresses", "digest", "regular", "software"},
    "software": set(),
    "engine": {"errors", "software"},
    "file_digests": {"errors", "digest", "regular", "storage"},
    "memory": {"errors"},
    "problem": {"errors", "memory"},
    "data": {"errors", "numerals", "digest", "file_digests"},
    "models": {"errors", "digest", "file_digests", "problem", "data"},
    "checks": {"errors", "digest", "memory", "problem", "results"},
    "curvature": {"errors", "digest", "memory", "problem", "results", "storage", "engine", "checks", "shown"},
    "landscape": {"errors", "digest", "memory", "problem", "results", "storage", "curvature", "checks", "shown"},
    "training": VALUES | {"memory", "problem", "data", "models", "checks"},
    "forecasting": {"errors", "problem", "results", "curvature", "training", "checks"},
    "studies": VALUES | {"problem", "data", "models", "curvature", "landscape", "training", "forecasting", "checks"},
    "integrations": {"errors", "results", "storage"},
    "closed_form": {"errors", "results"},
    "report": {"errors", "regular", "results", "storage", "configuration"},
    "runs": VALUES
    | {"software", "regular", "integrations"}
    | {"problem", "checks", "data", "models", "curvature", "landscape", "training", "forecasting", "studies"}
    | {"closed_form"},
    "cli": VALUES | {"report", "runs"},
}
"""Each room, and the rooms that it may know of. No computation imports what people read: `report`, `cli`."""

ASKED_LATER = {"shown": {"report"}, "integrations": {"report", "runs"}}
"""The ways back, within functions: results ask for their figure or table when somebody looks at them, and the recorder
of a training for what it tells so far when a live report is due."""


def public_names(init=SOURCE / "__init__.pyi"):
    """Of the package itself: the room that each name comes from."""
    homes = {}
    for node in ast.walk(ast.parse(init.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            homes |= {alias.asname or alias.name: node.module.split(".")[0] for alias in node.names}
    return homes


def rooms_imported(source, homes):
    """The rooms of `import suffice.room`, `from suffice.room import name`, `from suffice import room` and `… name`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            paths = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            paths = [node.module]
            if node.module == "suffice":
                paths = [f"suffice.{homes.get(alias.name, alias.name)}" for alias in node.names]
        else:
            continue
        for path in paths:
            package, _, rest = path.partition(".")
            if package == "suffice":
                yield rest.split(".")[0] if rest else "suffice"


def files_of(room):
    file = SOURCE / f"{room}.py"
    return [file] if file.exists() else sorted((SOURCE / room).rglob("*.py"))


@functools.cache
def imports_of_rooms():
    homes = public_names()
    found = defaultdict(set)
    for room in MAY_IMPORT:
        for file in files_of(room):
            found[room] |= set(rooms_imported(file.read_text(), homes)) - {room}
    return found


@pytest.mark.parametrize("room", sorted(MAY_IMPORT))
def test_every_room_imports_only_what_it_may(room):
    assert files_of(room)
    strange = imports_of_rooms()[room] - MAY_IMPORT[room] - ASKED_LATER.get(room, set()) - {"__version__"}
    assert not strange, f"{room} imports {strange}"


def test_what_is_asked_later_is_imported_within_functions():
    for room, later in ASKED_LATER.items():
        assert later <= imports_of_rooms()[room]
        for file in files_of(room):
            tree = ast.parse(file.read_text())
            for node in ast.walk(tree):
                if isinstance(node, ast.FunctionDef):
                    node.body = [ast.Pass()]
            assert not later & set(rooms_imported(ast.unparse(tree), public_names()))


def test_the_plan_has_no_way_back():
    """Each room may be reached from those behind it only: the plan is a graph without cycles."""
    left = dict(MAY_IMPORT)
    while left:
        free = [room for room, allowed in left.items() if not allowed & left.keys()]
        assert free, f"rooms that import each other: {sorted(left)}"
        left = {room: allowed for room, allowed in left.items() if room not in free}


def test_every_room_is_listed():
    rooms = {path.stem for path in SOURCE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert rooms - {"__init__", "__main__"} == set(MAY_IMPORT)


@pytest.mark.parametrize(
    ("source", "room"),
    [
        ("import suffice.report", "report"),
        ("from suffice.report import page", "report"),
        ("from suffice import report", "report"),
        ("from suffice import Problem", "problem"),
        ("def f():\n    from suffice.cli.main import app", "cli"),
        ("import suffice", "suffice"),
    ],
)
def test_each_way_to_import_is_seen(source, room):
    assert list(rooms_imported(source, {"Problem": "problem"})) == [room]
