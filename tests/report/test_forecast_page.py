"""The report of ``suffice forecast``, from results written by hand: files, and the page in a real browser."""

import numpy as np
import pytest
from browsing import open_page
from forecast_results import SIZES, THREE, class_gain, curve, result
from selenium.webdriver.common.by import By

from suffice.report import write_report
from suffice.report.answers import forecast_answer
from suffice.report.figures.forecast import forecast_figures
from suffice.results import LearningCurve, SufficientSize


@pytest.mark.parametrize(
    ("targets", "said"),
    [
        ({"target_accuracy": 0.76}, "With 167 samples, 67 more than at hand, the accuracy should reach 76%."),
        ({"target_loss": 0.34}, "With 506 samples, 406 more than at hand, the loss should fall to 0.34."),
        (
            {"target_accuracy": 0.76, "assurance": 0.8},
            "With 239 samples, 139 more than at hand, the accuracy should reach 76% with probability 0.8.",
        ),
        ({"target_loss": 0.6}, "The 100 samples at hand should be enough for the loss to fall to 0.6."),
        ({"excess": 0.05}, "A loss within 0.05 of its limit with 403 samples (395 to 412)."),
        ({"cost_per_sample": 0.00001}, "Beyond 815 samples (815 to 815) one more costs more than it brings."),
        (
            {"target_accuracy": 0.95},
            "An accuracy of 95% is probably out of reach: it is reached with probability below 0.01. With unlimited "
            "samples the accuracy approaches 80.0% (78.2% to 81.8%).",
        ),
    ],
)
def test_the_answer_is_told_in_a_sentence(targets, said):
    assert forecast_answer(result(**targets))[0] == said


def test_the_interval_and_both_probabilities_follow_the_answer():
    _, interval, probabilities, surer, *_ = forecast_answer(result(target_loss=0.34))
    at_hand = "With the 100 at hand the loss is about 0.5 (0.455 to 0.545)."
    assert interval == f"90% interval: no upper end, at least 235 samples. {at_hand}"
    assert probabilities.startswith("The average model on 506 samples reaches it with probability 0.5, a single one")
    assert surer == "Probability 0.8 takes about 1,988 samples."


def test_without_a_target_the_gains_are_the_answer():
    first = forecast_answer(result())[0]
    assert first == (
        "100 more samples should raise the accuracy by 3.3 (2.0 to 5.0) points and lower the loss by 0.100 (0.080 to "
        "0.120)."
    )


def test_a_result_of_an_earlier_version_has_an_answer_without_probabilities():
    values = dict.fromkeys(("mean", "low", "high"), 0.3 + 20 / np.array(SIZES))
    older = result(curve(loss=values, accuracy=values))
    answer = {"criterion": "target_loss", "tolerance": 0.34, "relative": False, "status": "extrapolated"}
    made = older.model_copy(
        update={"answers": [SufficientSize(**answer, size=500, low=400, high=None, explanation="as it was")]}
    )
    sentences = forecast_answer(made)
    assert sentences[0] == "With 500 samples, 400 more than at hand, the loss should fall to 0.34."
    assert not any("probability" in sentence for sentence in sentences)
    assert [figure.name for figure in forecast_figures(made)] == ["accuracy", "loss"]


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
        'Collect "<c>" first: each new one lowers the loss 1.8 times as much as a random sample, up to 40 of it '
        "(30 are at hand)."
    )
    assert (sentence in forecast_answer(result(class_gains=gains))) == told
    assert told or not any("Collect" in said for said in forecast_answer(result(class_gains=gains)))


def test_the_page_shows_answer_numbers_and_figures(tmp_path, browser):
    made = result(target_accuracy=0.76, class_gains=THREE)
    write_report(made, tmp_path)
    assert {path.name for path in (tmp_path / "figures").iterdir()} == {
        "accuracy.png",
        "accuracy.pdf",
        "probability-accuracy.png",
        "probability-accuracy.pdf",
        "loss.png",
        "loss.pdf",
    }
    open_page(browser, tmp_path)
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
    open_page(browser, tmp_path)
    assert browser.get_log("browser") == []
    assert browser.find_element(By.ID, "answer").text == f"No forecast: {reason}"
    assert not browser.find_elements(By.ID, "forecast")
    assert not browser.find_elements(By.ID, "classes")
    assert made.answers[0].status == "cannot_tell"


def test_a_browser_that_cannot_unpack_the_figures_is_told_where_they_are(tmp_path, browser):
    write_report(result(target_accuracy=0.76), tmp_path)
    open_page(browser, tmp_path)
    assert not browser.find_element(By.CLASS_NAME, "old-browser").is_displayed()
    lacking = {"source": "delete window.DecompressionStream"}
    script = browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", lacking)
    try:
        open_page(browser, tmp_path)
    finally:
        browser.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", script)
    assert "beside this page" in browser.find_element(By.CLASS_NAME, "old-browser").text
    assert browser.find_element(By.ID, "answer").is_displayed()
    browser.get_log("browser")  # says that a script failed
