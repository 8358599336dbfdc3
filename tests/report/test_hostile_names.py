"""Names of classes, data and models are text in a report, whatever they hold."""

import pytest
from forecast_results import THREE, result

from suffice.report import write_report

SCRIPT = "<script>alert(1)</script>"
IMAGE = "\"><img src=x onerror=alert(1)>'"
LINK = "[free](javascript:alert(1))"


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    hostile = result(class_gains=THREE, target_accuracy=0.76).model_copy(
        update={"model": IMAGE, "data": SCRIPT, "classes": [SCRIPT, IMAGE, LINK], "notes": [SCRIPT, IMAGE, LINK]}
    )
    gains = [
        gain.model_copy(update={"name": name}) for gain, name in zip(hostile.class_gains, hostile.classes, strict=True)
    ]
    write_report(hostile.model_copy(update={"class_gains": gains}), folder)
    return folder


def test_the_page_runs_none_of_them(report):
    page = (report / "report.html").read_text()
    assert "&lt;script&gt;alert(1)" in page
    assert SCRIPT not in page
    assert "<img src=x" not in page
    assert 'href="javascript:' not in page


def test_markdown_shows_them_as_they_are(report):
    text = (report / "report.md").read_text()
    assert "&lt;script>alert(1)" in text
    assert "<script" not in text
    assert "<img" not in text
    assert "[free](" not in text


def test_figures_hold_no_elements_of_theirs(report):
    drawings = list((report / "figures").glob("*.svg"))
    for file in drawings:
        assert "<script" not in file.read_text()
    assert (report / "report.html").read_text().count("<script") == (report / "report.html").read_text().count(
        "</script>"
    )
