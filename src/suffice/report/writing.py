"""The files that people read of a run: its page twice, as HTML and as Markdown, and its figures."""

from collections.abc import Mapping
from pathlib import Path

from suffice.errors import InputError
from suffice.regular import check_kinds
from suffice.report.html import html
from suffice.report.markdown import markdown
from suffice.report.matplotlib import film, picture, save_figures
from suffice.report.pages import page_of
from suffice.report.pages.compare import compare_page
from suffice.report.pages.live import live_page
from suffice.report.pages.page import Maps, Moving, Page
from suffice.results import RESULT, LiveResult, MethodsResult, Result, read_result
from suffice.storage import MANIFEST, atomic_write, locked, write_manifest

REPORT, TWIN = "report.html", "report.md"
"""The files of a run's folder that hold its page."""


def write_report(result: Result, folder: Path) -> Path:
    """Writes the page of a result, and its figures as files; returns where the page lies.

    Args:
        result: of any type.
        folder: the run's folder, which gets ``report.html``, ``report.md``, ``figures/*.png`` and ``figures/*.pdf``,
            and ``figures/surface.gif`` where a surface was measured; the heat maps of a `HessianResult` are drawn if
            their arrays are there, and the pages of each method's own run with that of a `MethodsResult`.

    Raises:
        InputError: a run is at work in the folder.
    """
    if isinstance(result, MethodsResult):
        for of in result.methods:
            if (folder / of.folder / RESULT).exists():  # a folder may have been copied without those of its methods
                write_report(read_result(folder / of.folder), folder / of.folder)
    return write_page(page_of(result, folder), folder)


def write_comparison(runs: Mapping[Path, Result], folder: Path) -> tuple[Page, Path]:
    """Writes the page that compares several runs; returns it, and where it lies.

    Args:
        runs: the results, by their folders.
        folder: for ``report.html``, ``report.md`` and ``figures``; a run's own folder is refused.

    Raises:
        InputError: runs that cannot be compared, or a folder that holds a run.
    """
    if (folder / RESULT).exists():
        raise InputError(f"{folder}: holds a run; give another folder for the comparison with --out")
    page = compare_page(runs, folder)
    folder.mkdir(parents=True, exist_ok=True)
    return page, write_page(page, folder)


def write_live(result: LiveResult, file: Path) -> Page:
    """Writes the page of a run that goes on into one file, whole or not at all; returns the page."""
    page = live_page(result)
    file.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(file) as stream:
        stream.write(html(page).encode())
    return page


def write_page(page: Page, folder: Path) -> Path:
    """Writes a page and its figures into a folder; returns where the page lies."""
    with locked(folder):  # a run that starts in this folder removes what is half written
        check_kinds(folder, (REPORT, TWIN, MANIFEST), ("figures",))
        write_figures(page, folder / "figures")
        for name, text in ((REPORT, html(page, folder)), (TWIN, markdown(page, folder))):
            with atomic_write(folder / name) as file:
                file.write(text.encode())
        figures = [file for file in (folder / "figures").glob("*") if file.is_file()]
        write_manifest(folder, [folder / REPORT, folder / TWIN, *figures])
    return folder / REPORT


def write_figures(page: Page, folder: Path) -> None:
    """Writes each figure of a page as PNG and PDF, heat maps as PNG, and a surface as a film."""
    save_figures(page.figures, folder)
    for block in page.blocks:
        match block:
            case Maps(maps):
                with atomic_write(folder / f"{maps.name}.png") as file:
                    file.write(picture(maps))
            case Moving(_, surfaces):
                with atomic_write(folder / f"{surfaces.name}.gif") as file:
                    file.write(film(surfaces))
