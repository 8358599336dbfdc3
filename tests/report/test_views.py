"""What results show of themselves in Python: the same answer and the same numbers, as frame, figure, HTML and text."""

import io
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import analysis_results
import curve_results
import forecast_results
import language_study_results
import matplotlib as mpl
import methods_results
import monitor_results
import numpy as np
import pandas as pd
import pytest
import study_results
import torch
from curvature_results import losses_of, result_of, surface_of
from matplotlib.figure import Figure as Canvas
from rich.console import Console

import suffice
from suffice import results
from suffice.curvature import AlongK, Eigenpairs, Gaps, SpectralDensity
from suffice.errors import InputError
from suffice.report.views import Viewable, view_of
from suffice.report.views.html import MOST
from suffice.shown import Shown

mpl.use("agg")
EXPERIMENTS = Path(__file__).parents[2] / "experiments"
DIVERGED = methods_results.without_forecast("It has <not> converged.")


def study():
    return results.StudyResult.model_validate(study_results.values())


def pairs():
    return Eigenpairs(torch.tensor([-4.0, 2.0]).double(), torch.eye(5)[:, :2], torch.tensor([0.1, 0.2]).double(), 7)


def along_k():
    values = np.arange(12.0).reshape(2, 3, 2)
    return AlongK(np.array([1, 10, 100]), values, values / 10, np.ones((2, 3)), pairs())


ALL = {
    "analysis": analysis_results.result,
    "size": lambda: analysis_results.result().sufficient_sizes[0],
    "size without an upper end": lambda: curve_results.answer(high=None),
    "curvature": result_of,
    "spectrum": lambda: result_of().spectrum,
    "density": lambda: result_of().density,
    "gaps": lambda: result_of().gaps,
    "surface": surface_of,
    "curve": lambda: forecast_results.curve().loss,
    "learning curve, predicted": forecast_results.curve,
    "learning curve, measured": lambda: study().study.curves["head"],
    "learning curve, none": lambda: DIVERGED,
    "forecast": lambda: forecast_results.result(target_accuracy=0.78),
    "scores": lambda: curve_results.result(curve_results.answer()),
    "scores without a target": curve_results.result,
    "looks": monitor_results.result,
    "looks without their errors": lambda: monitor_results.result(known=False),
    "methods": lambda: methods_results.result(methods_results.CROSSING | {"full": DIVERGED}),
    "study": study,
    "study of a language model": language_study_results.result,
    "hessian": lambda: results.read_result(EXPERIMENTS / "vit-block"),
    "mlp": lambda: results.read_result(EXPERIMENTS / "mlp"),
    "pairs": pairs,
    "eigenvalues along k": along_k,
    "spectral density": lambda: SpectralDensity(*np.ones((3, 5)), 0.1, *np.ones((2, 1, 5))),
    "measured gaps": lambda: Gaps(
        np.array([1, 5]), *np.ones((4, 2)), np.array([1.0, np.nan]), 3.0, np.array([2.0, 6.0]), 9.0
    ),
}
UNDRAWN = ("learning curve, none",)
"""Nothing can be drawn of these."""


@pytest.fixture(params=ALL, scope="module")
def shown(request):
    return request.param, ALL[request.param]()


class Cells(HTMLParser):
    """Reads the tags, their attributes, and the texts of paragraphs and cells."""

    def __init__(self, html):
        super().__init__()
        self.open, self.tags, self.attributes, self.texts = [], set(), set(), {"p": [], "th": [], "td": []}
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes |= set(attrs)
        if tag in self.texts:
            self.texts[tag].append("")
        if tag == "br":
            self.handle_data("\n")
        else:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        for tag in reversed(self.open):
            if tag in self.texts:
                self.texts[tag][-1] += data
                return


def printed(result, width=300):
    console = Console(file=io.StringIO(), width=width)
    console.print(result)
    return console.file.getvalue()


