"""Results of ``suffice forecast``, written by hand."""

import numpy as np

from suffice.results import Curve, Draws, ForecastResult, LearningCurve

SIZES = [100, 200, 1600]


def predicted(metric, level, slope, spread):
    """A first-order curve through 100 samples, whose level is off by at most a spread."""
    draws = Draws(
        smallest=50,
        largest=100,
        level=level + spread * np.linspace(-1, 1, 101),
        slope=[slope / 100],
        exponent=[1.0],
        noise=[0.01],
    )
    return Curve(metric=metric, sizes=SIZES, draws=draws)


def curve(**changes):
    """The loss is 0.3 + 20 / k, and the error rate 0.2 + 20 / (3 k)."""
    loss, accuracy = predicted("loss", 0.5, 20, 0.05), predicted("accuracy", 0.8 / 3, 20 / 3, 0.02)
    values = {
        "sizes": SIZES,
        "loss": loss,
        "accuracy": accuracy,
        "samples": 100,
        "level": 0.5,
        "slope": 20.0,
        "slope_error": 2.0,
        "loss_limit": loss.limit,
        "accuracy_limit": accuracy.limit,
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


def result(forecast=None, class_gains=(), assurance=None, **targets):
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
        gains=[
            {
                "more": 100,
                "loss": {"value": 0.1, "low": 0.08, "high": 0.12},
                "accuracy": {"value": 0.033, "low": 0.02, "high": 0.05},
            }
        ],
        class_gains=list(class_gains),
        answers=[forecast.sufficient_size(**{name: target}, assurance=assurance) for name, target in targets.items()],
        notes=["a note <i>"],
        confidence=0.9,
        configuration={},
        versions={},
    )
