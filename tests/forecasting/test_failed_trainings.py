"""Trainings that did not converge, collapsed, got worse, or disagree with the slope."""

import json
from pathlib import Path

import numpy as np

from suffice.forecasting.doubts import (
    about_collapse,
    about_convergence,
    about_fall,
    about_halves,
    about_learning,
)
from suffice.training import Predictions


def collapse_of(outputs, labels):
    return about_collapse(outputs, Predictions(1, outputs, labels).losses, labels)


def test_a_model_that_says_one_class_has_collapsed():
    labels = np.arange(100) % 5
    finding = collapse_of(np.tile([3.0, 0, 0, 0, 0], (100, 1)), labels)
    assert (finding.code, finding.severity) == ("SUF025", "error")
    assert "right on 20.0% of its own training samples, no more than the largest class's 20.0%" in finding.what


def test_a_model_that_says_the_largest_class_but_knows_more_has_not_collapsed():
    random = np.random.default_rng(0)
    labels = (random.random(400) < 0.1).astype(int)
    x = labels + random.normal(size=400)
    outputs = np.stack([np.zeros(400), np.minimum(x - 2.7, -0.01)], axis=1)
    assert (outputs.argmax(1) == 0).all()
    assert collapse_of(outputs, labels) is None


def test_a_model_that_has_learned_has_not_collapsed():
    labels = np.arange(30) % 3
    assert collapse_of(np.eye(3)[labels], labels) is None


def test_a_training_that_a_step_would_still_improve_has_not_converged():
    finding = about_convergence(descent=0.3, own_loss=1.4, test_loss=1.5)
    assert (finding.code, finding.severity) == ("SUF024", "error")
    assert about_convergence(descent=0.1, own_loss=1.4, test_loss=1.5) is None
    assert about_convergence(descent=0.3, own_loss=0.8, test_loss=1.5) is None


def test_a_training_that_has_hardly_learned_is_named_and_one_that_fits_its_samples_is_not():
    """The loss of the class frequencies is that of labels in shares of 0.2."""
    labels = np.arange(100) % 5
    entropy = np.log(5)
    finding = about_learning(np.full(100, 0.9 * entropy), labels, test_loss=entropy)
    assert (finding.code, finding.severity) == ("SUF031", "serious")
    assert "90% of that of the class frequencies, and 90% of that on unseen samples" in finding.what
    assert about_learning(np.full(100, 0.7 * entropy), labels, test_loss=0.8 * entropy) is None
    assert about_learning(np.full(100, 0.9 * entropy), labels, test_loss=1.3 * entropy) is None


def test_no_training_by_steps_of_the_committed_studies_has_hardly_learned():
    counted = 0
    for file in sorted((Path(__file__).parents[2] / "experiments").glob("*/result.json")):
        result = json.loads(file.read_text())
        if result.get("command") != "study":
            continue
        for cell in result["study"]["cells"]:
            if cell["method"] == "head" or cell["train_loss"] is None:
                continue
            classes = result["classes"] if cell["task"] == "all" else len(cell["task"].split(","))
            losses = np.full(classes, cell["train_loss"])
            assert about_learning(losses, np.arange(classes), cell["test_loss"]) is None, cell
            counted += 1
    assert counted == 454


def test_a_loss_that_rises_beyond_its_noise_is_named():
    random = np.random.default_rng(0)
    fewer = random.exponential(size=200)
    worse = fewer + 0.3 + 0.2 * random.normal(size=200)
    finding = about_fall(fewer, worse, sizes=(100, 180), predicted=0.05)
    assert (finding.code, finding.severity) == ("SUF026", "error")
    assert f"rose from {fewer.mean():.3g} with 100 training samples to {worse.mean():.3g} with 180" in finding.what
    assert about_fall(fewer, fewer + 0.001 * random.normal(size=200), (100, 180), predicted=0.05) is None
    noisy = fewer + 0.02 + random.normal(size=200)
    assert about_fall(fewer, noisy, (100, 180), predicted=0.05) is None


def test_a_forecast_that_rises_is_named():
    fewer = np.random.default_rng(0).exponential(size=50)
    finding = about_fall(fewer, fewer - 0.1, sizes=(25, 45), predicted=-0.02)
    assert finding.code == "SUF026"
    assert "should rise" in finding.what


def test_halves_that_fall_by_another_amount_are_named():
    random = np.random.default_rng(0)
    fewer = random.exponential(size=200)
    more = fewer - 0.3 + 0.2 * random.normal(size=200)
    finding = about_halves(fewer, more, predicted=0.1, predicted_error=0.02)
    assert (finding.code, finding.severity) == ("SUF027", "serious")
    assert about_halves(fewer, more, predicted=0.1, predicted_error=0.1) is None
    assert about_halves(fewer, more, predicted=0.28, predicted_error=0.0) is None
