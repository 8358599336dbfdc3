"""Results of ``suffice monitor``, written by hand."""

from curve_results import predictions

from suffice.results import Decision, MonitorResult

SIZES = [100, 200, 300, 400]


def looks(known=True):
    """Accuracies with intervals, and gains since half of the labels."""
    gain = {"value": 0.05, "low": -0.02, "high": 0.12} if known else None
    return [
        {
            "size": size,
            "score": 0.6 + size / 2000,
            "low": 0.55 + size / 2000 if known else None,
            "high": 0.65 + size / 2000 if known else None,
            "since": None if size < 200 else size // 200 * 100,
            "gain": None if size < 200 else gain,
        }
        for size in SIZES
    ]


def decision(reason="gain", action="label", labels=100, probability=0.1, **changes):
    values = {
        "action": action,
        "labels": labels,
        "reason": reason,
        "probability": probability,
        "next": {"value": 0.011, "low": 0.004, "high": 0.019},
        "doubling": {"value": 0.03, "low": 0.01, "high": 0.06},
        "rest": {"value": 0.05, "low": 0.02, "high": 0.09},
        "total": {"size": 987, "low": 640, "high": None},
        "explanation": "as it goes",
    }
    return Decision.model_validate(values | changes)


def result(decided=None, known=True, **changes):
    """A result with a gain of 2 points that is wanted."""
    drawn = predictions([100, 200, 400, 600, 800], None)
    values = {
        "sources": ["<b>labels</b>.csv"],
        "metric": "accuracy",
        "looks": looks(known),
        "holdout": 500 if known else None,
        "gain": 0.02,
        "target": None,
        "batch": 100,
        "pool": 2000,
        "decision": decided or decision(),
        "drawn": drawn,
        "assurance": 0.95,
        "measured_confidence": 0.95,
        "confidence": 0.9,
        "notes": ["a note <i>"],
        "configuration": {"scores": ["<b>labels</b>.csv"], "gain": 0.02},
        "versions": {},
    }
    return MonitorResult.model_validate(values | changes)
