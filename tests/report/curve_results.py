"""Results of ``suffice curve``, written by hand."""

import numpy as np

from suffice.results import CurveResult, SufficientSize

SIZES = [100, 200, 400, 800, 1600]
GIVEN = [(100, 0.70), (100, 0.72), (200, 0.76), (400, 0.80)]


def predictions(sizes, target):
    """An accuracy of 0.9 - 2 / sqrt(n), and probabilities that rise from 0 to 1."""
    means = 0.9 - 2 / np.sqrt(sizes)
    rising = np.linspace(0, 1, len(sizes))
    return {
        "sizes": sizes,
        "score": {"mean": means, "low": means - 0.01, "high": means + 0.01},
        "reached": None if target is None else {"mean": rising, "next": 0.5 * rising},
    }


def answer(size=800, low=560, high=1300, assurance=0.8, **changes):
    values = {
        "criterion": "target_accuracy",
        "tolerance": 0.82,
        "relative": False,
        "size": size,
        "low": low,
        "high": high,
        "assurance": assurance,
        "status": "extrapolated" if size and size > 400 else "reached" if size else "unreachable",
        "explanation": "as it goes",
    }
    return SufficientSize(**values | changes)


def result(asked=None, **changes):
    """A result with an answer, or without a target where that is None."""
    target = None if asked is None else asked.tolerance
    run = {"size": 400, "seeds": 2, "interval_left": 0.83, "explanation": "as it goes"}
    values = {
        "sources": ["<b>scores</b>.csv"],
        "metric": "accuracy",
        "trainings": [{"size": size, "score": score} for size, score in GIVEN],
        "predicted": predictions(SIZES[2:], target),
        "drawn": predictions(SIZES, target),
        "answer": asked,
        "next_trainings": None if asked is None or asked.size is None else run,
        "costs": None,
        "notes": ["a note <i>"],
        "confidence": 0.9,
        "configuration": {"samples": None, "kind": "any"},
        "versions": {},
    }
    return CurveResult.model_validate(values | changes)
