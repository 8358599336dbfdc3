"""A result of ``suffice analyze`` by hand: a spread of 2 around a mean loss of 1, and more of it away from w*."""

import math

from suffice.results import AnalysisResult

SIZES = [1, 10, 100, 299]
SPREAD = 2.0


def answer(criterion, size, low, high, tolerance=0.05, status="extrapolated"):
    return {
        "criterion": criterion,
        "tolerance": tolerance,
        "relative": True,
        "size": size,
        "low": low,
        "high": high,
        "status": status,
        "explanation": f"From {size} samples on, all is <b>well</b>.",
    }


def settling(criterion, widest=1.2):
    square = {"value": SPREAD**2, "low": SPREAD**2 / 1.2, "high": SPREAD**2 * widest}
    return {"criterion": criterion, "relative": square, "absolute": square, "loss": 1.0}


def interval(values):
    return [0.9 * value for value in values], [1.1 * value for value in values]


def result(**changes):
    difference = [SPREAD / math.sqrt(k * (k + 1)) for k in SIZES]
    population = [SPREAD / math.sqrt(k) for k in SIZES]
    values = {
        "problem": {
            "model": "<b>model</b>",
            "data": "data",
            "classes": 10,
            "samples": 300,
            "held_out_samples": 0,
            "fine_tuning": "head",
            "moving_parameters": 650,
            "parameters": 10_000,
            "loss_at_center": 1.0,
            "coefficient_of_variation": SPREAD,
            "held_out_loss": None,
            "held_out_accuracy": None,
            "gap": None,
            "batch_size": 64,
            "device": "cpu",
            "notes": ["a note <i>"],
        },
        "landscape": {
            "sizes": SIZES,
            "difference": difference,
            "difference_interval": interval(difference),
            "remaining": [SPREAD * math.sqrt(1 / k - 1 / 300) for k in SIZES],
            "remaining_population": population,
            "remaining_population_interval": interval(population),
            "null": [value / 1.1 for value in difference],
            "in_order": [0.8 * value for value in difference],
            "source_order": [1.2 * value for value in difference],
            "band": ([0.1 * value for value in difference], [2.0 * value for value in difference]),
            "exchangeability": 0.4,
            "probes": [
                {"distance": 0.0, "loss": 1.0, "spread": SPREAD / 1.1},
                {"distance": 0.5, "loss": 1.2, "spread": SPREAD},
            ],
        },
        "settling": [settling("remaining"), settling("difference")],
        "sufficient_sizes": [
            answer("remaining", 1600, 1334, 1920),
            answer("difference", 40, 36, 44, status="reached"),
        ],
        "confidence": 0.9,
        "configuration": {"radius": 0.1},
        "versions": {},
    }
    return AnalysisResult.model_validate(values | changes)
