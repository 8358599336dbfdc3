"""The report of ``suffice study``, from results written by hand: files, and the page in a real browser."""

import json

import numpy as np
import pytest
from browsing import lines_of, open_page
from curvature_results import surface_of
from selenium.webdriver.common.by import By
from study_results import FIGURES, METHODS, cell, surface, values

from suffice.report import write_report
from suffice.report.answers.study import correlations, plateau, study_answer
from suffice.results import StudyResult


@pytest.fixture(scope="module")
def result():
    return StudyResult.model_validate(values())


@pytest.fixture(scope="module")
def folder(result, tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    write_report(result, folder)
    return folder


def opened(browser, folder):
    """The page, which must not complain."""
    open_page(browser, folder)
    assert browser.get_log("browser") == []
    return browser


def worth(browser):
    """The sentences on k*."""
    return browser.find_elements(By.XPATH, "//details[contains(summary, 'k* was worth')]//li")


def test_figures_are_files(folder):
    assert {path.name for path in (folder / "figures").iterdir()} == {
        f"{name}.{suffix}" for name in FIGURES for suffix in ("png", "pdf")
    }


def test_page_draws_every_figure_without_network_or_errors(browser, folder):
    opened(browser, folder)
    for name in FIGURES:
        assert lines_of(browser, name) >= 2, name


def test_page_says_what_was_found_also_where_k_star_fails(browser, result, folder):
    opened(browser, folder)
    head, lora = (result.study.curves[method].accuracy.mean[-1] for method in METHODS)
    answer = browser.find_element(By.ID, "answer").text
    assert answer.startswith(f"lora(4) leads at every size: {lora:.1%} with 1,000 samples.")
    reached = browser.find_element(By.CLASS_NAME, "sure").text
    assert f"On 400 test samples, trained on 1,000: lora(4) {lora:.1%}" in reached
    assert f"head {head:.1%}" in reached
    plateau, checked, arithmetic, saved = (item.text for item in worth(browser))
    assert plateau.startswith("Plateaus were reached in part: test loss came within 5% of its last value")
    assert "in 2 of 4 series" in plateau
    assert (
        "rank correlation 0.50, 90% interval -0.25 to 0.75: indistinguishable from zero, so there is no evidence"
        in checked
    )
    assert "3 reached no plateau" in checked
    assert "1.5 times" in checked
    assert "cannot be told" in arithmetic
    # 700 and 600 labels with the head, none with lora; 3 points and none
    assert "saved 325 of 1,000 labels (32%) and 1.5 of 10 seconds" in saved
    assert "cost 1.5 points of test accuracy, more than 1 point: k* comes too early" in saved
    assert "In 2 of 4 combinations it is not below the largest size" in saved


@pytest.mark.parametrize(
    ("rank", "partial", "said"),
    [
        ((0.5, 0.1, 0.9), (0.5, 0.1, 0.9), ["a larger k* goes with", "k* adds to what CV"]),
        ((-0.5, -0.9, -0.1), (-0.5, -0.9, -0.1), ["the wrong way", "the wrong way"]),
        ((0.5, 0.1, 0.9), (0.1, -0.5, 0.6), ["a larger k* goes with", "cannot be told that k* adds"]),
        (None, None, ["cannot be told, since they are too few"]),
    ],
)
def test_judgement_follows_the_intervals(rank, partial, said):
    changed = values()
    for agreement in changed["study"]["agreement"]:
        for name, numbers in (("rank_correlation", rank), ("partial_correlation", partial)):
            agreement[name] = numbers and dict(zip(("value", "low", "high"), numbers, strict=True))
    findings = correlations(StudyResult.model_validate(changed))
    assert len(findings) == len(said)
    for part, finding in zip(said, findings, strict=True):
        assert part in finding


def test_tables_have_every_row(browser, result, folder):
    opened(browser, folder)
    for table, rows in (("methods", 2), ("agreement", 12), ("check-rows", len(result.study.check))):
        assert len(browser.find_elements(By.CSS_SELECTOR, f"#{table} tr")) == 1 + rows
    methods = [row.text for row in browser.find_elements(By.CSS_SELECTOR, "#methods tr")[1:]]
    assert methods[0].startswith("head 650")
    assert "205" in methods[0]
    assert "not by 1,000" in methods[1]


@pytest.mark.usefixtures("without_figure_files")
def test_text_from_outside_stays_text(browser, tmp_path):
    hostile = "</script><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
    changed = values()
    changed["data"] = hostile
    changed["notes"] = [hostile]
    changed["study"]["subset_curves"] = {hostile: changed["study"]["subset_curves"]["0,1"]}
    changed["study"]["check"][0]["task"] = hostile
    write_report(StudyResult.model_validate(changed), tmp_path)
    opened(browser, tmp_path)
    assert hostile in browser.title
    assert hostile in browser.find_element(By.CLASS_NAME, "question").text


def test_a_study_in_which_nothing_was_checked_has_a_page(browser, tmp_path):
    changed = values()
    finished = cell("head", 10, 0)
    diverged = {name: finished[name] for name in ("task", "size", "seed", "moving_parameters")}
    one = {"mean": [0.5], "low": [0.4], "high": [0.6]}
    none = {"mean": [], "low": [], "high": []}
    surfaces = surface("head", 0)
    of_sizes = ("sizes", "own", "own_at_full", "full", "validation", "distance", "gradient", "gradient_at_full")
    surfaces |= {name: surfaces[name][:1] for name in of_sizes}
    changed["study"] = {
        "cells": [finished, diverged | {"method": "full", "status": "diverged"}],
        "curves": {
            "head": {"sizes": [10], "loss": one, "accuracy": one},
            "full": {"sizes": [], "loss": none, "accuracy": none},
        },
        "subset_curves": {},
        "retrained": [
            surfaces
            | {
                "samples": 10,
                "curve_sizes": [1, 9],
                **{name: [0.2, 0.1] for name in ("difference", "in_order", "remaining", "null")},
            }
        ],
        "check": [],
        "agreement": [],
    }
    write_report(StudyResult.model_validate(changed), tmp_path)
    opened(browser, tmp_path)
    assert "50.0%" in browser.find_element(By.ID, "answer").text
    findings = [item.text for item in worth(browser)]
    assert [finding for finding in findings if "cannot be told" in finding or "Nothing" in finding] == findings
    assert "diverged" in browser.find_element(By.ID, "methods").text
    assert not (tmp_path / "figures" / "check.png").exists()


def test_a_study_in_which_all_diverged_has_a_page(browser, tmp_path):
    changed = values()
    none = {"mean": [], "low": [], "high": []}
    row = {name: cell("head", 10, 0)[name] for name in ("task", "method", "size", "seed", "moving_parameters")}
    changed["study"] = {
        "cells": [row | {"status": "diverged"}],
        "curves": {"head": {"sizes": [], "loss": none, "accuracy": none}},
        "subset_curves": {},
        "retrained": [],
        "check": [],
        "agreement": [],
    }
    write_report(StudyResult.model_validate(changed), tmp_path)
    opened(browser, tmp_path)
    assert "all of them diverged" in browser.find_element(By.ID, "answer").text
    assert list((tmp_path / "figures").iterdir()) == []


@pytest.mark.deep
@pytest.mark.usefixtures("without_figure_files")
def test_the_surface_between_minima_is_drawn_with_its_slider(browser, tmp_path):
    content = values()
    minima = {10: (-0.2, 0.0), 100: (0.1, 0.3)}
    drawn = surface_of(points=9).model_copy(update={"directions": "minima", "minima": minima})
    content["study"]["retrained"][0]["surface"] = drawn.model_dump(mode="json")
    result = StudyResult.model_validate_json(json.dumps(content))
    assert result.study.retrained[0].surface.minima == minima
    write_report(result, tmp_path)
    open_page(browser, tmp_path)
    assert [entry for entry in browser.get_log("browser") if entry["source"] != "rendering"] == []
    marks = browser.execute_script("return document.getElementById('surface-contours').data[1].text")
    assert marks == ["w*", "w*, k = 10", "w*, k = 100"]
    before = browser.execute_script("return document.getElementById('surface').data[0].z")
    slider = browser.find_element(By.ID, "surface-slider")
    browser.execute_script("arguments[0].value = 0; arguments[0].dispatchEvent(new Event('input'))", slider)
    assert browser.execute_script("return document.getElementById('surface').data[0].z") != before
    assert lines_of(browser, "accuracy") >= 2
    assert "Of head, seed 0" in browser.find_element(By.TAG_NAME, "body").text


def with_accuracies(**accuracies):
    """A result with these accuracies at the three sizes, each known to one point, and no plateau missed."""
    content = values()
    for method, mean in accuracies.items():
        content["study"]["curves"][method]["accuracy"] = {
            "mean": mean,
            "low": [value - 0.01 for value in mean],
            "high": [value + 0.01 for value in mean],
        }
    for check in content["study"]["check"]:
        check["censored"] = False
    return StudyResult.model_validate(content)


def test_trainings_that_got_worse_have_no_plateau():
    found = plateau(with_accuracies(**{"head": [0.367, 0.3, 0.2], "lora(4)": [0.4, 0.35, 0.3]}))
    assert found == (
        "These trainings got worse with more data (head 36.7% to 20.0%, lora(4) 40.0% to 30.0%): too few steps, or too "
        "large a learning rate, to compare sizes."
    )


def test_a_method_that_got_worse_does_not_count_among_the_plateaus_of_the_others():
    found = plateau(with_accuracies(**{"head": [0.5, 0.6, 0.61], "lora(4)": [0.4, 0.35, 0.3]}))
    assert found.startswith("Some trainings got worse with more data (lora(4) 40.0% to 30.0%)")
    assert "Every plateau was reached" in found
    assert "in 2 of 2 series" in found


def test_trainings_at_chance_have_no_plateau():
    classes = values()["classes"]
    chance = [1 / classes] * 3
    found = plateau(with_accuracies(**{"head": chance, "lora(4)": chance}))
    assert f"{1 / classes:.1%} is chance" in found
    assert "no plateau" in found
    assert "Every plateau" not in found


def test_trainings_that_have_hardly_learned_have_no_plateau():
    content = with_accuracies(**{"head": [0.5, 0.6, 0.61], "lora(4)": [0.5, 0.51, 0.51]}).model_dump()
    guessing = np.log(content["classes"])
    for of in content["study"]["cells"]:
        of.update(train_loss=0.8 * guessing, test_loss=0.9 * guessing)
    found = plateau(StudyResult.model_validate(content))
    assert found.startswith(f"Guessing has a loss of {guessing:.3g}, and these trainings have hardly learned")
    assert f"(lora(4) {0.8 * guessing:.3g}, and {0.9 * guessing:.3g} on test samples)" in found
    assert "in 2 of 2 series" in found  # the head counts: its fit is convex


def test_a_fall_within_the_intervals_is_no_fall():
    found = plateau(with_accuracies(**{"head": [0.5, 0.61, 0.6], "lora(4)": [0.4, 0.45, 0.5]}))
    assert found.startswith("Every plateau was reached")


def test_no_confident_answer_stands_over_trainings_that_got_worse():
    answer = study_answer(with_accuracies(**{"head": [0.367, 0.3, 0.2], "lora(4)": [0.4, 0.35, 0.3]}))
    assert answer.sentence.startswith("These trainings got worse with more data (head 36.7% to 20.0%")
    assert answer.confidence == "cannot tell"
    assert "longer" in answer.next_steps[0]
    some = study_answer(with_accuracies(**{"head": [0.5, 0.6, 0.61], "lora(4)": [0.4, 0.35, 0.3]}))
    assert some.sentence.startswith("head gets 61.0%")
    assert any("Some trainings got worse" in sentence for sentence in some.more)


def test_the_leader_changes_where_the_means_cross():
    answer = study_answer(with_accuracies(**{"head": [0.5, 0.6, 0.61], "lora(4)": [0.4, 0.55, 0.7]}))
    assert answer.sentence.startswith("head leads up to 100 samples, lora(4) beyond: 70.0% with 1,000 samples.")
