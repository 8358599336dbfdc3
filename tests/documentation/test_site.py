"""The site is built without a warning, and shows itself without the web."""

import re
import subprocess
import sys

import pytest
from documents import ROOT

LOADED = re.compile(r"<(?:script|img|iframe|source)\b[^>]*?\ssrc=\"(.*?)\"|<link\b[^>]*?\shref=\"(.*?)\"")
IMPORTED = re.compile(r"url\(['\"]?(.*?)['\"]?\)|@import\s+['\"](.*?)['\"]")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    flags = ["--quiet", "--fail-on-warning", "--keep-going", "-b", "html", "-d", str(folder / "doctrees")]
    command = [sys.executable, "-m", "sphinx", *flags, "-c", "docs", ".", str(folder / "html")]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    return folder / "html"


@pytest.mark.deep
def test_nothing_is_loaded_from_the_web(site):
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 40
    for page in pages:
        loaded = ["".join(found) for found in LOADED.findall(page.read_text())]
        assert not [address for address in loaded if re.match(r"(https?:)?//", address)], page
    for sheet in site.rglob("*.css"):
        imported = ["".join(found) for found in IMPORTED.findall(sheet.read_text())]
        assert not [address for address in imported if re.match(r"(https?:)?//", address)], sheet


@pytest.mark.deep
def test_the_reference_has_the_public_names_and_every_command(site):
    python = (site / "docs/reference/suffice.html").read_text()
    for name in (
        "Problem",
        "Probes",
        "record",
        "Convergence",
        "forecast",
        "forecast_head",
        "forecast_scores",
        "study",
        "style",
    ):
        assert f'id="suffice.{name}"' in python, name
    commands = (site / "docs/reference/commands.html").read_text()
    for name in ("demo", "check", "analyze", "curvature", "hessian", "study", "forecast", "curve", "monitor", "report"):
        assert f"suffice {name}" in commands
    assert "--target-accuracy" in commands


@pytest.mark.deep
def test_formulas_are_drawn_by_the_browser(site):
    theory = (site / "docs/theory.html").read_text()
    assert theory.count("<math") > 400
    assert not re.search(r"<(?:mi|mtext)>\\", theory), "a command of LaTeX that was not converted"
