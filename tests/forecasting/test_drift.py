"""Drift along the source is found, and nothing is where there is none."""

import numpy as np
import torch
from torch import nn
from torch.utils.data import TensorDataset

from suffice import Problem
from suffice.forecasting.doubts import about_order


def growing(samples, random, times=3.0):
    """Losses that grow along the source, and labels in random order."""
    return random.exponential(np.linspace(1, times, samples)), random.integers(0, 3, samples)


def test_sound_losses_are_named_in_one_of_two_hundred_data_sets():
    random = np.random.default_rng(0)
    found = sum(
        about_order(random.exponential(size=80), random.integers(0, 3, 80), seed=seed) is not None
        for seed in range(1000)
    )
    assert found <= 12  # 5 expected; 13 or more with probability 0.002


def test_losses_that_grow_are_found():
    random = np.random.default_rng(1)
    findings = [about_order(*growing(300, random), seed=seed) for seed in range(20)]
    assert sum(finding is not None for finding in findings) >= 18
    named = next(finding for finding in findings if finding)
    assert (named.code, named.severity) == ("SUF021", "serious")
    assert "more than in any of 199 random orders" in named.what


def test_the_order_is_the_source_s_whatever_order_the_problem_has():
    losses, labels = growing(300, np.random.default_rng(2), times=5.0)
    data = TensorDataset(torch.zeros(300, 1), torch.from_numpy(labels))
    problem = Problem(nn.Linear(1, 3), data, seed=4)
    shuffled = losses[problem.index], labels[problem.index]
    assert about_order(*shuffled) is None
    assert about_order(*shuffled, rows=problem.index) is not None


def test_files_that_are_sorted_by_class_pass_and_drift_within_classes_is_found():
    random = np.random.default_rng(3)
    labels = np.repeat([0, 1, 2], 100)
    assert about_order(random.exponential(size=300) + labels, labels) is None
    within = np.tile(np.linspace(1, 5, 100), 3)
    assert about_order(random.exponential(within), labels) is not None


def test_copies_one_after_the_other_are_no_drift():
    random = np.random.default_rng(4)
    found = [0, 0]
    for seed in range(60):
        losses, groups = np.repeat(random.exponential(size=40), 8), np.repeat(np.arange(40), 8)
        labels = np.zeros(320, dtype=int)
        found[0] += about_order(losses, labels, groups=groups, seed=seed) is not None
        found[1] += about_order(losses, labels, seed=seed) is not None
    assert found[0] <= 3
    assert found[1] > 30


def test_losses_that_are_all_equal_have_no_order():
    assert about_order(np.full(50, 0.3), np.arange(50) % 2) is None
