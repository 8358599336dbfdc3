"""The report of ``suffice hessian`` in a real browser, without a network."""

import pytest
from browsing import lines_of, open_page
from selenium.webdriver.common.by import By

from suffice.configuration import HessianConfig
from suffice.report import write_report
from suffice.report.answers.hessian import outer_share
from suffice.runs.hessian import measure_hessian

pytestmark = pytest.mark.deep  # of a run that is made for it

CONFIG = HessianConfig(samples=10, patch_size=2, key_width=4, hidden_width=4, epochs=1, moments=2)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hessian") / "run"
    result = measure_hessian(CONFIG, folder)
    write_report(result, folder)
    return folder, result


def test_the_page_shows_heat_maps_norms_and_spectrum_without_network_or_errors(browser, run):
    folder, result = run
    open_page(browser, folder)
    assert browser.get_log("browser") == []
    maps = browser.find_elements(By.CSS_SELECTOR, ".figure.maps")
    assert len(maps) == len(result.moments)
    assert all(len(drawn.find_elements(By.TAG_NAME, "image")) >= 3 for drawn in maps)
    for figure in ("spectrum", "norms", "bounds"):
        assert lines_of(browser, figure) >= 2
    rows = browser.find_elements(By.CSS_SELECTOR, "[id^=norms-] tr")
    assert len(rows) == 3 * (len(result.parameters) + 1)
    share = outer_share(result.moments[-1])
    assert f"{share:.0%} of the block's curvature" in browser.find_element(By.ID, "answer").text


@pytest.mark.usefixtures("without_figure_files")
def test_text_from_outside_stays_text(browser, run, tmp_path):
    _, result = run
    evil = "<script>document.title = 'evil'</script>"
    write_report(result.model_copy(update={"data": evil}), tmp_path)
    open_page(browser, tmp_path)
    assert "evil" not in browser.title.replace(evil, "")
    assert evil in browser.find_element(By.CSS_SELECTOR, ".question").text


def test_figures_are_files(run):
    folder, result = run
    pictures = {f"heat_maps_epoch_{moment.epoch}.png" for moment in result.moments}
    files = {path.name for path in (folder / "figures").iterdir()}
    names = ("spectrum", "norms", "bounds")
    assert files == {f"{name}.{suffix}" for name in names for suffix in ("png", "pdf")} | pictures
