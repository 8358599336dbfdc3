"""The report of ``suffice forecast`` of several methods: sentences, files, and the page in a real browser."""

import io
import itertools

import pytest
from browsing import on_screen, open_page
from methods_results import CROSSING, SIZES, forecast_of, result, without_forecast
from rich.console import Console
from selenium.webdriver.common.by import By

from suffice.cli.answer import print_answer
from suffice.report import write_report
from suffice.report.answers import finding_in_words, methods_answer
from suffice.report.answers.methods import table_of
from suffice.report.figures.figure import label_heights
from suffice.report.figures.methods import methods_figures
from suffice.results import MethodsResult, read_result

TARGET = [("target_accuracy", 0.82)]


def test_the_answer_says_which_method_from_which_size_on():
    answer = methods_answer(result(CROSSING, TARGET))
    overtakes, undecided, target, fewer, chances, of_methods = answer.more
    assert answer.sentence == "Use head up to 140 samples, and lora(4) beyond."
    assert overtakes == "lora(4) overtakes head at about 120 samples (90% interval: 110 to 150)."
    assert undecided == (
        "From 120 to 140 samples neither head nor lora(4) is better than the other with probability 80%; head is "
        "cheaper."
    )
    assert (
        target == "An accuracy of 82% takes the fewest samples with lora(4): 151 (134 to 171); head does not reach it."
    )
    assert fewer == "lora(4) needs fewer than head with probability above 99%."
    assert chances == (
        "Probability to be the best one: with 100 samples head above 99%, lora(4) below 1%; with 3,200 samples head "
        "below 1%, lora(4) above 99%."
    )
    assert of_methods == (
        "Confidence by method: head medium – few samples <i> (SUF031); lora(4) medium – few samples <i> (SUF031)."
    )
    (finding,) = answer.findings
    assert (finding.code, finding.what) == ("SUF031", "head and lora(4): few samples <i>")
    assert (answer.confidence, answer.why) == ("low", "few samples <i> (SUF031)")
    assert answer.next_steps == [
        "With the 100 samples you have, train head.",
        "From about 140 samples on, train lora(4).",
        "For 82%, collect 51 more samples and train lora(4).",
    ]


def test_the_confidence_of_a_method_without_a_forecast_and_of_earlier_files_is_not_told():
    made = result(CROSSING | {"full": without_forecast()})
    (told,) = [sentence for sentence in methods_answer(made).more if sentence.startswith("Confidence")]
    assert "full" not in told
    content = made.model_dump()
    for method in content["methods"]:
        del method["trust"]
    answer = methods_answer(MethodsResult.model_validate(content))
    assert not any("Confidence" in sentence for sentence in answer.more)
    assert (answer.confidence, answer.why) == ("low", "few samples <i> (SUF031)")  # by its findings


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("high", "high"), ("medium", "at some sizes no method is better with probability 80%")),
        (("high", "medium"), ("low", "lora(4): it is so")),
        (("low", "medium"), ("low", "head: it is so")),
        (("cannot tell", "high"), ("low", "head: it is so")),
    ],
)
def test_the_comparison_is_not_surer_than_the_least_sure_of_its_methods(words, expected):
    content = result(CROSSING, TARGET).model_dump()
    for method, word in zip(content["methods"], words, strict=True):
        method["trust"] = {"word": word, "reason": "it is so"}
    answer = methods_answer(MethodsResult.model_validate(content))
    assert (answer.confidence, answer.why) == expected


@pytest.mark.parametrize(
    ("second", "said"),
    [
        (
            forecast_of(0.2, 2.1),
            "head and lora(4) are indistinguishable up to 3,200 samples: use head, the cheapest.",
        ),
        (
            forecast_of(0.1, 2.0),
            "Use lora(4): up to 3,200 samples it is better than head with probability 80% or more.",
        ),
        (without_forecast(), "The methods cannot be compared: only head has a forecast."),
    ],
)
def test_what_is_not_known_is_said(second, said):
    answer = methods_answer(result({"head": CROSSING["head"], "lora(4)": second}))
    sentences = [answer.sentence, answer.trust, *answer.more, *answer.next_steps]
    assert answer.sentence == said
    assert not any("nan" in sentence or "None" in sentence for sentence in sentences)


def test_ends_that_an_interval_does_not_have_are_told_by_the_range():
    wide = {"head": forecast_of(0.20, 2.0, 0.05), "lora(4)": forecast_of(0.20, 7.0, 0.05)}
    sentences = methods_answer(result(wide)).more
    assert any("lora(4) overtakes head" in told and "interval: below 50 to beyond 3,200)" in told for told in sentences)


def test_a_method_that_cannot_be_forecast_is_named_and_the_others_are_compared():
    made = result(CROSSING | {"full": without_forecast()})
    answer = methods_answer(made)
    assert answer.sentence == "Use head up to 140 samples, and lora(4) beyond."
    assert "full: no forecast. It has not converged." in answer.more
    assert table_of(made)[0] == ["head", "lora(4)"]
    assert [curve.name for curve in methods_figures(made)[0].curves] == ["head", "lora(4)"]
    none = result({"head": without_forecast(), "full": without_forecast()})
    assert methods_answer(none).sentence == "The methods cannot be compared: none of them has a forecast."


