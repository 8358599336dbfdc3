"""Orders of samples: nested, random, with every class in its share all along."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import example, given

from suffice.training.order import smallest_with_all, stratified_order

LABELS = st.lists(st.integers(0, 5), min_size=1, max_size=80).map(np.array)
SEEDS = st.integers(0, 5)


@given(LABELS, SEEDS)
def test_each_sample_comes_once(labels, seed):
    assert np.array_equal(np.sort(stratified_order(labels, [seed])), np.arange(len(labels)))


@given(LABELS, SEEDS)
@example(np.array([0] * 90 + [1, 2, 3, 4, 5, 6]), 0)  # many rare classes
@example(np.repeat(np.arange(10), 30), 1)
def test_every_prefix_has_each_class_near_its_share(labels, seed):
    ordered = labels[stratified_order(labels, [seed])]
    classes = np.unique(labels)
    for label in classes:
        share = (labels == label).mean()
        off = np.abs(np.cumsum(ordered == label) - share * np.arange(1, len(labels) + 1)).max()
        # each class is at most half a sample off its own course, and so is each of the others
        assert off <= 0.5 * max(1.0, 1 + share * (len(classes) - 2)) + 1e-9


@given(st.integers(1, 12), st.integers(1, 12), SEEDS)
def test_classes_of_the_same_size_are_within_one_sample(classes, each, seed):
    labels = np.repeat(np.arange(classes), each)
    ordered = labels[stratified_order(labels, [seed])]
    counts = np.cumsum(ordered[:, None] == np.arange(classes), axis=0)
    assert (counts.max(1) - counts.min(1)).max() <= 1


def test_a_seed_decides_the_order_and_another_gives_another():
    labels = np.repeat(np.arange(3), 20)
    orders = [stratified_order(labels, seed) for seed in ([0, 1], [0, 1], [0, 2], [1, 1])]
    assert np.array_equal(orders[0], orders[1])
    assert len({tuple(order) for order in orders}) == 3


def test_the_samples_of_a_class_come_in_any_order():
    labels = np.zeros(6, dtype=np.int64)
    firsts = {stratified_order(labels, [seed])[0] for seed in range(60)}
    assert firsts == set(range(6))


@given(LABELS)
def test_shortest_prefix_with_all_classes_is_found(labels):
    lengths = range(1, len(labels) + 1)
    assert smallest_with_all(labels) == next(k for k in lengths if set(labels[:k]) == set(labels))


@pytest.mark.parametrize("size", [1, 7, 59])
def test_prefixes_of_an_order_are_nested(size):
    order = stratified_order(np.repeat(np.arange(3), 20), [4])
    assert set(order[:size]) < set(order[: size + 1])
