"""The report of ``suffice curve``, from results written by hand: sentences, figures, and the page in a real browser."""

import re

import numpy as np
import pytest
from browsing import lines_of, on_screen, open_page
from curve_results import SIZES, answer, predictions, result
from selenium.webdriver.common.by import By

from suffice.report import write_report
from suffice.report.answers import curve_answer
from suffice.report.answers.curve import next_in_words
from suffice.report.figures.curve import curve_figures
from suffice.report.pages import page_of

SAID = "About 800 samples reach 82% accuracy with probability 80%: 2 times the largest size you measured."


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (answer(), SAID),
        (
            answer(high=None, assurance=None),
            "About 800 samples reach 82% accuracy: 2 times the largest size you measured.",
        ),
        (
            answer(assurance=0.97, confidence=0.94),
            "About 800 samples reach 82% accuracy with probability 97%: 2 times the largest size you measured.",
        ),
        (
            answer(size=100, low=100, high=130),
            "Already 100 samples, the smallest measured size, reach 82% accuracy with probability 80%.",
        ),
        (
            answer(size=100, low=100, high=100),
            "Already 100 samples, the smallest measured size, reach 82% accuracy with probability 80%.",
        ),
        (
            answer(size=None, low=None, high=None, assurance=0.995),
            "82% accuracy cannot be promised with probability 99.5%: with 1,600 samples, 4 times the largest measured "
            "size, the curve is at 85.0% (84.0% to 86.0%).",
        ),
        (
            None,
            "With 800 samples, 2 times the largest measured size, the accuracy should be 82.9% (90% interval: 81.9% to "
            "83.9%).",
        ),
    ],
)
def test_the_answer_is_told_in_one_sentence(asked, said):
    assert curve_answer(result(asked)).sentence == said


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (answer(), "90% interval: 560 to 1,300 samples."),
        (answer(high=None), "90% interval: at least 560 samples; an upper end is not known."),
        (answer(assurance=0.97, confidence=0.94), "94% interval: 560 to 1,300 samples."),
        (
            answer(size=100, low=100, high=130),
            "The probability there is below 1%; 90% interval: up to 130 samples.",
        ),
        (answer(size=100, low=100, high=100), "The probability there is below 1%."),
    ],
)
def test_the_interval_follows_it(asked, said):
    assert curve_answer(result(asked)).more[0] == said


@pytest.mark.parametrize(
    ("asked", "word"),
    [
        (answer(low=560, high=1100), "high"),
        (answer(), "medium"),
        (answer(high=None), "low"),
        (answer(size=8000, low=7000, high=9000), "low"),
        (answer(size=None, low=None, high=None), "low"),  # it is reached with probability 1 at last
        (answer(size=None, low=None, high=None, status="cannot_tell"), "cannot tell"),
        (None, "medium"),
    ],
)
def test_the_confidence_follows_the_interval_and_how_far_the_curve_is_continued(asked, word):
    assert curve_answer(result(asked)).confidence == word
    two = [{"size": size, "score": 0.8} for size in (100, 400)]
    assert curve_answer(result(asked, trainings=two)).confidence != "high"


@pytest.mark.parametrize(
    ("metric", "said"),
    [
        ("error", "reach 82% error"),
        ("loss", "reach a loss of 0.82"),
        ("score", "reach a score of 0.82"),
    ],
)
def test_each_metric_has_its_unit(metric, said):
    assert said in curve_answer(result(answer(), metric=metric)).sentence


def test_out_of_reach_the_size_for_even_chances_is_told():
    unreachable = answer(size=None, low=None, high=None, assurance=0.995)
    assert curve_answer(result(unreachable)).more == [
        "There it is reached with probability above 99%.",
        "A probability of 50% takes about 400 samples.",
    ]
    never = predictions(SIZES, 0.82)
    never["reached"] = {"mean": np.full(5, 0.1), "next": np.full(5, 0.1)}
    assert curve_answer(result(unreachable, drawn=never)).more == ["There it is reached with probability 10%."]


def test_the_sentences_after_it_tell_the_two_probabilities_apart_and_what_it_costs():
    costs = {"per_sample": 2, "at_size": 1600, "next_trainings": 1600}
    _, of_next, cost = curve_answer(result(answer(), costs=costs)).more
    assert (
        of_next == "This is about the average model on so many samples; the next one reaches it with probability 38%."
    )
    assert cost.startswith("A training on 800 samples should cost about 1,600, in the unit of the given costs")
    assert curve_answer(result(answer(assurance=None))).more[-1] == "A probability of 80% takes about 1,600 samples."


def test_an_answer_far_beyond_what_was_measured_is_doubted():
    far = answer(size=8000, high=None)
    assert curve_answer(result(far)).more[-1].startswith("But: this is 20 times the largest measured size")
    assert not any(sentence.startswith("But") for sentence in curve_answer(result(answer(size=1600, high=1600))).more)


def test_what_to_train_next_is_told_where_it_narrows_the_interval():
    costs = {"per_sample": 2, "at_size": 1600, "next_trainings": 1600}
    assert next_in_words(result(answer(), costs=costs)) == (
        "Train 2 models, each with its own draw of samples and seed, on 400 samples: this should narrow the interval "
        "of the size to 83% of its width (on a log scale). They cost about 1,600."
    )
    in_vain = {"size": 400, "seeds": 1, "interval_left": 0.97, "explanation": ""}
    told = next_in_words(result(answer(), next_trainings=in_vain))
    assert "no training on those at hand narrows the interval by much" in told
    assert "one model on 400 samples, leaves 97% of it" in told
    assert next_in_words(result()) is None


