"""The report of ``suffice forecast``, from results written by hand: files, and the page in a real browser."""

import numpy as np
import pytest
from browsing import open_page
from forecast_results import SIZES, THREE, class_gain, result
from selenium.webdriver.common.by import By

from suffice.report import write_report
from suffice.report.answers import forecast_answer
from suffice.results import LearningCurve


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


def test_the_page_shows_answer_numbers_and_figures(tmp_path, browser):
    made = result(target_accuracy=0.76, class_gains=THREE)
    write_report(made, tmp_path)
    assert {path.name for path in (tmp_path / "figures").iterdir()} == {
        "accuracy.png",
        "accuracy.pdf",
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
