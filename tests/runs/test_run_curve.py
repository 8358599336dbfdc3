"""``suffice curve`` from end to end: the answer is that of the curve, from each kind of source, and bad input."""

import numpy as np
import pytest

from suffice import forecast_scores
from suffice.configuration import CurveConfig, read_configuration
from suffice.errors import InputError
from suffice.forecasting import next_run
from suffice.results import read_result
from suffice.runs.curve import forecast_curve

N = [100, 200, 400, 800]
ACCURACIES = [0.70, 0.76, 0.80, 0.83]


def table(folder, sizes=N, scores=ACCURACIES, name="scores.csv", **columns):
    lines = zip(sizes, scores, *columns.values(), strict=True)
    text = [",".join(["size", "score", *columns]), *(",".join(map(str, line)) for line in lines)]
    (folder / name).write_text("\n".join(text) + "\n")
    return str(folder / name)


def curve_at(folder, source, overwrite=False, **values):
    return forecast_curve(read_configuration(CurveConfig, {"scores": source} | values), folder / "run", overwrite)


def test_the_answer_is_that_of_the_curve_through_the_scores(tmp_path):
    result = curve_at(tmp_path, table(tmp_path), target=0.85, assurance=0.6)
    curve = forecast_scores(N, ACCURACIES, [800, 1600, 3200, 6400, 12_800], metric="accuracy")
    assert result.predicted.sizes == curve.sizes.tolist()
    for told, true in (
        (result.predicted.score.mean, curve.mean),
        (result.predicted.score.low, curve.low),
        (result.predicted.score.high, curve.high),
        (result.predicted.reached.mean, curve.probability(0.85)),
        (result.predicted.reached.next, curve.probability(0.85, of="next")),
    ):
        assert told == pytest.approx(true, abs=1e-12)
    assert result.answer == curve.sufficient_size(0.85, 0.6)
    run = next_run(curve, 0.85)
    assert (result.next_trainings.size, result.next_trainings.seeds) == (run.size, run.seeds)
    assert result.next_trainings.interval_left == pytest.approx(run.interval_left)
    written = read_result(tmp_path / "run")
    assert written.model_dump_json() == result.model_dump_json()


def test_the_curve_is_drawn_to_where_the_interval_of_the_answer_ends(tmp_path):
    source = table(tmp_path)
    reached = curve_at(tmp_path, source, target=0.75)
    assert reached.answer.high < 1600
    assert (reached.drawn.sizes[0], reached.drawn.sizes[-1]) == (100, 1600)
    far = curve_at(tmp_path, source, target=0.9)
    assert (far.drawn.sizes[-1], len(far.drawn.sizes)) == (64 * 800, 80)
    assert curve_at(tmp_path, source, sizes=[5000, 2000]).drawn.sizes[-1] == 5000
    assert curve_at(tmp_path, source, sizes=[5000, 2000, 5000]).predicted.sizes == [2000, 5000]


def test_without_a_target_there_is_no_answer_and_no_probability(tmp_path):
    result = curve_at(tmp_path, table(tmp_path))
    assert (result.answer, result.next_trainings, result.costs) == (None, None, None)
    assert result.predicted.reached is None
    assert result.drawn.reached is None


def test_out_of_reach_there_is_nothing_to_train_next(tmp_path):
    result = curve_at(tmp_path, table(tmp_path), target=0.995)
    assert (result.answer.status, result.next_trainings) == ("unreachable", None)


def test_costs_are_taken_as_proportional_to_samples(tmp_path):
    result = curve_at(tmp_path, table(tmp_path, cost=[1.0, 2.5, 3.5, 8.0]), target=0.85)
    assert result.costs.per_sample == pytest.approx(0.01)
    assert result.costs.at_size == pytest.approx(0.01 * result.answer.size)
    run = result.next_trainings
    assert result.costs.next_trainings == pytest.approx(0.01 * run.size * run.seeds)
    assert [training.cost for training in result.trainings] == [1.0, 2.5, 3.5, 8.0]


def test_standard_errors_decide_how_wide_the_band_is(tmp_path):
    small, large = (
        curve_at(tmp_path, table(tmp_path, error=[error] * 4), overwrite=True).predicted.score
        for error in (0.001, 0.03)
    )
    assert large.high[0] - large.low[0] > 3 * (small.high[0] - small.low[0])