def test_every_type_that_can_be_looked_at_is_here():
    shown = {type(make().plain()) for make in ALL.values()}
    assert {*Viewable.__args__} - {results.SettlingCurves} == shown
    assert all(issubclass(kind, Shown) for kind in (*shown, suffice.Convergence, suffice.landscape.Surface))
    assert all(issubclass(kind, Shown) for kind in results.Result.__args__)


def test_a_frame_has_named_columns_of_one_type_and_estimates_within_their_ends(shown):
    _, result = shown
    frame, view = result.to_dataframe(), view_of(result.plain())
    assert len(frame) == (len(view.cells()[0].values) if view.cells else view.rows)
    assert isinstance(frame.index, pd.RangeIndex)
    for name in frame.columns:
        assert re.match(r"[A-Za-z]{2,}", name), name
        kind = frame[name].dtype
        assert (
            pd.api.types.is_numeric_dtype(kind)
            or pd.api.types.is_bool_dtype(kind)
            or frame[name].map(type).eq(str).all()
        ), name
        if f"{name} (low)" in frame:
            low, high = (frame[f"{name} ({end})"] for end in ("low", "high"))
            assert list(frame.columns).index(f"{name} (low)") == list(frame.columns).index(name) + 1
            assert not (frame[name] < low).fillna(False).any()
            assert not (frame[name] > high).fillna(False).any()


def test_html_is_plain_small_and_says_the_answer_first(shown):
    _, result = shown
    html = result._repr_html_()
    read, view = Cells(html), view_of(result.plain())
    assert read.tags <= {"div", "p", "strong", "br", "table", "thead", "tbody", "tr", "th", "td"}
    assert {name for name, _ in read.attributes} <= {"style"}
    assert not re.search(r"#[0-9a-f]{3}|rgb|background|url|color:(?!inherit)", html)
    assert read.texts["p"][0] == view.answer[0]
    assert html.index("<strong>") < html.index("<table")
    assert len(html) < 20_000
    assert len(read.texts["td"]) == len(read.texts["th"]) * html.count("<tr><td")
    assert html.count("<tr><td") <= MOST
    assert not re.search(r"\b(nan|None|inf)\b", html)


def test_terminals_show_the_words_of_notebooks(shown):
    _, result = shown
    read, text = Cells(result._repr_html_()), printed(result)
    assert text.startswith(view_of(result.plain()).answer[0][:60])
    for cell in {*read.texts["td"], *read.texts["p"][1:2]}:
        assert cell.split("\n")[0][:60] in text
    assert all(len(line) <= 80 for line in printed(result, 80).splitlines())


def test_every_figure_is_drawn_on_given_axes_by_its_name(shown):
    name, result = shown
    figures = view_of(result.plain()).draw()
    if name in UNDRAWN:
        with pytest.raises(InputError, match=r"nothing to draw: It has <not> converged"):
            result.plot()
        return
    with suffice.style():
        axes = Canvas().subplots()
        assert result.plot(axes) is axes
        assert (axes.get_xlabel().replace("\N{NO-BREAK SPACE}", " "), axes.get_title()) == (figures[0].x_label, "")
        last = figures[-1]
        drawn = result.plot(Canvas().subplots(), last.name)
        assert drawn.get_ylabel().replace("\N{NO-BREAK SPACE}", " ") == last.y_label
    assert len({figure.name for figure in figures}) == len(figures)
    with pytest.raises(InputError, match=f'figure = "none": this result has {figures[0].name}'):
        result.plot(figure="none")


def test_without_axes_pyplot_makes_some():
    from matplotlib import pyplot as plt  # noqa: PLC0415

    with suffice.style():
        axes = forecast_results.curve().plot()
    assert plt.gca() is axes
    assert axes.figure.get_figwidth() == pytest.approx(3.35)
    plt.close("all")


def test_accuracies_are_in_percent_and_sizes_are_whole_numbers():
    frame = forecast_results.curve().to_dataframe()
    assert frame["training samples"].tolist() == [100, 200, 1600]
    assert frame["test accuracy, %"].tolist() == pytest.approx(
        [100 * (1 - 0.8 / 3), 100 * (1 - 0.7 / 3), 79.5833], 1e-5
    )
    assert frame["test loss"].tolist() == pytest.approx([0.5, 0.4, 0.3125])
    size = curve_results.answer(high=None).to_dataframe()
    assert size["training samples (high)"].isna().all()
    assert size["training samples"].tolist() == [800]
    assert size["training samples (low)"].dtype == "int64"
    unknown = curve_results.answer(size=None, low=None, high=None).to_dataframe()
    assert unknown["training samples"].isna().all()


