"""Copies among the samples stay in one fold, and count once."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.data import TensorDataset

from suffice import InputError, Problem, forecast_head
from suffice.forecasting import curve_of, measure_head
from suffice.forecasting.doubts import (
    about_contradiction,
    about_copies,
    are_ordinary,
    copies_in_features,
    copies_in_problem,
    different_samples,
)
from suffice.forecasting.head import fit_head
from suffice.forecasting.levels import fold_of, others_of_folds, out_of_fold
from suffice.forecasting.losses import CrossEntropy
from suffice.forecasting.slopes import standard_error

THREE = np.array([0, 0, 0, 1, 2, 1, 1, 1, 1])


def drawn(samples, random, columns=20):
    x = random.normal(size=(samples, columns))
    return np.hstack([x, np.ones((samples, 1))]), (1.5 * x[:, :3] + random.gumbel(size=(samples, 3))).argmax(1)


@pytest.mark.parametrize(("samples", "folds"), [(37, 5), (200, 10), (101, 2)])
def test_groups_of_one_are_dealt_like_samples_without_groups(samples, folds):
    random = np.random.default_rng(samples)
    labels = random.integers(0, 4, samples)
    alone = random.permutation(samples)
    np.testing.assert_array_equal(fold_of(labels, folds, 3, alone), fold_of(labels, folds, 3))
    labels, groups = np.append(labels, [4, 4]), np.append(alone, [samples, samples])
    fold = fold_of(labels, folds, 3, groups)
    assert fold[-1] == fold[-2]


@settings(deadline=None)
@given(
    labels=st.lists(st.integers(0, 6), min_size=20, max_size=80),
    copies=st.integers(0, 8),
    folds=st.sampled_from([2, 5, 10]),
    seed=st.integers(0, 99),
)
def test_folds_are_even_keep_groups_and_leave_no_class_without_samples(labels, copies, folds, seed):
    labels = np.array(labels)
    groups = np.append(np.arange(len(labels) - copies), np.arange(copies))  # the last ones are copies of the first
    labels[len(labels) - copies :] = labels[:copies]
    fold = fold_of(labels, folds, seed, groups)
    np.testing.assert_array_equal(fold, fold_of(labels, folds, seed, groups))
    counts = np.bincount(fold, minlength=folds)
    assert counts.min() > 0
    assert np.ptp(counts) <= 2  # a group has at most two samples
    for number, others in enumerate(others_of_folds(labels, folds, seed, groups)):
        assert not set(groups[others]) & set(groups[fold == number])
        several = [label for label in set(labels.tolist()) if len(set(groups[labels == label])) > 1]
        assert set(several) <= set(labels[others].tolist())


def test_the_loss_of_folds_counts_the_shares_of_the_classes():
    """Of a model that knows these shares and nothing else; with stratified folds its loss comes out too low."""
    random, samples, classes = np.random.default_rng(0), 40, 4

    def loss(of, labels):
        shares = (np.bincount(of, minlength=classes) + 0.5) / (len(of) + 0.5 * classes)
        return -np.log(shares[labels]).sum()

    by_folds, stratified, true = [], [], []
    for seed in range(1500):
        labels = random.integers(0, classes, samples)
        fold = fold_of(labels, 10, seed)
        in_turn = np.argsort(np.argsort(labels, kind="stable"), kind="stable") % 10
        for found, dealt in ((by_folds, fold), (stratified, in_turn)):
            found.append(sum(loss(labels[dealt != f], labels[dealt == f]) for f in range(10)) / samples)
        true.append(loss(labels[:36], np.arange(classes)) / classes)
    error = np.std(np.subtract(by_folds, true)) / np.sqrt(len(true))
    assert abs(np.mean(by_folds) - np.mean(true)) < 3 * error
    assert np.mean(stratified) < np.mean(true) - 6 * error


def test_fewer_different_samples_than_folds_are_refused():
    with pytest.raises(InputError, match="copies of 4, and 5 folds"):
        fold_of(np.tile([0, 1], 10), 5, 0, np.tile(np.arange(4), 5))


def test_copies_are_found_to_the_bit_and_by_content_whatever_the_label():
    x = np.random.default_rng(0).normal(size=(5, 3))
    features = x[[0, 1, 0, 2, 1, 3]]
    np.testing.assert_array_equal(copies_in_features(features), [0, 1, 0, 2, 1, 3])
    features[2, 1] = np.nextafter(features[2, 1], np.inf)
    np.testing.assert_array_equal(copies_in_features(features), [0, 1, 2, 3, 1, 4])
    data = TensorDataset(torch.from_numpy(features), torch.arange(6) % 2)
    problem = Problem(nn.Linear(3, 2).double(), data, seed=1)
    groups = copies_in_problem(problem)
    for position, row in enumerate(problem.index):
        same = copies_in_features(features)
        assert {int(problem.index[other]) for other in np.flatnonzero(groups == groups[position])} == set(
            np.flatnonzero(same == same[row])
        )


@pytest.mark.deep
def test_with_copies_in_one_fold_the_level_is_that_of_new_samples():
    """Mean over 12 draws of 60 samples copied five times; each copied sample elsewhere lowers the loss by a third."""
    random = np.random.default_rng(0)
    new_x, new_y = drawn(20_000, random)
    levels = []
    for _ in range(12):
        x, y = (np.concatenate([part] * 5) for part in drawn(60, random))
        head = fit_head(x, CrossEntropy(y, 3), 3, 0.1)
        groups = copies_in_features(x)
        kept, apart = (head.loss.values(out_of_fold(head, y, groups=of)).mean() for of in (groups, None))
        levels.append((CrossEntropy(new_y, 3).values(head.predict(new_x)).mean(), kept, apart))
        assert different_samples(groups) == 60
    true, kept, apart = np.mean(levels, 0)
    error = np.std([level[1] - level[0] for level in levels], ddof=1) / np.sqrt(12)
    assert abs(kept - true) < 3 * error
    assert apart < true - 5 * error


def test_the_error_of_a_mean_is_that_of_different_samples():
    """Against the spread of means of 40 values that are each there one to four times."""
    random = np.random.default_rng(0)
    groups = np.repeat(np.arange(40), random.integers(1, 5, 40))
    draws = random.normal(size=(4000, 40))[:, groups]
    errors = [standard_error(values, groups) for values in draws]
    assert np.mean(np.square(errors)) == pytest.approx(draws.mean(1).var(), rel=0.1)
    values = random.normal(size=30)
    assert standard_error(values, np.arange(30)) == pytest.approx(standard_error(values), rel=1e-12)


def test_repeats_of_few_values_are_ordinary_and_copies_are_not():
    random = np.random.default_rng(0)
    assert are_ordinary((random.random((400, 9)) < 0.2).astype(float))
    assert not are_ordinary(np.tile(random.normal(size=(80, 6)), (5, 1)))
    assert not are_ordinary(np.tile((random.random((80, 40)) < 0.3).astype(float), (5, 1)))
    assert not are_ordinary(random.normal(size=(50, 3)))
    groups = np.array([0, 0, 1, 1])
    assert (different_samples(groups), different_samples(groups, ordinary=True)) == (2, 4)


def test_what_is_said_of_copies():
    labels = np.arange(100) % 2
    assert about_copies(np.arange(100), labels) is None
    few = about_copies(np.append(np.arange(98), [0, 2]), labels)
    assert (few.code, few.severity) == ("SUF015", "note")
    assert (
        few.what == "2 of 100 samples are copies of others (2 of 98 contents more than once, 1 with different labels)"
    )
    many = about_copies(np.arange(100) // 2, np.zeros(100, dtype=int))
    assert (many.code, many.severity) == ("SUF016", "warning")
    assert "counted as 50" in many.remedy
    assert "label" not in many.remedy
    ordinary = about_copies(np.arange(100) // 2, np.zeros(100, dtype=int), ordinary=True)
    assert "few values are possible" in ordinary.what
    assert "Each is counted" in ordinary.remedy


def test_copies_that_contradict_each_other_are_why_there_is_no_forecast():
    random = np.random.default_rng(0)
    x = np.repeat(random.normal(size=(60, 4)), 2, axis=0)
    curve = forecast_head(x, np.arange(120) % 2, [240], l2=0.01)
    assert curve.status == "cannot_tell"
    first, *others = curve.findings
    assert (first.code, first.severity) == ("SUF032", "error")
    assert first.what.startswith("60 of 120 samples contradict their copies")
    assert "right on more than 50.0%" in first.what
    assert any(finding.severity == "error" for finding in others)
    assert curve.explanation.startswith("60 of 120 samples contradict their copies")


def test_few_contradictions_and_those_of_a_forecast_that_there_is_stop_nothing():
    groups, labels = np.arange(200) // 2, np.repeat(np.arange(100) % 2, 2)
    assert about_contradiction(groups, labels) is None
    some = np.where(np.arange(200) < 20, np.arange(200) % 2, labels)
    assert about_contradiction(groups, some) is None
    assert about_contradiction(groups, np.where(np.arange(200) < 22, np.arange(200) % 2, labels)).code == "SUF032"
    # of one content all count but those with its most frequent label
    assert "2 of 9 samples contradict their" in about_contradiction(np.repeat([0, 1], [5, 4]), THREE).what
    random = np.random.default_rng(0)
    x = random.normal(size=(200, 4))
    y = (2 * x[:, 0] + random.logistic(size=200) > 0).astype(int)
    doubled = np.concatenate([y, np.where(random.random(200) < 0.12, 1 - y, y)])
    curve = forecast_head(np.tile(x, (2, 1)), doubled, [800], l2=0.01)
    assert curve.status == "extrapolated"
    assert "SUF032" not in {finding.code for finding in curve.findings}


def test_copies_narrow_no_interval():
    random = np.random.default_rng(0)
    x = random.normal(size=(150, 4))
    y = (x[:, 0] + random.logistic(size=150) > 0).astype(int)
    alone, copied = (
        forecast_head(np.tile(x, (times, 1)), np.tile(y, times), [150, 600], l2=0.01, metrics=["AUROC"])
        for times in (1, 4)
    )
    assert copied.samples == alone.samples == 150
    for one, other in (
        (alone.loss, copied.loss),
        (alone.accuracy, copied.accuracy),
        (alone.metrics["AUROC"], copied.metrics["AUROC"]),
    ):
        assert other.high - other.low == pytest.approx(one.high - one.low, rel=0.25)


def test_groups_with_several_labels_leave_no_class_without_samples_either():
    random = np.random.default_rng(0)
    for seed in range(50):
        groups, labels = random.integers(0, 12, 300), random.choice(2, 300)
        labels[np.isin(groups, random.choice(12, 2, replace=False)) & (random.random(300) < 0.2)] = 2
        fold = fold_of(labels, 2, seed, groups)
        for label in range(3):
            if len(set(groups[labels == label])) > 1:
                assert len(set(fold[labels == label])) == 2


def test_errors_and_the_smallest_class_count_all_samples_of_a_group():
    x, y = drawn(300, np.random.default_rng(0))
    patients = np.arange(300) // 25
    with_groups, without = (
        curve_of(measure_head(x, y, 0.01, groups=groups), [600]).findings for groups in (patients, None)
    )
    assert not {"SUF017", "SUF018", "SUF019", "SUF029"} & {finding.code for finding in with_groups}
    assert not {"SUF017", "SUF018", "SUF019", "SUF029"} & {finding.code for finding in without}
