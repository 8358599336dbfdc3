"""What a result shows of itself: one view for each type, and three ways to look at it.

`frame` makes a data frame of a view, `html` what a notebook displays, `terminal` what Rich prints; `drawn` draws one of
its figures on given axes. `suffice.shown` gives results the methods.
"""

from typing import TypeAlias, assert_never

from suffice import results
from suffice.report.views.curvature import (
    along_k_view,
    curvature_view,
    density_view,
    eigenvalues_view,
    gaps_view,
    spectrum_view,
    surface_view,
)
from suffice.report.views.learning import (
    curve_result_view,
    curve_view,
    forecast_view,
    learning_curve_view,
    methods_view,
    monitor_view,
    size_view,
)
from suffice.report.views.measured import (
    analysis_view,
    convergence_view,
    hessian_view,
    language_study_view,
    mlp_view,
    study_view,
)
from suffice.report.views.view import View

Viewable: TypeAlias = (
    results.Result
    | results.Curve
    | results.Density
    | results.Eigenvalues
    | results.EigenvaluesAlongK
    | results.GapsAlongK
    | results.LearningCurve
    | results.SettlingCurves
    | results.Spectrum
    | results.SufficientSize
    | results.SurfaceAlongK
)
"""The plain values that can be looked at; all else that can is one of these in another form."""


def view_of(result: Viewable) -> View:  # noqa: PLR0911, PLR0912 - one for each type
    """The view of a result, chosen by its type."""
    match result:
        case results.AnalysisResult():
            return analysis_view(result)
        case results.CurvatureResult():
            return curvature_view(result)
        case results.Curve():
            return curve_view(result)
        case results.CurveResult():
            return curve_result_view(result)
        case results.Density():
            return density_view(result)
        case results.Eigenvalues():
            return eigenvalues_view(result)
        case results.EigenvaluesAlongK():
            return along_k_view(result)
        case results.ForecastResult():
            return forecast_view(result)
        case results.GapsAlongK():
            return gaps_view(result)
        case results.HessianResult():
            return hessian_view(result)
        case results.LanguageStudyResult():
            return language_study_view(result)
        case results.LearningCurve():
            return learning_curve_view(result)
        case results.MethodsResult():
            return methods_view(result)
        case results.MLPResult():
            return mlp_view(result)
        case results.MonitorResult():
            return monitor_view(result)
        case results.SettlingCurves():
            return convergence_view(result)
        case results.Spectrum():
            return spectrum_view(result)
        case results.StudyResult():
            return study_view(result)
        case results.SufficientSize():
            return size_view(result)
        case results.SurfaceAlongK():
            return surface_view(result)
        case _:
            assert_never(result)
