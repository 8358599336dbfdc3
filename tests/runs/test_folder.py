"""A run's folder: one run at a time, resumed where nothing has changed."""

import pytest

from suffice import InputError, storage
from suffice.configuration import AnalyzeConfig
from suffice.digest import digest
from suffice.runs.folder import open_folder

ASKED = {"model": "builtin:tiny-vit", "data": "builtin:digits", "samples": 300, "radius": 0.1}
DATA = digest("data")


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr(storage.locking, "GRACE", 0.01)


def opened(folder, asked=ASKED, fingerprint=DATA, overwrite=False, **arguments):
    with open_folder(folder, AnalyzeConfig(**asked), {"data": fingerprint}, overwrite, **arguments) as run:
        return run.resumed


def test_the_same_run_is_resumed(tmp_path):
    assert opened(tmp_path / "new" / "run") is False
    assert opened(tmp_path / "new" / "run") is True
    assert opened(tmp_path / "new" / "run", overwrite=True) is False


@pytest.mark.parametrize(
    ("changes", "fingerprint", "words"),
    [
        ({"samples": 500}, DATA, "samples: 300, now 500"),
        ({"classes": ["a", "b"]}, DATA, "classes: not set, now [a, b]"),
        ({}, digest("other data"), "contents of the data: changed"),
        ({"samples": 9, "radius": 0.2}, digest("other data"), "samples: 300, now 9; radius: 0.1, now 0.2; contents of"),
    ],
)
def test_another_run_is_refused_with_what_differs(tmp_path, changes, fingerprint, words):
    opened(tmp_path)
    (tmp_path / "result.json").write_text("{}")
    with pytest.raises(InputError) as refusal:
        opened(tmp_path, ASKED | changes, fingerprint)
    assert f"{tmp_path} holds a run with other settings ({words}" in str(refusal.value)
    assert "give another --out, or --overwrite to replace it" in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert opened(tmp_path, ASKED | changes, fingerprint, free=set(changes)) if fingerprint == DATA else True
    assert (tmp_path / "result.json").exists()
    opened(tmp_path, ASKED | changes, fingerprint, overwrite=True)
    assert not (tmp_path / "result.json").exists()


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_in_use_is_refused_and_left_as_it_is(tmp_path, overwrite):
    with open_folder(tmp_path, AnalyzeConfig(**ASKED), {"data": DATA}, overwrite=False):
        (tmp_path / "result.json").write_text("{}")
        unfinished = tmp_path / f".report.html-01{storage.PARTIAL}"
        unfinished.write_text("<html>")
        with pytest.raises(InputError, match="is in use by process") as refusal:
            opened(tmp_path, ASKED | {"samples": 9}, overwrite=overwrite)
        assert "\n" not in str(refusal.value)
        assert unfinished.exists()
        assert (tmp_path / "result.json").exists()
    opened(tmp_path)
    assert not unfinished.exists()
    assert (tmp_path / "result.json").exists()


@pytest.mark.parametrize("content", [b"", b"hydra: 1", b"- 1", b"\xff\xfe", b"a: [", b"[" * 5000])
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_configuration_that_is_damaged_is_refused(tmp_path, content, overwrite):
    (tmp_path / "config.yaml").write_bytes(content)
    with pytest.raises(InputError, match=r"config\.yaml is damaged, or another program's: give another --out"):
        opened(tmp_path, overwrite=overwrite)
    assert (tmp_path / "config.yaml").read_bytes() == content


def test_what_is_no_run_is_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="is not empty and holds no run"):
        opened(tmp_path, overwrite=True)
    with pytest.raises(InputError, match="is a file"):
        opened(tmp_path / "notes.txt")
    assert [file.name for file in tmp_path.iterdir()] == ["notes.txt"]
