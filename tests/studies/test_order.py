"""Orders of samples: nested, random, with every class in its share all along."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import example, given

from suffice.studies.order import smallest_with_all, stratified_order

LABELS = st.lists(st.integers(0, 5), min_size=1, max_size=80).map(np.array)
SEEDS = st.integers(0, 5)


@given(LABELS, SEEDS)
def test_each_sample_comes_once(labels, seed):
    assert np.array_equal(np.sort(stratified_order(labels, [seed])), np.arange(len(labels)))


@given(LABELS, SEEDS)
@example(np.array([0] * 90 + [1, 2, 3, 4, 5, 6]), 0)  # many rare classes
@example(np.repeat(np.arange(10), 30), 1)
def test_every_prefix_has_each_class_in_its_share_but_for_one_sample(labels, seed):
    ordered = labels[stratified_order(labels, [seed])]
    for label in np.unique(labels):
        share = (labels == label).mean() * np.arange(1, len(labels) + 1)
        assert np.abs(np.cumsum(ordered == label) - share).max() < 1 + 1e-9


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
