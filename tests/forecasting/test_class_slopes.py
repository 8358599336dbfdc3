"""What more samples of one class bring: against dense matrices, and against many retrainings with weights."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import log_softmax

from suffice.forecasting import class_slopes_of, classes, measure_head
from suffice.forecasting.classes import OF_CLASSES, ClassSlopes, class_slopes, class_slopes_of_gaps
from suffice.forecasting.head import fit_head
from suffice.forecasting.losses import CrossEntropy, SquaredError
from suffice.forecasting.slopes import sandwich_slope
from suffice.forecasting.slopes.traces import draws


def averaged(*arguments, seeds):
    """The slopes of the classes as means over seeds, with the errors of these."""
    found = np.array([class_slopes(*arguments, seed).values for seed in range(seeds)])
    return found.mean(0), found.std(0, ddof=1) / np.sqrt(seeds)


def classified(samples=90, columns=4, classes=3, seed=0):
    """Classes of unequal shares, of which the last is hard to tell."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(samples, columns))
    return x, (2 * x[:, :classes] + [0.5, 0.0, -0.5] + random.gumbel(size=(samples, classes))).argmax(1)


@pytest.mark.parametrize("l2", [0.003, 0.1])
def test_the_slopes_are_those_of_dense_matrices_and_add_up_to_the_noise_within_classes(l2):
    """Every term written out, the third derivative by finite differences."""
    x, y = classified()
    classes, samples = 3, len(y)
    head = fit_head(x, CrossEntropy(y, classes), classes, l2)
    outputs = head.outputs + np.random.default_rng(1).normal(size=head.outputs.shape)

    def hessians_at(weights):
        p = np.exp(log_softmax(head.features @ weights, axis=1))
        each = np.einsum("na,ab->nab", p, np.eye(classes)) - p[:, :, None] * p[:, None, :]
        matrices = np.einsum("nr,nab,ns->nrasb", head.features, each, head.features)
        return matrices.reshape(samples, weights.size, weights.size)

    hessians = hessians_at(head.weights)
    loss = hessians.mean(0)
    inverse = np.linalg.inv(loss + l2 * np.eye(len(loss)))
    bias = inverse @ (l2 * head.weights.reshape(-1))
    step = 1e-5 * bias.reshape(head.weights.shape)
    third = (hessians_at(head.weights + step) - hessians_at(head.weights - step)).mean(0) / 2e-5
    residuals = np.exp(log_softmax(outputs, axis=1)) - np.eye(classes)[y]
    gradients = (head.features[:, :, None] * residuals[:, None, :]).reshape(samples, -1)

    def cost(gradients, bent):
        """Of the noise of one gradient."""
        gradients, bent = gradients - gradients.mean(0), bent - bent.mean(0)
        covariance = gradients.T @ gradients / len(gradients)
        drift = np.mean(np.sum((bent @ inverse) * gradients, axis=1))
        return np.trace(inverse @ (loss + third) @ inverse @ covariance) / 2 - drift

    bent = hessians @ bias
    counts = np.bincount(y)
    within = np.array([cost(gradients[y == c], bent[y == c]) for c in range(classes)])
    values, errors = averaged(head, outputs, y, seeds=64)
    expected = (counts / samples) ** 2 * within * counts / (counts - 1)
    assert (np.abs(values - expected) < 4 * errors).all()
    assert (errors < 0.05 * expected).all()

    means = np.array([gradients[y == c].mean(0) for c in range(classes)])[y]
    bent_means = np.array([bent[y == c].mean(0) for c in range(classes)])[y]
    slopes = [sandwich_slope(head, outputs, seed) for seed in range(16)]
    of_noise = np.mean([slope.value for slope in slopes]) - cost(means, bent_means)
    error = np.hypot(np.std([slope.value for slope in slopes]) / 4, np.linalg.norm(errors / counts) * samples)
    assert abs((values * (counts - 1) / counts**2).sum() * samples - of_noise) < 4 * error


