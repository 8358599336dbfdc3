"""What happens to a run when memory, the disk or a folder fails it."""

import errno
import json
import os
import shutil
from collections import namedtuple

import numpy as np
import pytest

from suffice.configuration import AnalyzeConfig, CurvatureConfig, ForecastConfig, StudyConfig
from suffice.errors import InputError, InputWarning
from suffice.landscape import Ledger
from suffice.results import RESULT
from suffice.runs.analyze import analyze
from suffice.runs.curvature import measure_curvature
from suffice.runs.forecast import forecast
from suffice.runs.log import read_log
from suffice.runs.status import status_of
from suffice.runs.study import study
from suffice.storage import locked, locking

DIGITS = {"model": "builtin:tiny-vit", "data": "builtin:digits"}
RUNS = {
    "analyze": lambda out: analyze(AnalyzeConfig(**DIGITS, samples=60, probes=2), out),
    "study": lambda out: study(StudyConfig(**DIGITS, samples=300, sizes=[20, 100], seeds=1, steps=5), out, workers=1),
    "curvature": lambda out: measure_curvature(
        CurvatureConfig(**DIGITS, samples=30, method="head", epochs=1, count=1, points=2), out
    ),
    "forecast": lambda out: forecast(ForecastConfig(**DIGITS, samples=60), out),
}

SHORT_OF_MEMORY = """
import multiprocessing
import torch
from torch import nn

class Narrow(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Linear(192, 10)

    def forward(self, pixels):
        if multiprocessing.parent_process() is not None and len(pixels) > 100:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return self.layer(pixels.flatten(1))

def make():
    return Narrow()
"""


@pytest.mark.parametrize("kind", RUNS)
def test_a_disk_without_room_is_said_before_the_work(tmp_path, monkeypatch, kind):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**9, 10**9 - 1000, 1000))
    with pytest.raises(
        InputError, match=r"not enough disk: .* needs about \d+ MB more, and 0 MB are free: free"
    ) as told:
        RUNS[kind](tmp_path / "run")
    assert "another disk with --out or --store" in str(told.value)
    assert "\n" not in str(told.value)
    stored = {path.name for path in tmp_path.rglob("*") if path.is_file() and not path.name.startswith(".")}
    assert stored <= {"config.yaml", "log.jsonl", "zarr.json"}
    monkeypatch.undo()
    RUNS[kind](tmp_path / "run")
    assert (tmp_path / "run" / RESULT).exists()


@pytest.mark.deep
def test_a_worker_that_runs_out_of_memory_halves_its_batches_and_says_so(tmp_path, monkeypatch):
    (tmp_path / "narrow_model.py").write_text(SHORT_OF_MEMORY)
    monkeypatch.syspath_prepend(tmp_path)
    asked = {"model": "narrow_model:make", "data": "builtin:digits", "samples": 900, "probes": 1, "held_out": 0}
    with pytest.warns(InputWarning, match="memory ran out with batches of 256 samples; they are halved to 128"):
        analyze(AnalyzeConfig(**asked, batch_size=256), tmp_path / "short", workers=2)
    halved = [entry for entry in read_log(tmp_path / "short") if entry["event"] == "halved"]
    assert sorted(entry["batch_size"] for entry in halved) == [64, 66, 128]
    analyze(AnalyzeConfig(**asked, batch_size=64), tmp_path / "small")
    short, small = (Ledger.open(tmp_path / name / "ledger").losses for name in ("short", "small"))
    np.testing.assert_allclose(short, small, rtol=1e-5)
    assert status_of(tmp_path / "short").damaged == []


def test_a_file_where_a_folder_has_to_be_is_said_in_one_line(tmp_path):
    analyze(AnalyzeConfig(**DIGITS, samples=60, probes=2), tmp_path)
    shutil.rmtree(tmp_path / "ledger")
    (tmp_path / "ledger").write_bytes(b"")
    with pytest.raises(
        InputError, match="ledger is no folder, and suffice makes one of that name: move it away"
    ) as told:
        analyze(AnalyzeConfig(**DIGITS, samples=60, probes=2), tmp_path)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES])
def test_a_read_only_folder_is_said_in_one_line(tmp_path, monkeypatch, code):
    def refuse(*_, **__):
        raise OSError(code, os.strerror(code), str(tmp_path / "run"))

    monkeypatch.setattr(locking.FileLock, "acquire", refuse)
    with pytest.raises(InputError, match="run cannot be written to .*: give another folder") as told:
        analyze(AnalyzeConfig(**DIGITS, samples=60, probes=2), tmp_path / "run")
    assert os.strerror(code) in str(told.value)
    assert "\n" not in str(told.value)


def test_a_lock_of_another_host_is_said_with_its_name_and_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(locking, "GRACE", 0.05)
    with locked(tmp_path):
        owner = {"process": 4711, "host": "node-7", "since": "2026-01-01 10:00:00+00:00"}
        (tmp_path / locking.OWNER).write_text(json.dumps(owner))
        with pytest.raises(InputError) as told:
            analyze(AnalyzeConfig(**DIGITS, samples=60, probes=2), tmp_path)
    assert str(told.value) == (
        f"{tmp_path} is in use by process 4711 on node-7 since 2026-01-01 10:00:00+00:00: wait for it with --wait, end "
        "it there (kill 4711 on node-7), or give another folder"
    )
