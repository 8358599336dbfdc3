"""Forecasts with a penalty that changes with the size, against retrainings with that penalty."""

import numpy as np
import pytest
from scipy.optimize import brentq

from suffice import InputError, forecast_head
from suffice.forecasting import NoImprovement
from suffice.forecasting.penalty import choose_penalty, choose_regression_penalty
from suffice.forecasting.recipes import TENFOLD, AtPenalty, check_recipe

COLUMNS = 40
PILOT, AHEAD = 120, 960


def of_numbers(samples, seed):
    """A linear function of features of falling variance, and noise: the best penalty falls with the samples."""
    random = np.random.default_rng(seed)
    scales = np.arange(1, COLUMNS + 1) ** -0.5
    x = random.normal(size=(samples, COLUMNS)) * scales
    weights = np.random.default_rng(0).normal(size=COLUMNS)
    return x, x @ weights + 2 * random.normal(size=samples)


def of_classes(samples, seed):
    x, y = of_numbers(samples, seed)
    return x, (y > 0).astype(np.int64)


def mean_squared_error(samples, penalty_of, retrainings):
    """The expected squared error of ridge regression with an intercept, over trainings on so many samples."""
    scales, weights = np.arange(1, COLUMNS + 1) ** -0.5, np.random.default_rng(0).normal(size=COLUMNS)
    found = []
    for seed in range(retrainings):
        x, y = of_numbers(samples, seed)
        with_ones, mean = with_intercept(x), y.mean()
        system = with_ones.T @ with_ones / samples + penalty_of(with_ones, y) / 2 * np.eye(COLUMNS + 1)
        *fitted, constant = np.linalg.solve(system, with_ones.T @ (y - mean) / samples)
        found.append(np.square((fitted - weights) * scales).sum() + (constant + mean) ** 2 + 4)
    return np.mean(found)


def with_intercept(x):
    return np.hstack([x, np.ones((len(x), 1))])


def tuned(x, y):
    return choose_regression_penalty(x, ((y - y.mean()) / y.std())[:, None])


def gain(curve):
    return float(np.median(curve.loss.samples[:, 0] - curve.loss.samples[:, -1]))


@pytest.mark.deep
def test_forecasts_of_ridge_regression_are_those_of_retrainings_with_each_recipe():
    """Pilots of three samples a weight, to 8 times as many; the penalty at hand is chosen by folds."""
    recipes = ("fixed", "tuned", "per-sample")
    with_tuned = mean_squared_error(AHEAD, tuned, 6)
    told, true = {recipe: [] for recipe in recipes}, {recipe: [] for recipe in recipes}
    for seed in range(6):
        x, y = of_numbers(PILOT, 1000 + seed)
        at_hand = tuned(with_intercept(x), y)
        before, fixed, per_sample = (
            mean_squared_error(samples, lambda *_, penalty=penalty: penalty, 60)
            for samples, penalty in ((PILOT, at_hand), (AHEAD, at_hand), (AHEAD, at_hand * PILOT / AHEAD))
        )
        for recipe, after in zip(recipes, (fixed, with_tuned, per_sample), strict=True):
            told[recipe].append(gain(forecast_head(x, y, [PILOT, AHEAD], loss="squared", recipe=recipe)))
            true[recipe].append(before - after)
    for recipe in recipes:
        assert np.median(told[recipe]) == pytest.approx(np.median(true[recipe]), rel=0.3), recipe
    assert np.median(true["tuned"]) > 1.1 * np.median(true["fixed"])


@pytest.mark.deep
@pytest.mark.parametrize("recipe", ["tuned", "per-sample"])
def test_every_recipe_begins_where_the_fixed_one_is_and_a_tuned_penalty_is_not_worse(recipe):
    x, y = of_classes(PILOT, 0)
    fixed, other = (
        forecast_head(x, y, [PILOT, 2 * PILOT, AHEAD], recipe=recipe, metrics=["AUROC"]) for recipe in ("fixed", recipe)
    )
    assert other.recipe == recipe
    assert other.penalty == fixed.penalty
    np.testing.assert_array_equal(other.loss.samples[:, 0], fixed.loss.samples[:, 0])
    np.testing.assert_array_equal(other.accuracy.samples[:, 0], fixed.accuracy.samples[:, 0])
    if recipe == "tuned":
        assert (other.loss.mean <= fixed.loss.mean).all()
        assert (other.accuracy.mean >= fixed.accuracy.mean).all()
        assert (other.metrics["AUROC"].mean >= fixed.metrics["AUROC"].mean).all()
        assert other.loss.limit.mean < fixed.loss.limit.mean
    widths = [
        np.diff(np.quantile(np.log(curve.loss.samples[:, 0] - curve.loss.samples[:, 2]), [0.05, 0.95]))
        for curve in (fixed, other)
    ]
    assert widths[1] > widths[0]


