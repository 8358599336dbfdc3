"""The report of ``suffice forecast``, from results written by hand: files, figures, and the page in a real browser."""

import numpy as np
import pytest
from selenium.webdriver.common.by import By

from suffice.report import write_report
from suffice.report.answers import forecast_answer
from suffice.report.figures.forecast import forecast_figures
from suffice.results import ForecastResult, LearningCurve

SIZES = [100, 200, 1600]


def curve(**changes):
    losses = 0.3 + 20 / np.array(SIZES)
    band = {"mean": losses, "low": losses - 0.05, "high": losses + 0.05}
    accuracies = {"mean": 0.9 - losses / 3, "low": 0.88 - losses / 3, "high": 0.92 - losses / 3}
    values = {
        "sizes": SIZES,
        "loss": band,
        "accuracy": accuracies,
        "samples": 100,
        "level": 0.5,
        "slope": 20.0,
        "slope_error": 2.0,
        "loss_limit": {"mean": 0.3, "low": 0.25, "high": 0.35},
        "accuracy_limit": {"mean": 0.8, "low": 0.78, "high": 0.82},
        "estimator": "first order",
        "status": "extrapolated",
        "explanation": "as it goes",
    }
    return LearningCurve.model_validate(values | changes)


def class_gain(name, times, low, samples=30):
    return {
        "name": name,
        "samples": samples,
        "recall": 0.8,
        "more": 100,
        "loss": 0.02 * times,
        "share": 0.4 * times,
        "times": {"value": times, "low": low, "high": 2 * times - low},
        "up_to": 40,
    }


THREE = [class_gain("<c>", 1.84, 1.3), class_gain("a", 0.9, 0.7), class_gain("b", 0.5, 0.3)]


def result(forecast=None, class_gains=(), **targets):
    forecast = curve() if forecast is None else forecast
    return ForecastResult(
        model="<b>model</b>",
        data="data",
        classes=["a", "b", "<c>"][: max(2, len(class_gains))],
        samples=100,
        features=64,
        l2=0.01,
        forecast=forecast,
        measured=[{"size": 50, "loss": 0.7, "accuracy": 0.66}, {"size": 90, "loss": 0.52, "accuracy": 0.73}],
        gains=[{"more": 100, "loss": 0.1, "accuracy": 0.033}],
        class_gains=list(class_gains),
        answers=[forecast.sufficient_size(**{name: target}) for name, target in targets.items()],
        notes=["a note <i>"],
        confidence=0.9,
        configuration={},
        versions={},
    )


@pytest.mark.parametrize(
    ("targets", "said"),
    [
        (
            {"target_accuracy": 0.76},
            "67 more samples (12 to 234; if it is 0.733 now, 53 to 92) should bring the accuracy from 0.733 to 0.760.",
        ),
        (
            {"target_loss": 0.34},
            "400 more samples (123 or more, no upper end; if it is 0.500 now, 219 to 2,253) should bring the loss from "
            "0.500 to 0.340.",
        ),
        (
            {"excess": 0.05},
            "300 more samples (235 to 366) should bring the loss from 0.500 to within 0.050 of its limit.",
        ),
        ({"target_loss": 0.6}, "The samples at hand should be enough for a test loss of 0.600: they give about 0.500."),
        ({"cost_per_sample": 0.00001}, "Beyond 816 samples (816 to 816) one more costs more than it brings."),
        ({"target_accuracy": 0.95}, "out of reach: the limit is 0.8 (0.78 to 0.82)"),
    ],
)
def test_the_answer_is_told_in_a_sentence(targets, said):
    assert said in forecast_answer(result(**targets))[0]


def test_without_a_target_the_gains_are_the_answer():
    first = forecast_answer(result())[0]
    assert first == "100 more should bring 3.3 points of accuracy and 0.100 of loss."


