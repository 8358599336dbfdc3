"""A run writes within its own folder, whatever links somebody put there."""

import json
import os
import shutil
import signal

import pytest
from test_run_curve import curve_at, table

from suffice.configuration import HessianConfig
from suffice.errors import InputError
from suffice.report import write_report
from suffice.results import read_result
from suffice.runs.hessian import measure_hessian
from suffice.runs.replacement import COMPLETE, REPLACEMENT
from suffice.runs.status import status_of
from suffice.storage import write_sealed

HESSIAN = HessianConfig(samples=8, hidden_width=4, key_width=4, patch_size=2, epochs=1, moments=2)
FILES = ["config.yaml", "result.json", ".suffice-state.json", "log.jsonl", ".suffice-owner", ".suffice-lock"]


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    folder = tmp_path_factory.mktemp("measured") / "run"
    measure_hessian(HESSIAN, folder)
    return folder


@pytest.fixture
def run(measured, tmp_path):
    return shutil.copytree(measured, tmp_path / "run")


@pytest.fixture
def _impatient():
    """Whatever waits without end fails."""
    signal.signal(signal.SIGALRM, lambda *_: pytest.fail("waits without end"))
    signal.alarm(60)
    yield
    signal.alarm(0)


def told(call):
    """The line that a call is refused with; nothing where it is not."""
    try:
        call()
    except (InputError, OSError) as error:
        return str(error)
    return ""


@pytest.mark.filterwarnings("default::suffice.errors.InputWarning")
@pytest.mark.usefixtures("_impatient")
@pytest.mark.parametrize("name", [*FILES, "moments/epoch_0.json", "moments/epoch_0.npy"])
@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_no_file_is_not_waited_for_and_named(run, name, make):
    (run / name).unlink(missing_ok=True)
    make(run / name)
    status = told(lambda: status_of(run, verify=True))
    assert status == "" or name in status
    for overwrite in (False, True):
        line = told(lambda overwrite=overwrite: measure_hessian(HESSIAN, run, overwrite=overwrite))
        assert line == "" or (name in line and "\n" not in line and "suffice-partial" not in line)
    if name not in ("config.yaml", ".suffice-owner", ".suffice-lock"):
        assert line == ""
        assert status_of(run, verify=True).damaged == []


@pytest.mark.parametrize("name", ["moments", REPLACEMENT])
def test_a_file_in_the_place_of_a_folder_is_named(run, name):
    shutil.rmtree(run / name, ignore_errors=True)
    (run / name).write_text("mine")
    status_of(run, verify=True)
    with pytest.raises(InputError, match=rf"{name} is no folder, and suffice makes one of that name: move it away"):
        measure_hessian(HESSIAN, run)


def test_a_report_names_what_is_in_the_place_of_its_files(run):
    result = read_result(run)
    (run / "figures").write_text("mine")
    with pytest.raises(InputError, match="figures is no folder"):
        write_report(result, run)


@pytest.mark.parametrize("is_sealed", [False, True])
@pytest.mark.parametrize(
    "held", ["[" * 100_000, "", "7", "[[]]", "{", '"moments"', '["moments", "../mine"]', '{"moments": 1}']
)
def test_a_damaged_list_of_a_replacement_is_one_line(run, held, is_sealed):
    (run / REPLACEMENT).mkdir()
    if is_sealed:
        write_sealed(run / REPLACEMENT / COMPLETE, held.encode())
    else:
        (run / REPLACEMENT / COMPLETE).write_text(held)
    with pytest.raises(InputError, match=rf"{COMPLETE} is damaged: move what is in .*, and remove") as line:
        measure_hessian(HESSIAN, run)
    assert "\n" not in str(line.value)
    assert (run / "result.json").is_file()


@pytest.mark.parametrize("listed", [[], ["moments"]])
def test_a_replacement_that_holds_what_is_not_listed_is_left_as_it_is(run, listed):
    (run / REPLACEMENT).mkdir()
    (run / REPLACEMENT / "result.json").write_text("new")
    write_sealed(run / REPLACEMENT / COMPLETE, json.dumps(listed).encode())
    with pytest.raises(InputError, match=rf"holds result\.json, which is not on its list {COMPLETE}: move it away"):
        measure_hessian(HESSIAN, run)
    assert (run / REPLACEMENT / "result.json").read_text() == "new"
    assert (run / "moments" / "epoch_0.json").is_file()
    assert read_result(run).command == "hessian"


@pytest.fixture
def outside(tmp_path):
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "precious.txt").write_text("mine")
    return folder


def untouched(folder):
    return {file.name: file.read_text() for file in folder.iterdir()} == {"precious.txt": "mine"}


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("name", ["figures", "cells", "ledger/losses.zarr", ".replacement"])
def test_a_link_to_a_folder_is_refused_and_not_followed(tmp_path, outside, name, overwrite):
    source = table(tmp_path)
    curve_at(tmp_path, source, target=0.85)
    link = tmp_path / "run" / name
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(outside, target_is_directory=True)
    with pytest.raises(InputError, match=rf"{name} is a link, .*: put in its place what it links to"):
        curve_at(tmp_path, source, overwrite=overwrite, target=0.85)
    assert untouched(outside)


@pytest.mark.parametrize("name", ["result.json", "config.yaml"])
def test_a_run_replaces_a_link_in_the_place_of_its_file(tmp_path, outside, name):
    source = table(tmp_path)
    curve_at(tmp_path, source, target=0.85)
    file = tmp_path / "run" / name
    content = file.read_text()
    (outside / "precious.txt").write_text(content)
    file.unlink()
    file.symlink_to(outside / "precious.txt")
    curve_at(tmp_path, source, target=0.8)
    assert (outside / "precious.txt").read_text() == content
