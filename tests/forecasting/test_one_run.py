"""The learning curve behind one run, on runs whose curve is known."""

import json
import re

import numpy as np
import pytest

from suffice import InputError
from suffice.forecasting.one_run import forecast_one_run
from suffice.results import Holdout, OnlineBatch, Recording, read_recording

K0, SIZE, PER_DOUBLING = 3200, 8, 0.15


def recorded(
    seed=0,
    samples=K0,
    noise=0.1,
    rates=None,
    holdout=300,
    before=True,
    drift=0.0,
    slope=PER_DOUBLING,
    level=0.0,
    **more,
):
    """A run on samples whose hardness the pretrained model knows up to noise; level is that at the end, in slopes."""
    draw = np.random.default_rng(seed)
    hard = draw.normal(3.5, 0.6, samples) + drift * np.arange(samples) / samples
    held = np.random.default_rng(holdout).normal(3.5, 0.6, holdout)  # the same for all runs

    def curve(seen):
        return -1.0 + slope * (level - np.log2(max(seen, SIZE) / samples))

    batches = []
    for step, seen in enumerate(range(0, samples, SIZE)):
        some = hard[seen : seen + SIZE]
        losses = 3.5 + 0.8 * (some - 3.5) + curve(seen) + noise * draw.normal(size=len(some))
        rate = 1e-3 if rates is None else rates(seen / samples)
        own = float(some.mean()) if before else None
        batches.append(
            OnlineBatch(step=step + 1, seen=seen, samples=len(some), loss=float(losses.mean()), before=own, rate=rate)
        )
    at = [samples // 8, samples // 4, samples // 2, samples]
    holdouts = [
        Holdout(seen=n, losses=3.5 + 0.8 * (held - 3.5) + curve(n) + noise * draw.normal(size=holdout)) for n in at
    ]
    return Recording(samples=samples, batches=batches, holdouts=holdouts if holdout else [], **more)


def test_the_gain_of_a_known_curve_is_found():
    ratios, covariates = [], []
    for seed in range(12):
        found = forecast_one_run(recorded(seed), seed)
        covariates.append(found.covariate)
        for times in (2, 4, 8):
            gain = found.gain(times * K0)
            truth = PER_DOUBLING * np.log2(times)
            ratios.append(gain.value / truth)
            assert gain.low < truth < gain.high
    assert abs(np.mean(ratios) - 1) < 0.1
    assert np.std(ratios) < 0.15
    assert np.mean(covariates) == pytest.approx(0.8, abs=0.01)


def test_the_pretrained_losses_take_the_noise_of_samples_away():
    widths = [np.ptp([found.slope.low, found.slope.high]) for found in
              (forecast_one_run(recorded(holdout=0, before=known)) for known in (True, False))]  # fmt: skip
    assert widths[0] < 0.85 * widths[1]  # what differs between runs stays


def test_the_level_is_that_of_the_hold_out_at_the_end():
    run = recorded()
    held = run.holdouts[-1].losses
    found = forecast_one_run(run)
    level = found.curve.at([K0])
    assert level.mean[0] == pytest.approx(held.mean(), abs=0.005)
    assert (level.high - level.low)[0] / 3.29 == pytest.approx(held.std(ddof=1) / np.sqrt(len(held)), rel=0.4)


def test_a_steady_run_on_shuffled_samples_is_not_doubted():
    assert forecast_one_run(recorded()).doubts == ()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"samples": 1200}, "has 150 updates only"),
        ({"rates": lambda done: 1e-3 if done < 0.6 else 1e-3 * (1 - done)}, "rate falls from 1,920 samples on"),
        ({"drift": 0.4}, r"samples get harder along the run"),
        ({"dropout": 0.1}, r"trains with dropout \(0.1\)"),
        ({"before": False}, "pretrained model was not measured"),
        ({"holdout": 0}, "no hold-out on the way"),
        ({"slope": 0.0}, "slope is uncertain"),
        ({"skipped": [400]}, r"1 batches was not finite \(first: step 400\)"),
        ({"rates": lambda done: 1e-3 * min(1, done / 0.3 + 1e-3)}, "rate rises over 864 samples"),
        ({"rates": lambda done: None}, "learning rate is not known"),
        (
            {"rates": lambda done: 1e-3 if done < 0.35 else 1e-3 * (1 - done)},
            "Before the rate falls there are 140 updates",
        ),
    ],
)
def test_what_is_doubted(given, said):
    doubts = " ".join(forecast_one_run(recorded(**given)).doubts)
    assert re.search(said, doubts), doubts


