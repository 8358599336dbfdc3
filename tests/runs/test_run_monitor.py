"""``suffice monitor`` from end to end: the decision is that of the scores, from each kind of source, and bad input."""

import json
import time

import numpy as np
import pytest

from suffice.configuration import MonitorConfig, read_configuration
from suffice.errors import InputError
from suffice.forecasting import monitor_scores
from suffice.results import Holdout, OnlineBatch, Recording, read_result
from suffice.runs.monitor import monitor

SIZES = [100, 200, 300, 400, 500, 600]
ACCURACIES = [0.70, 0.76, 0.79, 0.81, 0.82, 0.828]


def table(folder, sizes=SIZES, scores=ACCURACIES, **columns):
    lines = zip(sizes, scores, *columns.values(), strict=True)
    text = [",".join(["size", "score", *columns]), *(",".join(map(str, line)) for line in lines)]
    (folder / "labels.csv").write_text("\n".join(text) + "\n")
    return str(folder / "labels.csv")


def monitored(folder, source, **values):
    return monitor(read_configuration(MonitorConfig, {"scores": source} | values), folder / "run")


def test_the_decision_is_that_of_the_scores(tmp_path):
    result = monitored(tmp_path, table(tmp_path), gain=0.02, holdout=500, pool=5000)
    alone = monitor_scores(SIZES, ACCURACIES, gain=0.02, holdout=500, pool=5000)
    assert result.decision == alone.decision
    assert [(look.size, look.low, look.high) for look in result.looks] == [
        (look.size, look.low, look.high) for look in alone.looks
    ]
    assert (result.batch, result.holdout, result.notes) == (100, 500, [])
    assert result.drawn.sizes[0] == 100
    assert {600, 1200} <= set(result.drawn.sizes)
    assert read_result(tmp_path / "run").model_dump_json() == result.model_dump_json()


def test_the_same_folder_is_used_after_each_batch(tmp_path):
    first = monitored(tmp_path, table(tmp_path, SIZES[:5], ACCURACIES[:5]), gain=0.02, holdout=500)
    then = monitored(tmp_path, table(tmp_path), gain=0.02, holdout=500)
    assert (len(first.looks), len(then.looks)) == (5, 6)
    assert first.looks == then.looks[:5]  # what was said of a look is not taken back


def test_scores_of_samples_and_standard_errors_are_read(tmp_path):
    right = np.random.default_rng(0).random(300) < np.array(ACCURACIES)[:, None]
    np.savez(tmp_path / "looks.npz", sizes=SIZES, sample_scores=right)
    by_sample = monitored(tmp_path, str(tmp_path / "looks.npz"), gain=0.02)
    assert by_sample.holdout == 300
    assert [look.score for look in by_sample.looks] == pytest.approx(right.mean(1))
    by_error = monitored(tmp_path, table(tmp_path, error=[0.02] * 6), gain=0.02)
    assert by_error.looks[0].low is not None
    unknown = monitored(tmp_path, table(tmp_path), gain=0.02)
    assert unknown.looks[0].low is None
    assert "give --holdout N" in unknown.notes[0]


