"""What all pages have in common: the same words in every form, escaped text, settings, figures in two themes."""

import re

import pytest
from curve_results import answer, result
from forecast_results import THREE
from forecast_results import result as forecast_result
from markupsafe import Markup

from suffice.configuration import ForecastConfig
from suffice.report import write_report
from suffice.report.answers import Answer
from suffice.report.answers.commands import differing
from suffice.report.figures.forecast import forecast_figures
from suffice.report.html import html
from suffice.report.markdown import escaped, markdown
from suffice.report.pages import page_of
from suffice.report.pages.settings import command_of
from suffice.report.svg import dark_colors, inline, on_dark

HOSTILE = "</script><script>document.title='owned'</script>`x` | *b* [l](javascript:alert(1)) <img src=x onerror=1>"


def test_html_and_markdown_say_the_same_words():
    page = page_of(forecast_result(target_accuracy=0.76, class_gains=THREE))
    scriptless = re.sub(r"<script>.*?</script>", "", html(page), flags=re.DOTALL)
    plain = re.sub(r"\s+", " ", Markup(scriptless).striptags())  # noqa: S704
    twin = markdown(page)
    for sentence in (page.answer.sentence, page.answer.why, *page.answer.more, *page.answer.next_steps):
        words = sentence.replace("`", "").rstrip(".")
        assert words in plain
        assert escaped(sentence).rstrip(".") in twin
    for section in page.sections:
        assert section.title in plain
        assert f"## {escaped(section.title)}" in twin


def test_text_from_outside_is_escaped_in_both(tmp_path):
    made = result(answer(), notes=[HOSTILE], sources=[HOSTILE])
    page = page_of(made)
    shown, twin = html(page), markdown(page)
    assert "<script>document" not in shown
    assert "<img src=x" not in shown
    assert "<script>" not in twin
    assert "<img" not in twin
    assert "[l](javascript" not in twin
    assert all(line.count("|") - line.count("\\|") == 0 for line in twin.splitlines() if line.startswith("- "))


def test_an_answer_has_three_next_steps_at_most():
    with pytest.raises(ValueError, match="4 next steps"):
        Answer("One.", "high", "because", next_steps=["a", "b", "c", "d"])


def test_settings_that_differ_and_the_command_that_repeats_the_run():
    configuration = {"seed": 0, "model": "a model", "data": "d", "samples": 200, "method": "head", "trained": True}
    made = forecast_result().model_copy(update={"configuration": configuration})
    assert differing(made.configuration, ForecastConfig) == {
        "model": "a model",
        "data": "d",
        "samples": 200,
        "trained": True,
    }
    assert command_of(made) == "suffice forecast 'a model' d --samples 200 --trained"
    odd = forecast_result().model_copy(update={"configuration": {"of_another_version": 1}})
    assert command_of(odd) is None


def test_the_hash_of_the_content_is_shown_where_the_folder_has_it(tmp_path):
    (tmp_path / "config.yaml").write_text("fingerprint: blake2b:abc\n")
    assert "blake2b:abc" in html(page_of(forecast_result()), tmp_path)
    (tmp_path / "config.yaml").write_text("[not a: mapping")
    assert "blake2b" not in html(page_of(forecast_result()), tmp_path)


def test_figures_follow_the_theme_and_leave_the_page_alone():
    figure = forecast_figures(forecast_result(target_accuracy=0.76))[0]
    drawn = inline(figure)
    assert drawn == inline(figure)  # the same result gives the same file
    assert drawn.count("<svg ") == 2
    assert "<style" not in drawn
    assert "font-family" not in drawn
    assert not re.search(r"(?<!, )#[0-9a-f]{6}", drawn)  # each colour is a variable
    names = re.findall(r'id="([^"]+)"', drawn)
    assert len(names) == len(set(names))
    assert dark_colors(drawn)["--f0072b2"] == "#56b4e9"


@pytest.mark.parametrize("color", ["#440154", "#0072b2", "#222222", "#482475", "#000000"])
def test_colours_can_be_seen_on_a_dark_ground(color):
    def luminance(of):
        channels = [int(of[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    assert (luminance(on_dark(color)) + 0.05) / (luminance("#161616") + 0.05) >= 4.5


@pytest.mark.usefixtures("without_figure_files")
def test_the_twin_lies_beside_the_page(tmp_path):
    write_report(forecast_result(target_accuracy=0.76), tmp_path)
    assert (tmp_path / "report.md").read_text().startswith("forecast · a head on ")