@pytest.mark.deep
@pytest.mark.parametrize("l2", [0.002, 0.6])
def test_more_of_one_class_brings_ridge_regression_what_weighted_retrainings_say(l2):
    """Classes of unequal shares, inputs and noise; of one at a time there are twice as many, tested exactly."""
    counts, noises, retrainings = np.array([60, 120, 240]), np.array([2.0, 1.0, 0.5]), 6000
    spreads = np.array([[1.0, 1.0, 1.0, 1.0], [1.5, 0.5, 1.0, 1.0], [0.5, 1.0, 1.0, 1.5]])
    truth = np.array([1.0, -0.5, 0.5, 1.0])
    shares = counts / counts.sum()
    random = np.random.default_rng(0)

    def moments(name, repeats, count):
        x = random.normal(size=(repeats, count, 4)) * spreads[name]
        y = x @ truth + noises[name] * random.normal(size=(repeats, count))
        return x.swapaxes(1, 2) @ x, np.einsum("rnd,rn->rd", x, y)

    def loss(of_classes):
        """Mean test loss of each retraining on means over the classes' samples, less the noise."""
        squares = sum(share * of_class[0] for share, of_class in zip(shares, of_classes, strict=True))
        products = sum(share * of_class[1] for share, of_class in zip(shares, of_classes, strict=True))
        off = np.linalg.solve(squares + l2 / 2 * np.eye(4), products[:, :, None])[:, :, 0] - truth
        return np.square(off) @ (shares @ np.square(spreads))

    once = [moments(name, retrainings, count) for name, count in enumerate(counts)]
    more = [moments(name, retrainings, count) for name, count in enumerate(counts)]
    before = [(squares / count, products / count) for (squares, products), count in zip(once, counts, strict=True)]
    falls = []
    for name, count in enumerate(counts):
        after = list(before)
        after[name] = tuple((had + new) / (2 * count) for had, new in zip(once[name], more[name], strict=True))
        falls.append(loss(before) - loss(after))

    labels = np.repeat(np.arange(3), 60 * counts)
    x = random.normal(size=(len(labels), 4)) * spreads[labels]
    y = x @ truth + noises[labels] * random.normal(size=len(labels))
    head = fit_head(x, SquaredError(y[:, None]), 1, l2)
    values, of_draws = averaged(head, head.outputs, labels, seeds=24)
    # s_c is of the shares, not of how many samples there are
    gains = values / counts / 2
    errors = np.hypot(np.std(falls, axis=1) / np.sqrt(retrainings), of_draws / counts / 2)
    assert (np.abs(gains - np.mean(falls, axis=1)) < 4 * errors).all(), (gains, np.mean(falls, axis=1), errors)
    assert (errors < 0.15 * np.abs(gains)).all(), (gains, errors)


def test_gains_are_those_of_the_formula():
    slopes = ClassSlopes(np.array([20, 80]), np.array([0.4, 1.6]), np.array([0.1, 0.2]))
    assert slopes.alone(20) == pytest.approx([0.4 / 40, 1.6 * (1 / 80 - 1 / 100)])
    assert slopes.alike(100) == pytest.approx((0.4 / 20 + 1.6 / 80) / 2)
    times, errors = slopes.times
    many = ClassSlopes(1_000_000 * slopes.counts, slopes.values, slopes.errors)
    assert times == pytest.approx(many.alone(1) / many.alike(1), rel=1e-3)
    drawn = np.random.default_rng(0).normal(slopes.values, slopes.errors / 100, (4000, 2))
    others = [ClassSlopes(slopes.counts, values, slopes.errors).times[0] for values in drawn]
    assert 100 * np.std(others, axis=0) == pytest.approx(errors, rel=0.05)


def test_the_errors_are_how_far_slopes_of_other_samples_are():
    found = []
    for seed in range(30):
        x, y = classified(300, seed=seed)
        head = fit_head(x, CrossEntropy(y, 3), 3, 0.03)
        found.append(class_slopes(head, head.outputs, y).times)
    spread = np.std([times for times, _ in found], axis=0, ddof=1)
    errors = np.mean([errors for _, errors in found], axis=0)
    assert np.abs(np.log(errors / spread)).max() < 0.5


