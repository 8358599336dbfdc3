"""The report of ``suffice monitor``, from results written by hand: sentences, the figure, and the page in a browser."""

import pytest
from browsing import lines_of, open_page
from monitor_results import decision, result
from selenium.webdriver.common.by import By

from suffice.report import write_report
from suffice.report.answers import monitor_answer
from suffice.report.figures.monitor import monitor_figure
from suffice.report.pages import page_of

STOP = {"action": "stop", "labels": 0, "total": None}
TARGET = {"gain": None, "target": 0.9}


@pytest.mark.parametrize(
    ("decided", "changes", "said", "word"),
    [
        (decision(), {}, "Label 100 more: they should bring 1.1 points (0.4 to 1.9).", "high"),
        (decision(probability=0.7), {}, "Label 100 more: they should bring 1.1 points (0.4 to 1.9).", "medium"),
        (
            decision("little gain", probability=0.96, **STOP),
            {},
            "Stop: twice the labels would bring less than 2.0 points with probability 96%.",
            "medium",
        ),
        (
            decision("target measured", probability=None, **STOP),
            TARGET,
            "Stop: 90% accuracy is measured with 400 labels.",
            "high",
        ),
        (
            decision("target by curve", probability=0.97, **STOP),
            TARGET,
            "Stop: 90% accuracy is reached with 400 labels, with probability 97% by the curve.",
            "medium",
        ),
        (
            decision("target ahead", labels=600, probability=0.95),
            TARGET,
            "Label 600 more: 90% accuracy should be reached with 1,000 labels, with probability 95%.",
            "high",
        ),
        (
            decision("target ahead", labels=1600, probability=0.6),
            TARGET,
            "Label 1,600 more, the rest of the pool: 90% accuracy should be reached with 2,000 labels, with "
            "probability 60%.",
            "low",
        ),
        (
            decision("out of reach", probability=0.01, **STOP),
            TARGET,
            "Stop: all 2,000 samples of the pool reach 90% accuracy with probability 1% only.",
            "high",
        ),
        (
            decision("out of reach", probability=0.04, **STOP),
            TARGET | {"pool": None},
            "Stop: any number of labels reaches 90% accuracy with probability 4% only.",
            "medium",
        ),
        (decision("pool", probability=None, **STOP), {}, "Stop: all 2,000 samples of the pool are labelled.", "high"),
        (
            decision("few looks", "cannot tell", 200, None, explanation="2 looks: the curve is told from 4 on"),
            {"drawn": None},
            "Cannot tell yet: 2 looks: the curve is told from 4 on. Label 200 more.",
            "cannot tell",
        ),
    ],
)
def test_the_decision_is_told_in_one_sentence_with_its_confidence(decided, changes, said, word):
    made = result(decided, **changes)
    answer = monitor_answer(made)
    assert (answer.sentence, answer.confidence) == (said, word)
    assert answer.next_steps
    assert page_of(made).picture is not None


def test_what_was_measured_stands_apart_from_what_is_forecast():
    measured, doubling, end = monitor_answer(result()).more
    assert measured == (
        "Measured: 80.0% accuracy with 400 labels (75.0% to 85.0%), 5.0 points better than with 200 (gain -2.0 to "
        "12.0). With probability 95% these intervals hold at all looks, however many."
    )
    assert doubling == (
        "Forecast: twice the labels should bring 3.0 points (1.0 to 6.0); the rest of the pool 5.0 points (2.0 to 9.0)."
    )
    assert end == "Forecast: it is time to stop at about 990 labels in all (640 to no upper end)."
    far = decision(total={"size": None, "low": None, "high": None})
    assert monitor_answer(result(far)).more[2] == "Forecast: no number of labels is told after which to stop."
    now = decision(total={"size": 400, "low": 400, "high": 600})
    assert "another look or a larger hold-out can tell" in monitor_answer(result(now)).more[2]
    beyond = decision(total={"size": 5000, "low": 640, "high": 9000})
    assert monitor_answer(result(beyond)).more[2].endswith("That is more than the pool.")


def test_without_the_error_of_the_hold_out_the_confidence_is_one_step_less():
    answer = monitor_answer(result(known=False))
    assert answer.confidence == "medium"
    assert answer.more[0].endswith("without the size of the hold-out there is no interval.")
    assert "--holdout" in answer.next_steps[1]


def test_a_hold_out_that_is_too_small_is_the_next_step():
    assert "to within 7.0 points only" in monitor_answer(result()).next_steps[1]
    assert len(monitor_answer(result(gain=0.2)).next_steps) == 1


@pytest.mark.parametrize(("metric", "said"), [("loss", "0.011 (0.004 to 0.019)"), ("score", "0.011 (0.004 to 0.019)")])
def test_other_metrics_have_no_points(metric, said):
    assert said in monitor_answer(result(metric=metric)).sentence


def test_the_figure_has_looks_and_the_forecast_from_the_last_one_on():
    measured, ahead = monitor_figure(result()).curves
    assert list(measured.x) == [100, 200, 300, 400]
    assert measured.low[0] == pytest.approx(60)
    assert ahead.x[0] == 400
    marks = monitor_figure(result()).marks
    assert [(mark.axis, mark.value, mark.label) for mark in marks] == [("x", 400, "400 now, next 500")]
    alone = monitor_figure(result(drawn=None, known=False))
    assert len(alone.curves) == 1
    assert alone.curves[0].low is None
    assert ("y", 90) in [(mark.axis, mark.value) for mark in monitor_figure(result(**TARGET)).marks]


def test_the_page_shows_decision_figure_and_looks(tmp_path, browser):
    made = result()
    write_report(made, tmp_path)
    assert {path.name for path in (tmp_path / "figures").iterdir()} == {"score.png", "score.pdf"}
    open_page(browser, tmp_path)
    assert browser.get_log("browser") == []
    assert browser.find_element(By.ID, "answer").text == monitor_answer(made).sentence
    assert lines_of(browser, "score") >= 2
    rows = [row.text for row in browser.find_elements(By.CSS_SELECTOR, "#looks tr")][1:]
    assert rows[0] == "100 65.0% 60.0% to 70.0% – – –"
    assert rows[3] == "400 80.0% 75.0% to 85.0% 200 5.0 points -2.0 to 12.0"
    assert "<b>labels</b>.csv" in browser.find_element(By.TAG_NAME, "body").text
