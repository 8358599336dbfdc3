"""The report of ``suffice curvature`` in a real browser, without a network."""

import base64
import gzip
import itertools
import re

import numpy as np
import pytest
from browsing import lines_of, on_screen, open_page
from curvature_results import SIZES, losses_of, result_of, surface_of
from PIL import Image
from selenium.webdriver.common.by import By

from suffice.report import write_report
from suffice.report.figures.curvature import bound_terms, curvature_figures
from suffice.report.figures.surface import distance_figure, loss_axis, surface_caption
from suffice.report.html import html, packed_plotly
from suffice.report.pages.curvature import curvature_page
from suffice.results import GapsAlongK, SurfaceAlongK

FIGURES = ("spectrum", "hessian_gap", "bound")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("curvature")
    result = result_of()
    write_report(result, folder)
    return folder, result


@pytest.fixture(scope="module")
def run_with_surface(tmp_path_factory):
    folder = tmp_path_factory.mktemp("surface")
    result = result_of().model_copy(update={"surface": surface_of()})
    write_report(result, folder)
    return folder, result


def problems(browser):
    """What the console says, but for advice on speed by the browser's own drawing."""
    return [entry for entry in browser.get_log("browser") if entry["source"] != "rendering"]


def set_slider(browser, index):
    slider = browser.find_element(By.ID, "surface-slider")
    script = "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('input'))"
    browser.execute_script(script, slider, index)


def drawn_losses(browser, name):
    return np.array(browser.execute_script(f"return document.getElementById('{name}').data[0].z"))


def test_the_page_shows_eigenvalues_layers_and_figures_without_network_or_errors(browser, run):
    folder, result = run
    open_page(browser, folder)
    assert problems(browser) == []
    assert browser.find_elements(By.ID, "surface-slider") == []
    assert "174" in browser.find_element(By.CLASS_NAME, "sure").text
    text = browser.find_element(By.TAG_NAME, "body").text
    assert all(layer.name in text for layer in result.layers)
    for figure, least in (("spectrum", 2), ("hessian_gap", 3), ("bound", 4)):
        assert lines_of(browser, figure) >= least


@pytest.mark.deep
@pytest.mark.usefixtures("without_figure_files")
def test_text_from_outside_stays_text(browser, run, tmp_path):
    _, result = run
    evil = "<script>document.title = 'evil'</script>"
    surface = surface_of(5).model_copy(update={"labels": (evil, evil)})
    write_report(result.model_copy(update={"model": evil, "notes": [evil], "surface": surface}), tmp_path)
    open_page(browser, tmp_path)
    assert "evil" not in browser.title.replace(evil, "")
    assert evil in browser.find_element(By.CSS_SELECTOR, ".question").text


def test_figures_are_files(run):
    folder, _ = run
    files = {path.name for path in (folder / "figures").iterdir()}
    assert files == {f"{name}.{suffix}" for name in FIGURES for suffix in ("png", "pdf")}


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
    terms = bound_terms(result.gaps, result.radius * result.center_norm)
    assert terms == {"loss": [1.0, 1.0], "gradient": [3.0, 0.5], "hessian": [8.0, 10.0]}


def test_the_slider_changes_the_surface_its_contours_and_the_marked_size(browser, run_with_surface):
    folder, result = run_with_surface
    open_page(browser, folder)
    expected = np.minimum(result.surface.losses(), loss_axis(result.surface.losses()).high)
    last = browser.execute_script("return document.getElementById('surface').querySelectorAll('canvas').length")
    assert last > 0  # WebGL has drawn
    for index in (len(SIZES) - 1, 0, 5):
        set_slider(browser, index)
        for name in ("surface", "surface-contours"):
            assert drawn_losses(browser, name) == pytest.approx(expected[index], rel=1e-6)
        assert browser.find_element(By.ID, "surface-k").text == f"k = {SIZES[index]} of 100 samples"
        marked = (
            "const svg = document.querySelector('#surface_distance .narrow');"
            "const at = parseFloat(svg.querySelector('.now').getAttribute('d').slice(2));"
            "const {x, left, right} = JSON.parse(svg.dataset.axes);"
            "return x[0] * (x[1] / x[0]) ** ((at - left) / (right - left))"
        )
        most = browser.execute_script(
            "return JSON.parse(document.querySelector('#surface_distance .narrow').dataset.axes).x[1]"
        )
        assert browser.execute_script(marked) == pytest.approx(min(SIZES[index], most), rel=1e-3)
    assert problems(browser) == []


@pytest.mark.deep
def test_pixels_of_the_surface_change_with_the_slider(browser, run_with_surface):
    folder, _ = run_with_surface
    open_page(browser, folder)
    pictures = []
    for index in (11, 0, 11):
        set_slider(browser, index)
        script = "Plotly.toImage('surface', {format: 'png', width: 300, height: 300}).then(arguments[0])"
        pictures.append(browser.execute_async_script(script))
    assert pictures[0] == pictures[2] != pictures[1]