def test_one_hold_out_gives_a_level_and_no_slope():
    whole = recorded()
    (said,) = forecast_one_run(whole.model_copy(update={"holdouts": whole.holdouts[-1:]})).doubts
    assert said == "No two hold-outs were measured at the high rate: the slope is that of the batches alone."


def test_a_rise_of_the_rate_is_no_part_of_the_curve():
    """Hold-outs before the rate has risen are left out."""
    long = recorded(rates=lambda done: 1e-3 * min(1, done / 0.3 + 1e-3))
    early = [at.model_copy(update={"losses": at.losses + 0.5}) if at.seen < 864 else at for at in long.holdouts]
    one, two = (forecast_one_run(long.model_copy(update={"holdouts": at})).slope for at in (long.holdouts, early))
    assert one == two


@pytest.mark.parametrize("share", [2, 4])
def test_the_level_of_a_run_that_goes_on_is_told_where_it_was_measured(share):
    whole = recorded()
    end = K0 // share
    part = whole.model_copy(
        update={
            "batches": [batch for batch in whole.batches if batch.seen < end],
            "holdouts": [at for at in whole.holdouts if at.seen <= end],
        }
    )
    if share == 4:  # fewer than 200 updates, and the level is two doublings away
        assert len(part.batches) == 100
    curve = forecast_one_run(part).curve.at([end, K0])
    assert curve.mean[0] == pytest.approx(part.holdouts[-1].losses.mean(), abs=0.02)
    assert curve.mean[1] < curve.mean[0] - 0.5 * PER_DOUBLING * np.log2(share)


def test_what_cannot_be_told():
    with pytest.raises(InputError, match="cannot tell: the learning rate falls after 61 updates, and within 100 "):
        forecast_one_run(recorded(rates=lambda done: 1e-3 * (1 - done) if done > 0.15 else 1e-3))
    whole = recorded()
    later = [batch.model_copy(update={"seen": K0 + batch.seen, "step": 401 + batch.step}) for batch in whole.batches]
    nothing = whole.model_copy(update={"batches": later, "skipped": list(range(1, 402)), "holdouts": []})
    with pytest.raises(InputError, match="no batch of the first epoch has a finite loss"):
        forecast_one_run(nothing)
    with pytest.raises(InputError, match="cannot tell: the run has 50 updates in its first epoch"):
        forecast_one_run(recorded(samples=400))
    with pytest.raises(InputError, match="cannot tell: the learning rate is within 10% of its largest from"):
        forecast_one_run(recorded(rates=lambda done: 1e-3 * (1 - abs(2 * done - 1))))


def test_a_second_epoch_says_nothing_of_unseen_samples():
    one = recorded()
    again = [
        batch.model_copy(update={"seen": batch.seen + K0, "loss": 0.1, "step": batch.step + 400})
        for batch in one.batches
    ]
    two = one.model_copy(update={"batches": one.batches + again})
    assert forecast_one_run(two).slope == forecast_one_run(one).slope
    assert "more than one epoch" in " ".join(forecast_one_run(two).doubts)


def in_two_units(tokens, held):
    """The run above with numbers of tokens: of each batch's samples, and of those of the hold-out."""
    run = recorded()
    batches = [
        batch.model_copy(
            update={"tokens": n, "token_loss": batch.loss + 0.1 * (n % 3), "token_before": batch.before + 0.1 * (n % 3)}
        )
        for batch, n in zip(run.batches, tokens, strict=True)
    ]
    return run.model_copy(update={"batches": batches, "holdout_tokens": held})


def test_samples_of_equal_length_have_the_same_curve_in_tokens():
    run = in_two_units([24] * 400, [3] * 300)
    by_sample, by_token = forecast_one_run(run), forecast_one_run(run, unit="token")
    assert by_token.slope.value == pytest.approx(by_sample.slope.value, rel=1e-9)
    assert by_token.gain(4 * K0).high == pytest.approx(by_sample.gain(4 * K0).high, rel=1e-9)


def test_tokens_weigh_batches_and_the_hold_out():
    draw = np.random.default_rng(0)
    tokens, held = draw.integers(20, 60, 400).tolist(), draw.integers(1, 9, 300)
    run = in_two_units(tokens, held.tolist())
    found, last = forecast_one_run(run, unit="token"), run.holdouts[-1].losses
    assert found.curve.at([K0]).mean[0] == pytest.approx(np.average(last, weights=held), abs=0.01)
    assert found.gain(2 * K0).low < PER_DOUBLING < found.gain(2 * K0).high
    assert found.slope != forecast_one_run(run).slope


