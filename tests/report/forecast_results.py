"""Results of ``suffice forecast``, written by hand."""

import numpy as np

from suffice.results import ForecastResult, LearningCurve

SIZES = [100, 200, 1600]


def curve(**changes):
    losses = 0.3 + 20 / np.array(SIZES)
    band = {"mean": losses, "low": losses - 0.05, "high": losses + 0.05}
    accuracies = {"mean": 0.9 - losses / 3, "low": 0.88 - losses / 3, "high": 0.92 - losses / 3}
    values = {
        "sizes": SIZES,
        "loss": band,
        "accuracy": accuracies,
        "samples": 100,
        "level": 0.5,
        "slope": 20.0,
        "slope_error": 2.0,
        "loss_limit": {"mean": 0.3, "low": 0.25, "high": 0.35},
        "accuracy_limit": {"mean": 0.8, "low": 0.78, "high": 0.82},
        "estimator": "first order",
        "status": "extrapolated",
        "explanation": "as it goes",
    }
    return LearningCurve.model_validate(values | changes)


def class_gain(name, times, low, samples=30):
    return {
        "name": name,
        "samples": samples,
        "recall": 0.8,
        "more": 100,
        "loss": 0.02 * times,
        "share": 0.4 * times,
        "times": {"value": times, "low": low, "high": 2 * times - low},
        "up_to": 40,
    }


THREE = [class_gain("<c>", 1.84, 1.3), class_gain("a", 0.9, 0.7), class_gain("b", 0.5, 0.3)]


def result(forecast=None, class_gains=(), **targets):
    forecast = curve() if forecast is None else forecast
    return ForecastResult(
        model="<b>model</b>",
        data="data",
        classes=["a", "b", "<c>"][: max(2, len(class_gains))],
        samples=100,
        features=64,
        l2=0.01,
        forecast=forecast,
        measured=[{"size": 50, "loss": 0.7, "accuracy": 0.66}, {"size": 90, "loss": 0.52, "accuracy": 0.73}],
        gains=[{"more": 100, "loss": 0.1, "accuracy": 0.033}],
        class_gains=list(class_gains),
        answers=[forecast.sufficient_size(**{name: target}) for name, target in targets.items()],
        notes=["a note <i>"],
        confidence=0.9,
        configuration={},
        versions={},
    )
