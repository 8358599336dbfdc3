"""Links lead somewhere, generated pages are up to date, and README keeps to its length."""

import re
from urllib.parse import unquote

import pytest
from documents import ROOT, anchors, committed, links
from scripts_of_project import script

PAGES = committed("*.md")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_a_file_and_a_heading(page):
    broken = []
    for link in links(page):
        path, _, anchor = unquote(link).partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


def test_readme_is_read_in_a_minute_or_two():
    text = (ROOT / "README.md").read_text()
    assert text.count("\n") <= 120
    assert len(text.split()) <= 900


def test_the_gallery_is_up_to_date_and_has_every_figure():
    with script("scripts/document_gallery.py") as gallery:
        page = gallery.DOCUMENT.read_text()
        assert page == gallery.document()
    for figure in committed("*.png"):
        name = re.escape(figure.relative_to(ROOT / "docs").as_posix() if figure.parent.name == "docs" else figure.name)
        assert re.search(rf"\((\.\./experiments/{figure.parent.name}/)?{name}\)", page), figure


def test_tables_of_benchmarks_are_those_of_the_results():
    with script("scripts/document_benchmarks.py") as benchmarks:
        pages = sorted(benchmarks.PAGES.glob("*.md"))
        for page in pages:
            assert page.read_text() == benchmarks.filled(page.read_text()), page
        used = [name for page in pages for name in benchmarks.MARKED.findall(page.read_text())]
        assert sorted(used) == sorted(benchmarks.TABLES)