def test_a_recording_without_tokens_is_refused_in_tokens():
    with pytest.raises(
        InputError, match=r"no losses of tokens: .* \(Recorder.batch\(tokens=...\)\), or take --unit sam"
    ):
        forecast_one_run(recorded(), unit="token")
    with pytest.raises(InputError, match=r"no numbers of tokens of the hold-out's samples: .* or take --unit sample"):
        forecast_one_run(in_two_units([24] * 400, None), unit="token")


def test_the_command_says_what_a_doubling_brings(tmp_path, capsys):
    from suffice.cli.main import commands  # noqa: PLC0415

    (tmp_path / "run.json").write_text(recorded().model_dump_json())
    asked = ["forecast", "--from", str(tmp_path / "run.json"), "--out", str(tmp_path / "out"), "--target-loss", "2.2"]
    commands(asked, standalone_mode=False)
    said = " ".join(capsys.readouterr().out.split())
    assert "samples lowers the test loss by 0.1" in said
    assert "9,600 samples more should bring the perplexity from 12" in said
    assert "samples reach" in said
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    assert result["one_run"]["samples"] == K0
    assert result["drawn"]["sizes"][-1] >= result["predicted"]["sizes"][-1] == 8 * K0  # all of the table is drawn
    # what to collect is the size of the answer without what is at hand
    (size,), (more,) = (
        re.findall(pattern, said) for pattern in (r"About ([\d,]+) samples reach", r"Collect ([\d,]+) ")
    )
    assert int(size.replace(",", "")) - K0 == int(more.replace(",", ""))
    assert (tmp_path / "out" / "report.html").exists()
    assert result["one_run"]["unit"] == "sample"
    with pytest.raises(InputError, match="--from goes with .*: leave --l2 out"):
        commands([*asked, "--l2", "0.1"], standalone_mode=False)
    with pytest.raises(InputError, match="the recording has no losses of tokens"):
        commands([*asked, "--unit", "token"], standalone_mode=False)
    with pytest.raises(InputError, match="--unit words: give sample or token"):
        commands([*asked, "--unit", "words"], standalone_mode=False)


def changed(recording, kind, number, **values):
    many = list(getattr(recording, kind))
    many[number] = many[number].model_copy(update=values)
    return recording.model_copy(update={kind: many})


@pytest.mark.parametrize(
    ("kind", "number", "values", "said"),
    [
        ("batches", 50, {"loss": float("nan")}, "update 51: its loss is nan"),
        ("batches", 50, {"rate": -1.0}, r"update 51: its learning rate is -1\.0"),
        ("batches", 50, {"seen": 0}, "update 51: it has 8 samples after 0, and the one before came after 392"),
        ("batches", 50, {"samples": 0}, "update 51: it has 0 samples"),
        ("holdouts", 2, {"losses": np.ones(5)}, "the hold-out after 1600 samples: it has 5 losses, and the first"),
        ("holdouts", 0, {"losses": np.ones(1)}, "the hold-out after 400 samples: it has 1 losses"),
        ("holdouts", 1, {"losses": np.full(300, np.nan)}, "the hold-out after 800 samples: a loss is not finite"),
        ("holdouts", 1, {"seen": 400}, "the hold-out after 400 samples: another was measured after 400"),
    ],
)  # fmt: skip
def test_what_no_run_can_have_recorded_is_refused_by_its_place(tmp_path, kind, number, values, said):
    recording = changed(recorded(), kind, number, **values)
    with pytest.raises(InputError, match=f"^{said}"):
        forecast_one_run(recording)
    file = tmp_path / "run.json"
    file.write_text(recording.model_dump_json())
    with pytest.raises(InputError, match=f"^{file}: "):
        read_recording(file)


@pytest.mark.parametrize(
    ("update", "said"),
    [
        ({"holdout_tokens": [3] * 299}, "the hold-out has 300 losses and 299 numbers of tokens"),
        ({"holdout_tokens": [3] * 299 + [0]}, "the smallest of them 0; give one of at least 1 for each"),
    ],
)
def test_numbers_of_tokens_that_no_hold_out_has(update, said):
    with pytest.raises(InputError, match=said):
        forecast_one_run(recorded().model_copy(update=update))


def test_a_run_that_is_not_finished_is_told_from_a_rate_that_falls():
    half = recorded()
    half = half.model_copy(update={"batches": half.batches[:200], "holdouts": half.holdouts[:3]})
    (said,) = [doubt for doubt in forecast_one_run(half).doubts if "1,600" in doubt]
    assert said == "The recording ends after 1,600 of 3,200 samples: the run goes on still, or was stopped."


