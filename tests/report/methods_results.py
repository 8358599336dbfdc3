"""Results of ``suffice forecast`` of several methods, from curves written by hand."""

import numpy as np
from forecast_results import predicted

from suffice.forecasting import compare
from suffice.results import Band, LearningCurve, MethodsResult
from suffice.training import Predictions

SIZES = [100, 200, 800, 3200]

FEW = {"code": "SUF031", "severity": "warning", "what": "few samples <i>", "why": "noise", "remedy": "Label more"}

TRUST = {"word": "medium", "reason": "few samples <i> (SUF031)"}


def forecast_of(error, slope, spread=0.01):
    """The error rate is error + slope / 100 - slope / k, and the loss twice that."""
    return LearningCurve(
        sizes=SIZES,
        loss=predicted("loss", 2 * error, 2 * slope, 2 * spread),
        accuracy=predicted("accuracy", error, slope, spread),
        samples=100,
        status="extrapolated",
        explanation="as it goes",
        findings=[FEW],
    )


def without_forecast(reason="It has not converged."):
    nothing = Band(**dict.fromkeys(("mean", "low", "high"), np.full(len(SIZES), np.nan)))
    return LearningCurve(
        sizes=SIZES, loss=nothing, accuracy=nothing, samples=100, status="cannot_tell", explanation=reason
    )


def unseen(wrong, samples=90.0):
    """Predictions of which some are wrong."""
    labels = np.zeros(100, dtype=np.int64)
    outputs = np.zeros((100, 2))
    outputs[np.arange(100), np.isin(np.arange(100), wrong).astype(int)] = 1.0
    return Predictions(samples, outputs, labels)


def result(forecasts, targets=(), metric="accuracy"):
    """Each method errs on 30 samples, half of them those on which the one before errs as well."""
    predictions = {name: unseen(np.arange(30) + 15 * row) for row, name in enumerate(forecasts)}
    return MethodsResult(
        model="<b>model</b>",
        data="data",
        classes=["a", "b"],
        samples=100,
        test_samples=0,
        methods=[
            {
                "method": name,
                "folder": f"methods/{name}",
                "forecast": forecast,
                "answers": [forecast.sufficient_size(**{criterion: value}) for criterion, value in targets],
                "trust": TRUST,
            }
            for name, forecast in forecasts.items()
        ],
        comparison=compare(forecasts, predictions, SIZES, metric, targets),
        notes=["a note <i>"],
        confidence=0.9,
        configuration={},
        versions={},
    )


CROSSING = {"head": forecast_of(0.20, 2.0), "lora(4)": forecast_of(0.22, 12.0)}
"""The error rates are equal at 125 samples."""