@pytest.mark.deep
def test_a_curve_that_falls_farther_reaches_targets_with_fewer_samples_and_its_limit_later():
    x, y = of_classes(PILOT, 0)
    fixed, tuned = (forecast_head(x, y, [PILOT, AHEAD], recipe=recipe) for recipe in ("fixed", "tuned"))
    target = float(fixed.loss.mean[-1])
    assert tuned.sufficient_size(target_loss=target).size <= fixed.sufficient_size(target_loss=target).size
    assert tuned.sufficient_size(excess=0.01).size >= fixed.sufficient_size(excess=0.01).size
    assert tuned.explanation.endswith("with the penalty tuned again at each size.")


def test_the_penalty_that_none_was_given_is_the_one_that_folds_choose():
    x, y = of_classes(PILOT, 1)
    chosen = choose_penalty(with_intercept(x), y)
    assert forecast_head(x, y, [AHEAD]).penalty == chosen
    assert forecast_head(x, y, [AHEAD], l2=0.02, recipe="per-sample").penalty == 0.02


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("tuned", 0.1, "auto"), "the recipe tuned chooses the penalty at each size: leave l2 out"),
        (("tunned", None, "auto"), 'recipe = "tunned": must be one of fixed, tuned, per-sample; did you mean "tuned"'),
        (("per-sample", 0.1, NoImprovement(60)), "the recipe per-sample goes with the name of an estimator"),
    ],
)
def test_what_does_not_go_together_is_refused(given, said):
    with pytest.raises(InputError, match=said):
        check_recipe(*given)
    check_recipe("fixed", 0.1, NoImprovement(60))
    with pytest.raises(InputError, match="leave l2 out"):
        forecast_head(*of_classes(60, 0), [120], l2=0.1, recipe="tuned")


def test_where_the_penalty_at_hand_is_too_small_already_a_smaller_one_is_not_said_to_help():
    x, y = of_classes(PILOT, 0)
    fixed, falling = (forecast_head(x, y, [PILOT, AHEAD], l2=2e-4, recipe=recipe) for recipe in ("fixed", "per-sample"))
    assert falling.status == "cannot_tell" or gain(falling) < 1.05 * gain(fixed)


def test_the_losses_of_a_known_curve_tell_how_much_farther_a_recipe_falls():
    """Losses of the deterministic equivalent with equal features: L(k, lambda) is known in closed form."""

    def loss(kappa, samples, noise=1.0, features=30.0):
        share = 1 / (1 + kappa)
        first, second = features * share, features * share**2
        risk = (kappa * share) ** 2 + noise
        return kappa * (1 - first / samples), risk / (1 - second / samples), first / samples, second / samples

    at_hand, found = 100.0, []
    penalty = loss(1.0, at_hand)[0]
    for times in TENFOLD:
        kappa = brentq(lambda kappa, times=times: loss(kappa, at_hand)[0] - times * penalty, 1e-6, 1e6)
        lambda_, expected, first, second = loss(kappa, at_hand)
        # what the samples have in place of the population: h, of which q is made
        own_second = (second * (1 - 2 * first) + first**2) / (1 - second)
        found.append(AtPenalty(lambda_, expected, expected * (1 - first) ** 2, first, own_second))
    for at, times in zip(found, TENFOLD, strict=True):
        assert at.penalty == pytest.approx(times * penalty)
        kappa = brentq(lambda kappa, at=at: loss(kappa, 800.0)[0] - at.ahead(8.0)[0], 1e-6, 1e6)
        assert at.ahead(8.0)[1] == pytest.approx(loss(kappa, 800.0)[1], rel=1e-9)