def recording(holdouts=4):
    """A run of 300 updates whose loss falls by 0.2 with each doubling."""
    hard = np.random.default_rng(0).normal(size=200)
    batches = [
        OnlineBatch(step=step + 1, seen=8 * step, samples=8, loss=2.5 - 0.2 * np.log2(max(step, 1) / 300), rate=1e-3)
        for step in range(300)
    ]
    seen = [2400 // 2**power for power in (3, 2, 1, 0)][:holdouts]
    at = [Holdout(seen=0, losses=5.0 + hard)]
    at += [Holdout(seen=n, losses=2.5 - 0.2 * np.log2(n / 2400) + hard) for n in seen]
    return Recording(samples=2400, batches=batches, holdouts=at if holdouts else [])


def test_a_recording_is_looked_at_by_its_hold_out_and_its_own_forecast(tmp_path):
    file = tmp_path / "learning_curve.json"
    file.write_text(recording().model_dump_json())
    result = monitored(tmp_path, str(file), gain=0.01)
    assert (result.metric, [look.size for look in result.looks]) == ("loss", [300, 600, 1200, 2400])
    assert result.looks[-1].gain.value == pytest.approx(0.2)
    assert result.looks[-1].gain.low == pytest.approx(0.2)  # every sample fell by as much
    assert (result.decision.action, result.decision.reason) == ("label", "gain")
    assert result.decision.doubling.low < 0.2 < result.decision.doubling.high
    stop = monitored(tmp_path, str(file), gain=0.9)
    assert (stop.decision.action, stop.decision.reason) == ("stop", "little gain")
    target = monitored(tmp_path, str(file), target=2.9)
    assert target.decision.reason == "target measured"


def test_a_short_recording_cannot_tell_but_has_its_looks(tmp_path):
    short = recording()
    file = tmp_path / "learning_curve.json"
    file.write_text(short.model_copy(update={"batches": short.batches[:50]}).model_dump_json())
    result = monitored(tmp_path, str(file), gain=0.01)
    assert result.decision.action == "cannot tell"
    assert result.decision.explanation.startswith("the run has 50 updates in its first epoch")
    assert len(result.looks) == 4
    assert result.drawn is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"validation": "chosen"}, "--validation chosen: .*Draw a few hundred samples at random.*the batches may be"),
        ({"gain": None}, "give --gain, such as 0.02, .*or --target"),
        ({"target": 0.9}, "give --gain"),
        ({"gain": 0}, "gain = 0"),
        ({"gain": None, "target": 90}, "is it 0.9, in percent"),
        ({"assurance": 95}, "assurance = 95"),
        ({"holdout": 1}, "holdout = 1"),
        ({"metric": "loss", "holdout": 300}, "tells the errors of accuracies"),
        ({"scores": "no/such.csv"}, "no/such.csv: no such file"),
    ],
)
def test_bad_input_is_refused_in_one_line_before_a_folder_is_made(tmp_path, changes, said):
    with pytest.raises(InputError, match=said) as refusal:
        monitored(tmp_path, **{"source": table(tmp_path), "gain": 0.02} | changes)
    assert "\n" not in str(refusal.value)
    assert not (tmp_path / "run").exists()


def test_arrays_and_recordings_of_another_kind_are_refused(tmp_path):
    np.savez(tmp_path / "looks.npz", sizes=[100, 200], sample_scores=np.ones((3, 5)))
    with pytest.raises(InputError, match=r"sample_scores .*\(3, 5\): give numbers, \(looks,\) and \(looks, holdout\)"):
        monitored(tmp_path, str(tmp_path / "looks.npz"), gain=0.02)
    np.savez(tmp_path / "right.npz", sizes=SIZES, sample_scores=np.ones((6, 5)))
    with pytest.raises(InputError, match="has 5 samples; leave it out"):
        monitored(tmp_path, str(tmp_path / "right.npz"), gain=0.02, holdout=9)
    file = tmp_path / "run.json"
    file.write_text(recording(0).model_dump_json())
    with pytest.raises(InputError, match="holds no loss of a hold-out yet"):
        monitored(tmp_path, str(file), gain=0.02)
    with pytest.raises(InputError, match="a recording is monitored alone"):
        monitored(tmp_path, [str(file), table(tmp_path)], gain=0.02)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"holdout": 3}, "--holdout 3: not for a recording"),
        ({"kind": "trees"}, "--kind trees: not for a recording"),
        ({"metric": "error"}, "--metric error: a recording holds losses"),
        ({"score_column": "accuracy"}, "--score-column accuracy: not for a recording"),
        ({"size_of": ["run=3"]}, "--size-of run=3: not for a recording"),
    ],
)
def test_settings_that_a_recording_has_no_use_for_are_refused(tmp_path, changes, said):
    file = tmp_path / "learning_curve.json"
    file.write_text(recording().model_dump_json())
    with pytest.raises(InputError, match=said):
        monitored(tmp_path, str(file), gain=0.01, **changes)
    first = monitored(tmp_path, str(file), gain=0.01)
    again = read_configuration(MonitorConfig, {}, tmp_path / "run" / "config.yaml")  # which holds defaults, too
    assert monitor(again, tmp_path / "again").decision == first.decision


def test_the_metric_of_a_recording_is_no_accuracy(tmp_path):
    from suffice.cli.main import commands  # noqa: PLC0415

    file = tmp_path / "learning_curve.json"
    file.write_text(recording().model_dump_json())
    with pytest.raises(InputError, match="--metric accuracy: a recording holds losses"):
        commands(["monitor", str(file), "--gain", "0.01", "--metric", "accuracy"], standalone_mode=False)