def test_probabilities_of_methods_are_those_of_the_comparison():
    result = methods_results.result(methods_results.CROSSING)
    frame = result.to_dataframe().set_index(["method", "training samples"])["probability to be the best, %"]
    for method, shares in result.comparison.told.best.items():
        assert frame[method].tolist() == pytest.approx([100 * share for share in shares])


def test_the_frame_of_a_surface_has_every_point():
    surface = surface_of(points=5)
    axis, losses = losses_of(5)
    frame = surface.to_dataframe()
    assert len(frame) == losses.size
    assert np.allclose(frame["mean loss"], losses.ravel(), atol=0.02)
    one = frame.iloc[5 * 5 + 7]  # of the second size: second row, third column
    names = [column for column in frame.columns if "direction" in column]
    assert one[names].tolist() == [axis[2], axis[1]]


def test_curves_of_a_ledger_are_those_of_their_methods(ledger_of):
    losses = np.random.default_rng(0).gamma(2.0, size=(60, 4))
    curves = suffice.Convergence(ledger_of(losses))
    frame = curves.to_dataframe()
    sizes = frame["samples k"].to_numpy()
    remaining = curves.remaining(sizes, population=True)
    assert np.allclose(frame["loss: change by one more sample"], curves.difference(sizes))
    assert np.allclose(frame["loss: distance from unlimited data"], remaining)
    ends = [frame[f"loss: distance from unlimited data ({end})"] for end in ("low", "high")]
    assert np.allclose(ends, curves.interval(remaining, population=True))
    assert curves.sufficient_size(0.05).explanation in Cells(curves._repr_html_()).texts["p"][0]
    assert curves.plot(Canvas().subplots()).get_ylabel() == "change of the mean loss"


def test_the_surface_of_a_problem_is_drawn_with_its_colours():
    data = torch.utils.data.TensorDataset(torch.randn(20, 5), torch.randint(3, (20,)))
    problem = suffice.Problem(torch.nn.Linear(5, 3), data)
    surface = suffice.surface(problem, suffice.Plane.random(problem, points=5))
    axes = surface.plot(Canvas().subplots())
    assert axes.get_xlabel() == "first random direction, ‖w − w*‖ / ‖w*‖"
    assert [bar.get_ylabel() for bar in axes.figure.axes if bar is not axes] == ["mean loss"]
    assert len(surface.to_dataframe()) == 25 * len(surface.plain().sizes)


def test_texts_of_others_are_escaped_and_are_no_markup():
    result = methods_results.result({"head": DIVERGED, "lora(4)": methods_results.forecast_of(0.2, 2.0)})
    assert "It has &lt;not&gt; converged." in result._repr_html_()
    assert "<not>" not in result._repr_html_()
    values = analysis_results.result().model_dump()
    values["problem"]["notes"] = ["[bold]a[/bold] <script>alert(1)</script>"]
    result = results.AnalysisResult.model_validate(values)
    assert "<script" not in result._repr_html_()
    assert "[bold]a[/bold] <script>" in printed(result)


@pytest.mark.parametrize(
    ("look", "needed"), [("_repr_html_()", []), ("__rich__()", []), ("to_dataframe()", ["pandas"])]
)
def test_looking_loads_only_what_it_needs(look, needed):
    code = f"""
import sys
from suffice import SufficientSize
answer = SufficientSize(criterion="target_loss", tolerance=0.3, relative=False, size=7, low=5, high=9,
                        status="reached", explanation="Seven.")
assert not {{"pandas", "matplotlib", "rich"}} & set(sys.modules)
answer.{look}
print(sorted({{"pandas", "matplotlib", "torch", "scipy"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == f"{needed}\n"
