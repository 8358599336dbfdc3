"""What a run's folder holds is said without a change to it."""

import importlib
import io
import json
import shutil
import time
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from rich.console import Console

from suffice.cli.terminal import Terminal
from suffice.configuration import AnalyzeConfig, CurveConfig, HessianConfig
from suffice.errors import InputError
from suffice.report import write_report
from suffice.results import read_result
from suffice.runs import hessian as run
from suffice.runs import log
from suffice.runs.analyze import analyze
from suffice.runs.curve import forecast_curve
from suffice.runs.folder import write_table
from suffice.runs.hessian import measure_hessian
from suffice.runs.log import LOG, keep_log, logged, note, read_log
from suffice.runs.state import STATE
from suffice.runs.status import Step, status_of
from suffice.runs.watch import SILENT
from suffice.storage import locked

cli = importlib.import_module("suffice.cli.status")  # the package has the command under that name

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


@pytest.mark.deep
def test_a_damaged_report_is_found_and_how_to_write_it_again_is_said(finished):
    write_report(read_result(finished), finished)
    assert status_of(finished, verify=True).damaged == []
    figure = next((finished / "figures").glob("*.png"))
    figure.write_bytes(figure.read_bytes()[:-1])
    (finished / "report.md").unlink()
    assert status_of(finished).damaged == []
    damaged = status_of(finished, verify=True).damaged
    assert [fault.partition(": ")[0] for fault in damaged] == [
        f"{figure} is damaged, or was edited (its checksum does not match)",
        f"{finished / 'report.md'} is missing",
    ]
    assert all(fault.endswith(f": suffice report {finished} writes the report again") for fault in damaged)
    write_report(read_result(finished), finished)
    assert status_of(finished, verify=True).damaged == []


@pytest.mark.deep
def test_a_table_that_was_edited_is_found_and_how_to_write_it_again_is_said(finished):
    write_table("method,size\nhead,20\n", finished)
    write_report(read_result(finished), finished)
    assert status_of(finished, verify=True).damaged == []
    (finished / "cells.csv").write_text("method,size\nhead,90\n")
    write_report(read_result(finished), finished)
    assert status_of(finished).damaged == []
    assert status_of(finished, verify=True).damaged == [
        f"{finished / 'cells.csv'} is damaged, or was edited (its checksum does not match): the same command writes it "
        "again"
    ]


def test_a_result_of_another_target_than_that_of_the_interrupted_run_is_told(tmp_path, monkeypatch):
    def stopping(*_, **__):
        raise KeyboardInterrupt

    folder, scores = tmp_path / "run", tmp_path / "scores.csv"
    scores.write_text("size,score\n100,0.70\n200,0.76\n400,0.80\n800,0.83\n")
    first, second = (CurveConfig(scores=[str(scores)], target=target) for target in (0.85, 0.9))
    forecast_curve(first, folder)
    assert status_of(folder).damaged == []
    monkeypatch.setattr("suffice.runs.curve.write_result", stopping)
    with pytest.raises(KeyboardInterrupt):
        forecast_curve(second, folder)
    assert status_of(folder).damaged == [
        f"{folder / 'result.json'} is of other settings than config.yaml (target: 0.85, now 0.9): the same command "
        "writes it again"
    ]
    monkeypatch.undo()
    forecast_curve(second, folder)
    assert status_of(folder).damaged == []


def test_a_run_at_work_says_its_step_and_what_is_left_of_it(finished, monkeypatch):
    now = time.monotonic
    with locked(finished), keep_log(finished), logged(SILENT).progress("training", 100) as done:
        assert status_of(finished).step == Step(name="training", done=None, total=100, left=None)
        monkeypatch.setattr(log.time, "monotonic", lambda: now() + 30)
        done(10)
        monkeypatch.undo()
        step = status_of(finished).step
        assert (step.name, step.done, step.total) == ("training", 10, 100)
        assert step.left == pytest.approx(9 * 30, abs=10)
        entry = json.loads((finished / LOG).read_bytes().splitlines()[-1])
        earlier = datetime.fromisoformat(entry["time"]) - timedelta(seconds=100)
        with (finished / LOG).open("a") as file:
            file.write(json.dumps(entry | {"time": earlier.isoformat(" ")}) + "\n")
        assert status_of(finished).step.left == pytest.approx(9 * 30 - 100, abs=10)
    assert status_of(finished).step is None


def test_what_was_on_disk_counts_for_no_pace(finished, monkeypatch):
    now = time.monotonic
    with locked(finished), keep_log(finished), logged(SILENT).progress("training", 100) as done:
        done(80)  # at once
        monkeypatch.setattr(log.time, "monotonic", lambda: now() + 30)
        done(10)
        monkeypatch.undo()
        assert status_of(finished).step.left == pytest.approx(30, abs=3)