def test_another_question_is_answered_in_the_same_folder_and_other_scores_are_refused(tmp_path):
    source = table(tmp_path)
    first = curve_at(tmp_path, source, target=0.85)
    assert curve_at(tmp_path, source, target=0.84, assurance=0.7, seed=1).answer.tolerance == 0.84
    assert curve_at(tmp_path, source, target=0.85).model_dump_json() == first.model_dump_json()
    table(tmp_path, scores=[0.70, 0.76, 0.80, 0.84])
    with pytest.raises(InputError, match="holds a run with other settings \\(contents of the scores: changed\\)"):
        curve_at(tmp_path, source, target=0.85)
    assert curve_at(tmp_path, source, True, target=0.85).answer.size < first.answer.size


def test_arrays_and_tables_may_be_mixed(tmp_path):
    repeats = np.array([[0.69, 0.71], [0.75, 0.77]])
    np.savez(tmp_path / "curve.npz", train_sizes=np.array(N[:2]), test_scores=repeats)
    result = curve_at(tmp_path, [table(tmp_path, N[2:], ACCURACIES[2:]), str(tmp_path / "curve.npz")])
    assert [(one.size, one.score) for one in result.trainings] == [
        (100, 0.69), (100, 0.71), (200, 0.75), (200, 0.77), (400, 0.80), (800, 0.83),
    ]  # fmt: skip


def test_few_sizes_and_scores_that_get_worse_are_noted(tmp_path):
    assert curve_at(tmp_path, table(tmp_path)).notes == []
    few = curve_at(tmp_path, table(tmp_path, N[:2], [0.7, 0.8]), True)
    assert few.notes[0].startswith("2 sizes were measured")
    worse = curve_at(tmp_path, table(tmp_path, scores=[0.71, 0.7, 0.71, 0.705]), True)
    assert worse.notes == [
        "the accuracy falls from 0.71 with 100 samples to 0.705 with 800, which is taken for chance: check --metric"
    ]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"assurance": 0.8}, "--assurance is the probability to reach a target"),
        ({"target": 82}, r"target = 82: must be above 0 and below 1 for metric accuracy; is it 0.82, in percent\?"),
        ({"target": 0.9, "assurance": 80}, "assurance = 80: must be from"),
        ({"metric": "f1"}, "metric = 'f1': input should be 'accuracy', 'error', 'loss' or 'score'"),
        ({"kind": "tree"}, 'kind "tree": .*did you mean "trees"'),
        ({"score_column": "f1"}, "no 'f1'; there are 'size', 'score'; give one with --score-column"),
        ({"size_of": "runs/a"}, "size_of = .*: give RUN=N, such as runs/a=400"),
        ({"size_of": "runs/a=0"}, "give RUN=N"),
        ({"size_of": {"runs/a": 400}}, "--size-of runs/a: not among the sources"),
        ({"sizes": [0]}, "sizes = 0"),
        ({"samples": 0}, "samples = 0"),
        ({"scores": []}, "scores = "),
        ({"scores": "no/such.csv"}, "no/such.csv: no such file or folder"),
    ],
)
def test_bad_input_is_refused_in_one_line_before_a_folder_is_made(tmp_path, changes, said):
    with pytest.raises(InputError, match=said) as refusal:
        curve_at(tmp_path, **{"source": table(tmp_path)} | changes)
    assert "\n" not in str(refusal.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"sizes": [100, 100], "scores": [0.7, 0.8]}, "scores at 1 size"),
        ({"sizes": [100, 200], "scores": [0.7, 0.7]}, "all 2 scores are 0.7"),
        ({"sizes": [100, 200], "scores": [70, 80]}, r"in percent\? Then give 0.8 for 80"),
        ({"sizes": [0.1, 0.2], "scores": [0.7, 0.8]}, "is not a number of samples"),
        ({"sizes": N, "scores": [0.9, 0.6, 0.4, 0.2], "error": [0.01] * 4}, 'is it rather the metric "error"'),
        ({"sizes": N, "scores": ACCURACIES, "cost": [1, 2, -4, 8]}, "cost: -4 is below 0"),
    ],
)
def test_scores_of_no_curve_are_refused(tmp_path, columns, said):
    with pytest.raises(InputError, match=said) as refusal:
        curve_at(tmp_path, table(tmp_path, **columns), target=0.9)
    assert "\n" not in str(refusal.value)
