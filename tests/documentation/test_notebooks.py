"""The notebooks are small, and run from the first cell to the last."""

import os
import sys
from pathlib import Path

import nbclient
import nbformat
import pytest
from documents import ROOT, committed

NOTEBOOKS = committed("docs/examples/*.ipynb")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_small_and_was_executed(path):
    assert path.stat().st_size < 200_000
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert any(cell.outputs for cell in cells)


@pytest.mark.deep
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    notebook = nbformat.read(path, as_version=4)
    committed_outputs = [bool(cell.outputs) for cell in notebook.cells if cell.cell_type == "code"]
    nbclient.NotebookClient(notebook, timeout=900, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [bool(cell.outputs) for cell in notebook.cells if cell.cell_type == "code"]
    assert outputs == committed_outputs


def test_there_is_a_notebook_for_each_way_in():
    assert {path.stem for path in NOTEBOOKS} == {"images", "texts_and_scores", "own_loop"}
    assert all(f"({path.relative_to(ROOT / 'docs')})" in (ROOT / "docs/index.md").read_text() for path in NOTEBOOKS)
