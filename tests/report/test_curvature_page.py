"""The report of ``suffice curvature`` in a real browser, without a network."""

import pytest
from curvature_results import result_of
from selenium.webdriver.common.by import By

from suffice.report import write_report
from suffice.report.figures.curvature import bound_terms, curvature_figures
from suffice.results import GapsAlongK


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("curvature")
    result = result_of()
    write_report(result, folder)
    return folder, result


def test_the_page_shows_eigenvalues_layers_and_figures_without_network_or_errors(browser, run):
    folder, result = run
    browser.get((folder / "report.html").as_uri())
    assert browser.get_log("browser") == []
    assert "174" in browser.find_element(By.TAG_NAME, "h1").text
    text = browser.find_element(By.TAG_NAME, "body").text
    assert all(layer.name in text for layer in result.layers)
    for figure, least in (("spectrum", 2), ("hessian_gap", 3), ("bound", 4)):
        drawn = f"return document.querySelectorAll('#{figure} .scatterlayer .trace').length"
        assert browser.execute_script(drawn) >= least


@pytest.mark.usefixtures("without_figure_files")
def test_text_from_outside_stays_text(browser, run, tmp_path):
    _, result = run
    evil = "<script>document.title = 'evil'</script>"
    write_report(result.model_copy(update={"model": evil, "notes": [evil]}), tmp_path)
    browser.get((tmp_path / "report.html").as_uri())
    assert "evil" not in browser.title.replace(evil, "")
    assert evil in browser.find_element(By.CSS_SELECTOR, ".question").text


def test_figures_are_files(run):
    folder, _ = run
    files = {path.name for path in (folder / "figures").iterdir()}
    assert files == {f"{name}.{suffix}" for name in ("spectrum", "hessian_gap", "bound") for suffix in ("png", "pdf")}


def test_the_density_is_empty_between_the_bulk_and_an_outlier():
    spectrum = curvature_figures(result_of())[0]
    parts = [curve for curve in spectrum.curves if curve.style == "solid"]
    assert len(parts) == 2
    assert parts[0].x[-1] < 20
    assert parts[1].x[0] > 150
    assert [curve.name for curve in parts] == ["density", ""]


def test_the_bound_has_terms_of_order_zero_one_and_two():
    gaps = GapsAlongK(
        sizes=[1, 3],
        loss=[2.0, 4.0],
        gradient=[3.0, 1.0],
        hessian=[8.0, 16.0],
        residual=[0.0, 4.0],
        independent=[8.0, None],
    )
    result = result_of().model_copy(update={"gaps": gaps, "radius": 0.5, "center_norm": 4.0})
    assert bound_terms(result) == {"loss": [1.0, 1.0], "gradient": [3.0, 0.5], "hessian": [8.0, 10.0]}