def test_figures_are_those_of_the_result():
    score, probability = curve_figures(result(answer()))
    among, beyond, given = score.curves
    assert (among.style, beyond.style) == ("solid", "dashed")
    assert [*among.x, *beyond.x[1:]] == SIZES
    assert among.x[-1] == beyond.x[0] == 400  # the largest that was given
    assert [*among.y, *beyond.y[1:]] == pytest.approx(100 * (0.9 - 2 / np.sqrt(SIZES)))
    assert np.subtract([*among.high, *beyond.high], [*among.low, *beyond.low]) == pytest.approx(2)
    assert (given.x, given.y) == ([100, 100, 200, 400], pytest.approx([70, 72, 76, 80]))
    assert [(mark.axis, mark.value) for mark in score.marks] == [("y", 82), ("x", 800)]
    average, of_next = probability.curves
    assert average.y == pytest.approx([0, 0.25, 0.5, 0.75, 1])
    assert of_next.y == pytest.approx([0, 0.125, 0.25, 0.375, 0.5])
    assert [(mark.axis, mark.value) for mark in probability.marks] == [("y", 0.8), ("x", 800)]
    (alone,) = curve_figures(result(metric="loss"))
    assert alone.curves[2].y == [0.70, 0.72, 0.76, 0.80]
    assert not alone.marks


def test_a_size_beyond_the_figure_is_not_drawn():
    score, probability = curve_figures(result(answer(size=8000, high=None)))
    assert [mark.axis for mark in (*score.marks, *probability.marks)] == ["y", "y"]


def test_the_page_shows_answer_figures_and_numbers(tmp_path, browser):
    costs = {"per_sample": 2, "at_size": 1600, "next_trainings": 1600}
    made = result(answer(), costs=costs)
    write_report(made, tmp_path)
    assert {path.name for path in (tmp_path / "figures").iterdir()} == {
        f"{name}.{kind}" for name in ("score", "probability") for kind in ("png", "pdf")
    }
    open_page(browser, tmp_path)
    assert browser.get_log("browser") == []
    assert browser.find_element(By.ID, "answer").text == SAID
    assert lines_of(browser, "score") >= 3
    assert lines_of(browser, "probability") >= 2
    assert browser.find_elements(By.CSS_SELECTOR, "#steps li")[1].text == next_in_words(made)
    rows = [row.text for row in browser.find_elements(By.CSS_SELECTOR, "#predicted tr")][1:]
    assert rows == [
        "400 80.0% 79.0% to 81.0% below 1% below 1%",
        "800 82.9% 81.9% to 83.9% 50% 25%",
        "1,600 85.0% 84.0% to 86.0% above 99% 50%",
    ]
    rows = [row.text for row in browser.find_elements(By.CSS_SELECTOR, "#given tr")][1:]
    assert rows == ["100 2 71.0% 70.0% 72.0%", "200 1 76.0% 76.0% 76.0%", "400 1 80.0% 80.0% 80.0%"]
    body = browser.find_element(By.TAG_NAME, "body").text
    assert "a note <i>" in body
    assert "<b>scores</b>.csv" in body
    assert "Cost: 2 per training sample" in body


@pytest.mark.usefixtures("without_figure_files")
@pytest.mark.parametrize("asked", [None, answer(size=None, low=None, high=None)])
def test_without_a_size_there_is_nothing_to_train_next(asked, tmp_path, browser):
    made = result(asked)
    write_report(made, tmp_path)
    open_page(browser, tmp_path)
    assert browser.get_log("browser") == []
    assert browser.find_element(By.ID, "answer").text == curve_answer(made).sentence
    assert not any(step.text.startswith("Train ") for step in browser.find_elements(By.CSS_SELECTOR, "#steps li"))
    assert len(browser.find_elements(By.CSS_SELECTOR, "#predicted thead th")) == (3 if asked is None else 5)
    assert len(browser.find_elements(By.ID, "probability")) == (asked is not None)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.usefixtures("without_figure_files")
def test_the_page_fits_and_can_be_read_on_any_screen(tmp_path, browser, scheme, width):
    write_report(result(answer()), tmp_path)
    with on_screen(browser, width, scheme):
        open_page(browser, tmp_path)
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width
        shown = "wide" if width > 640 else "narrow"
        ground, ink, points = browser.execute_script(
            f"const page = getComputedStyle(document.body), score = document.querySelector('#score .figure.{shown}');"
            "const point = [...score.querySelectorAll('use')].find((use) => use.style.fill.includes('222222'));"
            "const fill = (part) => getComputedStyle(part).fill;"
            "return [page.backgroundColor, fill(score.querySelector('text')), fill(point)]"
        )
        assert browser.find_element(By.CSS_SELECTOR, f"#score .figure.{shown}").is_displayed()
        assert ink == points == browser.execute_script("return getComputedStyle(document.body).color")
        brightness = sum(int(part) for part in re.findall(r"\d+", ink)[:3]) / 3
        assert (brightness > 200) == (scheme == "dark")
        assert (ground == "rgb(22, 22, 22)") == (scheme == "dark")


def test_what_one_run_does_not_tell_is_not_what_scores_do_not_tell():
    run = {"samples": 1600, "steps": 400, "covariate": 0.9, "slope": {"value": 0.1, "low": 0.05, "high": 0.15}}
    told, of_scores = (
        " ".join(next(s for s in page_of(made).sections if s.title == "What this does not tell").blocks[0].items)
        for made in (result(metric="loss", one_run=run), result())
    )
    assert "the curves of language models that others fine-tuned decide" in told
    assert "of any learner" not in told
    assert "error of the test set" not in told
    assert "of any learner" in of_scores
    assert "The error of the test set" in of_scores
