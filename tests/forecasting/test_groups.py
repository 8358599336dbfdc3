"""Samples that come in groups: the slope counts that those of one resemble each other."""

import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from suffice import InputError, forecast_head
from suffice.forecasting import measure_head, measure_regression
from suffice.forecasting.estimators import estimators_of
from suffice.forecasting.head import fit_head
from suffice.forecasting.losses import CrossEntropy, SquaredError
from suffice.forecasting.slopes import design_effect

COLUMNS, EACH, GROUPS, PENALTY = 8, 5, 60, 1e-2
ALIKE, NOISE_ALIKE = 0.7, 0.6
"""Correlations within a group, of inputs and of noise: gradients then correlate by their product."""


def drawn(random, groups, kind):
    of = np.repeat(np.arange(groups), EACH)
    x = np.sqrt(ALIKE) * random.normal(size=(groups, COLUMNS))[of]
    x += np.sqrt(1 - ALIKE) * random.normal(size=x.shape)
    noise = np.sqrt(NOISE_ALIKE) * random.normal(size=(groups, 1))[of]
    noise += np.sqrt(1 - NOISE_ALIKE) * random.normal(size=noise.shape)
    y = x.sum(1, keepdims=True) / 2 + noise
    return x, y if kind == "squared" else (y[:, 0] > 0).astype(int), of


def loss_of(y, kind):
    return SquaredError(y) if kind == "squared" else CrossEntropy(y, 2)


@pytest.mark.deep
@pytest.mark.parametrize("kind", ["squared", "cross_entropy"])
def test_slopes_are_those_of_retrainings_on_more_groups(kind):
    random = np.random.default_rng(0)
    others, truth, _ = drawn(random, 10_000, kind)

    def test_loss(groups, count):
        losses = []
        for _ in range(count):
            x, y, _ = drawn(random, groups, kind)
            head = fit_head(x, loss_of(y, kind), 1 if kind == "squared" else 2, PENALTY)
            losses.append(loss_of(truth, kind).values(head.predict(others)).mean())
        return np.mean(losses), np.std(losses) / np.sqrt(count)

    now, later = test_loss(GROUPS, 120), test_loss(2 * GROUPS, 80)
    slope = (now[0] - later[0]) * 2 * GROUPS * EACH
    error = np.hypot(now[1], later[1]) * 2 * GROUPS * EACH
    measure = measure_regression if kind == "squared" else measure_head
    found = {"calibrated": [], "noise": []}
    ungrouped = []
    for seed in range(16):
        x, y, of = drawn(random, GROUPS, kind)
        slopes = estimators_of(measure(x, y, PENALTY, seed, groups=of), seed)
        for name, values in found.items():
            values.append(slopes[name].slope.value)
        ungrouped.append(estimators_of(measure(x, y, PENALTY, seed), seed)["calibrated"].slope.value)
    for values in found.values():
        assert abs(np.mean(values) - slope) < 3 * np.hypot(error, np.std(values) / 4) + 0.1 * slope
    assert np.mean(ungrouped) < 0.75 * slope  # what is said where the groups are not known


@given(st.integers(2, 6), st.integers(0, 1000))
def test_the_design_effect_of_equal_samples_is_their_number(copies, seed):
    random = np.random.default_rng(seed)
    x, y = random.normal(size=(150, 4)), random.integers(0, 3, 150)
    of = np.repeat(np.arange(150), copies)
    head = fit_head(x[of], CrossEntropy(y[of], 3), 3, 0.01)
    assert design_effect(head, head.outputs, of, seed=seed) == pytest.approx(copies, rel=0.25)
    # where copies count as one sample, groups of copies alone are no groups
    assert design_effect(head, head.outputs, of, contents=of, seed=seed) == pytest.approx(1, abs=1e-9)


def test_random_traces_are_near_the_exact_ones(monkeypatch):
    x, y, of = drawn(np.random.default_rng(3), 200, "cross_entropy")
    head = fit_head(x, CrossEntropy(y, 2), 2, PENALTY)
    exact = design_effect(head, head.outputs, of)
    assert exact > 1.2
    monkeypatch.setattr(sys.modules["suffice.forecasting.slopes.design_effect"], "EXACT", 0)
    drawn_ones = [design_effect(head, head.outputs, of, seed=seed) for seed in range(12)]
    assert np.mean(drawn_ones) == pytest.approx(exact, rel=0.1)


@pytest.mark.deep
@given(st.integers(0, 1000))
def test_groups_of_one_sample_change_nothing(seed):
    random = np.random.default_rng(seed)
    x = random.normal(size=(120, 4))
    y = (x[:, 0] + random.logistic(size=120) > 0).astype(int)
    head = fit_head(x, CrossEntropy(y, 2), 2, 0.01)
    assert design_effect(head, head.outputs, random.permutation(120), seed=seed) == pytest.approx(1, abs=1e-9)
    alone = forecast_head(x, y, [240], l2=0.01, groups=np.arange(120))
    plain = forecast_head(x, y, [240], l2=0.01)
    assert (alone.slope, alone.status) == (plain.slope, plain.status)
    np.testing.assert_array_equal(alone.loss.mean, plain.loss.mean)


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        (["a"] * 119, "groups are one name or number a sample, (120,), not (119,)"),
        (["a"] * 120, "all samples are of one group"),
        (["a", "b"] * 60, "120 samples in groups or copies of 2, and 5 folds are needed"),
    ],
)
def test_groups_that_cannot_be_used_are_refused(groups, message):
    random = np.random.default_rng(0)
    x, y = random.normal(size=(120, 4)), random.integers(0, 2, 120)
    with pytest.raises(InputError) as refused:
        forecast_head(x, y, [240], groups=groups)
    assert message in str(refused.value)
