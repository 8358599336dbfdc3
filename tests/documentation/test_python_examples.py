"""Python in README and in the documentation runs as it stands."""

import pytest
from documents import ROOT, blocks, documentation

PAGES = [page for page in documentation() if blocks(page, "python")]


@pytest.mark.parametrize(
    "page",
    [page if page.name == "README.md" else pytest.param(page, marks=pytest.mark.deep) for page in PAGES],
    ids=lambda page: str(page.relative_to(ROOT)),
)
def test_every_python_example_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shared: dict[str, object] = {}
    for example in blocks(page, "python"):  # those of the documentation go on where the last one ended
        exec(example, {} if page.name == "README.md" else shared)
