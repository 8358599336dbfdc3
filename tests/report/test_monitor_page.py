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
            "Stop: an accuracy of at least 90% is reached with 400 labels, as measured.",
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
            "Label 1,600 more, the rest of the pool: with 2,000 labels 90% accuracy is reached with probability 60% "
            "only.",
            "low",
        ),
        (
            decision("target ahead", labels=100, probability=0.001),
            TARGET | {"pool": None},
            "Label 100 more: with 500 labels 90% accuracy is reached with probability below 1%.",
            "low",
        ),
        (
            decision("target measured", probability=None, **STOP),
            {"gain": None, "target": 5.0, "metric": "loss"},
            "Stop: a loss of at most 5 is reached with 400 labels, as measured.",
            "high",
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


@pytest.mark.parametrize("metric", ["loss", "score"])
def test_of_a_loss_no_hold_out_is_asked_for_as_it_would_be_refused(metric):
    answer = monitor_answer(result(known=False, metric=metric))
    assert "--holdout" not in " ".join([*answer.next_steps, *answer.more])
    assert "column `error`" in answer.next_steps[1]
    assert answer.more[0].endswith("without standard errors there is no interval.")


def with_gain(low, high):
    """Looks of which the last has measured a gain."""
    made = result()
    gain = {"value": (low + high) / 2, "low": low, "high": high}
    last = made.looks[-1].model_dump() | {"gain": gain}
    return [*(look.model_dump() for look in made.looks[:-1]), last]


UNTOLD = {"action": "cannot tell", "probability": None, "next": None, "doubling": None, "rest": None, "total": None}


def test_a_gain_measured_below_the_one_asked_for_is_said_where_no_curve_tells():
    flat = decision("no curve", **UNTOLD, explanation="all 6 scores are 1: they say nothing about more labels")
    answer = monitor_answer(result(flat, looks=with_gain(-0.014, 0.014)))
    assert answer.more[1] == "Measured: from 200 to 400 labels the gain was below the 2.0 points asked for."
    assert answer.next_steps[1].startswith("Or stop here: the last doubling brought less than asked for.")
    open_ = monitor_answer(result(flat, looks=with_gain(-0.014, 0.03)))
    assert "Or stop here" not in " ".join(open_.next_steps)
    assert len(open_.more) == 1


def test_a_score_that_falls_is_said_to_and_no_more_labels_are_asked_for():
    falls = decision("no curve", **UNTOLD, explanation='is it rather the metric "error"?')
    answer = monitor_answer(result(falls, looks=with_gain(-0.2, -0.05)))
    assert answer.sentence == 'Cannot tell yet: is it rather the metric "error"?'
    assert answer.trust.endswith('"error"?')
    assert answer.more[1] == "Measured: the score with 400 labels is worse than with 200, beyond its error."
    assert answer.next_steps[0].startswith("Find out why more labels made the score worse")
    assert "Or stop here" not in " ".join(answer.next_steps)


@pytest.mark.parametrize(
    ("total", "said"),
    [
        (
            (350, 200, 600),
            "Forecast: the target is probably reached already; another look or a larger hold-out can tell.",
        ),
        ((990, 350, 1200), "Forecast: the target is reached with about 990 labels in all (those at hand to 1,200)."),
    ],
)
def test_no_end_of_labelling_lies_before_the_labels_at_hand(total, said):
    ends = dict(zip(("size", "low", "high"), total, strict=True))
    assert monitor_answer(result(decision("target ahead", total=ends), **TARGET)).more[2] == said


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
