"""What each result says in sentences, the answer first: the words of reports."""

from suffice.report.answers import curve_answer, findings_in_words, forecast_answer, methods_answer, mlp_answer
from suffice.report.answers.curve import next_in_words
from suffice.report.answers.study import answer as study_answer
from suffice.report.answers.study import plateau
from suffice.report.answers.words import in_words
from suffice.results import (
    AnalysisResult,
    CurvatureResult,
    Curve,
    CurveResult,
    ForecastResult,
    HessianResult,
    LearningCurve,
    MethodsResult,
    MLPResult,
    StudyResult,
)


def of_analysis(result: AnalysisResult) -> list[str]:
    """The two sizes."""
    return [size.explanation for size in result.sufficient_sizes]


def of_curvature(result: CurvatureResult) -> list[str]:
    """The ends of the spectrum."""
    largest, spectrum = result.spectrum.eigenvalues[0].value, result.spectrum
    values = ", ".join(f"{eigenvalue.value:.3g}" for eigenvalue in spectrum.eigenvalues)
    return [
        f"The largest eigenvalue of the Hessian by magnitude is {largest:.3g}, at a mean loss of {spectrum.loss:.3g}.",
        f"The largest by magnitude: {values}. The sum of all {result.moving_parameters:,} is {spectrum.trace}.",
    ]


def of_hessian(result: HessianResult) -> list[str]:
    """How much of the Hessian is its outer-product part."""
    last = result.moments[-1]
    outer, functional = (last.parts[part].frobenius ** 2 for part in ("outer", "functional"))
    share = outer / (outer + functional) if outer + functional > 0 else 1.0
    when = "At initialisation" if last.epoch == 0 else "After training"
    return [f"{when}, {share:.0%} of the block's curvature is the outer-product part (of the squared Frobenius norms)."]


def of_curve_result(result: CurveResult) -> list[str]:
    """The size that reaches the target, and what to train next."""
    following = next_in_words(result)
    return [*curve_answer(result), *([] if following is None else [following])]


def of_forecast(result: ForecastResult) -> list[str]:
    """What more samples would bring, and how sure that is."""
    headline, *others = forecast_answer(result)
    trust = [] if result.trust is None else [f"Confidence: {result.trust.word} – {result.trust.reason}."]
    return [headline, *trust, *others]


def of_methods(result: MethodsResult) -> list[str]:
    """Which method to use."""
    return methods_answer(result)


def of_mlp(result: MLPResult) -> list[str]:
    """What the experiment found."""
    return mlp_answer(result)


def of_study(result: StudyResult) -> list[str]:
    """Which method is the best, and whether more samples would still help."""
    return [study_answer(result), plateau(result)]


def of_curve(curve: Curve) -> list[str]:
    """The largest size, and the limit."""
    name, unit = curve.name or curve.metric, curve.metric
    mean, low, high = (in_words(unit, float(end[-1])) for end in (curve.mean, curve.low, curve.high))
    limit = [in_words(unit, end) for end in (curve.limit.mean, curve.limit.low, curve.limit.high)]
    return [
        f"With {curve.sizes[-1]:,.0f} samples the {name} should be {mean} ({curve.confidence:.0%} interval: {low} to "
        f"{high}).",
        f"With unlimited samples it approaches {limit[0]} ({limit[1]} to {limit[2]}).",
    ]


def of_learning_curve(curve: LearningCurve) -> list[str]:
    """What the largest size brings, measured or predicted."""
    if curve.status == "cannot_tell" or not curve.sizes:
        return [curve.explanation]
    if isinstance(curve.accuracy, Curve):
        return [*of_curve(curve.accuracy), curve.explanation]
    parts = []
    for name, band in (("accuracy", curve.accuracy), ("loss", curve.loss)):
        mean, low, high = (
            in_words("accuracy" if name == "accuracy" else "loss", float(end[-1]))
            for end in (band.mean, band.low, band.high)
        )
        parts.append(f"{name} {mean} ({low} to {high})")
    return [f"Trained on {curve.sizes[-1]:,} samples: {' and '.join(parts)}, with {curve.confidence:.0%} intervals."]


def findings_of(curve: LearningCurve) -> list[str]:
    """What was found that makes a forecast less certain."""
    return findings_in_words(curve)
