"""Views of what was measured: analyses, studies, the Hessian of a block, and the MLP experiment."""

from suffice.report.answers import analysis_answer, hessian_answer, language_study_answer, mlp_answer, study_answer
from suffice.report.figures.analysis import analysis_figures
from suffice.report.figures.convergence import convergence_figure
from suffice.report.figures.hessian import PARTS, hessian_figures
from suffice.report.figures.language_study import language_study_figures
from suffice.report.figures.mlp import mlp_figures
from suffice.report.figures.study import study_figures
from suffice.report.views import sentences
from suffice.report.views.view import Column, View
from suffice.results import (
    AnalysisResult,
    HessianResult,
    Landscape,
    LanguageStudyResult,
    MLPResult,
    SettlingCurves,
    StudyResult,
)


def analysis_view(result: AnalysisResult) -> View:
    """A row for each size k."""
    return View(
        sentences.of_answer(analysis_answer(result)),
        _settling(result.landscape),
        lambda: analysis_figures(result),
        result.problem.notes,
    )


def convergence_view(curves: SettlingCurves) -> View:
    """A row for each size k."""
    answer = [size.explanation for size in curves.sufficient_sizes]
    return View(answer, _settling(curves), lambda: [convergence_figure(curves)])


def _settling(curves: Landscape | SettlingCurves) -> list[Column]:
    by_one, rest = curves.difference_interval or (None, None), curves.remaining_population_interval or (None, None)
    return [
        Column("samples k", curves.sizes),
        Column("loss: change by one more sample", curves.difference, *by_one),
        Column("loss: distance from all samples at hand", curves.remaining),
        Column("loss: distance from unlimited data", curves.remaining_population, *rest),
        Column("loss: change by one more sample at w* alone", curves.null),
    ]


def study_view(result: StudyResult) -> View:
    """A row for each task, method and size: means over seeds with their intervals."""
    tasks = {"all": result.study.curves, **result.study.subset_curves}
    rows = [
        (task, method, index, curve)
        for task, curves in tasks.items()
        for method, curve in curves.items()
        for index in range(len(curve.sizes))
    ]
    bands = {
        (name, end): [float(getattr(getattr(curve, name), end)[index]) for _, _, index, curve in rows]
        for name in ("accuracy", "loss")
        for end in ("mean", "low", "high")
    }
    columns = [
        Column("classes", [task for task, *_ in rows]),
        Column("method", [method for _, method, *_ in rows]),
        Column("training samples", [curve.sizes[index] for *_, index, curve in rows]),
        *(
            Column(f"test {name}", bands[name, "mean"], bands[name, "low"], bands[name, "high"], unit)
            for name, unit in (("accuracy", "%"), ("loss", ""))
        ),
    ]
    return View(sentences.of_answer(study_answer(result)), columns, lambda: study_figures(result), result.notes)


def language_study_view(result: LanguageStudyResult) -> View:
    """A row for each method and size: means over seeds with their intervals."""
    rows = [(method, index) for method in result.methods for index in range(len(method.sizes))]

    def column(name: str) -> Column:
        mean, low, high = (
            [float(getattr(getattr(of, name), end)[at]) for of, at in rows] for end in ("mean", "low", "high")
        )
        return Column({"loss": "test loss"}.get(name, name), mean, low, high)

    columns = [
        Column("method", [method.method for method, _ in rows]),
        Column("training samples", [method.sizes[index] for method, index in rows]),
        column("loss"),
        column("perplexity"),
    ]
    answer = sentences.of_answer(language_study_answer(result))
    return View(answer, columns, lambda: language_study_figures(result), result.notes)


def hessian_view(result: HessianResult) -> View:
    """A row for each moment of the training and each part of the Hessian."""
    rows = [(moment, part, moment.parts[part]) for moment in result.moments for part in PARTS]
    columns = [
        Column("training, epochs", [moment.epoch for moment, *_ in rows]),
        Column("part", [PARTS[part] for _, part, _ in rows]),
        Column("trace", [summary.trace for *_, summary in rows]),
        Column("Frobenius norm", [summary.frobenius for *_, summary in rows]),
        Column("spectral norm", [summary.spectral for *_, summary in rows]),
        Column("loss", [moment.loss for moment, *_ in rows]),
        Column("accuracy", [moment.accuracy for moment, *_ in rows], unit="%"),
    ]
    ends = {result.moments[0].epoch, result.moments[-1].epoch}
    shown = [row for row, (moment, *_) in enumerate(rows) if moment.epoch in ends]
    return View(sentences.of_answer(hessian_answer(result)), columns, lambda: hessian_figures(result), shown=shown)


def mlp_view(result: MLPResult) -> View:
    """A row for each network and distance from w*."""
    rows = [(network, around) for network in result.networks for around in network.surroundings]
    columns = [
        Column("target", [network.target for network, _ in rows]),
        Column("width, neurons of a hidden layer", [network.width for network, _ in rows]),
        Column("depth, hidden layers", [network.depth for network, _ in rows]),
        Column("distance from w*, relative to its norm", [around.radius for _, around in rows]),
        Column("loss", [around.loss for _, around in rows]),
        Column(
            "spread of the loss, S(w)",
            [around.spread for _, around in rows],
            [around.spread_interval[0] for _, around in rows],
            [around.spread_interval[1] for _, around in rows],
        ),
        Column("slope on log axes", [around.slope for _, around in rows]),
        Column("standard error of the slope", [around.slope_error for _, around in rows]),
    ]
    # of each target the network in the middle of the widths and depths
    middles = [
        of_target[len(of_target) // 2]
        for target in dict.fromkeys(network.target for network in result.networks)
        if (of_target := [network for network in result.networks if network.target == target])
    ]
    shown = [row for row, (network, _) in enumerate(rows) if any(network is middle for middle in middles)]
    return View(sentences.of_answer(mlp_answer(result)), columns, lambda: mlp_figures(result), shown=shown)
