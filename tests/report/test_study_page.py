"""The report of ``suffice study``, from results written by hand: files, figures, and the page in a real browser."""

import statistics

import pytest
from selenium.webdriver.common.by import By

from suffice.report import write_report
from suffice.report.answers.study import told
from suffice.report.figures.study import study_figures
from suffice.results import StudyResult

SIZES = [10, 100, 1000]
METHODS = {"head": (0.80, 300), "lora(4)": (0.95, 5000)}
"""Accuracy at the largest size, and k* of the first seed."""

FIGURES = ["accuracy", "loss", "check", "difference", "minima", "moved", "gradients"]


def cell(method, size, seed, task="all"):
    share = 1 - 10 * seed / size
    return {
        "task": task,
        "method": method,
        "size": size,
        "seed": seed,
        "status": "finished",
        "moving_parameters": 650,
        "train_loss": 0.1 + 1 / size,
        "train_accuracy": 1.0,
        "validation_loss": 1 / 3 + 1 / size,
        "validation_accuracy": 0.7,
        "test_loss": 0.3 + 3 / size,
        "test_accuracy": METHODS[method][0] * share,
        "distance": 2.5,
        "seconds": size / 100,
    }


def curve(cells, method):
    def band(name):
        means = [
            statistics.fmean(cell[name] for cell in cells if (cell["method"], cell["size"]) == (method, size))
            for size in SIZES
        ]
        return {
            "mean": means,
            "low": [mean - 0.1 for mean in means],
            "high": [mean + 0.1 for mean in means],
        }

    return {"sizes": SIZES, "loss": band("test_loss"), "accuracy": band("test_accuracy")}


def surface(method, seed):
    grid = [1, 10, 100, 999]
    return {
        "task": "all",
        "method": method,
        "seed": seed,
        "samples": 1000,
        "sizes": SIZES,
        "own": [0.1, 0.2, 0.3],
        "own_at_full": [0.25, 0.28, 0.3],
        "full": [0.9, 0.5, 0.3],
        "validation": [0.9, 0.5, 0.4],
        "distance": [3.0 + seed, 2.0, 0.0],
        "gradient": [0.01, 0.02, 0.03],
        "gradient_at_full": [0.5, 0.2, 0.03],
        "curve_sizes": grid,
        "difference": [2.2 / (k * (k + 1)) ** 0.5 for k in grid],
        "in_order": [1.5 / k for k in grid],
        "remaining": [2.2 * (1 / k - 1 / 1000) ** 0.5 for k in grid],
        "null": [2.0 / (k * (k + 1)) ** 0.5 for k in grid],
        "coefficient_of_variation": 2.0,
        "sufficient_sizes": [],
    }


def checks(method, seed, task="all"):
    for criterion in ("remaining", "difference"):
        for tolerance in (0.02, 0.05, 0.1):
            for quantity in ("loss", "accuracy"):
                k_star = METHODS[method][1] + 100 * seed + round(1000 * (tolerance - 0.05))
                censored = method == "lora(4)"
                yield {
                    "task": task,
                    "method": method,
                    "seed": seed,
                    "criterion": criterion,
                    "tolerance": tolerance,
                    "k_star": k_star,
                    "k_star_low": k_star - 10,
                    "k_star_high": k_star + 10,
                    "quantity": quantity,
                    "within": 0.05 if quantity == "loss" else 0.01,
                    "held_out_size": 1000 if censored else 200 + 10 * seed,
                    "low": 150,
                    "high": 1000,
                    "censored": censored,
                    "coefficient_of_variation": 2.0,
                    "labels_saved": max(0, 1000 - k_star),
                    "seconds_saved": 1.5,
                    "accuracy_lost": 0.03 if method == "head" else 0.0,
                }


def values():
    """A study of two methods, three sizes and two seeds, with one subset of the classes."""
    cells = [cell(method, size, seed) for method in METHODS for seed in (0, 1) for size in SIZES]
    few = [cell(method, size, 0, task="0,1") for method in METHODS for size in SIZES]
    rows = [row for method in METHODS for seed in (0, 1) for row in checks(method, seed)]
    return {
        "model": "a-model",
        "data": "some-data",
        "classes": 10,
        "pool": 2000,
        "validation_samples": 100,
        "test_samples": 400,
        "study": {
            "cells": [*cells, *few],
            "curves": {method: curve(cells, method) for method in METHODS},
            "subset_curves": {"0,1": {method: curve(few, method) for method in METHODS}},
            "retrained": [surface(method, seed) for method in METHODS for seed in (0, 1)],
            "check": [*rows, *(row for method in METHODS for row in checks(method, 0, "0,1"))],
            "agreement": [
                {
                    "criterion": criterion,
                    "tolerance": tolerance,
                    "quantity": quantity,
                    "combinations": 6,
                    "censored": 3,
                    "rank_correlation": {"value": 0.5, "low": -0.25, "high": 0.75},
                    "partial_correlation": None,
                    "ratio": 1.5,
                }
                for criterion in ("remaining", "difference")
                for tolerance in (0.02, 0.05, 0.1)
                for quantity in ("loss", "accuracy")
            ],
        },
        "notes": ["A note."],
        "confidence": 0.9,
        "configuration": {"seed": 0, "model": "a-model"},
        "versions": {"python": "3.11"},
    }


@pytest.fixture(scope="module")
def result():
    return StudyResult.model_validate(values())


