"""The report of any result: chosen by its type, without torch, and told in words where an interval has no end."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from suffice.report import write_report
from suffice.report.figures.analysis import analysis_figures
from suffice.results import AnalysisResult, read_result

EXPERIMENTS = Path(__file__).parents[2] / "experiments"


@pytest.mark.deep
@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("vit-block", "The Hessian of a transformer block"),
        ("vit-fashion-classes", "How many samples were enough?"),
    ],
)
def test_committed_results_have_the_page_of_their_type(name, title, tmp_path):
    page = write_report(read_result(EXPERIMENTS / name), tmp_path)
    assert page == tmp_path / "report.html"
    assert f"<title>{title}" in page.read_text()


def test_a_hessian_without_its_arrays_says_so(tmp_path):
    page = write_report(read_result(EXPERIMENTS / "vit-block"), tmp_path).read_text()
    assert "are not in this folder" in page
    assert not list((tmp_path / "figures").glob("heat_maps*"))


def test_an_answer_without_an_upper_end_is_drawn_at_its_size(small_run):
    _, result = small_run
    values = json.loads(result.model_dump_json())
    values["sufficient_sizes"][0].update(size=5000, low=4000, high=None, status="extrapolated")
    settling, *_ = analysis_figures(AnalysisResult.model_validate(values))
    assert (settling.marks[0].value, settling.marks[0].label) == (5000, "k* = 5,000")
    assert max(settling.curves[1].x) == pytest.approx(10_000)


def test_reports_are_written_without_torch(tmp_path):
    code = (
        "import sys; from pathlib import Path; from suffice.results import read_result;"
        "from suffice.report import write_report;"
        f"write_report(read_result(Path({str(EXPERIMENTS / 'vit-block')!r})), Path({str(tmp_path)!r}));"
        "print(sorted({'torch', 'transformers', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "[]\n", "")
