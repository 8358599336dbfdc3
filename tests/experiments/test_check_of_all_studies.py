"""The pooled check says what the committed results of the studies say."""

import json
from pathlib import Path

import pytest
from scripts_of_project import script

FOLDER = Path(__file__).parents[2] / "experiments" / "check"


@pytest.fixture(scope="module")
def check():
    with script("experiments/check/run.py") as module:
        yield module


def leaves(value, path=""):
    """What is in a JSON value, by where it is."""
    if not isinstance(value, dict | list):
        yield path, value
        return
    for key, part in value.items() if isinstance(value, dict) else enumerate(value):
        yield from leaves(part, f"{path}/{key}")


@pytest.mark.deep
def test_what_is_committed_is_what_the_studies_give(check, tmp_path, monkeypatch):
    committed = {path.name: path.read_text() for path in (FOLDER / "result.json", FOLDER / "README.md")}
    copy = tmp_path / "check"
    copy.mkdir()
    (copy / "README.md").write_text(committed["README.md"])
    for name in check.STUDIES:
        (tmp_path / name).symlink_to(FOLDER.parent / name)
    monkeypatch.setattr(check, "FOLDER", copy)
    check.main()
    found, kept = (
        dict(leaves(json.loads(text))) for text in ((copy / "result.json").read_text(), committed["result.json"])
    )
    assert found.keys() == kept.keys()
    for path, value in kept.items():
        # the last digits are the processor's
        assert found[path] == (pytest.approx(value, rel=1e-12) if isinstance(value, float) else value), path
    assert (copy / "README.md").read_text() == committed["README.md"]
    assert (copy / "check.png").stat().st_size > 10_000


def test_there_are_combinations_enough_and_each_counts_once(check):
    content = json.loads((FOLDER / "result.json").read_text())
    studies = [json.loads((FOLDER.parent / name / "result.json").read_text())["study"] for name in check.STUDIES]
    surfaces = sum(len(study["retrained"]) for study in studies)
    assert surfaces >= 30
    common = [one for one in content["agreement"] if one["tolerance"] == 0.05]
    assert all(one["combinations"] <= surfaces for one in common)
    told = {
        (one["criterion"], one["quantity"]): sum(
            row["k_star"] is not None
            for study in studies
            for row in study["check"]
            if (row["criterion"], row["quantity"], row["tolerance"]) == (one["criterion"], one["quantity"], 0.05)
        )
        for one in common
    }
    assert {(one["criterion"], one["quantity"]): one["combinations"] for one in common} == told
    assert all(0 <= one["share_of_labels_saved"] < 1 for one in content["saved"])
