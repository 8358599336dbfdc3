"""The learning curve of a study of a language model whose test samples weigh by their tokens, against numpy."""

import numpy as np
import pytest
from scipy import stats

from suffice.studies import language_curve

SAMPLES = 40


def drawn(random, seeds, samples=SAMPLES, seed_error=0.1, growth=0.5):
    """Numbers of tokens, and losses at two sizes: long answers are harder, and gain more."""
    tokens = np.rint(np.exp(random.normal(3, 0.5, samples))).clip(1)
    shared = 1 + growth * np.log(tokens) + random.normal(0, 0.5, samples)
    tested = {}
    for seed in range(seeds):
        for size, gain in ((100, 0.0), (200, 0.2)):
            own = seed_error * random.normal() + random.normal(0, 0.4, samples)
            tested[size, seed] = (shared - gain * np.log(tokens) + own)[None]
    return tokens, tested


def ratio(losses, tokens):
    """Sum of the losses of all tokens over their number, and its standard error."""
    mean = (tokens * losses).sum() / tokens.sum()
    residuals = tokens * (losses - mean) / tokens.mean()
    return mean, np.sqrt(np.square(residuals).sum() / (len(tokens) - 1) / len(tokens))


def test_of_one_seed_the_interval_is_that_of_a_ratio():
    tokens, tested = drawn(np.random.default_rng(0), seeds=1)
    sizes, loss, perplexity, fall = language_curve(tested, tokens)
    z = stats.norm.ppf(0.95)
    for at, size in enumerate(sizes):
        mean, error = ratio(tested[size, 0][0], tokens)
        assert [loss.mean[at], loss.low[at], loss.high[at]] == pytest.approx([mean, mean - z * error, mean + z * error])
        assert perplexity.high[at] == pytest.approx(np.exp(mean + z * error))
    mean, error = ratio(tested[100, 0][0] - tested[200, 0][0], tokens)
    assert [fall.value, fall.low, fall.high] == pytest.approx([mean, mean - z * error, mean + z * error])


def test_of_several_seeds_it_has_the_errors_of_the_samples_and_of_the_seeds():
    tokens, tested = drawn(np.random.default_rng(1), seeds=4, seed_error=0.5)
    _, loss, _, _ = language_curve(tested, tokens)
    losses = np.stack([tested[100, seed][0] for seed in range(4)])
    of_seeds = losses @ tokens / tokens.sum()
    mean, sampling = ratio(losses.mean(0), tokens)
    rest = losses - of_seeds[:, None] - (losses.mean(0) - mean)
    noise = np.square(tokens / tokens.mean() * rest).sum() / (3 * (SAMPLES - 1)) / SAMPLES
    between = max(0, (of_seeds.var(ddof=1) - noise) / 4)
    half = np.sqrt((stats.norm.ppf(0.95) * sampling) ** 2 + stats.t.ppf(0.95, 3) ** 2 * between)
    assert [loss.mean[0], loss.low[0], loss.high[0]] == pytest.approx([mean, mean - half, mean + half])


def test_tokens_that_are_equally_many_change_nothing():
    _, tested = drawn(np.random.default_rng(2), seeds=2)
    plain, by_token = language_curve(tested), language_curve(tested, np.full(SAMPLES, 7.0))
    for end in ("mean", "low", "high"):
        assert getattr(by_token[1], end) == pytest.approx(getattr(plain[1], end), rel=1e-12)


@pytest.mark.deep
@pytest.mark.parametrize(("samples", "least"), [(20, 0.85), (100, 0.88), (400, 0.88)])
@pytest.mark.parametrize("seeds", [3, 8])
def test_intervals_hold_for_other_seeds_and_other_samples(samples, least, seeds):
    random, held, repeats = np.random.default_rng(seeds), np.zeros(2), 1000
    many = np.rint(np.exp(random.normal(3, 0.5, 2_000_000))).clip(1)
    log = np.average(np.log(many), weights=many)
    for _ in range(repeats):
        tokens, tested = drawn(random, seeds, samples)
        _, loss, _, fall = language_curve(tested, tokens)
        held += [loss.low[0] <= 1 + 0.5 * log <= loss.high[0], fall.low <= 0.2 * log <= fall.high]
    # as where samples count alike; with 20 of them the normal quantile is a little short
    assert least - 0.02 <= held[0] / repeats <= 0.94
    assert least - 0.02 <= held[1] / repeats <= 0.94
