"""The report of ``suffice forecast``, from results written by hand: files, and the page in a real browser."""

import numpy as np
import pytest
from browsing import lines_of, open_page
from forecast_results import SIZES, THREE, class_gain, curve, result
from selenium.webdriver.common.by import By

from suffice.report import write_report
from suffice.report.answers import forecast_answer
from suffice.report.figures.forecast import forecast_figures
from suffice.report.pages.forecast import forecast_page
from suffice.results import LearningCurve, SufficientSize


@pytest.mark.parametrize(
    ("targets", "said"),
    [
        ({"target_accuracy": 0.76}, "About 170 samples reach 76% accuracy: 67 more than you have."),
        ({"target_loss": 0.34}, "About 510 samples reach a loss of 0.34: 410 more than you have."),
        (
            {"target_accuracy": 0.76, "assurance": 0.8},
            "About 240 samples reach 76% accuracy with probability 80%: 140 more than you have.",
        ),
        ({"target_loss": 0.6}, "The 100 samples you have should be enough for a loss of 0.6."),
        ({"excess": 0.05}, "A loss within 0.05 of its limit with 403 samples (395 to 412)."),
        ({"cost_per_sample": 0.00001}, "Beyond 815 samples (815 to 815) one more costs more than it brings."),
        (
            {"target_accuracy": 0.95},
            "95% accuracy is out of reach: the curve levels off at 80.0% (78.2% to 81.8%).",
        ),
    ],
)
def test_the_answer_is_told_in_a_sentence(targets, said):
    assert forecast_answer(result(**targets)).sentence == said


def test_the_interval_and_both_probabilities_follow_the_answer():
    interval, probabilities, *_ = forecast_answer(result(target_loss=0.34)).more
    at_hand = "With the 100 at hand the loss is about 0.5 (0.455 to 0.545)."
    assert interval == f"90% interval: at least 240 samples; an upper end is not known. {at_hand}"
    assert probabilities.startswith("With 510 samples the average model reaches it with probability 50%, a single one")
    assert probabilities.endswith("It takes about 2,000 for a probability of 80%.")


def test_without_a_target_the_gains_are_the_answer():
    answer = forecast_answer(result())
    assert answer.sentence == (
        "100 more samples should raise the accuracy from 73.3% to 76.6%, by 3.3 (2.0 to 5.0) points."
    )
    assert "`--target-accuracy 0.9`" in answer.next_steps[-1]


def test_the_loss_of_numbers_is_their_mean_squared_error_and_the_accuracy_r2():
    numbers = {"task": "regression", "classes": [], "class_gains": []}
    answer = forecast_answer(result(target_loss=0.34).model_copy(update=numbers))
    assert answer.sentence == "About 510 samples reach a mean squared error of 0.34: 410 more than you have."
    assert "With the 100 at hand the mean squared error is about 0.5 (0.455 to 0.545)." in answer.more[0]
    assert answer.more[-2:] == [
        "100 more samples should raise R² by 0.033 (0.020 to 0.050) and lower the mean squared error by 0.1 (0.08 to "
        "0.12).",
        "With unlimited samples R² approaches 0.800 (0.782 to 0.818) and the mean squared error 0.3 (0.255 to 0.345).",
    ]
    without = forecast_answer(result().model_copy(update=numbers))
    assert without.sentence == answer.more[-2]
    assert without.next_steps[-1].startswith("Name the mean squared error you need (`--target-loss`)")
    far = forecast_answer(result(target_loss=0.1).model_copy(update=numbers))
    assert far.sentence == "A mean squared error of 0.1 is out of reach: the curve levels off at 0.3 (0.255 to 0.345)."
    assert far.next_steps[0].endswith("Compare it with other models.")
    page = forecast_page(result(target_loss=0.34).model_copy(update=numbers))
    assert page.table.columns[1::2] == ["R²", "mean squared error"]
    assert page.table.rows[0][1:] == ["0.733", "0.715 to 0.751", "0.5", "0.455 to 0.545"]
    assert page.subject[-1] == "100 samples with numbers to be predicted"
    told = str([*answer.more, *answer.next_steps, page])
    assert not any(word in told for word in ("softmax", "calibrated", "shares of the classes"))


@pytest.mark.parametrize(
    ("recipe", "said"),
    [
        ("tuned", ["This is with the penalty tuned again at each size; with the 100 at hand it is 0.01."]),
        (
            "per-sample",
            ["This is with the penalty in proportion to 1/k (one C of scikit-learn); with the 100 at hand it is 0.01."],
        ),
        ("fixed", []),
    ],
)
def test_the_penalty_at_other_sizes_is_told_where_it_is_not_the_one_at_hand(recipe, said):
    made = result(curve(recipe=recipe), target_accuracy=0.76)
    assert [sentence for sentence in forecast_answer(made).more if "penalty" in sentence] == said
    (untold,) = [section for section in forecast_page(made).sections if section.title == "What this does not tell"]
    assert ("with this penalty at all sizes" in str(untold)) == (recipe == "fixed")


def test_a_result_of_an_earlier_version_has_an_answer_without_probabilities():
    values = dict.fromkeys(("mean", "low", "high"), 0.3 + 20 / np.array(SIZES))
    older = result(curve(loss=values, accuracy=values))
    answer = {"criterion": "target_loss", "tolerance": 0.34, "relative": False, "status": "extrapolated"}
    made = older.model_copy(
        update={"answers": [SufficientSize(**answer, size=500, low=400, high=None, explanation="as it was")]}
    )
    answer = forecast_answer(made)
    assert answer.sentence == "About 500 samples reach a loss of 0.34: 400 more than you have."
    assert not any("probability" in sentence for sentence in (answer.sentence, *answer.more))
    assert answer.confidence == "low"  # there is no upper end
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
    steps = forecast_answer(result(class_gains=gains)).next_steps
    assert (sentence in steps) == told
    assert told or not any("first" in said for said in steps)


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
    assert browser.find_element(By.ID, "answer").text == forecast_answer(made).sentence
    rows = browser.find_elements(By.CSS_SELECTOR, "#forecast tr")
    assert len(rows) == 1 + len(SIZES)
    assert "1,600" in rows[-1].text
    first, *others = [row.text for row in browser.find_elements(By.CSS_SELECTOR, "#classes tr")][1:]
    assert first == "<c> 30 80% 1.8 1.3 to 2.4 0.0368 0.74"
    assert [row.split()[0] for row in others] == ["a", "b"]
    assert lines_of(browser, "accuracy") >= 3
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
    assert browser.find_element(By.ID, "answer").text == "Cannot tell yet: the labels look random."
    assert not browser.find_elements(By.ID, "forecast")
    assert not browser.find_elements(By.ID, "classes")
    assert made.answers[0].status == "cannot_tell"


def test_without_scripts_the_answer_the_figure_and_the_next_steps_stand(tmp_path, browser):
    made = result(target_accuracy=0.76)
    write_report(made, tmp_path)
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.get((tmp_path / "report.html").as_uri())
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    answer = forecast_answer(made)
    assert browser.find_element(By.ID, "answer").text == answer.sentence
    assert answer.trust.split(" – ")[1] in browser.find_element(By.ID, "trust").text
    assert [step.text for step in browser.find_elements(By.CSS_SELECTOR, "#steps li")] == list(answer.next_steps)
    assert browser.find_element(By.CSS_SELECTOR, "#accuracy .figure.wide").is_displayed()
    assert not any(button.is_displayed() for button in browser.find_elements(By.TAG_NAME, "button"))