def test_errors_given_twice_and_columns_of_arrays_are_refused(tmp_path):
    with pytest.raises(InputError, match="--holdout 50: the scores come with errors, in the column error"):
        monitored(tmp_path, table(tmp_path, error=[0.02] * 6), gain=0.02, holdout=50)
    np.savez(tmp_path / "looks.npz", sizes=SIZES, sample_scores=np.ones((6, 5)))
    with pytest.raises(InputError, match="--size-column n: not for an NPZ"):
        monitored(tmp_path, str(tmp_path / "looks.npz"), gain=0.02, size_column="n")
    assert monitored(tmp_path, str(tmp_path / "looks.npz"), gain=0.02, holdout=5).holdout == 5


def test_what_a_note_tells_to_give_is_taken(tmp_path):
    losses = [1.0, 0.9, 0.85, 0.82, 0.8, 0.79]
    unknown = monitored(tmp_path, table(tmp_path, scores=losses), gain=0.02, metric="loss")
    assert "--holdout" not in unknown.notes[0]
    assert "give a column error" in unknown.notes[0]
    known = monitored(tmp_path, table(tmp_path, scores=losses, error=[0.01] * 6), gain=0.02, metric="loss")
    assert known.looks[0].low is not None


def test_half_of_a_run_is_rounded_up_to_a_batch(tmp_path):
    whole = recording()
    seen = [0, 304, 608, 1207, 2400]  # updates of 8 samples
    moved = [at.model_copy(update={"seen": n}) for at, n in zip(whole.holdouts, seen, strict=True)]
    file = tmp_path / "learning_curve.json"
    file.write_text(whole.model_copy(update={"holdouts": moved}).model_dump_json())
    looks = monitored(tmp_path, str(file), gain=0.01).looks
    assert [look.since for look in looks] == [None, 304, 608, 1207]
    far = [at.model_copy(update={"seen": n}) for at, n in zip(whole.holdouts, [0, 304, 608, 1208, 2400], strict=True)]
    file.write_text(whole.model_copy(update={"holdouts": far}).model_dump_json())
    assert monitored(tmp_path, str(file), gain=0.01).looks[-1].since == 608


def test_a_hold_out_of_one_sample_is_refused(tmp_path):
    whole = recording()
    one = [at.model_copy(update={"losses": at.losses[:1]}) for at in whole.holdouts]
    file = tmp_path / "learning_curve.json"
    file.write_text(whole.model_copy(update={"holdouts": one}).model_dump_json())
    with pytest.raises(InputError, match="it has 1 losses, .* two at least"):
        monitored(tmp_path, str(file), gain=0.01)


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"size": [1], "scores": [[1, 0]]}, "has size, scores; it needs sizes and sample_scores.*or train_sizes and"),
        ({"sizes": [1, 2], "sample_scores": [[1, 0], [1, np.nan]]}, r"sample_scores\[1, 1\] is nan"),
        ({"sizes": [1, np.inf], "sample_scores": [[1, 0], [1, 1]]}, r"sizes\[1\] is inf"),
        ({"sizes": [1, 2], "sample_scores": [[1, 0], [1, 1j]]}, "sample_scores complex128.*give numbers"),
    ],
)
def test_an_npz_that_is_wrong_says_what_and_where(tmp_path, arrays, said):
    np.savez(tmp_path / "looks.npz", **arrays)
    with pytest.raises(InputError, match=said) as refusal:
        monitored(tmp_path, str(tmp_path / "looks.npz"), gain=0.02)
    assert "\n" not in str(refusal.value)


def test_it_looks_again_until_it_says_stop(tmp_path, monkeypatch, capsys):
    from suffice.cli.main import commands  # noqa: PLC0415

    source = table(tmp_path)
    slept = []

    def label(seconds):
        """A person who labels until the accuracy is there."""
        slept.append(seconds)
        table(tmp_path, [*SIZES, 700], [*ACCURACIES, 0.95])

    monkeypatch.setattr(time, "sleep", label)
    asked = ["monitor", source, "--target", "0.88", "--holdout", "4000", "--report-every", "7"]
    condition = ["--fail-if", "labels<1", "--json", "--out", str(tmp_path / "run")]
    status = commands([*asked, *condition], standalone_mode=False)
    assert (slept, status) == ([7.0], 3)
    assert json.loads(capsys.readouterr().out.split("\n}\n")[1] + "\n}")["decision"]["reason"] == "target measured"
    assert (tmp_path / "run" / "report.html").exists()
