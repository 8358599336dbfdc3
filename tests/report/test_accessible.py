"""Every page in a real browser: no violation that axe-core finds, light and dark, wide and narrow; no request."""

from pathlib import Path

import pytest
from browsing import on_screen, open_page
from curvature_results import result_of, surface_of
from curve_results import answer
from curve_results import result as curve_result
from forecast_results import THREE
from forecast_results import result as forecast_result
from language_study_results import result as language_study_result
from methods_results import CROSSING
from methods_results import result as methods_result
from monitor_results import result as monitor_result
from study_results import values

from suffice.report import write_comparison, write_report
from suffice.results import StudyResult, read_result

AXE = (Path(__file__).parent / "axe" / "axe.min.js").read_text()
"""axe-core 4.14.1 (MPL 2.0, see the licence beside it)."""

EXPERIMENTS = Path(__file__).parents[2] / "experiments"

RESULTS = {
    "forecast": lambda: forecast_result(target_accuracy=0.76, class_gains=THREE),
    "curve": lambda: curve_result(answer()),
    "monitor": monitor_result,
    "methods": lambda: methods_result(CROSSING, [("target_accuracy", 0.82)]),
    "study": lambda: StudyResult.model_validate(values()),
    "study of a language model": language_study_result,
    "curvature": lambda: result_of().model_copy(update={"surface": surface_of(9)}),
    "hessian": lambda: read_result(EXPERIMENTS / "vit-block"),
}

FEW = {"forecast", "study of a language model"}
"""Pages that stand for the others in the quick profile."""


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return tmp_path_factory.mktemp("pages")


def violations(browser):
    """What axe-core has against the page, in short."""
    browser.execute_script(AXE)
    found = browser.execute_async_script(
        "const done = arguments[0];"
        "axe.run(document, {resultTypes: ['violations']}).then(({violations}) => done(violations), (e) => done([e]))"
    )
    return [(of["id"], [(node["target"], node["html"][:120]) for node in of["nodes"]][:3]) for of in found]


@pytest.mark.usefixtures("without_figure_files")
@pytest.mark.parametrize(
    "command",
    [name if name in FEW else pytest.param(name, marks=pytest.mark.deep) for name in (*RESULTS, "analyze", "compare")],
)
def test_no_page_violates_a_rule_of_accessibility_scrolls_sideways_or_asks_the_network(
    browser, folders, small_run, command
):
    folder = folders / command
    folder.mkdir()
    if command == "compare":
        runs = {Path("one"): forecast_result(), Path("two"): StudyResult.model_validate(values())}
        write_comparison(runs, folder)
    else:
        write_report(small_run[1] if command == "analyze" else RESULTS[command](), folder)
    for width, scheme in ((1280, "light"), (1280, "dark"), (390, "light"), (390, "dark")):
        with on_screen(browser, width, scheme):
            open_page(browser, folder)
            assert violations(browser) == [], (width, scheme)
            assert browser.execute_script("return document.documentElement.scrollWidth") <= width
            requests = "return performance.getEntriesByType('resource').map((entry) => entry.name)"
            assert [name for name in browser.execute_script(requests) if not name.startswith(("data:", "blob:"))] == []
    assert (folder / "report.html").stat().st_size < 1_500_000
