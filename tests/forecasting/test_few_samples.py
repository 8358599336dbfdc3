"""Few samples of a class, few errors, and few samples for each free weight."""

import numpy as np
import pytest
from scipy.stats import binom

from suffice.forecasting.doubts import (
    about_errors,
    about_free_weights,
    about_smallest_class,
    accuracy_interval,
    shortfall,
)


def test_the_smallest_class_counts_and_not_the_average():
    labels = np.repeat([0, 1, 3], [500, 500, 23])
    finding = about_smallest_class(labels)
    assert (finding.code, finding.severity) == ("SUF017", "warning")
    assert finding.what == "23 samples of the class 3, the smallest"
    assert about_smallest_class(np.append(labels, 3)) is None


def test_copies_count_once_in_their_class():
    labels = np.repeat([0, 1], [100, 30])
    groups = np.append(np.arange(100), 100 + np.arange(30) // 3)
    finding = about_smallest_class(labels, groups, names=["cat", "dog"])
    assert str(finding) == "SUF017: 10 samples of the class 'dog', the smallest. Label at least 14 more of it."
    assert about_smallest_class(labels) is None


@pytest.mark.parametrize(("rate", "samples"), [(0.01, 40), (0.05, 40), (0.1, 200), (0.5, 15)])
def test_intervals_of_accuracies_cover_exactly(rate, samples):
    counts = np.arange(samples + 1)
    ends = np.array([accuracy_interval(int(count), samples) for count in counts])
    chance = binom.pmf(counts, samples, rate)
    above, below = chance[ends[:, 0] > 1 - rate].sum(), chance[ends[:, 1] < 1 - rate].sum()
    assert above <= 0.05
    assert below <= 0.05
    assert accuracy_interval(samples, samples)[0] == 0.0


def test_no_errors_bound_the_accuracy_and_say_how_many_to_label():
    finding = about_errors(0, 40)
    assert (finding.code, finding.severity) == ("SUF018", "error")
    assert "no errors in 40 unseen samples: the accuracy is above 92.7% (95% confidence)" in finding.what
    assert finding.remedy == "Label about 99 more samples to test on"
    # as many errors are then expected as are asked for, where the error rate is the largest possible
    assert (40 + 99) * (1 - accuracy_interval(0, 40)[0]) == pytest.approx(10, rel=0.01)


def test_few_errors_have_an_interval_and_many_are_not_named():
    finding = about_errors(4, 200)
    assert (finding.code, finding.severity) == ("SUF019", "warning")
    assert finding.what == "4 errors in 200 unseen samples: the accuracy is 95.4% to 99.4% (90% interval)"
    assert about_errors(1, 3).what.startswith("1 error in 3 ")
    assert about_errors(10, 200) is None


def test_the_shortfall_is_that_of_least_squares():
    """The excess loss of least squares on p Gaussian features is proportional to p / (k - p - 1)."""
    p, k, step = 18, 20_000, 1e-2
    true = (p / (k - p - 1) - p / (k + step - p - 1)) / step
    first_order = (p / k - p / (k + step)) / step
    assert 1 - first_order / true == pytest.approx(shortfall(p, k), abs=2e-4)
    assert shortfall(200, 100) == 1.0


def test_few_samples_for_each_free_weight_are_named():
    finding = about_free_weights(18.0, 150)
    assert (finding.code, finding.severity) == ("SUF020", "warning")
    assert "150 samples for 18 free weights: the first order in 1/k falls about 23% short" in finding.what
    assert "falls far short" in about_free_weights(77.0, 150).what
    assert about_free_weights(18.0, 200) is None
