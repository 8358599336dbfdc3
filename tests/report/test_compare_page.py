"""Several runs beside each other: which one is better at which size, where they cross, and what cannot be compared."""

from pathlib import Path

import numpy as np
import pytest
from curvature_results import result_of
from curve_results import result as curve_result
from forecast_results import curve, predicted
from forecast_results import result as forecast_result
from study_results import values

from suffice.errors import InputError
from suffice.report import write_comparison
from suffice.report.answers.compare import compare_answer, compare_runs
from suffice.results import ForecastResult, StudyResult

A, B = Path("a"), Path("b")


def run(error, slope, spread=0.002, **changes) -> ForecastResult:
    """A forecast whose error rate is error + slope / k."""
    accuracy = predicted("accuracy", error + slope / 100, slope, spread)
    return forecast_result(curve(accuracy=accuracy)).model_copy(update=changes)


def test_the_crossing_is_where_the_curves_cross():
    # 0.2 + 10 / k and 0.1 + 30 / k cross at k = 200
    compared = compare_runs({A: run(0.2, 10, method="head"), B: run(0.1, 30, method="full")})
    (crossing,) = compared.crossings()
    assert (crossing.before, crossing.after) == ("head", "full")
    assert crossing.size == pytest.approx(200, rel=0.01)
    assert crossing.low < 200 < crossing.high
    answer = compare_answer(compared)
    assert answer.sentence == "Best is head up to about 200 samples, full beyond."
    assert answer.confidence == "high"
    assert answer.next_steps[0] == "With fewer than about 200 samples, take head; from there on full."


def test_probabilities_are_those_of_independent_normal_errors():
    compared = compare_runs({A: run(0.2, 10, 0.02, method="head"), B: run(0.2, 10, 0.02, method="full")})
    assert compared.better("head", "full") == pytest.approx(0.5)
    wide = compare_runs({A: run(0.20, 0, 0.02, method="head"), B: run(0.18, 0, 0.02, method="full")})
    # a uniform spread of ±0.02 has a 90% interval of ±0.018, which is 1.645 errors
    error = 0.018 / 1.6449 * np.sqrt(2)
    draws = np.random.default_rng(0).normal(0.02, error, 200_000)
    assert wide.better("full", "head")[0] == pytest.approx((draws > 0).mean(), abs=0.005)


def test_a_better_run_saves_samples():
    compared = compare_runs({A: run(0.2, 20, model="m/small"), B: run(0.2, 10, model="m/large")})
    answer = compare_answer(compared)
    # 0.2 + 20 / 1600 = 0.2 + 10 / 800
    assert answer.sentence == "large needs about 800 samples for the 78.8% that small reaches with 1,600."
    assert answer.more[0] == "large leads at every size from 100 to 1,600 samples."


def test_runs_are_told_apart_by_what_differs():
    names = list(compare_runs({Path("x/monday"): run(0.2, 10), Path("x/friday"): run(0.1, 10)}).lines)
    assert names == ["monday", "friday"]
    study = StudyResult.model_validate(values())
    assert list(compare_runs({A: study}).lines) == ["head", "lora(4)"]


def test_forecasts_of_numbers_are_compared_by_their_mean_squared_error():
    compared = compare_runs({A: run(0.2, 10, task="regression"), B: run(0.1, 10, task="regression")})
    assert compared.metric == "loss"


def test_different_data_lower_the_confidence():
    answer = compare_answer(compare_runs({A: run(0.2, 10, data="x"), B: run(0.1, 10, data="y")}))
    assert (answer.confidence, answer.why) == ("cannot tell", "the runs are of different data (x and y)")


@pytest.mark.parametrize(
    ("runs", "said"),
    [
        ({A: run(0.2, 10), B: result_of()}, "b: a run of suffice curvature without a learning curve"),
        ({A: run(0.2, 10)}, "one learning curve cannot be compared"),
        ({A: run(0.2, 10), B: curve_result(metric="score")}, "no metric in common"),
        ({A: run(0.2, 10), B: run(0.2, 10, task="regression")}, "b is about numbers, and a about classes"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_one_line(runs, said):
    with pytest.raises(InputError, match=said) as refused:
        compare_runs(runs)
    assert "\n" not in str(refused.value)


@pytest.mark.usefixtures("without_figure_files")
def test_the_page_lies_where_it_is_asked_for_and_links_to_the_runs(tmp_path):
    runs = {tmp_path / "a": run(0.2, 10, method="head"), tmp_path / "b b": run(0.1, 30, method="full")}
    page, file = write_comparison(runs, tmp_path / "both")
    assert file == tmp_path / "both" / "report.html"
    text = file.read_text()
    assert page.answer.sentence in text
    assert 'href="../b%20b/report.html"' in text
    assert page.answer.sentence in (tmp_path / "both" / "report.md").read_text()
    (tmp_path / "both" / "result.json").write_text("{}")
    with pytest.raises(InputError, match="holds a run"):
        write_comparison(runs, tmp_path / "both")
