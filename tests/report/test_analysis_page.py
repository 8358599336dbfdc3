"""The report of ``suffice analyze`` in a real browser, without a network."""

import json
import math

import analysis_results
import pytest
from browsing import lines_of, open_page
from curvature_results import result_of
from selenium.webdriver.common.by import By

from suffice.report import write_report
from suffice.report.answers import analysis_answer
from suffice.report.pages.analysis import analysis_page
from suffice.results import AnalysisResult, CurvatureAtRadius


@pytest.fixture
def opened(browser, small_run, small_report):
    """The report of a small real run, open."""
    _, result = small_run
    open_page(browser, small_report)
    return browser, result


def shown_size(browser, criterion):
    return int(cells_of(browser, criterion)[0].replace(",", ""))


def cells_of(browser, criterion):
    """Of the table of the two sizes: the size and its interval."""
    row = browser.find_element(By.XPATH, f"//table[@id='uses']//tr[td[.='{criterion}']]")
    return [cell.text for cell in row.find_elements(By.TAG_NAME, "td")][:2]


def set_tolerance(browser, percent):
    field = browser.find_element(By.ID, "tolerance")
    browser.execute_script(
        "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('input'))", field, percent
    )


def test_page_opens_offline_without_errors_and_draws_every_figure(opened):
    browser, _ = opened
    # advice on how fast a canvas is drawn is no error
    assert [entry for entry in browser.get_log("browser") if entry["source"] != "rendering"] == []
    assert all(lines_of(browser, name) >= 2 for name in ("remaining", "settling", "order", "geometry"))


def test_page_states_the_answer_and_the_sizes_of_the_result(opened):
    browser, result = opened
    sentence = browser.find_element(By.ID, "answer").text
    assert sentence == analysis_answer(result).sentence
    assert f"your {result.problem.samples:,} samples" in sentence
    assert not any(word in sentence for word in ("w*", "probe", "spread", "k*"))
    for answer in result.sufficient_sizes:
        assert shown_size(browser, answer.criterion) == answer.size
        _, interval = cells_of(browser, answer.criterion)
        assert interval == f"{answer.low:,} to {answer.high:,}"


def test_moving_the_tolerance_moves_the_sizes_as_sufficient_size_does(opened, small_run_curves):
    browser, _ = opened
    for percent in (1, 2.5, 20, 80):
        set_tolerance(browser, percent)
        for criterion in ("remaining", "difference"):
            assert shown_size(browser, criterion) == small_run_curves.sufficient_size(percent / 100, criterion).size


def test_slider_and_field_move_together(opened):
    browser, _ = opened
    slider = browser.find_element(By.ID, "tolerance-slider")
    before = shown_size(browser, "remaining")
    browser.execute_script("arguments[0].value = -2; arguments[0].dispatchEvent(new Event('input'))", slider)
    assert float(browser.find_element(By.ID, "tolerance").get_property("value")) == 1.0
    assert shown_size(browser, "remaining") > before


@pytest.mark.usefixtures("without_figure_files")
def test_text_from_the_user_is_shown_as_text(browser, small_run, tmp_path):
    _, result = small_run
    hostile = "</script><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
    values = json.loads(result.model_dump_json())
    values["problem"]["model"] = values["configuration"]["model"] = hostile
    values["problem"]["notes"] = [hostile]
    write_report(AnalysisResult.model_validate(values), tmp_path)
    open_page(browser, tmp_path)
    assert hostile in browser.title
    assert hostile in browser.find_element(By.CLASS_NAME, "question").text


@pytest.mark.usefixtures("without_figure_files")
def test_page_without_a_relative_answer_offers_absolute_tolerances(browser, small_run, tmp_path):
    _, result = small_run
    values = json.loads(result.model_dump_json())
    for settling in values["settling"]:
        settling["relative"] = None
    for answer in values["sufficient_sizes"]:
        answer.update(size=None, low=None, high=None, status="cannot_tell", explanation="It cannot be told: because.")
    write_report(AnalysisResult.model_validate(values), tmp_path)
    open_page(browser, tmp_path)
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []
    assert browser.find_element(By.ID, "answer").text == "It cannot be told: because."
    # a tenth of the spread, by remaining: (S / (S / 10))^2
    assert shown_size(browser, "remaining") == pytest.approx(100, abs=1)


@pytest.mark.usefixtures("without_figure_files")
def test_criterion_that_cannot_be_told_says_so_and_leaves_the_other(browser, small_run, tmp_path):
    _, result = small_run
    values = json.loads(result.model_dump_json())
    values["settling"][1]["relative"] = None
    values["sufficient_sizes"][1].update(size=None, low=None, high=None, status="cannot_tell", explanation="Why.")
    write_report(AnalysisResult.model_validate(values), tmp_path)
    open_page(browser, tmp_path)
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []
    assert shown_size(browser, "remaining") == result.sufficient_sizes[0].size
    assert cells_of(browser, "difference")[0] == "cannot tell"


def test_figures_are_written_as_png_and_pdf(small_report):
    for name in ("remaining", "settling", "order", "geometry"):
        assert (small_report / "figures" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        page = (small_report / "figures" / f"{name}.pdf").read_bytes()
        assert page.startswith(b"%PDF")
        assert b"/TrueType" in page or b"/CIDFontType2" in page
        assert b"/Type3" not in page


@pytest.mark.deep
def test_the_curvature_has_figures_and_a_sentence_where_it_was_measured(browser, small_run, tmp_path):
    curvature = result_of()
    part = CurvatureAtRadius(
        center_norm=2.0, spectrum=curvature.spectrum, gaps=curvature.gaps, measured=[0.1, 0.05, 0.01]
    )
    result = small_run[1].model_copy(update={"curvature": part})
    write_report(result, tmp_path)
    open_page(browser, tmp_path)
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []
    for figure, least in (("bound", 5), ("hessian_gap", 3)):
        assert lines_of(browser, figure) >= least
    assert "largest by magnitude are 174" in browser.find_element(By.TAG_NAME, "body").text


def test_metrics_of_numbers_and_sets_are_told_and_are_rows():
    plain = analysis_results.result()
    metrics = {"RMSE": 0.5123, "R²": 0.87}
    made = plain.model_copy(update={"problem": plain.problem.model_copy(update={"held_out_metrics": metrics})})
    assert analysis_answer(made).more[-1] == "On the samples set aside: RMSE 0.512, R² 0.87."
    assert not any("set aside:" in sentence for sentence in analysis_answer(plain).more)
    names = {row[0]: row[1] for row in _rows(made)}
    assert (names["held-out RMSE"], names["held-out R²"]) == ("0.5123", "0.87")
    assert not any("metrics" in row[0] for row in (*_rows(made), *_rows(plain)))


def _rows(result):
    (table,) = [block for block in analysis_page(result).blocks if getattr(block, "name", "") == "numbers"]
    return table.rows


def test_a_model_that_guesses_is_no_confident_answer_and_is_to_be_trained():
    problem = analysis_results.result().problem.model_dump() | {"held_out_samples": 100}
    chance = {"held_out_accuracy": 1 / problem["classes"], "held_out_loss": math.log(problem["classes"])}
    learned = {"held_out_accuracy": 0.9, "held_out_loss": 0.3}
    guessing, sound = (analysis_answer(analysis_results.result(problem=problem | of)) for of in (chance, learned))
    assert sound.confidence != "low"
    assert guessing.confidence == "low"
    assert guessing.why.startswith("the model hardly beats guessing: 10.0% of the samples set aside are right")
    assert guessing.next_steps[0].startswith("Train the model first")
    assert "guess" not in " ".join([sound.why, *sound.next_steps])