@pytest.mark.parametrize(
    ("gains", "told"),
    [
        (THREE, True),
        ([class_gain("<c>", 1.84, 0.9), *THREE[1:]], False),
        ([class_gain("<c>", 1.1, 1.05), *THREE[1:]], False),
        (THREE[:2], False),
        ([], False),
    ],
)
def test_a_class_is_named_where_it_brings_clearly_more_and_there_are_others(gains, told):
    sentence = (
        "Collect <c> next: one more of it alone brings 1.8 times the fall in loss of one drawn like those at hand, and "
        "more than that one up to 40 of it (30 are at hand)."
    )
    assert (sentence in forecast_answer(result(class_gains=gains))) == told
    assert told or not any("Collect" in said for said in forecast_answer(result(class_gains=gains)))


def test_figures_are_those_of_the_result():
    accuracy, loss = forecast_figures(result(target_loss=0.34, target_accuracy=0.76))
    line, at_hand, parts = loss.curves
    assert (line.x[0], line.x[-1]) == (100, pytest.approx(1600))
    assert list(line.y) == pytest.approx([0.3 + 20 / size for size in line.x])
    assert np.subtract(line.high, line.low) == pytest.approx(0.1)
    assert (at_hand.x, at_hand.y) == ([100], [0.5])
    assert (parts.x, parts.y) == ([50, 90], [0.7, 0.52])
    assert [(mark.axis, mark.value) for mark in loss.marks] == [("y", 0.34), ("x", 500)]
    assert [mark.axis for mark in accuracy.marks] == ["y", "x"]
    accuracy, loss = forecast_figures(result(cost_per_sample=0.00001))
    assert [(mark.axis, mark.value) for mark in accuracy.marks] == [("x", 816)]
    assert not loss.marks
    assert accuracy.curves[1].y == pytest.approx([100 * (0.9 - 0.5 / 3)])


def test_the_page_shows_answer_numbers_and_figures(tmp_path, browser):
    made = result(target_accuracy=0.76, class_gains=THREE)
    write_report(made, tmp_path)
    assert {path.name for path in (tmp_path / "figures").iterdir()} == {
        "accuracy.png",
        "accuracy.pdf",
        "loss.png",
        "loss.pdf",
    }
    browser.get((tmp_path / "report.html").as_uri())
    assert browser.get_log("browser") == []
    assert browser.find_element(By.ID, "answer").text == forecast_answer(made)[0]
    rows = browser.find_elements(By.CSS_SELECTOR, "#forecast tr")
    assert len(rows) == 1 + len(SIZES)
    assert "1,600" in rows[-1].text
    first, *others = [row.text for row in browser.find_elements(By.CSS_SELECTOR, "#classes tr")][1:]
    assert first == "<c> 30 80% 0.0368 0.74 1.8 1.3 to 2.4"
    assert [row.split()[0] for row in others] == ["a", "b"]
    assert browser.find_elements(By.CSS_SELECTOR, "#accuracy .main-svg")
    assert "<b>model</b>" in browser.find_element(By.CLASS_NAME, "question").text
    assert "a note <i>" in browser.find_element(By.TAG_NAME, "body").text


def test_where_nothing_can_be_told_the_page_says_why(tmp_path, browser):
    nothing = dict.fromkeys(("mean", "low", "high"), np.full(3, np.nan))
    reason = "The labels look random."
    silent = LearningCurve(
        sizes=SIZES, loss=nothing, accuracy=nothing, samples=100, status="cannot_tell", explanation=reason
    )
    made = result(silent, target_loss=0.3)
    write_report(made, tmp_path)
    browser.get((tmp_path / "report.html").as_uri())
    assert browser.get_log("browser") == []
    assert browser.find_element(By.ID, "answer").text == f"No forecast: {reason}"
    assert not browser.find_elements(By.ID, "forecast")
    assert not browser.find_elements(By.ID, "classes")
    assert made.answers[0].status == "cannot_tell"
