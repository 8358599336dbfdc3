"""How means settle where samples have weights: as ratios of two sums, by brute force, by simulation, and refused."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from torch import nn
from torch.utils.data import TensorDataset

from suffice import Convergence, InputError, Ledger, Probes, Problem, forecast, record
from suffice.curvature import Spreads, per_sample, spreads, tangent_kernel
from suffice.landscape import Spread

SEEDS = st.integers(0, 2**32 - 1)
SIZES = np.array([20, 21, 30, 39])


def drawn(seed, samples=40, probes=2):
    """Losses, and numbers of tokens: long answers have lower losses."""
    draw = np.random.default_rng(seed)
    tokens = 1 + draw.poisson(9, samples) * draw.integers(1, 4, samples)
    losses = 1 + 10 / (3 + tokens[:, None]) + 0.3 * draw.normal(size=(samples, probes))
    return losses, tokens


def token_mean(losses, tokens):
    return (tokens[:, None] * losses).sum(0) / tokens.sum()


@given(seed=SEEDS, data=st.data())
def test_one_more_sample_moves_the_mean_by_its_share_of_the_tokens(ledger_of, seed, data):
    """L_{k+1} - L_k = n_{k+1} (l_{k+1} - L_k) / N_{k+1}, exactly and from the first sample on."""
    losses, tokens = drawn(seed)
    ledger = ledger_of(losses, order="shuffled", seed=1, sample_weights=tokens)
    order = np.array(data.draw(st.permutations(range(40))))
    sizes = [1, 2, 7, 39]
    rows, counts = losses[ledger.index], tokens[ledger.index]
    assert_array_equal(ledger.sample_weights, counts)
    means = np.array([token_mean(rows[:k], counts[:k]) for k in range(1, 41)])
    assert_allclose(ledger.prefix_means(range(1, 41)), means, rtol=1e-13)
    curves = Convergence(ledger, resamples=2)
    assert_allclose(curves.in_order(sizes), np.abs(means[sizes] - means[np.array(sizes) - 1]), atol=1e-14)
    rows, counts = rows[order], counts[order]
    shares = [counts[k] * np.abs(rows[k] - token_mean(rows[:k], counts[:k])) / counts[: k + 1].sum() for k in sizes]
    assert_allclose(curves.in_order(sizes, order), shares, rtol=1e-12, atol=1e-15)


@given(seed=SEEDS, value=st.sampled_from([1, 1.0, 7]))
def test_equal_weights_are_none_to_the_bit(ledger_of, seed, value):
    losses, _ = drawn(seed)
    plain, equal = (
        Convergence(Ledger(ledger_of(losses)._shards, np.arange(40), weights), resamples=20)
        for weights in (None, np.full(40, float(value)))
    )
    if value == 1:
        assert_array_equal(equal.in_order([1, 5]), plain.in_order([1, 5]))
        assert_array_equal(equal.difference(SIZES), plain.difference(SIZES))
        assert equal.sufficient_size(0.1) == plain.sufficient_size(0.1)
        assert equal.plain() == plain.plain()
        assert_array_equal(equal.ledger.prefix_means([3, 9]), plain.ledger.prefix_means([3, 9]))
        assert_array_equal(equal.ledger.variances(), plain.ledger.variances())
    assert equal.sample.variance == plain.sample.variance
    assert equal.sample.interval(0.9, relative=True) == plain.sample.interval(0.9, relative=True)
    assert_allclose(equal.in_order(SIZES), plain.in_order(SIZES), rtol=1e-13)


def test_the_variance_is_that_of_the_ratio(ledger_of):
    """Of the mean over the tokens of k fresh samples, by many draws; that of n l / n-bar is several times as large."""
    draw = np.random.default_rng(0)

    def fresh(*shape):
        tokens = 5 + draw.poisson(12, shape) * draw.integers(1, 4, shape)
        return tokens, 2 + 8 / tokens + 0.3 * draw.normal(size=shape)

    tokens, losses = fresh(100_000)
    for k, within in ((20, 0.05), (200, 0.03)):
        n, l = fresh(20_000, k)  # noqa: E741
        simulated = ((n * l).sum(1) / n.sum(1)).var()
        spread = Spread(losses[:, None], 2, 0, tokens.astype(float))
        assert spread.variance / k / simulated == pytest.approx(1, abs=within)
        assert (tokens * losses / tokens.mean()).var() / k / simulated > 5
    assert_allclose(spread.center_loss, (tokens * losses).sum() / tokens.sum(), rtol=1e-12)
    curves = Convergence(ledger_of(losses[:2000, None], sample_weights=tokens[:2000]), resamples=2)
    assert curves.remaining([20], population=True)[0] ** 2 == pytest.approx(spread.variance / 20, rel=0.15)
    assert_allclose(curves.ledger.variances()[0], curves.sample.variances[0], rtol=1e-10)


def test_one_more_sample_changes_the_mean_as_the_formula_says_to_first_order(ledger_of):
    losses, tokens = drawn(0, samples=400, probes=1)
    curves = Convergence(ledger_of(losses, sample_weights=tokens), resamples=2)
    draw = np.random.default_rng(1)
    orders = np.array([draw.permutation(400) for _ in range(4000)])
    n = tokens[orders]
    means = (n * losses[orders, 0]).cumsum(1) / n.cumsum(1)
    for k in (20, 100, 300):
        steps, distances = means[:, k] - means[:, k - 1], means[:, k - 1] - means[:, -1]
        assert np.sqrt((steps**2).mean()) == pytest.approx(curves.difference([k])[0], rel=0.05)
        assert np.sqrt((distances**2).mean()) == pytest.approx(curves.remaining([k])[0], rel=0.05)


def naive_interval(losses, tokens, resamples, seed, confidence, relative):
    """The bootstrap-t interval of the logarithm, draw by draw, with influence values by numerical differentiation."""
    draw, samples = np.random.default_rng(seed), len(losses)

    def spread_and_mean(counts):
        n = counts * tokens
        means = (n[:, None] * losses).sum(0) / n.sum()
        relative_weights = tokens / (n.sum() / counts.sum())
        deviations = relative_weights[:, None] * (losses - means)
        return (counts[:, None] * deviations**2).sum(0).mean() / counts.sum(), means[0]

    everything, step = np.ones(samples), 1e-4
    influence = np.empty((samples, 2))  # of each sample on the spread and on the mean
    for row in range(samples):
        ends = [spread_and_mean(everything + sign * step * (np.arange(samples) == row)) for sign in (1, -1)]
        influence[row] = samples * (np.array(ends[0]) - ends[1]) / (2 * step)
    factor = samples / (samples - 1)

    def log_estimate(counts):
        here, loss = spread_and_mean(counts)
        return np.log(factor * here) - (2 * np.log(loss) if relative else 0)

    def error(counts):
        here, loss = spread_and_mean(counts)
        total = influence[:, 0] / (factor * here) - (2 * influence[:, 1] / loss if relative else 0)
        return np.sqrt(np.cov(total, fweights=counts.astype(int), ddof=0) / samples)

    t = []
    for _ in range(resamples):
        counts = np.bincount(draw.integers(samples, size=samples), minlength=samples).astype(float)
        t.append((log_estimate(counts) - log_estimate(everything)) / error(counts))
    tail = (1 - confidence) / 2
    ends = log_estimate(everything) - error(everything) * np.quantile(t, [1 - tail, tail], method="inverted_cdf")
    return np.exp([min(ends[0], log_estimate(everything)), max(ends[1], log_estimate(everything))])


@given(seed=SEEDS, probes=st.integers(1, 3), relative=st.booleans())
def test_the_interval_equals_a_naive_bootstrap_of_the_same_draws(seed, probes, relative):
    losses, tokens = drawn(seed, 25, probes)
    found = Spread(losses, 40, seed, tokens.astype(float)).interval(0.8, relative)
    assert_allclose(found, naive_interval(losses, tokens, 40, seed, 0.8, relative), rtol=1e-4)


@pytest.mark.deep
def test_the_interval_covers_the_spread():
    """Of 300 data sets of 100 samples; benchmarks/coverage.py has the coverage of equal weights."""
    losses, tokens = drawn(0, samples=200_000, probes=1)
    truth, inside = Spread(losses, 2, 0, tokens.astype(float)).variance, 0
    for rows in np.arange(30_000).reshape(300, 100):
        low, high = Spread(losses[rows], 200, 0, tokens[rows].astype(float)).interval(0.9, relative=False)
        inside += low < truth < high
    assert 0.83 * 300 < inside < 0.96 * 300


def test_sorted_tokens_and_losses_are_not_exchangeable(ledger_of):
    losses, tokens = drawn(0)
    rising = np.argsort(losses[:, 0])
    sorted_ones = Convergence(
        ledger_of(losses[rising], order="shuffled", seed=2, sample_weights=tokens[rising]), resamples=2
    )
    assert sorted_ones.exchangeability() == pytest.approx(0.005)
    assert Convergence(ledger_of(losses, sample_weights=tokens), resamples=2).exchangeability() > 0.05


def test_sizes_begin_at_20(ledger_of):
    losses, tokens = drawn(0)
    curves = Convergence(ledger_of(losses, sample_weights=tokens), resamples=20)
    assert (curves.log_sizes()[0], curves.plain().sizes[0]) == (20, 20)
    for curve in (curves.difference, curves.remaining, curves.null):
        assert len(curve([20, 39])) == 2
        with pytest.raises(
            InputError, match="sizes must be 20 to 39, less than the 40 samples, as of samples with wei"
        ):
            curve([19])
    assert curves.band([1, 20], orders=5).shape == (2, 2)
    found = curves.sufficient_size(0.5)
    assert (found.status, found.size) == ("cannot_tell", None)
    assert "fewer than 20 by the formula" in found.explanation
    assert curves.sufficient_size(0.01).status == "extrapolated"
    with pytest.raises(InputError, match="20 samples with weights: curves begin at 20"):
        Convergence(ledger_of(losses[:20], sample_weights=tokens[:20]))
    with pytest.raises(InputError, match="one ledger have weights and those of the other none"):
        Convergence(ledger_of(losses, sample_weights=tokens), ledger_of(losses))
    with pytest.raises(InputError, match="no typical bound for samples with weights"):
        curves.typical_bound(Spreads(1.0, 1.0, 1.0, 0.0, 1.0), 0.1, [20])


@pytest.fixture
def problem():
    torch.manual_seed(0)
    data = TensorDataset(torch.randn(30, 4), torch.randint(3, (30,)))
    return Problem(nn.Linear(4, 3), data, sample_weights=np.arange(1, 31))


@pytest.mark.parametrize(
    ("what", "run"),
    {
        "spreads": spreads,
        "projections of each sample": lambda problem: per_sample(problem, torch.eye(15)[:, :2]),
        "the tangent kernel": lambda problem: tangent_kernel(problem, 0.1),
        "forecasts of a trained model": lambda problem: forecast(problem, [60], holdout=problem.dataset),
        "other samples": lambda problem: problem.elsewhere(problem.dataset),
    }.items(),
)
def test_what_weighs_all_samples_alike_is_refused(problem, what, run):
    with pytest.raises(InputError, match=f"^{what}.*: not for samples with weights, as those of --unit token"):
        run(problem)
    assert not problem.unweighted().is_weighted


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (np.ones(29), r"of shape \(29,\): give one weight for each of the 30 samples"),
        (np.arange(30), "that of row 0 is 0, and it must be positive"),
        (np.full(30, np.nan), "that of row 0 is nan"),
    ],
)
def test_weights_that_are_none(problem, given, said):
    with pytest.raises(InputError, match=said):
        Problem(problem.model, problem.dataset, sample_weights=given)


def test_a_store_keeps_the_weights(problem, tmp_path):
    """A store of samples that count alike is as it was without weights, and one of others is refused."""
    probes = Probes.sphere(problem, count=1)
    found = record(problem, probes, tmp_path / "weighted")
    opened = Ledger.open(tmp_path / "weighted")
    assert_array_equal(opened.sample_weights, problem.sample_weights)
    assert_array_equal(opened.at([1]).prefix_means([5, 30]), found.prefix_means([5, 30])[:, 1:])
    with pytest.raises(InputError, match="weights of samples"):
        record(problem.unweighted(), probes, tmp_path / "weighted")
    record(problem.unweighted(), probes, tmp_path / "plain")
    assert not (tmp_path / "plain" / "sample_weights.npy").exists()
    assert_array_equal(Ledger.open(tmp_path / "plain").sample_weights, np.ones(30))
    (tmp_path / "weighted" / "sample_weights.npy").write_bytes(b"")
    with pytest.raises(InputError, match="sample_weights.npy is missing or damaged"):
        Ledger.open(tmp_path / "weighted")
