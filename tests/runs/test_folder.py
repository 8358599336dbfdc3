"""A run's folder: one run at a time, resumed where nothing has changed."""

from pathlib import Path

import pytest

from suffice import InputError, storage
from suffice.configuration import AnalyzeConfig
from suffice.digest import digest
from suffice.errors import InputWarning
from suffice.runs.folder import open_folder
from suffice.runs.replacement import REPLACEMENT
from suffice.runs.status import status_of
from suffice.software import versions

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


def test_a_run_that_replaces_another_takes_its_place_when_it_is_complete(tmp_path):
    opened(tmp_path)
    for name in ("result.json", "notes.txt"):
        (tmp_path / name).write_text("old")
    (tmp_path / "cells").mkdir()
    other = AnalyzeConfig(**ASKED | {"samples": 9})
    before = (tmp_path / "config.yaml").read_bytes()

    def fail():
        with open_folder(tmp_path, other, {"data": DATA}, overwrite=True) as run:
            assert (run.path.parent, run.resumed) == (tmp_path, False)
            (run.path / "ledger").mkdir()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert (tmp_path / "config.yaml").read_bytes() == before
    assert (tmp_path / "result.json").read_text() == "old"
    with open_folder(tmp_path, other, {"data": DATA}, overwrite=True) as run:
        assert run.resumed
        assert (run.path / "ledger").exists()
        (run.path / "result.json").write_text("new")
        assert (tmp_path / "result.json").read_text() == "old"
    assert (tmp_path / "result.json").read_text() == "new"
    assert not (tmp_path / "cells").exists()
    assert not run.path.exists()
    assert (tmp_path / "notes.txt").read_text() == "old"
    assert opened(tmp_path, ASKED | {"samples": 9}) is True


@pytest.mark.parametrize("moved", range(4))
def test_a_replacement_that_was_killed_while_it_took_its_place_is_finished(tmp_path, moved, monkeypatch):
    opened(tmp_path)
    (tmp_path / "cells.csv").write_text("old")
    renames = []
    replace_file = Path.replace

    def killed(path, target):
        if path.parent.name == REPLACEMENT and Path(target).parent == tmp_path:
            if len(renames) == moved:
                raise KeyboardInterrupt
            renames.append(target)
        return replace_file(path, target)

    def replace():
        with open_folder(tmp_path, AnalyzeConfig(**ASKED | {"samples": 9}), {"data": DATA}, overwrite=True) as run:
            for name in ("result.json", "report.md"):
                (run.path / name).write_text("new")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            replace()
    assert (status_of(tmp_path).state, status_of(tmp_path).why[:18]) == ("killed", "--overwrite ended ")
    assert opened(tmp_path, ASKED | {"samples": 9}) is True
    assert status_of(tmp_path).state != "killed"
    assert [(tmp_path / name).read_text() for name in ("result.json", "report.md")] == ["new", "new"]
    assert not (tmp_path / "cells.csv").exists()


def test_other_software_that_decides_numbers_is_refused_and_other_is_said(tmp_path, monkeypatch):
    opened(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr("suffice.runs.folder.versions", lambda: versions() | {"torch": "9.9.0"})
        with pytest.raises(InputError, match=r"torch: .*, now 9\.9\.0\): give another --out"):
            opened(tmp_path)
    monkeypatch.setattr("suffice.runs.folder.versions", lambda: versions() | {"zarr": "9.9.0"})
    with pytest.warns(InputWarning, match=r"other versions of what decides no numbers \(zarr: .*, now 9\.9\.0\)"):
        assert opened(tmp_path) is True


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_number_of_thousands_of_digits_in_a_configuration_is_one_line(tmp_path, overwrite):
    opened(tmp_path)
    file = tmp_path / "config.yaml"
    file.write_text(file.read_text().replace("samples: 300", f"samples: 0x{'f' * 5000}"))
    with pytest.raises(InputError, match=r"config\.yaml is damaged"):
        opened(tmp_path, overwrite=overwrite)


def test_an_edited_configuration_is_refused(tmp_path):
    opened(tmp_path)
    file = tmp_path / "config.yaml"
    file.write_text(file.read_text().replace("samples: 300", "samples: 301"))
    with pytest.raises(InputError, match=r"config\.yaml is damaged, or was edited since suffice wrote it"):
        opened(tmp_path, ASKED | {"samples": 301})


def test_a_run_of_an_earlier_version_is_refused(tmp_path):
    opened(tmp_path)
    file = tmp_path / "config.yaml"
    kept = [line for line in file.read_text().splitlines() if not line.startswith(("contents", "  data", "checksum"))]
    file.write_text("\n".join([*kept, f"fingerprint: {DATA}"]))
    with pytest.raises(InputError, match="contents of model and data: not known, as an earlier version"):
        opened(tmp_path)


def test_contents_of_the_model_count_as_those_of_the_data(tmp_path):
    config = AnalyzeConfig(**ASKED)
    with open_folder(tmp_path, config, {"data": DATA, "weights": digest(1)}, overwrite=False) as run:
        identity = run.identity
    with (
        pytest.raises(InputError, match=r"\(contents of the weights: changed\)"),
        open_folder(tmp_path, config, {"data": DATA, "weights": digest(2)}, overwrite=False),
    ):
        pass
    with open_folder(tmp_path, config, {"data": DATA, "weights": digest(2)}, overwrite=True) as run:
        assert run.identity != identity


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


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("store", ["run", "run/cells", "run/ledger/inner", "link/mine", "run/../run"])
def test_a_store_in_the_folder_of_the_run_is_refused_and_stays(tmp_path, store, overwrite):
    folder = tmp_path / "run"
    opened(folder)
    (tmp_path / "link").symlink_to(folder, target_is_directory=True)
    kept = tmp_path / store / "of_another_run"
    kept.mkdir(parents=True)
    for where in (str(tmp_path / store), f"file://{tmp_path / store}"):
        with pytest.raises(InputError, match=r"run's folder .*: give a folder beside it, or no --store") as told:
            opened(folder, ASKED | {"store": where}, overwrite=overwrite)
        assert "\n" not in str(told.value)
    assert kept.is_dir()


def test_a_folder_among_the_arrays_of_a_store_is_refused_and_one_beside_them_is_not(tmp_path):
    store = tmp_path / "store"
    opened(store / "run", ASKED | {"store": str(store)})
    assert opened(store / "run", ASKED | {"store": str(store)}, overwrite=True) is False
    (stored,) = store.glob("blake2b-*")
    for within in (stored / "ledger",):
        with pytest.raises(InputError, match=r"is where the store keeps arrays of a run: give a folder beside"):
            opened(within, ASKED | {"store": str(store)})
