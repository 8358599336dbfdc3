"""Python in README and in the documentation runs as it stands."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("name", ["README.md", "docs/curvature.md", "docs/settling.md"])
def test_every_python_example_runs(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    examples = re.findall(r"```python\n(.*?)```", (ROOT / name).read_text(), re.DOTALL)
    assert examples
    shared: dict[str, object] = {}
    for example in examples:  # those of the documentation go on where the last one ended
        exec(example, {} if name == "README.md" else shared)
    if name == "README.md":
        assert "samples" in capsys.readouterr().out
