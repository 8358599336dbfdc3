"""What a run's folder holds is said without a change to it."""

import json

import pytest

from suffice.configuration import HessianConfig
from suffice.errors import InputError
from suffice.runs import hessian as run
from suffice.runs.hessian import measure_hessian
from suffice.runs.state import STATE
from suffice.runs.status import status_of
from suffice.storage import locked

SMALL = HessianConfig(samples=8, hidden_width=4, key_width=4, patch_size=2, epochs=1, moments=2)


@pytest.fixture
def finished(tmp_path):
    folder = tmp_path / "run"
    measure_hessian(SMALL, folder)
    return folder


def test_a_finished_run_is_whole(finished):
    before = {file: file.read_bytes() for file in finished.rglob("*") if file.is_file()}
    for verify in (False, True):
        found = status_of(finished, verify)
        assert (found.state, found.why, found.damaged, found.is_verified) == ("finished", "", [], verify)
        assert [(part.name, part.done, part.planned) for part in found.parts] == [("moments", 2, 2)]
    assert {file: file.read_bytes() for file in finished.rglob("*") if file.is_file()} == before


def test_damage_is_named_with_the_file(finished):
    picture = finished / "moments" / "epoch_0.npy"
    picture.write_bytes(picture.read_bytes()[:-1])
    assert status_of(finished).damaged == []
    found = status_of(finished, verify=True)
    assert found.damaged == [f"{picture} is damaged (its checksum does not match)"]
    assert found.parts[0].done == 1
    result = finished / "result.json"
    result.write_text(result.read_text().replace('"tokens": 16', '"tokens": 17'))
    assert "result.json is damaged, or was edited" in status_of(finished).damaged[0]


def test_a_run_that_failed_says_why_and_one_in_use_by_whom(finished, tmp_path, monkeypatch):
    with locked(finished):
        found = status_of(finished)
    assert found.state == "running"
    assert "process" in found.why

    def failing(*_):
        raise InputError("no such luck")

    def stopping(*_):
        raise KeyboardInterrupt

    for moment, error, state in ((failing, InputError, "failed"), (stopping, KeyboardInterrupt, "stopped")):
        monkeypatch.setattr(run, "_moment", moment)
        with pytest.raises(error):
            measure_hessian(SMALL, tmp_path / state)
        found = status_of(tmp_path / state)
        assert found.state == state
        assert found.parts[0].done == 0
    assert status_of(tmp_path / "failed").why == "no such luck"


def test_a_run_that_ended_without_a_word_was_killed(finished):
    file = finished / STATE
    file.write_text(json.dumps(json.loads(file.read_text()) | {"state": "running"}))
    assert status_of(finished).state == "killed"
    file.write_bytes(b"")
    assert status_of(finished).state == "not known"


def test_a_replacement_is_told_of(finished, monkeypatch):
    def stopping(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "_moment", stopping)
    with pytest.raises(KeyboardInterrupt):
        measure_hessian(SMALL, finished, overwrite=True)
    found = status_of(finished)
    assert found.state == "finished"
    assert [inner.state for inner in found.within] == ["stopped"]


def test_what_is_no_run_is_refused(tmp_path):
    with pytest.raises(InputError, match="holds no run of suffice"):
        status_of(tmp_path)
