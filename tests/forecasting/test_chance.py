"""Whether a model is better than the class frequencies, by an exact variance over permutations."""

from itertools import permutations

import numpy as np
import pytest

from suffice.forecasting.doubts import about_chance, standardized_agreement
from suffice.forecasting.head import fit_head
from suffice.forecasting.levels import fold_of
from suffice.forecasting.levels.folds import heads_without_fold, mean_outputs, outputs_out_of_fold
from suffice.forecasting.losses import CrossEntropy


def test_mean_and_variance_are_those_of_all_permutations():
    random = np.random.default_rng(0)
    outputs, labels = random.normal(size=(6, 3)), np.array([0, 0, 1, 1, 1, 2])
    sums = [outputs[np.arange(6), labels[list(order)]].sum() for order in permutations(range(6))]
    expected = (outputs[np.arange(6), labels].sum() - np.mean(sums)) / np.std(sums)
    assert standardized_agreement(outputs, labels) == pytest.approx(expected, rel=1e-9)


def test_class_frequencies_are_no_agreement():
    labels = (np.arange(200) % 10 == 0).astype(int)
    assert standardized_agreement(np.tile([2.0, 0.0], (200, 1)), labels) == 0.0
    assert about_chance(np.tile([2.0, 0.0], (200, 1)), labels) is not None


@pytest.mark.parametrize(("samples", "columns"), [(60, 40), (100, 20), (200, 5)])
def test_models_of_random_labels_pass_in_one_of_twenty(samples, columns):
    """Ridge regressions, whose outputs are linear in the labels: the true variance is twice the permutations'."""
    random = np.random.default_rng(0)
    agreements = []
    for seed in range(400):
        x, labels = random.normal(size=(samples, columns)), random.integers(0, 2, samples)
        fold, outputs = fold_of(labels, 10, seed), np.empty((samples, 2))
        for number in range(10):
            others = fold != number
            gram = x[others].T @ x[others] + 0.1 * samples * np.eye(columns)
            outputs[~others] = x[~others] @ np.linalg.solve(gram, x[others].T @ np.eye(2)[labels[others]])
        agreements.append(standardized_agreement(outputs, labels, fold))
    assert np.std(agreements) == pytest.approx(1, abs=0.1)
    assert np.mean(np.array(agreements) > 1.645) <= 0.08


def test_heads_on_random_labels_pass_as_seldom():
    random = np.random.default_rng(0)
    passed = 0
    for seed in range(40):
        x, labels = random.normal(size=(60, 20)), np.append([0, 0, 1, 1], random.integers(0, 2, 56))
        head = fit_head(x, CrossEntropy(labels, 2), 2, 0.1)
        without = heads_without_fold(head, labels, 10, seed)
        outputs = outputs_out_of_fold(head, without) - mean_outputs(head, without)
        passed += about_chance(outputs, labels, np.zeros_like(labels)) is None
    assert passed <= 6  # 2 expected; 7 or more with probability 0.004


def test_labels_look_random_with_many_samples_and_it_cannot_be_told_with_few():
    random = np.random.default_rng(0)
    labels, outputs = random.integers(0, 3, 3000), random.normal(size=(3000, 3))
    many = about_chance(outputs, labels)
    assert (many.code, many.severity) == ("SUF028", "error")
    assert "the labels look random" in many.what
    few = about_chance(outputs[:60], labels[:60])
    assert (few.code, few.severity) == ("SUF029", "error")
    assert "random" not in str(few)
    # a model whose weights are noise may hide what there is
    assert about_chance(outputs, labels, to_come=0.05).code == "SUF029"
    assert about_chance(outputs + 0.2 * np.eye(3)[labels], labels) is None


def test_at_most_so_much_is_explained_in_nineteen_of_twenty():
    """A hold-out with outputs of the true strength: the entropy that they explain is below the bound."""
    random = np.random.default_rng(1)
    strength, samples, below = 0.12, 1000, []
    for _ in range(300):
        outputs = strength * random.normal(size=(samples, 2))
        labels = (outputs[:, 1] - outputs[:, 0] + random.logistic(size=samples) > 0).astype(int)
        z = standardized_agreement(outputs, labels)
        below.append(strength**2 / 4 < (max(z, 0) + 1.645) ** 2 / 2 / samples)  # var(z_1 - z_0) / 8
    assert np.mean(below) >= 0.92
