"""What a run tells while it goes on: the page, and what is said once more samples have stopped paying."""

import logging
import re

import numpy as np
import pytest

from suffice import InputError
from suffice.errors import InputWarning
from suffice.integrations import Recorder
from suffice.integrations.live import LiveReport
from suffice.report.answers.live import live_answer, stopped_in_words
from suffice.results import Holdout, OnlineBatch, Recording
from suffice.runs.live import live_result

SAMPLES = 1600


def recording(slope, updates=400, floor_from=0, noise=0.05, samples=SAMPLES):
    """A run whose loss falls by a slope per doubling, in batches of 4, and whose hold-out stops to fall from a size."""
    draw = np.random.default_rng(0)
    hard, held = draw.normal(3, 0.3, updates), draw.normal(0, 0.3, 200)

    def level(seen):
        return 2 - slope * np.log2(max(seen, 4) / samples)

    batches = [
        OnlineBatch(step=n + 1, seen=4 * n, samples=4, loss=level(4 * n) + hard[n] - 3 + draw.normal(0, noise),
                    before=hard[n], rate=1e-3)
        for n in range(updates)
    ]  # fmt: skip
    sizes = [at for at in (200, 400, 800, 1600) if at <= 4 * updates]
    holdouts = [
        Holdout(seen=at, losses=level(min(at, floor_from or at)) + held + draw.normal(0, noise, 200)) for at in sizes
    ]
    return Recording(samples=samples, batches=batches, holdouts=holdouts)


def test_before_100_updates_it_cannot_tell(tmp_path):
    found = live_result(recording(0.15, updates=60), "run.json", gain=0.05)
    answer = live_answer(found)
    assert answer.confidence == "cannot tell"
    assert answer.sentence == (
        "Cannot tell yet what more samples bring: the run has made 60 updates, and the curve is told from 100 on."
    )
    assert answer.more[0].startswith("Measured so far: a loss of 2.")  # what was measured holds at any time
    assert "To come: no forecast yet" in answer.more[1]
    nothing = live_answer(live_result(Recording(samples=800), "run.json"))
    assert nothing.more[0].startswith("Measured so far: nothing.")


def test_without_a_gain_it_says_the_fall_of_a_doubling_only():
    found = live_result(recording(0.15), "run.json")
    answer = live_answer(found)
    assert answer.sentence.startswith("Doubling the 1,600 samples lowers the test loss by 0.1")
    assert list(stopped_in_words(found)) == []
    assert "probability" not in answer.more[1]
    assert found.curve.one_run.slope.low < 0.15 < found.curve.one_run.slope.high


def test_samples_that_pay_are_not_said_to_have_stopped():
    found = live_result(recording(0.15), "run.json", gain=0.05)
    assert found.looks[-1].gain.low < 0.15 < found.looks[-1].gain.high
    assert found.probability < 0.5
    assert list(stopped_in_words(found)) == []


def test_what_was_measured_and_what_is_forecast_are_said_apart():
    found = live_result(recording(0.01), "run.json", gain=0.1)
    measured, forecast = stopped_in_words(found)
    assert measured == (
        "Measured: more samples stopped paying: from 800 to 1,600 samples the loss fell by less than 0.1."
    )
    assert re.fullmatch(
        r"Forecast: twice the 1,600 samples lower the loss by less than 0.1, with probability .*%\.", forecast
    )
    answer = live_answer(found)
    assert (answer.sentence, answer.confidence) == (measured, "high")
    assert answer.more[0].startswith("Measured so far: a loss of")
    assert answer.more[1].startswith("To come, a forecast: twice the 1,600 samples should lower")


def test_a_flat_hold_out_is_measured_whatever_the_forecast_says():
    found = live_result(recording(0.15, floor_from=800), "run.json", gain=0.1)
    assert found.looks[-1].gain.high < 0.1
    assert next(stopped_in_words(found)).startswith("Measured:")


def test_measured_intervals_hold_at_all_looks_together():
    """Of 400 runs whose hold-out gains exactly the gain that is asked for, few are ever said to gain less."""
    wrong = 0
    for seed in range(400):
        draw = np.random.default_rng(seed)
        holdouts = [Holdout(seen=at, losses=draw.normal(-0.1 * np.log2(at / 100), 0.5, 100)) for at in (100, 200, 400)]
        found = live_result(Recording(samples=400, holdouts=holdouts), "run.json", gain=0.1)
        wrong += any(look.gain is not None and look.gain.high < 0.1 for look in found.looks)
    assert wrong / 400 <= 0.05


def test_the_recorder_writes_the_page_and_says_once_what_stopped(tmp_path, caplog):
    made = recording(0.01)
    recorder = Recorder(tmp_path / "run.json", samples=SAMPLES, report_every=1e9, gain=0.1)
    losses = {at.seen: at.losses for at in made.holdouts}
    with caplog.at_level(logging.INFO, logger="suffice"):
        for batch in made.batches:
            recorder.batch([batch.loss] * 4, rate=batch.rate, before=[batch.before] * 4)
            if recorder.is_due:
                recorder.holdout(losses[batch.seen + 4])
        recorder.holdout(losses[SAMPLES])
    page = (tmp_path / "run.html").read_text()
    assert "Measured: more samples stopped paying" in page
    assert "To come: a forecast" in page
    said = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert sorted(sentence.partition(":")[0] for sentence in said) == ["Forecast", "Measured"]
    assert sum(record.levelno == logging.INFO for record in caplog.records) == 5
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["run.html", "run.json"]


def test_reports_come_after_so_many_seconds(tmp_path, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr("suffice.integrations.live.time.monotonic", lambda: clock[0])
    live = LiveReport(tmp_path / "run.json", 60, None)
    due = []
    for clock[0] in (59, 60, 61, 119, 120):
        due.append(live.is_due)
        if live.is_due:
            live.write(Recording(samples=8))
    assert due == [False, True, False, False, True]
    assert "Cannot tell yet" in (tmp_path / "run.html").read_text()


def test_a_report_that_fails_ends_no_training_and_says_so_once(tmp_path):
    (tmp_path / "run.html").mkdir()
    live = LiveReport(tmp_path / "run.json", 60, None)
    with pytest.warns(InputWarning, match="run.html: the live report cannot be written"):
        live.write(Recording(samples=8))
    live.write(Recording(samples=8))  # a warning would be an error here


def test_what_cannot_be_asked_of_a_report(tmp_path):
    with pytest.raises(InputError, match="gain: is for the live report; give report_every"):
        Recorder(tmp_path / "run.json", samples=8, gain=0.1)
    with pytest.raises(InputError, match="report_every = 0: give seconds, above 0"):
        Recorder(tmp_path / "run.json", samples=8, report_every=0)
    with pytest.raises(InputError, match="gain = -1: give a difference of losses above 0"):
        Recorder(tmp_path / "run.json", samples=8, report_every=1, gain=-1)
    with pytest.raises(InputError, match="is the name of the live report"):
        Recorder(tmp_path / "run.html", samples=8, report_every=1)