def test_the_names_of_arrays_are_whole_wherever_the_status_is_asked(tmp_path, monkeypatch):
    analyze(AnalyzeConfig(model="builtin:tiny-vit", data="builtin:digits", samples=30, probes=2), tmp_path / "run")
    monkeypatch.chdir(tmp_path / "run")
    assert [part.name for part in status_of(Path()).parts] == [part.name for part in status_of(tmp_path / "run").parts]
    assert "ledger/losses.zarr" in [part.name for part in status_of(Path()).parts]


def test_a_log_that_is_larger_than_any_is_not_read(finished, monkeypatch):
    monkeypatch.setattr(log, "LARGEST", 10)
    assert read_log(finished) == []


def test_watching_prints_what_changes_until_the_run_ends(finished, capsys, monkeypatch):
    with locked(finished), keep_log(finished):
        looks = iter(["training", "loss surfaces", None])
        steps = []

        def next_step(_):
            name = next(looks)
            if name is None:
                raise StopIteration
            steps.append(name)
            note("step", name)

        monkeypatch.setattr(cli.time, "sleep", next_step)
        with pytest.raises(StopIteration):
            cli.follow(finished, Terminal())
    told = capsys.readouterr().out.splitlines()
    assert told[0].startswith(f"{finished}: running (process ")
    assert [line for line in told if "Now:" in line] == ["  Now: training", "  Now: loss surfaces"]
    assert len([line for line in told if "moments: 2 of 2 pieces done" in line]) == 1
    monkeypatch.undo()
    cli.follow(finished, Terminal())  # one that has ended
    assert ": finished" in capsys.readouterr().out


def test_watching_ends_by_ctrl_c_and_says_that_the_run_goes_on(finished, capsys, monkeypatch):
    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli.time, "sleep", interrupted)
    with locked(finished), pytest.raises(SystemExit) as stop:
        cli.follow(finished, Terminal())
    assert stop.value.code == 130
    assert capsys.readouterr().err == "No longer watching; the run goes on.\n"


def test_watching_on_a_terminal_shows_the_state_of_now(finished, monkeypatch):
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    with locked(finished), keep_log(finished), logged(SILENT).progress("training", 100) as done:
        monkeypatch.setattr(log, "EVERY", 0.0)
        done(40)

        def stop(_):
            raise KeyboardInterrupt

        monkeypatch.setattr(cli.time, "sleep", stop)
        with pytest.raises(SystemExit):
            cli.follow(finished, Terminal(console=console))
    assert "Now: training, 40% done, about 1 s left" in console.file.getvalue()


STRANGE = [
    *(b"[" * 100_000, b"5", b"\xff"),
    *(b'{"planned": 5}', b'{"planned": {"moments": "x"}}', b'{"why": 5, "began": []}'),
]
STRANGE_LINES = [
    *STRANGE,
    b'{"time": 5, "event": "step", "what": "x"}',
    b'{"time": "2026-01-01 10:00:00", "event": "progress", "what": "x", "done": 1, "total": 2, "seconds": 3}',
    b'{"time": "2026-01-01 10:00:00+00:00", "event": "step", "what": "x", "total": "y"}',
    b'{"time": "2026-01-01 10:00:00+00:00", "event": "progress", "what": "x", "done": 1, "total": 1e400}',
]


def test_a_strange_state_is_none(finished):
    for held in STRANGE:
        (finished / STATE).write_bytes(held)
        assert status_of(finished).state == "not known", held


def test_a_strange_line_of_a_log_is_left_out(finished):
    with locked(finished):
        expected = status_of(finished).step
        for line in STRANGE_LINES:
            with (finished / LOG).open("ab") as log:
                log.write(line + b"\n")
            assert status_of(finished).step == expected, line


def test_a_damaged_order_of_samples_is_found(tmp_path):
    analyze(AnalyzeConfig(model="builtin:tiny-vit", data="builtin:digits", samples=30, probes=2), tmp_path / "run")
    assert status_of(tmp_path / "run", verify=True).damaged == []
    index = tmp_path / "run" / "ledger" / "index.npy"
    held = bytearray(index.read_bytes())
    held[-1] ^= 1
    index.write_bytes(held)
    (found,) = status_of(tmp_path / "run", verify=True).damaged
    assert found.startswith(f"{index} is damaged")


def test_what_a_finished_run_has_lost_is_said(finished):
    picture, result = finished / "moments" / "epoch_0.npy", finished / "result.json"
    result.rename(finished.parent / "elsewhere.json")
    assert status_of(finished).damaged == [f"{result} is missing: the same command writes it again"]
    (finished.parent / "elsewhere.json").rename(result)
    count = len(list((finished / "moments").iterdir()))
    picture.unlink()
    expected = f"{finished / 'moments'}: 1 of {count} files are missing: the same command computes them again"
    assert expected in status_of(finished).damaged
    shutil.rmtree(finished / "moments")
    expected = f"{finished / 'moments'}: {count} of {count} files are missing: the same command computes them again"
    assert status_of(finished).damaged == [expected]
    measure_hessian(SMALL, finished)
    assert status_of(finished, verify=True).damaged == []