@pytest.fixture(scope="module")
def folder(result, tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    write_report(result, folder)
    return folder


@pytest.fixture(scope="module")
def figures(result):
    return {figure.name: figure for figure in study_figures(result)}


def named(figure, name):
    return next(curve for curve in figure.curves if curve.name == name or curve.name.startswith(f"{name}, "))


def of_style(figure, style, color):
    """Curves of measured points: those without a name."""
    return [curve for curve in figure.curves if (curve.name, curve.style, curve.color) == ("", style, color)]


def opened(browser, folder):
    """The page, which must not complain."""
    browser.get((folder / "report.html").as_uri())
    assert browser.get_log("browser") == []
    return browser


def test_figures_are_files(folder):
    assert {path.name for path in (folder / "figures").iterdir()} == {
        f"{name}.{suffix}" for name in FIGURES for suffix in ("png", "pdf")
    }


def test_learning_curves_are_those_of_the_result(result, figures):
    for method, curve in result.study.curves.items():
        drawn = named(figures["accuracy"], method)
        assert list(drawn.x) == curve.sizes
        assert list(drawn.y) == pytest.approx(100 * curve.accuracy.mean)
        assert list(drawn.low) == pytest.approx(100 * curve.accuracy.low.clip(0, 1))
        assert list(drawn.high) == pytest.approx(100 * curve.accuracy.high.clip(0, 1))
        loss = named(figures["loss"], method)
        assert list(loss.y) == pytest.approx(curve.loss.mean)
        (train,) = of_style(figures["loss"], "dashed", loss.color)
        assert list(train.y) == pytest.approx([0.1 + 1 / size for size in SIZES])


def test_marks_are_medians_over_seeds_of_the_check(figures):
    for name in ("accuracy", "loss"):
        figure = figures[name]
        (mark,) = figure.marks
        assert mark.value == statistics.median([300, 400])
        assert mark.color == named(figure, "head").color
        assert named(figure, "head").name == "head, k* = 350"
        # that of the other is beyond the axes
        assert "5,050 for lora(4)" in figure.caption


def test_the_surface_is_that_of_the_result(result, figures):
    first = result.study.retrained[0]
    difference = figures["difference"]
    color = named(difference, "head").color
    assert list(named(difference, "head").y) == first.difference
    assert list(of_style(difference, "points", color)[0].y) == first.in_order
    assert first.null in [list(curve.y) for curve in difference.curves if curve.style == "dotted"]
    assert "1.10 for head" in difference.caption

    minima = figures["minima"]
    assert list(named(minima, "head").y) == first.remaining
    null = next(curve for curve in minima.curves if curve.style == "dotted")
    assert list(null.y) == pytest.approx([2.0 * (1 / k - 1 / 1000) ** 0.5 for k in first.curve_sizes])
    (own,), (at_full,) = (of_style(minima, style, color) for style in ("points", "circles"))
    assert list(own.x) == [10, 100, 10, 100]
    assert list(own.y) == pytest.approx([0.8, 0.3, 0.8, 0.3])
    assert list(at_full.y) == pytest.approx([0.05, 0.02, 0.05, 0.02])

    moved = [curve for curve in figures["moved"].curves if curve.color == color]
    assert [list(curve.y) for curve in moved] == [[3.0, 2.0, 0.0], [4.0, 2.0, 0.0]]
    assert list(named(figures["gradients"], "head").y) == first.gradient_at_full
    assert list(of_style(figures["gradients"], "circles", color)[0].y) == first.gradient


def test_the_check_has_a_point_for_each_combination_and_tells_censored_ones(figures):
    figure = figures["check"]
    head, lora = (named(figure, method).color for method in METHODS)
    (settled,) = of_style(figure, "points", head)
    assert sorted(zip(settled.x, settled.y, strict=True)) == [(200, 300), (200, 300), (210, 400)]
    (censored,) = of_style(figure, "circles", lora)
    assert sorted(zip(censored.x, censored.y, strict=True)) == [(1000, 5000), (1000, 5000), (1000, 5100)]
    assert not of_style(figure, "circles", head)
    assert not of_style(figure, "points", lora)
    diagonal = next(curve for curve in figure.curves if curve.style == "dotted")
    assert list(diagonal.x) == list(diagonal.y)


def test_page_draws_every_figure_without_network_or_errors(browser, folder):
    opened(browser, folder)
    for name in FIGURES:
        drawn = f"return document.querySelectorAll('#{name} .scatterlayer .trace').length"
        assert browser.execute_script(drawn) >= 2
    marks = "return document.querySelectorAll('#accuracy .shapelayer path').length"
    assert browser.execute_script(marks) == 1


def test_page_says_what_was_found_also_where_k_star_fails(browser, result, folder):
    opened(browser, folder)
    head, lora = (result.study.curves[method].accuracy.mean[-1] for method in METHODS)
    answer = browser.find_element(By.ID, "answer").text
    assert (
        answer == f"Trained on 1,000 samples, lora(4) gets {lora:.1%} of the 400 test samples right, head {head:.1%}."
    )
    plateau, checked, arithmetic, saved = (item.text for item in browser.find_elements(By.CSS_SELECTOR, "#findings li"))
    assert plateau.startswith("Plateaus were reached in part: test loss came within 5% of its last value")
    assert "in 2 of 4 series" in plateau
    assert "rank correlation 0.50, 90% interval -0.25 to 0.75: this cannot be told from none" in checked
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
    findings = told(StudyResult.model_validate(changed))
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
    findings = [item.text for item in browser.find_elements(By.CSS_SELECTOR, "#findings li")]
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
