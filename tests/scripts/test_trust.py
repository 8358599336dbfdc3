"""A seeded few of what the benchmarks of trust do many times."""

import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def scripts(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    before = set(sys.modules)
    import trust_changes  # noqa: PLC0415
    import trust_damage  # noqa: PLC0415

    yield trust_damage, trust_changes
    for name in set(sys.modules) - before:
        if Path(getattr(sys.modules[name], "__file__", None) or "").parent == BENCHMARKS:
            del sys.modules[name]


@pytest.mark.deep
@pytest.mark.filterwarnings("ignore::suffice.errors.InputWarning")
def test_damaged_files_end_in_equal_answers_or_one_line(scripts):
    found = scripts[0].measure(cases=12, seed=0, names=["forecast", "hessian"])
    assert found["faults"] == []
    assert sum(found["outcomes"].values()) == 12
    assert all(sum(counts.values()) > 0 for counts in found["by_state"].values())


@pytest.mark.deep
def test_changes_of_weights_pixels_and_labels_are_noticed(scripts):
    found = scripts[1].measure(cases=6, seed=0, names=["forecast"])
    assert found["missed"] == []
    assert sum(counts["noticed"] for counts in found["changes"].values()) >= 3
