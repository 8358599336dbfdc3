"""The report of the MLP experiment in a real browser, without a network."""

import re

import pytest
from browsing import lines_of, open_page
from selenium.webdriver.common.by import By

from suffice.configuration import MLPConfig
from suffice.report import write_report
from suffice.report.answers import mlp_answer
from suffice.runs.mlp import measure_mlps

pytestmark = pytest.mark.deep  # of a run that is made for it

CONFIG = MLPConfig(widths=[2, 3], depths=[1], samples=150, radii=[0.1], probes=2, epochs=1)
NAMES = [f"{figure}_{target}" for figure in ("figure_1", "widths", "depths", "spreads") for target in CONFIG.targets]
NAMES += ["heights", "ema", "ema_ratio"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mlp") / "run"
    result = measure_mlps(CONFIG, folder)
    write_report(result, folder)
    return folder, result


def test_the_page_shows_answer_figures_and_every_network_without_network_or_errors(browser, run):
    folder, result = run
    open_page(browser, folder)
    assert browser.get_log("browser") == []
    answer = mlp_answer(result)
    assert browser.find_element(By.ID, "answer").text == answer.sentence
    assert all(sentence in browser.find_element(By.TAG_NAME, "main").text for sentence in answer.more)
    for name in NAMES:
        assert lines_of(browser, name) >= 2, name
    assert len(browser.find_elements(By.CSS_SELECTOR, "#networks tr")) == 1 + len(result.networks)


def test_the_answer_states_the_measured_numbers(run):
    _, result = run
    slope, heights, at_100 = mlp_answer(result).more
    slopes = [network.surroundings[0].slope for network in result.networks]
    assert f"{sum(slopes) / len(slopes):.3f}" in slope
    spreads = [network.surroundings[0].spread for network in result.networks]
    assert f"from {min(spreads):.3g} to {max(spreads):.3g}" in heights
    assert re.search(r"At k = 100 .* draws an exact 1/k 39 times too high", at_100)


def test_figures_are_files(run):
    folder, _ = run
    assert {path.name for path in (folder / "figures").iterdir()} == {
        f"{name}.{suffix}" for name in NAMES for suffix in ("png", "pdf")
    }
