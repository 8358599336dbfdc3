"""Results of ``suffice study``, written by hand."""

import statistics

SIZES = [10, 100, 1000]
METHODS = {"head": (0.80, 300), "lora(4)": (0.95, 5000)}
"""Accuracy at the largest size, and k* of the first seed."""

FIGURES = ["accuracy", "loss", "check", "difference", "minima", "moved", "gradients"]


def cell(method, size, seed, task="all"):
    share = 1 - 10 * seed / size
    return {
        "task": task,
        "method": method,
        "size": size,
        "seed": seed,
        "status": "finished",
        "moving_parameters": 650,
        "train_loss": 0.1 + 1 / size,
        "train_accuracy": 1.0,
        "validation_loss": 1 / 3 + 1 / size,
        "validation_accuracy": 0.7,
        "test_loss": 0.3 + 3 / size,
        "test_accuracy": METHODS[method][0] * share,
        "distance": 2.5,
        "seconds": size / 100,
    }


def curve(cells, method):
    def band(name):
        means = [
            statistics.fmean(cell[name] for cell in cells if (cell["method"], cell["size"]) == (method, size))
            for size in SIZES
        ]
        return {
            "mean": means,
            "low": [mean - 0.1 for mean in means],
            "high": [mean + 0.1 for mean in means],
        }

    return {"sizes": SIZES, "loss": band("test_loss"), "accuracy": band("test_accuracy")}


def surface(method, seed):
    grid = [1, 10, 100, 999]
    return {
        "task": "all",
        "method": method,
        "seed": seed,
        "samples": 1000,
        "sizes": SIZES,
        "own": [0.1, 0.2, 0.3],
        "own_at_full": [0.25, 0.28, 0.3],
        "full": [0.9, 0.5, 0.3],
        "validation": [0.9, 0.5, 0.4],
        "distance": [3.0 + seed, 2.0, 0.0],
        "gradient": [0.01, 0.02, 0.03],
        "gradient_at_full": [0.5, 0.2, 0.03],
        "curve_sizes": grid,
        "difference": [2.2 / (k * (k + 1)) ** 0.5 for k in grid],
        "in_order": [1.5 / k for k in grid],
        "remaining": [2.2 * (1 / k - 1 / 1000) ** 0.5 for k in grid],
        "null": [2.0 / (k * (k + 1)) ** 0.5 for k in grid],
        "coefficient_of_variation": 2.0,
        "sufficient_sizes": [],
    }


def checks(method, seed, task="all"):
    for criterion in ("remaining", "difference"):
        for tolerance in (0.02, 0.05, 0.1):
            for quantity in ("loss", "accuracy"):
                k_star = METHODS[method][1] + 100 * seed + round(1000 * (tolerance - 0.05))
                censored = method == "lora(4)"
                yield {
                    "task": task,
                    "method": method,
                    "seed": seed,
                    "criterion": criterion,
                    "tolerance": tolerance,
                    "k_star": k_star,
                    "k_star_low": k_star - 10,
                    "k_star_high": k_star + 10,
                    "quantity": quantity,
                    "within": 0.05 if quantity == "loss" else 0.01,
                    "held_out_size": 1000 if censored else 200 + 10 * seed,
                    "low": 150,
                    "high": 1000,
                    "censored": censored,
                    "coefficient_of_variation": 2.0,
                    "labels_saved": max(0, 1000 - k_star),
                    "seconds_saved": 1.5,
                    "accuracy_lost": 0.03 if method == "head" else 0.0,
                }


def values():
    """A study of two methods, three sizes and two seeds, with one subset of the classes."""
    cells = [cell(method, size, seed) for method in METHODS for seed in (0, 1) for size in SIZES]
    few = [cell(method, size, 0, task="0,1") for method in METHODS for size in SIZES]
    rows = [row for method in METHODS for seed in (0, 1) for row in checks(method, seed)]
    return {
        "model": "a-model",
        "data": "some-data",
        "classes": 10,
        "pool": 2000,
        "validation_samples": 100,
        "test_samples": 400,
        "study": {
            "cells": [*cells, *few],
            "curves": {method: curve(cells, method) for method in METHODS},
            "subset_curves": {"0,1": {method: curve(few, method) for method in METHODS}},
            "retrained": [surface(method, seed) for method in METHODS for seed in (0, 1)],
            "check": [*rows, *(row for method in METHODS for row in checks(method, 0, "0,1"))],
            "agreement": [
                {
                    "criterion": criterion,
                    "tolerance": tolerance,
                    "quantity": quantity,
                    "combinations": 6,
                    "censored": 3,
                    "rank_correlation": {"value": 0.5, "low": -0.25, "high": 0.75},
                    "partial_correlation": None,
                    "ratio": 1.5,
                }
                for criterion in ("remaining", "difference")
                for tolerance in (0.02, 0.05, 0.1)
                for quantity in ("loss", "accuracy")
            ],
        },
        "notes": ["A note."],
        "confidence": 0.9,
        "configuration": {"seed": 0, "model": "a-model"},
        "versions": {"python": "3.11"},
    }
