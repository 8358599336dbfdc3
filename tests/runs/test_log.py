"""The log of a run: what it has done, a line of JSON for each event."""

import json
import warnings

import pytest

from suffice.configuration import AnalyzeConfig, HessianConfig
from suffice.errors import InputError, InputWarning
from suffice.runs import hessian as run
from suffice.runs import log
from suffice.runs.analyze import analyze
from suffice.runs.hessian import measure_hessian
from suffice.runs.log import LOG, OLDER, keep_log, logged, note, read_log
from suffice.runs.watch import SILENT

SMALL = HessianConfig(samples=8, hidden_width=4, key_width=4, patch_size=2, epochs=1, moments=2)
DIGITS = AnalyzeConfig(model="builtin:tiny-vit", data="builtin:digits", samples=900, probes=1, batch_size=256)


def events(folder, kind=None):
    return [entry for entry in read_log(folder) if kind in (None, entry["event"])]


def test_a_run_that_is_resumed_adds_to_its_log_and_says_why_the_first_ended(tmp_path, monkeypatch):
    def failing(*_):
        raise InputError("no such luck")

    with monkeypatch.context() as first:
        first.setattr(run, "_moment", failing)
        with pytest.raises(InputError):
            measure_hessian(SMALL, tmp_path)
    measure_hessian(SMALL, tmp_path)
    names = [entry["event"] for entry in events(tmp_path)]
    assert names[0] == names[names.index("failed") + 1] == "begun"
    assert names[-1] == "finished"
    assert events(tmp_path, "failed")[0]["what"] == "no such luck"
    assert events(tmp_path, "said")[-1]["what"].endswith(".")
    done = events(tmp_path, "step done")[-1]
    assert (done["what"], done["done"], done["total"]) == ("measuring", 2, 2)
    assert done["seconds"] > 0


@pytest.mark.deep
def test_tasks_have_their_worker_and_damaged_shards_their_file(tmp_path):
    analyze(DIGITS, tmp_path, workers=2)
    tasks = events(tmp_path, "task")
    assert sorted(task["what"] for task in tasks) == ["ledger: samples 256 to 511", "ledger: samples 512 to 719"]
    assert all(task["seconds"] > 0 and task["worker"].rpartition(":")[2].isdigit() for task in tasks)
    assert events(tmp_path, "measured")[0]["batch_size"] == 256
    shard = tmp_path / "ledger" / "losses.zarr" / "c" / "1" / "0"
    shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.warns(InputWarning, match="computed again"):
        analyze(DIGITS, tmp_path)
    damaged = events(tmp_path, "damaged")
    assert str(shard) in damaged[0]["what"]


def test_text_of_others_is_escaped_cut_and_without_passwords(tmp_path):
    with keep_log(tmp_path):
        note("said", "cat\x1b[2J\u202e\nnew line")
        note("said", "x" * 10_000)
        note("said", "s3://me:hunter2@host/data?token=abc hf_abcdefghijklmnopqrstuvwxyz")
    held = (tmp_path / LOG).read_bytes()
    assert held.isascii()
    assert len(held) < 3000
    assert b"\x1b" not in held
    assert all(secret not in held for secret in (b"hunter2", b"token=abc", b"hf_abc"))
    assert [json.loads(line)["event"] for line in held.splitlines()] == ["begun", "said", "said", "said", "finished"]


def test_it_stays_bounded_and_a_torn_line_hides_no_other(tmp_path, monkeypatch):
    monkeypatch.setattr(log, "LARGEST", 2000)
    with keep_log(tmp_path):
        for number in range(200):
            note("said", f"event {number}")
    assert (tmp_path / LOG).stat().st_size + (tmp_path / OLDER).stat().st_size < 2 * 2200
    with (tmp_path / LOG).open("ab") as file:
        file.write(b'{"time": "2026')
    with keep_log(tmp_path):
        note("said", "after a kill")
    assert [entry["event"] for entry in read_log(tmp_path)][-3:] == ["begun", "said", "finished"]


def test_a_log_that_cannot_be_written_ends_no_run_and_leads_nowhere(tmp_path):
    outside = tmp_path / "outside"
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / LOG).symlink_to(outside)
    with pytest.warns(InputWarning, match=r"log\.jsonl cannot be written .*goes on without it") as told:
        result = measure_hessian_in(folder)
    assert len(told) == 1
    assert result is not None
    assert not outside.exists()


def measure_hessian_in(folder):
    with keep_log(folder):
        note("said", "one")
        note("said", "two")
        return folder


def test_progress_is_noted_now_and_then(tmp_path, monkeypatch):
    clock = iter(range(10_000))
    monkeypatch.setattr(log.time, "monotonic", lambda: float(next(clock)))
    with keep_log(tmp_path), logged(SILENT).progress("measuring", 3000) as done:
        for _ in range(3000):
            done(1)
    noted = events(tmp_path, "progress")
    assert 20 < len(noted) < 150
    assert noted[0]["done"] == pytest.approx(noted[0]["seconds"], abs=1)
    assert noted[-1]["done"] > 2800


def test_inner_runs_have_logs_of_their_own_and_nothing_is_noted_outside(tmp_path):
    inner = tmp_path / "inner"
    inner.mkdir()
    note("said", "to nobody")
    with keep_log(tmp_path):
        watch = logged(SILENT)
        with keep_log(inner):
            logged(watch).say("of the inner run")
        watch.say("of the outer run")
    assert [entry["what"] for entry in events(inner, "said")] == ["of the inner run"]
    assert [entry["what"] for entry in events(tmp_path, "said")] == ["of the outer run"]
    before = warnings.showwarning
    with keep_log(tmp_path):
        pass
    assert warnings.showwarning is before