def beginnings(seed=1):
    """Runs on a half and a quarter of the samples, of another seed."""
    return [recorded(seed + part, samples=K0 // part, slope=PER_DOUBLING, level=np.log2(part)) for part in (2, 4)]


def test_shorter_runs_narrow_the_slope_about_as_foreseen():
    widths = []
    for seed in range(3):
        alone, beside = (forecast_one_run(recorded(seed), shorter=runs) for runs in ([], beginnings(10 * seed + 1)))
        widths.append(
            [(alone.slope.high - alone.slope.low) / 2, alone.narrowed, (beside.slope.high - beside.slope.low) / 2]
        )
        assert (beside.narrowed, beside.shorter, alone.shorter) == (None, (800, 1600), ())
        assert beside.slope.low < PER_DOUBLING < beside.slope.high
    before, foreseen, after = np.mean(widths, 0)
    assert after < 0.98 * before
    assert foreseen == pytest.approx(after, rel=0.1)


def test_the_order_of_shorter_runs_does_not_matter():
    one, two = (forecast_one_run(recorded(), shorter=runs).slope for runs in (beginnings(), beginnings()[::-1]))
    assert one.value == pytest.approx(two.value, rel=1e-9)


def test_shorter_runs_that_do_not_go_with_the_long_one_are_refused():
    long = recorded()
    with pytest.raises(InputError, match="3,200 samples beside one on 3,200: give shorter runs, of at least 640 "):
        forecast_one_run(long, shorter=[recorded(1)])
    with pytest.raises(InputError, match="a run on 400 samples beside"):
        forecast_one_run(long, shorter=[recorded(1, samples=400)])
    short = recorded(1, samples=1600)
    others = [at.model_copy(update={"losses": at.losses[::-1].copy()}) for at in short.holdouts]
    for held in (recorded(1, samples=1600, holdout=200).holdouts, others, []):
        with pytest.raises(InputError, match="3,200 and 1,600 samples do not test on the same samples"):
            forecast_one_run(long, shorter=[short.model_copy(update={"holdouts": held})])
    beginning = long.model_copy(update={"samples": 1600, "batches": long.batches[:200], "holdouts": long.holdouts[:3]})
    with pytest.raises(InputError, match="the run on 1,600 samples is the beginning of that on 3,200"):
        forecast_one_run(long, shorter=[beginning])


def test_later_epochs_of_a_shorter_run_are_left_out():
    long, quarter = recorded(), beginnings()[1]
    later = Holdout(seen=2400, losses=quarter.holdouts[-1].losses - 1.0)
    more = quarter.model_copy(update={"holdouts": [quarter.holdouts[-1], later]})
    less = quarter.model_copy(update={"holdouts": [quarter.holdouts[-1]]})
    one, two = (forecast_one_run(long, shorter=[short]).slope for short in (less, more))
    assert one == two


def test_sizes_beyond_what_was_compared_are_said(tmp_path, capsys):
    from suffice.cli.main import commands  # noqa: PLC0415

    (tmp_path / "run.json").write_text(recorded().model_dump_json())
    beyond = f"Beyond {8 * K0:,} samples, 8 times those of the run, such forecasts were not compared with trainings."
    for target, is_beyond in (("2.3", False), ("1.9", True)):
        asked = ["forecast", "--from", str(tmp_path / "run.json"), "--out", str(tmp_path / target)]
        commands([*asked, "--target-loss", target], standalone_mode=False)
        assert (beyond in " ".join(capsys.readouterr().out.split())) == is_beyond
        size = json.loads((tmp_path / target / "result.json").read_text())["answer"]["size"]
        assert (size > 8 * K0) == is_beyond


def test_the_command_takes_shorter_runs(tmp_path, capsys):
    from suffice.cli.main import commands  # noqa: PLC0415

    runs = [recorded(), *beginnings()]
    for row, run in enumerate(runs):
        (tmp_path / f"{row}.json").write_text(run.model_dump_json())
    asked = [part for row in (1, 0, 2) for part in ("--from", str(tmp_path / f"{row}.json"))]
    commands(["forecast", *asked, "--out", str(tmp_path / "out")], standalone_mode=False)
    assert "samples lowers the test loss by" in capsys.readouterr().out
    found = json.loads((tmp_path / "out" / "result.json").read_text())["one_run"]
    assert (found["samples"], found["shorter"], found["narrowed"]) == (K0, [800, 1600], None)
    assert found["slope"]["value"] == forecast_one_run(recorded(), shorter=beginnings()).slope.value