@pytest.mark.deep
def test_the_loss_axis_and_the_view_stay_while_k_changes(browser, run_with_surface):
    folder, result = run_with_surface
    open_page(browser, folder)
    axis = loss_axis(result.surface.losses())
    state = (
        "const {zaxis, camera} = document.getElementById('surface').layout.scene; return [zaxis.range, camera.eye.x]"
    )
    move = "return Plotly.relayout('surface', {'scene.camera.eye.x': 0.5})"
    browser.execute_script(move)
    for index in (0, 7):
        set_slider(browser, index)
        (low, high), eye = browser.execute_script(state)
        assert low == pytest.approx(axis.low)
        assert high == pytest.approx(axis.high, rel=0.03)  # a little above, so that what is cut is seen
        assert eye == 0.5


@pytest.mark.deep
def test_playing_goes_through_all_sizes_and_stops(browser, run_with_surface):
    folder, _ = run_with_surface
    open_page(browser, folder)
    button = browser.find_element(By.ID, "surface-play")
    set_slider(browser, 10)
    told = browser.execute_script("arguments[0].click(); return arguments[0].textContent.trim()", button)
    assert told == "Stop"  # in one script: on a busy machine the rest may be over before another looks
    browser.execute_async_script(
        "const done = arguments[0], s = document.getElementById('surface-slider');"
        "const look = setInterval(() => { if (s.value === s.max) { clearInterval(look); done(); } }, 50);"
    )
    assert button.text == "Play"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_fits_and_can_be_read_on_any_screen(browser, run_with_surface, scheme, width):
    folder, _ = run_with_surface
    with on_screen(browser, width, scheme):
        open_page(browser, folder)
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width
        ground, ink = browser.execute_script(
            "const page = getComputedStyle(document.body);"
            "return [page.backgroundColor, document.getElementById('surface').layout.font.color]"
        )
        assert ink == browser.execute_script("return getComputedStyle(document.body).color")
        brightness = sum(int(part) for part in re.findall(r"\d+", ink)[:3]) / 3
        assert (brightness > 200) == (scheme == "dark")
        assert (ground == "rgb(22, 22, 22)") == (scheme == "dark")


@pytest.mark.parametrize("points", [pytest.param(41, marks=pytest.mark.deep), 81])
def test_a_page_with_a_surface_has_less_than_one_and_a_half_megabytes(points):
    sizes = [
        len(html(curvature_page(result_of().model_copy(update={"surface": surface}))).encode())
        for surface in (None, surface_of(points))
    ]
    assert sizes[0] < 300_000
    assert sizes[1] < 1_500_000


def test_surfaces_are_packed_with_small_errors():
    _, losses = losses_of(41)
    unpacked = surface_of().losses()
    left = np.abs(losses - losses[-1])
    assert (np.abs(unpacked - losses) <= 1e-3 * left + 1e-6 * np.abs(losses)).all()


def test_equal_surfaces_are_packed_too():
    losses = np.ones((2, 3, 3))
    surface = surface_of(3).model_copy(update={"sizes": [1, 2], **SurfaceAlongK.packed(losses)})
    assert np.array_equal(surface.losses(), losses)


def test_the_film_has_a_frame_for_each_size_and_is_small(run_with_surface):
    folder, _ = run_with_surface
    file = folder / "figures" / "surface.gif"
    assert file.stat().st_size < 2_000_000
    with Image.open(file) as film:
        assert film.n_frames == len(SIZES)
        frames = []
        for index in range(film.n_frames):
            film.seek(index)
            frames.append(np.asarray(film.convert("L"), dtype=float))
    assert all(np.abs(one - other).max() > 50 for one, other in itertools.pairwise(frames))


@pytest.mark.deep
def test_a_flat_surface_is_drawn(browser, tmp_path):
    flat = np.ones((12, 5, 5))
    nothing = [0.0] * len(SIZES)
    fields = {"distance": nothing, "at_center": nothing, "chance": nothing, **SurfaceAlongK.packed(flat)}
    write_report(result_of().model_copy(update={"surface": surface_of(5).model_copy(update=fields)}), tmp_path)
    open_page(browser, tmp_path)
    set_slider(browser, 3)
    assert (drawn_losses(browser, "surface") == 1).all()
    assert problems(browser) == []


def test_what_is_cut_is_said():
    low = np.linspace(0, 1, 99)
    surface = surface_of(3)
    few = np.append(low, 100.0)[:99].reshape(11, 3, 3)
    assert loss_axis(few) == (0.0, 1.0, 0.0)
    many = few.copy()
    many[0, 0, 0] = 100.0
    axis = loss_axis(many)
    assert axis.high == pytest.approx(np.quantile(many, 0.9))
    assert axis.cut == pytest.approx(10 / 99)
    assert "are drawn at" not in surface_caption(surface.model_copy(update=SurfaceAlongK.packed(few)))
    caption = surface_caption(surface.model_copy(update=SurfaceAlongK.packed(many)))
    assert f"Losses above {axis.high:.3g} are drawn at {axis.high:.3g}: 10% of the points" in caption


def test_the_distance_is_drawn_where_it_is_not_zero():
    figure = distance_figure(surface_of())
    on_plane, at_center, chance = figure.curves
    assert list(on_plane.x) == list(chance.x) == SIZES[:-1]
    assert set(at_center.x) <= set(SIZES[:-1])


def test_the_bundle_names_its_version_and_is_small():
    code = gzip.decompress(base64.b64decode(packed_plotly())).decode()
    assert re.match(r"/\* plotly\.js v\d+\.\d+\.\d+: core, scatter, ", code)
    assert len(packed_plotly()) < 850_000