def test_losses_are_drawn_where_they_are_compared():
    made = result(CROSSING, [("target_loss", 0.36)], "loss")
    (figure,) = methods_figures(made)
    assert figure.y_label == "test loss"
    assert [mark.label for mark in figure.marks] == ["100 at hand", "lora(4) from 140", "target 0.36"]
    assert "A loss of 0.36 takes the fewest samples with lora(4)" in " ".join(methods_answer(made).more)


def test_names_at_the_ends_of_lines_do_not_lie_upon_each_other():
    curves = {name: forecast_of(0.2 + 0.001 * row, 2.0) for row, name in enumerate(("head", "lora(4)", "full"))}
    (figure,) = methods_figures(result(curves))
    heights = sorted(label_heights(figure))
    drawn = [value for curve in figure.curves for value in (*curve.low, *curve.high)]
    gap = 0.06 * (max(drawn) - min(drawn))
    assert all(upper - lower > 0.99 * gap for lower, upper in itertools.pairwise(heights))
    assert len({(curve.color, curve.style) for curve in figure.curves}) == 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("methods")
    made = result(CROSSING, TARGET)
    write_report(made, folder)
    (folder / "result.json").write_text(made.model_dump_json())
    return folder


@pytest.mark.parametrize("width", [1100, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_shows_answer_figure_and_table(browser, folder, width, scheme):
    made = result(CROSSING, TARGET)
    with on_screen(browser, width, scheme):
        open_page(browser, folder)
        assert browser.get_log("browser") == []
        assert browser.find_element(By.ID, "answer").text == methods_answer(made).sentence
        sideways = "return document.documentElement.scrollWidth - window.innerWidth"
        assert browser.execute_script(sideways) <= 0
        shown = "wide" if width > 640 else "narrow"
        names = browser.find_elements(By.CSS_SELECTOR, f"#methods .figure.{shown} text")
        assert {"head", "lora(4)", "lora(4) from 140", "100 at hand", "target 82%"} <= {name.text for name in names}
        assert all(name.rect["x"] + name.rect["width"] <= width for name in names)


def test_the_table_has_sizes_and_methods_with_probabilities(browser, folder):
    open_page(browser, folder)
    rows = browser.find_elements(By.CSS_SELECTOR, "#numbers tr")
    assert len(rows) == 1 + len(SIZES)
    first = " ".join(rows[1].text.split())
    assert first == "100 80.0% (79.1% to 80.9%), P above 99% ✓ 78.0% (77.1% to 78.9%), P below 1%"
    used = [[cell.text[:5] for cell in row.find_elements(By.TAG_NAME, "td") if "✓" in cell.text] for row in rows[1:]]
    assert used == [["80.0%"], ["84.0%"], ["88.5%"], ["89.6%"]]
    links = {link.text: link.get_dom_attribute("href") for link in browser.find_elements(By.CSS_SELECTOR, ".within a")}
    assert links == {"head": "methods/head/report.html", "lora(4)": "methods/lora%284%29/report.html"}
    assert "<b>model</b>" in browser.find_element(By.CLASS_NAME, "question").text
    (found,) = browser.find_elements(By.CSS_SELECTOR, "#findings li")
    assert "SUF031 (warning): head and lora(4): few samples <i>." in found.get_property("textContent")
    assert "a note <i>" in browser.find_element(By.TAG_NAME, "body").text


def test_the_figure_is_a_file_and_the_result_is_read_again(folder):
    assert {path.name for path in (folder / "figures").iterdir()} == {"methods.png", "methods.pdf"}
    made = read_result(folder)
    assert isinstance(made, MethodsResult)
    assert methods_answer(made) == methods_answer(result(CROSSING, TARGET))


def test_without_a_comparison_the_page_says_why(tmp_path, browser):
    made = result({"head": CROSSING["head"], "full": without_forecast("It <b>diverged</b>.")})
    write_report(made, tmp_path)
    open_page(browser, tmp_path)
    assert browser.get_log("browser") == []
    text = browser.find_element(By.TAG_NAME, "main").text
    assert "only head has a forecast" in text
    assert "full: no forecast. It <b>diverged</b>." in text
    assert not browser.find_elements(By.ID, "numbers")


def test_the_terminal_shows_the_same():
    console = Console(file=io.StringIO(), width=120)
    made = result(CROSSING, TARGET)
    print_answer(made, console)
    shown = console.file.getvalue()
    assert "80.0% (79.1% to 80.9%), P above 99%" in shown
    answer = methods_answer(made)
    said = " ".join(shown.split())
    found = map(finding_in_words, answer.findings)
    told = (answer.sentence, answer.trust, *answer.more, *answer.next_steps, *found)
    assert all(sentence in said for sentence in told)
