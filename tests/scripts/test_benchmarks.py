"""Benchmarks are run by hand: they must at least find what they import."""

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