def test_two_samples_of_a_class_have_an_error_as_large_as_their_slope():
    x, y = classified(60)
    y = np.where(np.arange(60) < 2, 3, y)
    slopes = class_slopes_of(measure_head(x, y, 0.1), slope=1.0)
    assert slopes.counts[3] == 2
    assert slopes.errors[3] == pytest.approx(abs(slopes.values[3]))


def test_gaps_tell_the_slopes_of_least_squares():
    """Classes with the same inputs and other noise: exactly, V_c is 5 / 2 times the variance of the noise."""
    random = np.random.default_rng(0)
    noises, labels = np.array([0.5, 1.0, 2.0]), np.repeat(np.arange(3), [1500, 1000, 500])

    shares = np.bincount(labels) / len(labels)
    slope = 5 / 2 * float(shares @ np.square(noises))
    found = []
    for _ in range(40):
        x = random.normal(size=(len(labels), 5))
        y = x.sum(1) + noises[labels] * random.normal(size=len(labels))
        own = np.square(y - x @ np.linalg.lstsq(x, y, rcond=None)[0]) / 2
        left_out = own / np.square(1 - np.einsum("nr,rs,ns->n", x, np.linalg.inv(x.T @ x), x))
        found.append(class_slopes_of_gaps((own, labels), (left_out, labels), slope).values)
    expected = shares**2 * 5 / 2 * np.square(noises)
    error = np.std(found, axis=0, ddof=1) / np.sqrt(len(found))
    assert (np.abs(np.mean(found, axis=0) - expected) < 4 * error).all()
    assert (error < 0.05 * expected).all()


@given(
    st.lists(st.tuples(st.integers(2, 50), st.floats(0.01, 1), st.floats(0.01, 1)), min_size=2, max_size=5),
    st.floats(0.1, 100),
)
def test_slopes_of_gaps_make_up_the_slope_of_all(classes, slope):
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(len(classes)), [count for count, _, _ in classes])
    own = np.concatenate([of_class * random.uniform(0.5, 1.5, count) for count, of_class, _ in classes])
    gaps = np.concatenate([gap * random.uniform(0.5, 1.5, count) for count, _, gap in classes])
    found = class_slopes_of_gaps((own, labels), (own + gaps, labels), slope)
    assert found.counts.tolist() == [count for count, _, _ in classes]
    assert found.alike(len(labels)) == pytest.approx(slope / len(labels) / 2)
    assert (found.values > 0).all()
    assert (found.errors >= found.values / np.sqrt(found.counts - 1) * (1 - 1e-9)).all()
    other = random.permutation(len(labels))
    again = class_slopes_of_gaps((own[other], labels[other]), ((own + gaps)[other], labels[other]), slope)
    assert again.values == pytest.approx(found.values)


def test_gaps_do_not_tell_where_a_class_is_not_among_the_others_or_the_model_does_no_better_on_its_own():
    labels, ones = np.array([0, 0, 1, 1]), np.ones(4)
    assert class_slopes_of_gaps((ones, labels), (ones[:3] + 1, labels[:3]), 1.0) is None
    assert class_slopes_of_gaps((ones, labels), (ones - 0.5, labels), 1.0) is None


@pytest.mark.deep
def test_blocks_of_samples_change_nothing_and_need_no_array_of_draws_samples_and_outputs(monkeypatch):
    random = np.random.default_rng(0)
    samples, outputs = 1500, 20
    y = np.arange(samples) % outputs
    x = random.normal(size=(outputs, 6))[y] + 2 * random.normal(size=(samples, 6))
    head = fit_head(x, CrossEntropy(y, outputs), outputs, 1e-2)
    assert head.mean_curvature  # and what else is computed once
    tracemalloc.start()
    try:
        found = class_slopes(head, head.outputs, y, seed=3)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    vectors = OF_CLASSES * draws(head)
    assert most < 0.5 * vectors * samples * outputs * 8

    def at_once(features, others=0):
        return [(slice(0, len(features)), features)]

    monkeypatch.setattr(classes, "blocks", at_once)
    whole = class_slopes(head, head.outputs, y, seed=3)
    np.testing.assert_allclose(found.values, whole.values, rtol=1e-12)
    np.testing.assert_allclose(found.errors, whole.errors, rtol=1e-12)
