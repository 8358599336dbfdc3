"""Benchmarks are run by hand: they must at least find what they import."""

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
IMPORTING = """
import importlib, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
"""


@pytest.mark.deep
@pytest.mark.parametrize("folder", [BENCHMARKS, BENCHMARKS / "forecast"], ids=lambda folder: folder.name)
def test_every_benchmark_finds_what_it_imports(folder):
    names = sorted(file.stem for file in folder.glob("*.py"))
    assert len(names) > 5
    paths = os.pathsep.join(map(str, (BENCHMARKS, BENCHMARKS / "forecast")))
    found = subprocess.run(
        [sys.executable, "-c", IMPORTING, *names],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([paths, os.environ.get("PYTHONPATH", "")])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr


@pytest.mark.deep
def test_the_coverage_of_gains_counts_each_pilot_once_and_leaves_out_where_it_was_refused(monkeypatch):
    for folder in (BENCHMARKS, BENCHMARKS / "language"):
        monkeypatch.syspath_prepend(str(folder))
    coverage = importlib.import_module("gains").coverage
    name, shares = "one run", {400: {"a": 1.0, "b": 0.5, "c": 0.0}, 800: {"a": 1.0, "b": 1.0, "c": 1.0}}
    rows = [{"task": "t", "covered": [name], "covered_by_pilot": {name: of}} for of in shares.values()]
    found = coverage(rows, name)
    assert (found["share"], found["clusters"]) == (0.75, 3)
    del shares[400]["c"]
    found = coverage(rows, name)
    assert (found["share"], found["clusters"]) == ((1 + 0.75 + 1) / 3, 3)
    assert coverage(rows, "another way") == {}
