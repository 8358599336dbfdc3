"""Results of ``suffice study`` of a language model, written by hand."""

import math

import numpy as np

from suffice.results import LanguageStudyResult

SIZES, SEEDS = [100, 200, 400, 800, 1600], (0, 1, 2)
LIMITS = {"lora(8)": 1.1, "<b>full</b>": 1.0}


def loss_of(limit, sizes):
    return limit + 5 / np.sqrt(sizes)


def band(values, half=0.02):
    values = np.asarray(values, dtype=float)
    return {"mean": values, "low": values - half, "high": values + half}


def method(name, limit, sizes=SIZES, continues=True, **changes):
    """A learning curve that ends at a limit."""
    loss = loss_of(limit, sizes)
    ahead, drawn = [sizes[-1] * times for times in (1, 2, 4, 8)], list(range(sizes[0], 8 * sizes[-1] + 1, 100))
    values = {
        "method": name,
        "sizes": sizes,
        "loss": band(loss),
        "perplexity": {end: np.exp(of) for end, of in band(loss).items()},
        "last_fall": {"value": loss[-2] - loss[-1], "low": 0.03, "high": 0.07} if len(sizes) > 1 else None,
        "predicted": {"sizes": ahead, "score": band(loss_of(limit, ahead))} if continues else None,
        "drawn": {"sizes": drawn, "score": band(loss_of(limit, drawn))} if continues else None,
        "unpredicted": "" if continues else "the loss gets worse with more samples",
    }
    return values | changes


def cells(name, limit, sizes=SIZES, seeds=SEEDS, status="finished", batch=8):
    found = []
    for seed in seeds:
        for size in sizes:
            loss = float(loss_of(limit, size)) + 0.01 * (seed - 1)
            measured = {"test_loss": loss, "perplexity": math.exp(loss), "seconds": 1.5}
            found.append(
                {
                    "method": name,
                    "size": size,
                    "seed": seed,
                    "status": status,
                    "moving_parameters": 1000,
                    "steps": -(-size // batch),
                    **(measured if status == "finished" else {}),
                }
            )
    return found


def result(**changes):
    values = {
        "model": "builtin:<i>lm</i>",
        "data": "sums.jsonl",
        "pool": 2000,
        "test_samples": 400,
        "pretrained_loss": 2.5,
        "methods": [method(name, limit) for name, limit in LIMITS.items()],
        "cells": [cell for name, limit in LIMITS.items() for cell in cells(name, limit)],
        "notes": ["a note <i>"],
        "confidence": 0.9,
        "configuration": {"model": "builtin:<i>lm</i>", "data": "sums.jsonl", "prompt_column": None},
        "versions": {},
    }
    return LanguageStudyResult.model_validate(values | changes)


def of_one(name="full", limit=1.0, sizes=SIZES, seeds=SEEDS, continues=True, batch=8, through=None, **changes):
    """A study of one method."""
    made = method(name, limit, sizes, continues, continued_from=through)
    return result(methods=[made], cells=cells(name, limit, sizes, seeds, batch=batch), **changes)
