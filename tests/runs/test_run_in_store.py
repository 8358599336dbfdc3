"""A run whose arrays and pieces are in an object store: the results of a local one, resumed from any other folder."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from object_stores import environment, s3_at, s3_server

from suffice.configuration import AnalyzeConfig, CurvatureConfig, ForecastConfig, StudyConfig
from suffice.engine import RayCluster
from suffice.errors import InputError
from suffice.runs.analyze import analyze
from suffice.runs.curvature import measure_curvature
from suffice.runs.folder import read_configuration_of
from suffice.runs.forecast import forecast
from suffice.runs.status import status_of
from suffice.runs.study import study
from suffice.runs.workers import check_reached
from suffice.storage import place, read_bytes, shards
from suffice.storage.places import replace

pytestmark = pytest.mark.filterwarnings("default::suffice.errors.InputWarning")

DIGITS = {"model": "builtin:tiny-vit", "data": "builtin:digits"}
SMALL = DIGITS | {"samples": 60, "probes": 2, "method": "head", "epochs": 1}
GRID = DIGITS | {"samples": 300, "sizes": [20, 40], "seeds": 5, "steps": 10, "landscape_seeds": 0}


@pytest.fixture(scope="module")
def endpoint():
    with s3_server() as endpoint, s3_at(endpoint):
        yield endpoint


def stored_of(out):
    return place(read_configuration_of(out)["stored_at"])


def test_the_result_is_that_of_a_local_run_and_another_folder_takes_up_what_is_done(endpoint, tmp_path, monkeypatch):
    analyze(AnalyzeConfig(**SMALL), tmp_path / "local")
    analyze(AnalyzeConfig(**SMALL, store="s3://bucket/runs"), tmp_path / "first")
    expected = (tmp_path / "local" / "result.json").read_bytes()
    assert (tmp_path / "first" / "result.json").read_bytes() == expected
    stored = stored_of(tmp_path / "first")
    assert str(stored).startswith("s3://bucket/runs/blake2b-")
    chunk = "ledger/losses.zarr/c/0/0"
    assert read_bytes(stored / chunk) == (tmp_path / "local" / chunk).read_bytes()
    assert not (tmp_path / "first" / "ledger").exists()

    def refuse(file, held):
        pytest.fail(f"{file} is done")

    with monkeypatch.context() as patch:
        patch.setattr(shards, "put", refuse)
        analyze(AnalyzeConfig(**SMALL, store="s3://bucket/runs"), tmp_path / "second")
    assert (tmp_path / "second" / "result.json").read_bytes() == expected

    held = read_bytes(stored / chunk)
    replace(stored / chunk, held[:9] + bytes([held[9] ^ 1]) + held[10:])
    found = status_of(tmp_path / "second", verify=True)
    assert found.state == "finished"
    assert found.damaged == [f"{stored}/{chunk} is damaged (its checksum does not match)"]
    with pytest.warns(UserWarning, match=rf"{chunk} is damaged .*: it is computed again"):
        analyze(AnalyzeConfig(**SMALL, store="s3://bucket/runs"), tmp_path / "third")
    assert (tmp_path / "third" / "result.json").read_bytes() == expected
    assert read_bytes(stored / chunk) == held
    assert status_of(tmp_path / "second", verify=True).damaged == []


@pytest.mark.deep
def test_another_store_may_be_given_to_the_same_folder(tmp_path):
    for store in (None, "memory://another/one", str(tmp_path / "shared"), (tmp_path / "shared").as_uri()):
        analyze(AnalyzeConfig(**SMALL, store=store), tmp_path / "run")
    assert [path.name for path in (tmp_path / "shared").iterdir()] == [stored_of(tmp_path / "run").name]
    assert {part.done for part in status_of(tmp_path / "run", verify=True).parts} == {1}


@pytest.mark.deep
def test_curvature_is_kept_in_a_store(tmp_path):
    config = CurvatureConfig(**DIGITS, samples=30, method="head", epochs=1, count=2, points=2)
    local = measure_curvature(config, tmp_path / "local")
    for folder in ("first", "second"):
        stored = measure_curvature(config.model_copy(update={"store": "memory://curvature"}), tmp_path / folder)
        assert stored == local
    assert [part.name for part in status_of(tmp_path / "second").parts] == ["curvature"]


def grid(out):
    """The cells of a study, without their times."""
    cells = json.loads((out / "result.json").read_bytes())["study"]["cells"]
    return [{key: value for key, value in cell.items() if key != "seconds"} for cell in cells]


@pytest.mark.deep
def test_a_study_that_is_killed_goes_on_from_another_folder(endpoint, tmp_path):
    store = "s3://bucket/killed"
    flags = [
        f"--{key}={','.join(map(str, value)) if isinstance(value, list) else value}" for key, value in GRID.items()
    ]
    flags = [flag.replace("_", "-") for flag in flags if not flag.startswith(("--model", "--data"))]
    command = [sys.executable, "-m", "suffice", "study", DIGITS["model"], DIGITS["data"], *flags]
    command += [f"--store={store}", f"--out={tmp_path / 'first'}", "--workers=1"]
    driver = subprocess.Popen(
        command,
        env=os.environ | environment(endpoint),
        stdout=subprocess.DEVNULL,
        stderr=(tmp_path / "errors").open("wb"),
    )
    end = time.monotonic() + 120
    whole = []
    while not whole:
        time.sleep(0.05)
        assert driver.poll() is None, (tmp_path / "errors").read_text()
        assert time.monotonic() < end
        if (tmp_path / "first" / "config.yaml").exists():
            stored = stored_of(tmp_path / "first")
            whole = stored.fs.glob(f"{stored.path}/cells/*.json")
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    before = {name: stored.fs.info(name)["ETag"] for name in whole}
    with pytest.warns(UserWarning, match="gone: it is taken over"):
        study(StudyConfig(**GRID, store=store), tmp_path / "second", workers=1)
    assert {name: stored.fs.info(name)["ETag"] for name in whole} == before
    study(StudyConfig(**GRID), tmp_path / "local", workers=1)
    assert grid(tmp_path / "second") == grid(tmp_path / "local")
    parts = {part.name: (part.done, part.planned) for part in status_of(tmp_path / "second", verify=True).parts}
    assert parts["cells"] == (10, 10)


def test_a_store_that_cannot_be_used_leaves_no_traceback_and_says_what_to_do(suffice, tmp_path):
    status, _, errors = suffice(
        "analyze", DIGITS["model"], DIGITS["data"], "--samples", 60, "--store", "s4://x/y", "--out", tmp_path / "run"
    )
    assert status == 2
    assert 's4://x/y: no protocol "s4" is known' in errors
    assert errors.count("suffice: ") == 1
    assert "Traceback" not in errors


def test_python_takes_the_url_of_a_store(tmp_path):
    import torch  # noqa: PLC0415

    from suffice import Ledger, Probes, Problem, record  # noqa: PLC0415

    data = torch.utils.data.TensorDataset(torch.randn(40, 5), torch.randint(3, (40,)))
    problem = Problem(torch.nn.Linear(5, 3), data)
    probes = Probes.sphere(problem)
    ledger = record(problem, probes, "memory://python/ledger")
    assert np.array_equal(Ledger.open("memory://python/ledger").losses, ledger.losses)
    assert np.array_equal(record(problem, probes, tmp_path).losses, ledger.losses)
    with pytest.raises(InputError, match="no stored array"):
        Ledger.open("memory://python/other")


def test_a_url_of_a_relative_folder_is_found_from_another_folder(tmp_path, monkeypatch):
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "here")
    analyze(AnalyzeConfig(**DIGITS, samples=20, probes=1, store="File://st"), tmp_path / "run")
    monkeypatch.chdir(tmp_path / "there")
    found = status_of(tmp_path / "run", verify=True)
    assert (found.state, found.damaged) == ("finished", [])
    assert stored_of(tmp_path / "run").parent == tmp_path / "here" / "st"


@pytest.mark.parametrize("command", ["study", "analyze", "forecast"])
def test_a_store_in_memory_is_refused_with_more_than_one_process_before_any_work(tmp_path, command):
    flags = {"store": "MEMORY://one/process"}
    runs = {
        "study": lambda: study(StudyConfig(**GRID, **flags), tmp_path / "run", workers=2),
        "analyze": lambda: analyze(AnalyzeConfig(**SMALL, **flags), tmp_path / "run", workers=2),
        "forecast": lambda: forecast(ForecastConfig(**DIGITS, samples=60, **flags), tmp_path / "run", workers=2),
    }
    with pytest.raises(InputError, match="memory://one/process is in the memory of one process, and this run has 2"):
        runs[command]()
    assert not (tmp_path / "run").exists()


def test_a_store_in_memory_is_refused_with_a_cluster():
    with pytest.raises(InputError, match="is in the memory of one process, and the workers are others: give another"):
        check_reached("memory://one/process", 1, RayCluster.__new__(RayCluster))


def test_the_processes_that_a_study_has_by_itself_count_too(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    with pytest.raises(InputError, match="this run has 3: give --workers 1"):
        study(StudyConfig(**GRID, device="cpu", store="memory://one/process"), tmp_path / "run")
